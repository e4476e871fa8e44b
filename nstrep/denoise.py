"""``python -m nstrep.denoise RUN --tv 0.05 0.1 0.2 --gaussian 1``: filter a result again.

A run keeps its raw result, so trying other filters costs no second optimisation.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from nstrep.analysis.raw_result import load_raw
from nstrep.base.errors import InputError, NstrepError
from nstrep.experiment import run_directory
from nstrep.images import io
from nstrep.images.filters import FILTERS, remove_noise


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
        folder = options.run / run_directory.DENOISED
        folder.mkdir(exist_ok=True)
        for name, strength in wanted:
            path = folder / f"{name}_{strength:g}.png"
            text = {"nstrep.denoise": json.dumps({"denoise": name, "remove_noise": strength})}
            io.save_png(path, remove_noise(rgb01, strength, name), text)
            print(path)
    except NstrepError as error:
        print(f"nstrep: error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
