"""``nstrep stylize model=RUN image=photo.jpg``: a trained network over images."""

from __future__ import annotations

import contextlib
import glob
import logging
import os
import sys
import time
from collections import Counter
from pathlib import Path

from omegaconf import OmegaConf
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from nstrep.base import process_memory
from nstrep.base.command_line import plain_errors
from nstrep.base.errors import InputError, ResultsError
from nstrep.base.text import reason, shown
from nstrep.config.folder import config_folder
from nstrep.fast.config import StylizeConfig, parse
from nstrep.fast.data import SUFFIXES
from nstrep.images import io

log = logging.getLogger(__name__)

TILE = 1024  # side of the tiles, in pixels, if an image does not fit into memory
BYTES_PER_PIXEL = 1100  # most memory for an image that is computed whole, of all networks


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    with plain_errors():
        log.setLevel(logging.INFO)
        stylize(configured(sys.argv[1:] if arguments is None else arguments))


def configured(arguments: list[str]) -> StylizeConfig:
    """The settings in KEY=VALUE arguments; defaults are in configs/stylize.yaml."""
    defaults = OmegaConf.load(config_folder() / "stylize.yaml")
    config = parse(arguments, StylizeConfig, __doc__, defaults)
    if str(config.tile).isdecimal():
        config.tile = int(config.tile)
    elif config.tile != "auto":
        raise InputError(f"tile={config.tile}: must be auto or a whole number of pixels")
    return config


def stylize(config: StylizeConfig) -> list[Path]:
    """Stylise the images that the configuration names, and return the files written.

    Of several images, those that cannot be read are named and skipped. Raises InputError if the
    network or all images cannot be used, ResultsError if the folder cannot be written.
    """
    files = pictures(config.image)
    # These load MXNet, which is slow: only once there is something to do.
    from nstrep.fast import layouts, tiles
    from nstrep.fast.network import Transformer

    transformer = Transformer(*layouts.load(config.model))
    targets = _targets(config, files)
    written: list[Path] = []
    skipped: list[InputError] = []

    def progress(share: float) -> None:
        bar.n = len(written) + len(skipped) + round(share, 2)
        bar.refresh()

    def stylize_file(path: Path, target: Path) -> None:
        start = time.perf_counter()
        rgb01 = io.load_picture(path, key="image").rgb
        if config.long_edge:
            rgb01 = io.resize_long_edge(rgb01, config.long_edge)
        height, width = rgb01.shape[:2]
        transformer.check_size(height, width, f"image={shown(path)}")
        tile = tile_of(config, height, width)
        result = tiles.stylize(transformer, rgb01, tile, progress) if tile else transformer(rgb01)
        io.save_png(target, result.clip(0, 1))
        seconds, parts = time.perf_counter() - start, f", in tiles of {tile}" if tile else ""
        log.info("%s: %d x %d in %.1f s%s", target, width, height, seconds, parts)

    with logging_redirect_tqdm(), tqdm(total=len(files), unit="picture", disable=None) as bar:
        for path, target in targets.items():
            bar.set_postfix_str(path.name)
            try:
                stylize_file(path, target)
                written.append(target)
            except InputError as error:
                skipped.append(error)
                if len(files) > 1:
                    log.warning("skipped: %s", error)
            progress(0)
    if not written:
        with contextlib.suppress(OSError):  # not empty: it existed before
            target.parent.rmdir()
        raise skipped[0]
    if skipped:
        log.warning("stylised: %d, skipped: %d", len(written), len(skipped))
    return written


def _targets(config: StylizeConfig, files: list[Path]) -> dict[Path, Path]:
    """Make the folder of the results, and return the file of each."""
    folder = Path(os.path.expanduser(config.out))
    stems = Counter(path.stem for path in files)
    names = {path: path.stem if stems[path.stem] == 1 else path.name for path in files}
    targets = {path: folder / f"{name}.png" for path, name in names.items()}
    for target in targets.values():
        if target.exists() and any(map(target.samefile, filter(Path.exists, files))):
            raise InputError(f"out={config.out}: {shown(target)} is one of the pictures")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResultsError(f"out={folder}: cannot be made ({reason(error)})") from None
    return targets


def tile_of(config: StylizeConfig, height: int, width: int) -> int:
    """Side of the tiles for an image, in pixels; 0 to compute it whole."""
    from nstrep.experiment import memory_plan  # loads MXNet

    if config.tile != "auto":
        return config.tile
    fits = BYTES_PER_PIXEL * height * width <= memory_plan.SHARE * process_memory.available()
    return 0 if fits else TILE


def pictures(image: str) -> list[Path]:
    """The files that a path, folder or pattern names, sorted. Raises InputError without any."""
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
    return files


if __name__ == "__main__":
    main()
