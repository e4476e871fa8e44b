"""The keys of an experiment with their types, allowed values, help texts and properties.

The default values are in configs/. :class:`nstrep.config.fields.Key` explains the properties.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from nstrep.config.fields import choice, group, input_file, number, only, text, unless
from nstrep.images import INTERPOLATIONS
from nstrep.networks import vgg

# Folders of configs/: each holds the options of one word on the command line.
GROUPS = ("content", "style", "model", "recipe", "optimizer", "experiment")
PRESETS = ("recipe", "experiment", "optimizer")  # their options also set keys outside the group

INITS = ("content", "style", "noise")
COLORS = ("style", "histogram", "cholesky", "luminance")
LOGGERS = ("none", "tensorboard")

LOCAL = {"identity": False, "stored": False}  # of one run, without an effect on its result
NAMED_IMAGE = {"section": "Images", "listed": False, "identity": False, "changes": "inputs"}
ADAM = {"effect": unless("optimizer.name", "sgd", "nag", "lbfgs")}
SIDES = ("short_edge", "height", "shape")  # keys of preprocess that set another side than the long
RATES = ("sgd", "nag", "adam")  # the optimisers of MXNet
STEPS = {"effect": unless("optimizer.name", "lbfgs")}  # of keys without an effect on a line search
RELATIVE = ("energy", "difference")  # divisors of a loss that have no powers of N and M
FLOAT32 = {"at_most": 1e30}  # MXNet computes with it in single precision
WEIGHTS = "mean (1 / number), sum (1), fine (proportional to 1 / stride, 1 in all), or a list"


@dataclass
class PictureConfig:
    """An image by name: its file and what replaces a missing file."""

    name: str = text("name of the image in results")
    title: str | None = text("title and author of the work")
    asset: str | None = text("file that download.sh fetches, relative to NSTREP_HOME")
    builtin: str | None = text("image that needs no download: from scikit-image or stand_ins/")


@dataclass
class ModelConfig:
    """A network by name."""

    name: str = choice(
        "VGG network; auto selects vgg19 if its weights are on disk", ("auto", *vgg.ARCHITECTURES)
    )


@dataclass
class WeightsConfig:
    """Weights of the network."""

    path: str | None = text(
        "weights file, or random; null selects the network's own weights",
        file=True, words=("random",), identity=False,
    )  # fmt: skip
    normalize: bool = text("rescale each filter to a mean activation of 1 (Gatys 2016, sec. 2)")


@dataclass
class AssetsConfig:
    """Downloads."""

    download: str = choice("download of missing weights and images", ("ask", "always", "never"))


@dataclass
class OptimizerConfig:
    """Settings of an optimiser; null for those that it does not have."""

    name: str = text("optimisation algorithm: sgd, nag, adam or lbfgs")
    momentum: float | None = number(
        "momentum coefficient (SGD and NAG)", at_least=0, at_most=1,
        effect=unless("optimizer.name", "adam", "lbfgs"),
    )  # fmt: skip
    beta1: float | None = number("decay rate of the mean (Adam)", at_least=0, below=1, **ADAM)
    beta2: float | None = number("decay rate of the variance (Adam)", at_least=0, below=1, **ADAM)
    epsilon: float | None = number(
        "constant added to the standard deviation (Adam)", above=0, **FLOAT32, **ADAM
    )
    weight_decay: float | None = number(
        "pull of the pixels to the mean colour", at_least=0, **FLOAT32, **STEPS
    )
    decoupled_decay: bool | None = text(
        "subtract lr x weight_decay x pixel from each pixel instead of adding the weight decay to"
        " the gradient, which Adam would rescale",
        effect=unless("optimizer.weight_decay", None, 0),
    )
    clip_gradient: float | None = number(
        "limit of each entry of the gradient, before weight decay is added",
        above=0, **FLOAT32, **STEPS,
    )  # fmt: skip
    clip_norm: Any = text(
        "largest norm of the gradient, which is rescaled if it exceeds this: a number, or size for"
        " the number of elements of the image (as in the MXNet example of 2016)",
        **STEPS,
    )
    relative_lr: bool | None = text(
        "divide the gradient by its root mean square at the start, so that the first SGD step"
        " changes the pixels by lr grey levels for any network, losses and size",
        **STEPS,
    )
    average_decay: float | None = number(
        "decay rate of an average of the iterates, which is the result of each scale instead of the"
        " last iterate; null for none",
        at_least=0, below=1, absent=None, **STEPS,
    )  # fmt: skip
    lr_decay: float | None = number(
        "factor of the learning rate at each decay", above=0, at_most=1,
        effect=unless("optimizer.lr_decay_every", None),
    )  # fmt: skip
    lr_decay_every: int | None = number("number of updates between two decays", at_least=1, **STEPS)
    corrections: int | None = number(
        "history size (L-BFGS)", at_least=1, effect=unless("optimizer.name", *RATES)
    )
    line_search_steps: int | None = number(
        "maximum number of evaluations in a line search (L-BFGS)", at_least=1,
        effect=unless("optimizer.name", *RATES),
    )  # fmt: skip


@dataclass
class RecipeConfig:
    """Description of a recipe: where its numbers come from."""

    name: str = text("file name in configs/recipe")
    source: str = text("paper or program, with its address")
    network: str = text("network whose weights the source uses")
    deviations: list[str] = text("differences between this program and the source")
    oddities: list[str] = text("unexpected behaviour of the source")


@dataclass
class LossForm:
    """Normalisation of a content or style loss: factor / (N^channels_power M^positions_power).

    The layer has N channels and M positions. Gatys, Ecker, Bethge 2015, eq. 4 (style) is factor 1/4
    with powers 2 and 2; their eq. 1 (content) is factor 1/2 with powers 0.
    """

    factor: float = number("factor of the sum of squared differences", above=0)
    channels_power: float = number(
        "exponent of the number of channels N", at_least=0, effect=unless(".divide_by", *RELATIVE)
    )
    positions_power: float = number(
        "exponent of the number of positions M", at_least=0, effect=unless(".divide_by", *RELATIVE)
    )
    divide_by: str = choice(
        "divisor: size (N and M of the layer to these powers), image_size (N = 3 and M of the"
        " image), energy (the sum of the squared target, so that the loss is relative and"
        " comparable between layers, networks and sizes), or difference (the sum of the absolute"
        " differences, so that its gradient has about the same size everywhere)",
        ("size", "image_size", *RELATIVE),
    )


@dataclass
class StyleForm(LossForm):
    """Normalisation of a style loss, and the form of its Gram matrix."""

    mean_share: float = number(
        "weight of the product of the filters' means, which is added to their covariance: 1 gives"
        " the Gram matrix of the papers, less emphasises strokes over colours",
        at_least=0,
    )
    equal_filters: bool = text(
        "scale every filter to the same energy on the style image, so that weak filters (colours,"
        " fine strokes) count as much as strong ones"
    )


@dataclass
class TvForm:
    """Form of the total variation: differences, grid and reduction."""

    form: str = choice(
        "formula: sum(dx^2) + sum(dy^2) (squared), sum(|dx|) + sum(|dy|) (absolute) or"
        " sum((dx^2 + dy^2)^1.25) (power, which needs grid=crop)",
        ("squared", "absolute", "power"),
    )
    grid: str = choice(
        "differences that count: full (every pair of neighbours), crop (those on the common"
        " (H-1) x (W-1) grid) or zero_padded (also those with a zero beyond the border)",
        ("full", "crop", "zero_padded"),
    )
    reduction: str = choice(
        "reduction over the differences: sum, mean, or pixel_mean (the sum divided by 3 H W)",
        ("sum", "mean", "pixel_mean"),
    )
    factor: float = number("factor of the result", above=0)


@dataclass
class LossesConfig:
    """Formulas of the losses."""

    content: LossForm
    style: StyleForm
    tv: TvForm = group(effect=unless("tv_weight", 0))
    feature_scale: float = number(
        "factor of the features: the input range of the recipe's network divided by 255 (it scales"
        " a content loss by its 2nd power and a style loss by its 4th, those divided by the"
        " difference by half of these; those divided by the energy stay unchanged)",
        above=0,
        effect=unless("losses.content.divide_by", "energy")
        + unless("losses.style.divide_by", "energy"),
    )


@dataclass
class PreprocessConfig:
    """How images become the input of the network."""

    pixel_scale: float = number("value of white before the mean is subtracted", above=0)
    short_edge: int | None = number(
        "short side of both images instead of the long one, limited by max_long_edge", at_least=1
    )
    height: int | None = number(
        "height of both images instead of the long side, limited by max_long_edge", at_least=1
    )
    shape: Any = text(
        "[width, height] to which both images are stretched, scaled down to max_long_edge"
    )
    resize: str = choice("interpolation method", INTERPOLATIONS)
    rounding: str = choice("rounding of the new size", ("nearest", "truncate"))
    style_shape: str = choice(
        "shape of the style image: keep its own, or squash it to the content image's",
        ("keep", "squash"),
    )
    padding: str = choice("padding of the image in the first layer", vgg.PADDINGS)


@dataclass
class NoiseConfig:
    """The noise of init=noise."""

    distribution: str = choice("distribution of the noise", ("uniform", "normal"))
    scale: float = number("half-width or standard deviation in grey levels", above=0)
    blend: float = number("share of noise; the rest is the content image", above=0, at_most=1)


@dataclass
class ObjectiveConfig:
    """What is minimised, for an experiment as for the training of a transform network."""

    style: PictureConfig = group(**NAMED_IMAGE, replaces=("style_image", "styles", "style_blend"))
    style_image: str | None = input_file(
        "style image file, instead of style=NAME", replaces=("styles", "style_blend"), common=True
    )
    model: ModelConfig = group(section="Network", identity=False, changes="formula")
    weights: WeightsConfig = group(changes="formula")
    pooling: str = choice("pooling of the network", vgg.POOLINGS, changes="inputs")
    assets: AssetsConfig = group(**LOCAL)
    recipe: RecipeConfig = group(section="Losses", listed=False, identity=False, changes="formula")
    content_weight: float = number("weight of the content loss", at_least=0, common=True)
    style_weight: float = number("weight of the style loss", at_least=0, common=True)
    tv_weight: float = number("weight of the total variation", at_least=0)
    content_layers: list[str] = text("layers of the content loss", changes="formula")
    style_layers: list[str] = text("layers of the style loss", changes="formula")
    content_layer_weights: Any = text(f"content layer weights: {WEIGHTS}", changes="formula")
    style_layer_weights: Any = text(f"style layer weights: {WEIGHTS}", changes="formula")
    losses: LossesConfig = group(changes="formula")


@dataclass
class ExperimentConfig(ObjectiveConfig):
    """All keys of an experiment."""

    GROUPS: ClassVar[tuple[str, ...]] = GROUPS
    content: PictureConfig = group(**NAMED_IMAGE, replaces=("content_image",))
    content_image: str | None = input_file(
        "content image file, instead of content=NAME", common=True
    )
    styles: list[str] = input_file(
        "several style images instead of one: options of the style group, or files",
        names_of="style", replaces=("style_image", "style_blend"),
    )  # fmt: skip
    style_blend: list[float] = text(
        "weights of the styles in their blend; [] for equal weights", changes="inputs"
    )
    color: str = choice(
        "source of the result's colours: style (the style image), histogram or cholesky (the"
        " content image, whose mean and covariance are transferred to the style image with a"
        " symmetric or triangular matrix) or luminance (the content image, whose chrominance is"
        " kept while only luminance is stylised)",
        COLORS, changes="formula", common=True,
    )  # fmt: skip
    content_masks: list[str] = input_file(
        "masks of the content image's shape, white where the style applies; each is a region with"
        " a style loss of its own"
    )
    style_masks: list[str] = input_file(
        "masks of the style images, one for each of content_masks, white in the part that the"
        " region imitates; [] for the whole images"
    )
    max_long_edge: int = number(
        "long side of the result in pixels; an upper limit if preprocess sets another side",
        at_least=1, at_most=20000, changes="inputs", common=True,
        effect=only("scales", None, "auto", "sqrt2"),
    )  # fmt: skip
    style_scale: float = number(
        "size of the style image relative to the result",
        above=0, at_most=10, changes="inputs", common=True,
    )  # fmt: skip
    remove_noise: float = number(
        "strength of the filter on the saved result: weight of the total variation filter"
        " (Chambolle), or sigma of the Gaussian in pixels; 0 for no filter",
        at_least=0,
        at_most=100, common=True,
    )  # fmt: skip
    denoise: str = choice(
        "filter on the saved result", ("tv", "gaussian"), effect=unless("remove_noise", 0)
    )
    preprocess: PreprocessConfig = group(changes="formula")
    optimizer: OptimizerConfig = group(section="Optimiser")
    lr: float | None = number(
        "learning rate; null for lbfgs, which needs none", above=0, **FLOAT32, **STEPS
    )
    init: str = text(
        "initial image: content, style, noise, or a file", file=True, words=INITS, common=True
    )
    init_noise: NoiseConfig = group(effect=only("init", "noise"))
    scales: Any = text(
        "sizes at which the image is optimised, from coarse to fine: auto (the long side halved"
        " down to 256 pixels), sqrt2 (divided by the square root of 2 down to 128), a list of long"
        " sides, whose last replaces max_long_edge, or null for the size of the result alone",
        absent=None, common=True,
    )  # fmt: skip
    coarse_epochs: Any = text(
        "maximum number of iterations at each of the scales but the last: a number, or a list from"
        " the coarsest on, whose last holds for the rest",
        absent=50, effect=unless("scales", None),
    )  # fmt: skip
    basis: str = choice(
        "coordinates that are optimised: pixels, or dct for cosines", ("pixels", "dct")
    )
    basis_power: float = number(
        "exponent p of basis=dct, which scales cosines by frequency^-p: a larger value delays fine"
        " structures, 0.25 lowers the loss faster and leaves more grain, 0 is the same as pixels",
        at_least=0, at_most=2, effect=only("basis", "dct"),
    )  # fmt: skip
    bounds: bool = text("keep pixels between black and white during optimisation")
    max_num_epochs: int = number(
        "maximum number of iterations; with scales, at the last",
        at_least=1, later="larger", common=True,
    )  # fmt: skip
    stop_eps: float = number(
        "relative change of the image, ||x_t - x_(t-1)|| / ||x_t||, below which a run stops",
        at_least=0, later="smaller",
    )  # fmt: skip
    stop_loss_change: float = number(
        "relative loss change below which a run stops", at_least=0, later="smaller"
    )
    stop_patience: int = number(
        "iterations in a row below a threshold to stop", at_least=1,
        effect=unless("stop_eps", 0) + unless("stop_loss_change", 0),
    )  # fmt: skip
    extra_losses: Any = text(
        "further losses by name, each with its settings, such as {NAME_loss: {weight: 1, layers:"
        " [relu2_1]}}, registered in nstrep/losses/; null for none",
        section="Losses", absent=None, changes="formula",
    )  # fmt: skip
    seed: int = number(
        "seed of noise and random weights", section="Run", at_least=0, at_most=2**32 - 1,
        effect=only("init", "noise") + only("weights.path", "random"), common=True,
    )  # fmt: skip
    gpu: int = number("index of the GPU; -1 for the CPU", at_least=-1)
    tile: Any = text(
        "side in pixels of the tiles, including margins, in which the image is computed, which"
        " changes only the memory needed; null: no tiles; auto: no tiles if the image fits into the"
        " memory, else the largest tiles that do",
        identity=False,
    )
    max_memory_mb: float | None = number(
        "memory of the process in MB within which tile=auto plans each scale; null: what is free",
        above=0, identity=False,
    )  # fmt: skip
    save_epochs: int = number("iterations between two saved images; 0 for none", at_least=0)
    logger: str = choice("log of losses and images in addition to the run's own files", LOGGERS)
    checkpoint_seconds: float | None = number(
        "seconds between two checkpoints; 0 for every iteration, null for none at all",
        at_least=0, **LOCAL,
    )  # fmt: skip
    resume: bool = text(
        "continue the run in hydra.run.dir from its checkpoint (a sweep always does), also to more"
        " max_num_epochs",
        section="Reruns and sweeps", **LOCAL,
    )  # fmt: skip
    from_image: str | None = text(
        "final.png whose experiment is run again", file=True, **LOCAL, changes="inputs", common=True
    )
    from_image_root: str | None = text(
        "folder whose files from_image may read, besides the current folder and the image's",
        file=True, effect=unless("from_image", None), **LOCAL,
    )  # fmt: skip
    objective: str = text(
        "number that a search (hydra/sweeper=optuna) minimises: losses.NAME or"
        " losses_at_start.NAME with a loss of curve.csv, or another number of metrics.json",
        identity=False,
    )
