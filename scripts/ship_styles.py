#!/usr/bin/env python3
"""Put a trained network of several styles into the package, with its card.

    python scripts/ship_styles.py results/fast/runs/many

writes nstrep/fast/styles.npz in half precision, and styles.json beside it: the styles with title
and painter, what the network was trained on, the held-out losses of each style, settings, versions
and hashes. Trainings that it was initialised from are on the card too, the first one first; so are
those of the network that is in the package now, if it was initialised from that. With
--changed NOTE it was initialised from a file that was made from that network as NOTE says.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from nstrep.base.files import sha256_of
from nstrep.config.folder import config_folder
from nstrep.fast import layouts, styles
from nstrep.images.io import STAND_INS

DRAWN = "drawn by this project"
# Paintings in the public domain that a network may be trained on, by the stem of the file.
PAINTERS = {"starry_night": ("The Starry Night", "Vincent van Gogh, 1889, public domain")}
KEYS = (
    "recipe", "content_weight", "content_weights", "style_weight", "tv_weight", "content_layers",
    "style_layers", "losses", "pooling", "grid_weight", "preprocess", "style_size", "data", "lr",
    "lr_steps", "batch_size", "steps", "seed",
)  # fmt: skip


CARD = styles.SHIPPED.with_suffix(".json")


def trainings(run: Path, changed: str | None) -> list[dict[str, Any]]:
    """What the card says of the trainings behind a network, the first one first.

    ``changed`` says what was done to the network of the package before the first of them.
    """
    config = OmegaConf.load(run / "config.yaml")
    own = trained(run, config)
    if config.init_from is None:
        return [own]
    start = Path(config.init_from)
    if start.is_dir():
        return [*trainings(start, changed), own]
    shipped = json.loads(CARD.read_text(encoding="utf-8"))
    if changed is not None:
        own = {"initialised_from": changed, **own}
    elif sha256_of(start) != shipped["sha256"]:
        raise SystemExit(
            f"init_from={start}: is not a run directory, nor {styles.SHIPPED}; --changed NOTE tells"
            " how it was made from that"
        )
    return [*shipped["trainings"], own]


def described(style: dict[str, Any]) -> dict[str, str]:
    """Title, painter and hash of a style image."""
    name = style["name"]
    if name in PAINTERS:
        title, painter = PAINTERS[name]
    else:
        option = OmegaConf.load(config_folder() / "style" / f"{name}.yaml")
        if option.builtin not in STAND_INS or style["stand_in_for"]:
            raise SystemExit(f"{name}: add its title and painter to {Path(__file__).name}")
        title, painter = option.title.partition(", drawn by")[0], DRAWN
    return {"title": title, "painter": painter, "sha256": style["sha256"]}


def trained(run: Path, config: DictConfig) -> dict[str, Any]:
    """What the card says of one training."""
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    settings = {key: OmegaConf.to_container(config)[key] for key in KEYS}
    settings["data"].pop("dir")
    settings["recipe"] = settings["recipe"]["name"]
    return {
        "loss_network": metrics["model"]["name"],
        "loss_network_sha256": metrics["model"]["sha256"],
        "pictures": metrics["data"]["pictures"],
        "updates": metrics["steps"],
        "minutes": round(metrics["seconds"] / 60, 1),
        "held_out_total": {
            name: round(losses["total"], 4)
            for name, losses in metrics["validation_by_style"].items()
        },
        "settings": settings,
    }


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="run directory of nstrep train")
    parser.add_argument("--changed", metavar="NOTE")
    given = parser.parse_args()
    run, behind = given.run, trainings(given.run, given.changed)
    net, parameters = layouts.load(run)
    layouts.save(styles.SHIPPED, net, parameters, "float16")
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    card = {
        "description": "One network for several styles: conditional instance normalisation"
        " (Dumoulin, Shlens, Kudlur 2017)",
        "made_by": f"scripts/{Path(__file__).name}",
        "network": net.name,
        "sha256": sha256_of(styles.SHIPPED),
        "license": "Apache-2.0",
        "styles": {style["name"]: described(style) for style in metrics["styles"]},
        "photographs": "one for each class of ImageNet-1k (public sample), and BSDS500",
        "trainings": behind,
        "versions": metrics["versions"],
    }
    CARD.write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(styles.SHIPPED, CARD, sep="\n")


if __name__ == "__main__":
    main()
