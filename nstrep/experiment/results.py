"""The run directory: what a run leaves, and how it is read back.

metrics.json is written last: a directory without it holds a run that did not end.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from omegaconf import OmegaConf
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from nstrep import plots
from nstrep.base import environment, process_memory
from nstrep.base.errors import InputError
from nstrep.base.files import atomic_write
from nstrep.base.npz import save_npz
from nstrep.base.text import reason
from nstrep.base.untrusted import read_json, read_yaml
from nstrep.config.schema import NOT_STORED, ExperimentConfig
from nstrep.experiment import run_directory
from nstrep.images import io

if TYPE_CHECKING:  # reading results needs no MXNet
    from nstrep.optim.minimize import Step

CONFIG, CURVE, METRICS = "config.yaml", "curve.csv", run_directory.METRICS
FINAL, RAW, LOSS, SNAPSHOTS = "final.png", "raw.npz", "loss.png", "snapshots"
TENSORBOARD = "tensorboard"
LAST_GOOD = "last_good.png"
"""Saved instead of final.png by a run that diverged or was interrupted."""

CONFIG_TEXT, INPUTS_TEXT = "nstrep.config", "nstrep.inputs"
"""Keys of the texts inside final.png."""


@dataclass(frozen=True)
class Outcome:
    """How an optimisation ended."""

    status: str
    """``finished``, ``diverged`` or ``interrupted``."""
    reason: str
    """What stopped it: a key such as stop_eps, or a sentence."""
    at_start: Mapping[str, float] | None
    """The losses of epoch 0; None if not even the start could be evaluated, as ``last``."""
    last: Step | None
    memory_before_mb: float
    """What the process held before the network was bound."""
    resumed: Sequence[int]
    """The epochs at which it went on after a stop."""
    tile: int | str | None
    """Pixels; None where the picture was computed whole."""


def claim(directory: Path, config: ExperimentConfig, *, goes_on: bool = False) -> None:
    """Begin a run, or resume one, in a directory that is locked (``run_directory.locked``).

    Raises:
        InputError: a run is there, and it is not to go on.
        ResultsError: the directory cannot be made or written.

    """
    if (directory / CONFIG).exists() and not goes_on:
        raise InputError(
            f"hydra.run.dir={directory}: holds a run already; name another folder, or type"
            " resume=true to go on with it"
        )
    with atomic_write(directory / CONFIG) as temporary:
        temporary.write_text(OmegaConf.to_yaml(OmegaConf.structured(config)))


def save(
    directory: Path,
    config: ExperimentConfig,
    inputs: dict[str, dict[str, Any]],
    outcome: Outcome,
    photo: np.ndarray,
    raw: np.ndarray | None,
    filtered: np.ndarray | None,
) -> dict[str, Any]:
    """Write everything that a run leaves besides its curve and snapshots.

    Args:
        directory: claimed before; holds curve.csv.
        config: the experiment.
        inputs: what it read, with hashes.
        outcome: how it ended.
        photo: the content at working size, ``rgb01``.
        raw: the result before the filter, ``rgb01``, may leave [0, 1]; None if there is none.
        filtered: the result as it is shown.

    Returns:
        What metrics.json holds.

    Raises:
        ResultsError: the directory cannot be written.

    """
    versions = environment.versions()
    if raw is not None and filtered is not None:
        text = {
            "Software": f"nstrep {versions['nstrep']}",
            CONFIG_TEXT: _stored(config),
            INPUTS_TEXT: json.dumps({**inputs, "versions": versions}, sort_keys=True),
        }
        name = FINAL if outcome.status == "finished" else LAST_GOOD
        io.save_png(directory / name, filtered, text)
        save_npz(directory / RAW, rgb01=raw.astype(np.float32))
        plots.plot_curve(
            pd.read_csv(directory / CURVE),
            directory / LOSS,
            title=f"{inputs['content']['name']} in the style of {_styles(inputs)}",
            stop_eps=config.stop_eps,
        )
    metrics = {
        "status": outcome.status,
        "stop_reason": outcome.reason,
        "identity": run_directory.identity(config, inputs),
        "recipe": config.recipe.name,
        "seed": config.seed,
        **inputs,
        "width": photo.shape[1],
        "height": photo.shape[0],
        "filter": config.denoise if config.remove_noise else None,
        **_measured(outcome),
        **(compare(filtered, photo) if filtered is not None else {}),
        # Of the process since the network was bound.
        "peak_memory_mb": process_memory.memory_mb()["peak"],
        "memory_before_mb": outcome.memory_before_mb,
        "threads": environment.threads(),
        "resumed_at": list(outcome.resumed),
        "tile": outcome.tile,
        "versions": versions,
        "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
    plain = _plain(metrics)
    with atomic_write(directory / METRICS) as temporary:
        temporary.write_text(json.dumps(plain, indent=2, allow_nan=False) + "\n")
    return plain


def _stored(config: ExperimentConfig) -> str:
    """The configuration as a picture holds it."""
    settings = OmegaConf.structured(config)
    return OmegaConf.to_yaml(OmegaConf.masked_copy(settings, set(settings) - set(NOT_STORED)))


def _styles(inputs: dict[str, dict[str, Any]]) -> str:
    return " and ".join(
        about["name"] for key, about in inputs.items() if re.fullmatch(r"style\d*", key)
    )


def _measured(outcome: Outcome) -> dict[str, Any]:
    last = outcome.last
    if last is None:
        return {}
    return {
        "epochs": last.epoch,
        "evaluations": last.evaluations,
        "seconds": last.seconds,
        "seconds_per_epoch": last.seconds / max(1, last.epoch),
        "eps": last.eps,
        "loss_change": last.loss_change,
        "losses": dict(last.losses),
        "losses_at_start": dict(outcome.at_start),
    }


def compare(picture: np.ndarray, photo: np.ndarray) -> dict[str, float | None]:
    """SSIM (-1 to 1) and PSNR (dB) of a picture to the photo, both ``rgb01`` of one shape.

    None where a measure is not defined: SSIM below its 7 x 7 window, PSNR of equal pictures.
    """
    ssim = None
    if min(photo.shape[:2]) >= 7:
        ssim = float(structural_similarity(photo, picture, channel_axis=-1, data_range=1.0))
    same = np.array_equal(picture, photo)
    psnr = None if same else float(peak_signal_noise_ratio(photo, picture, data_range=1.0))
    return {"ssim": ssim, "psnr": psnr}


def measure(metrics: dict[str, Any], path: str) -> float:
    """The number of metrics.json that ``objective`` names; NaN where it is not defined."""
    group, _, name = path.partition(".")
    value = metrics.get(group)
    if name:
        value = (value or {}).get(name)
    return math.nan if value is None else float(value)


def _plain(value: Any) -> Any:
    """JSON has no NaN: what is not defined becomes null."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def from_image(path: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The configuration inside a final.png, and what its run read.

    Raises:
        InputError: not a PNG of this project.

    """
    text = io.read_png_text(path, key="from_image")
    if CONFIG_TEXT not in text:
        raise InputError(f"from_image={path}: holds no nstrep configuration; take a final.png")
    try:
        config = read_yaml(text[CONFIG_TEXT])
        inputs = read_json(text.get(INPUTS_TEXT, "{}"))
    except ValueError as error:
        raise InputError(
            f"from_image={path}: its configuration is damaged ({reason(error)})"
        ) from None
    if not isinstance(config, dict) or not isinstance(inputs, dict):
        raise InputError(f"from_image={path}: its configuration is damaged (not a mapping)")
    return config, inputs
