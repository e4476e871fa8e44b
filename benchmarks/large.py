"""Peak memory of a whole run on an image of 3840 x 2160 pixels, in tiles.

python -m benchmarks.large                        # some minutes
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from benchmarks import harness

WIDTH, HEIGHT = 3840, 2160

WAYS = {
    "optimizer=adam": ["optimizer=adam"],
    "L-BFGS, 3 corrections": ["optimizer.corrections=3"],
}


def main() -> None:
    """Run each way once, print a table, write the CSV."""
    from nstrep.images import io

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--tile", type=int, default=768)
    given = parser.parse_args()
    rows = []
    environment = {**os.environ, "PYTHONPATH": str(harness.ROOT), "TQDM_DISABLE": "1"}
    with tempfile.TemporaryDirectory() as folder:
        photo, painting = Path(folder) / "photo.png", Path(folder) / "painting.png"
        io.save_png(photo, io.resize_to(io.builtin("chelsea").rgb, HEIGHT, WIDTH))
        io.save_png(painting, io.builtin("coffee").rgb)
        for way, overrides in WAYS.items():
            out = Path(folder) / f"run{len(rows)}"
            done = subprocess.run(
                [
                    sys.executable, "-m", "nstrep.run", f"content_image={photo}",
                    f"style_image={painting}", "style_scale=0.25", f"max_long_edge={WIDTH}",
                    f"max_num_epochs={given.epochs}", "stop_eps=0", "remove_noise=0",
                    "save_epochs=0", "model=vgg19_slim", f"tile={given.tile}",
                    f"hydra.run.dir={out}", *overrides,
                ],
                capture_output=True, text=True, env=environment, cwd=folder,
            )  # fmt: skip
            if done.returncode:
                raise SystemExit(f"{way}: {done.stderr.strip()[-2000:]}")
            metrics = json.loads((out / "metrics.json").read_text())
            with Image.open(out / "final.png") as result:
                size = result.size
            rows.append(
                {
                    "model": "vgg19_slim",
                    "size": f"{size[0]} x {size[1]}",
                    "way": way,
                    "tile": given.tile,
                    "round": 0,
                    "epochs": metrics["epochs"],
                    "seconds_per_epoch": metrics["seconds_per_epoch"],
                    "peak_mb": metrics["peak_memory_mb"],
                    "before_mb": metrics["memory_before_mb"],
                    "load": harness.load(),
                }
            )
            harness.progress(str(rows[-1]))
    harness.write_csv("large_vgg19_slim", rows)
    print(summary(rows))


def summary(rows: list[dict]) -> str:
    """Peak memory, memory before the objective was created, and seconds per epoch."""
    lines = [
        [
            row["way"], row["tile"], f"{float(row['peak_mb']):.0f}",
            f"{float(row['before_mb']):.0f}", float(row["seconds_per_epoch"]),
        ]
        for row in rows
    ]  # fmt: skip
    return harness.table(("way", "tile", "peak MB", "MB before", "seconds an epoch"), lines)


if __name__ == "__main__":
    main()
