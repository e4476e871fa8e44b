"""``nstrep export model=RUN out=net.onnx size=512x384``: a network as ONNX.

Needs the extra ``onnx``. The graph is for images of one size: RGB, 0 to 255, (1, 3, height, width)
in and out. That of a network with styles has a second input, ``style``, (1, S): their weights, in
the order in which the metadata ``styles`` names them. ``out=net.npz`` without ``size`` writes the
network in half precision instead.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import mxnet as mx
import numpy as np

from nstrep.base.command_line import plain_errors
from nstrep.base.errors import InputError
from nstrep.base.files import atomic_write, keep_foreign
from nstrep.config.arguments import parse
from nstrep.fast import graph, layouts, network
from nstrep.fast.settings import ExportConfig


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    with plain_errors():
        given = sys.argv[1:] if arguments is None else arguments
        config = parse(given, ExportConfig, __doc__, {"size": None})
        target = Path(config.out)
        if target.suffix == ".npz" and config.size is None:
            layouts.save(target, *layouts.load(config.model), "float16")
            print(target)
            return
        size = re.fullmatch(r"(\d+)x(\d+)", config.size or "")
        if size is None:
            given = f"size={config.size}" if config.size else "size"
            raise InputError(f"{given}: must be WIDTHxHEIGHT in pixels")
        width, height = map(int, size.groups())
        print(export(config.model, target, height, width))


def export(model: str | Path, target: Path, height: int, width: int) -> Path:
    """Write a trained network as ONNX, for images of one size.

    Raises InputError if the network cannot be used or does not take the size, the file exists and
    is no such export, or onnx is missing; ResultsError if the file cannot be written.
    """
    try:
        import onnx
    except ImportError:
        raise InputError("out: ONNX is not installed: run  pip install 'nstrep[onnx]'") from None

    keep_foreign(target, "producer: nstrep")
    net, parameters = layouts.load(model)
    graph.check_size(net, height, width, f"size={width}x{height}")
    symbol = network.symbol(net, height, width, portable=True)
    known = {**parameters, **graph.constants(net, height, width)}
    arrays = {name: mx.nd.array(array) for name, array in known.items()}
    with atomic_write(target) as temporary:
        given = {"image": (1, 3, height, width), "style": (1, len(net.styles))}
        shapes = [given[name] for name in symbol.list_arguments() if name in given]
        types = [np.float32] * len(shapes)
        mx.onnx.export_model(symbol, arrays, shapes, types, str(temporary))
        exported = onnx.load(temporary)
        if net.styles:
            onnx.helper.set_model_props(exported, {"styles": json.dumps(net.styles)})
        # The exporter declares the weights as inputs too, and runtimes warn about each of them.
        weights = {array.name for array in exported.graph.initializer}
        inputs = [given for given in exported.graph.input if given.name not in weights]
        exported.doc_string = "producer: nstrep"  # by which keep_foreign knows it
        del exported.graph.input[:]
        exported.graph.input.extend(inputs)
        onnx.save(exported, temporary)
    return target


if __name__ == "__main__":
    main()
