"""A transform network through MXNet's C library, without MXNet's Python package.

``import mxnet`` takes longer than a small network over an image, because it writes and compiles a
Python function for each operator. The C library alone runs the same graph with the same operators,
so that the results are those of :class:`nstrep.fast.network.Transformer`, bit for bit.

The functions that are called are in ``include/mxnet/c_api.h`` of MXNet 1.9.1.
"""

from __future__ import annotations

import atexit
import ctypes
import importlib.util
import os
from collections.abc import Iterable, Mapping
from ctypes import POINTER, byref, c_char_p, c_size_t, c_uint32, c_void_p
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from cachetools import LRUCache

from nstrep.fast import graph
from nstrep.fast.architectures import TransformNet
from nstrep.fast.symbols import Symbol, to_json

CPU = 1  # kind of device
NO_GRADIENT, ADD_GRADIENT = 0, 3  # what is asked for


class Network:
    """A transform network on the CPU."""

    def __init__(self, net: TransformNet, parameters: Mapping[str, np.ndarray]) -> None:
        self.net, self.parameters = net, {name: parameters[name] for name in net.shapes}
        self._executors = LRUCache(8)  # each for images of one size
        self._lock = Lock()  # calls of several threads take turns

    def __call__(self, rgb01: np.ndarray, style: graph.Style = None) -> np.ndarray:
        """Stylise an image, ``rgb01``, not clipped.

        ``style`` is what :func:`graph.style_weights` takes, for a network with styles. Raises
        InputError if it is refused, or the image is too small.
        """
        height, width = size = rgb01.shape[:2]
        graph.check_size(self.net, height, width, "picture")
        inputs = {"image": graph.to_pixels(rgb01)}
        if self.net.styles:
            inputs["style"] = graph.style_weights(self.net, style)[None]
        with self._lock:
            if size not in self._executors:
                self._executors[size] = self._bind(height, width)
            return graph.to_rgb01(self._executors[size](inputs))

    def _bind(self, height: int, width: int) -> _Executor:
        """An executor for images of one size."""
        shape = (1, 3, height, width)
        values = {**self.parameters, **graph.constants(self.net, height, width)}
        values["image"] = np.zeros(shape)
        values["style"] = np.zeros((1, len(self.net.styles)))
        for conv, _ in self.net.convs:  # the moving averages of batch normalisation, never read
            for what in ("mean", "var"):
                values[f"{conv.name}_norm_moving_{what}"] = np.zeros(conv.channels)
        symbol = graph.symbol(self.net, height, width)
        return _Executor(symbol, values, shape, gradient_of="output_shift")


class _Executor:
    """A graph that is bound to arrays."""

    def __init__(
        self, symbol: Symbol, values: Mapping[str, np.ndarray], shape: tuple[int, ...],
        gradient_of: str,
    ) -> None:  # fmt: skip
        """``values`` has all inputs and states by name, ``shape`` is that of the output.

        MXNet rewrites a graph without any gradient (see ``Transformer.bind``), so one is asked for,
        which is never computed.
        """
        self.shape, self.handle, handle = shape, c_void_p(), c_void_p()
        _call("MXSymbolCreateFromJSON", to_json(symbol).encode(), byref(handle))
        names = _names("MXSymbolListArguments", handle)
        states = _names("MXSymbolListAuxiliaryStates", handle)
        self.arrays = {name: _Array(values[name].shape) for name in (*names, *states)}
        self.write({name: values[name] for name in self.arrays})
        self.gradient = _Array(values[gradient_of].shape)
        gradients = [self.gradient if name == gradient_of else None for name in names]
        requests = [ADD_GRADIENT if gradient else NO_GRADIENT for gradient in gradients]
        _call(
            "MXExecutorBind", handle, CPU, 0, len(names),
            _handles(self.arrays[name] for name in names), _handles(gradients),
            (c_uint32 * len(requests))(*requests),
            len(states), _handles(self.arrays[name] for name in states), byref(self.handle),
        )  # fmt: skip
        _call("MXSymbolFree", handle)

    def write(self, values: Mapping[str, np.ndarray]) -> None:
        """Copy values into the arrays."""
        for name, value in values.items():
            self.arrays[name].write(value)

    def __call__(self, values: Mapping[str, np.ndarray]) -> np.ndarray:
        """Compute the output as in training: batch normalisation uses the batch's statistics."""
        self.write(values)
        _call("MXExecutorForward", self.handle, 1)
        count, outputs = c_uint32(), POINTER(c_void_p)()
        _call("MXExecutorOutputs", self.handle, byref(count), byref(outputs))
        return _Array(self.shape, c_void_p(outputs[0])).read()

    def __del__(self) -> None:
        if self.handle:
            _library().MXExecutorFree(self.handle)


class _Array:
    """A float32 array of MXNet on the CPU."""

    def __init__(self, shape: tuple[int, ...], handle: c_void_p | None = None) -> None:
        """Allocate an array, or own one that MXNet has made."""
        self.shape, self.handle = shape, handle or c_void_p()
        if handle is None:
            sides = (c_uint32 * len(shape))(*shape)
            _call("MXNDArrayCreate", sides, len(shape), CPU, 0, 0, byref(self.handle))

    def write(self, values: np.ndarray) -> None:
        values = np.ascontiguousarray(values, dtype=np.float32)
        if values.shape != self.shape:  # or MXNet would read beyond its end
            raise ValueError(f"found an array of shape {values.shape}, not {self.shape}")
        pointer = values.ctypes.data_as(c_void_p)
        _call("MXNDArraySyncCopyFromCPU", self.handle, pointer, c_size_t(values.size))

    def read(self) -> np.ndarray:
        """Wait for the values and copy them."""
        values = np.empty(self.shape, np.float32)
        pointer = values.ctypes.data_as(c_void_p)
        _call("MXNDArraySyncCopyToCPU", self.handle, pointer, c_size_t(values.size))
        return values

    def __del__(self) -> None:
        if self.handle:
            _library().MXNDArrayFree(self.handle)


@cache
def _library() -> ctypes.CDLL:
    """MXNet's C library: the same as that of ``import mxnet``, if a process uses both."""
    folder = Path(importlib.util.find_spec("mxnet").origin).parent
    library = ctypes.CDLL(os.fspath(folder / "libmxnet.so"))
    library.MXGetLastError.restype = c_char_p
    # This also completes operators of MXNet's older kind, such as Pad, with their gradients.
    library.MXListAllOpNames(byref(c_uint32()), byref(POINTER(c_char_p)()))
    atexit.register(library.MXNotifyShutdown)  # or threads of MXNet outlive what they use
    return library


def _call(function: str, *arguments: Any) -> None:
    library = _library()
    if getattr(library, function)(*arguments):
        raise RuntimeError(f"{function}: {library.MXGetLastError().decode(errors='replace')}")


def _names(function: str, symbol: c_void_p) -> list[str]:
    count, names = c_uint32(), POINTER(c_char_p)()
    _call(function, symbol, byref(count), byref(names))
    return [names[place].decode() for place in range(count.value)]


def _handles(arrays: Iterable[_Array | None]) -> ctypes.Array:
    handles = [array.handle if array else None for array in arrays]
    return (c_void_p * len(handles))(*handles)
