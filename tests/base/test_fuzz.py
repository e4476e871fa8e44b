"""A short form of the fuzz of bad and hostile input; the long one: python -m tests.faults.fuzz."""

import csv

import pytest

from tests.faults import fuzz
from tests.faults.fuzz_kinds import CONTROLS


def test_bad_input_of_every_kind_ends_with_a_result_or_one_plain_line(tmp_path):
    jobs = [job for job in fuzz.plan(150, seed=0) if job.kind != "command lines"]
    outcomes = fuzz.fuzz(jobs, workers=2, keep=tmp_path)
    wrong = [f"{one.job}: {one.said}" for one in outcomes if one.end == "wrong"]
    assert not wrong, "\n\n".join(wrong)
    assert len(outcomes) == len(jobs) >= 140
    found = fuzz.tallies(outcomes)
    assert len(found) == 13
    # Some of the damage must be met and some survived, or nothing was tried.
    assert sum(tally.errors for tally in found) > 50
    assert sum(tally.results for tally in found) > 20
    fuzz.write_csv(tmp_path / "table.csv", found)
    with (tmp_path / "table.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["fault", "times", "lost", "wrong", "notes"]
    assert sum(int(row["times"]) for row in rows) == len(jobs)


@pytest.mark.slow
def test_what_goes_wrong_is_noticed_and_the_rest_goes_on(tmp_path):
    jobs = [fuzz.fuzz_pool.Job(f"control: {what}", 0, 0) for what in CONTROLS]
    good = fuzz.fuzz_pool.Job("texts of PNGs", 0, 0)
    outcomes = fuzz.fuzz([*jobs, good], workers=1, keep=tmp_path)
    said = {one.job.kind.removeprefix("control: "): one.said for one in outcomes}
    assert [one.end for one in outcomes[:-1]] == ["wrong"] * len(CONTROLS)
    assert outcomes[-1].end in ("result", "error")
    assert "the process died" in said["crash"]  # MXNet turns the signal into an exit code
    assert "hangs" in said["loop"]
    assert "took" in said["memory"]
    assert "obeyed" in said["obeyed"]
    assert "KeyError" in said["exception"]
    assert len(list(tmp_path.glob("*.tar.gz"))) == len(CONTROLS)
