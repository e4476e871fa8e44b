"""The state of an optimisation: named facts and arrays, from which it can be resumed."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class State:
    """Named facts and arrays at one moment of an optimisation."""

    facts: dict[str, Any]  # values for JSON; floating-point numbers come back to the last bit
    arrays: dict[str, np.ndarray] = field(default_factory=dict)  # of single precision

    def within(self, name: str) -> State:
        """The same with ``name.`` before every name, as a part of another state."""
        both = ({f"{name}.{key}": each[key] for key in each} for each in (self.facts, self.arrays))
        return State(*both)

    def part(self, name: str) -> State:
        """Inverse of :meth:`within`."""
        begin = f"{name}."
        both = (
            {key.removeprefix(begin): each[key] for key in each if key.startswith(begin)}
            for each in (self.facts, self.arrays)
        )
        return State(*both)

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
    """Whether a fact is a mapping from names to finite numbers."""
    return isinstance(value, dict) and all(
        type(item) in (int, float) and abs(item) <= sys.float_info.max for item in value.values()
    )


def is_list(value: Any, kinds: tuple[type, ...]) -> bool:
    """Whether a fact is a list of values of exactly these types."""
    return isinstance(value, list) and all(type(item) in kinds for item in value)
