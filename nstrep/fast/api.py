"""Trained styles from Python."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache
from typing import TypeVar

import numpy as np
from PIL import Image

from nstrep.base.errors import InputError
from nstrep.base.files import stamp
from nstrep.fast import styles
from nstrep.fast.layouts import file_of
from nstrep.fast.styles import Stylizer, check_options
from nstrep.images import io
from nstrep.images.picture import picture_from_value

Picture = TypeVar("Picture", str, os.PathLike, Image.Image, np.ndarray)


def stylize_fast(
    image: Picture,
    style: str | Mapping[str, float] | None = None,
    *,
    strength: float = 1.0,
    color: str = "style",
    model: str | os.PathLike[str] | None = None,
) -> Image.Image | np.ndarray:
    """Stylise an image in one pass of a trained network.

    Args:
        image: a file, a PIL image, or an array (H, W) or (H, W, C): grey, RGB, with alpha or
            without, of uint8, uint16, or floats in [0, 1]. Alpha is composited over white.
        style: a name of :func:`fast_styles`, a blend such as ``"swirls:0.5,surf:0.5"``, or a
            mapping of weights, of which the proportions count. None for a model of one style.
        strength: share s of the result in each pixel: s result + (1 - s) image; from 0 to 1.
        color: ``style``, or ``luminance`` to keep the image's colours.
        model: run directory of ``nstrep.fast.train``, or a file of parameters; None for the
            styles in this package.

    Returns:
        For an array an array (H, W, 3) of its type, else a PIL image in RGB.

    Raises:
        InputError: the image, a setting or the model cannot be used; one line says why.

    """
    check_options(strength, color)
    stylizer = _stylizer(model)
    weights = stylizer.weights(style)
    if isinstance(image, (str, os.PathLike)):
        rgb01 = io.load_picture(image, key="image").rgb
    else:
        rgb01 = picture_from_value("image", image).rgb
    stylizer.check_size(rgb01, "image")
    result = stylizer(rgb01, weights, strength=strength, color=color)
    if not isinstance(image, np.ndarray):
        return Image.fromarray(io.to_uint8(result))
    if image.dtype.kind == "f":
        return result.astype(image.dtype)
    return np.floor(result.astype(np.float64) * np.iinfo(image.dtype).max + 0.5).astype(image.dtype)


def fast_styles(model: str | os.PathLike[str] | None = None) -> dict[str, str]:
    """The styles of this package, or of a model, by name: title and painter, where known."""
    return _stylizer(model).titles()


def _stylizer(model: str | os.PathLike[str] | None) -> Stylizer:
    if model is not None and not isinstance(model, (str, os.PathLike)):
        raise InputError(f"model: must be a path, not {type(model).__name__}")
    return _loaded(model, stamp(styles.SHIPPED if model is None else file_of(model)))


@lru_cache(4)
def _loaded(model: str | os.PathLike[str] | None, _stamp: object) -> Stylizer:
    """A network, read again only if its file has changed."""
    return Stylizer(model)
