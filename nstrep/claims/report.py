"""What a replication writes: claims.csv, report.md and the figures."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import jinja2
import pandas as pd

from nstrep.base import environment
from nstrep.base.files import atomic_write, remove_unfinished
from nstrep.claims import figures, plan, verdicts
from nstrep.claims.plan import ClaimRun, Scale
from nstrep.claims.schema import Claim
from nstrep.claims.verdicts import Judged
from nstrep.plots.style import NothingToDraw

log = logging.getLogger(__name__)

CLAIMS, REPORT, FIGURES = "claims.csv", "report.md", "figures"
MARKS = {
    CLAIMS: "claim,verdict,",
    "runs/*/*.yaml": "content_layers:",
    "runs/*/failed.json": "exit_",
}
"""By what the folder of a replication is known, see :func:`.run_directory.refuse_foreign`."""


@dataclass(frozen=True)
class Finding:
    """A claim with its runs and its judged measures."""

    name: str
    claim: Claim
    runs: Sequence[ClaimRun]
    judged: Sequence[Judged]

    @property
    def verdict(self) -> str:
        """The verdict of the claim."""
        return verdicts.overall(self.judged)


def seconds(runs: Iterable[ClaimRun]) -> float:
    """Duration of the optimisations and trainings of runs, each counted once."""
    durations = {}
    for run in runs:
        durations[run.planned.directory] = run.value("seconds")
        durations[run.value("training.directory")] = run.value("training.seconds")
    return sum(float(value or 0) for value in durations.values())


def table(findings: Iterable[Finding]) -> pd.DataFrame:
    """claims.csv: one row per measure, the measured number beside the published one."""
    return pd.DataFrame(
        {
            "claim": finding.name,
            "verdict": finding.verdict,
            "measure": judged.measure.about,
            "published": judged.measure.published,
            "measured": judged.measured,
            "rule": verdicts.shown(judged.measure.replicated) if judged.measure.replicated else "",
            "measure_verdict": judged.verdict or "reported",
            "why": judged.why,
            "network": ", ".join(networks(finding.runs)),
            "runs": len(plan.of(finding.runs, judged.measure.runs)),
            "source": finding.claim.source,
        }
        for finding in findings
        for judged in finding.judged
    )


def networks(runs: Iterable[ClaimRun]) -> list[str]:
    """Names of the networks that runs used."""
    return sorted({str(run.value("model.name")) for run in runs if run.metrics})


def missing(findings: Iterable[Finding]) -> list[str]:
    """Networks that published numbers are about, where the runs used another."""
    needed = {
        (measure.needs, network)
        for finding in findings
        for measure in finding.claim.measures
        if measure.needs
        for network in networks(plan.of(finding.runs, measure.runs))
    }
    return sorted({needs for needs, network in needed if network != needs})


def write(folder: Path, scale: Scale, findings: Sequence[Finding]) -> Path:
    """Write claims.csv, the figures and report.md, whose path is returned."""
    remove_unfinished(folder)
    with atomic_write(folder / CLAIMS) as temporary:
        table(findings).to_csv(temporary, index=False, float_format="%.6g")
    runs = [run for finding in findings for run in finding.runs]
    inputs = (run.metrics.get(role) or {} for run in runs for role in ("content", "style"))
    replaced = (image for image in inputs if image.get("stand_in_for"))
    shown_verdicts = verdicts.ALL if scale.decides else (verdicts.NOT_DECIDED,)
    template = jinja2.Environment(
        trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    ).from_string((resources.files(__package__) / "report.md.j2").read_text("utf-8"))  # fmt: skip
    text = template.render(
        scale=scale,
        findings=findings,
        drawn={finding.name: list(_figures(folder, finding)) for finding in findings},
        number=lambda value: "none" if math.isnan(value) else f"{value:.4g}",
        band=verdicts.shown,
        counts={v: sum(f.verdict == v for f in findings) for v in shown_verdicts},
        networks=networks(runs),
        missing=missing(findings),
        stand_ins=sorted({f"{one['stand_in_for']}: {one['source']}" for one in replaced}),
        versions=environment.versions(),
        runs=len({run.planned.directory for run in runs}),
        seconds=seconds,
        minutes=seconds(runs) / 60,
        threads=environment.threads(),
    )
    with atomic_write(folder / REPORT) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return folder / REPORT


def _figures(
    folder: Path, finding: Finding
) -> Iterable[tuple[str, str, tuple[list[str], list[list[str]]] | None]]:
    """Title, file relative to the report, and table if it has one, of each figure drawn."""
    (folder / FIGURES).mkdir(parents=True, exist_ok=True)
    for place, figure in enumerate(finding.claim.figures, 1):
        runs = plan.of(finding.runs, figure.runs)
        try:
            file = figures.draw(figure, runs, folder / FIGURES / f"{finding.name}-{place}")
        except NothingToDraw as error:
            log.warning("%s: %s", finding.name, error)
            continue
        cells = None
        if figure.kind == "costs":
            rows = figures.costs_table(runs, **figure.given)
            cells = list(rows), [[f"{cell:.5g}" for cell in row] for row in rows.to_numpy()]
        yield figure.title, f"{FIGURES}/{file.name}", cells
