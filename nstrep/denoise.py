"""``nstrep denoise RUN --tv 0.05 0.1 0.2 --gaussian 1``: filter a result again.

A run keeps its unfiltered result, so that other filters need no second optimisation.
"""

from __future__ import annotations

import json
from pathlib import Path

from nstrep.analysis.raw_result import load_raw
from nstrep.base.command_line import Parser, plain_errors
from nstrep.base.errors import InputError
from nstrep.config.fields import declared
from nstrep.config.schema import ExperimentConfig
from nstrep.experiment import run_directory
from nstrep.images import io
from nstrep.images.filters import FILTERS, remove_noise


def main(arguments: list[str] | None = None) -> None:
    """Write RUN/denoised/FILTER_STRENGTH.png for every filter and strength."""
    parser = Parser(__doc__)
    parser.add_argument("run", type=Path, help="a run directory")
    for name in FILTERS:
        parser.add_argument(f"--{name}", type=float, nargs="+", default=[], metavar="STRENGTH")
    options = parser.parse_args(arguments)
    filters = [(name, strength) for name in FILTERS for strength in getattr(options, name)]
    with plain_errors():
        *_, most = declared(ExperimentConfig)["remove_noise"].limits
        if not filters or not all(0 <= strength <= most for _, strength in filters):
            raise InputError(f"name a filter with strengths from 0 to {most}, such as --tv 0.1 0.2")
        rgb01 = load_raw(options.run)
        folder = options.run / run_directory.DENOISED
        folder.mkdir(exist_ok=True)
        for name, strength in filters:
            path = folder / f"{name}_{strength:g}.png"
            text = {"nstrep.denoise": json.dumps({"denoise": name, "remove_noise": strength})}
            io.save_png(path, remove_noise(rgb01, strength, name), text)
            print(path)


if __name__ == "__main__":
    main()
