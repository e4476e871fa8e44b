"""Puts content, template, style and script into one HTML page."""

from __future__ import annotations

import base64
import hashlib
import time
from collections import Counter
from importlib import resources
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

import nstrep
from nstrep.analysis.run_reader import Sweep
from nstrep.base.files import atomic_write, keep_foreign
from nstrep.report.content import content

SIZE = "@@size of this page@@"
"""Replaced by the size once the page is complete."""


def write(sweep: Sweep, path: Path | None = None) -> Path:
    """Write the report of a sweep, to FOLDER/report.html unless another file is named.

    InputError if the file exists and is not a report.
    """
    path = path or sweep.path / "report.html"
    keep_foreign(path, "· nstrep</title>")
    html = render(sweep, path.parent)
    with atomic_write(path) as temporary:
        temporary.write_text(html, encoding="utf-8")
    return path


def render(sweep: Sweep, folder: Path) -> str:
    """The page as text, for a file in ``folder``.

    Its content security policy allows only its own style and script, by their hashes. No text of a
    run could act even if it were not escaped.
    """
    style = _source("page.css")
    script = "\n".join(map(_source, ("chart.js", "page.js")))
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}  # keys are not sorted
    data = content(sweep, folder)
    page = environment.from_string(_source("page.html.j2")).render(
        data=data,
        # The images are in the table, from where the script takes them.
        plain={**data, "runs": [{**run, "picture": None} for run in data["runs"]]},
        statuses=Counter(run.status for run in sweep.runs),
        style=Markup(style),
        script=Markup(script),
        policy=f"default-src 'none'; img-src data:; style-src {_hash(style)};"
        f" script-src {_hash(script)}; base-uri 'none'; form-action 'none'",
        made=time.strftime("%Y-%m-%d %H:%M"),
        version=nstrep.__version__,
        size=SIZE,
    )
    size = len(page.encode())
    return page.replace(SIZE, f"{size / 1e6:.1f} MB" if size > 1e6 else f"{size / 1e3:.0f} kB")


def _source(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
