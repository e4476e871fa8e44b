"""The state of an optimisation: named facts and arrays, from which it can be resumed."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class State:
    """Named facts and arrays; one belongs to exactly one moment."""

    facts: dict[str, Any] = field(default_factory=dict)
    """What JSON can hold. Its floating-point numbers come back to the last bit."""
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    """Of single precision."""

    def within(self, name: str) -> State:
        """The same as a part of another state: see :meth:`part`."""
        return State(
            {f"{name}.{key}": value for key, value in self.facts.items()},
            {f"{name}.{key}": value for key, value in self.arrays.items()},
        )

    def part(self, name: str) -> State:
        """The part that was put in by :meth:`within`."""
        cut = lambda named: {  # noqa: E731
            key.removeprefix(f"{name}."): value
            for key, value in named.items()
            if key.startswith(f"{name}.")
        }
        return State(cut(self.facts), cut(self.arrays))

    def __or__(self, other: State) -> State:
        """Both together."""
        return State(self.facts | other.facts, self.arrays | other.arrays)


def is_count(value: Any) -> bool:
    """Whether a fact is a whole number from 0 on."""
    return type(value) is int and 0 <= value < 2**53


def is_number(value: Any) -> bool:
    """Whether a fact is a finite number from 0 on."""
    return type(value) in (int, float) and 0 <= value < 2**53


def is_numbers(value: Any) -> bool:
    """Whether a fact is finite numbers by name."""
    return isinstance(value, dict) and all(
        type(item) in (int, float) and abs(item) <= sys.float_info.max for item in value.values()
    )


def is_list(value: Any, kinds: tuple[type, ...]) -> bool:
    """Whether a fact is a list of values of exactly these types."""
    return isinstance(value, list) and all(type(item) in kinds for item in value)
