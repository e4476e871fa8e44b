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
FLOAT, MB = 4, 2**20  # bytes
# Measured with the default recipe: arrays of the largest layer's size beside the features that are
# kept (gradients, features in another layout, MXNet's work space); the factor for tiles, which do
# not reuse all freed memory; bytes at any size (code and buffers of libraries, weights in the
# layout of the convolutions).
WORKING, TILED, FIXED = 12, 1.2, 100 * MB
# Copies of the image and its gradient: in the objective without (False) and with tiles, in every
# optimiser besides its memory, and in the cosine transform. In tiles the graph is not there while
# the optimiser works.
OBJECTIVE, OPTIMIZER, COSINES = {False: 8, True: 4}, 8, {False: 4, True: 1}


class Plan(NamedTuple):
    """How a run will be computed."""

    tile: int | None  # pixels; None for the whole picture at once
    bytes: float  # that the run adds to the process
    pixels: int  # of the largest tile, or of the whole picture


def working_bytes(
    network: Network,
    shape: Sequence[int],
    style_shapes: Sequence[Sequence[int]],
    layers: Mapping[str, Sequence[str]],
    tile: int | None,
) -> float:
    """Memory of the graphs of losses and gradient; see :func:`plan`."""
    names, factor = [*layers["content"], *layers["style"]], 1.0 if tile is None else TILED

    def of_graph(height: int, width: int) -> int:
        side = tile or max(height, width)
        return tiling.most_pixels(network, names, height, width, side)

    # The graph that computes a target keeps no features.
    targets = 0.5 * max(of_graph(*each[2:]) for each in (shape, *style_shapes))
    pixels = max(of_graph(*shape[2:]), targets)
    strides = network.architecture.layers
    floats = lambda layer: network.channels(layer) / strides[layer] ** 2  # noqa: E731
    used = network.architecture.up_to(names)
    # A convolution's output is rectified in place.
    kept = [floats(name) for name in used if not name.startswith("conv")]
    copies = map(floats, layers["style"])  # as matrix products want them
    most = max(map(floats, used))
    return factor * pixels * FLOAT * (sum(kept) + sum(copies) + WORKING * most)


def picture_arrays(optimizer: OptimizerConfig, basis: str, tiled: bool) -> float:
    """Bytes of the arrays of objective and optimiser, for each of a pixel's three numbers."""
    kept = OPTIMIZERS[optimizer.name].arrays_kept(optimizer)
    return FLOAT * (OBJECTIVE[tiled] + OPTIMIZER + kept + (COSINES[tiled] if basis == "dct" else 0))


class Room(NamedTuple):
    """The memory that a run may add to the process, in bytes."""

    free: float  # that the process can have
    limit: float  # until the process has max_memory_mb; infinite without it

    @classmethod
    def of(cls, config: ExperimentConfig, free: float | None, used: float | None) -> Room:
        """What is left; None for what this process finds."""
        free = process_memory.available() if free is None else free
        if config.max_memory_mb is None:
            return cls(free, math.inf)
        used = process_memory.memory_mb()["now"] * MB if used is None else used
        return cls(free, config.max_memory_mb * MB - used)

    def share(self, of_free: float) -> float:
        """The limit, or this share of the free memory if that is less."""
        return min(of_free * self.free, self.limit)

    def __str__(self) -> str:
        text = f"{self.free / MB:.0f} MB free"
        below = "" if self.limit == math.inf else f", {max(0, self.limit / MB):.0f} MB allowed"
        return text + below


def plan(
    network: Network,
    shape: Sequence[int],
    style_shapes: Sequence[Sequence[int]],
    layers: Mapping[str, Sequence[str]],
    config: ExperimentConfig,
    free: float | None = None,
    used: float | None = None,
    most_pixels: float = math.inf,
) -> Plan:
    """Choose the tile, and estimate what the run takes.

    Shapes are (1, 3, H, W); ``layers`` are by branch, ``content`` and ``style``. ``free`` and
    ``used`` are in bytes: what the process can still have, and what it has, which counts against
    ``max_memory_mb``; None for what is found. Tiles have no more than ``most_pixels``.
    """
    room, optimizer = Room.of(config, free, used), config.optimizer
    names = [*layers["content"], *layers["style"]]

    def need(side: int | None) -> float:
        arrays = math.prod(shape) * picture_arrays(optimizer, config.basis, side is not None)
        return FIXED + arrays + working_bytes(network, shape, style_shapes, layers, side)

    def pixels(side: int | None) -> int:
        return tiling.most_pixels(network, names, *shape[2:], side or max(shape[2:]))

    def cost(side: int) -> float:
        return tiling.cost(network, names, *shape[2:], side)

    def fits(side: int | None, of_free: float) -> bool:
        return pixels(side) <= most_pixels and need(side) <= room.share(of_free)

    def fastest(of_free: float) -> int:
        """Tiles that take no more than this, or the smallest of all."""
        least, step = tiling.smallest_tile(network, names), network.architecture.stride(names)
        sides = range(least, max(shape[2:]), step)
        return min((side for side in sides if fits(side, of_free)), key=cost, default=least)

    side = None if config.tile == "auto" else config.tile
    if config.tile == "auto" and not fits(None, process_memory.SHARE):
        side = fastest(process_memory.SHARE)
        if cost(side) > SLOW:
            side = fastest(ALMOST_ALL)
    found = Plan(side, need(side), pixels(side))
    log.info(
        "memory: about %.0f MB more for this run, %s%s",
        found.bytes / MB, room, "" if side is None else f"; in tiles of {side} pixels",
    )  # fmt: skip
    if warning := _warning(found, room, config, slower=1.0 if side is None else cost(side)):
        log.warning(warning)
    return found


def _warning(found: Plan, room: Room, config: ExperimentConfig, slower: float) -> str:
    """What is wrong with a plan that takes ``slower`` times as long as the whole; or nothing."""
    advice = _advice(config.optimizer)
    if config.tile is None:
        advice = f"tile=auto, {advice}"
    if found.bytes > room.free:
        return f"memory: the run may not fit; take {advice}"
    if found.bytes > room.limit:
        total = config.max_memory_mb + (found.bytes - room.limit) / MB
        return (
            f"max_memory_mb={config.max_memory_mb:g}: the run may need {total:.0f} MB;"
            f" take {advice}"
        )
    if config.tile == "auto" and slower > SLOW:
        return (
            f"tile=auto: tiles of {found.tile} pixels take about {slower:.0f} times as long as the"
            f" whole image; larger ones need more memory: {advice}"
        )
    return ""


def _advice(optimizer: OptimizerConfig) -> str:
    """The keys that free memory."""
    ways = ["a smaller max_long_edge"]
    if OPTIMIZERS[optimizer.name].arrays_kept(optimizer) > 2:
        ways.append(f"fewer optimizer.corrections ({optimizer.corrections}) or optimizer=adam")
    return ", ".join(ways)
