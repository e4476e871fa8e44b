"""raw.npz: the result of a run before the noise filter."""

import math
from pathlib import Path

import numpy as np

from nstrep.base.errors import InputError
from nstrep.base.npz import FormatError, open_npz
from nstrep.base.text import reason
from nstrep.experiment import run_directory
from nstrep.images.decoding import MAX_PIXELS

HARMLESS, UNFOLDS = 2**26, 100
"""Bytes, and times its size in the file: what a picture may unfold to. Noise-like floats unfold to
less than twice; a bomb of a megabyte would take ten seconds.
"""


def load_raw(run: Path) -> np.ndarray:
    """Read the unfiltered result of a run, ``rgb01`` (H, W, 3); InputError if it is damaged."""
    path = run / run_directory.RAW
    try:
        with open_npz(path) as stored:
            if "rgb01" not in stored:
                raise FormatError("holds no array rgb01")
            array = stored["rgb01"]  # measured before it is loaded
            dtype, shape, packed = array.dtype, array.shape, path.stat().st_size
            is_image = dtype.startswith("float") and len(shape) == 3 and shape[2] == 3
            if not is_image or not 0 < math.prod(shape[:2]) <= MAX_PIXELS:
                raise FormatError(f"holds {dtype} of shape {shape}, not a picture")
            size = math.prod(shape) * np.dtype(dtype).itemsize
            if size > max(HARMLESS, UNFOLDS * packed):
                raise FormatError(f"unfolds to {size} bytes from {packed}, as no picture does")
            rgb01 = array.read()
    except (FormatError, OSError, ValueError) as error:
        raise InputError(f"{path}: is not the raw result of a run ({reason(error)})") from None
    if not np.isfinite(rgb01).all():
        raise InputError(f"{path}: has values that are NaN or infinite")
    return rgb01
