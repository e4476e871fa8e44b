"""Checkpoints: the state that a run or a training needs to be resumed bit for bit.

A checkpoint is an .npz with facts as JSON and arrays of single precision. It is written completely
or not at all, and everything in it is checked before it is used.
"""

from __future__ import annotations

import json
import math
import time
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nstrep.base.errors import InputError
from nstrep.base.files import atomic_write
from nstrep.base.npz import FormatError, Stored, open_npz
from nstrep.base.text import reason, shown
from nstrep.base.untrusted import read_json
from nstrep.optim.state import State

FACTS = "facts"
MOST_FACTS = 2**24  # bytes: a training lists all images that it could not read


def write(path: Path, state: State) -> None:
    """Write a state; the previous checkpoint stays until the new one is complete."""
    facts = np.frombuffer(json.dumps(state.facts).encode(), np.uint8)
    # Array by array, not np.savez: on a full disk that leaves an archive open, which complains
    # when it is dropped. Uncompressed: gradients do not compress, and it takes a second.
    with atomic_write(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, array in {FACTS: facts, **state.arrays}.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, np.asarray(array), (1, 0), allow_pickle=False)


def read(path: Path, valid: Mapping[str, Callable[[Any], bool]], identity: str) -> State:
    """Read a state; InputError if it is damaged or of another identity.

    ``valid`` names the facts that are needed, each with a test of its value.
    """
    valid = {"identity": lambda value: isinstance(value, str), **valid}
    try:
        with open_npz(path) as stored:
            facts = _facts(stored, valid)
            if facts["identity"] == identity:
                return State(facts, _arrays(stored, path.stat().st_size))
    except (FormatError, OSError, ValueError) as error:
        raise _unusable(path, reason(error)) from None
    raise InputError(
        f"{shown(path)}: belongs to a run with other settings, pictures or weights;"
        " name another folder with hydra.run.dir=..."
    )


def _unusable(path: Path, why: str) -> InputError:
    return InputError(f"{shown(path)}: is no checkpoint ({why}); remove it to begin anew")


def _facts(
    stored: Mapping[str, Stored], valid: Mapping[str, Callable[[Any], bool]]
) -> dict[str, Any]:
    facts = None
    if FACTS in stored and math.prod(stored[FACTS].shape) <= MOST_FACTS:
        facts = read_json(stored[FACTS].read().tobytes().decode())
    if not isinstance(facts, dict):
        raise FormatError("holds no facts")
    for name, is_valid in valid.items():
        if name not in facts or not is_valid(facts[name]):
            raise FormatError(f"has {name}={facts.get(name)!r}")
    return facts


def _arrays(stored: Mapping[str, Stored], limit: int) -> dict[str, np.ndarray]:
    arrays = {name: array for name, array in stored.items() if name != FACTS}
    size = 4 * sum(math.prod(array.shape) for array in arrays.values())
    # Written unpacked: a small file cannot hold arrays that fill the memory.
    if size > limit:
        raise FormatError(f"holds {size} bytes of arrays, the file has {limit}")
    for name, array in arrays.items():
        if array.dtype != "float32":
            raise FormatError(f"has {name} as {array.dtype}")
    # Infinity is no damage: where gradients are huge, Adam's variance overflows and the step
    # becomes zero. NaN shows in the next losses.
    return {name: array.read() for name, array in arrays.items()}


def check_arrays(path: Path, state: State, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raise InputError unless the state has these arrays of these shapes."""
    for name, shape in shapes.items():
        if name not in state.arrays or state.arrays[name].shape != tuple(shape):
            raise _unusable(path, f"no array {name} of shape {shape}")


class Keeper:
    """Writes a checkpoint every so many seconds; 0 for after every step, infinity for never.

    It holds the last state in memory, so that a run that is interrupted loses no step.
    """

    def __init__(self, path: Path, seconds: float) -> None:
        self._path, self._seconds = path, seconds
        self._last = time.monotonic()
        self._unwritten: State | None = None

    def __call__(self, state: State) -> None:
        """Take the state after a step, and write it if it is time."""
        self._unwritten = state
        if time.monotonic() - self._last >= self._seconds:
            self.flush()
            self._last = time.monotonic()

    def flush(self) -> None:
        """Write the last state now, unless the file has it or none is wanted; hold it no longer."""
        if self._unwritten is not None and self._seconds < math.inf:
            write(self._path, self._unwritten)
        self._unwritten = None
