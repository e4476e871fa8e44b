"""Odd inputs give pictures or plain lines: no traceback, nothing unexpected, no abort."""

import logging
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra

from nstrep import __main__ as command
from nstrep import cli
from tests.faces import odd_inputs

NEVER = "Traceback|unexpected|terminate called|Segmentation|Aborted"


def check(line: str, code: int, output: str, expected: tuple[int | None, str]) -> None:
    right, said = expected
    assert code == right or (right is None and 0 <= code < 128), (line, output)
    assert re.search(said, output), (line, output)
    assert not re.search(NEVER, output), (line, output)


@pytest.fixture
def as_before(monkeypatch):
    """Undo what commands change in the process: Hydra's state and the handlers of the log."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    monkeypatch.setattr(sys, "argv", sys.argv)
    yield
    GlobalHydra.instance().clear()
    root.handlers[:], root.level = handlers, level


@pytest.mark.parametrize(("line", "code", "said"), odd_inputs.REFUSED)
def test_refused(line, code, said, tmp_path, monkeypatch, capsys, as_before):
    odd_inputs.write_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    sys.argv = shlex.split(line)
    GlobalHydra.instance().clear()
    with pytest.raises(SystemExit) as end:
        command.main()
    captured = capsys.readouterr()
    check(line, end.value.code or 0, captured.out + captured.err, (code, said))
    assert captured.err.count("nstrep: error:") <= 1, line


@pytest.mark.slow
@pytest.mark.parametrize(("line", "code", "said"), odd_inputs.PROCESSES)
def test_processes(line, code, said, tmp_path):
    odd_inputs.write_files(tmp_path)
    shell = 'nstrep() { "$PYTHON" -m nstrep "$@"; }\n'
    variables = {
        "PYTHON": sys.executable,
        "PYTHONPATH": str(Path(cli.__file__).parents[1]),
        "S": odd_inputs.SMALL,
    }
    done = subprocess.run(
        ["bash", "-c", shell + line],
        cwd=tmp_path,
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=60,
    )
    check(line, done.returncode, done.stdout.decode(errors="replace"), (code, said))
