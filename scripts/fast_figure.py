"""Write results/fast/: images and losses of a trained network and of the untrained one.

python -m nstrep.fast.train style=swirls
python scripts/fast_figure.py results/fast/runs/style=swirls
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from nstrep.fast import layouts
from nstrep.fast.network import Transformer, initial
from nstrep.images import io

ROOT = Path(__file__).resolve().parents[1]
HEIGHT = 224
ROWS = ("total", "content_loss", "style_loss", "tv_loss")


def main(run: Path) -> None:
    """Write results/fast/NAME.jpg, NAME_loss.png and README.md from a finished run."""
    metrics = json.loads((run / "metrics.json").read_text())
    name = metrics["style"]["name"]
    trained = Transformer(*layouts.load(run))
    untrained = Transformer(trained.net, initial(trained.net, metrics["seed"]))
    columns = []
    for held in metrics["data"]["held_out"]:
        photo = io.builtin(held).rgb
        photo = io.resize_to(photo, HEIGHT, HEIGHT * photo.shape[1] // photo.shape[0])
        columns.append(np.concatenate([photo, untrained(photo), trained(photo)]).clip(0, 1))
    sheet = np.concatenate(columns, axis=1)
    target = ROOT / "results" / "fast"
    target.mkdir(parents=True, exist_ok=True)
    Image.fromarray(io.to_uint8(sheet)).save(target / f"{name}.jpg", quality=88)
    shutil.copy(run / "loss.png", target / f"{name}_loss.png")
    table = "\n".join(
        f"| {row} | {metrics['validation_at_start'][row]:.4g}"
        f" | {metrics['validation_of_identity'][row]:.4g} | {metrics['validation'][row]:.4g} |"
        for row in ROWS
    )
    held = " and ".join(metrics["data"]["held_out"])
    (target / "README.md").write_text(
        f"""# A network trained for a style

    python -m nstrep.fast.train style={name}
    python scripts/fast_figure.py results/fast/runs/style={name}

{metrics["steps"]} updates ({metrics["crops"]} crops of {metrics["data"]["pictures"]} images in
scikit-image) of `fast/net={metrics["net"]}` against {metrics["model"]["name"]}, in
{metrics["seconds"] / 60:.0f} minutes on a machine that did other work too. {held.capitalize()} were
held out. Rows: the content image, the untrained network, the trained network.

![]({name}.jpg)

Losses on the held-out images; the identity is the network that returns its input:

| loss | untrained | identity | trained |
|---|---|---|---|
{table}

![]({name}_loss.png)
"""
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
