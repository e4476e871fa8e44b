"""One experiment: a configuration in, a run directory out."""

from __future__ import annotations

import json
import logging
import math
import resource
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from omegaconf import OmegaConf
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from tqdm.contrib.logging import logging_redirect_tqdm

from nstrep import environment, images, models, pictures, plots
from nstrep.basis import make_basis
from nstrep.config import ExperimentConfig, layer_weights
from nstrep.errors import DivergedError, InputError, ResultsError
from nstrep.files import atomic_write, reason, save_npz
from nstrep.images import Picture
from nstrep.network import Network
from nstrep.objective import LayerWeights, Objective
from nstrep.optimize import Problem, Step, minimize
from nstrep.postfilter import remove_noise
from nstrep.recorders import Bar, Curve, Snapshots, StopRule

log = logging.getLogger(__name__)

CONFIG, CURVE, METRICS, FINAL, RAW, LOSS = (
    "config.yaml", "curve.csv", "metrics.json", "final.png", "raw.npz", "loss.png",
)  # fmt: skip
LAST_GOOD = "last_good.png"
"""Saved instead of final.png by a run that diverged or was interrupted."""

CONFIG_TEXT, INPUTS_TEXT = "nstrep.config", "nstrep.inputs"
"""Keys of the texts inside final.png."""


@dataclass(frozen=True)
class Prepared:
    """Everything that can be refused has been read and checked; nothing has been optimised."""

    content: Picture
    style: Picture
    photo: np.ndarray
    """``rgb01`` at working size; the result has its shape."""
    painting: np.ndarray
    start: np.ndarray
    """``vgg_input`` that the optimisation starts from."""
    network: Network


def prepare(config: ExperimentConfig) -> Prepared:
    """Read pictures and weights and scale them.

    Raises:
        InputError: whatever cannot be used, before any work.

    """
    content, style = pictures.load_pictures(config)
    network = models.load_network(config)
    photo, painting = pictures.scaled_pair(content, style, config)
    layers = [*config.content_layers, *config.style_layers]
    edge = f"max_long_edge={config.max_long_edge}"
    pictures.check_size(photo, network.architecture, layers, edge)
    if config.style_layers:
        scale = f"{edge}, style_scale={config.style_scale:g}"
        pictures.check_size(painting, network.architecture, config.style_layers, scale)
    rng = np.random.Generator(np.random.PCG64(config.seed))
    start = pictures.start_image(config, photo, painting, rng)
    return Prepared(content, style, photo, painting, start, network)


def run(
    config: ExperimentConfig, directory: Path, made_from: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Run one experiment and leave its results in ``directory``.

    The directory gets config.yaml, curve.csv (row by row), snapshots/, raw.npz, final.png,
    loss.png and, last of all, metrics.json, whose presence says that the run is over.

    Args:
        config: the experiment.
        directory: where the results go; made if missing, refused if it holds a run.
        made_from: what an earlier run of this experiment read, from :func:`from_image`; pictures
            and weights that are not the same any more are named in the log.

    Returns:
        What metrics.json holds.

    Raises:
        InputError: the configuration, a picture or the weights cannot be used.
        DivergedError: NaN or infinity; the curve and last_good.png are kept.
        ResultsError: the directory cannot be written.

    """
    prepared = prepare(config)
    for name, now in _inputs(prepared).items():
        then = (made_from or {}).get(name)
        if isinstance(then, dict) and then.get("sha256") != now["sha256"]:
            log.warning("from_image: %s is not the one of that run: %s", name, now["source"])
    if config.optimizer.name == "lbfgs" and config.lr is not None:
        log.warning("lr=%g has no effect: optimizer=lbfgs searches for each step", config.lr)
    claim(directory, config)
    try:
        return _optimize(config, prepared, directory)
    except OSError as error:
        raise ResultsError(f"{directory}: cannot be written ({reason(error)})") from None


def claim(directory: Path, config: ExperimentConfig) -> None:
    """Take a directory for one run by creating its config.yaml, which nobody else may have done.

    Raises:
        InputError: a run is there already.
        ResultsError: the directory cannot be made or written.

    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with (directory / CONFIG).open("x") as stream:
            stream.write(OmegaConf.to_yaml(OmegaConf.structured(config)))
    except FileExistsError:
        raise InputError(
            f"hydra.run.dir={directory}: holds a run already; name another folder"
        ) from None
    except OSError as error:
        raise ResultsError(f"{directory}: cannot be written ({reason(error)})") from None


def _optimize(config: ExperimentConfig, prepared: Prepared, directory: Path) -> dict[str, Any]:
    scale = config.preprocess.pixel_scale
    objective = Objective(
        prepared.network,
        pictures.to_vgg_input(prepared.photo, scale),
        pictures.to_vgg_input(prepared.painting, scale),
        LayerWeights(
            layer_weights(config, "content"), layer_weights(config, "style"), config.tv_weight
        ),
        config.losses,
    )
    height, width = prepared.photo.shape[:2]
    problem = Problem(objective, make_basis(config.basis, height, width))

    def finish(image: np.ndarray) -> np.ndarray:
        rgb01 = pictures.to_rgb01(image, scale)
        return remove_noise(rgb01, config.remove_noise, config.denoise)

    log.info(
        "%s in the style of %s: %d x %d pixels, %s, %s, recipe %s",
        prepared.content.name,
        prepared.style.name,
        width,
        height,
        prepared.network.architecture.name,
        config.optimizer.name,
        config.recipe.name,
    )
    watch = _Watch(config, directory, finish)
    with logging_redirect_tqdm():
        try:
            stopped = minimize(
                problem,
                prepared.start,
                config.optimizer,
                config.lr or math.nan,
                watch,
                bounds=pictures.pixel_bounds(scale) if config.bounds else None,
            )
            status, why = "finished", watch.reason or f"optimizer: {stopped}"
        except DivergedError as error:
            status, why = "diverged", str(error)
        except KeyboardInterrupt:
            status, why = "interrupted", "by the user"
        finally:
            watch.close()
    metrics = _metrics(config, prepared, watch, status, why, finish)
    _save(config, prepared, watch, metrics, directory, finish)
    if status == "diverged":
        kept = "the curve and the last good picture" if watch.last else "the configuration"
        raise DivergedError(f"{why}; {kept} is kept in {directory}")
    if status == "interrupted":
        log.warning("interrupted; what was reached is in %s", directory)
        raise KeyboardInterrupt
    log.info(
        "%d epochs in %.0f s, stopped by %s, total loss %.4g: %s",
        metrics["epochs"],
        metrics["seconds"],
        why,
        metrics["losses"]["total"],
        directory / FINAL,
    )
    return metrics


class _Watch:
    """The observer of the optimisation: recorders, and the rule that ends it."""

    def __init__(self, config: ExperimentConfig, directory: Path, finish) -> None:
        self._rule = StopRule(config)
        self._curve = Curve(directory / CURVE)
        self._bar = Bar(config.max_num_epochs)
        self._recorders = (
            self._curve,
            self._bar,
            Snapshots(directory / "snapshots", config.save_epochs, finish),
        )
        self.first: Step | None = None
        self.last: Step | None = None
        self.reason: str | None = None

    def __call__(self, step: Step) -> bool:
        self.first = self.first or step
        self.last = step
        for record in self._recorders:
            record(step)
        self.reason = self._rule(step)
        return self.reason is not None

    def close(self) -> None:
        self._bar.close()
        self._curve.close()


def _metrics(config, prepared, watch, status, why, finish) -> dict[str, Any]:
    last = watch.last
    found: dict[str, Any] = {
        "status": status,
        "stop_reason": why,
        "recipe": config.recipe.name,
        "seed": config.seed,
        **_inputs(prepared),
        "width": prepared.photo.shape[1],
        "height": prepared.photo.shape[0],
        "filter": config.denoise if config.remove_noise else None,
    }
    if last is not None:
        picture = finish(last.image)
        found |= {
            "epochs": last.epoch,
            "evaluations": last.evaluations,
            "seconds": last.seconds,
            "seconds_per_epoch": last.seconds / max(1, last.epoch),
            "eps": last.eps,
            "loss_change": last.loss_change,
            "losses": dict(last.losses),
            "losses_at_start": dict(watch.first.losses),
            **compare(picture, prepared.photo),
        }
    found |= {
        # Of the whole process: in a sweep the largest run so far counts.
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "threads": environment.threads(),
        "versions": environment.versions(),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
    return found


def _inputs(prepared: Prepared) -> dict[str, dict[str, Any]]:
    """What the run reads, with its hashes."""
    network = prepared.network
    return {
        "content": _about(prepared.content),
        "style": _about(prepared.style),
        "model": {
            "name": network.architecture.name,
            "source": network.weights.source,
            "sha256": network.weights.sha256,
        },
    }


def _about(picture: Picture) -> dict[str, Any]:
    return {
        "name": picture.name,
        "source": picture.source,
        "sha256": picture.sha256,
        "stand_in_for": picture.stand_in_for,
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


def _save(config, prepared, watch, metrics, directory: Path, finish) -> None:
    if watch.last is not None:
        image = watch.last.image
        inputs = {key: metrics[key] for key in ("content", "style", "model", "versions")}
        text = {
            "Software": f"nstrep {metrics['versions']['nstrep']}",
            CONFIG_TEXT: OmegaConf.to_yaml(OmegaConf.structured(config)),
            INPUTS_TEXT: json.dumps(inputs, sort_keys=True),
        }
        name = FINAL if metrics["status"] == "finished" else LAST_GOOD
        images.save_png(directory / name, finish(image), text)
        raw = pictures.to_rgb01(image, config.preprocess.pixel_scale).astype(np.float32)
        save_npz(directory / RAW, rgb01=raw)
        plots.plot_curve(
            pd.read_csv(directory / CURVE),
            directory / LOSS,
            title=f"{prepared.content.name} in the style of {prepared.style.name}",
            stop_eps=config.stop_eps,
        )
    with atomic_write(directory / METRICS) as temporary:
        temporary.write_text(json.dumps(_plain(metrics), indent=2, allow_nan=False) + "\n")


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
    text = images.read_png_text(path, key="from_image")
    if CONFIG_TEXT not in text:
        raise InputError(f"from_image={path}: holds no nstrep configuration; take a final.png")
    try:
        config = yaml.safe_load(text[CONFIG_TEXT])
        inputs = json.loads(text.get(INPUTS_TEXT, "{}"))
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(
            f"from_image={path}: its configuration is damaged ({reason(error)})"
        ) from None
    if not isinstance(config, dict) or not isinstance(inputs, dict):
        raise InputError(f"from_image={path}: its configuration is damaged (not a mapping)")
    return config, inputs
