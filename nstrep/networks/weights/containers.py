"""The file formats in which networks are published, told apart by their first bytes.

A reader checks every size in a file against the file's length, lists the arrays without loading
them, and loads an array only when asked. So a damaged or malicious file takes no memory, runs no
code, and ends in a :class:`FormatError`. What the arrays mean is decided in
:mod:`nstrep.networks.weights.layouts`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np

from nstrep.base import npz
from nstrep.base.npz import FormatError, Stored
from nstrep.networks.weights import params, pytorch


@contextmanager
def open_arrays(path: Path) -> Iterator[dict[str, Stored]]:
    """List the arrays in an MXNet ``.params``, NumPy ``.npz``, PyTorch or HDF5 file.

    Raises FormatError if it is missing, empty, damaged, or in another format, or OSError.
    """
    npz.check_file(path, "a weights file")
    with path.open("rb") as file:
        start = file.read(32)
    if not start:
        raise FormatError("is empty, expected a weights file")
    for magic, open_format in FORMATS.items():
        if start.startswith(magic):
            with open_format(path) as arrays:
                yield arrays
            return
    raise FormatError(
        f"is no weights file: it begins with {start[:12]!r}, expected an MXNet .params, "
        "NumPy .npz, PyTorch .pth or Keras .h5 file"
    )


@contextmanager
def _open_zip(path: Path) -> Iterator[dict[str, Stored]]:
    """PyTorch's zip format, or NumPy's."""
    with npz.open_zip(path) as archive:
        is_pytorch = any(Path(name).name == "data.pkl" for name in archive.namelist())
        yield pytorch.read_zip(archive) if is_pytorch else npz.read_npz(archive)


@contextmanager
def _open_hdf5(path: Path) -> Iterator[dict[str, Stored]]:
    """List the data sets of an HDF5 file by their full names, for example ``a/b/kernel:0``."""
    try:
        import h5py
    except ImportError:
        raise FormatError(
            "is a Keras .h5 file, which needs h5py: pip install nstrep[keras]"
        ) from None
    arrays: dict[str, Stored] = {}
    checked = npz.damage_as_format_error("is a damaged or cut HDF5 file", passed=())

    def add(name: str | bytes, item: object) -> None:
        if isinstance(name, bytes):  # not UTF-8
            name = name.decode("utf-8", errors="replace")
        # An external or virtual data set would read another file.
        if isinstance(item, h5py.Dataset) and not (item.external or item.is_virtual):
            read = checked(partial(np.asarray, item))
            arrays[name] = Stored(item.shape or (), item.dtype.name, read)

    file = checked(h5py.File)(path, "r", locking=False)
    with file:
        checked(file.visititems)(add)
        yield arrays


FORMATS = {
    params.MAGIC: params.open_params,
    pytorch.STREAM_MAGIC: pytorch.open_stream,
    b"\x89HDF\r\n\x1a\n": _open_hdf5,
    b"PK": _open_zip,
}
"""First bytes of a file to the function that lists its arrays."""
