"""Picture files to pixels, with Pillow: every format, colour model and orientation that is read.

:func:`nstrep.images.io.load_picture` is the caller; it puts the file's name before what is refused.
Samples of 16 bits are reduced to their high byte, as Pillow does for colour.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import stat
import warnings
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageCms, ImageOps, TiffImagePlugin

from nstrep.base.text import reason

log = logging.getLogger(__name__)

MAX_PIXELS = 100_000_000
"""Largest width x height that is read or made. As float32 RGB that is 1.2 GB."""

FORMATS = "JPEG, PNG, TIFF, WebP, BMP or GIF"
_PIL_FORMATS = ["JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF"]  # JPEG brings MPO, of many cameras


class Refused(Exception):
    """Why a file is refused: "found ...; allowed: ...", still without its name."""


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
    """Keep Pillow's warnings and log lines away: what matters is raised or logged here.

    Not caught: libtiff, in C, prints a line of its own about some damaged compressed TIFFs.
    """
    logger = logging.getLogger("PIL.TiffImagePlugin")
    before = logger.disabled
    logger.disabled = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = before


def decode(stream: BinaryIO, max_pixels: int, label: str) -> np.ndarray:
    """`rgb01` of an open file, upright, in sRGB and over white; `label` names it in the log."""
    head = stream.read(26)
    stream.seek(0)
    image = _open_image(stream, max_pixels)
    image.load()
    if image.format != "TIFF":  # turned by Pillow itself; older versions keep the tag
        try:
            ImageOps.exif_transpose(image, in_place=True)
        except Exception as error:  # Pillow raises almost anything for broken EXIF
            log.warning("%s: unreadable EXIF data are ignored (%s)", label, reason(error))
    image = _eight_bits(image, head)
    icc = image.info.get("icc_profile")
    grey = image.mode in ("1", "L", "LA", "La")
    alpha = None
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        image = image.convert("LA" if grey else "RGBA")
        alpha = image.getchannel("A")
    if image.mode == "CMYK" and icc:
        image = _converted(image, icc, label) or image.convert("RGB")
    else:
        image = image.convert("L" if grey else "RGB")
        image = _to_srgb(image, icc, label) if icc else image
    rgb = np.asarray(image.convert("RGB")).astype(np.float32)
    rgb /= np.float32(255)
    if alpha is not None:  # in place: these are the largest arrays of the program
        share = np.asarray(alpha).astype(np.float32)[..., None] / np.float32(255)
        rgb *= share
        rgb += 1 - share
    return np.clip(rgb, 0, 1, out=rgb)


def _open_image(stream: BinaryIO, max_pixels: int) -> Image.Image:
    """Pillow's picture, header only, of an allowed format, size and depth."""
    try:
        image = Image.open(stream, formats=_PIL_FORMATS)
    except Image.UnidentifiedImageError as error:
        stream.seek(0)
        start = stream.read(8)
        if start[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            raise Refused(
                "found a damaged TIFF, or one that is not read (float, 32 bits, or 16-bit grey "
                f"with alpha); allowed: a complete {FORMATS} file; convert it to an 8-bit PNG"
            ) from error
        raise Refused(
            f"found no picture that can be read (it starts with {start!r}); "
            f"allowed: a complete {FORMATS} file"
        ) from error
    check_size(*image.size, max_pixels)
    if image.format == "TIFF":
        bits = image.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, (1,))
        planar = image.tag_v2.get(TiffImagePlugin.PLANAR_CONFIGURATION, 1) == 2 and len(bits) > 1
        # Pillow would mix up planes of 16 bits, and take 12 bits for dark 16.
        if max(bits) > 8 and (set(bits) != {16} or planar or image.mode in ("I", "F")):
            planes = "separate planes of " if planar else ""
            kind = {"F": "float", "I": "signed or 32-bit"}.get(image.mode, f"{max(bits)}-bit")
            raise Refused(
                f"found a TIFF of {planes}{kind} samples; allowed: samples of up to 8, or of 16 "
                "bits, not in separate planes; convert it to an 8-bit PNG"
            )
    return image


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Refuse a picture without pixels, or with too many."""
    if width < 1 or height < 1:
        raise Refused(f"found a size of {width} x {height}; allowed: at least 1 x 1")
    if width * height > max_pixels:
        raise Refused(too_large(f"{width} x {height} = {width * height} pixels", max_pixels))


def _eight_bits(image: Image.Image, head: bytes) -> Image.Image:
    """A picture of 16 bits in 8, which Pillow leaves undone for grey and for a PNG's key colour."""
    deep_png = image.format == "PNG" and head[24] == 16  # the depth stands in the header chunk
    info = image.info
    if image.mode.startswith("I"):
        high = (np.asarray(image) >> 8).astype(np.uint8)
        tags = image.tag_v2 if image.format == "TIFF" else {}
        white_is_zero = tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0
        image = Image.fromarray(255 - high if white_is_zero else high)
        image.info = info
    elif deep_png and head[25] == 4:  # grey with alpha, which Pillow holds as RGBA
        image = image.convert("LA")
    if deep_png and "transparency" in info:
        key = info["transparency"]
        image.info["transparency"] = key >> 8 if isinstance(key, int) else (*(k >> 8 for k in key),)
    return image


def _to_srgb(image: Image.Image, icc: bytes, label: str) -> Image.Image:
    """Convert L or RGB from the profile; unchanged if that is sRGB itself, or is bad."""
    grey = image.mode == "L"
    steps = np.arange(256) if grey else np.round(np.arange(17) * (255 / 16))
    axes = np.meshgrid(*[steps] * (1 if grey else 3), indexing="ij")
    probe = np.stack(axes, axis=-1).reshape(1, -1, len(axes)).astype(np.uint8)
    after = _converted(Image.fromarray(probe[..., 0] if grey else probe), icc, label)
    # A profile that moves no colour by more than rounding is sRGB: the pixels stay exact.
    if after is None or np.abs(np.asarray(after).astype(int) - probe).max() <= 1:
        return image
    if grey:
        return Image.fromarray(np.asarray(after)[0][np.asarray(image)])
    return _converted(image, icc, label) or image


def _converted(image: Image.Image, icc: bytes, label: str) -> Image.Image | None:
    """L (a ramp), RGB or CMYK through its profile to 8-bit sRGB; None if the profile is bad."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        grey = image.mode == "L"
        if grey and profile.profile.xcolor_space.strip() == "RGB":
            image = image.convert("RGB")
        # LittleCMS tabulates grey coarsely, up to 5 levels off in the dark. Grey comes here only
        # as a ramp of 256 values, so every value can be computed in full.
        flags = ImageCms.Flags.NOOPTIMIZE if grey else ImageCms.Flags.NONE
        srgb = ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(image, profile, srgb, outputMode="RGB", flags=flags)
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
