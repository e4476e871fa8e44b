"""The errors that a user can meet: each is one plain line and has its own exit code."""

from __future__ import annotations

import errno

from nstrep.base.text import printable, reason

MAX_LENGTH = 4000  # characters of a message: a path of any length and the problem with it


class NstrepError(Exception):
    """Base of every error whose message is written for the user, not for a debugger.

    The message is one line that names what is wrong (a key, a file, a layer), the value that was
    found, and what is allowed or what to do. The command line prints it without a traceback.
    Unprintable characters are escaped, so a quoted value cannot begin another line.
    """

    exit_code = 1

    def __init__(self, message: object = "") -> None:
        line = printable(message)
        if len(line) > MAX_LENGTH:  # the problem is named before or after a long value
            line = f"{line[: MAX_LENGTH // 2]} ... {line[5 - MAX_LENGTH // 2 :]}"
        super().__init__(line)


class InputError(NstrepError):
    """A setting, a picture or a weights file cannot be used. Nothing has been computed yet."""

    exit_code = 2


class DivergedError(NstrepError):
    """The optimisation produced NaN or infinity. The curve and the last good picture are kept."""

    exit_code = 3


class ResultsError(NstrepError):
    """The results cannot be written: no permission, no space, or the folder was removed."""

    exit_code = 4

    @classmethod
    def of(cls, error: OSError) -> ResultsError:
        """An error of the operating system, with the file that it is about."""
        unnamed = "the current folder" if error.errno == errno.ENOENT else "the output"
        return cls(f"{error.filename or unnamed}: cannot be used ({reason(error)})")


class BusyError(NstrepError):
    """Another process is using the same run directory. It was not touched."""

    exit_code = 5


class WorkerError(NstrepError):
    """A process of a sweep was killed, by hand or for lack of memory."""

    exit_code = 6


class StoppedError(NstrepError):
    """The user interrupted a sweep."""

    exit_code = 130


class Refused(BaseException):
    """Carries a single run's error past Hydra, which would print lines of its own around it."""

    def __init__(self, error: NstrepError) -> None:
        super().__init__(str(error))
        self.error = error
