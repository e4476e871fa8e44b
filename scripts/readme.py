"""Make again what the README and docs/fast.md show: pictures and tables.

python scripts/readme.py           # all: runs the experiments of RUNS, a few minutes
python scripts/readme.py --keys    # what needs no run: keys, oddities, verdicts; at once
"""

from __future__ import annotations

import argparse
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from nstrep import cli
from nstrep.config import check, typed, walk
from nstrep.fast.config import StylizeConfig, TrainConfig

ROOT = Path(__file__).resolve().parents[1]
GALLERY = ROOT / "results" / "gallery"
CLAIMS = ROOT / "results" / "replication" / "quick" / "claims.csv"

RUNS = {
    "default": ("style=vangogh", "content_weight=20"),
    "balanced": ("style=vangogh",),
    "lilies": ("content=coffee", "style=monet"),
    "facets": ("content=astronaut", "style=picasso"),
}
"""The experiments that the README shows: a name and what the user types after nstrep.run."""

NAMED = ("content.", "style.", "recipe.", "published")
"""Keys that the files of a group hold and nobody types."""


def main() -> None:
    """Write the blocks that stand between markers in the pages, and results/gallery/."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keys", action="store_true", help="only what needs no run")
    only_keys = parser.parse_args().keys
    with initialize_config_dir(version_base="1.3", config_dir=str(cli.config_folder())):
        readme = {"keys": keys_table(check(compose("config"))), "claims": claims_table()}
        fast = {"train-keys": keys_table(typed(compose("fast"), TrainConfig))}
        if not only_keys:
            readme["runs"] = runs_table({name: run(name) for name in RUNS})
    readme["oddities"] = oddities()
    given = OmegaConf.to_container(OmegaConf.load(cli.config_folder() / "stylize.yaml"))
    fast["stylize-keys"] = keys_table(StylizeConfig(**given))
    for page, blocks in {"README.md": readme, "docs/fast.md": fast}.items():
        text = (ROOT / page).read_text()
        for name, block in blocks.items():
            text = replaced(page, text, name, block)
        (ROOT / page).write_text(text)


def replaced(page: str, text: str, name: str, block: str) -> str:
    """Put a block between its two markers; the markers must be there."""
    pattern = re.compile(rf"(<!-- {name}: .*? -->\n).*?(<!-- end -->)", re.DOTALL)
    changed, count = pattern.subn(lambda found: f"{found[1]}{block}\n{found[2]}", text)
    if count != 1:
        raise SystemExit(f"{page}: found {count} blocks named {name}, not 1")
    return changed


def keys_table(default: Any) -> str:
    """Every key of the schema with its default and what it is."""
    rows = ["| key | default | what it is |", "|---|---|---|"]
    leaves = [leaf for leaf in walk(default) if not leaf[0].startswith(NAMED)]
    for key, spec, value in sorted(leaves, key=lambda leaf: "." in leaf[0]):
        allowed = f" ({', '.join(spec['options'])})" if "options" in spec else ""
        about = spec["about"].replace("|", "\\|")
        rows.append(f"| `{key}` | `{shown(value)}` | {about}{allowed} |")
    return "\n".join(rows)


def oddities() -> str:
    """What the sources do that nobody would expect, as in docs/recipes.md."""
    import recipes  # the script beside this one

    return recipes.oddities(recipes.sources(recipes.load()))


def claims_table() -> str:
    """The verdicts of the replication under version control, a row a claim."""
    rows = pd.read_csv(CLAIMS, keep_default_na=False)
    lines = ["| claim | verdict | measured | published | here |", "|---|---|---|---|---|"]
    for name, measures in rows.groupby("claim"):
        verdict = measures["verdict"].iloc[0]
        # The measure that decided, or the first of those that agree.
        told = measures[measures["measure_verdict"] == verdict].iloc[0]
        link = f"[{name}](results/replication/quick/report.md#{name})"
        here = f"{float(told['measured']):.3g}" if told["measured"] != "" else "none"
        lines.append(
            f"| {link} | **{verdict}** | {told['measure']} | {told['published']} | {here} |"
        )
    return "\n".join(lines)


def shown(value: Any) -> str:
    """Write a value as it would be typed on the command line; ??? for one that must be."""
    if isinstance(value, list):
        return "[" + ",".join(map(str, value)) + "]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


def run(name: str) -> dict[str, Any]:
    """Run one experiment of :data:`RUNS` and keep its picture and curves in the gallery."""
    from nstrep import experiment

    GALLERY.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / name
        metrics = experiment.run(check(compose("config", overrides=list(RUNS[name]))), directory)
        shutil.copy(directory / "final.png", GALLERY / f"{name}.png")
        shutil.copy(directory / "loss.png", GALLERY / f"{name}_loss.png")
        shutil.copy(directory / "curve.csv", GALLERY / f"{name}_curve.csv")
    return metrics


def runs_table(found: dict[str, dict[str, Any]]) -> str:
    """What each picture of the gallery came from and cost."""
    rows = [
        "| picture | typed after `python -m nstrep.run` | network | size | epochs | stopped by |"
        " seconds | total loss, start | end | SSIM to the photo |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, metrics in found.items():
        start, end = metrics["losses_at_start"]["total"], metrics["losses"]["total"]
        rows.append(
            f"| [{name}](results/gallery/{name}.png) | `{' '.join(RUNS[name])}` "
            f"| {metrics['model']['name']} | {metrics['width']} x {metrics['height']} "
            f"| {metrics['epochs']} | {metrics['stop_reason']} | {metrics['seconds']:.0f} "
            f"| {start:.3f} | {end:.3f} | {metrics['ssim']:.2f} |"
        )
    return "\n".join(rows)


if __name__ == "__main__":
    main()
