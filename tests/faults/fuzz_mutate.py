"""Damages files: their bytes, and the contents of containers that have checksums.

A checksum reveals most damage before anything else is read. PNG chunks and zip members are
therefore also changed with correct checksums.
"""

from __future__ import annotations

import io
import random
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence

EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 40)
"""Numbers at which sizes and counts overflow."""

HEADER = 1024
"""Bytes at either end of a file, where headers and directories are."""

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"


def place(data: bytes, rng: random.Random) -> int:
    """A position, half of the time near an end of the file."""
    size = len(data)
    if rng.random() < 0.5:
        offset = rng.randrange(min(size, HEADER)) if size else 0
        return offset if rng.random() < 0.7 else max(0, size - 1 - offset)
    return rng.randrange(size) if size else 0


def flip(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        if changed:
            changed[place(data, rng)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def overwrite(data: bytes, rng: random.Random) -> bytes:
    """Write an extreme number, random bytes or, as after a power cut, zeros over a range."""
    code = rng.choice("BHIQ")
    value = rng.choice(EXTREMES) & (256 ** struct.calcsize(code) - 1)
    new = rng.choice((
        struct.pack(rng.choice("<>") + code, value),
        rng.randbytes(rng.choice((1, 4, 16, 256))),
        bytes(rng.choice((8, 512, 4096))),
    ))  # fmt: skip
    start = place(data, rng)
    return data[:start] + new[: max(8, len(data) - start)] + data[start + len(new) :]


def remove(data: bytes, rng: random.Random) -> bytes:
    start = place(data, rng)
    return data[:start] + data[start + rng.choice((1, 2, 7, 64, 1000)) :]


def repeat(data: bytes, rng: random.Random) -> bytes:
    """Repeat a range in its place, or at the end."""
    start, size = place(data, rng), rng.choice((1, 8, 100, 5000))
    part = data[start : start + size]
    return data + part if rng.random() < 0.5 else data[:start] + part + data[start:]


def truncate(data: bytes, rng: random.Random) -> bytes:
    return data[: place(data, rng)]


MUTATIONS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    flip, overwrite, overwrite, overwrite, remove, repeat, truncate,
)  # fmt: skip


def mutated(data: bytes, rng: random.Random, others: Sequence[bytes] = ()) -> bytes:
    """One to four changes, some with correct checksums or with the end of another file."""
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        if others and rng.random() < 0.05:
            other = rng.choice(others)
            data = data[: place(data, rng)] + other[place(other, rng) :]
        elif data.startswith(PNG_MAGIC) and rng.random() < 0.6:
            data = inside_png(data, rng)
        elif data.startswith(b"PK") and rng.random() < 0.6:
            data = inside_zip(data, rng)
        else:
            data = rng.choice(MUTATIONS)(data, rng)
    return data


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """Kind and content of the complete chunks of a PNG."""
    parts, start = [], len(PNG_MAGIC)
    while start + 12 <= len(data):
        (size,) = struct.unpack(">I", data[start : start + 4])
        if start + 12 + size > len(data):
            break
        parts.append((data[start + 4 : start + 8], data[start + 8 : start + 8 + size]))
        start += 12 + size
    return parts


def png_of(parts: Sequence[tuple[bytes, bytes]]) -> bytes:
    return PNG_MAGIC + b"".join(chunk(kind, data) for kind, data in parts)


def inside_png(data: bytes, rng: random.Random) -> bytes:
    """Change, copy or remove a chunk, with correct checksums."""
    parts = chunks(data)
    if not parts:
        return flip(data, rng)
    index = rng.randrange(len(parts))
    kind, content = parts[index]
    what = rng.random()
    if what < 0.6:
        if kind == b"IDAT" and rng.random() < 0.5:  # other pixels, well packed
            try:
                content = zlib.compress(rng.choice(MUTATIONS)(zlib.decompress(content), rng))
            except zlib.error:
                content = flip(content, rng)
        else:
            content = rng.choice(MUTATIONS)(content, rng)
        parts[index] = kind, content
    elif what < 0.8:
        parts.insert(rng.randrange(len(parts)), parts[index])
    else:
        del parts[index]
    return png_of(parts)


def inside_zip(data: bytes, rng: random.Random) -> bytes:
    """Change, rename or remove a member, with correct checksums."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {info.filename: archive.read(info) for info in archive.infolist()}
            packing = archive.infolist()[0].compress_type
    except Exception:  # a damaged archive raises almost anything
        return flip(data, rng)
    name = rng.choice(list(members))
    if rng.random() < 0.1:
        members[rng.choice(("../evil.npy", "data.pkl", "a" * 300, "é.npy"))] = members[name]
    elif rng.random() < 0.1:
        del members[name]
    else:
        members[name] = rng.choice(MUTATIONS)(members[name], rng)
    return zip_of(members, packing)


def zip_of(members: dict[str, bytes], packing: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", packing) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def zeros_npz(header: bytes, size: int, names: Sequence[str]) -> bytes:
    """A small .npz whose members are all a header and many zeros.

    A block of compressed zeros that refers to nothing before it can be repeated, which takes no
    time.
    """
    block = bytes(1 << 20)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(header) + packer.flush(zlib.Z_FULL_FLUSH)
    repeated = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    packed += repeated * (size >> 20)
    packed += packer.compress(bytes(size % (1 << 20))) + packer.flush()
    checksum = zlib.crc32(header)
    for _ in range(size >> 20):
        checksum = zlib.crc32(block, checksum)
    checksum = zlib.crc32(bytes(size % (1 << 20)), checksum)
    sizes = checksum, len(packed), len(header) + size
    body, directory = b"", b""
    for name in names:
        title = name.encode()
        common = struct.pack("<4H3L2H", 0, zipfile.ZIP_DEFLATED, 0, 33, *sizes, len(title), 0)
        directory += b"PK\1\2" + struct.pack("<2H", 20, 20) + common
        directory += struct.pack("<3H2L", 0, 0, 0, 0, len(body)) + title
        body += b"PK\3\4" + struct.pack("<H", 20) + common + title + packed
    count = len(names)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, len(directory), len(body), 0)
    return body + directory + end
