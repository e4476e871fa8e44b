"""Picture files to pixels: every format, depth, colour model and orientation that is read.

:func:`nstrep.images.load_picture` is the way in; it puts the file's name before what is refused.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import stat
import sys
import warnings
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import tifffile
from PIL import Image, ImageCms

from nstrep.files import reason

log = logging.getLogger(__name__)

MAX_PIXELS = 100_000_000
"""Largest width x height that is read or made. As float32 RGB that is 1.2 GB."""

FORMATS = "JPEG, PNG, TIFF, WebP, BMP or GIF"
_PIL_FORMATS = ["JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF"]  # JPEG brings MPO, of many cameras
_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_ORIENTATION = 0x0112
_NO_OPTIMIZE = 0x0100  # cmsFLAGS_NOOPTIMIZE

# The colour pictures that ship inside the scikit-image wheel, by the name of the function in


class Refused(Exception):
    """Why a file is refused: "found ...; allowed: ...", still without its name."""


@dataclass
class Decoded:
    """Pixels as stored: `data` (H, W, 1 to 4) float32 in [0, 1], an even count has alpha last."""

    data: np.ndarray
    orientation: int = 1
    icc: bytes | None = None
    premultiplied: bool = False


def too_large(found: str, max_pixels: int) -> str:
    """Say that a picture of `found` pixels is more than `max_pixels`."""
    return f"found {found}; allowed: at most {max_pixels} pixels"


def open_file(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a regular, non-empty file; opening a pipe would wait for ever."""
    try:
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            raise Refused(f"found a folder; allowed: a {FORMATS} file")
        if not stat.S_ISREG(status.st_mode):
            raise Refused(f"found a device, pipe or socket; allowed: a {FORMATS} file")
        if status.st_size == 0:
            raise Refused(f"found an empty file; allowed: a {FORMATS} file")
        return open(path, "rb")
    except FileNotFoundError as error:
        raise Refused(f"found no such file; allowed: a {FORMATS} file") from error
    except PermissionError as error:
        raise Refused("found a file without read permission; allowed: a readable file") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise Refused(f"cannot be opened ({reason(error)}); allowed: a readable file") from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the libraries' warnings and log lines away: what matters is raised or logged here.

    Not caught: libtiff, in C, prints a line of its own about some damaged compressed TIFFs.
    """
    loggers = [logging.getLogger(name) for name in ("tifffile", "PIL.TiffImagePlugin")]
    before = [logger.disabled for logger in loggers]
    for logger in loggers:
        logger.disabled = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, disabled in zip(loggers, before, strict=True):
            logger.disabled = disabled


def decode(stream: BinaryIO, max_pixels: int, label: str) -> Decoded:
    """Pixels of an open file as stored; `label` names it in the log."""
    head = stream.read(26)
    stream.seek(0)
    if head[:4] in _TIFF_MAGIC:
        deep = _decode_deep_tiff(stream, max_pixels)
        if deep is not None:
            return deep
        stream.seek(0)
    image = _open_image(stream, max_pixels)
    # PIL keeps 8 bits of a 16-bit colour PNG; the depth stands in the header chunk, IHDR.
    deep_png = image.format == "PNG" and head[24] == 16
    data = _both_bytes(stream, image) if deep_png else _bands(image, label)
    if deep_png:
        data = _with_key_colour(data, image.info.get("transparency"))
    return Decoded(data, _orientation(image, label), image.info.get("icc_profile"))


def _open_image(stream: BinaryIO, max_pixels: int) -> Image.Image:
    """PIL's picture, header only, of an allowed format and size."""
    try:
        image = Image.open(stream, formats=_PIL_FORMATS)
    except Image.UnidentifiedImageError as error:
        stream.seek(0)
        start = stream.read(8)
        raise Refused(
            f"found no picture that can be read (it starts with {start!r}); "
            f"allowed: a complete {FORMATS} file"
        ) from error
    check_size(*image.size, max_pixels)
    return image


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Refuse a picture without pixels, or with too many."""
    if width < 1 or height < 1:
        raise Refused(f"found a size of {width} x {height}; allowed: at least 1 x 1")
    if width * height > max_pixels:
        raise Refused(too_large(f"{width} x {height} = {width * height} pixels", max_pixels))


def _orientation(image: Image.Image, label: str) -> int:
    """The EXIF orientation still to be applied to a picture that has been loaded."""
    if image.format == "TIFF":  # turned by PIL itself; older versions keep the tag all the same
        return 1
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception as error:  # PIL raises almost anything for broken EXIF
        log.warning("%s: unreadable EXIF data are ignored (%s)", label, reason(error))
        return 1


def _scaled(samples: np.ndarray) -> np.ndarray:
    """Unsigned integers of any width as float32 in [0, 1]."""
    data = samples.astype(np.float32)
    data /= np.float32(np.iinfo(samples.dtype).max)
    return data


def _bands(image: Image.Image, label: str) -> np.ndarray:
    """An 8-bit (or less) PIL picture as (H, W, 1 to 4): grey, grey+alpha, RGB or RGB+alpha."""
    image.load()
    grey = image.mode in ("1", "L")
    if image.mode == "CMYK":
        icc = image.info.pop("icc_profile", None)
        image = (_converted(image, icc, label) if icc else None) or image.convert("RGB")
    elif image.mode in ("PA", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
    elif image.mode in ("1", "La"):
        image = image.convert("L" if grey else "LA")
    elif image.mode not in ("L", "LA", "RGB", "RGBA"):  # P, RGBX, YCbCr, LAB
        image = image.convert("RGB")
    data = np.atleast_3d(np.asarray(image))
    return _scaled(data[..., 2:] if grey and data.shape[2] == 4 else data)


def _both_bytes(stream: BinaryIO, image: Image.Image) -> np.ndarray:
    """All 16 bits of a 16-bit PNG or TIFF, (H, W, 1 to 4) uint16.

    PIL holds colour in 8 bits: it reads the high byte of each sample ("RGB;16B": the file's
    order). Read again with the other byte order, the "high" byte is the low one. Grey with alpha
    has 4 bytes a pixel, so it is read as if it were 8-bit RGBA: both bytes of both samples.
    """
    if image.mode.startswith("I"):  # grey is held in 16 bits ("I" in older versions of PIL)
        return np.asarray(image).astype(np.uint16)[..., None]

    def read(swap: Mapping[str, str]) -> np.ndarray:
        stream.seek(0)
        again = Image.open(stream, formats=_PIL_FORMATS)
        tiles: list[Any] = []
        for codec, box, offset, args in again.tile:
            mode = args if isinstance(args, str) else args[0]
            base, _, order = mode.partition(";")
            mode = swap[mode] if mode in swap else f"{base};{swap[order]}"
            args = mode if isinstance(args, str) else (mode, *args[1:])
            tiles.append((codec, box, offset, args))
        if tiles and hasattr(again.tile[0], "_replace"):
            tiles = [type(again.tile[0])(*tile) for tile in tiles]
        again.tile = tiles
        again.load()
        return np.asarray(again)

    if image.tile[0][3] == "LA;16B":
        raw = read({"LA;16B": "RGBA"})
        return (raw[..., 0::2].astype(np.uint16) << 8) | raw[..., 1::2]
    low = {"16B": "16L", "16L": "16B", "16N": "16B" if sys.byteorder == "little" else "16L"}
    high = np.asarray(image).astype(np.uint16) << 8
    return high | read(low)


def _with_key_colour(samples: np.ndarray, key: Any) -> np.ndarray:
    """Scaled 16-bit PNG samples, with alpha if one colour is declared transparent (tRNS)."""
    data = _scaled(samples)
    if key is None:
        return data
    clear = (samples == np.asarray(key)).all(axis=2, keepdims=True)
    return np.concatenate([data, ~clear], axis=2, dtype=np.float32)


def _decode_deep_tiff(stream: BinaryIO, max_pixels: int) -> Decoded | None:
    """A TIFF of 16 or 32 bits a sample or float; None if PIL can read it (8 bits or less).

    PIL reads the high byte of 16-bit RGB only, mixes up separate planes, does not invert deep
    white-is-zero and refuses float RGB, so such files are read by tifffile, and by PIL where
    tifffile lacks the decompressor (LZW, PackBits).
    """
    with tifffile.TiffFile(stream) as tiff:
        page: Any = tiff.pages[0]
        check_size(page.imagewidth, page.imagelength, max_pixels)
        if page.bitspersample <= 8 and page.sampleformat in (1, 4):
            return None
        samples = page.samplesperpixel
        dtype = page.dtype
        photometric = int(page.photometric)  # 0: white is zero, 1: black is zero, 2: RGB
        known = dtype is not None and dtype.name in (
            "uint16",
            "uint32",
            "float16",
            "float32",
            "float64",
        )
        shape_known = samples in ((3, 4) if photometric == 2 else (1, 2)) and photometric <= 2
        if not known or not shape_known or page.imagedepth != 1:
            kind = "?" if dtype is None else dtype.name
            raise Refused(
                f"found a TIFF of {samples} x {kind} ({page.bitspersample} bits, photometric "
                f"{photometric}); allowed: grey or RGB of 1 to 8, 16 or 32 bits, or float"
            )
        planes = samples > 1 and int(page.planarconfig) == 2
        turned = False  # PIL turns a TIFF by its orientation while reading, tifffile does not
        if int(page.compression) in (1, 8, 32946):  # none, deflate and its old number
            _check_segments(stream, page)
            data = page.asarray(maxworkers=1)
            data = np.moveaxis(data, 0, -1) if planes else data
        elif planes or not (dtype.name == "uint16" or (dtype.name == "float32" and samples == 1)):
            raise Refused(
                f"found a {dtype.name} TIFF with compression {page.compression.name}; "
                "allowed: uncompressed or deflate"
            )
        else:
            stream.seek(0)
            image = _open_image(stream, max_pixels)
            data = np.asarray(image) if dtype.kind == "f" else _both_bytes(stream, image)
            turned = True
        orientation = 1 if turned else int(page.tags.valueof(_ORIENTATION, 1))
        icc = page.tags.valueof(34675)
        extra = tuple(int(value) for value in page.extrasamples)
    data = data.reshape(data.shape[0], data.shape[1], samples)
    data = data.astype(np.float32) if data.dtype.kind == "f" else _scaled(data)
    if not (np.min(data) >= -1e-3 and np.max(data) <= 1 + 1e-3):  # so written that NaN fails
        raise Refused(
            f"found float values from {np.min(data):g} to {np.max(data):g}; allowed: 0 to 1"
        )
    colours = samples - 1 if samples % 2 == 0 else samples
    if photometric == 0:
        data[..., 0] = 1 - data[..., 0]
    if extra[:1] == (0,):  # a fourth sample that is said to be no alpha
        data = data[..., :colours]
    return Decoded(data, orientation, icc, premultiplied=extra[:1] == (1,))


def _check_segments(stream: BinaryIO, page: Any) -> None:
    """Refuse a TIFF whose strips or tiles are cut off, or expand to more than they may.

    tifffile fills what is missing with zeros, and inflates without a limit.
    """
    row = page.samplesperpixel * page.dtype.itemsize
    total = page.imagewidth * page.imagelength * row
    limit = page.tilewidth * page.tilelength * row if page.is_tiled else total
    if not 0 < limit <= max(4 * total, 1 << 26):
        size = f"{page.tilewidth} x {page.tilelength}"
        raise Refused(f"found tiles of {size}; allowed: tiles no larger than the picture")
    end = stream.seek(0, os.SEEK_END)
    inflated = 0
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        if count == 0 or offset + count > end:
            raise Refused(f"found a truncated file; allowed: a complete {FORMATS} file")
        if int(page.compression) != 1:
            stream.seek(offset)
            count = len(zlib.decompressobj().decompress(stream.read(count), limit + 1))
            if count > limit:
                raise Refused("found compressed data larger than the picture; allowed: its size")
        inflated += count
    if inflated < total:
        raise Refused(f"found a truncated file; allowed: a complete {FORMATS} file")


def finish(decoded: Decoded, label: str) -> np.ndarray:
    """Profile, alpha over white, orientation: `rgb01`, C order."""
    data = decoded.data
    colours = 3 if data.shape[2] >= 3 else 1
    colour, alpha = data[..., :colours], data[..., colours:]
    if alpha.size and decoded.premultiplied:
        colour = np.divide(colour, alpha, out=np.zeros_like(colour), where=alpha > 0)
    if decoded.icc:
        colour = _to_srgb(colour, decoded.icc, label)
    if alpha.size:  # in place: these are the largest arrays of the program
        colour *= alpha
        colour += 1 - alpha
    rgb = np.repeat(colour, 3, axis=2) if colour.shape[2] == 1 else colour
    # EXIF orientation: how the stored rows and columns must be turned to be seen upright.
    turn = {
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
        8: lambda a: np.rot90(a, 1),
    }.get(decoded.orientation, lambda a: a)
    rgb = np.ascontiguousarray(turn(rgb), dtype=np.float32)
    return np.clip(rgb, 0, 1, out=rgb)


def _to_srgb(colour: np.ndarray, icc: bytes, label: str) -> np.ndarray:
    """Convert (H, W, 1 or 3) from the profile; unchanged if that is sRGB itself, or is bad."""
    grey = colour.shape[2] == 1
    steps = np.arange(256 if grey else 17) * (1 if grey else 255 / 16)
    axes = np.meshgrid(*[np.round(steps)] * colour.shape[2], indexing="ij")
    probe = np.stack(axes, axis=-1).reshape(1, -1, colour.shape[2]).astype(np.uint8)
    after = _converted(Image.fromarray(probe[..., 0] if grey else probe), icc, label)
    # A profile that moves no colour by more than rounding is sRGB: the pixels stay exact.
    if after is None or np.abs(np.asarray(after).astype(int) - probe).max() <= 1:
        return colour
    if grey:  # a curve, which keeps more than 8 bits
        curve = np.asarray(after)[0] / 255
        positions = colour[..., 0] * 255
        channels = [np.interp(positions, np.arange(256), curve[:, i]) for i in range(3)]
        return np.stack(channels, axis=-1).astype(np.float32)
    image = _converted(Image.fromarray(to_uint8(colour)), icc, label)
    return colour if image is None else _scaled(np.asarray(image))


def _converted(image: Image.Image, icc: bytes, label: str) -> Image.Image | None:
    """L (a ramp), RGB or CMYK through its profile to 8-bit sRGB; None if the profile is bad."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        grey = image.mode == "L"
        if grey and profile.profile.xcolor_space.strip() == "RGB":
            image = image.convert("RGB")
        # LittleCMS tabulates grey coarsely, up to 5 levels off in the dark. Grey comes here only
        # as a ramp of 256 values, so every value can be computed in full.
        flags = _NO_OPTIMIZE if grey else 0
        transform = ImageCms.buildTransform(
            profile, ImageCms.createProfile("sRGB"), image.mode, "RGB", flags=flags
        )
        return ImageCms.applyTransform(image, transform)
    except Exception as error:  # PyCMSError, but also OSError and ValueError for odd ones
        log.warning("%s: the ICC profile is ignored (%s)", label, reason(error))
        return None


def to_uint8(rgb01: np.ndarray) -> np.ndarray:
    """(H, W, C) floats as uint8: clipped to [0, 1], then floor(255 x + 0.5).

    So 0.5 gives 128, and n / 255 gives n back. Raises ValueError for NaN, which is no colour.
    """
    scaled = np.clip(np.asarray(rgb01), 0, 1) * 255 + 0.5
    if np.isnan(scaled).any():
        raise ValueError("the picture has NaN values")
    return np.floor(scaled).astype(np.uint8)
