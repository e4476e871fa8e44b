import contextlib
import fcntl
import json
import logging
import os
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf
from PIL import Image

from nstrep import cli
from nstrep.base.command_line import LogFile
from tests.conftest import SMALL

ROOT = Path(__file__).parents[2]


def test_a_run_from_any_folder(run_command, tmp_path):
    photo = tmp_path / "Größe 1.jpg"
    Image.effect_mandelbrot((60, 40), (-2, -1, 1, 1), 50).convert("RGB").save(photo)
    done = run_command(*SMALL, f"content_image='{photo.name}'")
    assert done.returncode == 0, done.stderr
    (run,) = (tmp_path / "results/runs").glob("*/*")
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["status"] == "finished"
    assert metrics["content"]["name"] == photo.stem
    assert (run / "run.log").read_text()
    assert "\r" not in done.stderr  # no progress bar where nobody watches


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["contentweight=3"], "contentweight: there is no such key; did you mean content_weight?"),
        (["optimizer.momentun=1"], "there is no such key; did you mean optimizer.momentum?"),
        (["optimiser=adam"], "optimiser: there is no such key; did you mean optimizer?"),
        (["+foo=1"], "foo: there is no such key"),
        (["content_weight=10,20"], "content_weight=10,20: several values need --multirun"),
        (["style_layers=relu1_1"], "style_layers: must be a list, such as [relu1_1,relu2_1]"),
        (["style_blend=[a,1]"], "style_blend[0]=a: must be a number"),
        (["style.builtin=null"], "style.builtin=null: only style sets it; type style=NAME or"),
        (
            ["recipe.name=mxnet2015"],
            "recipe.name=mxnet2015: only recipe sets it; type recipe=mxnet2015",
        ),
        (["style=swirls", "style_image=a.png"], "style=swirls, style_image: only one can be given"),
        (
            ["experiment=content_weight"],
            "experiment=content_weight: is a sweep over content_weight",
        ),
        (["style_layers=[null]"], "style_layers[0]: is no value for an entry of this list"),
        (["losses=1"], "losses: is a group of keys, such as losses.content.factor"),
        (["content_weight=null"], "content_weight=null: must have a value"),
        (["content_image=${now:}.jpg"], "content_image: a ${...} in its value cannot be resolved"),
        (["content=photo.jpg"], "content=photo.jpg: for a file, type content_image=photo.jpg"),
        (["hydra.run.dir=/"], "hydra.run.dir=/: holds other files than results"),
        (["style=vangog"], "style=vangog: must be one of"),
        (["recipe=nope"], "recipe=nope: must be one of"),
        (["lr=abc"], "lr=abc: must be a number"),
        (["seed=1.5"], "seed=1.5: must be a whole number"),
        (["content_weight=-1"], "content_weight=-1: must be at least 0"),
        (
            ["style_layers=[relu9_9]"],
            "style_layers: vgg19_slim has no layer 'relu9_9'; it has conv1_1",
        ),
        (["content_image=missing.jpg"], "missing.jpg"),
        (["weights.path=missing.params"], "missing.params"),
        (["init=missing.png"], "missing.png"),
        (["from_image=missing.png"], "missing.png"),
        (["gpu=0"], "gpu=0: this MXNet is built without CUDA"),
        (["max_long_edge=8"], "max_long_edge=8: relu5_1 needs"),
        (["bounds=maybe"], "bounds=maybe: must be true or false"),
        (["what"], "what: must be KEY=VALUE"),
        (["lr=#"], "lr=#: cannot be read as KEY=VALUE"),
        (["content_weight=interval(1,2)", "--multirun"], "only a search takes ranges"),
        (["hydra/launcher=foo"], "must be one of basic, joblib, ray, slurm, submitit_local"),
        (["hydra.run.dir=/proc/nowhere"], "/proc/nowhere"),
    ],
)
def test_bad_input_is_one_plain_line_and_leaves_nothing(run_command, tmp_path, overrides, message):
    done = run_command(*SMALL[3:], *overrides)
    assert done.returncode in (2, 4)
    lines = [line for line in done.stderr.splitlines() if not line.startswith("model=auto")]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("nstrep: error: ")
    assert message in lines[0]
    assert not any(path.is_file() for path in tmp_path.rglob("*"))


def test_the_full_traceback_is_there_on_request(run_command):
    done = run_command("content_image=missing.jpg", HYDRA_FULL_ERROR="1")
    assert "Traceback" in done.stderr


def test_from_image_takes_single_keys_beside_it_but_no_recipe(run_command, tmp_path):
    first = run_command(*SMALL, f"hydra.run.dir={tmp_path}/a")
    assert first.returncode == 0, first.stderr
    more = run_command(
        f"from_image={tmp_path}/a/final.png", "max_num_epochs=1", f"hydra.run.dir={tmp_path}/b"
    )
    assert more.returncode == 0, more.stderr
    assert json.loads((tmp_path / "b/metrics.json").read_text())["epochs"] == 1
    refused = run_command(f"from_image={tmp_path}/a/final.png", "optimizer=adam")
    assert refused.returncode == 2
    assert "optimizer=adam: cannot be combined with from_image" in refused.stderr


def test_a_picture_without_a_configuration_is_refused(run_command, tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "plain.png")
    refused = run_command("from_image=plain.png")
    assert refused.returncode == 2
    assert "from_image=plain.png: holds no nstrep configuration" in refused.stderr


def test_divergence_has_its_own_exit_code(run_command, tmp_path):
    done = run_command(*SMALL, "optimizer=sgd", "lr=1e30", f"hydra.run.dir={tmp_path}/a")
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1].startswith("nstrep: error: epoch 1: ")
    assert (tmp_path / "a/last_good.png").exists()
    assert not (tmp_path / "a/final.png").exists()


def test_the_progress_bar_on_a_terminal(tmp_path):
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    with subprocess.Popen(
        [sys.executable, "-m", "nstrep.run", *SMALL, "max_num_epochs=40"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # the terminal goes away with the process
            while block := os.read(ours, 4096):
                shown += block
        os.close(ours)
        assert process.wait() == 0
    bars = [line for line in shown.decode().split("\r") if "epoch/s" in line or "s/epoch" in line]
    assert bars
    assert "loss " in bars[-1]
    assert "eps 0." in bars[-1]


def environment_check(code: str, **environment) -> subprocess.CompletedProcess:
    clean = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**clean, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
    )


def test_threads_are_set_before_mxnet_unless_the_user_did():
    code = "import nstrep, os; print(os.environ['OMP_NUM_THREADS'])"
    assert int(environment_check(code).stdout) >= 1
    assert environment_check(code, OMP_NUM_THREADS="7").stdout.strip() == "7"


def test_the_first_of_a_list_of_threads_counts():
    code = "import nstrep, os; print(os.environ['OMP_NUM_THREADS'])"
    assert environment_check(code, OMP_NUM_THREADS="4,2").stdout.strip() == "4"
    assert int(environment_check(code, OMP_NUM_THREADS="").stdout) >= 1


@pytest.mark.parametrize("value", ["abc", "1.5", "-1", "100000"])
def test_what_is_no_number_of_threads_is_one_plain_line(value, monkeypatch):
    from nstrep.base import environment

    monkeypatch.setenv("OMP_NUM_THREADS", value)
    with pytest.raises(ImportError, match=f"^OMP_NUM_THREADS={value}: must be a whole number"):
        environment.prepare()


def test_a_run_in_an_environment_that_is_not_meant_for_it(tmp_path):
    photo = os.fsencode(tmp_path) + "/café.png".encode()
    with open(photo, "wb") as stream:
        Image.effect_mandelbrot((60, 40), (-2, -1, 1, 1), 50).convert("RGB").save(stream, "PNG")
    command = [sys.executable, "-m", "nstrep.run", *SMALL, "hydra.run.dir=a"]
    done = subprocess.run(
        ["bash", "-c", 'exec "$@" 2>&-', "-", *command, b"content_image='%b'" % photo],
        cwd=tmp_path,
        env={
            **os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "module://none.such",
            "PYTHONWARNINGS": "error",
        },
    )  # fmt: skip
    log = (tmp_path / "a/run.log").read_text()
    assert done.returncode == 0, log
    assert (tmp_path / "a/metrics.json").exists(), log


def test_sigterm_writes_a_checkpoint_and_prints_how_to_continue(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-m", "nstrep.run", *SMALL, "max_num_epochs=9999", "hydra.run.dir='a b'"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        curve, deadline = tmp_path / "a b/curve.csv", time.monotonic() + 60
        while not (curve.exists() and len(curve.read_text().splitlines()) > 3):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        _, printed = process.communicate()
    assert process.returncode == 143, printed
    assert {"checkpoint.npz", "raw.npz", "last_good.png"} <= set(os.listdir(tmp_path / "a b"))
    assert not (tmp_path / "a b/final.png").exists()
    last = printed.splitlines()[-1]
    assert last.startswith("interrupted; to continue:  ")
    assert last.endswith(f"""-m nstrep.run resume=true "hydra.run.dir='{tmp_path}/a b'\"""")
    assert last in (tmp_path / "a b/run.log").read_text()


@pytest.mark.parametrize(
    "name", ["plain", "a b=c,d", "it's", 'quo"te', "$x ${y}", "ü", "a\\'b", "!"]
)
def test_the_printed_command_can_be_pasted(name, tmp_path):
    words = subprocess.run(
        ["bash", "-c", f"printf '%s\\n' {cli.resume_command(tmp_path / name)}"],
        capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    (override,) = OverridesParser.create().parse_overrides(words[-1:])
    assert override.key_or_group == "hydra.run.dir"
    value = OmegaConf.create({"dir": override.value()}).dir
    assert str(value) == str(tmp_path / name)


def test_the_log_of_a_failed_run_holds_the_error(tmp_path):
    handler = LogFile(tmp_path / "run.log", delay=True)
    logging.getLogger().addHandler(handler)
    try:
        try:
            1 / 0  # noqa: B018
        except ZeroDivisionError as error:
            cli.refused(error, tmp_path)
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()
    log = (tmp_path / "run.log").read_text()
    assert "unexpected ZeroDivisionError: division by zero" in log
    assert "Traceback" in log


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        ("numpy.__version__ = '2.4.6'", "NumPy 2.4.6 cannot work with MXNet 1.9.1"),
        ("sys.version_info = (3, 13, 0)", "cannot run MXNet 1.9.1: use Python 3.10"),
        ("ctypes.CDLL = gone", "libgomp.so.1 is missing.*apt-get install -y libgomp1"),
    ],
)
def test_a_machine_that_cannot_work_is_told_in_one_line(monkeypatch, patch, message):
    import collections

    from nstrep.base import environment

    def gone(name):
        raise OSError(name)

    if "version_info" in patch:
        Version = collections.namedtuple("Version", "major minor micro")
        monkeypatch.setattr(sys, "version_info", Version(3, 13, 0))
    elif "numpy" in patch:
        monkeypatch.setattr("numpy.__version__", "2.4.6")
    else:
        monkeypatch.setattr(environment.ctypes, "CDLL", gone)
    monkeypatch.setattr(environment, "_set_defaults", lambda: None)
    with pytest.raises(ImportError, match=message) as caught:
        environment.prepare()
    assert "\n" not in str(caught.value)
    monkeypatch.setattr(sys, "argv", ["-m"])
    with pytest.raises(SystemExit, match="nstrep: error: "):
        environment.prepare()


def test_hostile_values_are_quoted_on_one_line(run_command):
    done = run_command("denoise='a\nnstrep: error: b\x1b[31m'")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(r"nstrep: error: denoise=a\nnstrep: error: b\x1b[31m: must be one of")
