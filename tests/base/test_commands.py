"""What the commands share."""

import contextlib
import logging

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
