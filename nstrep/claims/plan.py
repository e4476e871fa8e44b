"""Which runs a claim asks for at a scale, and the runs themselves, made or found again."""

from __future__ import annotations

import hashlib
import itertools
import logging
import multiprocessing
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from hydra import compose
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from nstrep import experiment, pictures
from nstrep.claims.schema import Claim, RunSet, Variation
from nstrep.config import ExperimentConfig, check
from nstrep.errors import BusyError, NstrepError, ResultsError
from nstrep.loading import Run, load_run

log = logging.getLogger(__name__)

POLL = 1.0
"""Seconds between two looks at a run that another process is at work on."""


@dataclass
class Scale:
    """How large the runs are; an option of configs/scale/."""

    name: str = ""
    about: str = ""
    overrides: list[str] = field(default_factory=list)
    """Typed for every run, before what a claim says."""


@dataclass(frozen=True)
class Planned:
    """A run that a claim asks for."""

    claim: str
    runs: str
    """Which of the claim's sets it belongs to."""
    overrides: tuple[str, ...]
    """What would be typed after ``python -m nstrep.run``."""
    swept: dict[str, str]
    """The swept keys among them."""
    config: ExperimentConfig
    fresh_process: bool

    @property
    def directory(self) -> str:
        """Folder name: the same for the same settings, whichever claim asks."""
        text = OmegaConf.to_yaml(OmegaConf.structured(self.config)) + str(self.fresh_process)
        return f"{self.config.recipe.name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


@dataclass(frozen=True, eq=False)
class Made:
    """A run of a claim with what it left."""

    planned: Planned
    run: Run

    @property
    def swept(self) -> dict[str, str]:
        """Swept keys and their values as typed."""
        return self.planned.swept

    @cached_property
    def photo(self) -> np.ndarray:
        """The content picture at the result's size, ``rgb01``."""
        config = self.planned.config
        return pictures.scaled(pictures.load_pictures(config), config)[0]


def plan(name: str, claim: Claim, scale: Scale) -> list[Planned]:
    """The runs of a claim. Hydra must be initialised with the folder of configurations.

    Raises:
        InputError: a run's configuration is not valid.

    """
    planned = []
    for key, run_set in claim.runs.items():
        for overrides, swept in expand(run_set, scale):
            config = check(compose("config", list(overrides)))
            planned.append(Planned(name, key, overrides, swept, config, run_set.fresh_process))
    return planned


def expand(run_set: RunSet, scale: Scale) -> Iterator[tuple[tuple[str, ...], dict[str, str]]]:
    """The command lines of a set: its fixed overrides and each combination of the swept values."""
    own = run_set.at.get(scale.name, Variation())
    experiments = [f"experiment={run_set.experiment}"] if run_set.experiment else []
    fixed = [*experiments, *scale.overrides, *run_set.overrides, *own.overrides]
    params: dict[str, str] = {}
    if experiments:
        composed = compose("config", experiments, return_hydra_config=True)
        params = dict(composed.hydra.sweeper.params or {})
    params |= run_set.params | own.params
    values = {key: _values(key, str(text)) for key, text in params.items()}
    for combination in itertools.product(*values.values()):
        swept = dict(zip(values, combination))
        typed = {_key(override): override for override in fixed}  # what comes later wins
        typed |= {key: f"{key}={value}" for key, value in swept.items()}
        yield tuple(typed.values()), swept


def _key(override: str) -> str:
    return override.split("=", 1)[0].lstrip("+~")


def _values(key: str, text: str) -> list[str]:
    """What Hydra makes of a swept value, such as ``1,2,3`` or ``[a],[a,b]``."""
    override = OverridesParser.create().parse_override(f"{key}={text.strip()}")
    if override.is_sweep_override():
        return list(override.sweep_string_iterator())
    return [override.get_value_element_as_str()]


def make(planned: list[Planned], folder: Path, tell: Callable[[Planned], None]) -> list[Made]:
    """Make the runs in ``folder``, or find them there: the same call goes on where it was.

    A run that fails stays in the result, with its reason. One that another process is at work on
    is waited for, after the others.

    Args:
        planned: the runs; those of equal settings are made once.
        folder: of the run directories.
        tell: called after each.

    Raises:
        ResultsError: the folder cannot be written.

    """
    waiting, busy = deque(planned), set()
    while waiting:
        one = waiting.popleft()
        try:
            _run(one, folder / one.directory)
        except BusyError as error:
            if one.directory not in busy:
                log.warning("%s: %s; waiting for it", one.claim, error)
            busy.add(one.directory)
            waiting.append(one)
            time.sleep(POLL)
            continue
        except ResultsError:  # the disk is full or read-only: the others would fail as well
            raise
        except NstrepError as error:
            log.warning("%s: %s: %s", one.claim, " ".join(one.overrides), error)
        tell(one)
    return [Made(one, load_run(folder / one.directory)) for one in planned]


def _run(planned: Planned, directory: Path) -> None:
    if not planned.fresh_process:
        experiment.run_once(planned.config, directory)
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=spawn) as pool:
        try:
            pool.submit(experiment.run_once, planned.config, directory).result()
        except BrokenProcessPool:
            raise NstrepError(
                "its process was killed, by the system's lack of memory perhaps"
            ) from None
