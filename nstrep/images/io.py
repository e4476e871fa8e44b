"""Pictures in and out: files to sRGB arrays, resizing, and PNG with text. Nothing about networks.

Inside the program a picture is `rgb01`: an array (height, width, 3), float32, sRGB-encoded, in
[0, 1]. `rgb255` is the same times 255. Every problem with a file is one InputError line.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, PngImagePlugin

from nstrep.base.errors import InputError
from nstrep.base.files import atomic_write, sha256_of_stream
from nstrep.base.text import reason, shown
from nstrep.images import INTERPOLATIONS
from nstrep.images.decoding import (
    FORMATS,
    MAX_PIXELS,
    Refused,
    check_size,
    decode,
    open_file,
    quiet,
    to_uint8,
    too_large,
)

log = logging.getLogger(__name__)

# The colour pictures that ship inside the scikit-image wheel, by the name of the function in
# skimage.data. Read from the wheel: skimage.data itself may download.
BUILTIN = {
    "astronaut": "astronaut.png",
    "chelsea": "chelsea.png",
    "coffee": "coffee.png",
    "hubble_deep_field": "hubble_deep_field.jpg",
    "immunohistochemistry": "ihc.png",
    "logo": "logo.png",
    "motorcycle_left": "motorcycle_left.png",
    "motorcycle_right": "motorcycle_right.png",
    "retina": "retina.jpg",
    "rocket": "rocket.jpg",
}

PHOTOGRAPHS = (
    "astronaut", "chelsea", "coffee", "hubble_deep_field", "immunohistochemistry",
    "motorcycle_left", "retina", "rocket",
)  # fmt: skip
"""Photographs of BUILTIN with different subjects, for statistics over many kinds of picture."""

STAND_INS = {
    name: Path(__file__).with_name("stand_ins") / f"{name}.webp"
    for name in ("starry_swirls", "water_lilies", "cubist_facets")
}
"""Paintings inside this package; scripts/paintings/ draws them."""

"""How pictures can be resampled; see resize_to."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture and where it came from. Two pictures are the same if their `sha256` is.

    name: short name, for file names and tables. rgb: (H, W, 3) float32, sRGB in [0, 1],
    read-only. sha256: of the file's bytes; of shape and pixels for a stand-in painting and for one
    made in memory. source: the path as given, or what made it. stand_in_for: the picture it
    replaces, if any.
    """

    name: str
    rgb: np.ndarray
    sha256: str
    source: str
    stand_in_for: str | None = None

    def __post_init__(self) -> None:
        self.rgb.flags.writeable = False

    @property
    def height(self) -> int:
        """Rows of pixels."""
        return self.rgb.shape[0]

    @property
    def width(self) -> int:
        """Columns of pixels."""
        return self.rgb.shape[1]


def picture_from_array(
    name: str, rgb: np.ndarray, *, source: str = "memory", stand_in_for: str | None = None
) -> Picture:
    """A Picture from an array (H, W, 3), floats in [0, 1]; the array is copied.

    Raises InputError for another shape or type, or for values outside [0, 1].
    """
    rgb = np.asarray(rgb)
    if rgb.ndim != 3 or rgb.shape[2] != 3 or 0 in rgb.shape or rgb.dtype.kind != "f":
        found = f"{rgb.dtype} array of shape {rgb.shape}"
        raise InputError(f"picture {name}: found a {found}; allowed: floats (height, width, 3)")
    low, high = float(rgb.min()), float(rgb.max())
    if not (low >= 0.0 and high <= 1.0):  # so written that NaN fails too
        raise InputError(f"picture {name}: found values from {low:g} to {high:g}; allowed: 0 to 1")
    rgb = np.array(rgb, dtype=np.float32, order="C")
    digest = hashlib.sha256(f"rgb01 float32 {rgb.shape[0]}x{rgb.shape[1]}x3\n".encode())
    digest.update(np.ascontiguousarray(rgb, dtype="<f4").data)
    return Picture(name, rgb, digest.hexdigest(), source, stand_in_for)


def builtin(name: str, *, key: str = "picture") -> Picture:
    """A picture that needs no download: from scikit-image (BUILTIN), or one of STAND_INS.

    Raises InputError, listing the names, for an unknown one.
    """
    if name in STAND_INS:
        path = STAND_INS[name]
        rgb = load_picture(path, key=key).rgb
        return picture_from_array(name, rgb, source=f"nstrep/images/stand_ins/{path.name}")
    if name not in BUILTIN:
        allowed = ", ".join([*BUILTIN, *STAND_INS])
        raise InputError(f"{key}={shown(name)}: no such built-in picture; allowed: {allowed}")
    picture = load_picture(builtin_file(name, key=key), key=key)
    return Picture(name, picture.rgb, picture.sha256, f"skimage.data.{name}")


def builtin_file(name: str, *, key: str = "picture") -> Path:
    """The file inside scikit-image of a picture of BUILTIN.

    Raises InputError if scikit-image is not installed, or without its pictures.
    """
    spec = importlib.util.find_spec("skimage")
    folders = spec.submodule_search_locations if spec else None
    path = Path(*(folders or ["scikit-image"])[:1], "data", BUILTIN[name])
    if not path.is_file():
        raise InputError(
            f"{key}={name}: {shown(path)} is missing, install scikit-image's wheel from PyPI:"
            " pip install --force-reinstall scikit-image"
        )
    return path


def load_picture(
    path: str | os.PathLike[str], *, key: str = "picture", max_pixels: int = MAX_PIXELS
) -> Picture:
    """Read a picture file as sRGB in [0, 1].

    JPEG, PNG, TIFF, WebP, BMP, GIF (the first frame), with up to 8 bits a sample; PNG and TIFF
    with 16, of which the high byte is kept. Not read: TIFF of floats, of 32 bits, and of 16 bits
    in separate planes or as grey with alpha. Alpha is composited over white in the encoded
    values, as browsers do. EXIF orientation is obeyed. An embedded ICC profile is converted to
    sRGB by LittleCMS; a bad profile is ignored with a log warning. CMYK without a profile is
    converted naively. PNG gAMA and cHRM are ignored.

    `key` names the setting in messages. `max_pixels` is checked against the header, before any
    pixel is decoded; values above PIL's own error limit (2 x Image.MAX_IMAGE_PIXELS, 179 million
    unless changed) have no effect.

    Raises InputError: one line with `key=path`, what was found and what is allowed.
    """
    try:
        with quiet(), open_file(path) as stream:
            rgb = decode(stream, max_pixels, shown(path))
            sha256 = sha256_of_stream(stream)  # of what was decoded, should the file be replaced
        return Picture(Path(path).stem, rgb, sha256, os.fspath(path))
    except Refused as error:
        message = str(error)
    except Image.DecompressionBombError as error:
        count = re.search(r"(\d+) pixels", str(error))
        message = too_large(f"{count[1] if count else 'too many'} pixels", max_pixels)
    except Exception as error:  # decoders raise almost anything for a damaged file
        log.debug("decoding failed", exc_info=True)
        message = (
            f"found a damaged or unsupported file ({reason(error)}); "
            f"allowed: a complete {FORMATS} file"
        )
    # Outside the handlers, so that no decoder's traceback hangs on to it.
    raise InputError(f"{key}={shown(path)}: {message}")


def resized_size(
    height: int,
    width: int,
    long_edge: int,
    *,
    rounding: Literal["nearest", "truncate"] = "nearest",
    side: int | None = None,
) -> tuple[int, int]:
    """(height, width) for a long edge of `long_edge` pixels, aspect kept, each at least 1.

    "nearest" rounds exactly, halves up, so the long edge is as asked. "truncate" is
    int(side * (long_edge / longest)) in floating point, as some programs do: the short edge may
    be one less than nearest, and now and then the long edge too.

    `side`, the longer one if not given, is the length that becomes `long_edge` pixels.

    Raises InputError unless `long_edge` is a whole number of at least 1, or if the result has
    more than MAX_PIXELS.
    """
    if isinstance(long_edge, bool) or not isinstance(long_edge, (int, np.integer)) or long_edge < 1:
        raise InputError(f"long_edge={long_edge!r}: found no size; allowed: a whole number, 1 up")
    if rounding not in ("nearest", "truncate"):
        raise InputError(f"rounding={rounding!r}: unknown; allowed: nearest, truncate")
    side = side or max(height, width)
    if rounding == "nearest":
        sides = [(2 * old * int(long_edge) + side) // (2 * side) for old in (height, width)]
    else:
        factor = float(long_edge) / side
        sides = [int(old * factor) for old in (height, width)]
    new_height, new_width = (max(1, new) for new in sides)
    if new_height * new_width > MAX_PIXELS:
        raise InputError(
            f"long_edge={long_edge}: found {new_width} x {new_height} pixels; "
            f"allowed: at most {MAX_PIXELS} pixels"
        )
    return new_height, new_width


def resize_long_edge(
    rgb: np.ndarray,
    long_edge: int,
    *,
    upscale: bool = True,
    rounding: Literal["nearest", "truncate"] = "nearest",
    method: str = "lanczos",
) -> np.ndarray:
    """`rgb01` (H, W, 3) with its longer side of `long_edge` pixels; see resized_size, resize_to.

    With upscale=False a picture that is smaller already keeps its size.
    """
    height, width = rgb.shape[:2]
    size = resized_size(height, width, long_edge, rounding=rounding)
    if not upscale and max(height, width) <= long_edge:
        size = height, width
    return resize_to(rgb, *size, method=method)


def resize_to(rgb: np.ndarray, height: int, width: int, *, method: str = "lanczos") -> np.ndarray:
    """`rgb01` (H, W, 3) resampled to (height, width, 3) float32, clipped to [0, 1]; a new array.

    Resampling is done on the encoded sRGB values. "lanczos": PIL's Lanczos (a = 3, widened when
    shrinking, so without aliasing), in float32; "bicubic" and "bilinear" likewise.
    "skimage": skimage.transform.resize with its defaults (linear, after a Gaussian when
    shrinking). The same size gives the same values.

    Raises InputError for a size below 1 x 1 or above MAX_PIXELS, or for an unknown method.
    """
    if method not in INTERPOLATIONS:
        raise InputError(f"method={method!r}: unknown; allowed: {', '.join(INTERPOLATIONS)}")
    if height < 1 or width < 1 or height * width > MAX_PIXELS:
        raise InputError(f"size: found {width} x {height}; allowed: 1 x 1 to {MAX_PIXELS} pixels")
    rgb = np.asarray(rgb, dtype=np.float32)
    if rgb.shape[:2] == (height, width):
        return rgb.copy()
    if method == "skimage":
        from skimage.transform import resize  # imports scipy.ndimage, slowly

        return np.clip(resize(rgb, (height, width)), 0, 1).astype(np.float32)
    planes = [
        Image.fromarray(np.ascontiguousarray(rgb[..., channel])).resize(
            (int(width), int(height)), Image.Resampling[method.upper()]
        )
        for channel in range(3)
    ]
    return np.clip(np.stack([np.asarray(plane) for plane in planes], axis=-1), 0, 1)


def save_png(
    path: str | os.PathLike[str], rgb: np.ndarray, text: Mapping[str, str] | None = None
) -> None:
    """Write an 8-bit RGB PNG, atomically: `rgb01` floats (by to_uint8) or uint8, (H, W, 3).

    `text` is stored as compressed iTXt chunks in UTF-8, sorted by key, so that equal input gives
    equal bytes (with the same versions of PIL and zlib). Keys are 1 to 79 printable Latin-1
    characters; a value may have up to 1 MiB, which is what PIL reads back. Lone surrogates, as in
    file names that are not UTF-8, are written as backslash escapes.

    Raises ResultsError if it cannot be written, ValueError for a wrong array, key or value.
    """
    rgb = np.asarray(rgb)
    if rgb.ndim != 3 or rgb.shape[2] != 3 or 0 in rgb.shape:
        raise ValueError(f"found an array of shape {rgb.shape}, not (height, width, 3)")
    if rgb.dtype != np.uint8 and rgb.dtype.kind != "f":
        raise ValueError(f"found an array of {rgb.dtype}, not floats in [0, 1] or uint8")
    pixels = rgb if rgb.dtype == np.uint8 else to_uint8(rgb)
    info = PngImagePlugin.PngInfo()
    for key, value in sorted((text or {}).items()):
        if not re.fullmatch(r"[ -~\xa1-\xff]{1,79}", key) or key != key.strip() or "  " in key:
            raise ValueError(f"PNG text key {key!r} is not 1 to 79 printable Latin-1 characters")
        data = value.encode("utf-8", "backslashreplace")
        if len(data) > PngImagePlugin.MAX_TEXT_CHUNK:
            raise ValueError(f"PNG text {key!r} has {len(data)} bytes, more than 1 MiB")
        info.add_itxt(key, data, zip=True)
    image = Image.fromarray(np.ascontiguousarray(pixels))
    with atomic_write(path) as temporary:
        image.save(temporary, format="PNG", pnginfo=info, compress_level=6)


def read_png_text(path: str | os.PathLike[str], *, key: str = "picture") -> dict[str, str]:
    """The text chunks (tEXt, zTXt, iTXt) of a PNG, as {key: text}; empty if there are none.

    PIL bounds the text: 1 MiB a chunk, 64 MiB in all. Raises InputError, and nothing else, for
    anything that is not a complete, single-frame PNG within these bounds and MAX_PIXELS.
    """
    try:
        with quiet(), open_file(path) as stream, Image.open(stream, formats=["PNG"]) as image:
            check_size(*image.size, MAX_PIXELS)
            if getattr(image, "is_animated", False):
                raise Refused("found an animated PNG; allowed: a single picture")
            return {str(name): str(value) for name, value in image.text.items()}
    except Refused as error:
        message = str(error).replace(FORMATS, "PNG")
    except Image.UnidentifiedImageError:
        message = "found no PNG file; allowed: a complete PNG file"
    except Exception as error:
        message = f"found a damaged PNG file ({reason(error)}); allowed: a complete PNG file"
    raise InputError(f"{key}={shown(path)}: {message}")
