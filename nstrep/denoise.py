"""``python -m nstrep.denoise RUN --tv 0.05 0.1 0.2 --gaussian 1``: filter a result again.

A run keeps its raw result, so trying other filters costs no second optimisation.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from nstrep import images
from nstrep.errors import InputError, NstrepError
from nstrep.files import reason
from nstrep.postfilter import FILTERS, remove_noise


def load_raw(run: Path) -> np.ndarray:
    """Read the unfiltered result of a run, ``rgb01`` (H, W, 3).

    Raises:
        InputError: the folder holds no whole raw.npz.

    """
    path = run / "raw.npz"
    try:
        # Opened here: np.load leaves a damaged archive open.
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as stored:
            rgb01 = stored["rgb01"]
    except Exception as error:  # a damaged archive raises almost anything
        raise InputError(f"{path}: is not the raw result of a run ({reason(error)})") from None
    numbers = rgb01.dtype.kind == "f" and rgb01.ndim == 3 and rgb01.shape[2] == 3 and rgb01.size
    if not numbers or not np.isfinite(rgb01).all():
        raise InputError(f"{path}: holds an array of shape {rgb01.shape}, not a picture")
    return rgb01


def main(arguments: list[str] | None = None) -> None:
    """Write RUN/denoised/FILTER_STRENGTH.png for every filter and strength asked for."""
    parser = argparse.ArgumentParser(prog="python -m nstrep.denoise", description=__doc__)
    parser.add_argument("run", type=Path, help="a run directory")
    for name in FILTERS:
        parser.add_argument(f"--{name}", type=float, nargs="+", default=[], metavar="STRENGTH")
    options = parser.parse_args(arguments)
    wanted = [(name, strength) for name in FILTERS for strength in getattr(options, name)]
    try:
        if not wanted or any(not 0 <= strength < float("inf") for _, strength in wanted):
            raise InputError("name a filter with strengths of at least 0, such as --tv 0.1 0.2")
        rgb01 = load_raw(options.run)
        folder = options.run / "denoised"
        folder.mkdir(exist_ok=True)
        for name, strength in wanted:
            path = folder / f"{name}_{strength:g}.png"
            text = {"nstrep.denoise": json.dumps({"denoise": name, "remove_noise": strength})}
            images.save_png(path, remove_noise(rgb01, strength, name), text)
            print(path)
    except NstrepError as error:
        print(f"nstrep: error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
