"""What happens to a run directory that somebody was in before."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from nstrep.base.errors import BusyError, DivergedError, InputError, ResultsError
from nstrep.experiment import results, run, run_directory
from nstrep.experiment.identity import identity_of
from nstrep.images import io
from tests.conftest import SMALL

ROOT = Path(__file__).parents[2]


def photo(path: Path, shade: int = 90) -> Path:
    Image.effect_mandelbrot((60, 40), (-2, -1, 1, 1), shade).convert("RGB").save(path)
    return path


def test_a_finished_run_is_not_made_again(small, tmp_path, caplog):
    caplog.set_level("INFO")
    first = run.run_once(small, tmp_path / "a")
    before = (tmp_path / "a/metrics.json").stat().st_mtime_ns
    assert run.run_once(small, tmp_path / "a") == first
    assert (tmp_path / "a/metrics.json").stat().st_mtime_ns == before
    assert "a: done before" in caplog.text
    assert first["identity"] == json.loads((tmp_path / "a/metrics.json").read_text())["identity"]
    assert not (tmp_path / "a/.lock").exists()


def test_the_identity_is_that_of_what_decides(config, tmp_path):
    def identity(*overrides):
        settings = config(*SMALL, *overrides)
        return identity_of(settings, run.load_inputs(settings).provenance)

    same = identity()
    assert len(same) == 64
    assert identity("assets.download=always") == same
    assert identity("content_weight=11") != same
    assert identity("content=coffee") != same
    assert identity("weights.path=random") != same
    assert identity("weights.path=random") == identity("weights.path=random")
    one, two = photo(tmp_path / "one.png"), photo(tmp_path / "two.png")
    assert identity(f"content_image={one}") == identity(f"content_image={two}")
    assert identity(f"init={one}") == identity(f"init={two}")
    photo(two, shade=30)
    assert identity(f"content_image={one}") != identity(f"content_image={two}")
    assert identity(f"init={one}") != identity(f"init={two}")


def test_another_picture_under_the_same_name_is_run_again(config, tmp_path, caplog):
    settings = config(*SMALL, f"content_image={photo(tmp_path / 'photo.png')}")
    first = run.run_once(settings, tmp_path / "a")
    (tmp_path / "a/snapshots").mkdir()
    photo(tmp_path / "photo.png", shade=30)
    second = run.run_once(settings, tmp_path / "a")
    assert "a: was made with other settings, pictures or weights, run again" in caplog.text
    assert second["content"]["sha256"] != first["content"]["sha256"]
    assert not (tmp_path / "a/snapshots").exists()


def test_other_versions_are_a_warning(small, tmp_path, caplog):
    run.run_once(small, tmp_path / "a")
    path = tmp_path / "a/metrics.json"
    stored = json.loads(path.read_text())
    stored["versions"]["nstrep"] = "0.0.1"
    path.write_text(json.dumps(stored))
    assert run.run_once(small, tmp_path / "a") == stored
    assert "a: made with other versions: nstrep 0.0.1 then, " in caplog.text


def test_a_failed_run_says_why_and_is_tried_again(config, tmp_path, caplog):
    caplog.set_level("INFO")
    settings = config(*SMALL, f"content_image={tmp_path / 'photo.png'}")
    with pytest.raises(InputError, match=r"photo\.png"):
        run.run_once(settings, tmp_path / "a")
    failure = json.loads((tmp_path / "a/failed.json").read_text())
    assert failure["status"] == "failed"
    assert failure["error"] == "InputError"
    assert failure["exit_code"] == 2
    assert "photo.png" in failure["reason"]
    assert "\n" not in failure["reason"]
    photo(tmp_path / "photo.png")
    assert run.run_once(settings, tmp_path / "a")["status"] == "finished"
    assert not (tmp_path / "a/failed.json").exists()
    assert "a: failed before, tried again" in caplog.text


def test_an_error_while_running_leaves_its_reason(small, tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(results.plots, "save", lambda *a, **k: full())
        with pytest.raises(ResultsError):
            run.run_once(small, tmp_path / "a")
    failure = json.loads((tmp_path / "a/failed.json").read_text())
    assert failure["error"] == "ResultsError"
    assert "No space left on device" in failure["reason"]
    assert run.run_once(small, tmp_path / "a")["status"] == "finished"


def test_a_diverged_run_stays_so(config, tmp_path):
    settings = config(*SMALL, "optimizer=sgd", "lr=1e30")
    with pytest.raises(DivergedError):
        run.run_once(settings, tmp_path / "a")
    before = (tmp_path / "a/metrics.json").stat().st_mtime_ns
    with pytest.raises(DivergedError, match="so it did before, not tried again"):
        run.run_once(settings, tmp_path / "a")
    assert (tmp_path / "a/metrics.json").stat().st_mtime_ns == before
    assert not (tmp_path / "a/failed.json").exists()


def test_an_interrupted_run_is_made_again(small, tmp_path):
    run.run_once(small, tmp_path / "a")
    path = tmp_path / "a/metrics.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "status": "interrupted"}))
    assert run.run_once(small, tmp_path / "a")["status"] == "finished"


def test_two_at_once_in_one_directory_are_refused(small, tmp_path):
    with run_directory.locked(tmp_path / "a"):
        for start in (run.run, run.run_once):
            with pytest.raises(BusyError, match="another process is at work there"):
                start(small, tmp_path / "a")
    assert not (tmp_path / "a/failed.json").exists()
    run.run(small, tmp_path / "a")


def test_a_killed_run_leaves_no_lock_and_is_made_again(small, tmp_path, caplog):
    caplog.set_level("INFO")
    long = dataclasses.replace(small, max_num_epochs=100000)
    code = (
        "import pickle, sys; from pathlib import Path; import nstrep;"
        "from nstrep.experiment import run;"
        "run.run_once(pickle.load(sys.stdin.buffer), Path(sys.argv[1]))"
    )
    folder = tmp_path / "a"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(folder)],
        stdin=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:
        import pickle

        process.stdin.write(pickle.dumps(long))
        process.stdin.close()
        deadline = time.monotonic() + 60
        while not (folder / "curve.csv").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        with pytest.raises(BusyError):
            run.run_once(small, folder)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    metrics = run.run_once(small, folder)
    assert "a: did not end before" in caplog.text
    assert metrics["epochs"] == 3
    assert io.load_picture(folder / "final.png").width == 48
    assert not list(folder.glob(".*"))


def test_nothing_is_computed_twice_in_a_process(config, tmp_path, monkeypatch):
    from nstrep.experiment import image_inputs, network_input
    from nstrep.losses.tiling import TileGraph
    from nstrep.networks.features import Network

    network_input._network.cache_clear()  # what other tests left
    image_inputs.load_file.cache.clear()
    one, two = photo(tmp_path / "one.png"), photo(tmp_path / "two.png", shade=30)
    forward, read = [], []
    bind, sums, load = Network.bind, TileGraph.sums, io.load_picture

    def counted(network, symbol, arguments, *gradients):
        if not gradients:  # a forward pass alone
            forward.append(1)
        return bind(network, symbol, arguments, *gradients)

    monkeypatch.setattr(Network, "bind", counted)
    monkeypatch.setattr(TileGraph, "sums", lambda *a: forward.append(1) or sums(*a))
    monkeypatch.setattr(io, "load_picture", lambda *a, **k: read.append(a) or load(*a, **k))
    files = (f"content_image={one}", f"style_image={two}")
    first = run.run(config(*SMALL, *files, "content_weight=7"), tmp_path / "a")
    assert (len(forward), len(read)) == (2, 2)
    second = run.run(config(*SMALL, *files, "content_weight=8"), tmp_path / "b")
    assert (len(forward), len(read)) == (2, 2)
    assert second["losses_at_start"]["style_loss"] == first["losses_at_start"]["style_loss"]
    for weight in (7, 8):
        run.run(config(*SMALL, "style=swirls", f"content_weight={weight}"), tmp_path / f"{weight}")
    assert (len(forward), len(read)) == (4, 4)  # of two built-in pictures
    photo(two, shade=60)  # the same file with other pixels
    third = run.run(config(*SMALL, *files, "content_weight=8"), tmp_path / "c")
    assert (len(forward), len(read)) == (5, 5)
    assert third["losses_at_start"]["style_loss"] != first["losses_at_start"]["style_loss"]
