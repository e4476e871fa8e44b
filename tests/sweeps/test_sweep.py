"""Sweeps: folders by content, the same command continues, a failure does not stop the others."""

import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf
from PIL import Image

from nstrep.base import environment, process_memory
from nstrep.base.errors import InputError, ResultsError
from nstrep.config.checks import check
from nstrep.experiment import results
from nstrep.sweeps import callback as sweep
from nstrep.sweeps import directory_names, progress
from tests.conftest import SMALL

ROOT = Path(__file__).parents[2]

TINY = (*SMALL, "max_num_epochs=2")

GRID = ("content_weight=10,20,30", "stop_eps=0.006,0.005,0.004", "style=swirls,facets")
JOBLIB = "hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher"
CONSTANT = ("max_long_edge=48", "max_num_epochs=3", "model=vgg19_slim")


def made(folder: Path) -> dict[str, int]:
    """When each run of the only sweep under a folder was made, by its name."""
    (sweep,) = (folder / "results/sweeps").iterdir()
    return {path.parent.name: path.stat().st_mtime_ns for path in sweep.glob("*/metrics.json")}


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        (["content_weight=10,20", "lr=1e-3"], "content_weight=10,20+lr=1e-3"),
        ([], "sweep"),
        (["content_image=/home/me/cat.jpg"], "content_image=cat.jpg-"),
        (["style_layers=[relu1_1],[relu1_1,relu2_1]"], "style_layers=relu1_1,relu1_1,relu2_1-"),
        (["content_image='Größe 1.jpg'"], "content_image=Gr-e-1.jpg-"),
        (["content_image=../../etc/passwd"], "content_image=passwd-"),
        (["content_image=/"], "content_image=-"),
        (["x=" + "y" * 300], "x=yyyyyyyy"),
    ],
)
def test_names_can_be_read_and_typed(overrides, name):
    found = directory_names.folder_name(overrides, "sweep")
    assert found.startswith(name)
    assert len(found) <= directory_names.LONGEST
    assert not set(found) & set("/'\"[] $\\")
    assert not found.startswith((".", "-"))


def test_what_loses_letters_keeps_its_own_name():
    names = [f"content_image={path}" for path in ("a/cat.jpg", "b/cat.jpg", "cat.jpg")]
    names += ["style_layers=[a,b]", "style_layers=[a],b", "x=" + "y" * 300, "x=" + "y" * 301]
    assert len({directory_names.folder_name([name], "sweep") for name in names}) == len(names)


def test_a_run_is_named_by_what_varies():
    given = ["content_weight=10", "max_long_edge=48", "style=swirls"]
    assert directory_names.run_name(given) == "content_weight=10,max_long_edge=48,style=swirls"
    assert directory_names.run_name(given, ["max_long_edge"]) == "content_weight=10,style=swirls"
    assert directory_names.run_name(given[1:2], ["max_long_edge"]) == "max_long_edge=48"
    assert directory_names.run_name([]) == "run"


@pytest.mark.parametrize(
    ("n_jobs", "typed", "runs", "processes", "threads"),
    [
        (-1, ["content_weight=10,20"], 9, 4, 1),
        (-1, ["content_weight=10,20"], 2, 2, 2),
        (-1, ["gpu=-1"], 9, 4, 1),
        (-1, ["gpu=0"], 9, 1, 4),
        (-1, [], 1, 1, 4),
        (3, ["gpu=0"], 9, 3, 1),
        (8, [], 2, 8, 1),
    ],
)
def test_runs_share_the_machine(monkeypatch, n_jobs, typed, runs, processes, threads):
    monkeypatch.setattr(environment, "physical_cores", lambda: 4)
    for name in (environment.THREAD_VARIABLE, environment.CHOSEN):
        monkeypatch.setenv(name, "4")
    monkeypatch.setenv(process_memory.PROCESSES_VARIABLE, "1")
    launcher = OmegaConf.create({"_target_": JOBLIB, "n_jobs": n_jobs})
    overrides = OverridesParser.create().parse_overrides(typed)
    sweep.share_machine(launcher, overrides, runs)
    assert launcher.n_jobs == processes
    assert os.environ[environment.THREAD_VARIABLE] == str(threads)
    assert process_memory.memory_share() == 1 / processes


@pytest.mark.parametrize(
    ("sweeper", "together"),
    [({}, 9), ({"max_batch_size": None}, 9), ({"max_batch_size": 4}, 4), ({"n_jobs": 2}, 2)],
)
def test_a_sweeper_may_hand_over_fewer(sweeper, together):
    assert sweep.at_once(OmegaConf.create(sweeper), 9) == together


def test_threads_that_the_user_has_chosen_stay(monkeypatch):
    monkeypatch.setenv(environment.THREAD_VARIABLE, "3")
    monkeypatch.delenv(environment.CHOSEN, raising=False)
    monkeypatch.setenv(process_memory.PROCESSES_VARIABLE, "1")
    launcher = OmegaConf.create({"_target_": JOBLIB, "n_jobs": -1})
    sweep.share_machine(launcher, [], 100)
    assert os.environ[environment.THREAD_VARIABLE] == "3"


def test_the_closing_line():
    done = {"status": "finished", "run": "a=1"}
    failed = {"status": "failed", "run": "a=2", "reason": "a=2: must be below 2"}
    assert progress.closing([done, done], 2) == "2 of 2 runs finished"
    assert (
        progress.closing([done, {**done, "status": "skipped"}, failed], 5)
        == "2 of 5 runs finished (1 before), 2 did not end, 1 failed: a=2: a=2: must be below 2"
    )
    assert len(progress.closing([failed] * 30, 30).splitlines()) == 1 + progress.SHOWN_FAILURES + 1
    assert progress.closing([done, {**done, "status": "busy"}], 2) == (
        "1 of 2 runs finished, 1 in another process"
    )


def test_times_can_be_read():
    times = [progress.duration(seconds) for seconds in (0.4, 99, 120, 5000, 7500)]
    assert times == ["0 s", "99 s", "2 min", "83 min", "2 h 5 min"]


def test_the_objective_is_checked_and_found(composed):
    with pytest.raises(InputError, match=r"objective=loses\.total: .*mean losses\.total\?"):
        check(composed("objective=loses.total"))
    with pytest.raises(InputError, match="objective="):
        check(composed("objective=losses.style_loss.relu4_4"))
    check(composed("objective=losses.style_loss.relu1_1"))
    metrics = {"ssim": 0.5, "psnr": None, "losses": {"style_loss.relu1_1": 2.0}}
    assert results.measure(metrics, "losses.style_loss.relu1_1") == 2.0
    assert results.measure(metrics, "ssim") == 0.5
    assert math.isnan(results.measure(metrics, "psnr"))


def test_a_sweep_with_failures_ends_and_continues(run_command, tmp_path):
    photo = tmp_path / "one.png"
    Image.effect_mandelbrot((60, 40), (-2, -1, 1, 1), 50).convert("RGB").save(photo)
    command = ("--multirun", *TINY, "content_image=one.png,two.png", "content_weight=10,20")
    first = run_command(*command)
    assert first.returncode == 1
    assert "Traceback" not in first.stderr
    assert "2 of 4 runs finished, 2 failed\n" in first.stderr
    said = r"[1-4] of 4, failed: content_image=two.png,content_weight=10: content_image="
    assert re.search(said, first.stderr)
    done = made(tmp_path)
    assert sorted(done) == [f"content_image=one.png,content_weight={n}" for n in (10, 20)]
    (sweep,) = (tmp_path / "results/sweeps").iterdir()
    assert sweep.name.startswith("content_image=one.png,two.png+content_weight=10,20+max_long_edge")
    failed = sweep / "content_image=two.png,content_weight=10"
    assert "two.png" in json.loads((failed / "failed.json").read_text())["reason"]
    assert "Traceback" in (failed / "run.log").read_text()
    assert sorted(pd.read_csv(sweep / "summary.csv")["status"]) == ["failed"] * 2 + ["finished"] * 2
    assert not (sweep / ".progress").exists()

    photo.rename(tmp_path / "three.png").rename(tmp_path / "two.png")
    Image.effect_mandelbrot((60, 40), (-2, -1, 1, 1), 50).convert("RGB").save(photo)
    again = run_command(*command)
    assert again.returncode == 0, again.stderr
    assert "4 of 4 runs finished (2 before)" in again.stderr
    now = made(tmp_path)
    assert len(now) == 4
    assert {name: now[name] for name in done} == done
    assert (pd.read_parquet(sweep / "summary.parquet")["status"] == "finished").all()
    assert not list(sweep.glob("*/failed.json"))


def test_a_warning_of_all_runs_is_said_once(run_command, tmp_path):
    said = run_command("--multirun", *TINY, "style=vangogh", "content_weight=10,20").stderr
    assert "2 of 2 runs finished" in said
    assert said.count("stands in for it") == 1


def test_bad_input_in_the_command_leaves_nothing(run_command, tmp_path):
    for wrong in ("contentweight=1,2", "style=swirls,nope"):
        done = run_command("--multirun", *TINY, wrong)
        assert done.returncode == 2
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert not list(tmp_path.rglob("*.yaml"))


def test_two_processes_share_a_sweep_and_one_is_killed(tmp_path):
    command = [
        sys.executable, "-m", "nstrep.run", "--multirun", *TINY, "content_weight=10,20,30,40,50",
        "max_num_epochs=30",
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}

    def start():
        return subprocess.Popen(
            command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
        )

    first, second = start(), start()
    deadline = time.monotonic() + 300
    while not list(tmp_path.glob("results/sweeps/*/*/metrics.json")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    before = made(tmp_path)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    said = second.communicate()[1]
    assert second.returncode == 0, said
    last = start()
    closing = last.communicate()[1]
    assert last.returncode == 0, closing
    assert "5 of 5 runs finished (" in closing
    now = made(tmp_path)
    assert len(now) == 5
    assert {name: now[name] for name in before} == before
    (sweep,) = (tmp_path / "results/sweeps").iterdir()
    assert (pd.read_csv(sweep / "summary.csv")["status"] == "finished").all()
    assert not list(sweep.glob("*/.lock"))
    assert not (sweep / ".progress").exists()


@pytest.mark.slow
def test_the_same_rows_under_every_launcher(run_command, tmp_path):
    tables = {}
    for launcher in ("basic", "joblib", "submitit_local", "ray"):
        folder = tmp_path / launcher
        folder.mkdir()
        done = run_command(
            "--multirun", f"hydra/launcher={launcher}", *CONSTANT, *GRID,
            folder=folder, OMP_NUM_THREADS="1",
        )  # fmt: skip
        if "is not installed: run  pip install" in done.stderr:
            continue
        assert done.returncode == 0, done.stderr
        assert "18 of 18 runs finished" in done.stderr
        (table,) = folder.glob("results/sweeps/*/summary.parquet")
        tables[launcher] = pd.read_parquet(table)
    assert {"basic", "joblib"} <= set(tables)
    losses = [name for name in tables["basic"] if name == "total" or "_loss" in name]
    assert len(losses) >= 10
    for table in tables.values():
        assert len(table) == 18
        pd.testing.assert_frame_equal(table[losses], tables["basic"][losses], check_exact=True)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_sweep_keeps_every_epoch(tmp_path, number, code):
    command = [sys.executable, "-m", "nstrep.run", "--multirun", "hydra.launcher.n_jobs=2"]
    command += [*TINY, "content_weight=10,20", "max_num_epochs=9999", "checkpoint_seconds=3600"]
    with subprocess.Popen(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    ) as process:  # fmt: skip
        deadline = time.monotonic() + 120
        curves = tmp_path.rglob
        while sum(len(c.read_text().splitlines()) > 3 for c in curves("curve.csv")) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        # Ctrl-C reaches all processes of a terminal, docker stop only the first.
        (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
        said = process.communicate()[1]
    assert process.returncode == code, said
    assert "interrupted; the same command continues:  " in said.splitlines()[-1]
    assert len(list(tmp_path.glob("results/sweeps/*/*/checkpoint.npz"))) == 2
    assert not list(tmp_path.glob("results/sweeps/*/.progress"))


@pytest.mark.slow
def test_a_killed_worker_is_said_and_the_same_command_continues(tmp_path):
    import psutil

    command = [sys.executable, "-m", "nstrep.run", "--multirun", "hydra/launcher=joblib"]
    command += ["hydra.launcher.n_jobs=2", *CONSTANT, *GRID]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        deadline = time.monotonic() + 120
        while not list(tmp_path.glob("results/sweeps/*/*/metrics.json")):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        workers = psutil.Process(process.pid).children(recursive=True)
        next(w for w in workers if any("libmxnet" in m.path for m in w.memory_maps())).kill()
        said = process.communicate()[1]
    assert process.returncode == 6
    assert "did not end" in said
    assert "a worker process was killed" in said
    before = made(tmp_path)
    assert 0 < len(before) < 18
    again = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    now = made(tmp_path)
    assert len(now) == 18
    assert {name: now[name] for name in before} == before


@pytest.mark.slow
def test_a_search_minimises_what_the_configuration_names(run_command, tmp_path):
    pytest.importorskip("optuna")
    command = (
        "--multirun", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=6", *TINY,
        "content_weight=interval(1,40)", "objective=losses.style_loss",
    )  # fmt: skip
    done = run_command(*command)
    assert done.returncode == 0, done.stderr
    (sweep,) = (tmp_path / "results/sweeps").iterdir()
    import yaml

    best = yaml.safe_load((sweep / "optimization_results.yaml").read_text())["best_value"]
    table = pd.read_csv(sweep / "summary.csv")
    assert len(table) == 6
    assert best == pytest.approx(table["style_loss"].min(), rel=1e-6)
    again = run_command(*command)
    assert "6 of 6 runs finished (6 before)" in again.stderr


def test_notes_that_another_process_sweeps_out_are_made_again(tmp_path, monkeypatch):
    from nstrep.experiment import run_directory
    from nstrep.sweeps import progress

    locked, calls = run_directory.locked, []

    def swept(directory):
        calls.append(directory)
        if len(calls) < 3:
            raise ResultsError(f"{directory}: cannot be written (No such file or directory)")
        return locked(directory)

    monkeypatch.setattr(run_directory, "locked", swept)
    watch = progress.Progress(tmp_path / "sweep", 1)
    assert watch.reports.is_dir()
    assert watch.close(None) == 0


def test_notes_that_cannot_be_made_are_an_error(tmp_path):
    from nstrep.sweeps import progress

    (tmp_path / "sweep").write_text("a file")
    with pytest.raises(ResultsError):
        progress.Progress(tmp_path / "sweep", 1)


def test_a_sweep_whose_folder_is_removed_does_not_end_well(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "nstrep.run", "--multirun", *TINY, "content_weight=10,20",
         "max_num_epochs=200", "stop_eps=0"],
        cwd=tmp_path, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    deadline = time.monotonic() + 300
    while not list(tmp_path.glob("results/sweeps/*/*/curve.csv")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    (tmp_path / "results").rename(tmp_path / "elsewhere")
    said = process.communicate()[1]
    assert process.returncode == ResultsError.exit_code, said
    assert said.count("nstrep: error: ") == 1
    assert "cannot be written (No such file or directory)" in said
