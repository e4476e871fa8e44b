"""Where the results of stylising go: the file of each image, without losing another one."""

from __future__ import annotations

import json
import os
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import numpy as np

from nstrep import __version__
from nstrep.base.errors import InputError
from nstrep.base.files import sha256_of, writing
from nstrep.base.text import shown
from nstrep.base.untrusted import read_json
from nstrep.fast.settings import StylizeConfig
from nstrep.images import io
from nstrep.images.decoding import SUFFIXES
from nstrep.images.io import Picture

TEXT = "nstrep.stylize"
"""The text of a result: its settings and the hash of its image's file, as JSON."""


def about(config: StylizeConfig, picture: Picture) -> dict[str, str]:
    """The text of a result."""
    keys = ("model", "style", "strength", "color", "long_edge")
    facts = {key: getattr(config, key) for key in keys}
    facts |= {"image": picture.name, "image_sha256": picture.sha256, "nstrep": __version__}
    return {TEXT: json.dumps(facts, sort_keys=True)}


@dataclass(frozen=True)
class Source:
    """An image: a file, or bytes that were read from a pipe."""

    path: Path
    data: bytes | None = None

    def __str__(self) -> str:
        return shown(self.path) if self.data is None else "-"

    def load(self) -> Picture:
        """Read the image, or raise InputError."""
        stream = None if self.data is None else BytesIO(self.data)
        return io.load_picture(self.path, key="image", stream=stream)

    def sha256(self) -> str:
        """The hash of the file."""
        return sha256_of(self.path) if self.data is None else sha256(self.data).hexdigest()


@dataclass(frozen=True)
class Target:
    """A file to write; ``-`` for stdout."""

    path: Path

    @property
    def is_stdout(self) -> bool:
        """Whether this is stdout."""
        return self.path == Path("-")

    def __str__(self) -> str:
        return "stdout" if self.is_stdout else shown(self.path)

    def write(self, rgb01: np.ndarray, text: Mapping[str, str]) -> None:
        """Write a PNG with text. Raises ResultsError."""
        if self.is_stdout:
            data = io.encode_png(rgb01, text)
            with writing("out=-"), open(sys.stdout.fileno(), "wb", closefd=False) as stream:
                stream.write(data)
            return
        with writing(f"out={shown(self.path.parent)}"):
            self.path.parent.mkdir(parents=True, exist_ok=True)
        io.save_png(self.path, rgb01, text)

    def holds(self, source: Source) -> bool:
        """Whether the file was made by this command from the same image."""
        try:
            about = read_json(io.read_png_text(self.path)[TEXT])
            return about["image_sha256"] == source.sha256()
        except (InputError, KeyError, TypeError, ValueError):
            return False


def label(weights: Mapping[str, float] | str | None) -> str:
    """What a file's name has after the image's: ``-swirls``, ``-swirls0.5+wave0.5`` or nothing."""
    if weights is None:
        return ""
    if not isinstance(weights, str):
        names = [f"{name}{weight:.3g}" for name, weight in weights.items()]
        weights = "+".join(names if len(names) > 1 else weights)
    return "-" + re.sub(r"[^\w.+-]", "_", weights)


def plan(sources: Sequence[Source], out: str, end: str) -> dict[Source, Target]:
    """The file of each image's result, below the folder ``out``, or that file, or stdout.

    Images of several folders keep their subfolders. Raises InputError if ``out`` is one file for
    several images, or two images would have one result.
    """
    path = Path(os.path.expanduser(out))
    if out == "-" or (path.suffix.lower() in SUFFIXES and not path.is_dir()):
        if len(sources) > 1:
            raise InputError(f"out={out}: is one file for {len(sources)} pictures; name a folder")
        if out == "-" and sys.stdout.isatty():
            raise InputError("out=-: a terminal cannot show a PNG; redirect it to a file or a pipe")
        if out != "-" and path.suffix.lower() != ".png":
            raise InputError(f"out={out}: results are PNG files; must end in .png, or be a folder")
        return {sources[0]: Target(path)}
    top = os.path.commonpath([source.path.parent.absolute() for source in sources])
    places = [path / os.path.relpath(source.path.parent.absolute(), top) for source in sources]
    stems = Counter((place, source.path.stem) for place, source in zip(places, sources))
    names = [
        source.path.stem if stems[place, source.path.stem] == 1 else source.path.name
        for place, source in zip(places, sources)
    ]
    files = [place / f"{name}{end}.png" for place, name in zip(places, names)]
    if twice := [file for file, count in Counter(files).items() if count > 1]:
        raise InputError(f"out={out}: two pictures would be written to {shown(twice[0])}")
    return {source: Target(file) for source, file in zip(sources, files)}


def check(targets: Mapping[Source, Target], *, overwrite: bool) -> None:
    """Raise InputError if a result would replace a file that is no earlier one of its image.

    With ``overwrite``, only the images themselves are protected.
    """
    files = [source.path for source in targets if source.path.exists()]
    for source, target in targets.items():
        if target.is_stdout or not target.path.exists():
            continue
        if any(map(target.path.samefile, files)):
            raise InputError(f"out: {target} is one of the pictures")
        if not overwrite and not target.holds(source):
            raise InputError(
                f"out: {target} exists and is no earlier result of image={source};"
                " choose another out, or type overwrite=true to replace it"
            )
