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

MOST_FACTS = 2**24
"""Bytes: a training names all pictures that it could not read."""

FACTS = "facts"


def write(path: Path, state: State) -> None:
    """Write a state; the one before stays until the new one is whole.

    Raises:
        ResultsError: it cannot be written.

    """
    packed = np.frombuffer(json.dumps(state.facts).encode(), np.uint8)
    # Array by array, not np.savez: on a full disk that leaves an archive open, which complains
    # when it is dropped. Uncompressed: gradients do not compress, and it takes a second.
    with atomic_write(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, array in {FACTS: packed, **state.arrays}.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, np.asarray(array), (1, 0), allow_pickle=False)


def read(path: Path, right: Mapping[str, Callable[[Any], bool]], identity: str) -> State:
    """Read a state of which nothing is known but who may use it.

    Args:
        path: of the file.
        right: for every fact that is needed, whether a value may be one.
        identity: what the fact of this name must be.

    Raises:
        InputError: it is damaged, or belongs to something else.

    """
    try:
        with open_npz(path) as stored:
            facts = _facts(stored, {"identity": lambda value: isinstance(value, str), **right})
            arrays = {}
            if facts["identity"] == identity:
                # Written unpacked: a small file cannot hold arrays that fill the memory.
                arrays = _arrays(stored, path.stat().st_size)
    except (FormatError, OSError, ValueError) as error:
        raise InputError(
            f"{shown(path)}: is no checkpoint ({reason(error)}); remove it to begin anew"
        ) from None
    if facts["identity"] != identity:
        raise InputError(
            f"{shown(path)}: belongs to a run with other settings, pictures or weights;"
            " name another folder with hydra.run.dir=..."
        )
    return State(facts, arrays)


def _facts(
    stored: Mapping[str, Stored], right: Mapping[str, Callable[[Any], bool]]
) -> dict[str, Any]:
    if FACTS not in stored or math.prod(stored[FACTS].shape) > MOST_FACTS:
        raise FormatError("holds no facts")
    facts = read_json(stored[FACTS].read().tobytes().decode())
    if not isinstance(facts, dict):
        raise FormatError("holds no facts")
    for name, fits in right.items():
        if name not in facts or not fits(facts[name]):
            raise FormatError(f"has {name}={facts.get(name)!r}")
    return facts


def _arrays(stored: Mapping[str, Stored], most: int) -> dict[str, np.ndarray]:
    found = {}
    size = 4 * sum(math.prod(array.shape) for name, array in stored.items() if name != FACTS)
    if size > most:
        raise FormatError(f"holds {size} bytes of arrays, the file has {most}")
    for name, array in stored.items():
        if name == FACTS:
            continue
        if array.dtype != "float32":
            raise FormatError(f"has {name} as {array.dtype}")
        # Infinity is no damage: where gradients are huge, Adam's variance overflows and the step
        # becomes zero. NaN shows in the next losses.
        found[name] = array.read()
    return found


def check_arrays(path: Path, state: State, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse a state without these arrays.

    Raises:
        InputError: one is missing, or has another shape.

    """
    for name, shape in shapes.items():
        if name not in state.arrays or state.arrays[name].shape != tuple(shape):
            raise InputError(
                f"{shown(path)}: is no checkpoint (no array {name} of shape {shape});"
                " remove it to begin anew"
            )


class Keeper:
    """Writes a checkpoint every so many seconds, so that its price is known beforehand."""

    def __init__(self, path: Path, seconds: float) -> None:
        """Count from now.

        Args:
            path: of the checkpoint.
            seconds: that pass between two; 0 for one after every step.

        """
        self._path, self._seconds = path, seconds
        self._last = time.monotonic()

    def __call__(self, state: Callable[[], State]) -> None:
        """Write what ``state`` gives if it is time.

        Raises:
            ResultsError: it cannot be written.

        """
        if time.monotonic() - self._last >= self._seconds:
            write(self._path, state())
            self._last = time.monotonic()
