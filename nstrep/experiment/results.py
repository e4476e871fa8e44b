"""What a run leaves at its end: images, the plot of its losses, and metrics.json."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from nstrep import plots
from nstrep.base import environment, process_memory
from nstrep.base.npz import save_npz
from nstrep.config.metrics import final
from nstrep.experiment import from_image, recorders, run_directory
from nstrep.experiment.identity import identity_of
from nstrep.images import io

if TYPE_CHECKING:  # reading results needs no MXNet
    from nstrep.experiment.run import Experiment
    from nstrep.optim.minimize import Step


def save(experiment: Experiment) -> dict[str, Any]:
    """Write what a run leaves besides its curve and snapshots; return its metrics."""
    config, provenance = experiment.config, experiment.inputs.provenance
    height, width = experiment.inputs.content_rgb01.shape[:2]
    metrics = {
        "status": experiment.status,
        "stop_reason": experiment.reason,
        "identity": identity_of(config, provenance),
        "recipe": config.recipe.name,
        "seed": config.seed,
        **provenance,
        "width": width,
        "height": height,
        "filter": config.denoise if config.remove_noise else None,
        **(_save_images(experiment, experiment.last) if experiment.last else {}),
        # Of the process since the network was bound.
        "peak_memory_mb": process_memory.memory_mb()["peak"],
        "memory_before_mb": experiment.memory_before_mb,
        "resumed_at": experiment.resumed_at,
        "tile": experiment.tile,
    }
    return run_directory.write_metrics(experiment.directory, metrics)


def _save_images(experiment: Experiment, last: Step) -> dict[str, Any]:
    """Write the result and the plot of the losses; return what is measured at the last step."""
    directory, config, inputs = experiment.directory, experiment.config, experiment.inputs
    raw = experiment.raw(last.image)
    save_npz(directory / run_directory.RAW, rgb01=raw.astype(np.float32))
    filtered, versions = experiment.filtered(raw), environment.versions()
    text = {
        "Software": f"nstrep {versions['nstrep']}",
        **from_image.texts(config, {**inputs.provenance, "versions": versions}),
    }
    finished = experiment.status == "finished"
    name = run_directory.FINAL if finished else run_directory.LAST_GOOD
    io.save_png(directory / name, filtered, text)
    height, width = filtered.shape[:2]
    styles = "+".join(style.label for style in inputs.styles)
    title = plots.described(inputs.content.label, styles, config.recipe.name, width, height)
    curve = recorders.read_curve(directory / run_directory.CURVE)
    figure = plots.single(curve, title=title, stop_eps=config.stop_eps)
    plots.save(figure, (directory / run_directory.LOSS).with_suffix(""), ["png"])
    return {
        **final(last),
        "losses": dict(last.losses),
        "losses_at_start": dict(experiment.losses_at_start),
        **compare(filtered, inputs.content_rgb01),
    }


def compare(result: np.ndarray, content: np.ndarray) -> dict[str, float | None]:
    """SSIM (-1 to 1) and PSNR (dB) of a result to the content image, ``rgb01`` of one shape.

    None where a measure is not defined: SSIM below its 7 x 7 window, PSNR of equal images.
    """
    ssim = None
    if min(content.shape[:2]) >= 7:
        ssim = float(structural_similarity(content, result, channel_axis=-1, data_range=1.0))
    same = np.array_equal(result, content)
    psnr = None if same else float(peak_signal_noise_ratio(content, result, data_range=1.0))
    return {"ssim": ssim, "psnr": psnr}


def measure(metrics: dict[str, Any], path: str) -> float:
    """The number of metrics.json that ``objective`` names; NaN where it is not defined."""
    group, _, name = path.partition(".")
    value = metrics.get(group)
    if name:
        value = (value or {}).get(name)
    return math.nan if value is None else float(value)
