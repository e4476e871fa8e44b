"""Readers of the file formats in which networks are handed around.

A reader checks every size in a file against the file's own length, lists what the file holds
without loading it, and loads an array only when it is asked for. So a damaged or hostile file
costs no memory, runs nothing, and ends in a :class:`FormatError`. What the arrays mean is the
business of :mod:`nstrep.weights.layouts`.
"""

from __future__ import annotations

import io
import lzma
import math
import os
import stat
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from nstrep.files import reason

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
ZIP_MAGICS = (b"PK\x03\x04", b"PK\x05\x06")

MAX_NPY_HEADER_BYTES = 1_024  # NumPy writes 118 for an array of any shape met here

# What the standard library raises for damaged zip members, beside its own BadZipFile.
ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    LookupError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    ValueError,
    struct.error,
)


class FormatError(Exception):
    """A file is not what its reader can use. The message is the rest of a line about the file."""


@dataclass(frozen=True)
class Stored:
    """An array that lies in a file: its shape, its type, and how to load it."""

    shape: tuple[int, ...]
    dtype: str
    """NumPy's name of the type, or the file's own name of a type that NumPy does not have."""
    read: Callable[[], np.ndarray]


class Reader:
    """The bytes of an open file, never past its end and never more than it has."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.length = os.fstat(file.fileno()).st_size
        self.position = 0

    def skip(self, size: int) -> int:
        """Go ``size`` bytes on and return where they began."""
        if not 0 <= size <= self.length - self.position:
            raise FormatError(
                f"is damaged or cut short: {size} bytes are due at byte {self.position}, "
                f"it has {self.length}"
            )
        self.position += size
        return self.position - size

    def take(self, size: int) -> bytes:
        """Return the next ``size`` bytes."""
        start = self.skip(size)
        return self.at(start, size)

    def unpack(self, layout: str) -> tuple:
        """Return the next fields, little-endian, as :func:`struct.unpack` names them."""
        return struct.unpack("<" + layout, self.take(struct.calcsize("<" + layout)))

    def at(self, start: int, size: int) -> bytes:
        """Return ``size`` bytes from ``start``, which :meth:`skip` has checked."""
        self.file.seek(start)
        data = self.file.read(size)
        if len(data) != size:
            raise FormatError("became shorter while it was read")
        return data


@contextmanager
def open_arrays(path: Path) -> Iterator[Mapping[str, Stored]]:
    """List the arrays in a file, whose format is told from its first bytes, not from its name.

    Read: MXNet ``.params``, NumPy ``.npz``, PyTorch state dicts (both formats), HDF5.

    Raises:
        FormatError: the file is missing, empty, damaged, or of no format that is read here.
        OSError: the file cannot be read.

    """
    if not str(path) or not path.exists():
        raise FormatError("there is no such file")
    if path.is_dir():
        raise FormatError("is a folder, expected a weights file")
    if not stat.S_ISREG(path.stat().st_mode):
        # A pipe or a device would keep the reader waiting.
        raise FormatError("is not a regular file, expected a weights file")
    # Here and not above: these build on this module.
    from nstrep.weights import params, statedict

    with path.open("rb") as file:
        reader = Reader(file)
        head = reader.at(0, min(32, reader.length))
        if not head:
            raise FormatError("is empty, expected a weights file")
        if head.startswith(params.MAGIC):
            yield params.read_params(reader)
        elif head.startswith(statedict.LEGACY_MAGIC):
            yield statedict.read_legacy(reader)
        elif head.startswith(HDF5_MAGIC):
            with open_hdf5(path) as arrays:
                yield arrays
        elif head.startswith(ZIP_MAGICS):
            try:
                archive = zipfile.ZipFile(file)
            except ZIP_ERRORS as error:
                raise FormatError(f"is a damaged or cut zip archive ({reason(error)})") from None
            with archive:
                if any(Path(name).name == "data.pkl" for name in archive.namelist()):
                    yield statedict.read_zip(archive)
                else:
                    yield read_npz(archive)
        else:
            raise FormatError(
                f"is no weights file: it begins with {head[:12]!r}, expected an MXNet .params, "
                "NumPy .npz, PyTorch .pth or Keras .h5 file"
            )


# --- NumPy ---------------------------------------------------------------------------------------


def read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, size: int) -> bytes:
    """Return a zip member that must unpack to ``size`` bytes; its checksum is checked."""
    try:
        with archive.open(info) as member:
            # One byte more than is due: it would show a member that is too long, and only a read
            # up to the member's end compares the checksum.
            data = member.read(size + 1)
    except ZIP_ERRORS as error:
        raise FormatError(f"has a damaged member {info.filename!r} ({reason(error)})") from None
    if len(data) != size:
        raise FormatError(f"has a damaged member {info.filename!r}: it is not {size} bytes long")
    return data


def read_npz(archive: zipfile.ZipFile) -> dict[str, Stored]:
    """List a file of ``np.savez`` or ``np.savez_compressed``. Pickled objects are refused."""
    found = {}
    for info in archive.infolist():
        if info.filename.endswith(".npy"):
            found[info.filename.removesuffix(".npy")] = _npy_array(archive, info)
    if not found:
        names = ", ".join(repr(name) for name in archive.namelist()[:3])
        raise FormatError(f"is a zip archive of {names or 'nothing'}, expected .npy arrays")
    return found


def _npy_array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Stored:
    try:
        with archive.open(info) as member:
            prelude = member.read(10)
            if prelude[:8] != b"\x93NUMPY\x01\x00" or len(prelude) < 10:
                raise FormatError(f"has a member {info.filename!r} that is no NumPy 1.0 array")
            (length,) = struct.unpack("<H", prelude[8:])
            if length > MAX_NPY_HEADER_BYTES:
                raise FormatError(f"has a member {info.filename!r} with a header of {length} bytes")
            header = prelude[8:] + member.read(length)
    except ZIP_ERRORS as error:
        raise FormatError(f"has a damaged member {info.filename!r} ({reason(error)})") from None
    # NumPy takes the header through Python's tokenizer and parser: damage comes out as whatever
    # these ran into, or as their warnings.
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(io.BytesIO(header))
    except Exception:
        raise FormatError(f"has a damaged header in {info.filename!r}") from None
    start, size = 10 + length, math.prod(shape) * dtype.itemsize
    if dtype.hasobject:
        raise FormatError(f"holds Python objects in {info.filename!r}, expected floats")
    if min(shape, default=0) < 0 or info.file_size != start + size:
        raise FormatError(
            f"is damaged: {info.filename!r} has {info.file_size - start} bytes of data, "
            f"its shape {shape} and type {dtype} need {size}"
        )

    def read() -> np.ndarray:
        data = read_member(archive, info, start + size)
        return np.frombuffer(data, dtype, offset=start).reshape(
            shape, order="F" if fortran else "C"
        )

    return Stored(shape, dtype.name, read)


# --- HDF5 ----------------------------------------------------------------------------------------


@contextmanager
def open_hdf5(path: Path) -> Iterator[dict[str, Stored]]:
    """List the data sets of an HDF5 file by their full names, for example ``a/b/kernel:0``."""
    try:
        import h5py
    except ImportError:
        raise FormatError(
            "is a Keras .h5 file, which needs h5py: pip install nstrep[keras]"
        ) from None
    found: dict[str, Stored] = {}

    def visit(name: str | bytes, item: object) -> None:
        if isinstance(name, bytes):  # not UTF-8
            name = name.decode("utf-8", errors="replace")
        # An external or virtual data set would read another file.
        if isinstance(item, h5py.Dataset) and not (item.external or item.is_virtual):
            found[name] = Stored(item.shape or (), item.dtype.name, lambda: _hdf5_array(item))

    # HDF5 reports damage by whatever its depths ran into: OSError, RuntimeError, KeyError, ...
    try:
        file = h5py.File(path, "r", locking=False)
    except Exception as error:
        raise FormatError(f"is a damaged or cut HDF5 file ({reason(error)})") from None
    with file:
        try:
            file.visititems(visit)
        except Exception as error:
            raise FormatError(f"is a damaged HDF5 file ({reason(error)})") from None
        yield found


def _hdf5_array(dataset: object) -> np.ndarray:
    try:
        return np.asarray(dataset[()])
    except Exception as error:
        raise FormatError(f"has a damaged data set ({reason(error)})") from None
