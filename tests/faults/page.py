"""Write docs/reliability.md from the rows under tests/faults/results/.

python -m tests.faults.page
"""

from __future__ import annotations

from tests.faults.harness import ROOT

PAGE = ROOT / "docs" / "reliability.md"

PARTS = {}


def write() -> None:
    """Write the page."""
