"""Which runs a claim needs at a scale, and the runs themselves, computed or read back."""

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
from nstrep.base.signals import only_sigterm_interrupts
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

POLL = 1.0  # seconds between two attempts at a run that another process computes


@dataclass
class Scale:
    """How large the runs are; an option of configs/scale/."""

    name: str = ""
    about: str = ""
    overrides: list[str] = field(default_factory=list)  # of every run, before those of a claim
    training: list[str] = field(default_factory=list)  # overrides of every training of a network
    decides: bool = True  # whether the numbers mean anything; if not, there are no verdicts


@dataclass(frozen=True)
class Planned:
    """A run that a claim needs."""

    claim: str
    runs: str  # name of the claim's run set
    overrides: tuple[str, ...]  # as typed after python -m nstrep.run
    swept: dict[str, str]  # the swept keys among them
    config: ExperimentConfig
    fresh_process: bool
    training: TrainConfig | None  # of the network that makes the image; None: an optimisation

    @property
    def directory(self) -> str:
        """Folder name: the same for the same settings, whichever claim needs them."""
        text = _yaml(self.config) + str(self.fresh_process)
        if self.training is not None:
            return f"pass-{_digest(text + _yaml(self.training))}"
        return f"{self.config.recipe.name}-{_digest(text)}"

    @property
    def network_directory(self) -> str:
        """Folder name of the training."""
        return f"train-{self.training.net.name}-{_digest(_yaml(self.training))}"


@dataclass(frozen=True, eq=False)
class ClaimRun(Run):
    """A run with what was planned for it."""

    planned: Planned = field(kw_only=True)

    @property
    def swept(self) -> dict[str, str]:
        """Swept keys with their values as typed, and the name of the run set under ``runs``."""
        return {"runs": self.planned.runs, **self.planned.swept}

    @cached_property
    def content_image(self) -> np.ndarray:
        """The content image at the result's size, ``rgb01``."""
        config = self.planned.config
        return image_inputs.scaled(image_inputs.load_pictures(config), config)[0]


def of(runs: Iterable[ClaimRun], sets: str | Sequence[str]) -> list[ClaimRun]:
    """The runs of one of a claim's sets, or of several."""
    names = [sets] if isinstance(sets, str) else sets
    return [run for run in runs if run.planned.runs in names]


def plan(name: str, claim: Claim, scale: Scale) -> list[Planned]:
    """The runs of a claim; InputError if a configuration is not valid.

    Hydra must be initialised with the folder of configurations.
    """
    planned = []
    for set_name, run_set in claim.runs.items():
        # The set uses the networks of these trainings, or only their losses.
        varied = (claim.runs[run_set.losses_of] if run_set.losses_of else run_set).training
        trainings: list[tuple[dict[str, str], TrainConfig | None]] = [({}, None)]
        if varied is not None:
            trainings = [
                (swept, check_training(compose("fast", list(overrides))))
                for overrides, swept in expand(varied, scale)
            ]
        for overrides, swept in expand(run_set, scale):
            config = check(compose("config", list(overrides)))
            planned += [
                Planned(
                    claim=name,
                    runs=set_name,
                    overrides=overrides,
                    swept=swept | swept_in_training,
                    config=config if training is None else one_pass.aligned(config, training),
                    fresh_process=run_set.fresh_process,
                    training=training if run_set.training else None,
                )
                for swept_in_training, training in trainings
            ]
    return planned


def expand(varied: Training, scale: Scale) -> Iterator[tuple[tuple[str, ...], dict[str, str]]]:
    """The command lines of a set of runs or of trainings, each with its swept keys."""
    at_scale = varied.at.get(scale.name, Variation())
    params: dict[str, str] = {}
    fixed = scale.overrides if isinstance(varied, RunSet) else scale.training
    if isinstance(varied, RunSet) and varied.experiment:
        experiment_file = f"experiment={varied.experiment}"
        composed = compose("config", [experiment_file], return_hydra_config=True)
        params = dict(composed.hydra.sweeper.params or {})
        fixed = [experiment_file, *fixed]
    fixed = [*fixed, *varied.overrides, *at_scale.overrides]
    typed = {split_override(one)[0]: one for one in fixed}  # the last of a key counts
    params |= varied.params | at_scale.params
    values = {key: _values(key, str(text)) for key, text in params.items()}
    for combination in itertools.product(*values.values()):
        swept = dict(zip(values, combination))
        overrides = typed | {key: f"{key}={value}" for key, value in swept.items()}
        yield tuple(overrides.values()), swept


def _yaml(config: ExperimentConfig | TrainConfig) -> str:
    return OmegaConf.to_yaml(OmegaConf.structured(config))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _values(key: str, text: str) -> list[str]:
    """The values of a sweep in Hydra's syntax, such as ``1,2,3`` or ``[a],[a,b]``."""
    override = OverridesParser.create().parse_override(f"{key}={text.strip()}")
    if override.is_sweep_override():
        return list(override.sweep_string_iterator())
    return [override.get_value_element_as_str()]


def make(planned: list[Planned], folder: Path, on_end: Callable[[Planned], None]) -> list[ClaimRun]:
    """Compute the runs in ``folder``, except those that it holds: the same call continues.

    Runs of equal settings are computed once. A failed run stays in the result, with its reason. A
    run that another process computes is waited for, after the others.
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
        except ResultsError:  # a full or read-only disk: the others would fail as well
            raise
        except NstrepError as error:
            log.warning("%s: %s: %s", one.claim, " ".join(one.overrides), error)
        on_end(one)
    return [ClaimRun(**vars(load_run(folder / one.directory)), planned=one) for one in planned]


def _run(planned: Planned, folder: Path) -> None:
    directory = folder / planned.directory
    if planned.training is not None:
        network = folder / planned.network_directory
        one_pass.run_once(planned.config, planned.training, directory, network)
    elif not planned.fresh_process:
        experiment.run_once(planned.config, directory)
    else:
        spawn = multiprocessing.get_context("spawn")
        only = only_sigterm_interrupts
        with ProcessPoolExecutor(1, mp_context=spawn, initializer=only) as pool:
            try:
                pool.submit(experiment.run_once, planned.config, directory).result()
            except KeyboardInterrupt:
                for process in multiprocessing.active_children():
                    process.terminate()
                raise
            except BrokenProcessPool:
                raise NstrepError("its process was killed, perhaps for lack of memory") from None
