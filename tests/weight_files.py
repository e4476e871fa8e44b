"""Writers of small network files in every layout, each from its format's description."""

from __future__ import annotations

import io
import struct
import zipfile

import numpy as np

from nstrep.networks.vgg import RGB_MEAN, Architecture
from nstrep.networks.weights.layouts import IMAGENET_MEAN, IMAGENET_STD

TINY = Architecture("tiny", depths=(2, 2, 4, 4, 1), widths=(4, 5, 6, 7, 7))


def draw(architecture: Architecture = TINY, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        name: rng.normal(0, 0.3, shape).astype(np.float32)
        for convolution in architecture.convolutions
        for name, shape in convolution.shapes.items()
    }


# --- MXNet -----------------------------------------------------------------------------------


def mxnet_array(array: np.ndarray, version: int) -> bytes:
    """Version 0 is MXNet's of 2015, 1 has 64-bit shapes, 2 storage types, 3 scalars."""
    flag = {"f4": 0, "f8": 1, "f2": 2, "i4": 4}[array.dtype.str[1:]]
    context = struct.pack("<iii", 1, 0, flag)
    if version == 0:
        head = struct.pack(f"<I{array.ndim}I", array.ndim, *array.shape)
    else:
        shape = struct.pack(f"<i{array.ndim}q", array.ndim, *array.shape)
        storage = struct.pack("<i", 0) if version >= 2 else b""
        head = struct.pack("<I", 0xF993FAC7 + version) + storage + shape
    return head + context + array.tobytes()


def mxnet_file(arrays: dict[str, np.ndarray], version: int = 2, prefix: str = "arg:") -> bytes:
    names = [(prefix + name).encode() for name in arrays]
    return (
        struct.pack("<QQQ", 0x112, 0, len(arrays))
        + b"".join(mxnet_array(array, version) for array in arrays.values())
        + struct.pack("<Q", len(names))
        + b"".join(struct.pack("<Q", len(name)) + name for name in names)
    )


# --- NumPy -----------------------------------------------------------------------------------


def npz_file(arrays: dict[str, np.ndarray], *, compressed: bool = False) -> bytes:
    stream = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(stream, **arrays)
    return stream.getvalue()


# --- PyTorch ---------------------------------------------------------------------------------


def torch_names(architecture: Architecture = TINY) -> dict[str, str]:
    """Canonical name to torchvision's: the index counts every layer of ``features``."""
    return {
        f"{layer}_{kind}": f"features.{index}.{kind}"
        for index, layer in enumerate(architecture.layers)
        if layer.startswith("conv")
        for kind in ("weight", "bias")
    }


def unfold(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The parameters of the same network over (RGB 0 to 1 - mean) / standard deviation."""
    arrays = dict(arrays)
    std, mean = np.array(IMAGENET_STD), np.array(IMAGENET_MEAN)
    weight = arrays["conv1_1_weight"].astype(np.float64)
    shift = (weight.sum((2, 3)) * (np.array(RGB_MEAN) - 255 * mean)).sum(1)
    arrays["conv1_1_bias"] = (arrays["conv1_1_bias"] - shift).astype(np.float32)
    arrays["conv1_1_weight"] = (weight * 255 * std[:, None, None]).astype(np.float32)
    return arrays


def _text(text: str) -> bytes:
    return b"X" + struct.pack("<I", len(text)) + text.encode()


def _int(number: int) -> bytes:
    return b"J" + struct.pack("<i", number)


def _tuple(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"


def _name(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


EMPTY_ORDERED_DICT = _name("collections", "OrderedDict") + b")R"


def _tensor(key: str, array: np.ndarray, kind: str, *, legacy: bool) -> bytes:
    strides = [step // array.itemsize for step in array.strides]
    view = [b"N"] if legacy else []
    storage = _tuple(
        _text("storage"),
        _name("torch", kind),
        _text(key),
        _text("cpu"),
        _int(array.size),
        *view,
    )
    shape = _tuple(*map(_int, array.shape))
    steps = _tuple(*map(_int, strides))
    hooks = [] if legacy else [b"\x89", EMPTY_ORDERED_DICT]
    function = _name("torch._utils", "_rebuild_tensor" if legacy else "_rebuild_tensor_v2")
    return function + _tuple(storage + b"Q", _int(0), shape, steps, *hooks) + b"R"


def torch_pickle(
    arrays: dict[str, np.ndarray], *, legacy: bool = False, kind: str = "FloatStorage"
) -> bytes:
    items = [
        _text(name) + _tensor(str(key), array, kind, legacy=legacy)
        for key, (name, array) in enumerate(arrays.items())
    ]
    metadata = b"}" + _text("_metadata") + EMPTY_ORDERED_DICT + b"sb"
    return b"\x80\x02" + EMPTY_ORDERED_DICT + b"(" + b"".join(items) + b"u" + metadata + b"."


def torch_zip(arrays: dict[str, np.ndarray], pickle: bytes | None = None) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("net/data.pkl", pickle or torch_pickle(arrays))
        archive.writestr("net/byteorder", "little")
        for key, array in enumerate(arrays.values()):
            archive.writestr(f"net/data/{key}", array.tobytes(order="A"))
        archive.writestr("net/version", "3\n")
    return stream.getvalue()


def torch_legacy(arrays: dict[str, np.ndarray], pickle: bytes | None = None) -> bytes:
    keys = [str(key) for key in range(len(arrays))]
    magic = b"\x80\x02\x8a\x0a" + (0x1950A86A20F9469CFC6C).to_bytes(10, "little") + b"."
    version = b"\x80\x02M" + struct.pack("<H", 1001) + b"."
    machine = b"\x80\x02}(" + _text("little_endian") + b"\x88" + b"u."
    order = b"\x80\x02](" + b"".join(map(_text, keys)) + b"e."
    storages = [
        struct.pack("<q", array.size) + array.tobytes(order="A") for array in arrays.values()
    ]
    state = pickle or torch_pickle(arrays, legacy=True)
    return magic + version + machine + state + order + b"".join(storages)


# --- Keras -----------------------------------------------------------------------------------


def keras_file(arrays: dict[str, np.ndarray], *, year: int) -> bytes:
    """``notop`` weights: kernels (height, width, in, out) over BGR minus its mean."""
    import h5py

    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        for name, array in arrays.items():
            block, index, kind = name[4], name[6], name[8:]
            layer = f"block{block}_conv{index}"
            if name == "conv1_1_weight":
                array = array[:, ::-1]
            values = array.transpose(2, 3, 1, 0) if kind == "weight" else array
            old = {"weight": "W", "bias": "b"}[kind]
            new = {"weight": "kernel", "bias": "bias"}[kind]
            path = f"{layer}/{layer}_{old}_1:0" if year == 2016 else f"{layer}/{layer}/{new}:0"
            file[path] = values
        file.create_group("block1_pool")
    return stream.getvalue()
