"""One pass of a trained network in the place of an optimisation: the same photo and losses.

Its run directory reads as an experiment's: final.png, metrics.json, and a curve.csv of one row.
"""

from __future__ import annotations

import logging
import time
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from nstrep.base.errors import ResultsError
from nstrep.base.text import reason
from nstrep.config.schema import ExperimentConfig, ObjectiveConfig
from nstrep.experiment import image_inputs, recorders, results, resume, run, run_directory
from nstrep.experiment.identity import digest, identity_of
from nstrep.experiment.inputs import Inputs, load_inputs
from nstrep.fast import layouts, training
from nstrep.fast.config import TrainConfig
from nstrep.fast.network import Transformer
from nstrep.images import io
from nstrep.optim.minimize import Step

log = logging.getLogger(__name__)

REPEATS = 5
"""Passes that are timed, after one that binds the graph; their median counts."""


def aligned(config: ExperimentConfig, trained: TrainConfig) -> ExperimentConfig:
    """The experiment that minimises what a network is trained to minimise.

    The painting has the long side that it has in the training, whatever the photo's.
    """
    seen = replace(
        config.preprocess,
        pixel_scale=255.0, padding=trained.preprocess.padding, style_shape="keep",
        resize="lanczos", rounding="nearest",
    )  # fmt: skip
    return replace(
        config,
        **{item.name: getattr(trained, item.name) for item in fields(ObjectiveConfig)},
        preprocess=seen,
        style_scale=trained.style_size / config.max_long_edge,
    )


def run_once(
    config: ExperimentConfig, trained: TrainConfig, directory: Path, network: Path
) -> dict[str, Any]:
    """Train a network unless that is done, and stylise a photo unless that is: the same call
    continues.

    Args:
        config: photo, size and losses; see :func:`aligned`.
        trained: the training.
        directory: of the pass.
        network: of the training; several passes may share it.

    Returns:
        What metrics.json holds; ``seconds`` are those of a pass.

    Raises:
        NstrepError: as :func:`nstrep.fast.training.run_once` and
            :func:`nstrep.experiment.run.run_once`.

    """
    with run_directory.locked(directory), run_directory.failures_kept(directory):
        made = training.run_once(trained, network)
        inputs = load_inputs(config)
        identity = digest([identity_of(config, inputs.provenance), made["identity"], made["steps"]])
        metrics = resume.earlier_metrics(directory, identity)
        if metrics is None:
            run_directory.clear(directory)
            try:
                about = {"identity": identity, "training": {"directory": network.name, **made}}
                metrics = _run(config, inputs, directory, network, about)
            except OSError as error:
                raise ResultsError(f"{directory}: cannot be written ({reason(error)})") from None
        return metrics


def _run(
    config: ExperimentConfig,
    inputs: Inputs,
    directory: Path,
    network: Path,
    about: dict[str, Any],
) -> dict[str, Any]:
    run_directory.claim(directory, config)
    transformer = Transformer(*layouts.load(network / training.PARAMETERS))
    picture, seconds = timed(transformer, inputs.content_rgb01)
    scale = config.preprocess.pixel_scale
    image = image_inputs.to_vgg_input(picture, scale)
    losses = run.objective(config, inputs)(image).losses
    curve = recorders.Curve(directory / run_directory.CURVE)
    curve(Step(epoch=0, losses=losses, evaluations=1, seconds=seconds, image=image))
    curve.close()
    io.save_png(directory / run_directory.FINAL, picture)
    metrics = run_directory.write_metrics(
        directory,
        {
            "status": "finished",
            "stop_reason": "one pass",
            **about,
            **inputs.provenance,
            "width": picture.shape[1],
            "height": picture.shape[0],
            "seconds": seconds,
            "losses": losses,
            **results.compare(picture, inputs.content_rgb01),
        },
    )
    log.info("one pass in %.3f s, total loss %.4g: %s", seconds, losses["total"], directory)
    return metrics


def timed(transformer: Transformer, photo: np.ndarray) -> tuple[np.ndarray, float]:
    """The result of a pass, ``rgb01``, clipped as it is saved, and the seconds that it takes."""
    found = transformer(photo)
    seconds = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        found = transformer(photo)
        seconds.append(time.perf_counter() - began)
    return found.clip(0, 1), float(np.median(seconds))
