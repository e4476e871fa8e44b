"""The memory that a run will add to the process: its graph, and arrays as large as the image.

``benchmarks/growth.py`` compares the estimate with measurements.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from nstrep.base import process_memory
from nstrep.config.schema import ExperimentConfig, OptimizerConfig
from nstrep.losses import tiling
from nstrep.networks.features import Network
from nstrep.optim.minimize import OPTIMIZERS

log = logging.getLogger(__name__)

ALMOST_ALL = 0.95  # of the free memory, where otherwise tiles would be so small that they are slow
SLOW = 2.0  # times as long as the whole image, by area
FLOAT = 4  # bytes
# Measured: arrays of the largest layer's size beside the features that are kept (gradients, and
# features in another layout); the factor for tiles, which do not reuse all freed memory; bytes at
# any size (code and buffers of libraries, weights in the layout of the convolutions).
WORKING, TILED, FIXED = 6, 1.5, 100 * 2**20
# Copies of the image and its gradient: in the objective without (False) and with tiles, in every
# optimiser besides its memory, and in the cosine transform.
OBJECTIVE, OPTIMIZER, COSINES = {False: 8, True: 12}, 8, 4


class Plan(NamedTuple):
    """How a run will be computed."""

    tile: int | None  # pixels; None for the whole picture at once
    bytes: float  # that the run adds to the process


def working_bytes(
    network: Network,
    shape: Sequence[int],
    style_shapes: Sequence[Sequence[int]],
    layers: Mapping[str, Sequence[str]],
    tile: int | None,
) -> float:
    """Memory of the graphs of losses and gradient; see :func:`plan`."""
    # The graph that computes a target keeps no features.
    targets = 0.5 * max(math.prod(each[2:]) for each in (shape, *style_shapes))
    pixels, factor = max(math.prod(shape[2:]), targets), 1.0
    if tile is not None:
        pixels, factor = min(pixels, tile**2), TILED
    strides = network.architecture.layers
    floats = lambda layer: network.channels(layer) / strides[layer] ** 2  # noqa: E731
    used = network.architecture.up_to([*layers["content"], *layers["style"]])
    # A convolution's output is rectified in place.
    kept = [floats(name) for name in used if not name.startswith("conv")]
    copies = map(floats, layers["style"])  # as matrix products want them
    most = max(map(floats, used))
    return factor * pixels * FLOAT * (sum(kept) + sum(copies) + WORKING * most)


def picture_arrays(optimizer: OptimizerConfig, basis: str, tiled: bool) -> float:
    """Bytes of the arrays of objective and optimiser, for each of a pixel's three numbers."""
    kept = OPTIMIZERS[optimizer.name].arrays_kept(optimizer)
    return FLOAT * (OBJECTIVE[tiled] + OPTIMIZER + kept + (COSINES if basis == "dct" else 0))


def plan(
    network: Network,
    shape: Sequence[int],
    style_shapes: Sequence[Sequence[int]],
    layers: Mapping[str, Sequence[str]],
    config: ExperimentConfig,
    free: float | None = None,
) -> Plan:
    """Choose the tile, and estimate what the run takes.

    Shapes are (1, 3, H, W); ``layers`` are by branch, ``content`` and ``style``. ``free`` is in
    bytes, None for all that the process can have.
    """
    free = process_memory.available() if free is None else free
    tile, optimizer = config.tile, config.optimizer

    def need(side: int | None) -> float:
        arrays = math.prod(shape) * picture_arrays(optimizer, config.basis, side is not None)
        return FIXED + arrays + working_bytes(network, shape, style_shapes, layers, side)

    names = [*layers["content"], *layers["style"]]
    least, step = tiling.smallest_tile(network, names), network.architecture.stride(names)

    def largest(room: float) -> int:
        """The largest side that takes no more than this, or the smallest of all."""
        sides = range(max(least, max(shape[2:]) // step * step), least, -step)
        return next((side for side in sides if need(side) <= room), least)

    def cost(side: int) -> float:
        return tiling.cost(network, names, *shape[2:], side)

    side = None if tile == "auto" else tile
    if tile == "auto" and need(None) > process_memory.SHARE * free:
        side = largest(process_memory.SHARE * free)
        if cost(side) > SLOW:
            side = largest(ALMOST_ALL * free)
    size = need(side)
    log.info(
        "memory: about %.0f MB more for this run, %.0f MB free%s",
        size / 2**20, free / 2**20, "" if side is None else f"; in tiles of {side} pixels",
    )  # fmt: skip
    if tile == "auto" and side is not None and (times := cost(side)) > SLOW:
        log.warning(
            "tile=auto: tiles of %d pixels take about %.0f times as long as the whole image;"
            " larger ones need more memory: %s",
            side, times, _advice(optimizer),
        )  # fmt: skip
    if size > free:
        ways = "tile=auto, " if tile is None else ""
        log.warning("memory: the run may not fit; take %s%s", ways, _advice(optimizer))
    return Plan(side, size)


def _advice(optimizer: OptimizerConfig) -> str:
    """The keys that free memory."""
    ways = ["a smaller max_long_edge"]
    if OPTIMIZERS[optimizer.name].arrays_kept(optimizer) > 2:
        ways.append(f"fewer optimizer.corrections ({optimizer.corrections}) or optimizer=adam")
    return ", ".join(ways)
