"""A VGG with its weights on a device: images in, features out."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace

import mxnet as mx
import numpy as np
from cachetools import LRUCache

from nstrep.networks import vgg
from nstrep.networks.vgg import Architecture
from nstrep.networks.weights import Weights

KEPT_BYTES, KEPT_PICTURES = 2**28, 16  # most that a network keeps of features and Gram matrices


@dataclass(frozen=True, eq=False)
class Network:
    """An architecture, its weights, and the choices that change its features.

    Features and Gram matrices are kept for the next run of a sweep, which often has the same
    images; the arrays are read-only.
    """

    architecture: Architecture
    weights: Weights
    pooling: str = "avg"
    padding: str = "zero"
    context: mx.Context = field(default_factory=mx.cpu)

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", on_device(self.weights, self.context))
        object.__setattr__(self, "_kept", LRUCache(KEPT_BYTES, getsizeof=_share))

    @property
    def facts(self) -> dict[str, str]:
        """What metrics.json says of it."""
        weights = self.weights
        return {
            "name": self.architecture.name, "source": weights.source, "sha256": weights.sha256,
        }  # fmt: skip

    def taps(self, image: mx.sym.Symbol, layers: Iterable[str]) -> dict[str, mx.sym.Symbol]:
        """Symbols of ``layers`` over ``image``; see :func:`nstrep.networks.vgg.taps`."""
        return vgg.taps(
            self.architecture, layers, image, pooling=self.pooling, padding=self.padding
        )

    def channels(self, layer: str) -> int:
        """N: how many feature maps a layer has."""
        return self.architecture.channels(layer)

    def positions(self, layer: str, height: int, width: int) -> int:
        """M: how many positions a layer has over a picture of ``height`` x ``width``."""
        stride = self.architecture.layers[layer]
        return (height // stride) * (width // stride)

    def margin(self, layers: Iterable[str]) -> int:
        """See :meth:`nstrep.networks.vgg.Architecture.margin`."""
        return self.architecture.margin(layers, self.pooling)

    def bind(
        self,
        symbol: mx.sym.Symbol,
        arguments: dict[str, mx.nd.NDArray],
        gradients: Mapping[str, mx.nd.NDArray] | None = None,
    ) -> mx.executor.Executor:
        """Bind a symbol with this network's weights.

        ``arguments`` holds what is not a weight; ``gradients``, where the gradients to some of them
        go, none for a forward pass alone.
        """
        known = {**self.weights.arrays, **arguments}
        used = {name: known[name] for name in symbol.list_arguments()}
        if not gradients:
            return symbol.bind(self.context, used, grad_req="null")
        requests = {name: "write" if name in gradients else "null" for name in used}
        return symbol.bind(self.context, used, args_grad=dict(gradients), grad_req=requests)

    def features(self, image: np.ndarray, layers: Iterable[str]) -> dict[str, np.ndarray]:
        """Features of ``layers``, each (1, N, H, W), of a ``vgg_input`` image (1, 3, H, W)."""
        layers = tuple(layers)

        def compute() -> dict[str, np.ndarray]:
            symbols = self.taps(mx.sym.Variable("image"), layers)
            arguments = {"image": mx.nd.array(image, ctx=self.context)}
            executor = self.bind(mx.sym.Group(list(symbols.values())), arguments)
            outputs = executor.forward(is_train=False)
            return {name: output.asnumpy() for name, output in zip(symbols, outputs)}

        return self.once(("features", layers), (image,), compute) if layers else {}

    def once(
        self,
        quantity: tuple[Hashable, ...],
        images: tuple[np.ndarray, ...],
        compute: Callable[[], dict[str, np.ndarray]],
    ) -> dict[str, np.ndarray]:
        """A quantity of the images from the cache, or now from ``compute``."""
        hashes = ((*image.shape, hashlib.sha256(image.tobytes()).digest()) for image in images)
        key = (*quantity, *hashes)
        arrays = self._kept.get(key)
        if arrays is None:
            arrays = compute()
            for array in arrays.values():
                array.flags.writeable = False
            with contextlib.suppress(ValueError):  # larger than all that may be kept
                self._kept[key] = arrays
        return dict(arrays)


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
