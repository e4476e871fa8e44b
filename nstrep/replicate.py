"""``nstrep replicate [KEY=VALUE ...]``: run published claims and report which are replicated.

    nstrep replicate                                   all claims at scale=quick
    nstrep replicate claims=[mxnet-eps,gatys-ratio]
    nstrep replicate scale=smoke                       minutes; or paper: days, VGG-19
    nstrep replicate folder=FOLDER                     where the results are

The results are in results/replication/SCALE/: report.md, claims.csv and figures/. Runs that its
folder runs/ holds are not computed again, so the same command continues after a kill. With some of
the claims named, report.md and claims.csv contain those alone.
"""

from __future__ import annotations

import logging
import sys
import textwrap
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from nstrep import cli
from nstrep.base.command_line import answer, plain_errors, synopsis
from nstrep.base.errors import InputError
from nstrep.base.text import duration
from nstrep.claims import plan, report, schema, statistics, verdicts
from nstrep.config.fields import text
from nstrep.experiment import run_directory
from nstrep.overrides import quoted_paths
from nstrep.sweeps.progress import SILENCE

log = logging.getLogger("nstrep.replicate")  # also as __main__


@dataclass
class ReplicationConfig:
    """configs/replicate.yaml."""

    GROUPS: ClassVar[tuple[str, ...]] = ("scale",)
    folder: str = text("folder of the results", file=True)
    claims: Any = "all"
    scale: plan.Scale = field(default_factory=plan.Scale)


ConfigStore.instance().store(name="replication_schema", node=ReplicationConfig)


def replicate(config: ReplicationConfig) -> list[report.Finding]:
    """Compute the runs of the claims, judge them and write the report.

    Hydra must be initialised with the folder of configurations.
    """
    names = schema.names() if config.claims == "all" else config.claims
    names = names if isinstance(names, list) else [str(names)]
    if not names:
        raise InputError("claims=[]: must be all or name at least one claim")
    folder = Path(config.folder)
    run_directory.refuse_foreign(folder, report.MARKS, "folder")  # planning takes seconds
    claims = {name: schema.load(name) for name in names}
    planned = {name: plan.plan(name, claim, config.scale) for name, claim in claims.items()}
    findings: list[report.Finding] = []
    total, done = sum(map(len, planned.values())), 0
    start = said = time.monotonic()
    with tqdm(total=total, unit="run", disable=None) as bar:

        def on_end(one: plan.Planned) -> None:
            nonlocal done, said
            bar.set_postfix_str(one.claim, refresh=False)
            bar.update()
            done, now = done + 1, time.monotonic()
            if bar.disable and now - said >= SILENCE:
                said = now
                log.info(
                    "%d of %d runs after %s: %s", done, total, duration(now - start), one.claim
                )

        with logging_redirect_tqdm():
            for name, claim in claims.items():
                runs = plan.make(planned[name], folder / "runs", on_end)
                findings.append(judge(name, claim, runs, config.scale.decides))
                log.info("%s: %s", name, findings[-1].verdict)
    log.info("report: %s", report.write(folder, config.scale, findings))
    return findings


def judge(
    name: str, claim: schema.Claim, runs: list[plan.ClaimRun], decides: bool = True
) -> report.Finding:
    """Measure and apply the rules."""
    judged = []
    for measure in claim.measures:
        measured = plan.of(runs, measure.runs)
        number = statistics.measure(measured, measure.statistic, measure.given)
        judged.append(verdicts.judge(measure, number, report.networks(measured), decides))
    return report.Finding(name, claim, runs, judged)


def main() -> None:
    """Run the command line."""
    usage, text = synopsis(__doc__)
    claims = textwrap.fill(f"Claims: {', '.join(schema.names())}", 100)
    answer(sys.argv[1:], f"usage: {usage}\n\n{text}\n\n{claims}")
    printed: set[str] = set()

    def is_new(record: logging.LogRecord) -> bool:
        """Let every message pass once: hundreds of runs use the same stand-ins."""
        before = len(printed)
        printed.add(record.getMessage())
        return len(printed) > before

    with plain_errors():
        for name in ("nstrep.replicate", "nstrep.experiment.recorders"):
            logging.getLogger(name).setLevel(logging.INFO)
        for handler in logging.getLogger().handlers:
            if type(handler) is logging.StreamHandler:  # the terminal's, from plain_errors
                handler.addFilter(is_new)
        with initialize_config_dir(version_base="1.3", config_dir=str(cli.config_folder())):
            try:
                replicate(_config(sys.argv[1:]))
            except KeyboardInterrupt:
                log.info("to continue:  %s", cli.same_command())
                raise


def _config(arguments: list[str]) -> ReplicationConfig:
    try:
        paths_quoted = [quoted_paths(argument, ReplicationConfig) for argument in arguments]
        return OmegaConf.to_object(compose("replicate", paths_quoted))
    except Exception as error:  # of Hydra and OmegaConf: the messages of nstrep.run
        message = str(cli.plain_error(error, ReplicationConfig))
        raise InputError(message.replace("need --multirun", "are typed as claims=[a,b]")) from None


if __name__ == "__main__":
    main()
