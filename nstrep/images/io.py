"""Reading pictures as sRGB arrays, resizing them, and writing PNG files with text.

A picture is `rgb01`: an array (height, width, 3), float32, sRGB-encoded, in [0, 1]. Every problem
with a file is one InputError line.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import re
import warnings
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np
from PIL import Image, PngImagePlugin

from nstrep.base.errors import InputError
from nstrep.base.files import atomic_write, sha256_of_stream
from nstrep.base.text import reason, shown
from nstrep.images import decoding
from nstrep.images.decoding import FORMATS, MAX_PIXELS, Refused, check_size
from nstrep.images.picture import Picture, picture_from_array

log = logging.getLogger(__name__)

Result = TypeVar("Result")

PHOTOGRAPHS = {
    "astronaut": "astronaut.png",
    "chelsea": "chelsea.png",
    "coffee": "coffee.png",
    "hubble_deep_field": "hubble_deep_field.jpg",
    "immunohistochemistry": "ihc.png",
    "motorcycle_left": "motorcycle_left.png",
    "retina": "retina.jpg",
    "rocket": "rocket.jpg",
}
"""Photographs of different subjects inside the scikit-image wheel, by their function in
`skimage.data`, which itself may download. Statistics over many kinds of picture use them."""

BUILTIN = PHOTOGRAPHS | {"logo": "logo.png", "motorcycle_right": "motorcycle_right.png"}
"""The colour pictures of scikit-image."""

STAND_INS = {
    name: Path(__file__).with_name("stand_ins") / f"{name}.webp"
    for name in (
        "starry_swirls", "water_lilies", "cubist_facets",
        "breaking_wave", "mosaic_peacock", "ink_mountains",
        "dotted_river", "stained_glass", "woodcut_fox",
    )
}  # fmt: skip
"""Paintings inside this package; scripts/paintings/ draws them."""


def builtin(name: str, *, key: str = "picture") -> Picture:
    """A picture that needs no download, by its name in BUILTIN or STAND_INS."""
    if name in STAND_INS:
        rgb = load_picture(STAND_INS[name], key=key).rgb
        return picture_from_array(name, rgb, source=f"nstrep/images/stand_ins/{name}.webp")
    if name not in BUILTIN:
        allowed = ", ".join([*BUILTIN, *STAND_INS])
        raise InputError(f"{key}={shown(name)}: no such built-in picture; allowed: {allowed}")
    picture = load_picture(builtin_file(name, key=key), key=key)
    return Picture(name, picture.rgb, picture.sha256, f"skimage.data.{name}")


def builtin_file(name: str, *, key: str = "picture") -> Path:
    """The file of a picture of BUILTIN. Raises InputError if scikit-image does not have it."""
    path = Path(importlib.util.find_spec("skimage").origin).with_name("data") / BUILTIN[name]
    if not path.is_file():
        raise InputError(
            f"{key}={name}: {shown(path)} is missing, install scikit-image's wheel from PyPI:"
            " pip install --force-reinstall scikit-image"
        )
    return path


def load_picture(
    path: str | os.PathLike[str], *, key: str = "picture", stream: BinaryIO | None = None
) -> Picture:
    """Read a picture file as sRGB in [0, 1]; or a seekable stream, whose name `path` is.

    Formats are JPEG, PNG, TIFF, WebP, BMP and GIF (the first frame) with up to 8 bits a sample,
    and PNG and TIFF with 16, of which the high byte is used. Not read are TIFF of floats, of 32
    bits, and of 16 bits in separate planes or as grey with alpha. AVIF needs Pillow 11.3, HEIC the
    extra ``heif``. Alpha is composited over white in the encoded values, as browsers do. EXIF
    orientation is applied. An embedded ICC profile is converted to sRGB by LittleCMS; a damaged one
    is ignored with a log warning. CMYK without a profile is converted naively. PNG gAMA and cHRM
    are ignored.

    MAX_PIXELS is checked against the header, before any pixel is decoded. Raises InputError: one
    line with `key=path`, what was found and what is allowed.
    """

    def read(stream: BinaryIO) -> Picture:
        rgb = decoding.decode(stream, shown(path))
        sha256 = sha256_of_stream(stream)  # not by path: the file may have been replaced
        return Picture(Path(path).stem, rgb, sha256, os.fspath(path))

    return _read_file(path, key, FORMATS, read, stream)


def read_png_text(path: str | os.PathLike[str], *, key: str = "picture") -> dict[str, str]:
    """The text chunks (tEXt, zTXt, iTXt) of a PNG, as {key: text}; empty if there are none.

    PIL limits the text to 1 MiB a chunk, 64 MiB in all. Raises InputError, and nothing else, for
    anything that is not a complete, single-frame PNG within these limits and MAX_PIXELS.
    """

    def read(stream: BinaryIO) -> dict[str, str]:
        with Image.open(stream, formats=["PNG"]) as image:
            check_size(*image.size)
            if getattr(image, "is_animated", False):
                raise Refused("found an animated PNG; allowed: a single picture")
            return {str(name): str(value) for name, value in image.text.items()}

    return _read_file(path, key, "PNG", read)


def _read_file(
    path: str | os.PathLike[str], key: str, formats: str, read: Callable[[BinaryIO], Result],
    stream: BinaryIO | None = None,
) -> Result:  # fmt: skip
    try:
        with warnings.catch_warnings(), stream or decoding.open_file(path, formats) as opened:
            warnings.simplefilter("ignore")  # of Pillow
            return read(opened)
    except Refused as error:
        message = str(error)
    except Image.DecompressionBombError as error:
        count = re.search(r"\d+(?= pixels)", str(error))[0]
        message = f"found {count} pixels; allowed: at most {MAX_PIXELS} pixels"
    except Image.UnidentifiedImageError:
        message = f"found no {formats} file; allowed: a complete {formats} file"
    except Exception as error:  # decoders raise almost anything for a damaged file
        log.debug("decoding failed", exc_info=True)
        found = f"found a damaged or unsupported file ({reason(error)})"
        message = f"{found}; allowed: a complete {formats} file"
    # Outside the handlers, so that it does not keep the decoder's traceback alive.
    raise InputError(f"{key}={shown(path)}: {message}")


def resized_size(
    height: int,
    width: int,
    long_edge: int,
    *,
    rounding: str = "nearest",
    side: int | None = None,
    key: str = "",
) -> tuple[int, int]:
    """(height, width) with `side`, by default the longer one, scaled to `long_edge` pixels.

    The aspect ratio is kept, and both are at least 1. Rounding is "nearest" (exact, halves up) or
    "truncate": int(length * (long_edge / side)) in floating point, as some programs do. Then the
    short edge, and now and then the long one, may be one pixel less.

    Raises InputError if the result has more than MAX_PIXELS, naming ``key``, the settings.
    """
    side = side or max(height, width)
    if rounding == "nearest":
        sides = [(2 * old * long_edge + side) // (2 * side) for old in (height, width)]
    else:
        sides = [int(old * (long_edge / side)) for old in (height, width)]
    new_height, new_width = (max(1, new) for new in sides)
    if new_height * new_width > MAX_PIXELS:
        raise InputError(
            f"{key or f'long_edge={long_edge}'}: comes to {new_width} x {new_height} pixels; "
            f"allowed: at most {MAX_PIXELS} pixels"
        )
    return new_height, new_width


def resize_long_edge(rgb: np.ndarray, long_edge: int, *, upscale: bool = True) -> np.ndarray:
    """`rgb01` (H, W, 3) with its longer side of `long_edge` pixels, by Lanczos.

    With upscale=False a picture that is smaller already keeps its size.
    """
    size = rgb.shape[:2]
    if upscale or max(size) > long_edge:
        size = resized_size(*size, long_edge)
    return resize_to(rgb, *size)


def resize_to(rgb: np.ndarray, height: int, width: int, *, method: str = "lanczos") -> np.ndarray:
    """`rgb01` (H, W, 3) resampled to (height, width, 3) float32, clipped to [0, 1]; a new array.

    The encoded sRGB values are resampled. "lanczos" (a = 3), "bicubic" and "bilinear" are PIL's,
    in float32; their filters widen when shrinking, so there is no aliasing. "skimage" is
    skimage.transform.resize with its defaults (linear, after a Gaussian when shrinking). The same
    size gives the same values.

    Raises InputError for a size below 1 x 1 or above MAX_PIXELS.
    """
    if height < 1 or width < 1 or height * width > MAX_PIXELS:
        raise InputError(f"size: found {width} x {height}; allowed: 1 x 1 to {MAX_PIXELS} pixels")
    rgb = np.asarray(rgb, dtype=np.float32)
    if rgb.shape[:2] == (height, width):
        return rgb.copy()
    if method == "skimage":
        from skimage.transform import resize  # imports scipy.ndimage, slowly

        return np.clip(resize(rgb, (height, width)), 0, 1).astype(np.float32)
    planes = [Image.fromarray(np.ascontiguousarray(rgb[..., channel])) for channel in range(3)]
    resampling = Image.Resampling[method.upper()]
    resized = [plane.resize((int(width), int(height)), resampling) for plane in planes]
    return np.clip(np.stack(resized, axis=-1), 0, 1)


def to_uint8(rgb01: np.ndarray) -> np.ndarray:
    """(H, W, C) floats as uint8: clipped to [0, 1], then floor(255 x + 0.5).

    So 0.5 gives 128, and n / 255 gives n back. Raises ValueError for NaN, which is no colour.
    """
    scaled = np.clip(np.asarray(rgb01), 0, 1) * 255 + 0.5
    if np.isnan(scaled).any():
        raise ValueError("the picture has NaN values")
    return np.floor(scaled).astype(np.uint8)


def save_png(
    path: str | os.PathLike[str], rgb: np.ndarray, text: Mapping[str, str] | None = None
) -> None:
    """Write an 8-bit RGB PNG, atomically: `rgb01` floats (by to_uint8) or uint8, (H, W, 3).

    The bytes are those of :func:`encode_png`. Raises ResultsError if it cannot be written.
    """
    data = encode_png(rgb, text)
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)


def encode_png(rgb: np.ndarray, text: Mapping[str, str] | None = None) -> bytes:
    """The bytes of an 8-bit RGB PNG: of `rgb01` floats (by to_uint8) or uint8, (H, W, 3).

    `text` is stored as compressed iTXt chunks in UTF-8, sorted by key, so that equal input gives
    equal bytes (with the same versions of PIL and zlib). Lone surrogates, from file names that
    are not UTF-8, are written as backslash escapes.

    Raises ValueError for NaN or a text that is longer than the 1 MiB that PIL reads back.
    """
    info = PngImagePlugin.PngInfo()
    for key, value in sorted((text or {}).items()):
        data = value.encode("utf-8", "backslashreplace")
        if len(data) > PngImagePlugin.MAX_TEXT_CHUNK:
            raise ValueError(f"PNG text {key!r} has {len(data)} bytes, more than 1 MiB")
        info.add_itxt(key, data, zip=True)
    pixels = rgb if rgb.dtype == np.uint8 else to_uint8(rgb)
    image = Image.fromarray(np.ascontiguousarray(pixels))
    stream = BytesIO()
    image.save(stream, format="PNG", pnginfo=info, compress_level=6)
    return stream.getvalue()
