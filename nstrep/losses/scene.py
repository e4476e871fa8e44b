"""What loss terms are made from: the network, the images and the formulas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nstrep.config.schema import LossesConfig
from nstrep.losses.regions import Region
from nstrep.losses.term import LossTerm
from nstrep.losses.tile_graph import TileGraph, key
from nstrep.losses.tiling import tiles
from nstrep.networks.features import Network


@dataclass(frozen=True, eq=False)
class Scene:
    """The network, the images and the formulas of an objective."""

    network: Network
    content: np.ndarray  # vgg_input of the content image, (1, 3, H, W): the shape of the result
    regions: Sequence[Region]  # what the style loss compares where
    forms: LossesConfig  # the recipe's formulas
    tile: int | None = None  # side in pixels, margins included; None for the whole image at once

    @property
    def style_image(self) -> np.ndarray:
        """``vgg_input`` of the first style image, (1, 3, H, W)."""
        return self.regions[0].sources[0].image

    def sizes(self, layer: str) -> tuple[int, int, int]:
        """Channels and positions of a layer over the result, and the result's pixels."""
        network, size = self.network, self.content.shape[2:]
        return network.channels(layer), network.positions(layer, *size), size[0] * size[1]

    def sums(self, image: np.ndarray, terms: Sequence[LossTerm]) -> list[dict[str, np.ndarray]]:
        """The statistics of each of the terms by name, at an image of any size (1, 3, H, W)."""
        parts = tiles(self.network, terms, image, self.tile)
        sums = TileGraph(self.network, terms, {}).sums(image, parts)
        return [of_term(term, sums) for term in terms]


def of_term(term: LossTerm, sums: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A term's statistics by their own names."""
    end = key("", term)
    return {name.removesuffix(end): array for name, array in sums.items() if name.endswith(end)}
