"""Passes through MXNet's C library, and graphs that are made without its Python package."""

import subprocess
import sys
import threading

import mxnet as mx
import numpy as np
import pytest

from nstrep.base.errors import InputError
from nstrep.fast import graph, native
from nstrep.fast import symbols as sym
from nstrep.fast.architectures import NETS, choose
from nstrep.fast.network import Transformer
from tests.fast.test_fast_nets import drawn, narrow


@pytest.mark.parametrize("size", [(41, 46), (44, 44)])
@pytest.mark.parametrize("name", NETS)
def test_a_pass_is_that_of_mxnets_package(name, size, rng):
    net = narrow(name)
    parameters = drawn(net, rng)
    transformer, network = Transformer(net, parameters), native.Network(net, parameters)
    for _ in range(2):
        rgb01 = rng.random((*size, 3)).astype(np.float32)
        np.testing.assert_array_equal(network(rgb01), transformer(rgb01))


def test_styles_are_an_input(rng):
    net = choose("many", styles=["a", "b"])
    parameters = drawn(net, rng)
    transformer, network = Transformer(net, parameters), native.Network(net, parameters)
    rgb01 = rng.random((30, 40, 3)).astype(np.float32)
    for style in ("a", {"a": 0.25, "b": 0.75}):
        np.testing.assert_array_equal(network(rgb01, style), transformer(rgb01, style))
    with pytest.raises(InputError, match="style=c: must be one of a, b"):
        network(rgb01, "c")


def test_threads_take_turns(rng):
    net = narrow("small")
    network = native.Network(net, drawn(net, rng))
    pictures = [rng.random((40, 40, 3)).astype(np.float32) for _ in range(4)]
    expected, found = [network(picture) for picture in pictures], [None] * 4

    def run(place):
        found[place] = network(pictures[place])

    threads = [threading.Thread(target=run, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(found, expected)


def test_pictures_too_small_and_arrays_of_another_shape(rng):
    net = narrow("small")
    parameters = drawn(net, rng)
    with pytest.raises(InputError, match="picture: net=small needs at least 11 x 11 pixels"):
        native.Network(net, parameters)(np.zeros((5, 60, 3), np.float32))
    network = native.Network(net, parameters)
    executor = network._bind(20, 20)
    with pytest.raises(ValueError, match=r"shape \(1, 3, 20, 21\), not \(1, 3, 20, 20\)"):
        executor({"image": np.zeros((1, 3, 20, 21))})


def test_an_error_of_mxnet_is_told():
    bad = sym.Convolution(sym.Variable("image"), kernel="nonsense")
    with pytest.raises(RuntimeError, match="MXSymbolCreateFromJSON"):
        native._Executor(bad, {}, (1,), gradient_of="image")


def test_the_graph_is_a_symbol_of_mxnet():
    net = choose("many")
    constants = graph.constants(net, 20, 24)
    assert constants["noise"].shape == (1, 1, 20, 24)
    symbol = mx.sym.load_json(sym.to_json(graph.symbol(net, 20, 24)))
    assert set(symbol.list_arguments()) == {*net.shapes, *constants, "image"}
    known = {name: array.shape for name, array in constants.items()}
    _, (shape,), _ = symbol.infer_shape(image=(1, 3, 20, 24), **net.shapes, **known)
    assert shape == (1, 3, 20, 24)


def test_stylising_imports_neither_mxnet_nor_hydra():
    code = (
        "import sys, nstrep.fast.stylize, nstrep.fast.styles, nstrep.fast.api\n"
        "names = 'mxnet omegaconf hydra pandas scipy skimage matplotlib joblib tqdm'.split()\n"
        "print([name for name in names if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr
