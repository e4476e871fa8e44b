"""Compare the scale of vgg19_slim's features with that of VGG-19's.

    python scripts/feature_unit.py

The weights of the published recipes are meant for VGG-19's features. The style loss grows with the
4th power of the features and the content loss with their 2nd, so with features of another scale
the two losses are balanced differently. One article prints both losses at the start of its run on
VGG-19 (the recipe dlai). This script prints, for pairs of built-in pictures, the factor by which
vgg19_slim's features would have to be multiplied to reach the same balance. The network was
exported with its features scaled by the power of two closest to the median, so the median should
now be 1 within a factor of sqrt(2).
"""

from __future__ import annotations

import itertools
import math
import statistics

from hydra import compose, initialize_config_dir

from nstrep import cli
from nstrep.config.checks import check
from nstrep.experiment import image_inputs
from nstrep.experiment.inputs import load_inputs
from nstrep.losses.objective import Objective, term_settings

PUBLISHED = {"content_loss": 7673.14, "style_loss": 1.11622e8}
"""J_content and J_style at iteration 0, in the article behind the recipe dlai."""

PHOTOS = ("astronaut", "chelsea", "coffee", "rocket")
PAINTINGS = ("swirls", "lilies", "facets")


def start_costs(content: str, style: str) -> dict[str, float]:
    """Both losses, unweighted, at the start of the recipe dlai."""
    pair = (f"content={content}", f"style={style}")
    config = check(compose("config", ["recipe=dlai", "model=vgg19_slim", *pair]))
    inputs = load_inputs(config)
    scale = config.preprocess.pixel_scale
    weights = term_settings(config) | {"tv_loss": 0.0}
    objective = Objective(
        inputs.network,
        image_inputs.to_vgg_input(inputs.content_target, scale),
        inputs.regions,
        weights,
        config.losses,
    )
    losses = objective(inputs.start).losses
    return {
        name: losses[name] / getattr(config, name.replace("loss", "weight")) for name in PUBLISHED
    }


def main() -> None:
    """Print the table."""
    published = PUBLISHED["style_loss"] / PUBLISHED["content_loss"]
    factors = []
    print("content    style      content cost  style cost    features x")
    with initialize_config_dir(version_base="1.3", config_dir=str(cli.config_folder())):
        for content, style in itertools.product(PHOTOS, PAINTINGS):
            costs = start_costs(content, style)
            factors.append(math.sqrt(published * costs["content_loss"] / costs["style_loss"]))
            print(
                f"{content:10} {style:10} {costs['content_loss']:12.5g}"
                f"  {costs['style_loss']:10.4g}  {factors[-1]:12.3g}"
            )
    print(f"median {statistics.median(factors):.3g}")


if __name__ == "__main__":
    main()
