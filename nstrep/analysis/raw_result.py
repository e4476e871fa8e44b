"""raw.npz: the result of a run before the noise filter."""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from nstrep.base.errors import InputError
from nstrep.base.npz import FormatError, Stored, open_npz
from nstrep.base.text import reason
from nstrep.experiment import run_directory
from nstrep.images.decoding import MAX_PIXELS

HARMLESS, UNFOLDS = 2**26, 100
"""Bytes, and times its size in the file: what a picture may unfold to. Noise-like floats unfold to
less than twice; a bomb of a megabyte would take ten seconds.
"""


def load_raw(run: Path) -> np.ndarray:
    """Read the unfiltered result of a run, ``rgb01`` (H, W, 3).

    Raises:
        InputError: the folder holds no whole raw.npz.

    """
    path = run / run_directory.RAW
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
