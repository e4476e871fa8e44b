"""The documentation as a site: ``sphinx-build -W -c docs . build/site`` (extra: docs)."""

from pathlib import Path

from sphinx.application import Sphinx

import nstrep

project = "nstrep"
release = nstrep.__version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]

# The source folder is the repository, so that links between pages are valid here as on GitHub.
root_doc = "README"
include_patterns = [
    "*.md", "docs/*.md", "docs/*.ipynb", "results/*/README.md", "results/replication/quick/*.md",
]  # fmt: skip
exclude_patterns = [".venv", "build"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # tests/faces/test_tour.py runs the notebook

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_preserve_defaults = True

html_theme = "furo"
html_title = f"nstrep {release}"

CONTENTS = {
    "First steps": "docs/gallery docs/tour docs/python docs/troubleshooting",
    "Use": "docs/keys docs/controls docs/large docs/sweeps docs/run_directory docs/reports"
    " docs/fast",
    "Background": "docs/recipes docs/quirks docs/networks docs/replication docs/performance"
    " docs/reliability",
    "Development": "docs/api docs/architecture docs/extending CONTRIBUTING CHANGELOG",
    "Results": "results/replication/quick/report results/networks/README results/recipe/README"
    " results/trials/README results/fast/README",
}
"""The pages of the sidebar. With -W, a page that is missing here is an error."""


def add_contents(app: Sphinx, page: str, source: list[str]) -> None:
    """Append the contents to the front page."""
    if page == root_doc:
        for caption, pages in CONTENTS.items():
            listed = "\n".join(pages.split())
            source[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{listed}\n```\n"


def add_index(app: Sphinx, error: Exception | None) -> None:
    """Lead from the site's address to the front page."""
    address = f'<meta http-equiv="refresh" content="0; url={root_doc}.html">\n'
    Path(app.outdir, "index.html").write_text(address)


def setup(app: Sphinx) -> None:
    """Register the functions with Sphinx."""
    app.connect("source-read", add_contents)
    app.connect("build-finished", add_index)
