"""Time and memory of one iteration against the picture's size, whole and in tiles.

python -m benchmarks.growth                                   # VGG-19, 256 to 2048 px
python -m benchmarks.growth --model vgg19_slim --sizes 256 512 1024
The memory is also set against the estimate that a run makes before it starts (nstrep/memory.py).
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from benchmarks import harness

SIZES = (256, 362, 512, 724, 1024, 1448, 2048)


def main() -> None:
    """Measure in rounds, print a table with slopes, write the CSV."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=harness.MODELS, default="vgg19")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--tile", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--count", type=int, default=2, help="iterations in each process")
    given = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        problems = {size: Path(folder) / f"{size}.npz" for size in given.sizes}
        for size, path in problems.items():
            harness.write_problem(path, given.model, size)
        for turn in range(given.rounds):
            for size, path in problems.items():
                for tile in (0, given.tile):
                    harness.progress(f"round {turn + 1}: {size} pixels, tile {tile or 'null'}")
                    what = (path, given.model, "iterate", "noise", given.count, tile)
                    found = harness.child("benchmarks.ours", *what)
                    rows.append(
                        {
                            "model": given.model,
                            "size": size,
                            "tile": tile,
                            "round": turn,
                            "seconds": float(np.median(found["seconds"])),
                            "cpu_seconds": float(np.median(found["cpu"])),
                            "added_mb": found["peak_mb"] - found["before_mb"],
                            "estimate_mb": found["estimate_mb"],
                            "load": harness.load(),
                        }
                    )
    harness.write_csv(f"growth_{given.model}", rows)
    print(summary(rows))


def summary(rows: list[dict]) -> str:
    """Medians by size, and the slopes of their logarithms against that of the pixels."""
    lines, slopes = [], []
    keys = ("seconds", "cpu_seconds", "added_mb", "estimate_mb")
    for tile in sorted({int(row["tile"]) for row in rows}):
        medians = []
        for size in sorted({int(row["size"]) for row in rows}):
            mine = [row for row in rows if (int(row["size"]), int(row["tile"])) == (size, tile)]
            each = [float(np.median([float(row[key]) for row in mine])) for key in keys]
            medians.append((size**2, *each))
            lines.append([size, tile or "whole", *each, each[3] / each[2]])
        larger = [each for each in medians if each[0] > tile**2] if tile else medians
        if len(larger) > 1:
            logs = np.log(np.array(larger))
            fit = [np.polyfit(logs[:, 0], logs[:, column], 1)[0] for column in (1, 2, 3)]
            slopes.append([tile or "whole", *map(float, fit)])
    header = (
        "pixels a side", "tile", "seconds", "CPU seconds", "MB added", "MB estimated",
        "estimate / measured",
    )  # fmt: skip
    fitted = ("tile", "slope of seconds", "of CPU seconds", "of memory")
    return f"{harness.table(header, lines)}\n\n{harness.table(fitted, slopes)}"


if __name__ == "__main__":
    main()
