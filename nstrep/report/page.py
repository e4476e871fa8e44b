"""From what is shown to the file: template, style and script put into one page."""

from __future__ import annotations

import base64
import hashlib
import time
from importlib import resources
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

import nstrep
from nstrep.analysis.run_reader import Sweep
from nstrep.base.files import atomic_write
from nstrep.report.content import content, statuses

SCRIPTS = ("chart.js", "page.js")


def write(sweep: Sweep, path: Path | None = None) -> Path:
    """Write the report of a sweep; FOLDER/report.html unless another file is named.

    Raises:
        ResultsError: the file cannot be written.

    """
    path = path or sweep.path / "report.html"
    html = render(sweep, path.parent)
    with atomic_write(path) as temporary:
        temporary.write_text(html, encoding="utf-8")
    return path


def render(sweep: Sweep, folder: Path) -> str:
    """The page as text, for a file in ``folder``.

    Its own style and script are allowed by their hashes and nothing else is, so that no text of a
    run can act even if it got past the escaping.
    """
    style = _source("page.css")
    script = "\n".join(_source(name) for name in SCRIPTS)
    environment = Environment(
        loader=PackageLoader("nstrep.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}  # in our order
    shown = content(sweep, folder)
    page = environment.get_template("page.html.j2").render(
        data=shown,
        # The pictures are in the table; the script takes them from there.
        plain={**shown, "runs": [{**run, "picture": None} for run in shown["runs"]]},
        statuses=statuses(sweep.runs),
        style=Markup(style),
        script=Markup(script),
        policy=f"default-src 'none'; img-src data:; style-src {_hash(style)};"
        f" script-src {_hash(script)}; base-uri 'none'; form-action 'none'",
        made=time.strftime("%Y-%m-%d %H:%M"),
        version=nstrep.__version__,
        size=_SIZE,
    )
    size = len(page.encode())
    return page.replace(_SIZE, f"{size / 1e6:.1f} MB" if size > 1e6 else f"{size / 1e3:.0f} kB")


_SIZE = "@@size of this page@@"


def _source(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
