import json
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import nstrep
from nstrep import collect, plots
from nstrep.analysis import summary
from nstrep.analysis.run_reader import load_sweep
from nstrep.base.errors import InputError
from nstrep.plots import labels
from nstrep.report import page
from tests.runs import write_run, write_sweep


def test_a_run_is_read_back(tmp_path):
    run = nstrep.load_run(write_run(tmp_path / "a", "content_weight=20", "style=lilies"))
    assert (run.name, run.status, run.reason) == ("a", "finished", "stop_eps")
    assert run.config["content_weight"] == 20
    assert list(run.curve["epoch"]) == list(range(13))
    assert run.curve["eps"].isna().sum() == 1
    assert run.picture.shape == run.raw.shape == (16, 24, 3)
    assert np.abs(run.picture - run.raw.clip(0, 1)).max() < 1 / 255
    assert run.value("content_weight") == 20
    assert run.value("losses.content.factor") == 0.02
    assert run.value("losses.style_loss.relu3_1") == run.metrics["losses"]["style_loss.relu3_1"]
    assert run.value("style") == "lilies"
    assert run.value("style.sha256") == "b" * 64
    assert run.value("no.such") is None


def test_reading_needs_no_mxnet(tmp_path):
    write_run(tmp_path / "a")
    code = (
        "import sys, nstrep\n"
        "assert not {'pandas', 'mxnet', 'yaml'} & set(sys.modules)\n"
        "nstrep.load_sweep(sys.argv[1]).summary\n"
        "assert not {'mxnet', 'hydra'} & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_the_statuses(tmp_path):
    for status in ("finished", "diverged", "interrupted", "failed", "unfinished"):
        write_run(tmp_path / status, status=status, reason=f"why {status}")
    (tmp_path / "not a run").mkdir()
    runs = nstrep.load_sweep(tmp_path).runs
    assert {run.name for run in runs} == {run.status for run in runs}
    reasons = {run.status: run.reason for run in runs}
    assert reasons["failed"] == "why failed"
    assert reasons["unfinished"] == "there is no metrics.json"
    assert {run.status for run in runs if run.picture_path} == {
        "finished", "diverged", "interrupted",
    }  # fmt: skip
    with pytest.raises(InputError, match="holds no picture"):
        _ = next(run for run in runs if run.status == "failed").picture


@pytest.mark.parametrize("below", ["", "a", "a/b"])
def test_runs_may_lie_deeper(tmp_path, below):
    write_sweep(tmp_path / "all" / below, "seed=0,1,2,3,4,5,6,7,8,9,10")
    sweep = nstrep.load_sweep(tmp_path / "all")
    assert [run.config["seed"] for run in sweep.runs] == list(range(11))  # 2 before 10
    assert sweep.swept == ["seed"]


def test_what_holds_no_run_is_refused(tmp_path):
    (tmp_path / "deep/a/b/c").mkdir(parents=True)
    write_run(tmp_path / "deep/a/b/c/run")
    for read, path, said in (
        (nstrep.load_run, tmp_path, "holds no run"),
        (nstrep.load_run, tmp_path / "none", "holds no run"),
        (nstrep.load_run, tmp_path / ("x" * 5000), "holds no run"),
        (nstrep.load_sweep, tmp_path / ("x" * 5000), "there is no such folder"),
        (nstrep.load_sweep, tmp_path / "none", "there is no such folder"),
        (nstrep.load_sweep, tmp_path / "deep", "holds no runs"),
    ):
        with pytest.raises(InputError, match=said):
            read(path)


BOMB = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"


@pytest.mark.parametrize(
    ("file", "text", "status"),
    [
        ("metrics.json", '{"status": "fin', "unfinished"),
        ("metrics.json", "[1]", "unfinished"),
        ("metrics.json", "", "unfinished"),
        ("metrics.json", "[" * 3_000, "unfinished"),
        ("metrics.json", '{"status": ["x"]}', "unfinished"),
        ("metrics.json", '{"status": "finished", "losses": 3, "epochs": "x"}', "finished"),
        ("config.yaml", "a: [", "finished"),
        ("config.yaml", "", "finished"),
        ("config.yaml", BOMB, "finished"),
        ("config.yaml", "[" * 3_000, "finished"),
        ("config.yaml", "!!python/object/apply:os.system [touch /tmp/owned]", "finished"),
        ("config.yaml", "recipe: {name: [1]}\nstyle: 3\n1: 2\nstyle_image: {}", "finished"),
        ("config.yaml", f"seed: 1{'0' * 400}\ncontent_weight: .inf", "finished"),
        ("metrics.json", f'{{"status": "finished", "epochs": 1{"0" * 400}}}', "finished"),
        (".hydra/overrides.yaml", "{a: 1}", "finished"),
        (".hydra/overrides.yaml", "[1, [2], '=', style]", "finished"),
        ("curve.csv", "epoch,total\n1,2,3,4\n1\n", "finished"),
        ("curve.csv", "what", "finished"),
        ("curve.csv", "a,b\n1,2\n", "finished"),
        ("curve.csv", "epoch,total\n1,x\n", "finished"),
    ],
)
def test_damaged_files_are_a_status_and_a_line(tmp_path, caplog, file, text, status):
    damaged = write_run(tmp_path / "a")
    write_run(tmp_path / "b", "content_weight=20")
    (damaged / file).write_text(text)
    run = nstrep.load_run(damaged)
    assert run.status == status
    assert run.reason or status == "finished"
    assert "\n" not in run.reason
    assert all("\n" not in record.getMessage() for record in caplog.records)
    assert len(summary.write(nstrep.load_sweep(tmp_path))) == 2
    assert len(pd.read_csv(tmp_path / "summary.csv")) == 2


def test_files_that_are_no_files(tmp_path, caplog):
    run = write_run(tmp_path / "a")
    (run / "curve.csv").unlink()
    (run / "curve.csv").mkdir()
    (run / "metrics.json").write_bytes(b"\xff\xfe\x00")
    (run / "raw.npz").write_bytes((run / "raw.npz").read_bytes()[:50])
    (run / "final.png").write_bytes((run / "final.png").read_bytes()[:50])
    found = nstrep.load_run(run)
    assert found.status == "unfinished"
    assert found.curve.empty
    assert "curve.csv is damaged (not a file)" in caplog.text
    with pytest.raises(InputError):
        _ = found.raw
    with pytest.raises(InputError):
        _ = found.picture


def test_the_row_that_was_being_written_does_not_count(tmp_path):
    run = write_run(tmp_path / "a", status="unfinished")
    text = (run / "curve.csv").read_text()
    (run / "curve.csv").write_text(text[:-4])
    assert list(nstrep.load_run(run).curve["epoch"]) == list(range(12))


@pytest.mark.parametrize("overrides", [True, False])
def test_a_recipe_is_one_key_not_fifty(tmp_path, overrides):
    for number, recipe in enumerate(("nstrep", "gatys2015", "mxnet2015")):
        write_run(tmp_path / str(number), f"recipe={recipe}", overrides=overrides)
    assert nstrep.load_sweep(tmp_path).swept == ["recipe"]


def test_swept_keys_in_the_order_typed(tmp_path):
    write_sweep(tmp_path, "style=vangogh,lilies", "stop_eps=0.006,0.005", "content_weight=10,20")
    sweep = nstrep.load_sweep(tmp_path)
    assert sweep.swept == ["style", "stop_eps", "content_weight"]
    assert sweep.summary["stop_eps"].tolist()[:4] == [0.006, 0.006, 0.005, 0.005]


def test_keys_beside_a_recipe_are_found(tmp_path):
    typed = ["recipe=nstrep,gatys2015", "lr=1,2", "optimizer=adam,adam_tensorflow"]
    write_sweep(tmp_path / "typed", *typed)
    assert nstrep.load_sweep(tmp_path / "typed").swept == ["recipe", "lr", "optimizer"]
    # A typed key counts even where each recipe had one value of it.
    write_run(tmp_path / "apart/0", "recipe=nstrep", "content_weight=10")
    write_run(tmp_path / "apart/1", "recipe=gatys2015", "content_weight=3")
    assert nstrep.load_sweep(tmp_path / "apart").swept == ["recipe", "content_weight"]
    # Without what was typed, a key that varies within a recipe is found.
    for number, weight in enumerate((1, 2)):
        typed = ("recipe=gatys2015", f"content_weight={weight}")
        write_run(tmp_path / "bare" / str(number), *typed, overrides=False)
    write_run(tmp_path / "bare/2", "recipe=nstrep", overrides=False)
    assert nstrep.load_sweep(tmp_path / "bare").swept == ["recipe", "content_weight"]


def test_picture_files_are_choices_of_their_group(tmp_path):
    write_run(tmp_path / "0", "style=vangogh")
    write_run(tmp_path / "1", "style_image=/pictures/wave.jpg")
    sweep = nstrep.load_sweep(tmp_path)
    assert sweep.swept == ["style"]
    assert sweep.summary["style"].tolist() == ["vangogh", "wave"]
    write_run(tmp_path / "3", "styles=[vangogh, /pictures/wave.jpg]")
    assert nstrep.load_sweep(tmp_path).summary["style"].tolist()[-1] == "vangogh+wave"
    assert nstrep.load_sweep(tmp_path).swept == ["style"]
    write_run(tmp_path / "2", "style_image=/other/wave.jpg")
    assert nstrep.load_sweep(tmp_path).swept == ["style", "style_image"]


def test_the_summary_is_typed_and_complete(tmp_path):
    write_sweep(tmp_path, "content_weight=10,20", "style_layers=[relu1_1]")
    write_run(tmp_path / "2", "content_weight=30", status="failed", reason='no space, "left"')
    write_run(tmp_path / "3", "content_weight=40", status="unfinished")
    rows = summary.write(nstrep.load_sweep(tmp_path))
    assert rows["status"].tolist() == ["finished", "finished", "failed", "unfinished"]
    csv = pd.read_csv(tmp_path / "summary.csv", dtype_backend="numpy_nullable")
    parquet = pd.read_parquet(tmp_path / "summary.parquet")
    for read in (csv, parquet):
        assert list(read) == list(rows)
        assert pd.api.types.is_float_dtype(read["content_weight"]) or read is csv
        assert pd.api.types.is_numeric_dtype(read["content_weight"])
        assert pd.api.types.is_integer_dtype(read["epochs"])
        assert read["epochs"].tolist()[:2] == [12, 12]
        assert read["epochs"].isna().tolist() == [False, False, True, True]
        assert pd.api.types.is_float_dtype(read["total"])
        assert read["reason"].tolist()[2] == 'no space, "left"'
        assert read["model_sha256"].tolist()[0] == "e" * 64
        assert read["style_loss.relu1_1"].notna().sum() == 2
    assert not list(tmp_path.glob(".*tmp*"))


def test_names_that_no_utf8_file_takes(tmp_path):
    run = write_run(tmp_path / "a")
    metrics = json.loads((run / "metrics.json").read_text())
    metrics["stop_reason"] = "\ud800\nnext\x1b[31m"
    metrics["losses"]["\ud800"] = 1
    (run / "metrics.json").write_text(json.dumps(metrics))
    assert nstrep.load_run(run).reason == "\\ud800 next\\x1b[31m"
    assert len(summary.write(nstrep.load_sweep(tmp_path))) == 1


def test_the_command(tmp_path, capsys, monkeypatch):
    write_sweep(tmp_path / "s", "content_weight=10,20")
    collect.main([str(tmp_path / "s")])
    assert "2 runs (2 finished)" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        collect.main([str(tmp_path / "none")])
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
    shutil.rmtree(tmp_path / "s" / "0")
    collect.main([str(tmp_path / "s")])
    assert "1 run (" in capsys.readouterr().out


def test_links_out_of_a_run_are_not_followed(tmp_path, caplog):
    """A folder from elsewhere could show its reader's own files in a page that is passed on."""
    secret = tmp_path / "secret.yaml"
    secret.write_text('{"token": "xyzzy", "status": "finished"}')
    runs = tmp_path / "runs"
    for name in ("config.yaml", "metrics.json", "final.png", "raw.npz"):
        run = write_run(runs / name)
        target = secret if name.endswith(("yaml", "json")) else tmp_path / name
        if target != secret:
            (run / name).rename(target)
        (run / name).unlink(missing_ok=True)
        (run / name).symlink_to(target)
    sweep = nstrep.load_sweep(runs)
    assert "xyzzy" not in str([(run.config, run.metrics) for run in sweep.runs])
    by_name = {run.name: run for run in sweep.runs}
    assert "config.yaml: is a link out of the run's folder" in caplog.text
    assert "which is not followed" in by_name["metrics.json"].reason
    with pytest.raises(InputError, match="final.png: is a link out of"):
        _ = by_name["final.png"].picture
    with pytest.raises(InputError, match="raw.npz: is a link out of"):
        _ = by_name["raw.npz"].raw
    moved = tmp_path / "moved"
    runs.rename(moved)
    runs.symlink_to(moved)  # the folder itself may be a link
    assert len(nstrep.load_sweep(runs).runs) == 4


def test_a_curve_of_too_many_columns_is_damaged_not_a_hang(tmp_path):
    run = write_run(tmp_path / "a")
    (run / "curve.csv").write_text("epoch,total" + ",epoch" * 40_000 + "\n")
    assert nstrep.load_run(run).curve.empty


def test_a_large_configuration_is_damaged_not_a_hang(tmp_path, caplog):
    run = write_run(tmp_path / "a")
    (run / "config.yaml").write_text("a: b\n" * 100_000)
    assert nstrep.load_run(run).config == {}
    assert "config.yaml is damaged (larger than 256 KiB)" in caplog.text


def test_a_stand_in_says_so(tmp_path):
    """In summary.csv, in the values that figures show, and on the page."""
    for number, name in enumerate(("vangogh", "swirls")):
        run = write_run(tmp_path / "s" / str(number), f"style={name}")
        path = run / "metrics.json"
        metrics = json.loads(path.read_text())
        metrics["style"] |= {
            "name": name,
            "source": "nstrep/images/stand_ins/starry_swirls.webp",
            "stand_in_for": "The Starry Night" if name == "vangogh" else None,
        }
        path.write_text(json.dumps(metrics))
    sweep = load_sweep(tmp_path / "s")
    stood_in = "vangogh (stand-in: starry_swirls)"
    assert [run.value("style") for run in sweep.runs] == [stood_in, "swirls"]
    assert list(sweep.summary["style"]) == ["vangogh", "swirls"]
    assert list(sweep.summary["style_stand_in"]) == ["starry_swirls", None]
    assert labels.short(stood_in, 5) == "vang… (stand-in: starry_swirls)"
    assert f"style={stood_in}" in page.render(sweep, tmp_path)
    titles = [axes.get_title() for axes in plots.contact_sheet(sweep.runs, ["style"]).axes]
    assert titles[0] == "vangogh\n(stand-in: starry_swirls)"
