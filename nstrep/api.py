"""One experiment from Python, with the keys of the command line and without global effects."""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from PIL import Image

from nstrep import cli
from nstrep.analysis import run_reader
from nstrep.analysis.notebook import outcome, png
from nstrep.base.errors import InputError
from nstrep.base.files import atomic_write, check_current_folder
from nstrep.base.text import one_line, shown
from nstrep.config.checks import check
from nstrep.config.fields import absolute_paths
from nstrep.config.folder import compose, group_options, swept_by
from nstrep.config.messages import explain, one_of
from nstrep.config.schema import GROUPS, ExperimentConfig, PictureConfig
from nstrep.config.typed_keys import check_no_sweep, check_typed
from nstrep.experiment import run as experiment
from nstrep.experiment import run_directory
from nstrep.experiment.from_image import rerun
from nstrep.images.io import Picture, to_uint8
from nstrep.images.picture import picture_from_value
from nstrep.optim.minimize import Step

# Neither MXNet nor matplotlib nor Hydra is made for threads, and one run uses all cores.
_ONE_AT_A_TIME = threading.RLock()  # a callback may run another experiment

PictureLike = str | os.PathLike[str] | Image.Image | np.ndarray

IMAGES = ("init", "styles", "content_masks", "style_masks")
"""Settings that name images, besides the content and the style image."""

IN_MEMORY = (np.ndarray, Image.Image)


@dataclass(frozen=True, eq=False, kw_only=True)
class Stylized:
    """Results of an experiment. In a notebook it shows itself as the picture."""

    title: str  #: as in ``chelsea in the style of facets+swirls``
    picture: np.ndarray  #: the result as in final.png, rgb01 (H, W, 3) float32
    raw: np.ndarray  #: the result before the filter; may leave [0, 1]
    curve: pd.DataFrame  #: one row an epoch, as in curve.csv
    metrics: dict[str, Any]  #: as in metrics.json
    config: dict[str, Any]  #: every setting, as in config.yaml
    directory: Path | None  #: folder of the files, if one was named
    png: bytes  #: final.png, with the settings that made it

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the picture to a file, in the format of its name; an existing one is replaced.

        A ``.png`` is final.png, which ``from_image`` takes. InputError for a name of no known
        format, ResultsError if the file cannot be written.
        """
        target = Path(os.path.expanduser(path))
        with atomic_write(target) as temporary:
            if target.suffix.lower() == ".png":
                temporary.write_bytes(self.png)
                return
            try:
                Image.fromarray(to_uint8(self.picture)).save(temporary, quality=95)
            except (ValueError, KeyError):
                raise InputError(f"{shown(path)}: must end in .png, .jpg or .webp") from None

    def __repr__(self) -> str:
        how = outcome(self.metrics["status"], self.metrics, self.curve)
        return f"<Stylized {self.title}: {how}>"

    def _repr_png_(self) -> bytes:
        return png(self.picture)


def stylize(
    content: PictureLike | None = None,
    style: PictureLike | None = None,
    *,
    callback: Callable[[Step], bool | None] | None = None,
    directory: str | os.PathLike[str] | None = None,
    **settings: Any,
) -> Stylized:
    """Transfer the style of one image to another.

    It changes no global state, and so works in a notebook and inside another Hydra program. In
    several threads, one experiment runs after the other.

    Ctrl-C, or a notebook's interrupt, ends the experiment as a callback can: what was reached is
    returned, with ``metrics["status"] == "interrupted"``. Before the first losses are known it is a
    KeyboardInterrupt.

    Args:
        content: a file, an option of the content group, a PIL image, or an array (H, W) or
            (H, W, C) of grey, RGB or RGBA: uint8, uint16, or floats in [0, 1]. None is the one of
            ``from_image``, else the command line's default.
        style: likewise, of the style group. ``styles=[...]`` takes its place.
        callback: called at the start and after every step; ends the run by returning true.
            ``step.image`` is a view: copy it to keep it.
        directory: run directory to keep, as of the command line; must not hold a run.
        **settings: keys and groups of the command line, ``content_weight=20``,
            ``recipe="gatys2015"``; those with a dot as ``**{"losses.style.mean_share": 1}``.
            ``init``, ``styles``, ``content_masks`` and ``style_masks`` also take PIL images and
            arrays. ``from_image="final.png"`` runs the experiment of that result again, with the
            other settings in place of its own.

    Raises:
        InputError: a setting or an image cannot be used; one line says which and why.
        DivergedError: the losses became NaN or infinite.
        ResultsError: the directory cannot be written.

    """
    check_current_folder()
    if directory is not None and (not os.fspath(directory) or "\0" in os.fspath(directory)):
        raise InputError(f"directory={shown(directory)}: is no path")
    with contextlib.ExitStack() as stack:
        stack.enter_context(_ONE_AT_A_TIME)
        named = {"content": content, "style": style}
        pictures = {role: picture for role, picture in named.items() if picture is not None}
        config, arrays, made_from = _experiment(pictures, settings)
        kept = None if directory is None else Path(directory)
        folder = kept or Path(stack.enter_context(tempfile.TemporaryDirectory("", "nstrep")), "run")
        try:
            metrics = experiment.run(config, folder, made_from, given=arrays, callback=callback)
        except KeyboardInterrupt:
            metrics = run_directory.stored(folder)
            if metrics is None or "losses" not in metrics:
                raise
        run = run_reader.load_run(folder)
        return Stylized(
            title=one_line(f"{run.value('content')} in the style of {run.value('style')}"),
            picture=run.picture, raw=run.raw, curve=run.curve, metrics=metrics, config=run.config,
            directory=kept, png=run.picture_path.read_bytes(),
        )  # fmt: skip


def _experiment(
    pictures: Mapping[str, PictureLike], settings: Mapping[str, Any]
) -> tuple[ExperimentConfig, dict[str, Picture], dict[str, Any] | None]:
    """The configuration, images that were given as arrays, and what the run of from_image read."""
    groups = {key: settings[key] for key in GROUPS if key in settings}
    values = {key: value for key, value in settings.items() if key not in GROUPS}
    arrays: dict[str, Picture] = {}
    for role, picture in pictures.items():
        if role in groups or f"{role}_image" in values:
            raise InputError(f"{role}: is given twice")
        if isinstance(picture, IN_MEMORY):
            arrays[role] = _in_memory(role, picture)
        elif (path := os.fspath(picture)) in group_options(role):
            groups[role] = path
        else:
            values[f"{role}_image"] = _file(role, path)
    for key in set(values) & set(IMAGES):
        values[key] = _named(key, values[key], arrays)
    for group, name in groups.items():
        if name not in (options := group_options(group)):
            raise InputError(f"{group}={name}: must be {one_of(name, options)}")
    if groups.get("experiment"):
        swept = swept_by(groups["experiment"])
        check_no_sweep(swept, values | groups, "which  python -m nstrep.run --multirun  makes")
    try:
        composed = compose("config", [f"{group}={name}" for group, name in groups.items()])
        for key, value in values.items():
            OmegaConf.update(composed, key, _plain(value), merge=False)
    except HydraException as error:
        raise cli.plain_error(error) from None
    except OmegaConfBaseException as error:
        raise InputError(explain(error, ExperimentConfig)) from None
    in_memory = {role: arrays[role].name for role in pictures if role in arrays}
    given = {**values, **groups, **in_memory}
    composed, made_from = rerun(composed, given)
    config = check(composed)
    check_typed(config, given)
    absolute_paths(config)
    for role, picture in arrays.items():  # or config.yaml would name an image that was not read
        key, _, place = role.rstrip("]").partition("[")
        if place:
            getattr(config, key)[int(place)] = picture.name
        else:
            named = PictureConfig(picture.name, None, None, None)
            setattr(config, key, picture.name if key in IMAGES else named)
    return config, arrays, made_from


def _file(role: str, path: str) -> str:
    """The path, unless it is probably a misspelt name of an option."""
    if os.path.exists(path) or Path(path).suffix:
        return path
    allowed = one_of(path, group_options(role))
    raise InputError(f"{role}={shown(path)}: must be a file, an array, or {allowed}")


def _in_memory(role: str, image: Image.Image | np.ndarray) -> Picture:
    name = "array" if isinstance(image, np.ndarray) else "image"
    return replace(picture_from_value(role, image), name=name)


def _named(key: str, value: Any, arrays: dict[str, Picture]) -> Any:
    """The value of a setting that names images, with names for those in memory, which are added."""

    def name(role: str, image: Any) -> Any:
        if isinstance(image, IN_MEMORY):
            arrays[role] = _in_memory(role, image)
            return arrays[role].name
        return image

    if isinstance(value, (list, tuple)):
        return [name(f"{key}[{place}]", each) for place, each in enumerate(value)]
    if isinstance(value, IN_MEMORY) and key != "init":
        raise InputError(f"{key}: must be a list of images")
    return name(key, value)


def _plain(value: Any) -> Any:
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    if isinstance(value, tuple):
        return list(value)
    return os.fspath(value) if isinstance(value, os.PathLike) else value
