"""The schema of an experiment: every key, its type and what is allowed, checked once.

The values live in configs/ (one place for each default); here is only what they may be.
"""

from __future__ import annotations

import difflib
import math
import re
import typing
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from nstrep.base.errors import InputError
from nstrep.images import INTERPOLATIONS
from nstrep.networks import vgg

GROUPS = ("content", "style", "model", "recipe", "optimizer", "experiment")
"""Folders of configs/: each holds the options of one word on the command line."""

MODELS = ("auto", *vgg.ARCHITECTURES)
DENOISERS = ("tv", "gaussian")
INITS = ("content", "style", "noise")
LOGGERS = ("none", "tensorboard")
MEASURES = (
    "epochs", "evaluations", "seconds", "seconds_per_epoch", "eps", "loss_change", "ssim", "psnr",
    "peak_memory_mb",
)  # fmt: skip
"""Numbers of metrics.json that ``objective`` may name, besides the losses."""
DOWNLOADS = ("ask", "always", "never")
NOT_STORED = ("assets", "from_image", "from_image_root", "resume", "checkpoint_seconds")
"""Keys that are the user's at the moment and no part of a result: a picture does not hold them, and
they are not taken from one.
"""
Schema = TypeVar("Schema")
LAYER_WEIGHTS = (
    "mean (1 / number), sum (1), fine (in proportion to 1 / stride, 1 in all), or a number for each"
)
BASES = ("pixels", "dct")
COLORS = ("style", "histogram", "cholesky", "luminance")


def config_folder() -> Path:
    """configs/: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).parents[1]
    inside = package / "configs"
    return inside if inside.is_dir() else package.parent / "configs"


def group_options(group: str) -> list[str]:
    """The names that a group of configs/ has."""
    return sorted(file.stem for file in (config_folder() / group).glob("*.yaml"))


def number(
    about: str,
    *,
    above: float = -math.inf,
    at_least: float = -math.inf,
    at_most: float = math.inf,
) -> Any:
    """Declare a numeric key with its range."""
    limits = {"above": above, "at_least": at_least, "at_most": at_most}
    return field(metadata={"about": about, "limits": limits})


def choice(about: str, options: tuple[str, ...]) -> Any:
    """Declare a key that takes one of a few words."""
    return field(metadata={"about": about, "options": options})


def text(about: str) -> Any:
    """Declare a key without a range."""
    return field(metadata={"about": about})


@dataclass
class PictureConfig:
    """A picture by name: where it may lie, and what stands in for it."""

    name: str = text("what results call it")
    title: str | None = text("title and maker of the work")
    asset: str | None = text("file that download.sh fetches, relative to NSTREP_HOME")
    builtin: str | None = text("picture that needs no download: from scikit-image or stand_ins/")


@dataclass
class ModelConfig:
    """A network by name."""

    name: str = choice("which VGG; auto takes vgg19 when its weights are on disk", MODELS)


@dataclass
class WeightsConfig:
    """Which weights a network gets."""

    path: str | None = text("a weights file, or random; the network's own when null")
    normalize: bool = text("rescale each filter to a mean activation of 1 (Gatys 2016, sec. 2)")


@dataclass
class AssetsConfig:
    """What may be fetched."""

    download: str = choice("fetch a missing file: ask on a terminal, always or never", DOWNLOADS)


@dataclass
class OptimizerConfig:
    """One optimiser's settings; what an optimiser does not have is null."""

    name: str = choice("which", ("sgd", "nag", "adam", "lbfgs"))
    momentum: float | None = number("of SGD and NAG", at_least=0, at_most=1)
    beta1: float | None = number("Adam: decay of the mean", at_least=0, at_most=1)
    beta2: float | None = number("Adam: decay of the variance", at_least=0, at_most=1)
    epsilon: float | None = number("Adam: added to the deviation", above=0)
    weight_decay: float | None = number("pulls the pixels to the mean colour", at_least=0)
    decoupled_decay: bool | None = text(
        "apply the weight decay to the pixels themselves, as lr x weight_decay x pixel, and not"
        " to the gradient, where Adam would divide it away"
    )
    clip_gradient: float | None = number(
        "each gradient entry is cut to [-c, c] before weight decay is added", above=0
    )
    clip_norm: Any = text(
        "the gradient is rescaled to this norm when above it: a number, or size for the number"
        " of the image's elements (as the MXNet example of 2016 does)"
    )
    relative_lr: bool | None = text(
        "divide the gradient by its root mean square at the start: the first SGD step then moves"
        " the pixels by lr grey levels, whatever the network, the losses and the size"
    )
    lr_decay: float | None = number("lr is multiplied with this", above=0, at_most=1)
    lr_decay_every: int | None = number("after so many updates", at_least=1)
    corrections: int | None = number("L-BFGS: past steps that describe the curvature", at_least=1)
    line_search_steps: int | None = number("L-BFGS: evaluations at most for a step", at_least=1)


@dataclass
class RecipeConfig:
    """What a recipe is called and where its numbers come from."""

    name: str = text("file name in configs/recipe")
    source: str = text("paper or program, with its address")
    network: str = text("whose weights the source uses")
    deviations: list[str] = text("where this program does not do what the source does")
    oddities: list[str] = text("what the source does that nobody would expect")


@dataclass
class LossForm:
    """How a content or style loss is normalised: factor / (N^channels_power M^positions_power).

    N is the number of channels and M of positions of the layer. Gatys, Ecker, Bethge 2015, eq. 4
    (style) is factor 1/4 with powers 2 and 2; their eq. 1 (content) factor 1/2 with powers 0.
    """

    factor: float = number("multiplies the sum of squared differences", above=0)
    channels_power: float = number("of N", at_least=0)
    positions_power: float = number("of M", at_least=0)
    divide_by: str = choice(
        "size: N and M of the layer; image_size: N = 3 and M of the image; energy: the sum of the"
        " squared target instead of powers, so that the loss is relative, 0 where nothing differs,"
        " on any layer, network and size",
        ("size", "image_size", "energy"),
    )


@dataclass
class StyleForm(LossForm):
    """What a style loss has besides: which part of the Gram matrix counts how much."""

    mean_share: float = number(
        "the Gram matrix is the filters' covariance plus this times the product of their means:"
        " 1 is the papers' Gram matrix, less gives the strokes more weight against the palette",
        at_least=0,
    )
    equal_filters: bool = text(
        "scale every filter to the same energy on the painting first, so that faint filters"
        " (colours, fine strokes) count as much as strong ones"
    )


@dataclass
class TvForm:
    """Total variation: which differences of neighbours, over which grid, summed or averaged."""

    form: str = choice(
        "squared: sum(dx^2) + sum(dy^2); absolute: sum(|dx|) + sum(|dy|);"
        " power: sum((dx^2 + dy^2)^1.25), which needs grid=crop",
        ("squared", "absolute", "power"),
    )
    grid: str = choice(
        "full: every pair of neighbours; crop: the common (H-1) x (W-1) grid; zero_padded: also"
        " the pairs with a zero beyond the border",
        ("full", "crop", "zero_padded"),
    )
    reduction: str = choice("over the differences", ("sum", "mean"))
    factor: float = number("multiplies the result", above=0)


@dataclass
class LossesConfig:
    """The formulas of a recipe."""

    content: LossForm
    style: StyleForm
    tv: TvForm
    feature_scale: float = number(
        "the features are multiplied by this: what a recipe's network sees, over 0 to 255 (so a"
        " content loss is multiplied by its 2nd power, a style loss by its 4th; relative ones are"
        " the same)",
        above=0,
    )


@dataclass
class PreprocessConfig:
    """How pictures become the network's input."""

    pixel_scale: float = number("white, before the mean is subtracted", above=0)
    short_edge: int | None = number(
        "short side of both pictures instead of the long one, up to max_long_edge", at_least=1
    )
    height: int | None = number(
        "height of both pictures instead of the long side, up to max_long_edge", at_least=1
    )
    shape: Any = text(
        "[width, height] that both pictures are squeezed to, scaled down to max_long_edge"
    )
    resize: str = choice("interpolation", INTERPOLATIONS)
    rounding: str = choice("of the new size", ("nearest", "truncate"))
    style_shape: str = choice("keep: its own; squash: the content's", ("keep", "squash"))
    padding: str = choice("beyond the border of the first layer", vgg.PADDINGS)


@dataclass
class NoiseConfig:
    """What init=noise starts from."""

    distribution: str = choice("of the noise", ("uniform", "normal"))
    scale: float = number("half-width or standard deviation, in grey levels", above=0)
    blend: float = number("share of noise; the rest is the content", above=0, at_most=1)


@dataclass
class ExperimentConfig:
    """One experiment, whole."""

    GROUPS: ClassVar[tuple[str, ...]] = GROUPS
    content: PictureConfig
    style: PictureConfig
    content_image: str | None = text("a file instead of the content group")
    style_image: str | None = text("a file instead of the style group")
    styles: list[str] = text(
        "several paintings instead of the one: names of the style group, or files"
    )
    style_blend: list[float] = text("weight of each of the styles in their blend; equal when []")
    color: str = choice(
        "whose colours the result has: style: the painting's; histogram: the photo's, whose mean"
        " and covariance the painting gets (symmetric form); cholesky: likewise (triangular form);"
        " luminance: the photo's chrominance, the transfer sees luminances alone",
        COLORS,
    )
    content_masks: list[str] = text(
        "pictures of the photo's shape, white where the style is to work; each is a region with"
        " its own style loss"
    )
    style_masks: list[str] = text(
        "for each of the content_masks the part of its painting, white, that it looks like; [] for"
        " all of it"
    )
    model: ModelConfig
    weights: WeightsConfig
    assets: AssetsConfig
    recipe: RecipeConfig
    losses: LossesConfig
    preprocess: PreprocessConfig
    optimizer: OptimizerConfig
    init_noise: NoiseConfig
    content_weight: float = number("of the content loss", at_least=0)
    style_weight: float = number("of the style loss", at_least=0)
    tv_weight: float = number("of the total variation", at_least=0)
    content_layers: list[str] = text("layers that the content loss compares")
    style_layers: list[str] = text("layers whose Gram matrices the style loss compares")
    content_layer_weights: Any = text(f"of each layer: {LAYER_WEIGHTS}")
    style_layer_weights: Any = text(f"of each layer: {LAYER_WEIGHTS}")
    pooling: str = choice("of the network", vgg.POOLINGS)
    init: str = text("content, style, noise, or a picture file")
    multiscale: int = number(
        "updates at half the size first, whose change is the start at full size; 0 for none",
        at_least=0,
    )
    basis: str = choice("coordinates of the optimiser", BASES)
    basis_power: float = number(
        "basis=dct scales cosines by frequency^-basis_power: fine structures grow later the larger"
        " it is; 0.25 reaches a loss sooner and leaves more grain; 0 is the same as pixels",
        at_least=0,
        at_most=2,
    )
    bounds: bool = text("keep pixels between black and white while optimising")
    lr: float | None = number("learning rate; null for lbfgs, which has none", above=0)
    stop_eps: float = number("stop when ||x_t - x_(t-1)|| / ||x_t|| is below", at_least=0)
    stop_loss_change: float = number("stop when the loss's relative change is below", at_least=0)
    stop_patience: int = number("for so many epochs in a row", at_least=1)
    max_num_epochs: int = number("updates at most", at_least=1)
    max_long_edge: int = number(
        "long side of the result, in pixels; at most, where preprocess names another side or shape",
        at_least=1,
        at_most=20000,
    )
    style_scale: float = number("size of the painting against the result's", above=0, at_most=10)
    save_epochs: int = number("save a picture every so many epochs; 0 for never", at_least=0)
    remove_noise: float = number(
        "strength of the filter on what is saved: Chambolle's weight, or the Gaussian's sigma in"
        " pixels; 0 for none",
        at_least=0,
    )
    denoise: str = choice("which filter", DENOISERS)
    seed: int = number("of noise and random weights", at_least=0, at_most=2**32 - 1)
    tile: Any = text(
        "compute the picture in tiles of so many pixels a side, margins included, which changes"
        " nothing but the memory needed; null: whole; strips: the first block in strips, the rest"
        " whole; auto: the first of whole, strips and tiles that fits into the memory"
    )
    gpu: int = number("which GPU; -1 for the CPU", at_least=-1)
    resume: bool = text(
        "go on with the run in hydra.run.dir, with its settings, at its checkpoint; a sweep does"
        " so anyway"
    )
    checkpoint_seconds: float | None = number(
        "write a checkpoint every so many seconds of optimisation; 0: after every epoch; null:"
        " never",
        at_least=0,
    )
    logger: str = choice("where losses and pictures go besides the run's own files", LOGGERS)
    objective: str = text(
        "what a search (hydra/sweeper=optuna) minimises: losses.NAME or losses_at_start.NAME with"
        " a loss of curve.csv, or another number of metrics.json"
    )
    from_image: str | None = text("a final.png whose experiment is run again")
    from_image_root: str | None = text(
        "a folder whose files from_image may read, besides the current one and the picture's"
    )


def check(config: DictConfig) -> ExperimentConfig:
    """Turn a composed config into the typed one, or say what is wrong with it.

    Raises:
        InputError: one line naming the key, its value and what is allowed.

    """
    experiment = typed(config, ExperimentConfig)
    _check_together(experiment)
    return experiment


def typed(config: DictConfig, schema: type[Schema]) -> Schema:
    """Turn a composed config into a dataclass of declared keys, each checked by itself.

    Raises:
        InputError: one line naming the key, its value and what is allowed.

    """
    try:
        # As plain data, or keys that were added with + would pass.
        plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
        found = OmegaConf.to_object(OmegaConf.merge(schema, plain))
    except MissingMandatoryValue as error:
        raise InputError(f"{error.full_key}: no value is given") from None
    except OmegaConfBaseException as error:
        raise InputError(explain(error, schema)) from None
    for key, spec, value in walk(found):
        _check_value(key, spec, value)
        if isinstance(value, list) and any(isinstance(item, (list, dict)) for item in value):
            raise InputError(f"{key}={_flat(value)}: must be a list without others inside it")
    return found


def walk(node: Any, prefix: str = "") -> Iterator[tuple[str, dict, Any]]:
    """Every leaf of a config: dotted key, what its declaration says, value."""
    for item in fields(node):
        value, key = getattr(node, item.name), prefix + item.name
        if is_dataclass(value):
            yield from walk(value, key + ".")
        else:
            yield key, dict(item.metadata), value


def _check_value(key: str, spec: dict, value: Any) -> None:
    if value is None:
        return
    options = spec.get("options")
    if options and value not in options:
        near = difflib.get_close_matches(str(value), options, 1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise InputError(f"{key}={value}: must be one of {', '.join(options)}{hint}")
    limits = spec.get("limits")
    if not limits:
        return
    if not math.isfinite(value):
        raise InputError(f"{key}={value}: must be a finite number")
    if value <= limits["above"]:
        raise InputError(f"{key}={value:g}: must be above {limits['above']:g}")
    if value < limits["at_least"]:
        raise InputError(f"{key}={value:g}: must be at least {limits['at_least']:g}")
    if value > limits["at_most"]:
        raise InputError(f"{key}={value:g}: must be at most {limits['at_most']:g}")


def _check_together(config: ExperimentConfig) -> None:
    check_layers(config)
    if config.bounds and config.basis != "pixels":
        raise InputError(f"bounds=true: needs basis=pixels, not basis={config.basis}")
    if config.optimizer.name != "lbfgs" and config.lr is None:
        raise InputError(f"lr=null: optimizer={config.optimizer.name} needs a number above 0")
    _check_objective(config)
    _check_styles(config)
    _check_clip_norm(config.optimizer.clip_norm)
    _check_size(config.preprocess)
    tile = config.tile
    if tile not in (None, "auto", "strips") and not (type(tile) is int and tile > 0):
        raise InputError(f"tile={tile}: must be auto, strips, null or a whole number of pixels")


def check_layers(config: Any) -> None:
    """Check the keys that say which layers are compared how, of an experiment or a training.

    Raises:
        InputError: a layer that the network does not have, or keys that contradict each other.

    """
    if config.losses.tv.form == "power" and config.losses.tv.grid != "crop":
        raise InputError(f"losses.tv.grid={config.losses.tv.grid}: form=power needs grid=crop")
    if not config.style_layers and not config.content_layers:
        raise InputError("style_layers=[] and content_layers=[]: at least one layer must be named")
    if config.model.name != "auto":
        architecture = vgg.ARCHITECTURES[config.model.name]
        architecture.check_layers(config.style_layers, "style_layers")
        architecture.check_layers(config.content_layers, "content_layers")
    for branch, weight in (("style", config.style_weight), ("content", config.content_weight)):
        layers = getattr(config, f"{branch}_layers")
        if not layers and weight > 0:
            raise InputError(f"{branch}_layers=[]: must name a layer, or {branch}_weight must be 0")
        if len(set(layers)) < len(layers):
            raise InputError(f"{branch}_layers={_flat(layers)}: a layer is named twice")
        layer_weights(config, branch)
    if config.content_weight == config.style_weight == config.tv_weight == 0:
        raise InputError("content_weight, style_weight and tv_weight are all 0: nothing to do")


def _check_objective(config: ExperimentConfig) -> None:
    losses = ["total", "content_loss", "style_loss", "tv_loss"]
    for branch in ("content", "style"):
        layers = [f"{branch}_loss.{layer}" for layer in getattr(config, f"{branch}_layers")]
        if branch == "style" and len(config.content_masks) > 1:
            regions = range(1, len(config.content_masks) + 1)
            layers = [f"{layer}.region{number}" for layer in layers for number in regions]
        losses += layers
    known = [f"{when}.{name}" for when in ("losses", "losses_at_start") for name in losses]
    if config.objective not in (*known, *MEASURES):
        near = difflib.get_close_matches(config.objective, (*known, *MEASURES), 1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise InputError(
            f"objective={config.objective}: must be one of {', '.join(known[: len(losses)])},"
            f" the same under losses_at_start, or one of {', '.join(MEASURES)}{hint}"
        )


def _check_styles(config: ExperimentConfig) -> None:
    styles, blend = config.styles, config.style_blend
    masks, parts = config.content_masks, config.style_masks
    if styles and config.style_image is not None:
        raise InputError(f"styles={_flat(styles)}, style_image: only one can be given")
    if blend:
        given = f"style_blend={_flat([f'{weight:g}' for weight in blend])}"
        if len(blend) != len(styles):
            raise InputError(f"{given}: {len(blend)} numbers for {len(styles)} styles")
        if not all(0 <= weight < math.inf for weight in blend) or not any(blend):
            raise InputError(f"{given}: each must be a number of at least 0, and not all 0")
        if len(masks) > 1:
            raise InputError(f"{given}: each of the content_masks has its own style, unblended")
    if len(masks) > 1 and len(styles) not in (0, 1, len(masks)):
        raise InputError(
            f"styles={_flat(styles)}: {len(styles)} for {len(masks)} content_masks;"
            " must be one for all, or one for each"
        )
    if parts and len(parts) != len(masks):
        raise InputError(
            f"style_masks={_flat(parts)}: {len(parts)} for {len(masks)} content_masks;"
            " must be one for each, or []"
        )
    if parts and len(styles) > len(masks):
        raise InputError(f"style_masks={_flat(parts)}: need one style for each of content_masks")
    if masks and not config.style_layers:
        raise InputError("style_layers=[]: must name a layer for content_masks to work on")


def _check_clip_norm(value: Any) -> None:
    if value is None or value == "size":
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise InputError(f"optimizer.clip_norm={value}: must be a number above 0, size or null")


def _check_size(rules: PreprocessConfig) -> None:
    given = {key: getattr(rules, key) for key in ("short_edge", "height", "shape")}
    given = {key: value for key, value in given.items() if value is not None}
    if len(given) > 1:
        first, second = list(given)[:2]
        raise InputError(f"preprocess.{first}, preprocess.{second}: only one can be given")
    shape = given.get("shape")
    if shape is None:
        return
    whole = isinstance(shape, list) and len(shape) == 2
    if not (whole and all(type(side) is int and side >= 1 for side in shape)):
        raise InputError(f"preprocess.shape={shape}: must be [width, height] in pixels, or null")
    if rules.style_shape != "squash":
        raise InputError(f"preprocess.shape={_flat(shape)}: needs preprocess.style_shape=squash")


def layer_weights(config: ExperimentConfig, branch: str) -> dict[str, float]:
    """Weight of each layer of ``branch`` (content or style), the branch's own weight included.

    Raises:
        InputError: not mean, sum, fine, or one finite number of at least 0 for each layer.

    """
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
    elif isinstance(given, list):
        if len(given) != len(layers):
            raise InputError(
                f"{key}={_flat(given)}: {len(given)} numbers for {len(layers)} {branch}_layers"
            )
        for value in given:
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0:
                raise InputError(f"{key}={_flat(given)}: each must be a number of at least 0")
        each = [float(value) for value in given]
    else:
        raise InputError(f"{key}={given}: must be mean, sum, fine, or a list of numbers")
    weight = getattr(config, f"{branch}_weight")
    return {layer: weight * value for layer, value in zip(layers, each)}


def _flat(values: list) -> str:
    return "[" + ",".join(map(str, values)) + "]"


def known_keys(node: Any, prefix: str = "") -> Iterator[str]:
    """Every dotted key that a user can set."""
    hints = typing.get_type_hints(node)
    for item in fields(node):
        if is_dataclass(hints[item.name]):
            yield from known_keys(hints[item.name], f"{prefix}{item.name}.")
        else:
            yield prefix + item.name


def unknown_key(key: str, schema: type) -> str:
    """Say that a key does not exist, and which one of a schema may be meant."""
    groups = getattr(schema, "GROUPS", ())
    near = [group for group in groups if group.endswith(f"/{key}")]  # net=small for fast/net=small
    near += difflib.get_close_matches(key, [*groups, *known_keys(schema)], 1, cutoff=0.5)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"{key}: there is no such key{hint}"


KINDS = {"float": "a number", "integer": "a whole number", "bool": "true or false"}


def explain(error: OmegaConfBaseException, schema: type = ExperimentConfig) -> str:
    """One plain line for what OmegaConf says over several; ``schema`` is whose keys there are."""
    key, said = error.full_key or error.key, str(error.msg or error)
    first = said.strip().splitlines()[0].replace("'", "")
    wrong = re.match(
        r"Value (.*?) (?:of type \w+ )?(?:could not be converted to|is not a valid) (\w+)", first
    )
    if wrong and wrong.group(2).lower() in KINDS:
        return f"{key}={wrong.group(1)}: must be {KINDS[wrong.group(2).lower()]}"
    if ("not in" in first or "is not a subclass of" in first) and key:
        return unknown_key(str(key), schema)
    if "is not a ListConfig" in first:
        example = "[relu1_1,relu2_1]" if str(key).endswith("layers") else "[a,b]"
        return f"{key}: must be a list, such as {example}"
    return f"{key}: {first[0].lower()}{first[1:]}"
