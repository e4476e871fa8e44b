"""What an experiment minimises: its objective, in tiles if need be, in the coordinates it chose."""

from __future__ import annotations

import math

from nstrep.base import process_memory
from nstrep.config.schema import ExperimentConfig
from nstrep.experiment import image_inputs, memory_plan
from nstrep.experiment.inputs import Inputs
from nstrep.experiment.memory_plan import Plan
from nstrep.images.color import MODES
from nstrep.losses.objective import Objective, term_settings
from nstrep.losses.term import extra_layers, extra_settings
from nstrep.optim.basis import make_basis
from nstrep.optim.problem import Problem


def problem(config: ExperimentConfig, inputs: Inputs, planned: Plan | None = None) -> Problem:
    """The objective in the coordinates of the experiment's basis."""
    luminance, size = MODES[config.color].luminance, inputs.start.shape[2:]
    basis = make_basis(config.basis, config.basis_power, *size, luminance=luminance)
    return Problem(objective(config, inputs, planned), basis)


def objective(config: ExperimentConfig, inputs: Inputs, planned: Plan | None = None) -> Objective:
    """What the experiment minimises, as ``planned``, or in tiles if the whole does not fit."""
    tile = (planned or plan(config, inputs)).tile
    process_memory.settle_malloc(keep=tile is None)
    content = image_inputs.to_vgg_input(inputs.content_target, config.preprocess.pixel_scale)
    terms = term_settings(config) | extra_settings(config.extra_losses)
    return Objective(inputs.network, content, inputs.regions, terms, config.losses, tile)


def plan(config: ExperimentConfig, inputs: Inputs, most_pixels: float = math.inf) -> Plan:
    """Whether the objective is computed in tiles, and the memory that it takes; the log has it.

    Tiles, and a picture that is computed as a whole, have no more than ``most_pixels``.
    """
    settings, extra = term_settings(config), extra_settings(config.extra_losses)
    layers = {
        "content": tuple(settings["content_loss"]),
        "style": (*settings["style_loss"], *extra_layers(extra)),
    }
    styles = [source.image.shape for region in inputs.regions for source in region.sources]
    process_memory.give_memory_back()  # what the process has counts against max_memory_mb
    return memory_plan.plan(
        inputs.network, inputs.start.shape, styles, layers, config, most_pixels=most_pixels
    )
