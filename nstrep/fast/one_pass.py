"""One pass of a trained network in place of an optimisation, with the same image and losses.

Its run directory reads as that of an experiment, with a curve.csv of one row.
"""

from __future__ import annotations

import logging
import time
from contextlib import closing
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from nstrep.config.schema import ExperimentConfig, ObjectiveConfig
from nstrep.experiment import image_inputs, problem, recorders, results, resume, run_directory
from nstrep.experiment.identity import digest, identity_of
from nstrep.experiment.inputs import Inputs, load_inputs
from nstrep.fast import layouts, training
from nstrep.fast.config import TrainConfig
from nstrep.fast.network import Transformer
from nstrep.images import io
from nstrep.optim.minimize import Step

log = logging.getLogger(__name__)

REPEATS = 5  # timed passes after one that binds the graph; their median is reported


def aligned(config: ExperimentConfig, trained: TrainConfig) -> ExperimentConfig:
    """The experiment with the losses, and the size of the style image, of a training."""
    preprocess = replace(
        config.preprocess,
        pixel_scale=255.0, padding=trained.preprocess.padding, style_shape="keep",
        resize="lanczos", rounding="nearest",
    )  # fmt: skip
    return replace(
        config,
        **{item.name: getattr(trained, item.name) for item in fields(ObjectiveConfig)},
        preprocess=preprocess,
        style_scale=trained.style_size / config.max_long_edge,
    )


def run_once(
    config: ExperimentConfig, trained: TrainConfig, directory: Path, network: Path
) -> dict[str, Any]:
    """Train a network unless that is done, and stylise an image unless that is done.

    ``config`` is :func:`aligned`. ``network`` is the run directory of the training, which several
    passes may share. Returns the content of metrics.json; ``seconds`` is the time of one pass.
    """
    run_directory.refuse_foreign(directory)
    with run_directory.locked(directory), run_directory.failures_kept(directory):
        training_metrics = training.run(trained, network, replace=True)
        inputs = load_inputs(config)
        trained_as = training_metrics["identity"], training_metrics["steps"]
        identity = digest([identity_of(config, inputs.provenance), *trained_as])
        metrics = resume.earlier_metrics(directory, identity)
        if metrics is not None:
            return metrics
        run_directory.clear(directory)
        run_directory.claim(directory, config)
        about = {
            "status": "finished", "stop_reason": "one pass", "identity": identity,
            "training": {"directory": network.name, **training_metrics}, **inputs.provenance,
        }  # fmt: skip
        measured = _measure(config, inputs, directory, Transformer(*layouts.load(network)))
        return run_directory.write_metrics(directory, {**about, **measured})


def _measure(
    config: ExperimentConfig, inputs: Inputs, directory: Path, transformer: Transformer
) -> dict[str, Any]:
    """Stylise the content image, write the files of its result, and return their metrics."""
    times = []
    for _ in range(1 + REPEATS):
        start = time.perf_counter()
        result = transformer(inputs.content_rgb01)
        times.append(time.perf_counter() - start)
    result, seconds = result.clip(0, 1), float(np.median(times[1:]))
    image = image_inputs.to_vgg_input(result, config.preprocess.pixel_scale)
    losses = problem.objective(config, inputs)(image).losses
    with closing(recorders.Curve(directory / run_directory.CURVE)) as curve:
        curve(Step(epoch=0, losses=losses, evaluations=1, seconds=seconds, image=image))
    io.save_png(directory / run_directory.FINAL, result)
    height, width = result.shape[:2]
    log.info("one pass in %.3f s, total loss %.4g: %s", seconds, losses["total"], directory)
    measured = {"width": width, "height": height, "seconds": seconds, "losses": losses}
    return measured | results.compare(result, inputs.content_rgb01)
