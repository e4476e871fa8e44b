"""``nstrep stylize style=swirls image=photo.jpg``: trained networks over images.

``--list`` shows the styles in this package, or with ``model=RUN`` those of a trained network.
"""

from __future__ import annotations

import contextlib
import glob
import logging
import os
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import numpy as np
import yaml

from nstrep.base import process_memory
from nstrep.base.command_line import plain_errors
from nstrep.base.errors import InputError, NstrepError
from nstrep.base.text import shown
from nstrep.config.arguments import parse
from nstrep.config.folder import config_folder
from nstrep.fast import results
from nstrep.fast.settings import StylizeConfig
from nstrep.images import io
from nstrep.images.decoding import SUFFIXES

log = logging.getLogger(__name__)

TILE = 1024  # side of the tiles, in pixels, if an image does not fit into memory
LEAST_TILE = 64  # below it, the many calls take far longer than the arithmetic
BYTES_PER_PIXEL = 1100  # most memory for an image that is computed whole, of all networks
ALL = "all"  # the style that stands for a sheet of all


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    with plain_errors():
        log.setLevel(logging.INFO)
        given = sys.argv[1:] if arguments is None else arguments
        if "--list" in given:
            print(listing([argument for argument in given if argument != "--list"]))
        else:
            stylize(configured(given))


def listing(arguments: list[str]) -> str:
    """The styles of this package or of a ``model=``, one a line."""
    from nstrep.fast.styles import Stylizer

    model = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
    if len(arguments) > 1 or set(model) != ({"model"} if arguments else set()):
        raise InputError(f"--list {' '.join(arguments)}: can only be typed with model=")
    titles = Stylizer(model.get("model")).titles()
    if not titles:
        return f"{shown(model['model'])}: one style, without a name"
    width = max(map(len, titles))
    return "\n".join(f"{name:{width}}  {title}".rstrip() for name, title in titles.items())


def configured(arguments: list[str]) -> StylizeConfig:
    """The settings in KEY=VALUE arguments; defaults are in configs/stylize.yaml."""
    defaults = yaml.safe_load((config_folder() / "stylize.yaml").read_text(encoding="utf-8"))
    config = parse(arguments, StylizeConfig, __doc__, defaults)
    if str(config.tile).isdecimal():
        config.tile = int(config.tile)
    elif config.tile != "auto":
        raise InputError(f"tile={config.tile}: must be auto or a whole number of pixels")
    if config.tile != "auto" and 0 < config.tile < LEAST_TILE:
        raise InputError(f"tile={config.tile}: must be 0, or at least {LEAST_TILE} pixels")
    return config


def stylize(config: StylizeConfig) -> list[Path]:
    """Stylise the images that the configuration names, and return the files written.

    Of several images, those that cannot be read are named and skipped. Raises InputError, before
    any work, if the network or all images cannot be used or a file would be lost; NstrepError in
    the end if images were skipped; ResultsError if results cannot be written.
    """
    files = pictures(config.image)
    # These take longer to import than the rest: only once there is something to do.
    from nstrep.fast.styles import Stylizer

    stylizer = Stylizer(config.model)
    sheet = config.style == ALL and bool(stylizer.styles)
    weights = None if sheet else stylizer.weights(config.style)
    targets = results.plan(files, config.out, results.label(ALL if sheet else weights))
    results.check(targets, overwrite=config.overwrite)
    written: list[Path] = []
    skipped: list[InputError] = []
    with _Progress(len(files)) as progress:
        for source, target in targets.items():
            start = time.perf_counter()
            try:
                picture = source.load()
                rgb01 = picture.rgb
                if config.long_edge:
                    rgb01 = io.resize_long_edge(rgb01, config.long_edge)
                stylizer.check_size(rgb01, f"image={source}")
            except InputError as error:
                skipped.append(error)
                if len(files) > 1:
                    log.warning("skipped: %s", error)
            else:
                tile = tile_of(config, *rgb01.shape[:2])
                apply = partial(
                    stylizer, strength=config.strength, color=config.color, tile=tile,
                    progress=progress,
                )  # fmt: skip
                result = _sheet(apply, rgb01, stylizer.styles) if sheet else apply(rgb01, weights)
                target.write(result, results.about(config, picture))
                written.append(target.path)
                (height, width), parts = result.shape[:2], f", in tiles of {tile}" if tile else ""
                seconds = time.perf_counter() - start
                log.info("%s: %d x %d in %.1f s%s", target, width, height, seconds, parts)
            progress(done=len(written) + len(skipped))
    if not written:
        raise skipped[0]
    if skipped:
        raise NstrepError(f"image={config.image}: stylised {len(written)}, skipped {len(skipped)}")
    return written


def _sheet(apply: Callable, rgb01: np.ndarray, styles: Iterable[str]) -> np.ndarray:
    """The image and each style's result, labelled, as one picture."""
    from nstrep.plots.panels import captioned

    return captioned({"image": rgb01, **{name: apply(rgb01, {name: 1.0}) for name in styles}})


class _Progress:
    """A bar over several images or over the tiles of one, on a terminal.

    tqdm is imported only for it: that takes as long as to decode an image.
    """

    def __init__(self, total: int) -> None:
        self.total, self.done, self._bar = total, 0, None
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> _Progress:
        if self.total > 1:
            self(0)
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def __call__(self, share: float = 0, *, done: int | None = None) -> None:
        """Show the number of images that are done, and the share of the next."""
        self.done = self.done if done is None else done
        if self._bar is None and sys.stderr.isatty() and (self.total > 1 or 0 < share < 1):
            from tqdm import tqdm
            from tqdm.contrib.logging import logging_redirect_tqdm

            self._stack.enter_context(logging_redirect_tqdm())
            self._bar = self._stack.enter_context(tqdm(total=self.total, unit="picture"))
        if self._bar is not None:
            self._bar.n = self.done + round(share, 2)
            self._bar.refresh()


def tile_of(config: StylizeConfig, height: int, width: int) -> int:
    """Side of the tiles for an image, in pixels; 0 to compute it whole."""
    if config.tile != "auto":
        return config.tile
    fits = BYTES_PER_PIXEL * height * width <= process_memory.SHARE * process_memory.available()
    return 0 if fits else TILE


def pictures(image: str) -> list[results.Source]:
    """What a path, folder or pattern names, sorted; or stdin. Raises InputError without any."""
    if image == "-":
        return [results.Source(Path("stdin"), sys.stdin.buffer.read())]
    path = os.path.expanduser(image)
    if os.path.isdir(path):
        files = [file for file in Path(path).iterdir() if file.suffix.lower() in SUFFIXES]
        missing = f"holds no picture ({', '.join(SUFFIXES)})"
    else:
        files = [Path(path)] if os.path.exists(path) else map(Path, glob.glob(path, recursive=True))
        missing = "there is no such picture, folder or pattern"
    files = sorted(file for file in files if not os.path.isdir(file))
    if not files:
        raise InputError(f"image={image}: {missing}")
    return [results.Source(file) for file in files]


if __name__ == "__main__":
    main()
