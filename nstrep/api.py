"""One experiment from Python, with the command line's keys and nothing left behind."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.singleton import Singleton
from hydra.core.utils import JobRuntime
from hydra.errors import HydraException
from hydra.version import VersionBase
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from nstrep import cli
from nstrep.analysis import run_reader
from nstrep.base.errors import InputError
from nstrep.base.text import shown
from nstrep.config.schema import (
    GROUPS,
    ExperimentConfig,
    PictureConfig,
    check,
    config_folder,
    explain,
    group_options,
)
from nstrep.experiment import run as experiment
from nstrep.images import io
from nstrep.images.io import Picture
from nstrep.optim.minimize import Step

PictureLike = str | os.PathLike[str] | np.ndarray


@dataclass(frozen=True, eq=False)
class Stylized:
    """What an experiment gave."""

    picture: np.ndarray
    """The result as final.png shows it, ``rgb01`` (H, W, 3) float32."""
    raw: np.ndarray
    """Before the filter; may leave [0, 1]."""
    curve: pd.DataFrame
    """One row an epoch, as curve.csv."""
    metrics: dict[str, Any]
    """As metrics.json."""
    config: dict[str, Any]
    """Every setting, as config.yaml."""
    directory: Path | None
    """Where the files are, if a directory was named."""


def stylize(
    content: PictureLike,
    style: PictureLike,
    *,
    recipe: str = "nstrep",
    callback: Callable[[Step], bool | None] | None = None,
    directory: str | os.PathLike[str] | None = None,
    **settings: Any,
) -> Stylized:
    """Paint a picture in the style of another.

    Nothing global is changed: it works in a notebook and inside a program that uses Hydra itself.

    Args:
        content: a file, a name of the content group, or an array (H, W, 3): uint8, or floats
            in [0, 1].
        style: likewise, of the style group.
        recipe: a name of the recipe group.
        callback: sees the start and every step; ends the run by returning true. ``step.image`` is
            a view: copy it to keep it.
        directory: keeps the run's files, as those of the command line; must not hold a run.
        **settings: the command line's keys and groups, ``content_weight=20``,
            ``optimizer="adam"``; those with a dot as ``**{"losses.style.mean_share": 1}``.

    Raises:
        InputError: a setting or a picture cannot be used; one line says which and why.
        DivergedError: the losses became NaN or infinite.
        ResultsError: the directory cannot be written.

    """
    config, given = _experiment({"content": content, "style": style}, recipe, settings)
    with contextlib.ExitStack() as stack:
        if directory is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nstrep")), "run")
        else:
            folder = Path(directory)
        metrics = experiment.run(config, folder, given=given, callback=callback)
        run = run_reader.load_run(folder)
        kept = None if directory is None else folder
        return Stylized(run.picture, run.raw, run.curve, metrics, run.config, kept)


def _experiment(
    pictures: Mapping[str, PictureLike], recipe: str, settings: Mapping[str, Any]
) -> tuple[ExperimentConfig, dict[str, Picture]]:
    """The configuration, and the pictures that were given as arrays."""
    groups = {"recipe": recipe, **{key: settings[key] for key in GROUPS if key in settings}}
    values = {key: value for key, value in settings.items() if key not in GROUPS}
    given: dict[str, Picture] = {}
    for role, picture in pictures.items():
        if role in groups or f"{role}_image" in values:
            raise InputError(f"{role}: is given twice")
        if isinstance(picture, np.ndarray):
            given[role] = _from_array(role, picture)
        elif os.fspath(picture) in group_options(role):
            groups[role] = os.fspath(picture)
        else:
            values[f"{role}_image"] = _file(role, os.fspath(picture))
    for group, name in groups.items():
        if name not in (options := group_options(group)):
            raise InputError(f"{group}={name}: must be one of {', '.join(options)}")
    with _hydra_left_alone():
        try:
            composed = compose("config", [f"{group}={name}" for group, name in groups.items()])
        except HydraException as error:
            raise cli.plain_error(error) from None
    try:
        for key, value in values.items():
            OmegaConf.update(composed, key, _plain(value), merge=False)
    except OmegaConfBaseException as error:
        raise InputError(explain(error)) from None
    config = check(composed)
    cli.absolute_paths(config)
    for role, picture in given.items():  # or the file would name a picture that it did not read
        setattr(config, role, PictureConfig(picture.name, None, None, None))
    return config, given


def _from_array(role: str, array: np.ndarray) -> Picture:
    if array.dtype == np.uint8:
        array = array.astype(np.float32) / 255
    return replace(io.picture_from_array(role, array), name="array", source="an array")


def _file(role: str, path: str) -> str:
    if not os.path.exists(path) and not Path(path).suffix:  # rather a name with a slip in it
        options = ", ".join(group_options(role))
        raise InputError(f"{role}={shown(path)}: must be a file, an array, or one of {options}")
    return path


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, tuple):
        return list(value)
    return os.fspath(value) if isinstance(value, os.PathLike) else value


@contextlib.contextmanager
def _hydra_left_alone() -> Iterator[None]:
    """Compose inside this block; Hydra's own global state is afterwards what it was."""
    kinds = (GlobalHydra, JobRuntime, VersionBase)
    before = {kind: Singleton._instances.pop(kind, None) for kind in kinds}
    try:
        with initialize_config_dir(version_base="1.3", config_dir=str(config_folder())):
            yield
    finally:
        for kind, instance in before.items():
            Singleton._instances.pop(kind, None)
            if instance is not None:
                Singleton._instances[kind] = instance
