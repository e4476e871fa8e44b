"""Nothing that exists and is not the command's own is replaced."""

import pytest

from nstrep import plot
from nstrep.analysis import run_reader, summary
from nstrep.base.errors import InputError
from nstrep.experiment import run, run_directory
from nstrep.report import page
from tests.conftest import SMALL
from tests.runs import write_run, write_sweep

HYDRA = ".hydra/hydra.yaml"


def write(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


@pytest.mark.parametrize(
    "files",
    [
        {"final.png": "mine"},
        {"config.yaml": "mine: 1"},
        {"run.log": "mine", HYDRA: "of another program"},
        {"sub/a.txt": "mine"},
        {"config.yaml": "batch_size: 4", "checkpoint.npz": "a training"},
    ],
)
def test_a_folder_with_other_files_is_refused(tmp_path, small, files):
    write(tmp_path, files)
    for command in (run.run, run.run_once):
        with pytest.raises(InputError, match="holds other files than results of this command"):
            command(small, tmp_path)
    kept = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    assert kept == files.keys()
    assert all((tmp_path / name).read_text() == text for name, text in files.items())


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"config.yaml": "max_num_epochs: 3", "notes.txt": "mine"},
        {"failed.json": '{"exit_code": 2}'},
        {"run.log": "", HYDRA: "nstrep.run", ".0.tmp.png": ""},
    ],
)
def test_own_folders_are_taken(tmp_path, files):
    write(tmp_path, files)
    run_directory.refuse_foreign(tmp_path)
    run_directory.refuse_foreign(tmp_path / "new")


def test_a_failure_is_not_kept_among_the_files_of_others(tmp_path):
    (tmp_path / "photo.jpg").write_text("mine")
    run_directory.keep_failure(tmp_path, InputError("x"))
    assert [path.name for path in tmp_path.iterdir()] == ["photo.jpg"]


def test_a_refused_run_leaves_no_log_of_others_removed(tmp_path):
    (tmp_path / "mine.log").write_text("mine")
    run_directory.remove_unstarted(tmp_path)
    assert (tmp_path / "mine.log").exists()


def test_the_folder_of_a_sweep(tmp_path):
    sweep = write_sweep(tmp_path / "sweep", "content_weight=10,20")
    run_directory.refuse_foreign(sweep, run_directory.SWEEP)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "photo.jpg").write_text("mine")
    with pytest.raises(InputError, match=r"hydra\.sweep\.dir=.*photo\.jpg"):
        run_directory.refuse_foreign(tmp_path / "mine", run_directory.SWEEP, "hydra.sweep.dir")


def test_files_of_others_are_kept(tmp_path):
    write_run(tmp_path / "sweep" / "a")
    sweep = run_reader.load_sweep(tmp_path / "sweep")
    for written, again in (
        (sweep.path / "summary.csv", lambda: summary.write(sweep)),
        (sweep.path / "summary.parquet", lambda: summary.write(sweep)),
        (sweep.path / "report.html", lambda: page.write(sweep)),
        (
            sweep.path / "plots" / "grid.png",
            lambda: plot.draw(sweep, ["grid"], sweep.path / "plots"),
        ),
    ):
        again()
        again()  # over the command's own
        written.write_text("mine")
        written.with_suffix(".svg").unlink(missing_ok=True)
        with pytest.raises(InputError, match="kept"):
            again()
        assert written.read_text() == "mine"
        written.unlink()


def test_bad_input_leaves_no_folders(run_command, tmp_path):
    assert run_command(*SMALL[3:], "content_image=missing.jpg").returncode == 2
    assert not list(tmp_path.iterdir())


def test_a_photo_in_the_way_stays(run_command, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "final.png").write_bytes(b"mine")
    done = run_command(*SMALL, "hydra.run.dir=mine")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["final.png"]


def test_a_refused_run_removes_nothing_of_the_user(run_command, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/run.log").write_text("mine")
    for folder in ("empty", "logs", "new/folder"):
        done = run_command(*SMALL, "content_weight=-1", f"hydra.run.dir={tmp_path}/{folder}")
        assert done.returncode == 2, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "logs"]
    assert [*(tmp_path / "empty").iterdir()] == []
    assert (tmp_path / "logs/run.log").read_text() == "mine"
