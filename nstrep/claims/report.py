"""What a replication leaves for its readers: claims.csv, report.md and the figures."""

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
from nstrep.claims.plan import Made, Scale
from nstrep.claims.schema import Claim
from nstrep.claims.verdicts import Judged
from nstrep.plots.style import NothingToDraw

log = logging.getLogger(__name__)

CLAIMS, REPORT, FIGURES = "claims.csv", "report.md", "figures"


@dataclass(frozen=True)
class Finding:
    """A claim with its runs and what they say."""

    name: str
    claim: Claim
    made: Sequence[Made]
    judged: Sequence[Judged]

    @property
    def verdict(self) -> str:
        """Replicated, not replicated or inconclusive."""
        return verdicts.overall(self.judged)

    @property
    def failed(self) -> list[Made]:
        """Runs that did not finish."""
        return [made for made in self.made if made.run.status != "finished"]

    @property
    def seconds(self) -> float:
        """Of all its runs' optimisations and of the trainings of its networks."""
        return seconds(self.made)


def seconds(made: Iterable[Made]) -> float:
    """Of optimisations and trainings, each counted once."""
    found = {}
    for one in made:
        found[one.planned.directory] = one.run.value("seconds")
        found[one.run.value("training.directory")] = one.run.value("training.seconds")
    return sum(float(value or 0) for value in found.values())


def table(findings: Iterable[Finding]) -> pd.DataFrame:
    """claims.csv: a row a measure, the measured number beside the published one."""
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
            "network": ", ".join(networks(finding.made)),
            "runs": len(plan.of(finding.made, judged.measure.runs)),
            "source": finding.claim.source,
        }
        for finding in findings
        for judged in finding.judged
    )


def networks(made: Iterable[Made]) -> list[str]:
    """Names of the networks that runs used."""
    return sorted({str(one.run.value("model.name")) for one in made if one.run.metrics})


def missing(findings: Iterable[Finding]) -> list[str]:
    """Networks that published numbers are about, where the runs used another."""
    return sorted(
        {
            str(judged.measure.needs)
            for finding in findings
            for judged in finding.judged
            if judged.measure.needs
            and set(networks(plan.of(finding.made, judged.measure.runs))) - {judged.measure.needs}
        }
    )


def stand_ins(made: Iterable[Made]) -> list[str]:
    """What stood in for a picture that was not on disk, one line each."""
    found = {}
    for one in made:
        for role in ("content", "style"):
            about = one.run.metrics.get(role)
            if isinstance(about, dict) and about.get("stand_in_for"):
                found[f"{about['stand_in_for']}: {about['source']}"] = True
    return sorted(found)


def write(folder: Path, scale: Scale, findings: Sequence[Finding]) -> Path:
    """Write claims.csv, the figures and report.md.

    Returns:
        The report.

    """
    rows = table(findings)
    remove_unfinished(folder)
    with atomic_write(folder / CLAIMS) as temporary:
        rows.to_csv(temporary, index=False, float_format="%.6g")
    drawn = {finding.name: list(_figures(folder, finding)) for finding in findings}
    made = [one for finding in findings for one in finding.made]
    loader = jinja2.FunctionLoader(
        lambda name: (resources.files("nstrep.claims") / name).read_text(encoding="utf-8")
    )
    page = jinja2.Environment(
        loader=loader, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    ).get_template("report.md.j2")  # fmt: skip
    text = page.render(
        scale=scale,
        findings=findings,
        drawn=drawn,
        number=number,
        band=verdicts.shown,
        counts={v: sum(f.verdict == v for f in findings) for v in verdicts.ALL},
        networks=networks(made),
        missing=missing(findings),
        stand_ins=stand_ins(made),
        versions=environment.versions(),
        runs=len({one.planned.directory for one in made}),
        minutes=seconds(made) / 60,
        threads=environment.threads(),
    )
    with atomic_write(folder / REPORT) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return folder / REPORT


def _figures(
    folder: Path, finding: Finding
) -> Iterable[tuple[str, str, tuple[list[str], list[list[str]]] | None]]:
    """Title, file relative to the report and table, if it has one, of each figure drawn."""
    (folder / FIGURES).mkdir(parents=True, exist_ok=True)
    for place, figure in enumerate(finding.claim.figures, 1):
        path = folder / FIGURES / f"{finding.name}-{place}"
        try:
            file = figures.draw(figure, plan.of(finding.made, figure.runs), path)
        except NothingToDraw as error:
            log.warning("%s: %s", finding.name, error)
            continue
        rows = figures.tabulate(figure, plan.of(finding.made, figure.runs))
        cells = None
        if rows is not None:
            cells = list(rows), [[f"{cell:.5g}" for cell in row] for row in rows.to_numpy()]
        yield figure.title, f"{FIGURES}/{file.name}", cells


def number(value: float) -> str:
    """A measured number for a table."""
    return "none" if math.isnan(value) else f"{value:.4g}"
