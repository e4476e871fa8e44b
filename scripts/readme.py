"""Write the generated blocks of README.md and docs/, and the pictures of results/gallery/.

python scripts/readme.py --keys    # only the blocks, from files in the repository; seconds
python scripts/readme.py           # runs the experiments of RUNS first; a few minutes
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
import recipes  # the script beside this one
from omegaconf import OmegaConf

from nstrep.config.checks import check, typed
from nstrep.config.fields import walk
from nstrep.config.folder import compose, config_folder
from nstrep.experiment import results
from nstrep.experiment import run as experiment
from nstrep.fast.config import TrainConfig
from nstrep.fast.settings import StylizeConfig
from nstrep.images import io
from nstrep.networks.vgg import ARCHITECTURES

ROOT = Path(__file__).resolve().parents[1]
GALLERY = ROOT / "results" / "gallery"
CLAIMS = ROOT / "results" / "replication" / "quick" / "claims.csv"
CARD = ROOT / "nstrep" / "networks" / "vgg19_slim.json"
TRIALS = ROOT / "results" / "trials"
"""Short trainings, compared by scripts/compare_networks.py; their cards are NAME.json."""

RUNS = {
    "default": ("style=vangogh", "content_weight=20"),
    "balanced": ("style=vangogh",),
    "lilies": ("content=coffee", "style=monet"),
    "facets": ("content=astronaut", "style=picasso"),
}
"""The experiments that the README shows: a name and what the user types after nstrep.run."""


def main() -> None:
    """Write every block between its markers, after the runs of the gallery if these are wanted."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keys", action="store_true", help="only the blocks, without any run")
    only_keys = parser.parse_args().keys
    for name in () if only_keys else RUNS:
        run(name)
    for page, named in blocks().items():
        (ROOT / page).write_text(updated(page, named))


def blocks() -> dict[str, dict[str, str]]:
    """The generated blocks by page and name."""
    stylize = OmegaConf.to_container(OmegaConf.load(config_folder() / "stylize.yaml"))
    return {
        "README.md": {"runs": runs_table(), "verdicts": verdicts()},
        "docs/keys.md": {"keys": keys_sections(check(compose("config")))},
        "docs/networks.md": {
            "architectures": architectures_table(),
            "card": card_table(),
            "trials": trials_table(),
        },
        "docs/quirks.md": {"oddities": recipes.oddities(recipes.sources(recipes.load()))},
        "docs/replication.md": {"claims": claims_table()},
        "docs/fast.md": {
            "train-keys": keys_table(typed(compose("fast"), TrainConfig)),
            "stylize-keys": keys_table(StylizeConfig(**stylize)),
        },
    }


def updated(page: str, named: dict[str, str]) -> str:
    """The text of a page with all of its generated blocks."""
    text = (ROOT / page).read_text()
    for name, block in named.items():
        text = replaced(page, text, name, block)
    return text


def replaced(page: str, text: str, name: str, block: str) -> str:
    """Put a block between its two markers; the markers must be there."""
    pattern = re.compile(rf"(<!-- {name}: .*? -->\n).*?(<!-- end -->)", re.DOTALL)
    changed, count = pattern.subn(lambda found: f"{found[1]}{block}\n{found[2]}", text)
    if count != 1:
        raise SystemExit(f"{page}: found {count} blocks named {name}, not 1")
    return changed


def keys_sections(default: Any) -> str:
    """A section with a table for each section of the schema."""
    sections = dict.fromkeys(key.section for key, _ in walk(default) if key.listed)
    return "\n\n".join(f"## {title}\n\n{keys_table(default, title)}" for title in sections)


def keys_table(default: Any, section: str | None = None) -> str:
    """Keys with their defaults and help texts, those without a dot first."""
    lines = ["| key | default | meaning |", "|---|---|---|"]
    for key, value in sorted(walk(default), key=lambda each: "." in each[0].name):
        if key.listed and section in (None, key.section):
            named = all(option in key.about for option in key.options)
            allowed = "" if named else f" ({', '.join(key.options)})"
            about = key.about.replace("|", "\\|")
            lines.append(f"| `{key.name}` | `{shown(value)}` | {about}{allowed} |")
    return "\n".join(lines)


def claims_table() -> str:
    """The verdicts of the replication under version control, one row for each claim."""
    rows = pd.read_csv(CLAIMS, keep_default_na=False)
    lines = ["| claim | verdict | measured | published | here |", "|---|---|---|---|---|"]
    for name, measures in rows.groupby("claim"):
        verdict = measures["verdict"].iloc[0]
        # The measure that decided, or the first of those that agree.
        told = measures[measures["measure_verdict"] == verdict].iloc[0]
        link = f"[{name}](../results/replication/quick/report.md#{name})"
        here = f"{float(told['measured']):.3g}" if told["measured"] != "" else "none"
        lines.append(
            f"| {link} | **{verdict}** | {told['measure']} | {told['published']} | {here} |"
        )
    return "\n".join(lines)


def verdicts() -> str:
    """How many of the claims have which verdict."""
    each = pd.read_csv(CLAIMS, keep_default_na=False).groupby("claim")["verdict"].first()
    replicated, refuted, open_ = (
        int((each == verdict).sum()) for verdict in ("replicated", "not replicated", "inconclusive")
    )
    return (
        f"- Of {len(each)} published claims that were tested, {replicated} are replicated,"
        f" {refuted} are not, and\n  {open_} are inconclusive"
        " ([docs/replication.md](docs/replication.md))."
    )


def architectures_table() -> str:
    """The convolutions and channels of every VGG, as in the table of the code."""
    lines = ["| network | convolutions of each block | channels of each block |", "|---|---|---|"]
    for name, network in ARCHITECTURES.items():
        depths, widths = (", ".join(map(str, each)) for each in (network.depths, network.widths))
        lines.append(f"| `{name}` | {depths} | {widths} |")
    return "\n".join(lines)


def card_table() -> str:
    """What the card beside the shipped weights records of their training."""
    card = json.loads(CARD.read_text())
    training, data = card["training"], card["data"]
    rows = {
        "description": card["description"],
        "teacher": card.get("teacher", {}).get("network", "none"),
        "photographs": data["photographs"],
        "updates": training["steps"],
        "minutes of training": training["minutes"],
        "SHA-256 of the weights": f"`{card['sha256']}`",
    }
    lines = ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())]
    return "\n".join(lines)


def trials_table() -> str:
    """What short trainings differ in from the one named base, and what came of them."""
    runs = pd.read_csv(TRIALS / "networks.csv")
    medians = runs.groupby("network")[["distance", "ssim", "grid", "seconds"]].median()
    cards = {path.stem: json.loads(path.read_text())["training"] for path in TRIALS.glob("*.json")}
    base = cards["base"]["settings"]
    lines = [
        "| trial | differs in | updates | minutes | texture distance | SSIM | grid | seconds |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, row in medians.sort_values("distance").iterrows():
        card = cards.get(str(name))
        settings = card["settings"] if card else {}
        differs = (f"{k}={shown(v)}" for k, v in settings.items() if v != base[k])
        cells = [name, " ".join(differs), card["steps"] if card else "", card and card["minutes"]]
        numbers = (
            f"{row.distance:.3f}",
            f"{row.ssim:.3f}",
            f"{row.grid:.2f}",
            f"{row.seconds:.0f}",
        )
        lines.append(f"| {' | '.join(str(cell or '') for cell in (*cells, *numbers))} |")
    return "\n".join(lines)


def shown(value: Any) -> str:
    """Write a value as it would be typed on the command line; ??? for one that must be."""
    if isinstance(value, list):
        return "[" + ",".join(map(str, value)) + "]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


def run(name: str) -> None:
    """Run one experiment of :data:`RUNS` and keep its picture and curves in the gallery."""
    GALLERY.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / name
        experiment.run(check(compose("config", RUNS[name])), directory)
        shutil.copy(directory / "final.png", GALLERY / f"{name}.png")
        shutil.copy(directory / "loss.png", GALLERY / f"{name}_loss.png")
        shutil.copy(directory / "curve.csv", GALLERY / f"{name}_curve.csv")


def runs_table() -> str:
    """Settings, cost and result of each picture of the gallery, from the files there."""
    rows = [
        "| picture | arguments of `nstrep run` | size | iterations | seconds | total loss | SSIM |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, typed_words in RUNS.items():
        picture = io.load_picture(GALLERY / f"{name}.png").rgb
        curve = pd.read_csv(GALLERY / f"{name}_curve.csv")
        start, end = curve["total"].iloc[0], curve["total"].iloc[-1]
        config = check(compose("config", typed_words))
        photo = io.builtin(config.content.builtin).rgb
        photo = io.resize_to(photo, *picture.shape[:2], method=config.preprocess.resize)
        similarity = results.compare(picture, photo)["ssim"]
        rows.append(
            f"| [{name}](results/gallery/{name}.png) | `{' '.join(typed_words)}` "
            f"| {picture.shape[1]} x {picture.shape[0]} | {curve['epoch'].iloc[-1]} "
            f"| {curve['seconds'].iloc[-1]:.0f} | {start:.3f} to {end:.3f} | {similarity:.2f} |"
        )
    return "\n".join(rows)


if __name__ == "__main__":
    main()
