"""PyTorch state dicts, read without PyTorch and without running anything that the file says.

A ``.pth`` file holds a pickle that names tensors, and the numbers of these tensors, either in a
zip archive or one after the other.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import PurePosixPath

import numpy as np

from nstrep.base.npz import FormatError, Stored, read_member
from nstrep.networks.weights.containers import Reader
from nstrep.networks.weights.statepickle import Storage, Tensor, unpickle

LEGACY_MAGIC = b"\x80\x02\x8a\x0a" + (0x1950A86A20F9469CFC6C).to_bytes(10, "little") + b"."
MAX_PICKLE_BYTES = 1 << 20  # VGG-19's is 4 KB


def read_zip(archive: zipfile.ZipFile) -> dict[str, Stored]:
    """List the tensors of a state dict in the zip format (PyTorch 1.6 on)."""
    members = {info.filename: info for info in archive.infolist()}
    name = next(name for name in members if PurePosixPath(name).name == "data.pkl")
    folder = name.removesuffix("data.pkl")
    order = members.get(f"{folder}byteorder")
    if order is not None and read_member(archive, order, len(b"little")) != b"little":
        raise FormatError("is a big-endian state dict, expected little-endian")
    info = members[name]
    if info.file_size > MAX_PICKLE_BYTES:
        raise FormatError(f"is no state dict: its data.pkl has {info.file_size} bytes")
    root = unpickle(io.BytesIO(read_member(archive, info, info.file_size)))

    def load(storage: Storage) -> bytes:
        info = members.get(f"{folder}data/{storage.key}")
        size = storage.count * storage.dtype.itemsize
        if info is None or info.file_size != size or info.compress_type != zipfile.ZIP_STORED:
            raise FormatError(f"is damaged: no storage {storage.key!r} of {size} bytes")
        return read_member(archive, info, size)

    return _arrays(root, load)


def read_legacy(reader: Reader) -> dict[str, Stored]:
    """List the tensors of a state dict in the stream format (before PyTorch 1.6)."""
    # Five pickles, then the storages: magic number, version, machine, state dict, storage keys.
    head = io.BytesIO(reader.at(0, min(reader.length, MAX_PICKLE_BYTES)))
    _magic, version, machine = (unpickle(head) for _ in range(3))
    if version != 1001 or not isinstance(machine, dict) or not machine.get("little_endian"):
        raise FormatError("is no PyTorch file of version 1001, little-endian")
    storages: dict[str, Storage] = {}
    root = unpickle(head, storages)
    keys = unpickle(head)
    listed = isinstance(keys, list) and all(isinstance(key, str) for key in keys)
    if not listed or sorted(keys) != sorted(storages):
        raise FormatError("is damaged: its list of storages does not match its tensors")
    reader.skip(head.tell())
    starts = {}
    for key in keys:
        (count,) = reader.unpack("q")
        if count != storages[key].count:
            raise FormatError(
                f"is damaged: a storage of {count} numbers, {storages[key].count} are due"
            )
        starts[key] = reader.skip(count * storages[key].dtype.itemsize)

    def load(storage: Storage) -> bytes:
        return reader.at(starts[storage.key], storage.count * storage.dtype.itemsize)

    return _arrays(root, load)


def _arrays(root: object, load: Callable[[Storage], bytes]) -> dict[str, Stored]:
    if isinstance(root, dict) and isinstance(root.get("state_dict"), dict):
        root = root["state_dict"]  # a training checkpoint
    if not isinstance(root, dict):
        raise FormatError(f"is no state dict: it holds a {type(root).__name__}")
    found = {}
    for name, tensor in root.items():
        if isinstance(name, str) and isinstance(tensor, Tensor):
            found[name] = Stored(
                tensor.shape,
                "bfloat16" if tensor.storage.dtype.kind == "V" else tensor.storage.dtype.name,
                lambda tensor=tensor: _view(tensor, load(tensor.storage)),
            )
    if not found:
        raise FormatError("is a PyTorch file without tensors, expected a state dict")
    return found


def _view(tensor: Tensor, data: bytes) -> np.ndarray:
    flat = np.frombuffer(data, tensor.storage.dtype)[tensor.offset :]
    strides = [stride * flat.itemsize for stride in tensor.strides]
    return np.lib.stride_tricks.as_strided(flat, tensor.shape, strides, writeable=False)
