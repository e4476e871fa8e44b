"""Run directories without runs: what nstrep.experiment.results writes, with made-up numbers."""

import copy
import itertools
import json
from functools import lru_cache
from pathlib import Path

import numpy as np
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from PIL import Image

from nstrep import cli
from nstrep.config.checks import check
from nstrep.config.schema import GROUPS
from nstrep.images.io import to_uint8

_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # the fast one, where it was built

SHA = {"chelsea": "c" * 64, "vangogh": "a" * 64, "lilies": "b" * 64}


@lru_cache
def _composed(groups: tuple[str, ...]) -> dict:
    with initialize_config_dir(version_base="1.3", config_dir=str(cli.config_folder())):
        return OmegaConf.to_container(OmegaConf.structured(check(compose("config", list(groups)))))


def config_of(*typed: str) -> dict:
    """The configuration that a command line comes to; groups are composed once each."""
    groups = tuple(word for word in typed if word.partition("=")[0] in GROUPS)
    config = copy.deepcopy(_composed(groups))
    for word in typed:
        key, _, value = word.partition("=")
        if word not in groups:
            *above, last = key.split(".")
            node = config
            for name in above:
                node = node[name]
            value = yaml.safe_load(value)
            node[last] = float(value) if isinstance(node[last], float) else value
    return config


def write_run(
    directory: Path,
    *typed: str,
    status: str = "finished",
    reason: str = "stop_eps",
    epochs: int = 12,
    seed: int = 0,
    size: tuple[int, int] = (16, 24),
    overrides: bool = True,
) -> Path:
    """Write one run directory; status as in nstrep.analysis.run_reader."""
    rng = np.random.Generator(np.random.PCG64(seed))
    config = config_of(*typed)
    directory.mkdir(parents=True)
    (directory / "config.yaml").write_text(yaml.dump(config, Dumper=_DUMPER, sort_keys=False))
    if overrides:
        (directory / ".hydra").mkdir()
        (directory / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(list(typed)))
    if status == "failed":
        failed = {"status": "failed", "error": "InputError", "reason": reason, "exit_code": 2}
        (directory / "failed.json").write_text(json.dumps(failed))
        return directory
    epoch = np.arange(epochs + 1)
    style = (2 + rng.random()) * np.exp(-epoch / 4) + 0.05 / config["style_weight"]
    weight = config["content_weight"]
    content = weight * 0.01 / (1 + weight / 10) * (1 - np.exp(-epoch / 5))
    style = style + 0.01 * weight**0.5
    tv = np.full_like(style, 0.01)
    layers = {name: style / len(config["style_layers"]) for name in config["style_layers"]}
    columns = {
        "epoch": epoch,
        "evaluations": epoch + 1,
        "seconds": 0.1 * epoch,
        "lr": np.ones_like(style),
        "eps": np.where(epoch == 0, np.nan, 0.3 * np.exp(-epoch / 3)),
        "loss_change": np.where(epoch == 0, np.nan, 0.5 * np.exp(-epoch / 3)),
        "gradient_norm": 100 * style,
        "total": content + style + tv,
        "content_loss": content,
        "style_loss": style,
        "tv_loss": tv,
        **{f"style_loss.{name}": values for name, values in layers.items()},
    }
    rows = zip(*columns.values())
    cell = lambda value: "" if np.isnan(value) else f"{value:.9g}"  # noqa: E731
    lines = [",".join(columns), *(",".join(map(cell, row)) for row in rows)]
    (directory / "curve.csv").write_text("\n".join(lines) + "\n")
    if status == "unfinished":
        return directory
    down, across = np.mgrid[: size[0], : size[1]]
    waves = np.sin((seed % 7 + 1) * across / 5) * np.cos(down / 3 + seed)
    picture = np.stack([0.5 + 0.4 * waves, down / size[0], rng.random() + 0 * waves], axis=-1)
    name = "final.png" if status == "finished" else "last_good.png"
    # Not as a run writes them, which waits for the disk.
    Image.fromarray(to_uint8(np.clip(picture, 0, 1))).save(directory / name)
    np.savez(directory / "raw.npz", rgb01=picture.astype(np.float32))
    losses = {key: float(values[-1]) for key, values in columns.items() if "loss" in key}
    losses = {"total": float(columns["total"][-1])} | losses
    losses.pop("loss_change")
    names = {role: config[role]["name"] for role in ("content", "style")}
    metrics = {
        "status": status,
        "stop_reason": reason,
        "recipe": config["recipe"]["name"],
        "seed": config["seed"],
        **{
            role: {"name": name, "source": "tests", "sha256": SHA.get(name, "d" * 64)}
            for role, name in names.items()
        },
        "model": {"name": "vgg19_slim", "source": "tests", "sha256": "e" * 64},
        "width": size[1],
        "height": size[0],
        "epochs": epochs,
        "evaluations": epochs + 1,
        "seconds": 0.1 * epochs * (size[0] * size[1] / 384),
        "seconds_per_epoch": 0.1 * (size[0] * size[1] / 384),
        "eps": float(columns["eps"][-1]),
        "loss_change": float(columns["loss_change"][-1]),
        "losses": losses,
        "losses_at_start": losses,
        "ssim": 0.3 + config["content_weight"] / 100,
        "psnr": 12.0,
        "peak_memory_mb": 300.0 + size[0] * size[1] / 100,
    }
    (directory / "metrics.json").write_text(json.dumps(metrics))
    return directory


def write_sweep(folder: Path, *axes: str) -> Path:
    """Write the runs of every combination of ``key=a,b,c``, numbered as Hydra numbers them."""
    keys = [axis.partition("=")[0] for axis in axes]
    values = [axis.partition("=")[2].split(",") for axis in axes]
    for number, combination in enumerate(itertools.product(*values)):
        typed = [f"{key}={value}" for key, value in zip(keys, combination)]
        write_run(folder / str(number), *typed, seed=number)
    return folder
