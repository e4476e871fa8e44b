"""What the commands share."""

import contextlib
import logging

import pytest

from nstrep.base.command_line import LogFile


def test_a_full_disk_does_not_end_in_the_logs_traceback(tmp_path, capsys):
    record = logging.LogRecord("nstrep", logging.INFO, __file__, 1, "a line", (), None)
    for path in ("/dev/full", tmp_path / "missing/run.log"):
        handler = LogFile(path, delay=True)
        handler.emit(record)
        with contextlib.suppress(OSError):  # as logging.shutdown does
            handler.close()
    assert capsys.readouterr() == ("", "")
    handler = LogFile(tmp_path / "run.log", delay=True)
    handler.emit(record)
    handler.close()
    assert (tmp_path / "run.log").read_text() == "a line\n"


def test_cores_are_counted_as_joblib_does(monkeypatch, tmp_path):
    from joblib import cpu_count

    from nstrep.base import environment

    assert environment.physical_cores() == cpu_count(only_physical_cores=True)
    monkeypatch.setattr(environment.os, "cpu_count", lambda: 64)  # the affinity allows fewer
    assert environment.physical_cores() == len(environment.os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "max 100000\n"}, 8),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8),
        ({}, 8),
    ],
)
def test_limits_of_containers(monkeypatch, tmp_path, files, cores):
    from nstrep.base import environment

    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(environment, "CONTROL_GROUPS", str(tmp_path))
    assert environment._quota(8) == cores


def test_versions_are_looked_up_once_and_belong_to_the_caller(monkeypatch):
    from nstrep.base import environment

    then = environment.versions()
    monkeypatch.setattr("importlib.metadata.version", None)
    assert environment.versions() == then
    environment.versions().clear()
    assert environment.versions() == then
