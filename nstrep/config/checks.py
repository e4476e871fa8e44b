"""Checks of a composed configuration: of every key by itself, and of keys together."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any, TypeVar

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from nstrep.base.errors import InputError
from nstrep.config import metrics
from nstrep.config.arguments import check_value
from nstrep.config.fields import walk
from nstrep.config.messages import as_typed, did_you_mean, explain
from nstrep.config.schema import (
    SIDES,
    ExperimentConfig,
    ObjectiveConfig,
    PictureConfig,
    PreprocessConfig,
)
from nstrep.networks import vgg

Schema = TypeVar("Schema")

log = logging.getLogger(__name__)


def check(config: DictConfig) -> ExperimentConfig:
    """Turn a composed configuration into a typed and checked one; InputErrors are one line."""
    experiment = typed(config, ExperimentConfig)
    if experiment.tile == "strips":  # of runs by earlier versions
        log.warning("tile=strips: no longer exists, taken as tile=auto")
        experiment.tile = "auto"
    check_layers(experiment)
    name_pictures(experiment)
    if experiment.bounds and experiment.basis != "pixels":
        raise InputError(f"bounds=true: needs basis=pixels, not basis={experiment.basis}")
    _check_objective(experiment)
    _check_styles(experiment)
    _check_masks(experiment)
    clip, tile = experiment.optimizer.clip_norm, experiment.tile
    if clip not in (None, "size") and not (_is_number(clip) and 0 < clip < math.inf):
        raise InputError(f"optimizer.clip_norm={clip}: must be a number above 0, size or null")
    optimizer = experiment.optimizer
    if optimizer.lr_decay_every is not None and optimizer.lr_decay is None:
        raise InputError(f"optimizer.lr_decay_every={optimizer.lr_decay_every}: needs lr_decay")
    _check_size(experiment.preprocess)
    _check_scales(experiment)
    if tile not in (None, "auto") and not (type(tile) is int and tile > 0):
        raise InputError(f"tile={tile}: must be auto, null or a whole number of pixels")
    return experiment


def typed(config: DictConfig, schema: type[Schema]) -> Schema:
    """Turn a composed configuration into a dataclass, and check every key by itself."""
    try:
        # As plain data, because keys that were added with + would pass otherwise.
        plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
        result = OmegaConf.to_object(OmegaConf.merge(schema, plain))
    except MissingMandatoryValue as error:
        raise InputError(f"{error.full_key}: no value is given") from None
    except OmegaConfBaseException as error:
        raise InputError(explain(error, schema)) from None
    for key, value in walk(result):
        if value is not None:
            check_value(key, value)
    return result


def name_pictures(config: ObjectiveConfig) -> None:
    """Name the images after the files that are used instead of an option of their group."""
    for role in ("content", "style"):
        file = getattr(config, f"{role}_image", None)
        files = [file] if file else getattr(config, "styles", []) if role == "style" else []
        if files:
            name = "+".join(Path(each).stem for each in files)
            setattr(config, role, PictureConfig(name, None, None, None))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def check_layers(config: ObjectiveConfig) -> None:
    """Check the keys of the losses, of an experiment or a training, against each other."""
    if config.losses.tv.form == "power" and config.losses.tv.grid != "crop":
        raise InputError(f"losses.tv.grid={config.losses.tv.grid}: form=power needs grid=crop")
    extra = getattr(config, "extra_losses", None)  # an experiment's; a training has none
    if extra is not None and not isinstance(extra, dict):
        raise InputError(f"extra_losses={extra}: must be losses by name with settings, or null")
    if not config.style_layers and not config.content_layers and not extra:
        raise InputError("style_layers=[] and content_layers=[]: at least one layer must be named")
    if config.model.name != "auto":
        for key in ("style_layers", "content_layers"):
            vgg.ARCHITECTURES[config.model.name].check_layers(getattr(config, key), key)
    for branch, weight in (("style", config.style_weight), ("content", config.content_weight)):
        layers = getattr(config, f"{branch}_layers")
        if not layers and weight > 0:
            raise InputError(f"{branch}_layers=[]: must name a layer, or {branch}_weight must be 0")
        if len(set(layers)) < len(layers):
            raise InputError(f"{branch}_layers={as_typed(layers)}: a layer is named twice")
        layer_weights(config, branch)
    if config.content_weight == config.style_weight == config.tv_weight == 0 and not extra:
        raise InputError("content_weight, style_weight and tv_weight are all 0: nothing to do")


def layer_weights(config: ObjectiveConfig, branch: str) -> dict[str, float]:
    """Weight of each layer of ``branch`` (content or style), the branch's own weight included."""
    layers = getattr(config, f"{branch}_layers")
    key = f"{branch}_layer_weights"
    given = getattr(config, key)
    if given == "mean":
        each = [1 / max(1, len(layers))] * len(layers)
    elif given == "sum":
        each = [1.0] * len(layers)
    elif given == "fine":
        widest = vgg.ARCHITECTURES["vgg19"]  # the strides of its layers are those of every VGG
        widest.check_layers(layers, f"{branch}_layers")
        shares = [1 / widest.layers[layer] for layer in layers]
        each = [share / sum(shares) for share in shares]
    elif not isinstance(given, list):
        raise InputError(f"{key}={given}: must be mean, sum, fine, or a list of numbers")
    elif len(given) != len(layers):
        raise InputError(
            f"{key}={as_typed(given)}: {len(given)} numbers for {len(layers)} {branch}_layers"
        )
    elif not all(_is_number(value) and value >= 0 for value in given):
        raise InputError(f"{key}={as_typed(given)}: each must be a number of at least 0")
    else:
        each = given
    weight = getattr(config, f"{branch}_weight")
    return {layer: weight * float(value) for layer, value in zip(layers, each)}


def _check_objective(config: ExperimentConfig) -> None:
    losses = ["total", "content_loss", "style_loss", "tv_loss"]
    losses += [f"content_loss.{layer}" for layer in config.content_layers]
    regions = range(1, len(config.content_masks) + 1)
    ends = [f".region{number}" for number in regions] if len(regions) > 1 else [""]
    losses += [f"style_loss.{layer}{end}" for layer in config.style_layers for end in ends]
    for name, settings in (config.extra_losses or {}).items():
        layers = settings.get("layers") if isinstance(settings, dict) else ()
        layers = layers if isinstance(layers, list) else ()
        losses += [name, *(f"{name}.{layer}" for layer in layers)]
    names = [f"{when}.{name}" for when in ("losses", "losses_at_start") for name in losses]
    measured = metrics.summarised()
    if config.objective not in (*names, *measured):
        raise InputError(
            f"objective={config.objective}: must be one of {', '.join(names[: len(losses)])},"
            f" the same under losses_at_start, or one of {', '.join(measured)}"
            f"{did_you_mean(config.objective, (*names, *measured))}"
        )


def _check_styles(config: ExperimentConfig) -> None:
    styles, blend = config.styles, config.style_blend
    if styles and config.style_image is not None:
        raise InputError(f"styles={as_typed(styles)}, style_image: only one can be given")
    if not blend:
        return
    given = f"style_blend={as_typed([f'{weight:g}' for weight in blend])}"
    if len(blend) != len(styles):
        raise InputError(f"{given}: {len(blend)} numbers for {len(styles)} styles")
    if not all(0 <= weight < math.inf for weight in blend) or not any(blend):
        raise InputError(f"{given}: each must be a number of at least 0, and not all 0")
    if len(config.content_masks) > 1:
        raise InputError(f"{given}: each of the content_masks has its own style, unblended")


def _check_masks(config: ExperimentConfig) -> None:
    styles, masks, parts = config.styles, config.content_masks, config.style_masks
    given = f"style_masks={as_typed(parts)}"
    if len(masks) > 1 and len(styles) not in (0, 1, len(masks)):
        raise InputError(
            f"styles={as_typed(styles)}: {len(styles)} for {len(masks)} content_masks;"
            " must be one for all, or one for each"
        )
    if parts and len(parts) != len(masks):
        raise InputError(
            f"{given}: {len(parts)} for {len(masks)} content_masks; must be one for each, or []"
        )
    if parts and len(styles) > len(masks):
        raise InputError(f"{given}: need one style for each of content_masks")
    if masks and not config.style_layers:
        raise InputError("style_layers=[]: must name a layer for content_masks to work on")


def _check_size(rules: PreprocessConfig) -> None:
    given = [k for k in SIDES if getattr(rules, k) is not None]
    if len(given) > 1:
        raise InputError(f"preprocess.{given[0]}, preprocess.{given[1]}: only one can be given")
    shape = rules.shape
    if shape is None:
        return
    pair = isinstance(shape, list) and len(shape) == 2
    if not (pair and all(type(side) is int and side >= 1 for side in shape)):
        raise InputError(f"preprocess.shape={shape}: must be [width, height] in pixels, or null")
    if rules.style_shape != "squash":
        raise InputError(f"preprocess.shape={as_typed(shape)}: needs preprocess.style_shape=squash")


def _check_scales(config: ExperimentConfig) -> None:
    """Check the scales; those of a list set ``max_long_edge``."""
    scales, epochs = config.scales, config.coarse_epochs
    if scales in (None, []):
        config.scales = None
        return
    if isinstance(scales, list):
        whole = all(type(edge) is int and 1 <= edge <= 20000 for edge in scales)
        if not (whole and all(low < high for low, high in zip(scales, scales[1:]))):
            raise InputError(
                f"scales={as_typed(scales)}: must be long sides in pixels, each larger than the one"
                " before, and at most 20000"
            )
        config.max_long_edge = scales[-1]
    elif scales not in ("auto", "sqrt2"):
        raise InputError(
            f"scales={scales}: must be auto, sqrt2, null or a list of long sides in pixels"
        )
    each = epochs if isinstance(epochs, list) else [epochs]
    if not each or not all(type(number) is int and number >= 1 for number in each):
        raise InputError(
            f"coarse_epochs={as_typed(epochs)}: must be a whole number of at least 1, or a list of"
            " these"
        )
