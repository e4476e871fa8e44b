"""Write docs/recipes.md: the recipes of configs/recipe/ side by side.

python scripts/recipes.py
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
from hydra import compose, initialize_config_dir

from nstrep import cli
from nstrep.config.checks import check, layer_weights
from nstrep.config.schema import RELATIVE, ExperimentConfig, LossForm
from nstrep.experiment.image_inputs import working_size
from nstrep.images.io import picture_from_array
from nstrep.losses.content import content_coefficient
from nstrep.losses.style import style_coefficient
from nstrep.networks.vgg import ARCHITECTURES

PAGE = Path(__file__).resolve().parents[1] / "docs" / "recipes.md"
ORDER = (
    "nstrep", "mxnet2015", "mxnet2016", "mxnet_scala", "gatys2015", "gatys2016", "gatys_notebook",
    "johnson_torch", "pystiche", "gordic", "pytorch", "keras", "dlai", "cs20",
    "crowsonkb",
)  # fmt: skip
OWN, UNIT = "nstrep", "johnson_torch"
LANDSCAPE = (3, 4)
"""Height to width of the content image for which sizes are given."""

INTRODUCTION = """\
# The recipes

Written by `python scripts/recipes.py` from `configs/recipe/` and `configs/optimizer/`. The source
of each value stands beside it in those files.

    python -m nstrep.run recipe=mxnet2015 style=vangogh
    python -m nstrep.run recipe=johnson_torch optimizer=adam max_long_edge=384

The default, `nstrep`, is the papers' form (one content layer, five style layers of equal weight)
with four departures: filters of equal energy, fewer means, a total variation, and blurred pooling.
Its losses are relative, so that the weights mean the same on every layer, network and size.
[results/recipe/](../results/recipe/README.md) shows each departure, and those that were dropped,
against the papers' form.

A recipe lists what it does differently from `configs/papers.yaml`, which holds what most sources
have in common. A key on the command line overrides the recipe, and `optimizer=NAME` replaces the
whole optimiser. The loss weights are those of the sources, so they have the published meaning on
VGG-19 with Caffe's weights (`model=vgg19`).
`vgg19_slim` is stored in units in which its features are as large as VGG-19's, calibrated with the
one published pair of costs (`python scripts/feature_unit.py`), so the weights balance content and
style on it too. It has fewer channels, however, and losses can only be compared between runs of
one network. Only the recipe `nstrep` has the same meaning on any network. `keras` needs a layer
that `vgg19_slim` does not have.

F and P are the features of the result and of the content image, G and A the Gram matrices F F^T of
the result and of the style image, N the number of channels and M the number of positions of a
layer, and E = Σ(G-A)²/(4N²M²) the style loss of Gatys, Ecker, Bethge 2015, eq. 4. Sizes are those
for a content image of 4 : 3."""

ODDITIES: tuple[tuple[str, Callable[[ExperimentConfig], bool]], ...] = (
    (
        "White is 256 and not 255, so the network sees images 0.4 % brighter than those it was"
        " trained on.",
        lambda config: config.preprocess.pixel_scale == 256,
    ),
    (
        "Weight decay acts on the pixels: it pulls the image to the mean colour, independently of"
        " the losses.",
        lambda config: bool(config.optimizer.weight_decay),
    ),
    (
        "The gradient is clipped to a norm of n = 3 H W, the number of its entries, and so to a"
        " root mean square of √n per entry: the largest step grows with the side of the image, and"
        " a learning rate does not carry over to another size.",
        lambda config: config.optimizer.clip_norm == "size",
    ),
    (
        "The style image is resized to the shape of the content image, so its strokes are"
        " stretched.",
        lambda config: config.preprocess.style_shape == "squash" and not config.preprocess.shape,
    ),
    (
        "Both images are resized to one fixed shape.",
        lambda config: bool(config.preprocess.shape),
    ),
    (
        "The run stops on the size of a step, eps = ||x_t - x_(t-1)|| / ||x_t||, and not on a loss:"
        " the decaying learning rate satisfies it whether or not the loss still falls.",
        lambda config: config.stop_eps > 0 and config.optimizer.lr_decay is not None,
    ),
    (
        "The start is close to zero, and so is ||x_t||: the first values of eps are near 1 and"
        " carry no information.",
        lambda config: (
            config.init == "noise" and config.init_noise.scale < 1 and config.stop_eps > 0
        ),
    ),
    (
        "The content loss is a sum and the style loss is divided by the layer's size: the larger"
        " the image, the less the style counts at the same weights.",
        lambda config: (
            config.losses.content.positions_power == 0
            and config.losses.style.divide_by == "size"
            and config.losses.style.positions_power == 2
        ),
    ),
    (
        "The style loss is divided by N² once more than in the papers, so relu1_1 counts 64 times"
        " as much as relu4_1.",
        lambda config: config.losses.style.channels_power == 4,
    ),
    (
        "The network's input does not range from 0 to 255. The style loss grows with the 4th power"
        " of the features and the content loss with their 2nd, so the same weights have another"
        " meaning (losses.feature_scale).",
        lambda config: config.losses.feature_scale != 1 and config.losses.style.divide_by == "size",
    ),
)
"""Quirks that follow from a recipe's values; the others are in its recipe.oddities."""


def load() -> dict[str, ExperimentConfig]:
    """Every recipe's configuration as ``recipe=NAME`` gives it."""
    folder = cli.config_folder()
    found = {file.stem for file in (folder / "recipe").glob("*.yaml")}
    if found != set(ORDER):
        raise SystemExit(f"ORDER and configs/recipe differ: {sorted(found ^ set(ORDER))}")
    with initialize_config_dir(version_base="1.3", config_dir=str(folder)):
        return {name: check(compose("config", [f"recipe={name}"])) for name in ORDER}


def main() -> None:
    """Write the page."""
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(load()))


def page(recipes: dict[str, ExperimentConfig]) -> str:
    """The whole page."""
    return "\n\n".join(
        [
            INTRODUCTION,
            "## Networks and pictures",
            table(recipes, PICTURES),
            "## Losses",
            table(recipes, LOSSES),
            "## Optimisers",
            table(recipes, OPTIMISERS),
            "## In one unit",
            "The coefficient of E divided by that of the content's mean squared error, for each"
            f" layer of VGG-19; in brackets, as a multiple of that of `{UNIT}`. Where all brackets"
            f" of a row hold one number, the recipe weights the layers as `{UNIT}` does.",
            units_table(recipes),
            "## Sources, and departures of nstrep from them",
            *(about(name, config) for name, config in sources(recipes).items()),
            "What the sources themselves do unexpectedly is listed in [quirks](quirks.md).\n",
        ]
    )


def sources(recipes: dict[str, ExperimentConfig]) -> dict[str, ExperimentConfig]:
    """All but this project's own."""
    return {name: config for name, config in recipes.items() if name != OWN}


def table(recipes: dict[str, ExperimentConfig], columns: dict[str, Callable]) -> str:
    """One row a recipe, one function a column."""
    rows = [["recipe", *columns], ["---"] * (len(columns) + 1)]
    rows += [
        [f"`{name}`", *(str(cell(config)) for cell in columns.values())]
        for name, config in recipes.items()
    ]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def size(config: ExperimentConfig) -> tuple[int, int]:
    """Height and width of the result for a photo of 4 : 3."""
    blank = np.zeros((300 * LANDSCAPE[0], 300 * LANDSCAPE[1], 3))
    return working_size(picture_from_array("photo", blank), config)


def common_unit(config: ExperimentConfig, height: int, width: int) -> dict[str, float]:
    """Coefficient on E of each style layer over that on the mean squared error of the content.

    For VGG-19 and a single content layer; empty where the losses are relative to the pictures.
    """
    if config.losses.style.divide_by in RELATIVE:
        return {}
    network = ARCHITECTURES["vgg19"]

    def shape(layer: str) -> tuple[int, int]:
        stride = network.layers[layer]
        return network.widths[int(layer[4]) - 1], (height // stride) * (width // stride)

    def coefficients(branch: str, of: Callable[..., float]) -> dict[str, float]:
        weights = layer_weights(config, branch)
        return {
            layer: weight * of(config.losses, (*shape(layer), height * width), 1.0)
            for layer, weight in weights.items()
        }

    ((layer, content),) = coefficients("content", content_coefficient).items()
    content *= math.prod(shape(layer))
    # The style term is the sum of squares over M^2, and E is that over 4 N^2.
    style = coefficients("style", style_coefficient)
    return {name: value * 4 * shape(name)[0] ** 2 / content for name, value in style.items()}


def units_table(recipes: dict[str, ExperimentConfig]) -> str:
    """The table of :func:`common_unit`, also over that of :data:`UNIT`."""
    found = {name: common_unit(config, *size(config)) for name, config in recipes.items()}
    layers = list(found[UNIT])
    rows = [["recipe", "pixels", *layers], ["---"] * (len(layers) + 2)]
    for name, values in found.items():
        if values:
            height, width = size(recipes[name])
            cells = [f"{values[key]:.3g} ({values[key] / found[UNIT][key]:.3g})" for key in layers]
            rows.append([f"`{name}`", f"{width} x {height}", *cells])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def about(name: str, config: ExperimentConfig) -> str:
    """Source and deviations of one recipe."""
    lines = [f"**{name}**: {config.recipe.source}.", ""]
    return "\n".join(lines + [f"- {text}" for text in config.recipe.deviations])


def oddities(recipes: dict[str, ExperimentConfig]) -> str:
    """The list of docs/quirks.md: first what several recipes share, then the rest by recipe."""
    lines = []
    for text, applies in ODDITIES:
        names = [f"`{name}`" for name, config in recipes.items() if applies(config)]
        lines.append(f"- {text} ({', '.join(names)})")
    own: dict[str, list[str]] = {}
    for name, config in recipes.items():
        for text in config.recipe.oddities:
            own.setdefault(text, []).append(f"`{name}`")
    return "\n".join(lines + [f"- {text} ({', '.join(names)})" for text, names in own.items()])


def layers(config: ExperimentConfig) -> str:
    """Content layers, then style layers."""
    return f"{' '.join(config.content_layers)} / {' '.join(config.style_layers)}"


def wanted_size(config: ExperimentConfig) -> str:
    """Which side is how long."""
    rules = config.preprocess
    if rules.shape:
        return "{} x {}".format(*rules.shape)
    if rules.short_edge:
        return f"short side {rules.short_edge}"
    if rules.height:
        return f"height {rules.height}"
    steps = {"sqrt2": ", from 128 in steps of √2"}  # no recipe has other scales
    return f"long side {config.max_long_edge}{steps[config.scales] if config.scales else ''}"


def start(config: ExperimentConfig) -> str:
    """What the optimisation begins with."""
    noise = config.init_noise
    if config.init != "noise":
        return config.init
    spread = f"±{noise.scale:g}" if noise.distribution == "uniform" else f"N(0, {noise.scale:g}²)"
    return f"noise {spread}" if noise.blend == 1 else f"{noise.blend:g} noise {spread} + content"


FRACTIONS = {0.25: "1/4 ", 0.5: "1/2 ", 0.0625: "1/16 ", 0.625: "1/1.6 ", 1.0: ""}


def factor(value: float) -> str:
    """A factor as it is written in a formula."""
    return FRACTIONS.get(value, f"{value:.3g} ")


def divisor(form: LossForm, target: str) -> str:
    """What a sum is divided by."""
    if form.divide_by == "energy":
        return f" / Σ{target}²"
    if form.divide_by == "difference":
        return f" / Σ\\|{'F-P' if target == 'P' else '(G-A)/M'}\\|"
    n, m = ("3", "(H W)") if form.divide_by == "image_size" else ("N", "M")
    powers = [(n, form.channels_power), (m, form.positions_power)]
    parts = [name + {1: "", 2: "²", 4: "⁴"}[power] for name, power in powers if power]
    return f" / ({' '.join(parts)})" if parts else ""


def content_formula(config: ExperimentConfig) -> str:
    """The content loss of a layer."""
    form = config.losses.content
    return f"{factor(form.factor)}Σ(F-P)²{divisor(form, 'P')}"


def style_formula(config: ExperimentConfig) -> str:
    """The style loss of a layer."""
    form = config.losses.style
    squares = "((G-A)/M)²" if form.divide_by == "difference" else "(G-A)²"
    text = f"{factor(form.factor)}Σ{squares}{divisor(form, 'A')}"
    if form.mean_share != 1:
        text += f", G = covariance + {form.mean_share:g} means"
    return text + (", filters equal" if form.equal_filters else "")


def tv_formula(config: ExperimentConfig) -> str:
    """Total variation with its weight."""
    form = config.losses.tv
    if config.tv_weight == 0:
        return "none"
    total = {"squared": "Σdx²+Σdy²", "absolute": "Σ|dx|+Σ|dy|", "power": "Σ(dx²+dy²)^1.25"}
    text = f"{config.tv_weight:g} x {factor(form.factor)}({total[form.form]})"
    text = text.replace("|", "\\|")
    grid = {"full": "", "crop": ", (H-1)(W-1)", "zero_padded": ", zeros beyond the border"}
    reduction = {"sum": "", "mean": " / count", "pixel_mean": " / (3 H W)"}
    return text + reduction[form.reduction] + grid[form.grid]


def shares(config: ExperimentConfig) -> str:
    """Weights of the style layers."""
    given = config.style_layer_weights
    if isinstance(given, list):
        return " ".join(f"{value:g}" for value in given)
    return {
        "mean": f"1/{len(config.style_layers)} each",
        "sum": "1 each",
        "fine": "as 1 / stride, 1 in all",
    }[given]


def optimiser(config: ExperimentConfig) -> str:
    """The optimiser with its own settings."""
    own = config.optimizer
    text = {"lbfgs": "L-BFGS", "adam": "Adam", "sgd": "SGD", "nag": "NAG"}[own.name]
    if own.momentum:
        text += f", momentum {own.momentum:g}"
    if own.corrections:
        text += f", {own.corrections} corrections"
    if own.average_decay:
        text += f", iterates averaged by {own.average_decay:g}"
    return text + (", cosine basis" if config.basis == "dct" else "")


def rate(config: ExperimentConfig) -> str:
    """Learning rate and schedule."""
    own = config.optimizer
    if config.lr is None:
        return "line search"
    steps = f", x {own.lr_decay:g} every {own.lr_decay_every}" if own.lr_decay else ""
    return f"{config.lr:g}{steps}"


def decay(config: ExperimentConfig) -> str:
    """Weight decay on the pixels."""
    own = config.optimizer
    if not own.weight_decay:
        return "none"
    return f"{own.weight_decay:g}" + (" x lr, off the pixels" if own.decoupled_decay else "")


def clipping(config: ExperimentConfig) -> str:
    """What is done to a large gradient."""
    own = config.optimizer
    if own.clip_gradient:
        return f"entries at ±{own.clip_gradient:g}"
    return "norm at 3 H W" if own.clip_norm == "size" else "none"


def stop(config: ExperimentConfig) -> str:
    """When a run ends."""
    rules = [f"{config.max_num_epochs} updates"]
    if config.scales:
        below = ", ".join(map(str, config.coarse_epochs))
        rules[0] = f"{below}, ..., {rules[0]} at the scales"
    times = "" if config.stop_patience == 1 else f" {config.stop_patience} times"
    if config.stop_eps:
        rules.append(f"eps < {config.stop_eps:g}{times}")
    if config.stop_loss_change:
        rules.append(f"loss change < {config.stop_loss_change:.3g}{times}")
    return ", ".join(rules)


def post_filter(config: ExperimentConfig) -> str:
    """What is done to the saved picture."""
    return f"{config.denoise} {config.remove_noise:g}" if config.remove_noise else "none"


PICTURES: dict[str, Callable[[ExperimentConfig], object]] = {
    "network of the source": lambda config: config.recipe.network,
    "pooling": lambda config: config.pooling,
    "layers: content / style": layers,
    "white": lambda config: f"{config.preprocess.pixel_scale:g}",
    "features x": lambda config: f"{config.losses.feature_scale:.3g}",
    "size": wanted_size,
    "resize": lambda config: f"{config.preprocess.resize}, {config.preprocess.rounding}",
    "style image": lambda config: config.preprocess.style_shape,
    "border": lambda config: config.preprocess.padding,
    "start": start,
}
LOSSES: dict[str, Callable[[ExperimentConfig], object]] = {
    "content": content_formula,
    "style": style_formula,
    "content : style": lambda config: f"{config.content_weight:g} : {config.style_weight:g}",
    "style layers": shares,
    "total variation": tv_formula,
}
OPTIMISERS: dict[str, Callable[[ExperimentConfig], object]] = {
    "optimiser": optimiser,
    "lr": rate,
    "weight decay": decay,
    "clipping": clipping,
    "end": stop,
    "filter": post_filter,
}

if __name__ == "__main__":
    main()
