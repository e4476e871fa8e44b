"""The command ``nstrep``: ``nstrep run`` is ``python -m nstrep.run``, and so are the others."""

from __future__ import annotations

import os
import sys
from importlib import import_module

from nstrep.base.command_line import answer, closed_pipe_is_quiet, fail
from nstrep.base.errors import InputError
from nstrep.base.text import shown

COMMANDS = {
    "run": ("nstrep.run", "make an image, or with --multirun a sweep of images"),
    "report": ("nstrep.report.__main__", "write one HTML page of the runs in a folder"),
    "plot": ("nstrep.plot", "draw figures of a run or a sweep"),
    "collect": ("nstrep.collect", "write the table of the runs in a folder"),
    "denoise": ("nstrep.denoise", "filter the result of a run again"),
    "replicate": ("nstrep.replicate", "run published claims and report which are replicated"),
    "train": ("nstrep.fast.train", "train a fast network for a style"),
    "stylize": ("nstrep.fast.stylize", "apply a trained network to images"),
    "export": ("nstrep.fast.export", "write a trained network as ONNX"),
    "assets": ("nstrep.assets.__main__", "list and download networks and paintings"),
}
"""Modules whose ``main`` is the command, and what it does."""

COMPOSED = ("run", "train")  # by Hydra, which completes their arguments


def main() -> None:
    """Run the command that the command line names, and exit."""
    with closed_pipe_is_quiet():
        try:
            name, *arguments = sys.argv[1:] or ["--help"]
            if name == "-sc":
                name = _completed()
            elif name in COMMANDS:
                sys.argv[1:] = arguments
            else:
                answer([name], _usage())
                fail(InputError(_unknown(name)))
            sys.exit(import_module(COMMANDS[name][0]).main())
        except KeyboardInterrupt:
            sys.exit(130)


def _usage() -> str:
    commands = "\n".join(f"  {name:<11}{about}" for name, (_, about) in COMMANDS.items())
    return f"""\
usage: nstrep COMMAND [KEY=VALUE ...] [--OPTION ...]

Neural style transfer on MXNet, measured. run, train, replicate, stylize and export take settings
as KEY=VALUE; report, plot, collect, denoise and assets take folders or names, and --OPTIONS.

Commands (nstrep COMMAND --help explains each):
{commands}

The first picture:  nstrep run style=vangogh
Your own images:    nstrep run content_image=photo.jpg style_image=painting.png
Completion by TAB:  eval "$(nstrep run -sc install=bash)"
"""


def _unknown(name: str) -> str:
    from nstrep.config.messages import one_of

    if "=" in name:
        return f"{name}: the command is missing, as in  nstrep run {name}"
    return f"{shown(name)}: must be {one_of(name, COMMANDS)}"


def _completed() -> str:
    """The command whose arguments are completed, for Hydra; else its name is, and the end."""
    line = os.environ.get("COMP_LINE", "")
    words = line.split()[1:]
    if len(words) + line.endswith(" ") < 2:
        print(*COMMANDS)
    if len(words) + line.endswith(" ") < 2 or words[0] not in COMPOSED:
        sys.exit()
    os.environ["COMP_LINE"] = line.replace(words[0], "", 1)
    return words[0]


if __name__ == "__main__":
    main()
