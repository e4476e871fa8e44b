"""``python -m nstrep.replicate``: run the published claims and say what holds.

    python -m nstrep.replicate                                   all claims at scale=quick
    python -m nstrep.replicate claims=[mxnet-eps,gatys-ratio]
    python -m nstrep.replicate scale=smoke                       minutes; or paper: days, VGG-19

The results are in results/replication/SCALE/: report.md, claims.csv and figures/. Runs that are in
its folder runs/ already are not made again, so the same command goes on after a kill. With some
of the claims named, report.md and claims.csv hold those alone.
"""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, OmegaConf
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from nstrep import cli
from nstrep.base.command_line import plain_errors
from nstrep.base.errors import InputError
from nstrep.claims import plan, report, schema, statistics, verdicts

log = logging.getLogger(__name__)


@dataclass
class ReplicationConfig:
    """configs/replicate.yaml."""

    GROUPS: ClassVar[tuple[str, ...]] = ("scale",)
    claims: Any = "all"
    scale: plan.Scale = field(default_factory=plan.Scale)
    folder: str = MISSING


ConfigStore.instance().store(name="replication_schema", node=ReplicationConfig)


def replicate(config: ReplicationConfig) -> list[report.Finding]:
    """Make the runs of the claims, judge them and write the report.

    Hydra must be initialised with the folder of configurations.

    Raises:
        InputError: a claim that does not exist, or one whose runs cannot be configured.
        ResultsError: the folder cannot be written.

    """
    claims = {name: schema.load(name) for name in _names(config.claims)}
    planned = {name: plan.plan(name, claim, config.scale) for name, claim in claims.items()}
    folder = Path(config.folder)
    findings = []
    with tqdm(total=sum(map(len, planned.values())), unit="run", disable=None) as bar:

        def tell(one: plan.Planned) -> None:
            bar.set_postfix_str(one.claim, refresh=False)
            bar.update()

        with logging_redirect_tqdm():
            for name, claim in claims.items():
                made = plan.make(planned[name], folder / "runs", tell)
                findings.append(judge(name, claim, made))
                log.info("%s: %s", name, findings[-1].verdict)
    log.info("report: %s", report.write(folder, config.scale, findings))
    return findings


def judge(name: str, claim: schema.Claim, made: list[plan.Made]) -> report.Finding:
    """Measure and apply the rules."""
    judged = []
    for measure in claim.measures:
        runs = plan.of(made, measure.runs)
        number = statistics.measure(runs, measure.statistic, measure.given)
        judged.append(verdicts.judge(measure, number, report.networks(runs)))
    return report.Finding(name, claim, made, judged)


def _names(asked: Any) -> list[str]:
    if asked == "all":
        return schema.names()
    return list(asked) if isinstance(asked, list) else [str(asked)]


class _Once(logging.Filter):
    """Lets every message through once: hundreds of runs use the same stand-ins."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        fresh = message not in self._seen
        self._seen.add(message)
        return fresh


def main() -> None:
    """Run the command line."""
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(__doc__)
        print("Claims:", ", ".join(schema.names()))
        return
    with plain_errors():
        logging.getLogger("nstrep.replicate").setLevel(logging.INFO)
        for handler in logging.getLogger().handlers:
            if type(handler) is logging.StreamHandler:  # the terminal, as plain_errors made it
                handler.addFilter(_Once())
        with initialize_config_dir(version_base="1.3", config_dir=str(cli.config_folder())):
            replicate(_config(sys.argv[1:]))


def _config(arguments: list[str]) -> ReplicationConfig:
    try:
        composed = compose("replicate", arguments)
        return OmegaConf.to_object(composed)
    except Exception as error:  # Hydra's and OmegaConf's, in the words of nstrep.run
        raise InputError(str(cli.plain_error(error, ReplicationConfig))) from None


if __name__ == "__main__":
    main()
