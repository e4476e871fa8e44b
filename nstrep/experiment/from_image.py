"""from_image: an experiment run again, from the configuration inside its picture.

A picture may come from anybody. What it holds is data: values for the keys of the schema, texts in
which ``${...}`` is refused, and names of files. Such a file is read only where the user is at home
anyway (the current folder, the picture's own, NSTREP_HOME, from_image_root), and only if it has the
hash that the picture recorded. What is typed beside from_image is the user's own word.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from nstrep.assets.catalogue import home
from nstrep.base import environment
from nstrep.base.errors import InputError
from nstrep.base.files import sha256_of
from nstrep.base.text import reason, shown
from nstrep.base.untrusted import MOST_YAML, leaves, read_text, read_yaml
from nstrep.config.schema import INITS, NOT_STORED, explain, group_options

log = logging.getLogger(__name__)

INSTEAD_OF = {
    "content": ("content_image",),
    "style": ("style_image", "styles", "style_blend"),
    "style_image": ("styles", "style_blend"),
    "styles": ("style_image", "style_blend"),
}
"""What a key that is typed beside from_image takes the place of."""

FILES = (
    "content_image", "style_image", "styles", "content_masks", "style_masks", "init",
    "weights.path",
)  # fmt: skip
"""Keys that name files, or lists of them."""

WORDS = {"init": INITS, "weights.path": ("random",)}
"""What these keys can hold that is no file; ``styles`` also takes names of the style group."""


def continued(composed: DictConfig, directory: Path) -> DictConfig:
    """With resume=true: the configuration of the run that is in the directory.

    What the user typed beside it may only repeat what that run was told.

    Raises:
        InputError: there is no run, its config.yaml cannot be read, or something typed is not what
            it holds.

    """
    if not composed.resume:
        return composed
    from nstrep.experiment import results

    path = directory / results.CONFIG
    if not path.exists():
        raise InputError(
            f"resume=true: {shown(directory)} holds no run; name it: hydra.run.dir=..."
        )
    try:
        stored = read_yaml(read_text(path, MOST_YAML))
        config = OmegaConf.merge(composed, _data(stored, shown(path)))
    except OmegaConfBaseException as error:
        raise InputError(f"{shown(path)}: {explain(error)}") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{shown(path)}: cannot be read ({reason(error)})") from None
    for override, key in _typed().items():
        told, now = (OmegaConf.select(each, key) for each in (config, composed))
        if key in FILES and isinstance(told, str) and isinstance(now, str):
            told, now = _real(told), _real(now)
        if told != now:
            raise InputError(f"{override}: cannot be changed with resume=true, the run has {told}")
    return config


def _data(stored: Any, where: str) -> dict[str, Any]:
    """What a stored configuration may set."""
    if not isinstance(stored, dict):
        raise InputError(f"{where}: its configuration is damaged (not a mapping)")
    for key, value in leaves(stored):
        if isinstance(value, str) and "${" in value:
            raise InputError(f"{where}: {key}={value}: ${{...}} is not taken from a result")
    return {key: value for key, value in stored.items() if key not in NOT_STORED}


def _typed() -> dict[str, str]:
    """What the user typed, and the key in it."""
    return {
        override: re.split("[=@]", override.lstrip("+~"))[0]
        for override in HydraConfig.get().overrides.task
    }


def again(composed: DictConfig) -> tuple[DictConfig, dict | None]:
    """With from_image: the configuration inside that picture, under what the user typed beside it.

    Returns:
        The configuration, and what the picture's run read; None without from_image.

    Raises:
        InputError: the picture holds no configuration, something in it is not taken from a
            picture, or a group cannot be combined with it.

    """
    path = composed.from_image
    if path is None:
        return composed, None
    from nstrep.experiment import results

    stored, inputs = results.from_image(path)
    try:
        # Keys that are newer than the picture take their defaults.
        config = OmegaConf.merge(composed, _data(stored, f"from_image={shown(path)}"))
    except OmegaConfBaseException as error:
        raise InputError(f"from_image={shown(path)}: {explain(error)}") from None
    typed = _typed()
    for override, key in typed.items():
        for other in INSTEAD_OF.get(key, ()):
            if other not in typed.values():
                config[other] = composed[other]
        if key in ("recipe", "experiment", "optimizer"):
            raise InputError(
                f"{override}: cannot be combined with from_image, which holds these settings;"
                " set single keys instead"
            )
        if key.partition(".")[0] not in NOT_STORED:
            OmegaConf.update(config, key, OmegaConf.select(composed, key), merge=False)
    named = set(typed.values())
    for key in FILES:
        if not named & {key, key.partition(".")[0]}:
            _check_files(config, key, inputs)
    _warn_of_versions(inputs)
    return config, inputs


def _check_files(config: DictConfig, key: str, inputs: dict[str, Any]) -> None:
    """Refuse a file that only the picture names, unless it is the user's and the same as then."""
    picture = f"from_image={shown(config.from_image)}"
    value = OmegaConf.select(config, key)
    files = [value] if isinstance(value, str) else value or []
    typed = f"{key}={value}" if isinstance(value, str) else f"{key}=[{','.join(map(str, files))}]"
    words = WORDS.get(key) or (group_options("style") if key == "styles" else ())
    recorded = [about.get("sha256") for about in inputs.values() if isinstance(about, dict)]
    for file in files:
        if not isinstance(file, str) or file in words:  # not a text: the schema refuses it
            continue
        place = _real(file)
        if not any(place.is_relative_to(folder) for folder in _roots(config)):
            raise InputError(
                f"{picture}: names {shown(file)}, outside the current folder and the picture's;"
                f" type {typed} beside it to read that file, or from_image_root=FOLDER"
            )
        if os.path.isfile(place) and sha256_of(place) not in recorded:
            raise InputError(
                f"{picture}: {shown(file)} is not the file that it was made with, its SHA-256"
                f" differs; type {typed} beside it to read it all the same"
            )


def _roots(config: DictConfig) -> Iterator[Path]:
    """The folders whose files a picture may name."""
    yield _real(".")
    yield _real(os.path.dirname(config.from_image) or ".")
    yield _real(str(home()))
    if config.from_image_root is not None:
        yield _real(config.from_image_root)


def _real(path: str) -> Path:
    """Where a path leads to, links followed."""
    try:
        return Path(os.path.realpath(os.path.expanduser(path)))
    except (OSError, ValueError) as error:
        raise InputError(f"{shown(path)}: is no path ({error})") from None


def _warn_of_versions(inputs: dict[str, Any]) -> None:
    changed = environment.changed_versions(inputs.get("versions"))
    if changed:
        log.warning("from_image: made with other versions: %s", "; ".join(changed))
