"""An image with its name and hash, from an array or a PIL image; io reads it from a file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from nstrep.base.errors import InputError
from nstrep.base.text import reason
from nstrep.images import decoding
from nstrep.images.decoding import Refused, check_size


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture and where it came from. Two pictures are the same if their `sha256` is."""

    name: str  # short, for file names and tables
    rgb: np.ndarray  # (H, W, 3) float32, sRGB in [0, 1], read-only
    sha256: str  # of the file's bytes; of shape and pixels for a stand-in or a picture in memory
    source: str  # the path as given, or what made it
    stand_in_for: str | None = None  # the picture that this one replaces, if any

    def __post_init__(self) -> None:
        self.rgb.flags.writeable = False

    @property
    def label(self) -> str:
        """The name for logs and figures, which tells a stand-in: vangogh (stand-in: swirls)."""
        return f"{self.name} (stand-in: {drawn(self.source)})" if self.stand_in_for else self.name

    @property
    def facts(self) -> dict[str, str | None]:
        """What metrics.json says of it."""
        names = ("name", "source", "sha256", "stand_in_for")
        return {name: getattr(self, name) for name in names}

    @property
    def height(self) -> int:
        """Rows of pixels."""
        return self.rgb.shape[0]

    @property
    def width(self) -> int:
        """Columns of pixels."""
        return self.rgb.shape[1]


def drawn(source: str) -> str:
    """The name of a :func:`.builtin` picture by its ``source``."""
    return source.removesuffix(".webp").rpartition("/")[2].rpartition(".")[2]


def picture_from_array(name: str, rgb: np.ndarray, *, source: str = "memory") -> Picture:
    """A Picture from an array (H, W, 3), floats in [0, 1]; the array is copied.

    Raises InputError for another shape or type, or for values outside [0, 1].
    """
    rgb = np.asarray(rgb)
    if rgb.ndim != 3 or rgb.shape[2] != 3 or 0 in rgb.shape or rgb.dtype.kind != "f":
        found = f"{rgb.dtype} array of shape {rgb.shape}"
        raise InputError(f"picture {name}: found a {found}; allowed: floats (height, width, 3)")
    picture_range(name, rgb)
    rgb = np.array(rgb, dtype=np.float32, order="C")
    digest = hashlib.sha256(f"rgb01 float32 {rgb.shape[0]}x{rgb.shape[1]}x3\n".encode())
    digest.update(rgb.data)
    return Picture(name, rgb, digest.hexdigest(), source)


def picture_from_value(key: str, value: Any) -> Picture:
    """A Picture from a PIL image, or from an array of grey, RGB or RGBA.

    Arrays are (H, W), or (H, W, C) with C of 1 to 4: grey, grey and alpha, RGB, or RGBA; uint8 and
    uint16 with the whole range of the type, or floats in [0, 1]. Alpha is composited over white. A
    PIL image is read like a file (:func:`load_picture`). Raises InputError for anything else.
    """
    if isinstance(value, Image.Image):
        try:
            check_size(*value.size)
            if value.mode == "F":
                raise Refused("found an image of floats; allowed: samples of up to 16 bits")
            rgb = decoding.to_rgb01(value.copy(), key)
        except (Refused, OSError) as error:  # OSError: of a damaged file that was only opened
            raise InputError(f"picture {key}: {reason(error)}") from None
        return picture_from_array(key, rgb, source="an image in memory")
    array = np.asarray(value)
    channels = array.shape[2] if array.ndim == 3 else 1
    known = array.dtype in (np.uint8, np.uint16) or array.dtype.kind == "f"
    if array.ndim not in (2, 3) or not 1 <= channels <= 4 or 0 in array.shape or not known:
        raise InputError(
            f"picture {key}: found a {array.dtype} array of shape {array.shape}; allowed: uint8,"
            " uint16, or floats from 0 to 1, of shape (height, width) or (height, width, 1 to 4)"
        )
    if array.dtype.kind == "u":
        array = array.astype(np.float32) / np.float32(np.iinfo(array.dtype).max)
    array = array.reshape(*array.shape[:2], channels)
    picture_range(key, array)
    if channels in (2, 4):
        array = array[..., :-1] * array[..., -1:] + (1 - array[..., -1:])
    rgb = np.broadcast_to(array, (*array.shape[:2], 3)).clip(0, 1)
    return picture_from_array(key, rgb, source="an array")


def picture_range(name: str, values: np.ndarray) -> None:
    """Raise InputError unless all values are in [0, 1]."""
    low, high = float(values.min()), float(values.max())
    if not (low >= 0.0 and high <= 1.0):  # in this form NaN fails too
        raise InputError(f"picture {name}: found values from {low:g} to {high:g}; allowed: 0 to 1")
