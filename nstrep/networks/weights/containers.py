"""Readers of the file formats in which networks are handed around.

A reader checks every size in a file against the file's own length, lists what the file holds
without loading it, and loads an array only when it is asked for. So a damaged or hostile file
costs no memory, runs nothing, and ends in a :class:`FormatError`. What the arrays mean is the
business of :mod:`nstrep.networks.weights.layouts`.
"""

from __future__ import annotations

import os
import struct
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from nstrep.base.files import reason
from nstrep.base.npz import ZIP_ERRORS, FormatError, Stored, check_file, read_npz

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
ZIP_MAGICS = (b"PK\x03\x04", b"PK\x05\x06")


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
    check_file(path, "a weights file")
    # Here and not above: these build on this module.
    from nstrep.networks.weights import params, statedict

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
