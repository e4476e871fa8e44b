"""The judges of the fault harness find what they are there to find."""

import csv
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from nstrep.base.files import atomic_write
from tests.faults import checks, kills
from tests.faults.harness import Row
from tests.faults.soak import judge
from tests.runs import write_run, write_sweep


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / "whole/a", "content_weight=5")


def test_a_good_run_is_good(run):
    assert checks.broken(run) == []
    assert checks.left_over(run) == []
    again = shutil.copytree(run, run.parents[1] / "other/a")
    metrics = json.loads((again / "metrics.json").read_text())
    (again / "metrics.json").write_text(json.dumps({**metrics, "seconds": 99.0}))
    assert checks.differences(again, run) == []


@pytest.mark.parametrize("name", ["final.png", "raw.npz", "metrics.json"])
def test_a_file_that_is_cut_off_is_found(run, name):
    whole = (run / name).read_bytes()
    for size in (0, len(whole) // 2, len(whole) - 3):
        (run / name).write_bytes(whole[:size])
        assert len(checks.broken(run)) == 1


def test_a_table_that_is_cut_off_is_found(tmp_path):
    (tmp_path / "summary.csv").write_text("a,b\n1,2\n3,")
    assert len(checks.broken(tmp_path)) == 1


def test_a_row_that_is_doubled_or_missing_is_found(run):
    curve = run / "curve.csv"
    lines = curve.read_text().splitlines(keepends=True)
    curve.write_text("".join(lines) + lines[-1][:20])  # as a kill leaves it: not read
    assert checks.broken(run) == []
    for wrong in ([*lines, lines[-1]], lines[:4] + lines[5:]):
        curve.write_text("".join(wrong))
        assert len(checks.broken(run)) == 1


def test_differences_are_found(run):
    other = shutil.copytree(run, run.parents[1] / "other/a")
    with Image.open(other / "final.png") as opened:
        picture = np.asarray(opened).copy()
    picture[0, 0, 0] ^= 1
    Image.fromarray(picture).save(other / "final.png")
    text = (other / "curve.csv").read_text()
    rows = list(csv.DictReader(text.splitlines()))
    (other / "curve.csv").write_text(text.replace(rows[3]["total"], "9.5"))
    (other / "raw.npz").unlink()
    found = " ".join(checks.differences(other, run))
    assert all(name in found for name in ("final.png", "curve.csv", "raw.npz"))


def test_leftovers_are_found(run):
    (run / ".lock").touch()
    (run / "snapshots").mkdir()
    with atomic_write(run / "snapshots/a.png"):
        assert len(checks.left_over(run)) == 2


def test_lost_rows_are_found(tmp_path):
    """Epochs are 0.1 s apart: three made again are within an interval of 0.25 s, nine are not."""
    sweep = write_sweep(tmp_path / "results/sweeps/s", "content_weight=1,2")
    target = kills.Target("made up", (), "results/sweeps/*", 1, runs="*", interval=0.25)
    life = kills.Life(target, tmp_path, sweep, 1.0)
    before = {run.name: checks.rows(run / "curve.csv") for run in life.runs()}
    assert life.not_kept(1, before) == []
    for kept, lost in ((10, 0), (4, 1)):
        header = (sweep / "0/curve.csv").read_text().splitlines()[0]
        cells = [row.split(",") for row in before["0"]]
        changed = [[*c[:2], c[2] + "5", *c[3:]] for c in cells[kept:]]
        text = [header, *before["0"][:kept], *(",".join(row) for row in changed)]
        (sweep / "0/curve.csv").write_text("\n".join(text) + "\n")
        assert len(life.not_kept(1, before)) == lost


@pytest.mark.parametrize(
    ("mb", "files", "wrong"),
    [
        (lambda n: 400 + n % 3, lambda n: 7, 0),
        (lambda n: 400 + n / 5, lambda n: 7, 1),
        (lambda n: 400 + (50 if n == 110 else 0), lambda n: 7, 1),
        (lambda n: 400, lambda n: 7 + n // 50, 1),
    ],
)
def test_growth_is_found(mb, files, wrong):
    import pandas as pd

    samples = pd.DataFrame([(n, 1, mb(n), files(n)) for n in range(200)])
    samples.columns = ["runs", "pid", "mb", "files"]
    row = Row("made up")
    judge(samples, 200, row)
    assert row.wrong == wrong
