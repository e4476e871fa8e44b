from __future__ import annotations

import io
import json
import os
import struct
import sys
import tracemalloc
import zipfile

import mxnet as mx
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from nstrep.base.errors import InputError
from nstrep.base.files import sha256_of
from nstrep.base.npz import FormatError
from nstrep.networks import vgg
from nstrep.networks.vgg import ARCHITECTURES, RGB_MEAN, Architecture
from nstrep.networks.weights import (
    NETWORKS,
    Weights,
    calibration,
    load_weights,
    normalized,
    random_weights,
)
from nstrep.networks.weights.layouts import IMAGENET_MEAN, IMAGENET_STD
from nstrep.networks.weights.pytorch import unpickle
from tests.weight_files import (
    TINY,
    draw,
    keras_file,
    mxnet_file,
    npz_file,
    torch_legacy,
    torch_names,
    torch_pickle,
    torch_zip,
    unfold,
)

ARRAYS = draw()
TORCH_ARRAYS = {torch_names()[name]: array for name, array in unfold(ARRAYS).items()}


def features(arrays, architecture, image, layers):
    """Layer name to features (1, channels, h, w) of a ``vgg_input`` image."""
    tapped = vgg.taps(architecture, layers, mx.sym.Variable("image"))
    group = mx.sym.Group(list(tapped.values()))
    known = {"image": image, **arrays}
    values = {name: mx.nd.array(known[name]) for name in group.list_arguments()}
    # Bound with a gradient: without one MXNet 1.9.1 fuses each convolution with its rectifier, and
    # computes everything beyond a tapped convolution wrong.
    gradient = {"image": mx.nd.zeros(image.shape)}
    requests = {name: "write" if name == "image" else "null" for name in values}
    executor = group.bind(mx.cpu(), values, args_grad=gradient, grad_req=requests)
    outputs = executor.forward(is_train=False)
    return {name: output.asnumpy() for name, output in zip(tapped, outputs)}


def photo(side=48):
    return np.random.default_rng(5).uniform(0, 255, (1, 3, side, side)).astype(np.float32)


def vgg_input(rgb255):
    return rgb255 - np.float32(RGB_MEAN)[:, None, None]


def relative(found, expected):
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def load(tmp_path, data, architecture=TINY, name="net.bin"):
    path = tmp_path / name
    path.write_bytes(data)
    return load_weights(path, architecture)


def refusal(tmp_path, data, architecture=TINY):
    """The message about a file without its beginning, which is checked here for every one."""
    with pytest.raises(InputError) as caught:
        load(tmp_path, data, architecture)
    message = str(caught.value)
    prefix = f"weights.path={tmp_path / 'net.bin'}: "
    assert message.startswith(prefix)
    assert "\n" not in message
    return message.removeprefix(prefix)


def assert_canonical(weights, architecture=TINY):
    due = {name: s for c in architecture.convolutions for name, s in c.shapes.items()}
    assert {name: array.shape for name, array in weights.arrays.items()} == due
    for array in weights.arrays.values():
        assert array.dtype == np.float32
        assert array.flags.c_contiguous
        assert np.isfinite(array).all()


def assert_equal_arrays(weights, expected):
    assert_canonical(weights)
    for name, array in expected.items():
        np.testing.assert_array_equal(weights.arrays[name], array, err_msg=name)


# --- what is read --------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["arg:", ""])
def test_params_as_mxnet_writes_them(tmp_path, prefix):
    path = tmp_path / "net.params"
    stored = {prefix + name: mx.nd.array(array) for name, array in ARRAYS.items()}
    mx.nd.save(str(path), {**stored, "arg:fc6_weight": mx.nd.ones((2, 3), dtype="int32")})
    weights = load_weights(str(path), TINY)
    assert_equal_arrays(weights, ARRAYS)
    assert weights.source == str(path)
    assert weights.sha256 == sha256_of(path)


@pytest.mark.parametrize("version", [0, 1, 2])
def test_every_version_of_the_params_format_reads_as_mxnet_reads_it(tmp_path, version):
    data = mxnet_file(ARRAYS, version)
    theirs = {name[4:]: array.asnumpy() for name, array in mx.nd.load_frombuffer(data).items()}
    assert_equal_arrays(load(tmp_path, data), theirs)
    assert_equal_arrays(load(tmp_path, data), ARRAYS)


def test_params_of_numpy_shape_mode(tmp_path):
    path = tmp_path / "net.params"
    with mx.util.np_shape(True):
        scalar = mx.nd.ones(())
        mx.nd.save(str(path), {"s": scalar, **{k: mx.nd.array(v) for k, v in ARRAYS.items()}})
    assert struct.pack("<I", 0xF993FACA) in path.read_bytes()
    assert_equal_arrays(load_weights(path, TINY), ARRAYS)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dtype", ["float16", "float32", ">f4", "float64"])
def test_npz(tmp_path, compressed, dtype):
    stored = {name: array.astype(dtype) for name, array in ARRAYS.items()}
    stored["conv1_2_weight"] = np.asfortranarray(stored["conv1_2_weight"])
    expected = {name: array.astype(np.float32) for name, array in stored.items()}
    stored["fc6_weight"] = np.ones(3, np.int64)
    assert_equal_arrays(load(tmp_path, npz_file(stored, compressed=compressed)), expected)


def test_the_shipped_network():
    architecture = ARCHITECTURES["vgg19_slim"]
    path = NETWORKS / "vgg19_slim.npz"
    weights = load_weights(path, architecture)
    assert_canonical(weights, architecture)
    assert weights.source == "nstrep/networks/vgg19_slim.npz"
    with np.load(path) as stored:
        for name, array in weights.arrays.items():
            np.testing.assert_array_equal(array, stored[name].astype(np.float32))


def check_imagenet_layout(weights, first_weight, first_bias):
    """The first convolution as the file's owner computes it, against ours over RGB 0 to 255.

    Equal away from the border. On the border the owner pads the standardised picture with zeros,
    which is a mean colour up to 0.5 of 255 away from ours.
    """
    rgb = photo()
    mean, std = (np.array(v)[:, None, None] for v in (IMAGENET_MEAN, IMAGENET_STD))
    standardised = (rgb / 255 - mean) / std
    theirs = mx.nd.Convolution(
        *map(mx.nd.array, (standardised, first_weight, first_bias)),
        num_filter=len(first_bias),
        kernel=(3, 3),
        pad=(1, 1),
    ).asnumpy()
    ours = features(weights.arrays, TINY, vgg_input(rgb), ["conv1_1"])["conv1_1"]
    assert relative(ours[..., 1:-1, 1:-1], theirs[..., 1:-1, 1:-1]) < 1e-5
    difference = np.abs(np.array(RGB_MEAN) - 255 * np.array(IMAGENET_MEAN))
    bound = (np.abs(weights.arrays["conv1_1_weight"]).sum((2, 3)) * difference).sum(1).max()
    assert 1e-5 < np.abs(ours - theirs).max() < bound * 1.001


@pytest.mark.parametrize("write", [torch_zip, torch_legacy])
def test_torchvision(tmp_path, write):
    weights = load(tmp_path, write(TORCH_ARRAYS))
    assert_canonical(weights)
    check_imagenet_layout(
        weights, TORCH_ARRAYS["features.0.weight"], TORCH_ARRAYS["features.0.bias"]
    )
    # The file was made from ARRAYS, so the canonical form comes back, and its activations.
    layers = ["conv1_1", "relu3_2", "conv5_1"]
    image = vgg_input(photo())
    expected = features(ARRAYS, TINY, image, layers)
    for layer, found in features(weights.arrays, TINY, image, layers).items():
        assert relative(found, expected[layer]) < 1e-5


def test_torch_files_of_other_storages_strides_and_wrappers(tmp_path):
    halves = {f"module.{name}": array.astype(np.float16) for name, array in TORCH_ARRAYS.items()}
    # (out, in, h, w) laid out as (out, h, w, in): what channels_last leaves in a file.
    name = "module.features.2.weight"
    halves[name] = np.ascontiguousarray(halves[name].transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    halves["module.classifier.0.weight"] = np.ones((2, 2), np.float16)
    pickle = torch_pickle(halves, kind="HalfStorage")
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("x/data.pkl", pickle)
        for key, array in enumerate(halves.values()):
            # A permuted array lies in the file as it lies in memory.
            last = np.argsort(array.strides, kind="stable")[::-1]
            archive.writestr(f"x/data/{key}", array.transpose(last).tobytes())
    weights = load(tmp_path, data.getvalue())
    for canonical, stored in torch_names().items():
        if "conv1_1" not in canonical:
            expected = halves[f"module.{stored}"].astype(np.float32)
            np.testing.assert_array_equal(weights.arrays[canonical], expected)


@pytest.fixture(scope="module")
def gluon_net():
    from mxnet.gluon.model_zoo.vision import VGG

    net = VGG(list(TINY.depths), list(TINY.widths), classes=2)
    net.initialize(mx.init.Normal(0.1))
    net(mx.nd.ones((1, 3, 32, 32)))  # settles the shapes of the dense layers
    for parameter in net.collect_params(".*bias").values():
        parameter.set_data(mx.nd.random.normal(shape=parameter.shape))
    return net


@pytest.mark.parametrize("how", ["save_parameters", "collect_params", "stripped"])
def test_gluon_model_zoo(tmp_path, gluon_net, how):
    path = str(tmp_path / "net.params")
    if how == "save_parameters":
        gluon_net.save_parameters(path)
    else:
        prefix = gluon_net.prefix if how == "stripped" else ""
        gluon_net.collect_params().save(path, strip_prefix=prefix)
    weights = load_weights(path, TINY)
    assert_canonical(weights)
    first = gluon_net.features[0]
    check_imagenet_layout(weights, first.weight.data().asnumpy(), first.bias.data().asnumpy())
    convolutions = [layer for layer in gluon_net.features if "conv" in layer.name]
    for ours, theirs in list(zip(TINY.convolutions, convolutions))[1:]:
        np.testing.assert_array_equal(
            weights.arrays[f"{ours.name}_weight"], theirs.weight.data().asnumpy()
        )


@pytest.mark.parametrize("year", [2016, 2024])
def test_keras(tmp_path, year):
    pytest.importorskip("h5py", reason="h5py, of the extra keras, is not installed")
    weights = load(tmp_path, keras_file(ARRAYS, year=year))
    assert_equal_arrays(weights, ARRAYS)
    # As Keras computes it: kernels over (height, width, in), channels blue, green, red.
    import h5py

    inside = {2016: "block1_conv1_W_1:0", 2024: "block1_conv1/kernel:0"}[year]
    with h5py.File(io.BytesIO(keras_file(ARRAYS, year=year))) as file:
        kernel = file["block1_conv1"][inside][()]
    rgb = photo(8)
    bgr = rgb[0, ::-1].transpose(1, 2, 0) - np.array((103.939, 116.779, 123.68))
    patch = (bgr[2:5, 3:6, :, None] * kernel).sum((0, 1, 2)) + ARRAYS["conv1_1_bias"]
    ours = features(weights.arrays, TINY, vgg_input(rgb), ["conv1_1"])["conv1_1"]
    assert relative(ours[0, :, 3, 4], patch) < 1e-5


# --- what is refused -----------------------------------------------------------------------------


def test_missing_file_names_the_key(tmp_path):
    with pytest.raises(InputError, match=r"^recipe\.weights=.*no\.npz: there is no such file$"):
        load_weights(tmp_path / "no.npz", TINY, key="recipe.weights")


def test_folder_pipe_and_unreadable(tmp_path):
    with pytest.raises(InputError, match=r"is a folder, expected a weights file"):
        load_weights(tmp_path, TINY)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match=r"is not a regular file"):
        load_weights(tmp_path / "pipe", TINY)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty, expected a weights file"),
        (b"<!DOCTYPE html>\n", "is no weights file: it begins with b'<!DOCTYPE ht', expected an"),
        (b"\x80\x04\x95", "is no weights file"),
        (b"PK\x03\x04" + b"\0" * 40, "is a damaged or cut zip archive"),
        (b"\x89HDF\r\n\x1a\n" + b"\0" * 40, "is a damaged or cut HDF5 file"),
    ],
)
def test_foreign_files(tmp_path, data, message):
    if data[1:4] == b"HDF":
        pytest.importorskip("h5py", reason="h5py, of the extra keras, is not installed")
    assert message in refusal(tmp_path, data)


def zipped(**members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "."), data)
    return stream.getvalue()


def npy(array, *, pickle=False):
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, allow_pickle=pickle)
    return stream.getvalue()


def test_foreign_zip(tmp_path):
    expected = "is a zip archive of 'readme.txt', expected .npy arrays"
    assert refusal(tmp_path, zipped(readme__txt="hello")) == expected


def test_objects_are_not_unpickled(tmp_path):
    data = zipped(conv1_1_weight__npy=npy(np.array([{}], object), pickle=True))
    assert "holds Python objects in 'conv1_1_weight.npy'" in refusal(tmp_path, data)


def test_hdf5_without_h5py(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    message = refusal(tmp_path, b"\x89HDF\r\n\x1a\n" + b"\0" * 40)
    assert message == "is a Keras .h5 file, which needs h5py: pip install nstrep[keras]"


def changed(**arrays):
    """ARRAYS with some arrays replaced, or left out where the value is None."""
    return {name: array for name, array in (ARRAYS | arrays).items() if array is not None}


@pytest.mark.parametrize("write", [mxnet_file, npz_file])
def test_wrong_arrays(tmp_path, write):
    wide = np.zeros((6, 6, 3, 3), np.float32)
    assert refusal(tmp_path, write(changed(conv3_1_weight=wide))) == (
        "conv3_1_weight has shape (6, 6, 3, 3), tiny needs (6, 5, 3, 3)"
    )
    assert refusal(tmp_path, write(changed(conv4_2_bias=None))) == (
        "conv4_2_bias is missing, tiny needs it with shape (7,)"
    )
    assert refusal(tmp_path, write(changed(conv1_1_bias=np.zeros(4, np.int32)))) == (
        "conv1_1_bias has type int32, expected float16, float32, float64"
    )
    for bad in (np.nan, np.inf, -np.inf):
        spoilt = ARRAYS["conv2_1_bias"].copy()
        spoilt[2:4] = bad
        assert refusal(tmp_path, write(changed(conv2_1_bias=spoilt))) == (
            "conv2_1_bias has 2 values that are NaN or infinite, expected none"
        )
    huge = ARRAYS["conv2_1_bias"].astype(np.float64) * 1e300
    assert "NaN or infinite" in refusal(tmp_path, write(changed(conv2_1_bias=huge)))
    other = {"fc1_weight": wide, "fc1_bias": wide}
    assert refusal(tmp_path, write(other)) == (
        "has no VGG layers: it holds 'fc1_weight', 'fc1_bias', expected conv1_1_weight and so on"
    )


def test_wrong_shape_in_a_foreign_layout_names_both(tmp_path):
    wrong = TORCH_ARRAYS | {"features.10.weight": np.zeros((6, 5, 1, 1), np.float32)}
    assert refusal(tmp_path, torch_zip(wrong)) == (
        "features.10.weight (conv3_1_weight) has shape (6, 5, 1, 1), tiny needs (6, 5, 3, 3)"
    )


SHALLOW = Architecture("shallow", depths=(2, 2, 3, 3, 1), widths=TINY.widths)


def test_a_deeper_network_is_not_taken_for_a_shallower_one(tmp_path):
    # VGG-19 has every array of VGG-16, in the same shapes.
    data = mxnet_file(ARRAYS)
    assert refusal(tmp_path, data, SHALLOW) == "has conv3_4, which shallow has not: another network"
    assert "is missing" in refusal(tmp_path, torch_zip(TORCH_ARRAYS), SHALLOW)
    names = [f"vgg0_conv{n}_{kind}" for n in range(13) for kind in ("weight", "bias")]
    gluon = mxnet_file(dict(zip(names, ARRAYS.values())))
    assert "has more than the 11 convolutions of shallow" in refusal(tmp_path, gluon, SHALLOW)


def test_batch_normalisation_is_refused(tmp_path):
    arrays = {"vgg0_batchnorm0_gamma": np.ones(4, np.float32), "vgg0_conv0_weight": np.ones(1)}
    assert "batch normalisation" in refusal(tmp_path, mxnet_file(arrays))


@pytest.mark.parametrize(
    ("at", "field", "message"),
    [
        (16, struct.pack("<Q", 2**60), "its header announces 1152921504606846976 arrays"),
        (32, struct.pack("<i", 2**30), "an array of 1073741824 dimensions"),
        (36, struct.pack("<q", 2**40), "bytes are due at byte"),
        (36, struct.pack("<q", -4), "an array of shape (-4, 3, 3, 3)"),
        (28, struct.pack("<i", 1), "storage type 1, expected dense arrays"),
        (76, struct.pack("<i", 12), "an array of MXNet type 12"),
    ],
)
def test_params_headers(tmp_path, at, field, message):
    data = bytearray(mxnet_file(ARRAYS))
    data[at : at + len(field)] = field
    assert message in refusal(tmp_path, bytes(data))


def test_arrays_without_names(tmp_path):
    path = tmp_path / "list.params"
    mx.nd.save(str(path), [mx.nd.ones(3)])
    with pytest.raises(InputError, match="has 1 arrays and 0 names"):
        load_weights(path, TINY)


def test_a_pickle_can_call_nothing(tmp_path):
    calls = b"\x80\x02cos\nsystem\nX\x05\0\0\0false\x85R."
    # Another way to a call: the protocol-4 instruction that takes the name from the stack.
    by_stack = b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x05false\x85R."
    for data in (torch_zip({}, calls), torch_legacy({}, calls), torch_zip({}, by_stack)):
        assert refusal(tmp_path, data) == "is no plain state dict: its pickle calls os.system"


def test_a_tensor_cannot_reach_beyond_its_storage(tmp_path):
    good = torch_pickle(TORCH_ARRAYS)
    stride = b"J" + struct.pack("<i", 27)  # of the first kernels: 3 * 3 * 3
    assert good.count(stride) == 1
    far = good.replace(stride, b"J" + struct.pack("<i", 2700))
    message = refusal(tmp_path, torch_zip(TORCH_ARRAYS, far))
    assert message == "is a damaged or cut PyTorch file (a tensor beyond its storage)"


def changed_after_its_check(instructions):
    """A pickle of a tensor that is made from a list of strides, and what follows in it."""
    storage = b"(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0" + b"0X\3\0\0\0cpuK\4tQ"
    tensor = b"ctorch._utils\n_rebuild_tensor\n(" + storage + b"K\0K\4\x85]q\1K\1atR"
    return b"\x80\2}X\1\0\0\0k" + tensor + instructions + b"s."


@pytest.mark.parametrize(
    "instructions",
    [
        b"}X\6\0\0\0offsetM\xff\xffsb",  # its attributes
        b"N}X\6\0\0\0offsetM\xff\xffs\x86b",
        b"h\1M\xff\xffa\x86",  # the list of its strides
    ],
)
def test_a_checked_tensor_cannot_be_changed(instructions):
    good = unpickle(io.BytesIO(changed_after_its_check(b"")))["k"]
    assert (good.offset, good.shape, good.strides) == (0, (4,), (1,))
    try:
        found = unpickle(io.BytesIO(changed_after_its_check(instructions)))["k"]
    except FormatError:
        return
    assert found[0] == good
    assert found[1] == [1, 0xFFFF]


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\2]r\xff\xff\xff\x7f.",  # pickle would allocate 32 GB for this memo index
        b"\x80\2}" + b")" + b"K\0\x86" * 300_000 + b"K\0s.",  # the hash of it would crash Python
        b"\x80\2}" + b"K\0\x85" * 60_000 + b"s.",
        b"\x80\2c__builtin__\neval\n.",
        b"\x80\2ctorch._utils\n_rebuild_tensor\n}X\1\0\0\0xK\0sb}}R.",
        b"\x80\2ccollections\nOrderedDict\n}X\1\0\0\0xK\0sb.",
    ],
    ids=["memo", "nested", "tuples", "name", "method", "class"],
)
def test_pickles_that_would_harm_the_reader(data):
    with pytest.raises(FormatError) as caught:
        unpickle(io.BytesIO(data))
    assert "\n" not in str(caught.value)


# --- damage --------------------------------------------------------------------------------------


def samples():
    found = {
        "params": mxnet_file(ARRAYS),
        "params of 2015": mxnet_file(ARRAYS, 0),
        "npz": npz_file(ARRAYS),
        "compressed npz": npz_file(ARRAYS, compressed=True),
        "torch zip": torch_zip(TORCH_ARRAYS),
        "torch stream": torch_legacy(TORCH_ARRAYS),
    }
    try:
        import h5py  # noqa: F401
    except ImportError:
        return found
    return {**found, "keras": keras_file(ARRAYS, year=2024)}


SAMPLES = samples()
CHECKED_BY_CRC = ("npz", "compressed npz", "torch zip")


def load_damaged(folder, data):
    """The weights, or None if they are refused; never more memory than a few times the file."""
    tracemalloc.start()
    try:
        weights = load(folder, data)
    except InputError as error:
        assert "\n" not in str(error)  # noqa: PT017
        return None
    else:
        assert_canonical(weights)
        return weights
    finally:
        _now, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 4_000_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("damaged")


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("share", [0.0001, 0.01, 0.3, 0.7, 0.99, 0.9999])
def test_truncation(folder, name, share):
    data = SAMPLES[name]
    assert load_damaged(folder, data) is not None
    assert load_damaged(folder, data[: int(len(data) * share)]) is None


@pytest.mark.parametrize("name", SAMPLES)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(position=st.floats(0, 1), near=st.sampled_from([0, 0, 200, -3000]), bit=st.integers(0, 7))
@example(position=0.0, near=0, bit=0)
@example(position=0.509765625, near=-3000, bit=0)  # "torch zip": a compressed size of 16 MB
def test_flipped_bits(folder, name, position, near, bit):
    """Refused, or the arrays are those of the file: a changed number in it is a changed weight.

    Zip archives carry checksums, so in them a changed number is refused too.
    """
    data = bytearray(SAMPLES[name])
    # Structure lies at the ends of these files: half of the flips go there.
    span = near or len(data)
    index = int(position * (abs(span) - 1))
    data[index if span > 0 else index - abs(span)] ^= 1 << bit
    weights = load_damaged(folder, bytes(data))
    if weights is not None and name in CHECKED_BY_CRC:
        expected = load_damaged(folder, SAMPLES[name])
        for key, array in expected.arrays.items():
            np.testing.assert_array_equal(weights.arrays[key], array)


# --- random and normalised -----------------------------------------------------------------------


def statistics(weights, architecture, edge, kind):
    """Layer name to (mean, mean square) of each channel over the calibration pictures."""
    layers = [name for name in architecture.layers if name.startswith(kind)]
    found = [
        features(weights.arrays, architecture, image, layers)
        for image in calibration.pictures(edge, all_hues=kind == "relu")
    ]
    return {
        layer: [np.mean([(f[layer] ** p).mean((0, 2, 3)) for f in found], 0) for p in (1, 2)]
        for layer in layers
    }


def test_random_weights_are_calibrated():
    weights = random_weights(TINY, 3)
    assert_canonical(weights)
    assert weights.source == "random"
    for layer, (mean, square) in statistics(weights, TINY, 128, "conv").items():
        np.testing.assert_allclose(mean, 0, atol=1e-4, err_msg=layer)
        np.testing.assert_allclose(square, 1, atol=1e-3, err_msg=layer)


def test_random_weights_follow_the_seed():
    first, again, other = (random_weights(TINY, seed) for seed in (3, 3, 4))
    assert first.sha256 == again.sha256 != other.sha256
    for name, array in first.arrays.items():
        np.testing.assert_array_equal(array, again.arrays[name])


@pytest.fixture(scope="module")
def untidy():
    """A network of uneven scales, with a filter that never fires in conv2_1."""
    arrays = {name: array.copy() for name, array in random_weights(TINY, 1).arrays.items()}
    rng = np.random.default_rng(0)
    for convolution in TINY.convolutions:
        factors = rng.uniform(0.1, 10, convolution.out_channels).astype(np.float32)
        arrays[f"{convolution.name}_weight"] *= factors[:, None, None, None]
        arrays[f"{convolution.name}_bias"] *= factors
    arrays["conv2_1_weight"][3] = 0
    arrays["conv2_1_bias"][3] = -1
    return Weights(arrays, "untidy.params", "0" * 64)


def test_normalized_mean_activations_are_one(untidy):
    before = statistics(untidy, TINY, 256, "relu")
    assert max(abs(mean - 1).max() for mean, _ in before.values()) > 1
    result = normalized(untidy, TINY)
    assert_canonical(result)
    assert (result.source, result.sha256) == (untidy.source, untidy.sha256)
    for layer, (mean, _) in statistics(result, TINY, 256, "relu").items():
        expected = [1, 1, 1, 0, 1] if layer == "relu2_1" else np.ones(len(mean))
        np.testing.assert_allclose(mean, expected, atol=1e-4, err_msg=layer)


def test_normalized_computes_the_same_up_to_a_factor_for_each_channel(untidy):
    image = vgg_input(photo(64))
    layers = ["relu2_2", "relu5_1"]
    before = features(untidy.arrays, TINY, image, layers)
    after = features(normalized(untidy, TINY).arrays, TINY, image, layers)
    for layer in layers:
        for old, new in zip(before[layer][0], after[layer][0]):
            factor = (old * new).sum() / (old * old).sum()
            assert factor > 0
            assert relative(new, factor * old) < 1e-5


def test_shipped_network_is_normalised_already():
    architecture = ARCHITECTURES["vgg19_slim"]
    weights = load_weights(NETWORKS / "vgg19_slim.npz", architecture)
    unit = json.loads((NETWORKS / "vgg19_slim.json").read_text())["normalisation"]["unit"]
    for name, array in normalized(weights, architecture).arrays.items():
        scale = 1 / unit if name.startswith("conv1_1_") or name.endswith("_bias") else 1.0
        # it is stored as float16
        assert relative(array, weights.arrays[name] * scale) < 0.01, name


def test_the_card_beside_the_shipped_network_is_its_own():
    path = NETWORKS / "vgg19_slim.npz"
    card = json.loads(path.with_suffix(".json").read_text())
    assert card["sha256"] == sha256_of(path)
    assert tuple(card["channels"]) == ARCHITECTURES["vgg19_slim"].widths
    assert path.stat().st_size < 10e6
    with np.load(path, allow_pickle=False) as stored:
        assert {array.dtype for array in stored.values()} == {np.dtype("float16")}
