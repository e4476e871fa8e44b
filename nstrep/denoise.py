"""``python -m nstrep.denoise RUN --tv 0.05 0.1 0.2 --gaussian 1``: filter a result again.

A run keeps its raw result, so trying other filters costs no second optimisation.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from nstrep import images
from nstrep.arrays import FormatError, Stored, open_npz
from nstrep.decoding import MAX_PIXELS
from nstrep.errors import InputError, NstrepError
from nstrep.files import reason
from nstrep.postfilter import FILTERS, remove_noise

HARMLESS, UNFOLDS = 2**26, 100
"""Bytes, and times its size in the file: what a picture may unfold to. Noise-like floats unfold to
less than twice; a bomb of a megabyte would take ten seconds.
"""


def load_raw(run: Path) -> np.ndarray:
    """Read the unfiltered result of a run, ``rgb01`` (H, W, 3).

    Raises:
        InputError: the folder holds no whole raw.npz.

    """
    path = run / "raw.npz"
    try:
        with open_npz(path) as stored:
            rgb01 = _picture(stored, path.stat().st_size)
    except (FormatError, OSError, ValueError) as error:
        said = f"{path}: is not the raw result of a run ({reason(error)})"
        raise InputError(said) from None
    if not np.isfinite(rgb01).all():
        raise InputError(f"{path}: has values that are NaN or infinite")
    return rgb01


def _picture(stored: Mapping[str, Stored], packed: int) -> np.ndarray:
    """The picture of a raw.npz, which is measured before it is loaded."""
    if "rgb01" not in stored:
        raise FormatError("holds no array rgb01")
    found = stored["rgb01"]
    right = found.dtype.startswith("float") and len(found.shape) == 3 and found.shape[2] == 3
    if not right or not 0 < math.prod(found.shape[:2]) <= MAX_PIXELS:
        raise FormatError(f"holds {found.dtype} of shape {found.shape}, not a picture")
    size = math.prod(found.shape) * np.dtype(found.dtype).itemsize
    if size > max(HARMLESS, UNFOLDS * packed):
        raise FormatError(f"unfolds to {size} bytes from {packed}, as no picture does")
    return found.read()


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
