"""Graphs of MXNet's operators as plain Python objects, written as the JSON that MXNet reads.

The functions of this module are named like those of ``mxnet.symbol`` and make the same nodes, but
need no ``import mxnet``, which takes longer than a small network over an image.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

ANY_NUMBER = ("add_n", "concat", "UpSampling")  # operators that need num_args


class Symbol:
    """An output of an operator, or a variable (the operator ``null``)."""

    def __init__(self, op: str, inputs: tuple[Symbol, ...], name: str, attributes: dict) -> None:
        self.op, self.inputs, self.name = op, inputs, name
        self.attributes = {key: str(value) for key, value in attributes.items()}
        self.node, self.index = self, 0  # the operator of which this is an output, and which

    def __getitem__(self, index: int) -> Symbol:
        """One of several outputs."""
        output = Symbol(self.op, (), self.name, {})
        output.node, output.index = self, index
        return output

    def __add__(self, other: Symbol) -> Symbol:
        return Symbol("elemwise_add", (self, other), "", {})

    def __mul__(self, factor: float) -> Symbol:
        return Symbol("_mul_scalar", (self,), "", {"scalar": factor})


def Variable(name: str) -> Symbol:  # noqa: N802
    """An input; those of one name are the same."""
    return Symbol("null", (), name, {})


def ones(length: int) -> Symbol:
    """An array (length,) of ones."""
    return Symbol("_ones", (), "", {"shape": (length,), "dtype": "float32"})


def zeros(length: int) -> Symbol:
    """An array (length,) of zeros."""
    return Symbol("_zeros", (), "", {"shape": (length,), "dtype": "float32"})


def BatchNorm(*inputs: Symbol, name: str, **attributes: Any) -> Symbol:  # noqa: N802
    """Batch normalisation; its moving averages are variables."""
    moving = (Variable(f"{name}_moving_{what}") for what in ("mean", "var"))
    return Symbol("BatchNorm", (*inputs, *moving), name, attributes)


def __getattr__(op: str) -> Callable[..., Symbol]:
    """Any other operator: a function of its inputs, attributes and ``name``."""
    if op.startswith("__"):
        raise AttributeError(op)

    def apply(*inputs: Symbol, name: str = "", **attributes: Any) -> Symbol:
        if op in ANY_NUMBER:
            attributes["num_args"] = len(inputs)
        return Symbol(op, inputs, name, attributes)

    return apply


def to_json(output: Symbol) -> str:
    """The graph that computes a symbol; nodes come after their inputs."""
    numbers: dict[Any, int] = {}  # of the nodes; variables by their name
    nodes: list[dict[str, Any]] = []

    def number(node: Symbol) -> int:
        key = node.name if node.op == "null" else node
        if key not in numbers:
            inputs = [[number(each.node), each.index, 0] for each in node.inputs]
            numbers[key] = len(nodes)
            name = node.name or f"{node.op.lower()}{len(nodes)}"
            nodes.append({"op": node.op, "name": name, "attrs": node.attributes, "inputs": inputs})
        return numbers[key]

    heads = [[number(output.node), output.index, 0]]
    variables = [place for place, node in enumerate(nodes) if node["op"] == "null"]
    graph = {"nodes": nodes, "arg_nodes": variables, "heads": heads}
    return json.dumps(graph | {"attrs": {"mxnet_version": ["int", 10901]}})
