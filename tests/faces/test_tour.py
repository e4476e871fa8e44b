"""docs/tour.ipynb runs from its first cell to its last, and stays small."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from nstrep.fast import styles

ROOT = Path(__file__).parents[2]
TOUR = ROOT / "docs/tour.ipynb"


@pytest.fixture
def tour() -> nbformat.NotebookNode:
    return nbformat.read(TOUR, as_version=4)


def kinds(notebook: nbformat.NotebookNode) -> dict[str, set[str]]:
    """The kinds of what each code cell that was run shows, such as image/png."""
    return {
        cell.id: {
            kind for output in cell.outputs for kind in output.get("data", {output.output_type: ""})
        }
        for cell in notebook.cells
        if cell.cell_type == "code" and cell.execution_count
    }


def test_the_tour_runs_and_shows_what_is_stored(tour, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("TQDM_DISABLE", "1")
    stored = kinds(tour)
    if not styles.SHIPPED.is_file():  # the package has no trained styles yet
        tagged = [cell for cell in tour.cells if "styles" in cell.metadata.get("tags", ())]
        tour.cells = [cell for cell in tour.cells if cell not in tagged]
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(tour, timeout=300, kernel_name="python3", resources=resources).execute()
    shown = kinds(tour)
    assert {cell: shown[cell] for cell in stored} == stored
    assert not list(tmp_path.iterdir())


def test_the_stored_tour_is_small_and_ran_in_order(tour):
    assert TOUR.stat().st_size < 400_000
    counts = [cell.execution_count for cell in tour.cells if cell.cell_type == "code"]
    numbers = [count for count in counts if count]
    assert numbers == list(range(1, len(numbers) + 1))
    shown = kinds(tour).values()
    assert sum("image/jpeg" in kind or "image/png" in kind for kind in shown) >= 5
    assert sum("text/html" in kind for kind in shown) >= 3
