"""A VGG with its weights on a device: pictures in, features and Gram matrices out."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import mxnet as mx
import numpy as np
from cachetools import LRUCache

from nstrep.networks import vgg
from nstrep.networks.gram import gram, pooled
from nstrep.networks.vgg import Architecture
from nstrep.networks.weights import Weights

KEPT_BYTES, KEPT_PICTURES = 2**28, 16
"""Most that a network keeps of features and Gram matrices."""


@dataclass(frozen=True, eq=False)
class Network:
    """An architecture, its weights, and the choices that change its features.

    Features and Gram matrices are kept for the next run of a sweep, which often has the same
    pictures; the arrays are read-only.
    """

    architecture: Architecture
    weights: Weights
    pooling: str = "avg"
    padding: str = "zero"
    context: mx.Context = field(default_factory=mx.cpu)

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", on_device(self.weights, self.context))
        object.__setattr__(self, "_kept", LRUCache(KEPT_BYTES, getsizeof=_share))

    def taps(
        self, image: mx.sym.Symbol, layers: Iterable[str], after: str | None = None
    ) -> dict[str, mx.sym.Symbol]:
        """Symbols of ``layers`` over ``image``; see :func:`nstrep.networks.vgg.taps`."""
        return vgg.taps(
            self.architecture, layers, image,
            pooling=self.pooling, padding=self.padding, after=after,
        )  # fmt: skip

    def channels(self, layer: str) -> int:
        """N: how many feature maps a layer has."""
        block = int(layer[len("conv")])  # conv, relu and pool have the same length
        return self.architecture.widths[block - 1]

    def positions(self, layer: str, height: int, width: int) -> int:
        """M: how many positions a layer has over a picture of ``height`` x ``width``."""
        stride = self.architecture.layers[layer]
        return (height // stride) * (width // stride)

    def bind(
        self,
        symbol: mx.sym.Symbol,
        arguments: dict[str, mx.nd.NDArray],
        gradient: mx.nd.NDArray | None = None,
    ) -> mx.executor.Executor:
        """Bind a symbol over ``image`` and other ``arguments`` with this network's weights.

        Args:
            symbol: what to compute.
            arguments: every argument of the symbol that is not a weight.
            gradient: where the gradient to ``image`` goes; None for a forward pass alone.

        """
        known = {**self.weights.arrays, **arguments}
        used = {name: known[name] for name in symbol.list_arguments()}
        if gradient is None:
            return symbol.bind(self.context, used, grad_req="null")
        requests = {name: "write" if name == "image" else "null" for name in used}
        gradients = {"image": gradient}
        return symbol.bind(self.context, used, args_grad=gradients, grad_req=requests)

    def features(self, image: np.ndarray, layers: Iterable[str]) -> dict[str, np.ndarray]:
        """Features of ``layers``, each (1, N, H, W), of a ``vgg_input`` image (1, 3, H, W)."""
        layers = tuple(layers)
        return self.once(
            ("features", layers),
            (image,),
            lambda: self._forward(self.taps(mx.sym.Variable("image"), layers), image),
        )

    def grams(
        self,
        image: np.ndarray,
        layers: Iterable[str],
        mean_share: float = 1.0,
        mask: np.ndarray | None = None,
    ) -> dict[str, np.ndarray]:
        """Gram matrices per position of ``layers``, each (N, N); see ``networks.gram``.

        Args:
            image: ``vgg_input``, (1, 3, H, W).
            layers: which.
            mean_share: see :func:`nstrep.networks.gram.gram`.
            mask: how much each pixel counts, (H, W); None where all count as one.

        """
        layers = tuple(layers)
        return self.once(
            ("grams", layers, mean_share),
            (image,) if mask is None else (image, mask),
            lambda: self._grams(image, layers, mean_share, mask),
        )

    def _grams(
        self,
        image: np.ndarray,
        layers: Iterable[str],
        mean_share: float,
        mask: np.ndarray | None,
    ) -> dict[str, np.ndarray]:
        height, width = image.shape[2:]
        tapped, roots = {}, {}
        for layer, features in self.taps(mx.sym.Variable("image"), layers).items():
            positions, root = self.positions(layer, height, width), None
            if mask is not None:
                positions, roots[f"root.{layer}"] = self.guidance(layer, mask)
                root = mx.sym.Variable(f"root.{layer}")
            tapped[layer] = gram(
                features, self.channels(layer), positions, mean_share=mean_share, root=root
            )
        return self._forward(tapped, image, roots)

    def once(
        self,
        what: tuple[Hashable, ...],
        arrays: tuple[np.ndarray, ...],
        compute: Callable[[], dict[str, np.ndarray]],
    ) -> dict[str, np.ndarray]:
        """What was computed before of the same arrays, or now by ``compute``."""
        seen = ((*array.shape, hashlib.sha256(array.tobytes()).digest()) for array in arrays)
        key = (*what, *seen)
        found = self._kept.get(key)
        if found is None:
            found = compute()
            for array in found.values():
                array.flags.writeable = False
            with contextlib.suppress(ValueError):  # larger than all that may be kept
                self._kept[key] = found
        return dict(found)

    def guidance(self, layer: str, mask: np.ndarray) -> tuple[float, np.ndarray]:
        """What a mask (H, W) comes to at a layer: see :func:`nstrep.networks.gram.pooled`.

        Returns:
            The sum of the positions' weights, and the weights' square roots, (1, H' * W').

        """
        weights = pooled(mask, self.architecture.layers[layer])
        return float(weights.sum()), np.sqrt(weights).reshape(1, -1)

    def _forward(
        self,
        symbols: dict[str, mx.sym.Symbol],
        image: np.ndarray,
        others: Mapping[str, np.ndarray] = MappingProxyType({}),
    ) -> dict[str, np.ndarray]:
        if not symbols:
            return {}
        arguments = {
            name: mx.nd.array(array, ctx=self.context)
            for name, array in {"image": image, **others}.items()
        }
        executor = self.bind(mx.sym.Group(list(symbols.values())), arguments)
        outputs = executor.forward(is_train=False)
        return {name: output.asnumpy() for name, output in zip(symbols, outputs)}


def on_device(weights: Weights, context: mx.Context) -> Weights:
    """The same with MXNet's arrays; those that are on the device already are not copied."""
    arrays = {
        name: array.as_in_context(context)
        if isinstance(array, mx.nd.NDArray)
        else mx.nd.array(array, ctx=context)
        for name, array in weights.arrays.items()
    }
    return replace(weights, arrays=arrays)


def _share(arrays: dict[str, np.ndarray]) -> int:
    """Bytes that count against KEPT_BYTES: so many that no more than KEPT_PICTURES fit."""
    held = sum(array.nbytes for array in arrays.values())
    return max(held, KEPT_BYTES // KEPT_PICTURES)
