"""What Hydra notes of a run is that of the process that made it."""

from nstrep.analysis import run_reader
from nstrep.base.errors import BusyError, InputError
from nstrep.experiment import run_directory
from tests.conftest import SMALL


def test_a_refused_command_leaves_the_notes_of_the_run_that_is_there(run_command, tmp_path):
    assert run_command(*SMALL, "hydra.run.dir=a", "content_weight=5").returncode == 0
    refused = run_command(*SMALL, "hydra.run.dir=a", "content_weight=7")
    assert refused.returncode == InputError.exit_code
    assert "content_weight=5" in run_reader.load_run(tmp_path / "a").overrides
    again = run_command("hydra.run.dir=a", "resume=true")
    assert again.returncode == 0, again.stderr
    assert "content_weight=5" in run_reader.load_run(tmp_path / "a").overrides
    assert not list(tmp_path.rglob(".lock"))


def test_of_two_that_start_at_once_one_is_refused_before_it_writes(run_command, tmp_path):
    with run_directory.locked(tmp_path / "a/.hydra"):
        refused = run_command(*SMALL, "hydra.run.dir=a")
    assert refused.returncode == BusyError.exit_code
    assert refused.stderr == "nstrep: error: a: another process is at work there\n"
    assert list((tmp_path / "a").rglob("*")) == [tmp_path / "a/.hydra"]
