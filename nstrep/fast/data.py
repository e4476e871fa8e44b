"""The pictures that a transform network is trained on, and the squares cut from them."""

from __future__ import annotations

import logging
import os
from functools import lru_cache
from pathlib import Path

import numpy as np
from cachetools import LRUCache

from nstrep.base.errors import InputError
from nstrep.fast.config import DataConfig
from nstrep.images import io
from nstrep.images.io import Picture

log = logging.getLogger(__name__)

BUILTIN = (
    "astronaut", "coffee", "hubble_deep_field", "immunohistochemistry", "motorcycle_left",
    "motorcycle_right", "retina",
)  # fmt: skip
BUILTIN_HELD_OUT = ("chelsea", "rocket")
"""The pictures inside scikit-image: trained on, and kept for validation."""

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
KEPT_BYTES = 2**28
"""Of decoded pictures."""


class Photos:
    """Pictures by number; those that cannot be read are skipped and counted."""

    def __init__(self, config: DataConfig, seed: int) -> None:
        """Find the pictures, and read those that are held out.

        Args:
            config: where they are, and how they are cut.
            seed: of which are held out, of their order and of the crops.

        Raises:
            InputError: there is no such folder, or too few pictures in it can be read.

        """
        self._config, self._seed = config, seed
        self._kept: LRUCache = LRUCache(KEPT_BYTES, getsizeof=lambda picture: picture.rgb.nbytes)
        self.skipped: dict[str, str] = {}
        """Names of pictures that could not be read, with the reason."""
        if config.dir is None:
            self.names = list(BUILTIN)
            candidates = list(BUILTIN_HELD_OUT)
            self._load = io.builtin
        else:
            found = _files(Path(os.path.expanduser(config.dir)))
            order = np.random.Generator(np.random.PCG64(seed)).permutation(len(found))
            candidates = self.names = [found[place] for place in order]
            self._load = lambda name: io.load_picture(name, key="data.dir")
        self.held_out = self._first(candidates, config.held_out)
        if config.dir is not None:
            taken = {picture.source for picture in self.held_out}
            self.names = [name for name in self.names if name not in taken]
        if not self.names or self._next(0) is None:
            raise InputError(
                f"data.dir={config.dir}: no picture is left to train on; {len(self.held_out)} held"
                f" out, {len(self.skipped)} cannot be read"
            )

    def _first(self, names: list[str], count: int) -> list[Picture]:
        found: list[Picture] = []
        for name in names:
            picture = self._read(name)
            if picture is not None:
                found.append(picture)
            if len(found) == count:
                return found
        raise InputError(
            f"data.held_out={count}: there are {len(found)} pictures for it,"
            f" {len(self.skipped)} cannot be read"
        )

    def _read(self, name: str) -> Picture | None:
        if name in self.skipped:
            return None
        if name not in self._kept:
            try:
                picture = self._load(name)
            except InputError as error:
                self.skipped[name] = str(error)
                log.warning("skipped: %s", error)
                return None
            if picture.rgb.nbytes > KEPT_BYTES:
                return picture
            self._kept[name] = picture
        return self._kept[name]

    def _next(self, position: int) -> Picture | None:
        """The picture at a position of the endless sequence of epochs, or the next good one."""
        epoch, place = divmod(position, len(self.names))
        order = _order(len(self.names), self._seed, epoch)
        for other in (*order[place:], *order[:place]):
            picture = self._read(self.names[other])
            if picture is not None:
                return picture
        return None

    def crops(self, step: int, count: int) -> list[np.ndarray]:
        """The crops of a step, each ``rgb01`` (size, size, 3): the same for the same step.

        Nothing random is kept from one step to the next, so a training that goes on at a step
        sees what it would have seen.
        """
        found = []
        for number in range(count):
            rng = np.random.Generator(np.random.PCG64([self._seed, step, number]))
            picture = self._next(step * count + number)
            if picture is None:
                raise InputError(f"data.dir={self._config.dir}: no picture can be read any more")
            found.append(CROPS[self._config.crop](picture.rgb, self._config.size, rng))
        return found

    def validation(self) -> list[np.ndarray]:
        """The middle of each held-out picture, ``rgb01`` (size, size, 3)."""
        return [center(picture.rgb, self._config.size) for picture in self.held_out]


def _files(folder: Path) -> list[str]:
    if not os.path.isdir(folder):
        raise InputError(f"data.dir={folder}: is not a folder")
    found = sorted(str(path) for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not found:
        raise InputError(f"data.dir={folder}: holds no picture ({', '.join(SUFFIXES)})")
    return found


@lru_cache(maxsize=4)
def _order(count: int, seed: int, epoch: int) -> np.ndarray:
    return np.random.Generator(np.random.PCG64([seed, epoch, 2**32])).permutation(count)


def center(rgb01: np.ndarray, size: int, rng: np.random.Generator | None = None) -> np.ndarray:
    """The largest square in the middle, at ``size`` x ``size``."""
    height, width = rgb01.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return io.resize_to(rgb01[top : top + side, left : left + side], size, size)


def random(rgb01: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """A square of any place and scale, mirrored half of the time, at ``size`` x ``size``.

    Sides are drawn evenly on a logarithmic scale, from ``size`` to the shorter side.
    """
    height, width = rgb01.shape[:2]
    shorter = min(height, width)
    least = min(size, shorter)
    side = round(least * (shorter / least) ** rng.random())
    top, left = (int(rng.integers(0, whole - side + 1)) for whole in (height, width))
    square = rgb01[top : top + side, left : left + side]
    return io.resize_to(square[:, ::-1] if rng.random() < 0.5 else square, size, size)


CROPS = {"random": random, "center": center}
