"""What a run will need in memory, before it starts, and what there is.

The estimate counts what a run adds to the process: the graph, whose size the table of layers
gives, and the arrays as large as the picture that the objective and the optimiser hold.
``benchmarks/growth.py`` sets it against measurements.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from nstrep.base import process_memory
from nstrep.config.schema import OptimizerConfig
from nstrep.losses import tiling
from nstrep.networks.features import Network
from nstrep.optim.minimize import OPTIMIZERS

log = logging.getLogger(__name__)

SHARE = 0.8  # of the memory that is free: what a run may plan with
FLOAT = 4  # bytes
# Arrays as large as the largest layer that the graph needs while it runs, besides the features
# that it keeps: gradients, and features in another layout. Measured.
WORKING = 6
# How much more tiles take than one graph of their size: what is freed from one kind of tile to the
# next is not all used again. Measured.
TILED = 1.5
# Single-precision copies of the picture and its gradient, whole (False) and in pieces.
OBJECTIVE = {False: 8, True: 12}
# Copies of the picture besides an optimiser's memory, and those of the cosine transform.
OPTIMIZER, COSINES = 8, 4
# Bytes that the first evaluation takes at any size: the libraries' code and buffers, and the
# weights in the convolutions' own layout. Measured.
FIXED = 100 * 2**20


class Plan(NamedTuple):
    """How a run will be computed."""

    tile: int | None  # pixels; None for the whole picture at once
    bytes: float  # that the run adds to the process


def working_bytes(
    network: Network,
    layers: Sequence[str],
    styles: Sequence[str],
    shape: Sequence[int],
    style_shapes: Sequence[Sequence[int]],
    tile: int | None,
) -> float:
    """What the graphs of losses and gradient take, which keep the features of the layers.

    The arguments are those of :func:`plan`; ``layers`` are all of them, ``styles`` the style's.
    """
    # The graph that computes a target keeps no features.
    targets = 0.5 * max(math.prod(each[2:]) for each in (shape, *style_shapes))
    pixels, factor = max(math.prod(shape[2:]), targets), 1.0
    if tile is not None:
        pixels, factor = min(pixels, tile**2), TILED
    strides = network.architecture.layers
    floats = lambda layer: network.channels(layer) / strides[layer] ** 2  # noqa: E731
    used = network.architecture.up_to(layers)
    # A convolution's output is rectified in place.
    kept = [floats(name) for name in used if not name.startswith("conv")]
    copies = [floats(name) for name in styles if name in used]  # as matrix products want them
    most = max(map(floats, used))
    return factor * pixels * FLOAT * (sum(kept) + sum(copies) + WORKING * most)


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
    style_shapes: Sequence[Sequence[int]],
    layers: Mapping[str, Sequence[str]],
    optimizer: OptimizerConfig,
    basis: str,
    tile: int | str | None,
    free: float | None = None,
) -> Plan:
    """Choose the tile, and estimate what the run takes.

    The shapes of the picture and of the style images are (1, 3, H, W); ``layers`` has the names
    ``content`` and ``style``; ``optimizer``, ``basis`` and ``tile`` are the keys. ``free`` is in
    bytes, None for :func:`nstrep.base.process_memory.available`.
    """
    free = process_memory.available() if free is None else free
    names = [*layers["content"], *layers["style"]]

    def need(side: int | None) -> float:
        arrays = math.prod(shape) * picture_arrays(optimizer, basis, side is not None)
        graphs = working_bytes(network, names, layers["style"], shape, style_shapes, side)
        return FIXED + arrays + graphs

    side = None if tile == "auto" else tile
    if tile == "auto" and need(None) > SHARE * free:
        least = tiling.smallest_tile(network, names)
        step = network.architecture.stride(names)
        sides = range(max(least, max(shape[2:]) // step * step), least, -step)
        side = next((side for side in sides if need(side) <= SHARE * free), least)
    size = need(side)
    log.info(
        "memory: about %.0f MB more for this run, %.0f MB free%s",
        size / 2**20, free / 2**20, "" if side is None else f"; in tiles of {side} pixels",
    )  # fmt: skip
    if size > free:
        ways = ["tile=auto"] if tile is None else []
        ways.append("a smaller max_long_edge")
        if OPTIMIZERS[optimizer.name].arrays_kept(optimizer) > 2:
            ways.append("fewer optimizer.corrections or optimizer=adam")
        log.warning("memory: the run may not fit; take %s", ", ".join(ways))
    return Plan(side, size)
