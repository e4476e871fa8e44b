"""For the commands: help, errors as one plain line with their exit code, one-line log records."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

import nstrep
from nstrep.base import signals
from nstrep.base.errors import InputError, NstrepError, ResultsError
from nstrep.base.text import printable

VERSION = f"nstrep {nstrep.__version__}"


def synopsis(doc: str) -> tuple[str, str]:
    """Usage and description in a command's docstring, which begins with "``USAGE``: "."""
    usage, _, text = doc.removeprefix("``").partition("``: ")
    return usage, text[:1].upper() + text[1:].rstrip()


def fail(error: NstrepError) -> NoReturn:
    """Print an error as one line on stderr, and exit with its code."""
    print(f"nstrep: error: {error}", file=sys.stderr)
    sys.exit(error.exit_code)


class Parser(argparse.ArgumentParser):
    """Parser of a command, with ``--version``; an error is one line."""

    def __init__(self, doc: str, **settings: Any) -> None:
        usage, text = synopsis(doc)
        super().__init__(prog=" ".join(usage.split()[:2]), description=text, **settings)
        self.add_argument("--version", action="version", version=VERSION)

    def error(self, message: str) -> NoReturn:
        """Exit with the message."""
        fail(InputError(message))


def answer(arguments: Sequence[str], usage: str = "") -> None:
    """Print the usage or the version and exit, if the arguments ask for it."""
    asked = set(arguments)
    if usage and asked & {"-h", "--help"}:
        print(usage.strip())
    elif "--version" in asked:
        print(VERSION)
    else:
        return
    sys.exit()


class LineFormatter(logging.Formatter):
    """Writes one line for each message, whatever the names of files and pictures in it hold."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802, D102
        record.message = printable(record.message)
        return super().formatMessage(record)


@contextlib.contextmanager
def closed_pipe_is_quiet() -> Iterator[None]:
    """Exit without a message if the reader of stdout is gone, as after ``| head``."""
    try:
        try:
            yield
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes stdout once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)  # as a program that the signal ended


@contextlib.contextmanager
def plain_errors() -> Iterator[None]:
    """:func:`fail` with an error that is raised in the block."""
    handler = logging.StreamHandler()
    handler.setFormatter(LineFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    try:
        with signals.sigterm_interrupts(), closed_pipe_is_quiet():
            yield
    except NstrepError as error:
        fail(error)
    except OSError as error:
        fail(ResultsError.of(error))
    except KeyboardInterrupt as stop:
        print("nstrep: interrupted", file=sys.stderr)
        sys.exit(signals.exit_code(stop))


class LogFile(logging.FileHandler):
    """A run's log file. On a full disk its lines are dropped: the log must not end the run."""

    def emit(self, record: logging.LogRecord) -> None:  # noqa: D102
        with contextlib.suppress(OSError):  # of opening the file
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Do nothing, where the default prints a traceback."""
