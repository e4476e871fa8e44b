"""A short form of the fuzz of bad and hostile input; the long one: python -m tests.faults.fuzz."""

import csv

from tests.faults import fuzz
from tests.faults.fuzz_kinds import KINDS


def test_bad_input_of_every_kind_ends_with_a_result_or_one_plain_line(tmp_path):
    jobs = [job for job in fuzz.plan(150, seed=0) if job.kind != "command lines"]
    outcomes = fuzz.fuzz(jobs, workers=2, keep=tmp_path)
    wrong = [f"{one.job}: {one.said}" for one in outcomes if one.end == "wrong"]
    assert not wrong, "\n\n".join(wrong)
    assert len(outcomes) == len(jobs) >= 140
    found = fuzz.tallies(outcomes)
    assert {tally.kind for tally in found} == set(KINDS) - {"command lines"}
    # Some of the damage must be met and some survived, or nothing was tried.
    assert sum(tally.errors for tally in found) > 50
    assert sum(tally.results for tally in found) > 20
    fuzz.write_csv(tmp_path / "table.csv", found)
    rows = list(csv.DictReader((tmp_path / "table.csv").open()))
    assert list(rows[0]) == ["fault", "times", "lost", "wrong", "notes"]
    assert sum(int(row["times"]) for row in rows) == len(jobs)
