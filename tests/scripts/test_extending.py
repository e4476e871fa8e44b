"""The examples of docs/extending.md work as printed, in a copy of the package."""

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SMALL = ("max_long_edge=96", "max_num_epochs=2", "stop_eps=0", "hydra.run.dir=out")
FILES = {
    "nstrep/losses/channel_mean.py": '@register("channel_mean_loss")',
    "nstrep/optim/heavy_ball.py": "class HeavyBall",
    "configs/optimizer/heavy_ball.yaml": "name: heavy_ball",
    "configs/recipe/lecture.yaml": "name: lecture",
    "configs/claim/pooling-example.yaml": "statement:",
}
"""Files that the page tells a reader to write, and what their block on the page contains."""


def blocks() -> list[str]:
    """The indented blocks of the page."""
    found, lines = [], []
    for line in [*(ROOT / "docs/extending.md").read_text().splitlines(), "end"]:
        if line.startswith("    ") or (lines and not line):
            lines.append(line)
        elif lines:
            found.append(textwrap.dedent("\n".join(lines)).strip() + "\n")
            lines = []
    return found


def insert(path: Path, before: str, line: str) -> None:
    text = path.read_text()
    assert text.count(before) == 1
    path.write_text(text.replace(before, line + before))


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of the package with everything that the page adds."""
    folder = tmp_path_factory.mktemp("copy")
    for name in ("nstrep", "configs"):
        shutil.copytree(ROOT / name, folder / name)
    for name, content in FILES.items():
        (block,) = [block for block in blocks() if content in block]
        (folder / name).write_text(block)
    minimize = folder / "nstrep/optim/minimize.py"
    insert(minimize, '    "lbfgs": Lbfgs,\n', '    "heavy_ball": HeavyBall,\n')
    importing = "from nstrep.optim.lbfgs import Lbfgs\n"
    insert(minimize, importing, "from nstrep.optim.heavy_ball import HeavyBall\n")
    (column,) = [block for block in blocks() if block.startswith("Metric(")]
    metrics = folder / "nstrep/config/metrics.py"
    insert(metrics, '        Metric("ssim"', textwrap.indent(column, " " * 8))
    (row,) = [block for block in blocks() if block.startswith('Architecture("vgg13"')]
    insert(
        folder / "nstrep/networks/vgg.py",
        '        Architecture("vgg16"',
        textwrap.indent(row, " " * 8),
    )
    (folder / "configs/model/vgg13.yaml").write_text(
        (folder / "configs/model/vgg16.yaml").read_text().replace("vgg16", "vgg13")
    )
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "extra_losses={channel_mean_loss: {weight: 0.001, layers: [relu2_1]}}", *SMALL),
        ("run", "optimizer=heavy_ball", *SMALL),
        ("run", "recipe=lecture", *SMALL),
        ("run", "model=vgg13", "weights.path=random", *SMALL),
        ("replicate", "claims=[pooling-example]", "scale=smoke"),
    ],
)
def test_an_example_works_as_printed(copy, tmp_path, arguments):
    name, *typed = arguments
    done = subprocess.run(
        [sys.executable, "-m", f"nstrep.{name}", *typed],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(copy)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    if name == "run":
        assert (tmp_path / "out/final.png").exists()
        columns = (tmp_path / "out/curve.csv").read_text().splitlines()[0].split(",")
        assert "contrast" in columns
        assert ("channel_mean_loss.relu2_1" in columns) == ("extra_losses" in typed[0])
