"""Every format and mode against values known here; every bad file by its one-line message."""

from __future__ import annotations

import hashlib
import io
import logging
import os
import struct
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, PngImagePlugin

from nstrep.base.errors import InputError, ResultsError
from nstrep.images import INTERPOLATIONS, decoding
from nstrep.images.io import (
    BUILTIN,
    Picture,
    builtin,
    load_picture,
    picture_from_array,
    read_png_text,
    resize_long_edge,
    resize_to,
    resized_size,
    save_png,
    to_uint8,
)

RNG = np.random.default_rng(5)
RGB8 = RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8)
GREY8 = np.ascontiguousarray(RGB8[..., 0])
RGBA8 = RNG.integers(0, 256, (5, 7, 4), dtype=np.uint8)
RGBA8[0, 0, 3], RGBA8[0, 1, 3] = 0, 255
DEEP = RNG.integers(0, 65536, (5, 7, 4)).astype(np.uint16)
DEEP[0, 0] = (0, 65535, 1, 65535)
HIGH = (DEEP >> 8).astype(np.uint8)  # what is kept of 16 bits
EXACT = 1e-6  # a few rounding steps of float32 near 1


def load(path, **options):
    """Load with the invariants that hold for every picture."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        picture = load_picture(path, **options)
    assert picture.rgb.dtype == np.float32
    assert picture.rgb.flags.c_contiguous
    assert not picture.rgb.flags.writeable
    assert picture.rgb.shape[2] == 3
    assert picture.rgb.min() >= 0
    assert picture.rgb.max() <= 1
    return picture


def check(path, expected, tolerance=EXACT):
    expected = np.asarray(expected, dtype=np.float64)
    if expected.ndim == 2:
        expected = np.repeat(expected[..., None], 3, axis=2)
    rgb = load(path).rgb
    assert rgb.shape == expected.shape
    np.testing.assert_allclose(rgb, expected, rtol=0, atol=tolerance)


def over_white(samples, scale):
    samples = np.asarray(samples, dtype=np.float64) / scale
    colour, alpha = samples[..., :-1], samples[..., -1:]
    rgb = colour * alpha + 1 - alpha
    return rgb[..., 0] if rgb.shape[2] == 1 else rgb


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(samples, colour_type, *, depth=16, extra=b"", size=None, adam7=False):
    """A PNG written by hand: PIL cannot write 16-bit colour."""
    height, width = samples.shape[:2]
    kind = ">u2" if depth == 16 else "u1"
    passes = [(0, 0, 1, 1)]
    if adam7:
        passes = [
            (0, 0, 8, 8),
            (0, 4, 8, 8),
            (4, 0, 8, 4),
            (0, 2, 4, 4),
            (2, 0, 4, 2),
            (0, 1, 2, 2),
            (1, 0, 2, 1),
        ]
    rows = [
        b"\0" + row.astype(kind).tobytes()
        for y, x, dy, dx in passes
        for row in samples[y::dy, x::dx]
        if row.size
    ]
    width, height = size or (width, height)
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, int(adam7))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + extra
        + chunk(b"IDAT", zlib.compress(b"".join(rows)))
        + chunk(b"IEND", b"")
    )


# ------------------------------------------------------------------------------ 8 bits and less


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        ("png", {}),
        ("tif", {}),
        ("tif", {"compression": "tiff_lzw"}),
        ("bmp", {}),
        ("webp", {"lossless": True}),
    ],
)
def test_rgb_is_exact(tmp_path, suffix, options):
    path = tmp_path / f"my picture.{suffix}"
    Image.fromarray(RGB8).save(path, **options)
    check(path, RGB8 / 255)
    picture = load(path)
    assert picture.name == "my picture"
    assert picture.source == str(path)
    assert picture.stand_in_for is None
    assert picture.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (picture.height, picture.width) == (5, 7)


def test_the_content_decides_not_the_suffix(tmp_path):
    Image.fromarray(RGB8).save(tmp_path / "a.jpg", format="PNG")
    check(tmp_path / "a.jpg", RGB8 / 255)


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp", "gif", "webp"])
def test_grey(tmp_path, suffix):
    Image.fromarray(GREY8).save(
        tmp_path / f"a.{suffix}", **({"lossless": True} if suffix == "webp" else {})
    )
    check(tmp_path / f"a.{suffix}", GREY8 / 255)


def test_jpeg_of_a_smooth_picture(tmp_path):
    y, x = np.mgrid[:64, :64] / 63
    smooth = to_uint8(np.stack([x, y, 0.5 * (x + y)], axis=-1))
    Image.fromarray(smooth).save(tmp_path / "a.jpg", quality=95, subsampling=0)
    check(tmp_path / "a.jpg", smooth / 255, 4 / 255)  # quality 95 quantises by a few levels
    Image.fromarray(smooth[..., 0]).save(tmp_path / "g.jpg", quality=95)
    check(tmp_path / "g.jpg", smooth[..., 0] / 255, 4 / 255)


@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
def test_alpha_is_composited_over_white(tmp_path, suffix):
    options = {"lossless": True, "exact": True} if suffix == "webp" else {}
    Image.fromarray(RGBA8).save(tmp_path / f"a.{suffix}", **options)
    check(tmp_path / f"a.{suffix}", over_white(RGBA8, 255))
    rgb = load(tmp_path / f"a.{suffix}").rgb
    assert (rgb[0, 0] == 1).all()
    assert (rgb[0, 1] == (RGBA8[0, 1, :3] / np.float32(255))).all()


def test_grey_with_alpha(tmp_path):
    Image.merge("LA", [Image.fromarray(np.ascontiguousarray(RGBA8[..., i])) for i in (0, 3)]).save(
        tmp_path / "a.png"
    )
    check(tmp_path / "a.png", over_white(RGBA8[..., [0, 3]], 255))


@pytest.mark.parametrize("suffix", ["png", "gif", "tif", "bmp"])
def test_palette(tmp_path, suffix):
    index = (np.arange(35).reshape(5, 7) % 16).astype(np.uint8)
    colours = RNG.integers(0, 256, (16, 3), dtype=np.uint8)
    image = Image.frombytes("P", (7, 5), index.tobytes())
    image.putpalette(colours.tobytes())
    image.save(tmp_path / f"a.{suffix}")
    check(tmp_path / f"a.{suffix}", colours[index] / 255)


@pytest.mark.parametrize(("suffix", "transparency"), [("png", 3), ("gif", 3), ("png", b"\x40\xff")])
def test_palette_with_transparency(tmp_path, suffix, transparency):
    index = (np.arange(35).reshape(5, 7) % 4).astype(np.uint8)
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 8, 7]], dtype=np.uint8)
    image = Image.frombytes("P", (7, 5), index.tobytes())
    image.putpalette(colours.tobytes())
    image.save(tmp_path / f"a.{suffix}", transparency=transparency)
    alpha = np.array([255, 255, 255, 0] if transparency == 3 else [0x40, 255, 255, 255])
    check(tmp_path / f"a.{suffix}", over_white(np.c_[colours, alpha][index], 255))


def test_one_transparent_colour_in_rgb_and_grey_png(tmp_path):
    Image.fromarray(RGB8).save(tmp_path / "a.png", transparency=tuple(map(int, RGB8[1, 2])))
    expected = RGB8 / 255
    expected[1, 2] = 1
    check(tmp_path / "a.png", expected)
    Image.fromarray(GREY8).save(tmp_path / "g.png", transparency=int(GREY8[1, 2]))
    check(tmp_path / "g.png", np.where(GREY8[1, 2] == GREY8, 1, GREY8 / 255))


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp", "gif"])
def test_one_bit(tmp_path, suffix):
    bits = GREY8 > 127
    Image.fromarray(np.where(bits, 255, 0).astype(np.uint8)).convert("1").save(
        tmp_path / f"a.{suffix}"
    )
    check(tmp_path / f"a.{suffix}", bits.astype(float))


def test_first_frame_of_a_gif(tmp_path):
    frames = [Image.new("P", (4, 3), value) for value in (0, 1)]
    for frame in frames:
        frame.putpalette([255, 0, 0, 0, 0, 255])
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    check(tmp_path / "a.gif", np.broadcast_to([1.0, 0, 0], (3, 4, 3)))


def test_first_picture_of_a_multi_picture_jpeg(tmp_path):
    one, two = (Image.new("RGB", (16, 16), colour) for colour in ("red", "blue"))
    one.save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[two])
    with Image.open(tmp_path / "a.jpg") as image:
        assert image.format == "MPO"
    check(tmp_path / "a.jpg", np.broadcast_to([1.0, 0, 0], (16, 16, 3)), 4 / 255)


@pytest.mark.parametrize(("suffix", "tolerance"), [("tif", 1 / 255), ("jpg", 4 / 255)])
def test_cmyk(tmp_path, suffix, tolerance):
    inks = [
        (0, 0, 0, 0),
        (255, 0, 0, 0),
        (0, 255, 0, 0),
        (0, 0, 255, 0),
        (0, 0, 0, 255),
        (40, 90, 10, 60),
    ]
    blocks = np.repeat(np.repeat(np.array([inks], dtype=np.uint8), 16, axis=0), 16, axis=1)
    Image.frombytes("CMYK", (96, 16), blocks.tobytes()).save(tmp_path / f"a.{suffix}")
    data = (tmp_path / f"a.{suffix}").read_bytes()
    assert suffix == "tif" or b"Adobe" in data  # so its inks are stored inverted
    part = blocks / 255.0
    check(tmp_path / f"a.{suffix}", (1 - part[..., :3]) * (1 - part[..., 3:]), tolerance)


def test_ycbcr_tiff(tmp_path):
    y, x = np.mgrid[:16, :16] / 15
    rgb = to_uint8(np.stack([x, y, x * y], axis=-1))
    # Compressed: uncompressed ones are beyond PIL before version 12 or so.
    Image.fromarray(rgb).convert("YCbCr").save(tmp_path / "a.tif", compression="tiff_lzw")
    # Rounded in YCbCr, where one level of Cb is 1.8 of blue, and again.
    check(tmp_path / "a.tif", rgb / 255, 3.01 / 255)


def test_white_is_zero_and_separate_planes_of_8_bits(tmp_path):
    tifffile.imwrite(tmp_path / "w.tif", GREY8, photometric="miniswhite")
    check(tmp_path / "w.tif", 1 - GREY8 / 255)
    tifffile.imwrite(
        tmp_path / "p.tif",
        np.moveaxis(RGB8, 2, 0).copy(),
        photometric="rgb",
        planarconfig="separate",
    )
    check(tmp_path / "p.tif", RGB8 / 255)


# ------------------------------------------------------------------------------------ deeper


@pytest.mark.parametrize("adam7", [False, True])
@pytest.mark.parametrize(
    ("colour_type", "bands"), [(0, [0]), (2, [0, 1, 2]), (4, [0, 3]), (6, [0, 1, 2, 3])]
)
def test_png_of_16_bits_keeps_the_high_bytes(tmp_path, colour_type, bands, adam7):
    (tmp_path / "a.png").write_bytes(png(DEEP[..., bands], colour_type, adam7=adam7))
    high = HIGH[..., bands]
    expected = over_white(high, 255) if len(bands) % 2 == 0 else high / 255
    check(tmp_path / "a.png", expected[..., 0] if len(bands) == 1 else expected)


def test_png_of_16_bits_written_by_pil(tmp_path):
    Image.fromarray(np.ascontiguousarray(DEEP[..., 0])).save(tmp_path / "a.png")
    check(tmp_path / "a.png", HIGH[..., 0] / 255)


def test_one_transparent_colour_of_16_bits_is_compared_by_its_high_bytes(tmp_path):
    samples = DEEP[..., :3] | 0x0800
    samples[1, 1] = (513, 513, 513)
    key = chunk(b"tRNS", struct.pack(">HHH", 513, 513, 513))
    (tmp_path / "a.png").write_bytes(png(samples, 2, extra=key))
    expected = (samples >> 8) / 255
    expected[1, 1] = 1
    check(tmp_path / "a.png", expected)
    key = chunk(b"tRNS", struct.pack(">H", 513))
    (tmp_path / "g.png").write_bytes(png(samples[..., :1], 0, extra=key))
    check(tmp_path / "g.png", expected[..., 0])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"byteorder": ">"},
        {"compression": "zlib"},
        {"compression": "zlib", "predictor": True},
        {"tile": (16, 16)},
        {"tile": (16, 16), "compression": "zlib"},
        {"rowsperstrip": 2},
        {"rowsperstrip": 2, "compression": "zlib"},
        {"bigtiff": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("bands", [1, 3, 4])
def test_tiff_of_16_bits(tmp_path, bands, options):
    samples = np.ascontiguousarray(DEEP[..., -bands:])
    extra = {"extrasamples": ["unassalpha"]} if bands == 4 else {}
    tifffile.imwrite(
        tmp_path / "a.tif",
        samples[..., 0] if bands == 1 else samples,
        photometric="rgb" if bands > 2 else "minisblack",
        **({"planarconfig": "contig"} if bands > 1 else {}),
        **extra,
        **options,
    )
    high = HIGH[..., -bands:]
    expected = over_white(high, 255) if bands == 4 else high / 255
    check(tmp_path / "a.tif", expected[..., 0] if bands == 1 else expected)


def patched(data, values):
    """A little-endian TIFF with some tags (of one number each) set to other values."""
    data = bytearray(data)
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        for code, value in values.items():
            tag = tiff.pages[0].tags[code]
            kind = {3: "<H", 4: "<I"}[int(tag.dtype)]
            struct.pack_into(kind, data, tag.valueoffset, value)
    return bytes(data)


def lzw(data):
    """TIFF LZW with a Clear code so often that every code has 9 bits."""
    codes = []
    for start in range(0, len(data), 200):
        codes += [256, *data[start : start + 200]]
    bits = "".join(f"{code:09b}" for code in [*codes, 257])
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def packbits(data):
    parts = [data[start : start + 128] for start in range(0, len(data), 128)]
    return b"".join(bytes([len(part) - 1]) + part for part in parts)


@pytest.mark.parametrize(("name", "encode"), [("lzw", lzw), ("packbits", packbits)])
@pytest.mark.parametrize("bands", [1, 3, 4])
@pytest.mark.parametrize("orientation", [1, 6])
def test_tiff_of_16_bits_in_other_compressions(tmp_path, name, encode, bands, orientation):
    samples = np.ascontiguousarray(DEEP[..., -bands:])
    shape = samples.shape if bands > 1 else samples.shape[:2]
    stream = io.BytesIO()
    tifffile.imwrite(
        stream,
        samples.reshape(shape),
        photometric="rgb" if bands > 2 else "minisblack",
        byteorder="<",
        extratags=[(274, 3, 1, orientation, True)],
        **({"extrasamples": ["unassalpha"]} if bands == 4 else {}),
    )
    packed = encode(samples.astype("<u2").tobytes())
    number = {"lzw": 5, "packbits": 32773}[name]
    data = stream.getvalue()
    data = patched(data, {259: number, 273: len(data), 279: len(packed)}) + packed
    (tmp_path / "a.tif").write_bytes(data)
    high = HIGH[..., -bands:]
    expected = over_white(high, 255) if bands == 4 else high / 255
    expected = expected[..., 0] if bands == 1 else expected
    check(tmp_path / "a.tif", np.rot90(expected, -1) if orientation == 6 else expected)


def test_deep_white_is_zero(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", DEEP[..., 0].copy(), photometric="miniswhite")
    check(tmp_path / "a.tif", 1 - HIGH[..., 0] / 255)


def test_premultiplied_alpha(tmp_path):
    colour, alpha = RGBA8[..., :3].astype(np.uint16), RGBA8[..., 3:].astype(np.uint16) | 128
    stored = np.dstack([colour * alpha // 255, alpha]).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="rgb", extrasamples=["assocalpha"])
    expected = over_white(np.dstack([colour, alpha]), 255)
    check(tmp_path / "a.tif", expected, 2 / 255)  # the colours are rounded twice


def test_a_fourth_sample_that_is_no_alpha(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", DEEP, photometric="rgb", extrasamples=["unspecified"])
    check(tmp_path / "a.tif", HIGH[..., :3] / 255)


def test_deep_cmyk(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", DEEP, photometric="separated")
    part = HIGH / 255
    check(tmp_path / "a.tif", (1 - part[..., :3]) * (1 - part[..., 3:]), 1 / 255)


# ------------------------------------------------------------------------- orientation, profile

ORIENTED = {  # EXIF: where the stored row 0 and column 0 are seen
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: np.transpose(a, (1, 0, 2)),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.fliplr(np.rot90(a, 1)),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    expected = ORIENTED[orientation](RGB8 / 255)
    Image.fromarray(RGB8).save(tmp_path / "a.png", exif=exif)
    check(tmp_path / "a.png", expected)
    Image.fromarray(RGB8).save(tmp_path / "a.webp", exif=exif, lossless=True)
    check(tmp_path / "a.webp", expected)
    Image.fromarray(RGB8).save(tmp_path / "a.tif", exif=exif)
    check(tmp_path / "a.tif", expected)
    tifffile.imwrite(
        tmp_path / "deep.tif",
        DEEP[..., :3].copy(),
        photometric="rgb",
        extratags=[(274, 3, 1, orientation, True)],
    )
    check(tmp_path / "deep.tif", ORIENTED[orientation](HIGH[..., :3] / 255))
    data = png(DEEP[..., :3], 2, extra=chunk(b"eXIf", exif.tobytes()[6:]))
    (tmp_path / "deep.png").write_bytes(data)
    check(tmp_path / "deep.png", ORIENTED[orientation](HIGH[..., :3] / 255))
    quarters = np.zeros((32, 48, 3), dtype=np.uint8)
    quarters[:16, :16], quarters[:16, 16:], quarters[16:, :16] = 255, (255, 0, 0), (0, 0, 255)
    Image.fromarray(quarters).save(tmp_path / "a.jpg", exif=exif, quality=95, subsampling=0)
    check(tmp_path / "a.jpg", ORIENTED[orientation](quarters / 255), 4 / 255)


def test_broken_exif_is_ignored(tmp_path, caplog):
    Image.fromarray(RGB8).save(tmp_path / "a.png", exif=b"Exif\0\0rubbish")
    check(tmp_path / "a.png", RGB8 / 255)
    assert f"{tmp_path}/a.png: unreadable EXIF data are ignored" in caplog.text
    Image.fromarray(RGB8).save(tmp_path / "b.png", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    check(tmp_path / "b.png", RGB8 / 255)


def profile(space, gamma):
    """A minimal ICC 2.1 profile, grey or RGB with the primaries of sRGB, of one power curve."""

    def xyz(*values):
        return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(v * 65536) for v in values))

    curve = b"curv\0\0\0\0" + struct.pack(">IHxx", 1, round(gamma * 256))
    tags = {
        b"wtpt": xyz(0.9642, 1, 0.8249),
        b"cprt": b"text\0\0\0\0none\0\0\0\0",
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", 2) + b"x\0" + bytes(78 + 4),
    }
    if space == "GRAY":
        tags[b"kTRC"] = curve
    else:
        tags |= {
            b"rXYZ": xyz(0.4360, 0.2225, 0.0139),
            b"gXYZ": xyz(0.3851, 0.7169, 0.0971),
            b"bXYZ": xyz(0.1431, 0.0606, 0.7141),
            b"rTRC": curve,
            b"gTRC": curve,
            b"bTRC": curve,
        }
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += name + struct.pack(">II", 132 + 12 * len(tags) + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    size = 128 + len(table) + len(body)
    head = struct.pack(
        ">I4sI4s4s4s12s4s4s",
        size,
        b"lcms",
        0x02100000,
        b"mntr",
        space.encode(),
        b"XYZ ",
        bytes([7, 208, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0]),
        b"acsp",
        b"APPL",
    )
    head = head + bytes(68 - len(head)) + struct.pack(">3i", 63190, 65536, 54061)
    return head + bytes(128 - len(head)) + table + body


def encoded(linear):
    """The sRGB transfer function, IEC 61966-2-1."""
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("gamma", [1.0, 1.8])
def test_profiles_are_converted(tmp_path, gamma):
    # 8-bit arithmetic in LittleCMS on both sides: one and a half levels.
    level = 1.5 / 255
    Image.fromarray(RGB8).save(tmp_path / "a.png", icc_profile=profile("RGB ", gamma))
    check(tmp_path / "a.png", encoded((RGB8 / 255) ** gamma), level)
    Image.fromarray(GREY8).save(tmp_path / "g.png", icc_profile=profile("GRAY", gamma))
    check(tmp_path / "g.png", encoded((GREY8 / 255) ** gamma), level)
    Image.fromarray(GREY8).save(tmp_path / "r.png", icc_profile=profile("RGB ", gamma))
    check(tmp_path / "r.png", encoded((GREY8 / 255) ** gamma), level)
    tifffile.imwrite(
        tmp_path / "d.tif",
        DEEP[..., 0].copy(),
        photometric="minisblack",
        iccprofile=profile("GRAY", gamma),
    )
    check(tmp_path / "d.tif", encoded((HIGH[..., 0] / 255) ** gamma), level)
    # The colour is converted, the alpha is not.
    Image.fromarray(RGBA8).save(tmp_path / "t.png", icc_profile=profile("RGB ", gamma))
    colour = encoded((RGBA8[..., :3] / 255) ** gamma) * 255
    check(tmp_path / "t.png", over_white(np.dstack([colour, RGBA8[..., 3]]), 255), level)


def test_a_deep_rgb_picture_with_a_profile(tmp_path):
    tifffile.imwrite(
        tmp_path / "d.tif", DEEP[..., :3].copy(), photometric="rgb", iccprofile=profile("RGB ", 1.8)
    )
    check(tmp_path / "d.tif", encoded((HIGH[..., :3] / 255) ** 1.8), 1.5 / 255)


def test_srgb_profile_changes_nothing(tmp_path):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(RGB8).save(tmp_path / "a.png", icc_profile=srgb)
    check(tmp_path / "a.png", RGB8 / 255)
    tifffile.imwrite(tmp_path / "d.tif", DEEP[..., :3].copy(), photometric="rgb", iccprofile=srgb)
    check(tmp_path / "d.tif", HIGH[..., :3] / 255)


@pytest.mark.parametrize("icc", [b"rubbish", profile("RGB ", 1.8)[:200], profile("GRAY", 1.0)])
def test_a_bad_profile_is_ignored_with_a_warning(tmp_path, caplog, icc):
    Image.fromarray(RGB8).save(tmp_path / "a.png", icc_profile=icc)
    with caplog.at_level(logging.WARNING):
        check(tmp_path / "a.png", RGB8 / 255)
    assert f"{tmp_path}/a.png: the ICC profile is ignored" in caplog.text


def test_a_cmyk_picture_with_a_bad_profile_is_still_read(tmp_path, caplog):
    Image.new("CMYK", (4, 4), (255, 0, 0, 0)).save(tmp_path / "a.tif", icc_profile=b"rubbish")
    check(tmp_path / "a.tif", np.broadcast_to([0.0, 1, 1], (4, 4, 3)))
    assert f"{tmp_path}/a.tif: the ICC profile is ignored" in caplog.text


# ------------------------------------------------------------------------------------ bad files


def refused(path, *words, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InputError) as caught:
            load_picture(path, key="style_image", **options)
    line = str(caught.value)
    assert line.isprintable()
    assert line.startswith("style_image=")
    assert "; allowed: " in line
    assert len(line) < 600
    for word in (os.path.basename(path), *words):
        assert word in line
    return line


def tiff_bytes(samples, **options):
    stream = io.BytesIO()
    tifffile.imwrite(stream, samples, **options)
    return stream.getvalue()


def pil_bytes(form, **options):
    stream = io.BytesIO()
    noise = np.random.default_rng(1).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(noise).save(stream, format=form, **options)
    return stream.getvalue()


def test_a_missing_file_a_folder_an_empty_file_and_a_pipe(tmp_path):
    refused(tmp_path / "no.png", "no such file")
    refused(tmp_path, "a folder")
    (tmp_path / "empty.png").touch()
    refused(tmp_path / "empty.png", "an empty file")
    os.mkfifo(tmp_path / "fifo.png")
    refused(tmp_path / "fifo.png", "device, pipe or socket")
    refused(tmp_path / ("n" * 300), "cannot be opened")
    (tmp_path / "loop").symlink_to("loop")
    refused(tmp_path / "loop", "cannot be opened")
    (tmp_path / "file").write_text("x")
    refused(tmp_path / "file" / "a.png", "cannot be opened")


def test_odd_paths_stay_one_line():
    for path in ("a\nb.png", "a\0b", "", os.fsdecode(b"\xff.png")):
        with pytest.raises(InputError) as caught:
            load_picture(path)
        assert str(caught.value).isprintable()


def test_a_file_without_read_permission(tmp_path):
    path = tmp_path / "secret.png"
    save_png(path, RGB8)
    path.chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)  # root may read everything
    try:
        refused(path, "permission")
    finally:
        os.seteuid(user)


def test_no_picture(tmp_path):
    for name, data in {
        "page.png": b"<html><body>404",
        "x.jpg": b"\n",
        "p.png": b"P5 1 1 255\n0",
        "magic.png": b"\x89PNG\r\n\x1a\n",
        "t.tif": b"II*\0",
    }.items():
        (tmp_path / name).write_bytes(data)
        refused(tmp_path / name, "JPEG, PNG, TIFF, WebP, BMP or GIF")
    assert "<html><b" in refused(tmp_path / "page.png")


@pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.png", pil_bytes("PNG")),
        ("a.jpg", pil_bytes("JPEG")),
        ("a.webp", pil_bytes("WEBP")),
        ("a.bmp", pil_bytes("BMP")),
        ("a.tif", pil_bytes("TIFF")),
        ("lzw.tif", pil_bytes("TIFF", compression="tiff_lzw")),
        ("a.gif", pil_bytes("GIF")),
        ("deep.png", png(DEEP[..., :3], 2)),
        ("deep.tif", tiff_bytes(DEEP[..., :3].copy(), photometric="rgb")),
        ("zip.tif", tiff_bytes(DEEP[..., :3].copy(), photometric="rgb", compression="zlib")),
    ],
)
def test_truncated_files(tmp_path, capfd, name, data, part):
    (tmp_path / name).write_bytes(data[: int(len(data) * part)])
    refused(tmp_path / name)
    printed = capfd.readouterr()
    assert printed == ("", "") or name in ("lzw.tif", "zip.tif")  # libtiff may print from C


def test_a_size_of_zero(tmp_path):
    (tmp_path / "a.png").write_bytes(png(RGB8, 2, depth=8, size=(0, 5)))
    refused(tmp_path / "a.png")
    bmp = bytearray(pil_bytes("BMP"))
    bmp[18:22] = bytes(4)
    (tmp_path / "a.bmp").write_bytes(bmp)
    refused(tmp_path / "a.bmp")
    tif = patched(tiff_bytes(DEEP[..., 0].copy(), byteorder="<"), {256: 0})
    (tmp_path / "a.tif").write_bytes(tif)
    refused(tmp_path / "a.tif")


@pytest.mark.parametrize(
    "size", [(10_001, 10_000), (12_000, 12_000), (60_000, 60_000), (2**31 - 1, 2**31 - 1)]
)
def test_a_decompression_bomb_is_refused_by_its_header(tmp_path, size, monkeypatch):
    (tmp_path / "bomb.png").write_bytes(png(RGB8, 2, depth=8, size=size))
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    line = refused(tmp_path / "bomb.png", "at most 100000000 pixels")
    assert str(size[0] * size[1]) in line


def test_a_deep_tiff_bomb_is_refused_by_its_header(tmp_path, monkeypatch):
    data = tiff_bytes(DEEP[..., 0].copy(), byteorder="<")
    (tmp_path / "bomb.tif").write_bytes(patched(data, {256: 12_000, 257: 12_000}))
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    refused(tmp_path / "bomb.tif", "144000000 pixels")
    (tmp_path / "bomb.tif").write_bytes(patched(data, {256: 60_000, 257: 60_000}))
    refused(tmp_path / "bomb.tif", "3600000000 pixels")


def test_the_limit_is_exact(tmp_path, monkeypatch):
    Image.fromarray(RGB8).save(tmp_path / "a.png")
    monkeypatch.setattr(decoding, "MAX_PIXELS", 34)
    refused(tmp_path / "a.png", "7 x 5 = 35 pixels", "at most 34 pixels")
    monkeypatch.setattr(decoding, "MAX_PIXELS", 35)
    assert load(tmp_path / "a.png").width == 7


def test_a_deflate_strip_smaller_than_the_picture(tmp_path):
    data = zlib.compress(bytes(2 * 5 * 7 - 1))
    tiff = tiff_bytes(DEEP[..., 0].copy(), byteorder="<")
    tiff = patched(tiff, {259: 8, 273: len(tiff), 279: len(data)}) + data
    (tmp_path / "a.tif").write_bytes(tiff)
    refused(tmp_path / "a.tif", "damaged")


FLOAT = RNG.random((5, 7, 3)).astype(np.float32)


@pytest.mark.parametrize(
    ("samples", "options", "word"),
    [
        (FLOAT[..., 0], {}, "float samples"),
        (FLOAT, {"photometric": "rgb"}, "float, 32 bits"),
        (FLOAT[..., 0].astype(np.float16), {}, "float, 32 bits"),
        (FLOAT[..., 0] + 1j, {}, "a damaged TIFF, or one that is not read"),
        (DEEP[..., 0].astype(np.uint32), {}, "32-bit samples"),
        (DEEP[..., 0].astype(np.int16), {}, "signed or 32-bit samples"),
        (DEEP[..., 0].astype(np.int32), {}, "signed or 32-bit samples"),
        (DEEP[..., :2], {"planarconfig": "contig"}, "16-bit grey with alpha"),
        (np.repeat(DEEP, 2, axis=2), {"planarconfig": "contig"}, "a damaged TIFF, or one that"),
        (
            np.moveaxis(DEEP[..., :3], 2, 0),
            {"photometric": "rgb", "planarconfig": "separate"},
            "separate planes of 16-bit samples",
        ),
        (
            np.moveaxis(DEEP[..., :3], 2, 0),
            {"photometric": "rgb", "planarconfig": "separate", "compression": "zlib"},
            "separate planes of 16-bit samples",
        ),
    ],
    ids=lambda value: "" if isinstance(value, (np.ndarray, dict)) else None,
)
def test_tiffs_that_are_not_read_are_to_be_converted(tmp_path, samples, options, word):
    options = {"photometric": "minisblack", **options}
    tifffile.imwrite(tmp_path / "a.tif", np.ascontiguousarray(samples), **options)
    refused(tmp_path / "a.tif", "TIFF", word, "; convert it to an 8-bit PNG")


def test_12_bits_are_not_taken_for_dark_16(tmp_path):
    data = tiff_bytes(DEEP[..., 0].copy(), byteorder="<")
    (tmp_path / "a.tif").write_bytes(patched(data, {258: 12}))
    refused(tmp_path / "a.tif", "12-bit samples")


SEEDS = [
    pil_bytes("PNG"),
    pil_bytes("JPEG"),
    png(DEEP[..., :3], 2),
    pil_bytes("GIF"),
    tiff_bytes(DEEP[..., :3].copy(), photometric="rgb", compression="zlib"),
    pil_bytes("TIFF", compression="tiff_lzw"),
    pil_bytes("WEBP"),
    pil_bytes("BMP"),
    b"",
]


@settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    seed=st.sampled_from(SEEDS),
    cut=st.floats(0, 1),
    tail=st.binary(max_size=40),
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=4),
    early=st.booleans(),
)
def test_damaged_bytes_give_a_picture_or_one_line(tmp_path, capfd, seed, cut, tail, flips, early):
    data = bytearray(seed if cut > 0.5 else seed[: int(2 * cut * len(seed))] + tail)
    for where, value in flips if data else []:
        data[int(where * (min(len(data), 200) if early else len(data)))] = value
    path = tmp_path / "fuzz"
    path.write_bytes(data)
    for read in (load, read_png_text):
        message = None
        try:
            read(path, key="content_image")
        except InputError as error:
            message = str(error)
        if message is not None:
            assert message.startswith(f"content_image={path}: ")
            assert message.isprintable()
    printed = capfd.readouterr()
    if data[:2] not in (b"II", b"MM"):  # libtiff prints from C, which cannot be kept away
        assert printed == ("", "")


# ---------------------------------------------------------------------------- made and built in


def test_picture_from_array():
    rgb = RGB8 / 255
    picture = picture_from_array("x", rgb, source="here")
    assert (picture.name, picture.source, picture.stand_in_for) == ("x", "here", None)
    np.testing.assert_array_equal(picture.rgb, rgb.astype(np.float32))
    rgb[0, 0] = 0.25  # a copy was taken
    assert picture.rgb[0, 0, 0] == np.float32(RGB8[0, 0, 0] / 255)
    again = picture_from_array("y", RGB8 / 255)
    assert again.sha256 == picture.sha256
    turned = picture_from_array("x", (RGB8 / 255).reshape(7, 5, 3))
    assert turned.sha256 != picture.sha256
    assert len(picture.sha256) == 64
    with pytest.raises(ValueError, match="read-only"):
        picture.rgb[0, 0] = 0


@pytest.mark.parametrize(
    "bad",
    [
        RGB8,
        RGB8[..., 0] / 255,
        np.zeros((0, 4, 3)),
        np.full((2, 2, 3), np.nan),
        np.full((2, 2, 3), 1.5),
        np.full((2, 2, 3), -0.1),
        np.zeros((2, 2, 4)),
    ],
    ids=["uint8", "two axes", "empty", "nan", "above", "below", "four channels"],
)
def test_picture_from_a_wrong_array(bad):
    with pytest.raises(InputError, match="picture x: found .*; allowed: "):
        picture_from_array("x", bad)


@pytest.mark.parametrize("name", BUILTIN)
def test_builtin_pictures_need_no_network(name, monkeypatch):
    import socket

    from skimage.data._registry import registry

    monkeypatch.setattr(socket, "socket", lambda *a, **k: pytest.fail("network"))
    picture = builtin(name)
    assert isinstance(picture, Picture)
    assert (picture.name, picture.source) == (name, f"skimage.data.{name}")
    assert picture.sha256 == registry[f"data/{BUILTIN[name]}"]
    assert min(picture.rgb.shape[:2]) >= 300
    assert np.ptp(picture.rgb, axis=2).max() > 0.1  # in colour


def test_unknown_builtin_lists_the_names():
    with pytest.raises(InputError) as caught:
        builtin("mona_lisa", key="content_image")
    assert str(caught.value).startswith("content_image=mona_lisa: no such built-in picture")
    assert "astronaut, chelsea, coffee" in str(caught.value)


# ------------------------------------------------------------------------------------------ size


@pytest.mark.parametrize(
    ("size", "edge", "nearest", "truncate"),
    [
        ((300, 451), 512, (341, 512), (340, 512)),  # 340.58
        ((451, 300), 512, (512, 341), (512, 340)),
        ((512, 512), 100, (100, 100), (100, 100)),
        ((1, 1000), 10, (1, 10), (1, 10)),  # 0.01, but at least 1
        ((3, 2), 3, (3, 2), (3, 2)),
        ((4, 2), 5, (5, 3), (5, 2)),  # 2.5: halves go up
    ],
)
def test_resized_size(size, edge, nearest, truncate):
    assert resized_size(*size, edge) == nearest
    assert resized_size(*size, edge, rounding="truncate") == truncate


def test_resized_size_of_another_side():
    assert resized_size(480, 641, 512, side=480) == (512, 684)
    assert resized_size(480, 641, 512, side=480, rounding="truncate") == (512, 683)


def test_resized_size_properties():
    for height, width, edge in RNG.integers(1, 2000, (500, 3)).tolist():
        new = resized_size(height, width, edge)
        assert max(new) == edge
        exact = [side * edge / max(height, width) for side in (height, width)]
        assert all(abs(a - max(b, 1)) <= 0.5 + 1e-9 for a, b in zip(new, exact, strict=True))
        cut = resized_size(height, width, edge, rounding="truncate")
        factor = float(edge) / max(height, width)
        assert cut == (max(1, int(height * factor)), max(1, int(width * factor)))


def test_sizes_that_are_refused():
    rgb = np.zeros((4, 4, 3), np.float32)
    with pytest.raises(InputError, match="long_edge=20000: comes to .*; allowed: "):
        resize_long_edge(rgb, 20_000)
    with pytest.raises(InputError, match="0 x 5"):
        resize_to(rgb, 5, 0)


@pytest.mark.parametrize("method", INTERPOLATIONS)
@pytest.mark.parametrize("size", [(3, 4), (11, 5), (50, 70)])
def test_resize_keeps_a_constant_and_the_range(method, size):
    flat = np.broadcast_to(np.float32([0.25, 0.5, 1.0]), (9, 13, 3))
    out = resize_to(flat, *size, method=method)
    assert out.shape == (*size, 3)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, np.broadcast_to(flat[0, 0], out.shape), atol=1e-6)
    checks = np.indices((9, 13)).sum(axis=0)[..., None] // 3 % 2 * np.ones(3)
    out = resize_to(checks, *size, method=method)  # Lanczos overshoots at the edges: clipped
    assert out.min() >= 0
    assert out.max() <= 1


@pytest.mark.parametrize("method", INTERPOLATIONS)
def test_shrinking_averages_area(method):
    # A smooth picture, shrunk 8 times, is close to the mean of each 8 x 8 block.
    y, x = np.mgrid[:96, :128]
    smooth = 0.5 + 0.4 * np.sin(x / 20) * np.cos(y / 15)
    rgb = np.stack([smooth, 1 - smooth, smooth**2], axis=-1)
    blocks = rgb.reshape(12, 8, 16, 8, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(
        resize_to(rgb, 12, 16, method=method)[2:-2, 2:-2], blocks[2:-2, 2:-2], atol=0.02
    )
    # And the finest checkerboard becomes flat grey: no aliasing.
    board = (np.indices((96, 128)).sum(axis=0) % 2)[..., None] * np.ones(3)
    np.testing.assert_allclose(resize_to(board, 12, 16, method=method), 0.5, atol=0.01)


def test_channels_and_axes_are_not_mixed():
    rgb = np.zeros((20, 30, 3), dtype=np.float32)
    rgb[:10, :, 0] = 1  # red above
    rgb[:, 20:, 2] = 1  # blue on the right
    out = resize_to(rgb, 40, 90)
    assert out[5, 45, 0] > 0.95
    assert out[35, 45, 0] < 0.05
    assert out[20, 85, 2] > 0.95
    assert out[20, 5, 2] < 0.05
    assert (out[..., 1] == 0).all()


def lanczos_matrix(old, new):
    """Resampling as a matrix, from the definition: sinc(x) sinc(x / 3), widened to shrink."""
    scale = max(old / new, 1)
    centres = (np.arange(new) + 0.5) * old / new - 0.5
    x = (np.arange(old)[None, :] - centres[:, None]) / scale
    weights = np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0)
    return weights / weights.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("size", [(40, 33), (9, 11), (9, 50)])
def test_lanczos_by_its_definition(size):
    rgb = RNG.uniform(0.35, 0.65, (24, 30, 3))  # so that nothing is clipped
    expected = np.einsum(
        "ih,hwc,jw->ijc", lanczos_matrix(24, size[0]), rgb, lanczos_matrix(30, size[1])
    )
    np.testing.assert_allclose(resize_to(rgb, *size), expected, atol=2e-6)


def test_lanczos_is_not_rounded_to_8_bits():
    ramp = np.linspace(0.5, 0.502, 64, dtype=np.float32)  # half a level of 255
    rgb = np.broadcast_to(ramp[None, :, None], (16, 64, 3))
    assert len(np.unique(resize_to(rgb, 8, 32))) >= 32


def test_the_same_size_gives_the_same_values():
    rgb = picture_from_array("x", RGB8 / 255).rgb
    for out in (
        resize_to(rgb, 5, 7),
        resize_long_edge(rgb, 7),
        resize_long_edge(rgb, 99, upscale=False),
    ):
        np.testing.assert_array_equal(out, rgb)
        assert out is not rgb
        assert out.flags.writeable
    assert resize_long_edge(rgb, 14).shape == (10, 14, 3)
    assert resize_long_edge(rgb, 4, upscale=False).shape == (3, 4, 3)


def test_skimage_method_is_skimage():
    from skimage.transform import resize

    rgb = (RGB8 / 255).astype(np.float32)
    np.testing.assert_allclose(
        resize_to(rgb, 2, 4, method="skimage"),
        resize(rgb, (2, 4)),
        atol=1e-7,
    )


# --------------------------------------------------------------------------------------- writing


def test_to_uint8():
    every = np.arange(256, dtype=np.uint8)
    for kind in (np.float32, np.float64):
        np.testing.assert_array_equal(to_uint8(every.astype(kind) / kind(255)), every)
    values = np.array([-1, 0, 0.49 / 255, 0.5 / 255, 0.5, 1, 2, np.inf])
    np.testing.assert_array_equal(to_uint8(values), [0, 0, 0, 1, 128, 255, 255, 255])
    with pytest.raises(ValueError, match="NaN"):
        to_uint8(np.array([0.5, np.nan]))


TEXT = {
    "nstrep": '{"style": "Хокусай 北斎 🌊", "lines": "a\\nb\nc"}',
    "Empty": "",
    "long": "wörd " * 100_000,
}


def test_png_with_text_round_trip(tmp_path):
    save_png(tmp_path / "a.png", RGB8 / 255, TEXT)
    check(tmp_path / "a.png", RGB8 / 255)
    assert read_png_text(tmp_path / "a.png") == TEXT
    assert all(type(value) is str for value in read_png_text(tmp_path / "a.png").values())
    assert (tmp_path / "a.png").stat().st_size < 10_000  # the text is compressed
    save_png(tmp_path / "b.png", RGB8, dict(reversed(TEXT.items())))
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    save_png(tmp_path / "c.png", RGB8)
    assert read_png_text(tmp_path / "c.png") == {}
    assert len(list(tmp_path.iterdir())) == 3


def test_png_text_of_other_programs(tmp_path):
    info = PngImagePlugin.PngInfo()
    info.add_text("Title", "plain é")
    info.add_text("Comment", "packed", zip=True)
    Image.fromarray(RGB8).save(tmp_path / "a.png", pnginfo=info)
    assert read_png_text(tmp_path / "a.png") == {"Title": "plain é", "Comment": "packed"}


def test_file_names_that_are_not_utf8_can_be_recorded(tmp_path):
    save_png(tmp_path / "a.png", RGB8, {"path": os.fsdecode(b"caf\xe9.png")})
    assert read_png_text(tmp_path / "a.png") == {"path": "caf\\udce9.png"}


@pytest.mark.parametrize(
    ("rgb", "text", "word"),
    [
        (RGB8, {"k": "x" * (2**20 + 1)}, "1 MiB"),
        (np.full((2, 2, 3), np.nan), None, "NaN"),
    ],
)
def test_save_png_refuses(tmp_path, rgb, text, word):
    with pytest.raises(ValueError, match=word):
        save_png(tmp_path / "a.png", rgb, text)
    assert list(tmp_path.iterdir()) == []


def test_save_png_of_the_largest_text(tmp_path):
    save_png(tmp_path / "a.png", RGB8, {"k": "x" * 2**20})
    assert len(read_png_text(tmp_path / "a.png")["k"]) == 2**20


def test_save_png_that_cannot_write(tmp_path, monkeypatch):
    with pytest.raises(ResultsError, match="none/a.png: cannot be written"):
        save_png(tmp_path / "none" / "a.png", RGB8)

    def full(path, data):
        path.write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ResultsError, match="No space left"):
        save_png(tmp_path / "a.png", RGB8)
    assert list(tmp_path.iterdir()) == []


def text_refused(path, word):
    with pytest.raises(InputError) as caught:
        read_png_text(path, key="picture_file")
    assert str(caught.value).startswith(f"picture_file={path}: ")
    assert str(caught.value).isprintable()
    assert word in str(caught.value)


def test_png_text_of_bad_files(tmp_path):
    text_refused(tmp_path / "no.png", "no such file")
    text_refused(tmp_path, "folder")
    path = tmp_path / "a.png"
    path.write_bytes(pil_bytes("JPEG"))
    text_refused(path, "no PNG")
    path.write_bytes(pil_bytes("PNG")[:-1000])
    text_refused(path, "damaged")
    path.write_bytes(png(RGB8, 2, depth=8, size=(60_000, 60_000)))
    text_refused(path, "pixels")
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    text_refused(path, "animated")


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt"])
def test_png_text_bombs(tmp_path, kind):
    head = b"k\0\0" if kind == b"zTXt" else b"k\0\1\0\0\0"
    bomb = chunk(kind, head + zlib.compress(bytes(50_000_000)))
    (tmp_path / "one.png").write_bytes(png(RGB8, 2, depth=8, extra=bomb))
    text_refused(tmp_path / "one.png", "damaged")
    refused(tmp_path / "one.png")
    many = chunk(kind, head + zlib.compress(b"x" * 1_000_000)) * 70
    (tmp_path / "many.png").write_bytes(png(RGB8, 2, depth=8, extra=many))
    text_refused(tmp_path / "many.png", "damaged")


def test_avif_is_read_upright(tmp_path):
    avif = pytest.importorskip("PIL.AvifImagePlugin")
    if not avif.SUPPORTED:
        pytest.skip("this Pillow is built without AVIF")
    colours = Image.effect_mandelbrot((60, 40), (-2, -1, 1, 1), 50).convert("RGB")
    turned = Image.Exif()
    turned[0x112] = 6  # orientation: rotated by 90 degrees
    colours.save(tmp_path / "a.avif", exif=turned, quality=95)
    rgb = load_picture(tmp_path / "a.avif").rgb
    expected = np.asarray(colours.rotate(-90, expand=True)) / 255
    assert rgb.shape == (60, 40, 3)
    assert np.abs(rgb - expected).mean() < 0.01


def test_heic_is_read_with_the_extra(tmp_path):
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    colours = Image.effect_mandelbrot((60, 40), (-2, -1, 1, 1), 50).convert("RGB")
    colours.save(tmp_path / "a.heic", quality=95)
    rgb = load_picture(tmp_path / "a.heic").rgb
    assert np.abs(rgb - np.asarray(colours) / 255).mean() < 0.01


@pytest.mark.parametrize(
    ("brand", "module", "found"),
    [
        (b"heic", "pillow_heif", "found a HEIC picture.*pip install 'nstrep.heif.'"),
        (b"avif", "PIL.AvifImagePlugin", "found an AVIF picture, which needs Pillow 11.3"),
    ],
)
def test_formats_that_are_not_installed_are_named(tmp_path, monkeypatch, brand, module, found):
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delattr("PIL.AvifImagePlugin", raising=False)
    (tmp_path / "a").write_bytes(b"\0\0\0\x18ftypmif1\0\0\0\0" + brand + b"mif1" + bytes(100))
    with pytest.raises(InputError, match=found):
        load_picture(tmp_path / "a")


def test_a_damaged_avif_is_named(tmp_path):
    if not pytest.importorskip("PIL.AvifImagePlugin").SUPPORTED:
        pytest.skip("this Pillow is built without AVIF")
    (tmp_path / "a").write_bytes(b"\0\0\0\x18ftypavif\0\0\0\0avifmif1" + bytes(100))
    with pytest.raises(InputError, match="found a damaged AVIF file"):
        load_picture(tmp_path / "a")
