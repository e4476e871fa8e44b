"""Decoding of picture files with Pillow: formats, colour models, profiles and orientations.

:func:`nstrep.images.io.load_picture` is the public function; it adds the file's name to a refusal.
Samples of 16 bits are reduced to their high byte, as Pillow does for colour.
"""

from __future__ import annotations

import io
import logging
import os
import stat
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageCms, ImageOps, TiffImagePlugin

from nstrep.base.text import reason

log = logging.getLogger(__name__)
logging.getLogger("PIL.TiffImagePlugin").addFilter(lambda _record: False)  # lines about damage

MAX_PIXELS = 100_000_000  # width x height of a picture: as float32 RGB that is 1.2 GB

FORMATS = "JPEG, PNG, TIFF, WebP, BMP or GIF"
PILLOWS_FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF")  # JPEG includes cameras' MPO

HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
AVIF_BRANDS = {b"avif", b"avis"}

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".avif", ".heic")
"""Of the files of a folder that are read as pictures."""


class Refused(Exception):
    """A file cannot be used. The message is "found ...; allowed: ...", without the file's name."""


def check_size(width: int, height: int) -> None:
    """Refuse a picture without pixels, or with more than MAX_PIXELS."""
    if width < 1 or height < 1:
        raise Refused(f"found a size of {width} x {height}; allowed: at least 1 x 1")
    if width * height > MAX_PIXELS:
        size = f"{width} x {height} = {width * height}"
        raise Refused(f"found {size} pixels; allowed: at most {MAX_PIXELS} pixels")


def open_file(path: str | os.PathLike[str], formats: str) -> BinaryIO:
    """Open a regular, non-empty file; opening a pipe would block."""
    try:
        status = os.stat(path)
        kind = stat.S_IFMT(status.st_mode)
        if kind == stat.S_IFREG and status.st_size > 0:
            return open(path, "rb")
        names = {stat.S_IFREG: "an empty file", stat.S_IFDIR: "a folder"}
        found = names.get(kind, "a device, pipe or socket")
        raise Refused(f"found {found}; allowed: a {formats} file")
    except FileNotFoundError as error:
        raise Refused(f"found no such file; allowed: a {formats} file") from error
    except PermissionError as error:
        raise Refused("found a file without read permission; allowed: a readable file") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise Refused(f"cannot be opened ({reason(error)}); allowed: a readable file") from error


def decode(stream: BinaryIO, label: str) -> np.ndarray:
    """`rgb01` of an open file, upright, in sRGB and over white; log lines begin with `label`."""
    header = stream.read(26)
    stream.seek(0)
    return to_rgb01(_open_image(stream), label, header)


def to_rgb01(image: Image.Image, label: str, header: bytes = b"") -> np.ndarray:
    """`rgb01` of Pillow's image, as :func:`decode`; `header` begins its file, if it is a PNG."""
    image.load()
    if image.format != "TIFF":  # Pillow has rotated a TIFF; its older versions keep the tag
        try:
            ImageOps.exif_transpose(image, in_place=True)
        except Exception as error:  # Pillow raises almost anything for broken EXIF
            log.warning("%s: unreadable EXIF data are ignored (%s)", label, reason(error))
    image = _eight_bits(image, header)
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
    rgb /= np.float32(255)  # in place: these are the largest arrays of the program
    if alpha is not None:
        share = np.asarray(alpha).astype(np.float32)[..., None] / np.float32(255)
        rgb *= share
        rgb += 1 - share
    return np.clip(rgb, 0, 1, out=rgb)


def _open_image(stream: BinaryIO) -> Image.Image:
    """Pillow's picture, header only, of an allowed format, size and depth."""
    formats = [*PILLOWS_FORMATS, *_phone_formats(stream)]
    try:
        image = Image.open(stream, formats=formats)
    except Image.UnidentifiedImageError as error:
        stream.seek(0)
        start = stream.read(8)
        if start[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            raise Refused(
                "found a damaged TIFF, or one that is not read (float, 32 bits, or 16-bit grey "
                f"with alpha); allowed: a complete {FORMATS} file; convert it to an 8-bit PNG"
            ) from error
        if len(formats) > len(PILLOWS_FORMATS):
            raise Refused(f"found a damaged {formats[-1]} file; allowed: a complete one") from error
        raise Refused(
            f"found no picture that can be read (it starts with {start!r}); "
            f"allowed: a complete {FORMATS} file"
        ) from error
    check_size(*image.size)
    if image.format == "TIFF":
        bits = image.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, (1,))
        planar = image.tag_v2.get(TiffImagePlugin.PLANAR_CONFIGURATION, 1) == 2 and len(bits) > 1
        # Pillow would mix up planes of 16 bits, and read 12 bits as dark 16.
        if max(bits) > 8 and (set(bits) != {16} or planar or image.mode in ("I", "F")):
            planes = "separate planes of " if planar else ""
            kind = {"F": "float", "I": "signed or 32-bit"}.get(image.mode, f"{max(bits)}-bit")
            raise Refused(
                f"found a TIFF of {planes}{kind} samples; allowed: samples of up to 8, or of 16 "
                "bits, not in separate planes; convert it to an 8-bit PNG"
            )
    return image


def _phone_formats(stream: BinaryIO) -> tuple[str, ...]:
    """Pillow's format of an AVIF or HEIC file; none for other files. Refused if Pillow has it not.

    Both are containers whose first box names what is in them: its length, ftyp, brands.
    """
    start = stream.read(64)
    stream.seek(0)
    box = start[: int.from_bytes(start[:4], "big")] if start[4:8] == b"ftyp" else b""
    brands = {box[at : at + 4] for at in range(8, len(box), 4)}
    if brands & AVIF_BRANDS:
        try:
            from PIL import AvifImagePlugin

            if AvifImagePlugin.SUPPORTED:
                return ("AVIF",)
        except ImportError:
            pass
        raise Refused(
            f"found an AVIF picture, which needs Pillow 11.3 or later; allowed: {FORMATS}"
        )
    if brands & HEIC_BRANDS:
        try:
            import pillow_heif
        except ImportError:
            raise Refused(
                "found a HEIC picture, as phones make them: run  pip install 'nstrep[heif]'"
                f" or convert it to JPEG; allowed: {FORMATS}"
            ) from None
        pillow_heif.register_heif_opener()
        return ("HEIF",)
    return ()


def _eight_bits(image: Image.Image, header: bytes) -> Image.Image:
    """Reduce 16 bits to 8 where Pillow does not: in grey, and in the key colour of a PNG."""
    deep_png = image.format == "PNG" and header[24:25] == b"\x10"
    info = image.info
    if image.mode.startswith("I"):
        high = (np.asarray(image) >> 8).astype(np.uint8)
        tags = image.tag_v2 if image.format == "TIFF" else {}
        white_is_zero = tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0
        image = Image.fromarray(255 - high if white_is_zero else high)
        image.info = info
    elif deep_png and header[25] == 4:  # grey with alpha, which Pillow holds as RGBA
        image = image.convert("LA")
    if deep_png and "transparency" in info:
        key = info["transparency"]
        image.info["transparency"] = key >> 8 if isinstance(key, int) else (*(k >> 8 for k in key),)
    return image


def _to_srgb(image: Image.Image, icc: bytes, label: str) -> Image.Image:
    """Convert L or RGB from its profile; unchanged if that is sRGB or damaged."""
    grey = image.mode == "L"
    steps = np.arange(256) if grey else np.round(np.arange(17) * (255 / 16))
    axes = np.meshgrid(*[steps] * (1 if grey else 3), indexing="ij")
    probe = np.stack(axes, axis=-1).reshape(1, -1, len(axes)).astype(np.uint8)
    after = _converted(Image.fromarray(probe[..., 0] if grey else probe), icc, label)
    # A profile that changes no colour by more than rounding is sRGB: the pixels stay exact.
    if after is None or np.abs(np.asarray(after).astype(int) - probe).max() <= 1:
        return image
    if grey:
        return Image.fromarray(np.asarray(after)[0][np.asarray(image)])
    return _converted(image, icc, label) or image


def _converted(image: Image.Image, icc: bytes, label: str) -> Image.Image | None:
    """L (a ramp), RGB or CMYK through its profile to 8-bit sRGB; None if the profile is damaged."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        grey = image.mode == "L"
        if grey and profile.profile.xcolor_space.strip() == "RGB":
            image = image.convert("RGB")
        # LittleCMS tabulates grey coarsely, up to 5 levels off in the dark. NOOPTIMIZE computes
        # every value, which is fast for a ramp of 256.
        flags = ImageCms.Flags.NOOPTIMIZE if grey else ImageCms.Flags.NONE
        srgb = ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(image, profile, srgb, outputMode="RGB", flags=flags)
    except Exception as error:  # PyCMSError, but also OSError and ValueError for odd profiles
        log.warning("%s: the ICC profile is ignored (%s)", label, reason(error))
        return None
