"""The pages: links lead somewhere, named files exist, generated blocks are up to date."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest
import yaml

from benchmarks import page as performance
from benchmarks import sweeps
from tests.faults import page as reliability

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md") + tuple(
    str(path.relative_to(ROOT))
    for kind in ("*.md", "*.ipynb")
    for path in sorted((ROOT / "docs").glob(kind))
)
LINK = re.compile(r"\]\(([^)\s]+)\)")
FILE = re.compile(r"`((?:nstrep|configs|scripts|tests|benchmarks|docs)/[\w./-]*)`")
MADE_BY_READERS = {
    "tests/faults/results/kill_moments.txt", "configs/claim/NAME.yaml", "configs/recipe/NAME.yaml",
    "configs/model/vgg13.yaml", "configs/optimizer/heavy_ball.yaml",
    "nstrep/losses/channel_mean.py", "nstrep/optim/heavy_ball.py",
}  # fmt: skip
"""Files that a page names and that a command or the reader makes."""


@pytest.fixture(scope="module")
def readme():
    """The script that writes the generated blocks; it imports the one beside it."""
    scripts = str(ROOT / "scripts")
    sys.path.insert(0, scripts)
    try:
        spec = importlib.util.spec_from_file_location("readme", ROOT / "scripts/readme.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(scripts)


def text(page: str) -> str:
    return (ROOT / page).read_text()


def anchors(path: Path) -> set[str]:
    """What GitHub calls the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_every_relative_link_leads_to_a_file_and_a_heading(page):
    broken = []
    for link in LINK.findall(text(page)):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = (ROOT / page).parent / file if file else ROOT / page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert not broken


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_a_page_names_exists(page):
    named = set(FILE.findall(text(page))) - MADE_BY_READERS
    assert not sorted(name for name in named if not (ROOT / name).exists())


def test_the_readme_links_every_page():
    linked = LINK.findall(text("README.md"))
    assert not set(PAGES[1:]) - set(linked)


def test_the_contents_of_the_site_list_every_page():
    listed = re.findall(r"[\w/]+", text("docs/conf.py"))
    assert not {page.rpartition(".")[0] for page in PAGES[1:]} - set(listed)


@pytest.mark.parametrize(
    ("marker", "last_word"), [("main-command", "content_weight=20"), ("test-command", "pytest")]
)
def test_the_commands_stand_behind_their_markers(marker, last_word):
    """.ci/run takes the first indented line after the marker."""
    _, found, rest = text("README.md").partition(f"\n<!-- {marker} -->\n")
    assert found
    command = next(line for line in rest.splitlines() if line.startswith("    "))
    assert command.startswith("    python3.11 -m venv .venv && ")
    assert command.endswith(last_word)


def test_the_generated_blocks_are_up_to_date(readme):
    for page, named in readme.blocks().items():
        assert readme.updated(page, named) == text(page), "run  python scripts/readme.py --keys"


def test_the_measured_pages_are_up_to_date():
    assert performance.page() == text("docs/performance.md"), "run  python -m benchmarks.page"
    assert reliability.page() == text("docs/reliability.md"), "run  python -m tests.faults.page"


def test_the_citation_names_this_version_and_the_papers():
    citation = yaml.safe_load(text("CITATION.cff"))
    assert f"version = {citation['version']}\n" in text("setup.cfg")
    assert [paper["year"] for paper in citation["references"]] == [2015, 2016]


def test_a_sweep_is_compared_with_its_iterations_on_all_cores():
    row = {"way": "one run a core", "runs": 8, "machine": "some processor, 2 cores", "cpu": 24}
    (line,) = sweeps.summary([{**row, "seconds": 12, "optimising": 20}]).splitlines()[2:]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[-3:] == ["0.5", "1.2", "3"]  # seconds besides, 12 / (20 / 2), CPU seconds
