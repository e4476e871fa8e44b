"""A short form of the fuzz of bad and hostile input; the long one: python -m tests.faults.fuzz."""

import pytest

from tests.faults import fuzz
from tests.faults.fuzz_kinds import CONTROLS


def test_bad_input_of_every_kind_ends_with_a_result_or_one_plain_line(tmp_path):
    jobs = [job for job in fuzz.plan(150, seed=0) if job.kind != "command lines"]
    outcomes = fuzz.fuzz(jobs, workers=2, keep=tmp_path)
    wrong = [f"{one.job}: {one.message}" for one in outcomes if one.end == "wrong"]
    assert not wrong, "\n\n".join(wrong)
    assert len(outcomes) == len(jobs) >= 140
    # Some of the damage must be met and some survived, or nothing was tried.
    assert sum(one.end == "error" for one in outcomes) > 50
    assert sum(one.end == "result" for one in outcomes) > 20
    rows = fuzz.rows(outcomes)
    assert len(rows) == 13
    assert sum(row.times for row in rows) == len(jobs)


@pytest.mark.slow
def test_what_goes_wrong_is_noticed_and_the_rest_goes_on(tmp_path):
    jobs = [fuzz.fuzz_pool.Job(f"control: {what}", 0, 0) for what in CONTROLS]
    good = fuzz.fuzz_pool.Job("texts of PNGs", 0, 0)
    outcomes = fuzz.fuzz([*jobs, good], workers=1, keep=tmp_path)
    messages = {one.job.kind.removeprefix("control: "): one.message for one in outcomes}
    assert [one.end for one in outcomes[:-1]] == ["wrong"] * len(CONTROLS)
    assert outcomes[-1].end in ("result", "error")
    assert "the process died" in messages["crash"]  # MXNet turns the signal into an exit code
    assert "hangs" in messages["loop"]
    assert "took" in messages["memory"]
    assert "obeyed" in messages["obeyed"]
    assert "KeyError" in messages["exception"]
    assert len(list(tmp_path.glob("*.tar.gz"))) == len(CONTROLS)
