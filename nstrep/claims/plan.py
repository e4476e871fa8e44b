"""Which runs a claim asks for at a scale, and the runs themselves, made or found again."""

from __future__ import annotations

import hashlib
import itertools
import logging
import multiprocessing
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from hydra import compose
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from nstrep.analysis.run_reader import Run, load_run
from nstrep.base.errors import BusyError, NstrepError, ResultsError
from nstrep.claims.schema import Claim, RunSet, Training, Variation
from nstrep.config.checks import check
from nstrep.config.fields import split_override
from nstrep.config.schema import ExperimentConfig
from nstrep.experiment import image_inputs
from nstrep.experiment import run as experiment
from nstrep.fast import one_pass
from nstrep.fast.config import TrainConfig
from nstrep.fast.config import check as check_training

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
    training: list[str] = field(default_factory=list)
    """Typed for every training of a network."""


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
    training: TrainConfig | None = None
    """The network one pass of which makes the picture; None for an optimisation."""

    @property
    def directory(self) -> str:
        """Folder name: the same for the same settings, whichever claim asks."""
        text = _yaml(self.config) + str(self.fresh_process)
        if self.training is not None:
            return f"pass-{_digest(text + _yaml(self.training))}"
        return f"{self.config.recipe.name}-{_digest(text)}"

    @property
    def network_directory(self) -> str:
        """The same of the training."""
        return f"train-{self.training.net.name}-{_digest(_yaml(self.training))}"


@dataclass(frozen=True, eq=False)
class Made:
    """A run of a claim with what it left."""

    planned: Planned
    run: Run

    @property
    def swept(self) -> dict[str, str]:
        """Swept keys and their values as typed, and the set of the claim under ``runs``."""
        return {"runs": self.planned.runs, **self.planned.swept}

    @cached_property
    def photo(self) -> np.ndarray:
        """The content picture at the result's size, ``rgb01``."""
        config = self.planned.config
        return image_inputs.scaled(image_inputs.load_pictures(config), config)[0]


def of(made: Iterable[Made], runs: str | Sequence[str]) -> list[Made]:
    """The runs of one of a claim's sets, or of several."""
    sets = [runs] if isinstance(runs, str) else list(runs)
    return [one for one in made if one.planned.runs in sets]


def plan(name: str, claim: Claim, scale: Scale) -> list[Planned]:
    """The runs of a claim. Hydra must be initialised with the folder of configurations.

    Raises:
        InputError: a run's configuration is not valid.

    """
    planned = []
    for key, run_set in claim.runs.items():
        trainings = list(_trainings(claim, run_set, scale))
        for overrides, swept in expand(run_set, scale):
            config = check(compose("config", list(overrides)))
            for varied, trained in trainings:
                planned.append(
                    Planned(
                        name,
                        key,
                        overrides,
                        swept | varied,
                        config if trained is None else one_pass.aligned(config, trained),
                        run_set.fresh_process,
                        None if run_set.training is None else trained,
                    )
                )
    return planned


def _trainings(
    claim: Claim, run_set: RunSet, scale: Scale
) -> Iterator[tuple[dict[str, str], TrainConfig | None]]:
    """The trainings whose networks a set uses, or whose losses, with what was swept."""
    owner = claim.runs[run_set.losses_of] if run_set.losses_of else run_set
    if owner.training is None:
        yield {}, None
        return
    for overrides, swept in expand_training(owner.training, scale):
        yield swept, check_training(compose("fast", list(overrides)))


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
    yield from _combined(fixed, params)


def expand_training(
    training: Training, scale: Scale
) -> Iterator[tuple[tuple[str, ...], dict[str, str]]]:
    """The same of a set's trainings."""
    own = training.at.get(scale.name, Variation())
    fixed = [*scale.training, *training.overrides, *own.overrides]
    yield from _combined(fixed, training.params | own.params)


def _combined(
    fixed: list[str], params: dict[str, str]
) -> Iterator[tuple[tuple[str, ...], dict[str, str]]]:
    values = {key: _values(key, str(text)) for key, text in params.items()}
    for combination in itertools.product(*values.values()):
        swept = dict(zip(values, combination))
        # What comes later wins.
        typed = {split_override(override)[0]: override for override in fixed}
        typed |= {key: f"{key}={value}" for key, value in swept.items()}
        yield tuple(typed.values()), swept


def _yaml(config: ExperimentConfig | TrainConfig) -> str:
    return OmegaConf.to_yaml(OmegaConf.structured(config))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


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
            _run(one, folder)
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


def _run(planned: Planned, folder: Path) -> None:
    directory = folder / planned.directory
    if planned.training is not None:
        network = folder / planned.network_directory
        one_pass.run_once(planned.config, planned.training, directory, network)
        return
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
