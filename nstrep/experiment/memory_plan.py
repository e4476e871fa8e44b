"""What a run will need in memory, before it starts, and what there is.

The estimate counts what a run adds to the process: the graph, whose size the table of layers
gives, and the arrays as large as the picture that the objective and the optimiser hold.
``benchmarks/growth.py`` sets it against measurements.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from nstrep.base import process_memory
from nstrep.config.schema import OptimizerConfig
from nstrep.losses import tiling
from nstrep.networks.features import Network
from nstrep.optim.minimize import OPTIMIZERS

log = logging.getLogger(__name__)

SHARE = 0.8
"""Of the memory that is free: what a run may plan with."""

FLOAT = 4

WORKING = 6
"""Arrays as large as the largest layer that the graph needs while it runs, besides the features
that it keeps: gradients, and features in another layout. Measured."""

TILED = 1.5
"""How much more tiles take than one graph of their size: what is freed from one kind of tile to the
next is not all used again. Measured."""

OBJECTIVE = {False: 8, True: 12}
"""Single-precision copies of the picture and its gradient, whole and in pieces."""

OPTIMIZER, COSINES = 8, 4
"""Copies of the picture besides an optimiser's memory, and those of the cosine transform."""

FIXED = 100 * 2**20
"""Bytes that the first evaluation takes at any size: the libraries' code and buffers, and the
weights in the convolutions' own layout. Measured."""


@dataclass(frozen=True)
class Plan:
    """How a run will be computed."""

    tile: int | None
    """Pixels; None for the whole picture at once."""
    bytes: float
    """That the run adds to the process."""


def settle_malloc(tile: int | None) -> None:
    """Tune malloc's thresholds for whole or tiled runs.

    Whole images keep all freed blocks; tiles keep few, for they take so long that fresh pages do
    not matter.
    """
    process_memory.settle_malloc(math.inf if tile is None else 0)


def graph_bytes(
    network: Network,
    layers: Sequence[str],
    styles: Iterable[str],
    pixels: float,
) -> float:
    """What losses and gradient over so many pixels take: the features that must be kept."""
    strides = network.architecture.layers
    floats = lambda layer: network.channels(layer) / strides[layer] ** 2  # noqa: E731
    used = network.architecture.up_to(layers)
    # A convolution's output is rectified in place.
    kept = [floats(name) for name in used if not name.startswith("conv")]
    copies = [floats(name) for name in styles if name in used]  # as matrix products want them
    return pixels * FLOAT * (sum(kept) + sum(copies) + WORKING * max(map(floats, used)))


def working_bytes(
    network: Network,
    layers: Sequence[str],
    styles: Sequence[str],
    shape: Sequence[int],
    paintings: Sequence[Sequence[int]],
    tile: int | None,
) -> float:
    """What the graphs take; the arguments are those of :func:`plan`, the layers by themselves."""
    height, width = shape[2:]
    # The graph that computes a target keeps no features.
    targets = 0.5 * max([height * width, *(each[2] * each[3] for each in paintings)])
    pixels = max(height * width, targets)
    if tile is None:
        return graph_bytes(network, layers, styles, pixels)
    return TILED * graph_bytes(network, layers, styles, min(pixels, tile**2))


def picture_arrays(optimizer: OptimizerConfig, basis: str, tiled: bool) -> float:
    """Bytes for each number of the picture, of which a pixel has three.

    Besides what it keeps, every optimiser has the point that it is at and the one that it tries,
    each with its gradient, a direction, and what becomes of them.
    """
    kept = OPTIMIZERS[optimizer.name].arrays_kept(optimizer)
    return FLOAT * (OBJECTIVE[tiled] + OPTIMIZER + kept + (COSINES if basis == "dct" else 0))


def plan(
    network: Network,
    shape: Sequence[int],
    paintings: Sequence[Sequence[int]],
    layers: Mapping[str, Sequence[str]],
    optimizer: OptimizerConfig,
    basis: str,
    tile: int | str | None,
    free: float | None = None,
) -> Plan:
    """Choose the tile, and estimate what the run takes.

    Args:
        network: whose features.
        shape: of the picture, (1, 3, H, W).
        paintings: their shapes, likewise.
        layers: ``content`` and ``style``.
        optimizer: its settings.
        basis: its coordinates.
        tile: pixels; None for the whole picture; auto for the whole picture if it fits into the
            memory, else the largest tile that does.
        free: bytes; None for :func:`nstrep.base.process_memory.available`.

    """
    free = process_memory.available() if free is None else free
    names, styles = [*layers["content"], *layers["style"]], layers["style"]
    height, width = shape[2:]

    def working(side: int | None) -> float:
        return working_bytes(network, names, styles, shape, paintings, side)

    def need(side: int | None) -> float:
        arrays = 3 * height * width * picture_arrays(optimizer, basis, side is not None)
        return FIXED + arrays + working(side)

    budget = SHARE * free
    side = tile
    if tile == "auto":
        side = None
        if need(None) > budget:
            least = tiling.smallest_tile(network, names)
            step = network.architecture.stride(names)
            sides = range(max(least, max(height, width) // step * step), least, -step)
            side = next((side for side in sides if need(side) <= budget), least)
    found = Plan(side, need(side))
    log.info(
        "memory: about %.0f MB more for this run, %.0f MB free%s",
        found.bytes / 2**20,
        free / 2**20,
        "" if side is None else f"; in tiles of {side} pixels",
    )
    if found.bytes > free:
        log.warning("memory: %s", _advice(optimizer, found, tile))
    return found


def _advice(optimizer: OptimizerConfig, found: Plan, tile: int | str | None) -> str:
    ways = ["a smaller max_long_edge"]
    if tile is None:
        ways.insert(0, "tile=auto")
    if OPTIMIZERS[optimizer.name].arrays_kept(optimizer) > 2:
        ways.append("fewer optimizer.corrections or optimizer=adam")
    return f"the run may not fit; take {', '.join(ways)}"
