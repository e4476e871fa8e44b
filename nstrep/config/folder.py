"""The folder configs/ and what Hydra composes from it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omegaconf import DictConfig


def config_folder() -> Path:
    """configs/: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).parents[1]
    inside = package / "configs"
    return inside if inside.is_dir() else package.parent / "configs"


def group_options(group: str) -> list[str]:
    """Names of the options of a group, which are the files in its folder."""
    return sorted(file.stem for file in (config_folder() / group).glob("*.yaml"))


def swept_by(experiment: str) -> dict[str, Any]:
    """The keys that an option of the experiment group sweeps, with their values as typed."""
    from omegaconf import OmegaConf

    file = OmegaConf.load(config_folder() / "experiment" / f"{experiment}.yaml")
    return dict(OmegaConf.select(file, "hydra.sweeper.params") or {})


def register_schema() -> None:
    """Tell Hydra the schema of an experiment, which configs/config.yaml names."""
    from hydra.core.config_store import ConfigStore

    from nstrep.config.schema import ExperimentConfig

    ConfigStore.instance().store(name="schema", node=ExperimentConfig)


def compose(name: str, overrides: Sequence[str] = ()) -> DictConfig:
    """Compose a file of configs/ with overrides; HydraException if a key or option does not exist.

    In contrast to :func:`hydra.compose`, this neither needs nor changes Hydra's global state, so
    that it also works in a notebook and inside another Hydra program.
    """
    from hydra._internal.config_loader_impl import ConfigLoaderImpl
    from hydra._internal.utils import create_config_search_path
    from hydra.types import RunMode
    from omegaconf import open_dict

    register_schema()
    loader = ConfigLoaderImpl(create_config_search_path(str(config_folder())))
    composed = loader.load_configuration(name, list(overrides), RunMode.RUN, from_shell=False)
    with open_dict(composed):
        del composed["hydra"]
    return composed
