"""Configurations that earlier runs stored: in their images (from_image) and folders (resume).

An image may come from anybody. Its content is data: values for the keys of the schema, texts
without ``${...}``, and paths of files. Such a file is only read if it lies in the current folder,
the image's, NSTREP_HOME or from_image_root, and has the hash that the image recorded. What the user
types beside from_image is not restricted.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from nstrep.assets.catalogue import home
from nstrep.base import environment
from nstrep.base.errors import InputError
from nstrep.base.files import sha256_of
from nstrep.base.text import reason, shown
from nstrep.base.untrusted import MOST_YAML, read_json, read_text, read_yaml
from nstrep.config.fields import Key, declared, flatten
from nstrep.config.messages import as_typed, explain
from nstrep.config.schema import PRESETS, ExperimentConfig
from nstrep.config.typed_keys import typed_overrides
from nstrep.experiment import run_directory
from nstrep.images import io

log = logging.getLogger(__name__)

CONFIG_TEXT, INPUTS_TEXT = "nstrep.config", "nstrep.inputs"  # keys of the texts in final.png

KEYS = declared(ExperimentConfig)


def texts(config: ExperimentConfig, inputs: dict[str, Any]) -> dict[str, str]:
    """The texts that final.png stores: the configuration, and what the run read."""
    settings = OmegaConf.structured(config)
    kept = {name for name in settings if declared(type(config))[name].stored}
    return {
        CONFIG_TEXT: OmegaConf.to_yaml(OmegaConf.masked_copy(settings, kept)),
        INPUTS_TEXT: json.dumps(inputs, sort_keys=True),
    }


def read_texts(path: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The configuration inside a final.png, and what its run read; else InputError."""
    text = io.read_png_text(path, key="from_image")
    if CONFIG_TEXT not in text:
        raise InputError(f"from_image={path}: holds no nstrep configuration; take a final.png")
    try:
        config = read_yaml(text[CONFIG_TEXT])
        inputs = read_json(text.get(INPUTS_TEXT, "{}"))
        if not isinstance(config, dict) or not isinstance(inputs, dict):
            raise ValueError("not a mapping")
    except ValueError as error:
        raise InputError(
            f"from_image={path}: its configuration is damaged ({reason(error)})"
        ) from None
    return config, inputs


def resumed(composed: DictConfig, directory: Path) -> DictConfig:
    """With resume=true: the configuration of the run in the directory.

    What the user types beside it may only repeat the run's settings, or let it end later.
    """
    if not composed.resume:
        return composed
    path = directory / run_directory.CONFIG
    if not path.exists():
        raise InputError(
            f"resume=true: {shown(directory)} holds no run; name it: hydra.run.dir=..."
        )
    try:
        stored = read_yaml(read_text(path, MOST_YAML))
    except (OSError, ValueError) as error:
        raise InputError(f"{shown(path)}: cannot be read ({reason(error)})") from None
    config = _merged(composed, stored, shown(path))
    for key, value in typed_overrides().items():
        then, now = (OmegaConf.select(each, key) for each in (config, composed))
        declaration = KEYS.get(key, Key(key, Any))
        if declaration.is_path(then) and declaration.is_path(now):
            then, now = _real(then), _real(now)
        later = declaration.later
        if later and (now > then if later == "larger" else now < then):
            OmegaConf.update(config, key, now)
        elif then != now:
            only = f"may only be made {later}" if later else "cannot be changed"
            raise InputError(f"{key}={value}: {only} with resume=true, the run has {then}")
    return config


def rerun(
    composed: DictConfig, typed: Mapping[str, Any] | None = None
) -> tuple[DictConfig, dict | None]:
    """With from_image: that image's configuration below what the user typed, and what its run read.

    Without from_image the second is None. ``typed`` are the user's settings by key, those of the
    running command by default.
    """
    if composed.from_image is None:
        return composed, None
    stored, inputs = read_texts(composed.from_image)
    config = _merged(composed, stored, f"from_image={shown(composed.from_image)}")
    named = typed_overrides() if typed is None else typed
    for key, value in named.items():
        declaration = KEYS.get(key, Key(key, Any))
        for other in set(declaration.replaces) - named.keys():
            config[other] = composed[other]
        if key in PRESETS:
            raise InputError(
                f"{key}={value}: cannot be combined with from_image, which holds these settings;"
                " set single keys instead"
            )
        if declaration.stored:
            OmegaConf.update(config, key, OmegaConf.select(composed, key), merge=False)
    for key in KEYS.values():
        if key.file and key.stored and not named.keys() & {key.name, key.name.partition(".")[0]}:
            _check_files(config, key, inputs)
    if changed := environment.changed_versions(inputs.get("versions")):
        log.warning("from_image: made with other versions: %s", "; ".join(changed))
    return config, inputs


def _merged(composed: DictConfig, stored: Any, where: str) -> DictConfig:
    """A stored configuration over the composed one, whose values newer keys keep."""
    if not isinstance(stored, dict):
        raise InputError(f"{where}: its configuration is damaged (not a mapping)")
    for key, value in flatten(stored):
        if "${" in str(value):
            raise InputError(f"{where}: {key}={value}: ${{...}} is not taken from a result")
    if stored.pop("multiscale", 0):  # of runs by earlier versions
        log.warning("%s: multiscale: no longer exists and is left out; see scales", where)
    kept = {key: value for key, value in stored.items() if key not in KEYS or KEYS[key].stored}
    try:
        return OmegaConf.merge(composed, kept)
    except OmegaConfBaseException as error:
        raise InputError(f"{where}: {explain(error, ExperimentConfig)}") from None


def _check_files(config: DictConfig, key: Key, inputs: dict[str, Any]) -> None:
    """Refuse a file that only the image names, unless it is allowed and the same as then."""
    image = f"from_image={shown(config.from_image)}"
    value = OmegaConf.select(config, key.name)
    files = [value] if isinstance(value, str) else value or []
    typed = f"{key.name}={value if isinstance(value, str) else as_typed([*files])}"
    recorded = [about.get("sha256") for about in inputs.values() if isinstance(about, dict)]
    folders = [".", os.path.dirname(config.from_image) or ".", home(), config.from_image_root]
    allowed = [_real(folder) for folder in folders if folder is not None]
    for file in filter(key.is_path, files):  # the schema refuses what is not a text
        path = _real(file)
        if not any(path.is_relative_to(folder) for folder in allowed):
            raise InputError(
                f"{image}: names {shown(file)}, outside the current folder and the picture's;"
                f" type {typed} beside it to read that file, or from_image_root=FOLDER"
            )
        if os.path.isfile(path) and sha256_of(path) not in recorded:
            raise InputError(
                f"{image}: {shown(file)} is not the file that it was made with, its SHA-256"
                f" differs; type {typed} beside it to read it all the same"
            )


def _real(path: str | Path) -> Path:
    """A path without links."""
    try:
        return Path(os.path.realpath(os.path.expanduser(path)))
    except (OSError, ValueError) as error:
        raise InputError(f"{shown(path)}: is no path ({error})") from None
