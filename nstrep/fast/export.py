"""``python -m nstrep.fast.export model=RUN out=net.onnx size=512x384``: a network as ONNX.

Needs the extra ``onnx``. The graph is for pictures of one size: RGB, 0 to 255, (1, 3, height,
width) in and out.
"""

from __future__ import annotations

import sys
from pathlib import Path

import mxnet as mx
import numpy as np

from nstrep.base.command_line import plain_errors
from nstrep.base.errors import InputError
from nstrep.base.files import atomic_write
from nstrep.fast import graph, layouts
from nstrep.fast.network import Transformer
from nstrep.fast.stylize import model_file

KEYS = ("model", "out", "size")


def export(model: Path, target: Path, height: int, width: int) -> Path:
    """Write a trained network as ONNX.

    Raises:
        InputError: no network, a size that it does not take, or no onnx.
        ResultsError: the file cannot be written.

    """
    try:
        import onnx
    except ImportError:
        raise InputError("out: ONNX is not installed: run  pip install 'nstrep[onnx]'") from None
    from mxnet import onnx as exporter

    net, parameters = layouts.load(model)
    Transformer(net, parameters).check_size(height, width, f"size={width}x{height}")
    symbol = graph.symbol(net, height, width, portable=True)
    known = {**parameters, **graph.constants(net)}
    arrays = {name: mx.nd.array(array) for name, array in known.items()}
    with atomic_write(target) as temporary:
        exporter.export_model(symbol, arrays, [(1, 3, height, width)], [np.float32], str(temporary))
        model = onnx.load(temporary)
        # The exporter declares the weights as inputs too, and runtimes warn about each of them.
        weights = {array.name for array in model.graph.initializer}
        inputs = [given for given in model.graph.input if given.name not in weights]
        del model.graph.input[:]
        model.graph.input.extend(inputs)
        onnx.save(model, temporary)
    return target


def main() -> None:
    """Run the command line."""
    if not sys.argv[1:] or {"-h", "--help"} & set(sys.argv[1:]):
        print(__doc__)
        return
    given = dict(argument.partition("=")[::2] for argument in sys.argv[1:])
    with plain_errors():
        for key in (*given, *KEYS):
            if key not in KEYS:
                raise InputError(f"{key}: there is no such key (one of {', '.join(KEYS)})")
            if not given.get(key):
                raise InputError(f"{key}: no value is given")
        width, _, height = given["size"].partition("x")
        if not (width.isdigit() and height.isdigit()):
            raise InputError(f"size={given['size']}: must be WIDTHxHEIGHT in pixels")
        print(export(model_file(given["model"]), Path(given["out"]), int(height), int(width)))


if __name__ == "__main__":
    main()
