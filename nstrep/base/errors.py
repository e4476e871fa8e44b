"""The errors that a user can meet: each is one plain line and has its own exit code."""

from __future__ import annotations

LONGEST = 4000
"""Letters of a message: enough for a path of any length and what is said about it."""


def printable(text: object) -> str:
    """Text with escapes for what would break or colour a line."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in str(text))


class NstrepError(Exception):
    """Base of every error whose message is written for the user, not for a debugger.

    The message is one line that names the thing that is wrong (a key, a file, a layer), what was
    found, and what is allowed or what to do. The command line prints it without a traceback.
    Values of users and files stand in it: what they hold cannot begin another line.
    """

    exit_code = 1

    def __init__(self, message: object = "") -> None:
        line = printable(message)
        if len(line) > LONGEST:  # what is wrong stands before a long value, or behind it
            line = f"{line[: LONGEST // 2]} ... {line[5 - LONGEST // 2 :]}"
        super().__init__(line)


class InputError(NstrepError):
    """A setting, a picture or a weights file cannot be used. Nothing has been computed yet."""

    exit_code = 2


class DivergedError(NstrepError):
    """The optimisation produced NaN or infinity. The curve and the last good picture are kept."""

    exit_code = 3


class ResultsError(NstrepError):
    """The results cannot be written: no permission, no space, or a folder that went away."""

    exit_code = 4


class BusyError(NstrepError):
    """Another process is at work in the same run directory. It was not touched."""

    exit_code = 5


class WorkerError(NstrepError):
    """A process of a sweep ended without a word, killed by hand or for want of memory."""

    exit_code = 6


class StoppedError(NstrepError):
    """The user interrupted a sweep."""

    exit_code = 130


class Refused(BaseException):
    """Carries a single run's error past Hydra, which would print lines of its own around it."""

    def __init__(self, error: NstrepError) -> None:
        super().__init__(str(error))
        self.error = error
