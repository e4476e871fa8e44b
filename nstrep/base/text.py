"""Values of users, files and exceptions as one printable line of text."""

from __future__ import annotations

import os


def printable(text: object) -> str:
    """Text with escapes in place of characters that would break or colour a line."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in str(text))


def one_line(text: object, length: int = 500) -> str:
    """Any value as one line of printable text, cut to ``length`` characters."""
    line = printable(" ".join(str(text).split()))
    return line if len(line) <= length else line[: length - 3] + "..."


def counted(number: int, noun: str) -> str:
    """A number with its noun: 1 run, 2 runs."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def shown(path: str | os.PathLike[str]) -> str:
    """A path for a one-line message: as given, or quoted and escaped if it is not printable."""
    text = os.fspath(path)
    return text if text and text.isprintable() else ascii(text)


def reason(error: BaseException) -> str:
    """The message of an exception on one line of at most 200 characters; never empty."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return printable(" ".join(text.split()))[:200] or type(error).__name__


def duration(seconds: float) -> str:
    """A duration for reading: 4 s, 12 min, 2 h 5 min."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
