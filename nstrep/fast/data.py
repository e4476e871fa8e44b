"""The images that a transform network is trained on, and the squares cut from them."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from cachetools import LRUCache, cached

from nstrep.base.errors import InputError
from nstrep.experiment import image_inputs
from nstrep.fast.config import DataConfig, TrainConfig
from nstrep.images import io
from nstrep.images.decoding import SUFFIXES
from nstrep.images.io import Picture

log = logging.getLogger(__name__)

# The images in scikit-image: for training, and for validation.
BUILTIN = (
    "astronaut", "coffee", "hubble_deep_field", "immunohistochemistry", "motorcycle_left",
    "motorcycle_right", "retina",
)  # fmt: skip
BUILTIN_HELD_OUT = ("chelsea", "rocket")


class Photos:
    """The images of a training. Those that cannot be read are skipped and counted."""

    def __init__(self, config: DataConfig, seed: int) -> None:
        """Find the images and read those that are held out; the seed decides which.

        Raises InputError if the folder does not exist or too few images in it can be read.
        """
        self._config, self._seed = config, seed
        load = io.builtin if config.dir is None else partial(io.load_picture, key="data.dir")
        # At most so many bytes of decoded images are kept.
        cache = LRUCache(2**28, getsizeof=lambda picture: picture.rgb.nbytes)
        self._load = cached(cache)(load)
        self.skipped: dict[str, str] = {}  # names of images that cannot be read, and the reasons
        self.names, candidates = list(BUILTIN), list(BUILTIN_HELD_OUT)
        if config.dir is not None:
            folder = os.path.expanduser(config.dir)
            if not os.path.isdir(folder):
                raise InputError(f"data.dir={folder}: is not a folder")
            files = _picture_files(Path(folder).rglob("*"), f"data.dir={folder}")
            rng = np.random.Generator(np.random.PCG64(seed))
            self.names = candidates = [files[number] for number in rng.permutation(len(files))]
        readable = filter(None, map(self._read, candidates))
        self.held_out = list(islice(readable, config.held_out))
        if len(self.held_out) < config.held_out:
            raise InputError(
                f"data.held_out={config.held_out}: there are {len(self.held_out)} pictures for it,"
                f" {len(self.skipped)} cannot be read"
            )
        held_out = {picture.source for picture in self.held_out}
        self.names = [name for name in self.names if name not in held_out]
        self._next(0)

    def _read(self, name: str) -> Picture | None:
        if name not in self.skipped:
            try:
                return self._load(name)
            except InputError as error:
                self.skipped[name] = str(error)
                log.warning("skipped: %s", error)
        return None

    def _next(self, position: int) -> Picture:
        """The image at a position of the endless sequence of epochs, or the next readable one."""
        epoch, start = divmod(position, max(1, len(self.names)))
        rng = np.random.Generator(np.random.PCG64([self._seed, epoch, 2**32]))
        for number in np.roll(rng.permutation(len(self.names)), -start):
            if (picture := self._read(self.names[number])) is not None:
                return picture
        raise InputError(
            f"data.dir={self._config.dir}: no picture is left to train on;"
            f" {len(self.held_out)} held out, {len(self.skipped)} cannot be read"
        )

    def crops(self, step: int, count: int) -> list[np.ndarray]:
        """The crops of a step, ``rgb01`` (size, size, 3); they depend on seed and step alone."""
        crops = []
        for number in range(count):
            rng = np.random.Generator(np.random.PCG64([self._seed, step, number]))
            picture = self._next(step * count + number)
            given = picture.rgb, self._config.size
            crops.append(center(*given) if self._config.crop == "center" else random(*given, rng))
        return crops


def paintings(config: TrainConfig) -> dict[str, Picture]:
    """The style images by name: those of ``styles``, or the one of ``style`` or ``style_image``.

    Raises InputError if one of them cannot be read or two have the same name.
    """
    if not config.styles:
        painting = image_inputs.load_role(config, "style")
        return {painting.name: painting}
    given: list[str] = []
    for item in config.styles:
        folder = Path(os.path.expanduser(item))
        if folder.is_dir():
            given += _picture_files(folder.iterdir(), f"styles={item}")
        else:
            given.append(item)
    found: dict[str, Picture] = {}
    for item in given:
        painting = image_inputs.load_style(item, config.assets.download)
        if painting.name in found:
            raise InputError(f"styles: {painting.name} is named twice")
        found[painting.name] = painting
    return found


def _picture_files(paths: Iterable[Path], folder: str) -> list[str]:
    """The paths of pictures, sorted; InputError that begins with ``folder`` if there are none."""
    files = sorted(str(path) for path in paths if path.suffix.lower() in SUFFIXES)
    if not files:
        raise InputError(f"{folder}: holds no picture ({', '.join(SUFFIXES)})")
    return files


def center(rgb01: np.ndarray, size: int) -> np.ndarray:
    """The largest central square, resized to ``size`` x ``size``."""
    height, width = rgb01.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return io.resize_to(rgb01[top : top + side, left : left + side], size, size)


def random(rgb01: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """A square at a random place, mirrored half of the time, resized to ``size`` x ``size``.

    The logarithm of its side is uniform between those of ``size`` and of the shorter side.
    """
    height, width = rgb01.shape[:2]
    shorter = min(height, width)
    least = min(size, shorter)
    side = round(least * (shorter / least) ** rng.random())
    top, left = (int(rng.integers(0, whole - side + 1)) for whole in (height, width))
    square = rgb01[top : top + side, left : left + side]
    return io.resize_to(square[:, ::-1] if rng.random() < 0.5 else square, size, size)
