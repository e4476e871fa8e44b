"""``python -m nstrep.fast.stylize model=RUN image=photo.jpg``: pictures through a trained network.

model=RUN_OR_FILE   a run of nstrep.fast.train, or a file: its net.npz, a .pth of
pytorch/examples, an .npz of lengstrom's variables
image=FILE          or a folder, or a pattern such as 'photos/*.jpg'
out=FOLDER          of the results, each NAME.png
long_edge=1024      scale pictures first; 0: their own size
tile=512            work in tiles, which keeps the memory small and leaves no seams; 0: at once;
auto, the default: at once if it fits into the memory
"""

from __future__ import annotations

import contextlib
import glob
import logging
import os
import sys
import time
from dataclasses import fields
from pathlib import Path

from omegaconf import OmegaConf
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from nstrep.base import process_memory
from nstrep.base.command_line import plain_errors
from nstrep.base.errors import InputError, ResultsError
from nstrep.base.text import reason, shown
from nstrep.config.checks import typed
from nstrep.config.folder import config_folder
from nstrep.config.messages import unknown_key
from nstrep.fast.config import StylizeConfig
from nstrep.fast.data import SUFFIXES
from nstrep.images import io

log = logging.getLogger(__name__)

PARAMETERS = "net.npz"
"""Inside a run of nstrep.fast.train."""

TILE = 1024
"""Pixels, where a picture does not fit into the memory."""

BYTES = 1100
"""For each pixel of a picture that is stylised at once, at most: measured on every network."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    given = sys.argv[1:] if arguments is None else arguments
    if not given or {"-h", "--help"} & set(given):
        print(__doc__)
        return
    with plain_errors():
        log.setLevel(logging.INFO)
        with logging_redirect_tqdm():
            stylize(configured(given))


def configured(arguments: list[str]) -> StylizeConfig:
    """What KEY=VALUE arguments come to; values are taken as they are.

    Raises:
        InputError: an argument that is none, or a key or value that is not allowed.

    """
    values = OmegaConf.load(config_folder() / "stylize.yaml")
    known = [item.name for item in fields(StylizeConfig)]
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals:
            raise InputError(f"{argument}: must be KEY=VALUE, with one of {', '.join(known)}")
        if key not in known:
            raise InputError(f"{unknown_key(key, StylizeConfig)} (one of {', '.join(known)})")
        if not value:
            raise InputError(f"{key}=: no value is given")
        values[key] = int(value) if key == "tile" and value.isdecimal() else value
    config = typed(values, StylizeConfig)
    if config.tile != "auto" and type(config.tile) is not int:
        raise InputError(f"tile={config.tile}: must be auto or a whole number of pixels")
    return config


def stylize(config: StylizeConfig) -> list[Path]:
    """Stylise what the configuration names, and return the files.

    Of several pictures, one that cannot be read is named and skipped.

    Raises:
        InputError: the network or the pictures cannot be used.
        ResultsError: the folder cannot be written.

    """
    found = pictures(config.image)
    # Loads MXNet: only once there is something to do.
    from nstrep.fast import layouts, tiles
    from nstrep.fast.network import Transformer

    net, parameters = layouts.load(model_file(config.model))
    transformer = Transformer(net, parameters)
    folder = Path(config.out).expanduser()
    names = result_names(found)
    for path in found:
        target = folder / f"{names[path]}.png"
        if target.exists() and any(map(target.samefile, filter(Path.exists, found))):
            raise InputError(f"out={config.out}: {shown(target)} is one of the pictures")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResultsError(f"out={folder}: cannot be made ({reason(error)})") from None
    written: list[Path] = []
    failed: list[InputError] = []
    with tqdm(total=len(found), unit="picture", disable=None) as bar:

        def tell(share: float) -> None:
            bar.n = len(written) + len(failed) + round(share, 2)
            bar.refresh()

        for path in found:
            bar.set_postfix_str(path.name)
            began = time.perf_counter()
            try:
                rgb01 = io.load_picture(path, key="image").rgb
                if config.long_edge:
                    rgb01 = io.resize_long_edge(rgb01, config.long_edge)
                transformer.check_size(*rgb01.shape[:2], f"image={shown(path)}")
            except InputError as error:
                failed.append(error)
                if len(found) > 1:
                    log.warning("skipped: %s", error)
                continue
            tile = tile_of(config, *rgb01.shape[:2])
            result = tiles.stylize(transformer, rgb01, tile, tell) if tile else transformer(rgb01)
            target = folder / f"{names[path]}.png"
            io.save_png(target, result.clip(0, 1))
            written.append(target)
            bar.update(len(written) + len(failed) - bar.n)
            height, width = rgb01.shape[:2]
            seconds = time.perf_counter() - began
            parts = f", in tiles of {tile}" if tile else ""
            log.info("%s: %d x %d in %.1f s%s", target, width, height, seconds, parts)
    if not written:
        with contextlib.suppress(OSError):  # not empty: not made here
            folder.rmdir()
        raise failed[0]
    if failed:
        log.warning("stylised: %d, skipped: %d", len(written), len(failed))
    return written


def tile_of(config: StylizeConfig, height: int, width: int) -> int:
    """Side of the tiles for a picture; 0 for the whole at once."""
    from nstrep.experiment import memory_plan  # loads MXNet

    if config.tile != "auto":
        return config.tile
    return TILE if BYTES * height * width > memory_plan.SHARE * process_memory.available() else 0


def model_file(model: str) -> Path:
    """The parameters of a run, or the file itself.

    Raises:
        InputError: a folder without net.npz.

    """
    path = Path(os.path.expanduser(model))
    if not os.path.isdir(path):
        return path
    if not os.path.isfile(path / PARAMETERS):
        raise InputError(f"model={model}: holds no {PARAMETERS}: no run that has finished")
    return path / PARAMETERS


def pictures(image: str) -> list[Path]:
    """The files that a path, folder or pattern names, sorted.

    Raises:
        InputError: there are none.

    """
    path = Path(os.path.expanduser(image))
    if os.path.isdir(path):
        suffixed = (file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
        found = [file for file in suffixed if not file.is_dir()]
        if not found:
            raise InputError(f"image={image}: holds no picture ({', '.join(SUFFIXES)})")
    elif os.path.exists(path):
        return [path]
    else:
        found = [Path(name) for name in glob.glob(str(path), recursive=True)]
        found = [file for file in found if os.path.isfile(file)]
    if not found:
        raise InputError(f"image={image}: there is no such picture, folder or pattern")
    return sorted(found)


def result_names(found: list[Path]) -> dict[Path, str]:
    """Name of each result, without its suffix: pictures that share one keep their suffixes."""
    stems = [path.stem for path in found]
    return {path: path.name if stems.count(path.stem) > 1 else path.stem for path in found}


if __name__ == "__main__":
    main()
