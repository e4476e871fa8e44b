"""The claims: rules on made-up runs whose numbers are known, and the command on small real ones."""

import dataclasses
import math
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from nstrep import replicate
from nstrep.analysis.run_reader import Run
from nstrep.base.errors import BusyError, InputError, ResultsError
from nstrep.claims import figures, plan, quantities, report, schema, statistics, verdicts
from nstrep.claims.plan import ClaimRun
from nstrep.claims.schema import Band, Measure
from nstrep.config.folder import group_options
from nstrep.images import io

NETWORK = {"name": "vgg19_slim", "sha256": "0" * 64}


def made(curve=None, swept=None, runs="", network="vgg19_slim", **metrics):
    """A run that was never run."""
    metrics = {"status": "finished", "model": {**NETWORK, "name": network}, **metrics}
    rows = pd.DataFrame(curve or {})
    config = {"content_weight": 10.0, "style_weight": 2.0}
    run = Run(
        path=Path(), name="run", status="finished", reason="", metrics=metrics, curve=rows,
        config={**config, **(swept or {})},
    )  # fmt: skip
    planned = SimpleNamespace(runs=runs, swept={k: str(v) for k, v in (swept or {}).items()})
    return ClaimRun(**vars(run), planned=planned)


def with_picture(tmp_path, name, rgb01, photo=None, **more):
    (tmp_path / name).mkdir()
    io.save_png(tmp_path / name / "final.png", rgb01)
    one = made(**more)
    one = dataclasses.replace(one, path=tmp_path / name)
    if photo is not None:
        one.__dict__["content_image"] = photo
    return one


# The files of the claims


def sets(runs):
    return {runs} if isinstance(runs, str) else set(runs)


@pytest.mark.parametrize("name", schema.names())
def test_a_claim_names_only_what_there_is(name):
    claim = schema.load(name)
    for measure in claim.measures:
        assert sets(measure.runs) <= set(claim.runs)
        assert measure.statistic in statistics.STATISTICS
        if measure.inconclusive:
            wide, narrow = measure.inconclusive, measure.replicated
            assert wide.at_least <= narrow.at_least
            assert wide.at_most >= narrow.at_most
    assert any(measure.replicated for measure in claim.measures)
    for figure in claim.figures:
        assert figure.kind in figures.KINDS
        assert sets(figure.runs) <= set(claim.runs)
    for runs in claim.runs.values():
        assert runs.losses_of is None or claim.runs[runs.losses_of].training
        scales = {*runs.at, *(runs.training.at if runs.training else ())}
        assert scales <= set(group_options("scale"))


def test_the_first_run_of_each_claim_can_be_configured_at_the_scale_that_few_can_run(hydra_ready):
    config = replicate._config(["scale=paper"])
    for name in schema.names():
        for run_set in schema.load(name).runs.values():
            overrides, swept = next(plan.expand(run_set, config.scale))
            assert all(f"{key}={value}" in overrides for key, value in swept.items())
            plan.check(plan.compose("config", list(overrides)))
            if run_set.training:
                overrides, _ = next(plan.expand(run_set.training, config.scale))
                plan.check_training(plan.compose("fast", list(overrides)))


def test_a_run_set_sweeps_what_its_experiment_and_its_own_keys_say(hydra_ready):
    run_set = schema.RunSet(
        experiment="eps",
        overrides=["max_long_edge=80", "lr=0.2"],
        params={"content": "chelsea,rocket"},
        at={"smoke": schema.Variation(["lr=0.3"], {"stop_eps": "0.006,0.004"})},
    )
    scale = plan.Scale("smoke", "", ["max_long_edge=64", "save_epochs=0"])
    rows = list(plan.expand(run_set, scale))
    assert [swept for _, swept in rows] == [
        {"stop_eps": eps, "content": content}
        for eps in ("0.006", "0.004")
        for content in ("chelsea", "rocket")
    ]
    assert rows[0][0] == (
        "experiment=eps", "max_long_edge=80", "save_epochs=0", "lr=0.3", "stop_eps=0.006",
        "content=chelsea",
    )  # fmt: skip


def test_networks_and_the_optimisation_with_their_losses(hydra_ready):
    config = replicate._config(["scale=quick"])
    claim = schema.load("fast-speed")
    claim.runs["network"].training.params["net.border"] = "10,4"
    planned = plan.plan("fast-speed", claim, config.scale)
    passes = [one for one in planned if one.runs == "network"]
    optimised = [one for one in planned if one.runs == "optimised"]
    assert [one.swept for one in passes] == [
        {"content": content, "net.border": border}
        for content in ("chelsea", "rocket")
        for border in ("10", "4")
    ]
    assert len({one.network_directory for one in passes}) == 2
    assert len({one.directory for one in planned}) == 4 + 2  # the losses are those of both
    assert {one.training.net.border for one in passes} == {10, 4}
    assert all(one.training is None for one in optimised)
    trained = passes[0].training
    for one in planned:
        assert one.config.content_weight == trained.content_weight != 10
        assert one.config.losses == trained.losses
        assert one.config.style_scale * one.config.max_long_edge == trained.style_size
    # The border that is the architecture's own is no other training.
    (typed,) = plan.plan("c", one_set(claim, ["net.border=10"]), config.scale)
    (untyped,) = plan.plan("c", one_set(claim, []), config.scale)
    assert typed.network_directory == untyped.network_directory


def one_set(claim, typed):
    run_set = dataclasses.replace(
        claim.runs["network"],
        params={},
        training=dataclasses.replace(
            claim.runs["network"].training, overrides=["style=swirls", *typed], params={}
        ),
    )
    return dataclasses.replace(claim, runs={"network": run_set})


# Verdicts


def test_the_verdict_of_a_number():
    measure = Measure(
        about="", runs="", published="", replicated=Band(at_least=2), inconclusive=Band(at_least=1)
    )
    found = [verdicts.judge(measure, x, ["vgg19"]).verdict for x in (2, 1.5, 0.5, math.nan)]
    assert found == ["replicated", "inconclusive", "not replicated", "inconclusive"]
    strict = dataclasses.replace(measure, inconclusive=None)
    assert verdicts.judge(strict, 1.5, []).verdict == "not replicated"
    assert verdicts.judge(measure, 2, [], decides=False).verdict == verdicts.NOT_DECIDED
    reported = dataclasses.replace(measure, replicated=None)
    assert verdicts.judge(reported, 1.5, []).verdict is None


def test_another_network_decides_nothing():
    measure = Measure(about="", runs="", published="", replicated=Band(1, 2), needs="vgg19")
    assert verdicts.judge(measure, 1.5, ["vgg19"]).verdict == "replicated"
    for networks in (["vgg19_slim"], ["vgg19", "vgg19_slim"]):
        judged = verdicts.judge(measure, 99, networks)
        assert judged.verdict == "inconclusive"
        assert "vgg19_slim" in judged.why


def test_the_worst_measure_decides_a_claim():
    def judged(*found):
        return [SimpleNamespace(verdict=verdict) for verdict in found]

    assert verdicts.overall(judged("replicated", None)) == "replicated"
    assert verdicts.overall(judged("replicated", "inconclusive")) == "inconclusive"
    assert verdicts.overall(judged("inconclusive", "not replicated")) == "not replicated"
    assert verdicts.overall(judged(None)) == "inconclusive"


# Statistics and quantities


def test_trends_and_ratios():
    runs = [
        made(swept={"lr": lr, "style": style}, ssim=value)
        for style, values in (("a", (1, 2, 4)), ("b", (8, 2, 1)))
        for lr, value in zip((0.1, 0.2, 0.3), values)
    ]
    assert statistics.trend(runs, "ssim", "lr", within=["style"]) == pytest.approx(0)
    assert statistics.trend(runs[:3], "ssim", "lr") == pytest.approx(1)
    ratio = statistics.ratio(runs, "ssim", {"lr": 0.3}, {"lr": 0.1}, within=["style"])
    assert ratio == pytest.approx((4 + 1 / 8) / 2)
    assert statistics.difference(runs, "ssim", {"style": "b"}, {"style": "a"}) == 0
    assert statistics.value(runs, "ssim", {"lr": [0.1, 0.3]}) == 2.5
    assert statistics.spread(runs, "ssim", {"style": "a"}) == 3
    assert statistics.ratio_of_best(runs, "ssim", {"lr": 0.1}, {"lr": 0.2}) == 0.5


def test_words_rank_in_the_order_of_the_sweep():
    runs = [made(swept={"layers": f"[{x}]"}, ssim=-i) for i, x in enumerate("cab")]
    assert statistics.trend(runs, "ssim", "layers") == pytest.approx(-1)


def test_the_exponent_of_a_power_law():
    runs = [
        made(width=w, height=50, curve={"seconds": np.arange(5) * w**1.3}) for w in (10, 20, 70)
    ]
    assert statistics.slope(runs, "seconds_an_epoch", "pixel_count") == pytest.approx(1.3)


def test_what_cannot_be_measured_is_nan():
    for statistic, given in (
        ("trend_in_epochs", {"of": "style_loss"}),
        ("evaluations_to_match", {"of": {"lr": 1}, "against": {"lr": 2}}),
        ("value", {"of": "spectral_centroid"}),  # no picture
        ("ratio", {"of": "ssim", "over": {"lr": 1}, "under": {"lr": 3}}),
    ):
        assert math.isnan(statistics.measure([made(swept={"lr": 1})], statistic, given))


def test_quantities_of_a_curve():
    total = np.array([100.0, 20.0, 12.0, 10.0, 9.0, 0.0])
    one = made(
        {
            "epoch": range(6),
            "evaluations": [1, 2, 4, 5, 6, 11],
            "seconds": [1, 2, 3, 4, 5, 6],
            "total": total,
            "style_loss": total / 2,
            "content_loss": total * 0 + 5,
            "gradient_norm": total * 3,
        },
        width=4,
        height=3,
    )
    found = {
        name: quantities.quantity(one, {"name": name, **given})
        for name, given in {
            "style_cost": {},
            "content_cost": {},
            "left": {"epoch": 2},
            "early_fall": {"share": 2 / 11},
            "evaluations_to": {"loss": 10},
            "epochs_to": {"loss": 10.5},
            "seconds_to": {"share": 0.2},
            "start_gradient": {},
        }.items()
    }
    assert found == pytest.approx(
        {
            "style_cost": 0.0,
            "content_cost": 0.5,
            "left": 0.12,
            "early_fall": 0.8,
            "evaluations_to": 5,
            "epochs_to": 3,
            "seconds_to": 2,
            "start_gradient": 3 / 6,
        }
    )
    assert math.isnan(quantities.quantity(one, {"name": "left", "epoch": 7}))


def test_what_an_optimisation_needs_for_the_loss_of_a_pass():
    def pair(content, loss, seconds):
        swept = {"content": content}
        curve = {"epoch": range(4), "evaluations": [1, 3, 4, 6], "total": [8, 4, 2, 1]}
        seconds_run = [1.0, 2.0, 4.0, 6.0]
        return [
            made({"epoch": [0], "total": [loss]}, swept, runs="network", seconds=seconds),
            made({**curve, "seconds": seconds_run}, swept, runs="optimised"),
        ]

    runs = [*pair("a", 4.5, 0.5), *pair("b", 1.5, 0.25)]
    which = {"of": {"runs": "optimised"}, "against": {"runs": "network"}, "within": ["content"]}
    found = [
        statistics.needed_to_match(runs, count, **which)
        for count in ("epochs", "evaluations", "seconds")
    ]
    assert found == [(1 + 3) / 2, (3 + 6) / 2, (2 + 6) / 2]
    times = statistics.needed_to_match(runs, "seconds", **which, to="seconds")
    assert times == (2 / 0.5 + 6 / 0.25) / 2
    runs += pair("c", 0.5, 0.25)  # never reached
    assert math.isnan(statistics.needed_to_match(runs, "epochs", **which))
    steps = {"name": "seconds_for", "epochs": 10}
    over, under = which["of"], which["against"]
    found = statistics.ratio(runs[:2], steps, over, under, to="seconds", within=["content"])
    assert found == pytest.approx(10 * 2.0 / 0.5)


def speed_runs(step_seconds, pass_seconds, loss, network="vgg16"):
    """A network, and an optimisation that halves its loss every 20 steps."""
    epoch = np.arange(200)
    curve = {
        "epoch": epoch, "evaluations": epoch + 1, "seconds": epoch * step_seconds,
        "total": 2.0 ** (-epoch / 20),
    }  # fmt: skip
    swept = {"content": "chelsea"}
    return [
        made(
            {"epoch": [0], "total": [loss]}, swept, "network", network=network, seconds=pass_seconds
        ),
        made(curve, swept, "optimised", network=network, seconds=200 * step_seconds),
    ]


@pytest.mark.parametrize(
    ("runs", "verdict"),
    [
        (speed_runs(0.03, 0.015, 0.1), "replicated"),  # 67 steps, 133 passes
        (speed_runs(0.03, 0.015, 0.1, "vgg19_slim"), "inconclusive"),
        (speed_runs(0.03, 0.015, 0.3), "inconclusive"),  # 35 steps
        (speed_runs(0.003, 0.015, 0.1), "not replicated"),  # 13 passes
        (speed_runs(0.003, 0.015, 0.1, "vgg19_slim"), "not replicated"),
        (speed_runs(0.03, 0.015, 0.0001), "inconclusive"),  # never reached
    ],
)
def test_the_claim_about_speed(runs, verdict):
    assert judge("fast-speed", runs) == verdict


def padding_runs(folder, frames, rng):
    """A picture with frames of some darkness: by the convolutions' padding and the border."""
    photo = ndimage.gaussian_filter(rng.random((96, 120, 3)), (3, 3, 0))
    photo = (photo - photo.min()) / (photo.max() - photo.min())
    found = []
    for (padding, border), dark in frames.items():
        framed = photo.copy()
        for edge in (np.s_[:8], np.s_[-8:], np.s_[:, :8], np.s_[:, -8:]):
            framed[edge] *= 1 - dark
        swept = {"content": "chelsea", "net.padding": padding, "net.border": border}
        name = f"{padding}{border}{dark}"
        found.append(with_picture(folder, name, framed, photo, swept=swept, runs="borders"))
    return found


@pytest.mark.parametrize(
    ("darkness", "verdict"),
    [
        ((0, 0.5, 0, 0.6), "replicated"),
        ((0, 0, 0, 0.6), "not replicated"),  # nothing to avoid in the source's network
        ((0, 0.5, 0.5, 0.5), "not replicated"),
        ((0.5, 0.9, 0.5, 0.9), "not replicated"),  # it avoids some, not all
    ],
)
def test_the_claim_about_padding(darkness, verdict, tmp_path, rng):
    places = [("reflect", 10), ("reflect", 0), ("zero", 10), ("zero", 0)]
    assert judge("fast-padding", padding_runs(tmp_path, dict(zip(places, darkness)), rng)) == (
        verdict
    )


def test_a_steady_fall_does_not_jump():
    steady = made({"total": np.linspace(9, 5, 40)})
    assert quantities.quantity(steady, "tail_jumps") == pytest.approx(0, abs=1e-12)
    jumping = made({"total": 5 + 0.5 * (-1.0) ** np.arange(40)})
    assert quantities.quantity(jumping, "tail_jumps") == pytest.approx(0.1, rel=0.02)


def test_the_centroid_of_a_wave_is_its_frequency(tmp_path):
    x = np.arange(128)
    for frequency in (0.0625, 0.25):
        wave = 0.5 + 0.4 * np.cos(2 * np.pi * frequency * x)
        rgb01 = np.repeat(np.tile(wave, (96, 1))[..., None], 3, axis=2)
        one = with_picture(tmp_path, str(frequency), rgb01)
        assert quantities.quantity(one, "spectral_centroid") == pytest.approx(frequency, abs=0.01)


def test_edges_shared_with_the_photo(tmp_path, rng):
    photo = np.zeros((64, 64, 3))
    photo[16:48, 16:48] = 1
    moved = np.roll(photo, 20, axis=(0, 1))
    same = with_picture(tmp_path, "same", photo, photo)
    other = with_picture(tmp_path, "other", moved, photo)
    assert quantities.quantity(same, "edge_overlap") == 1
    assert quantities.quantity(other, "edge_overlap") < 0.3
    assert statistics.apart([same, other]) == pytest.approx(
        math.sqrt(np.mean((photo - moved) ** 2)), abs=1e-3
    )
    assert statistics.apart([same, same]) == 0


# A claim that is true of made-up runs, and the same runs falsified


def judge(name, runs):
    return replicate.judge(name, schema.load(name), runs).verdict


def lr_runs(jumps):
    """Runs that reach a loss the sooner, and jump about the more, the larger lr is."""
    epoch = np.arange(60)
    return [
        made(
            {"epoch": epoch, "total": 1 + np.exp(-lr * epoch) + jump * (-1.0) ** epoch},
            {"lr": lr, "content": content, "style": "vangogh"},
            runs="lr",
        )
        for content in ("chelsea", "astronaut")
        for lr, jump in zip((0.1, 0.2, 0.3), jumps)
    ]


def test_a_true_claim_is_replicated_and_a_falsified_one_is_not():
    assert judge("mxnet-lr", lr_runs((0.001, 0.002, 0.003))) == "replicated"
    assert judge("mxnet-lr", lr_runs((0.003, 0.002, 0.001))) == "not replicated"


def eps_runs(epochs, style=(3, 2, 1), network="vgg19"):
    return [
        made(
            {"epoch": [0, n], "style_loss": [9, loss]},
            {"stop_eps": eps},
            runs="eps",
            epochs=n,
            network=network,
        )
        for eps, n, loss in zip((0.006, 0.005, 0.004), epochs, style)
    ]


@pytest.mark.parametrize(
    ("runs", "verdict"),
    [
        (eps_runs((160, 200, 260)), "replicated"),
        (eps_runs((160, 300, 460)), "inconclusive"),  # rather more than about 200
        (eps_runs((160, 500, 560)), "not replicated"),
        (eps_runs((260, 200, 160)), "not replicated"),  # the smaller the sooner
        (eps_runs((160, 200, 260), (1, 2, 3)), "not replicated"),  # and the worse
        (eps_runs((160, 200, 260), network="vgg19_slim"), "inconclusive"),
        (eps_runs((260, 200, 160), network="vgg19_slim"), "not replicated"),
    ],
)
def test_each_measure_of_a_claim_counts(runs, verdict):
    assert judge("mxnet-eps", runs) == verdict


# The command


CLAIMS = "claims=[dlai-costs,mxnet-noise]"


@pytest.fixture(scope="module")
def replication(tmp_path_factory, hydra_ready):
    folder = tmp_path_factory.mktemp("replication") / "smoke"
    findings = replicate.replicate(replicate._config([CLAIMS, "scale=smoke", f"folder={folder}"]))
    return folder, findings


def test_the_report_says_what_was_computed(replication):
    folder, findings = replication
    rows = pd.read_csv(folder / report.CLAIMS)
    text = (folder / report.REPORT).read_text()
    assert set(rows["claim"]) == {"dlai-costs", "mxnet-noise"}
    assert {finding.verdict for finding in findings} == {verdicts.NOT_DECIDED}
    assert "2 not decided (smoke). " in text
    for finding in findings:
        assert f"[{finding.name}](#{finding.name}) | **{finding.verdict}**" in text
        stored = rows[rows["claim"] == finding.name]
        assert set(stored["verdict"]) == {finding.verdict}
        for judged, measured in zip(finding.judged, stored["measured"]):
            assert measured == pytest.approx(judged.measured, rel=1e-5, nan_ok=True)
    linked = re.findall(r"\]\((figures/[^)]+)\)", text)
    assert len(linked) == 2
    assert all((folder / file).stat().st_size > 1000 for file in linked)
    assert (
        "Starry Night, Vincent van Gogh, 1889: nstrep/images/stand_ins/starry_swirls.webp" in text
    )
    assert "7673.1" in text  # the published costs beside ours


def test_a_plate_has_the_arrangement_of_the_paper(replication):
    _, findings = replication
    (runs,) = (finding.runs for finding in findings if finding.name == "mxnet-noise")
    given = [
        {"none": {"remove_noise": 0}, "some": {"remove_noise": 0.2}},
        {"x": {"remove_noise": 9}},
    ]
    figure = figures.plate(runs, title="Fig. 4", rows=given)
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title() for axes in shown] == ["none", "some", "x"]
    assert [text.get_text() for text in shown[2].texts] == ["not run"]
    filtered = next(run for run in runs if run.swept["remove_noise"] == "0.2")
    np.testing.assert_array_equal(shown[1].images[0].get_array(), filtered.picture)
    rows = {"photo": {"photo": True}, "result": {}}
    figure = figures.plate(runs, title="Fig. 5", rows=rows, columns=["remove_noise"])
    count = len({run.swept["remove_noise"] for run in runs})
    assert len(figure.axes) == 2 * count
    assert [axes.get_ylabel() for axes in figure.axes[::count]] == ["photo", "result"]
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), runs[0].content_image)


def test_a_claim_about_networks_from_the_command_on(hydra_ready, tmp_path):
    arguments = ["claims=fast-speed", "scale=smoke", f"folder={tmp_path}"]
    (finding,) = replicate.replicate(replicate._config(arguments))
    assert all(run.status == "finished" for run in finding.runs)
    folders = sorted(path.name.partition("-")[0] for path in (tmp_path / "runs").iterdir())
    assert folders == ["pass", "quick", "train"]
    assert all(np.isfinite(one.measured) for one in finding.judged)
    trained, (one,) = tmp_path / "runs", plan.of(finding.runs, "network")
    seconds = one.value("training.seconds")
    assert (trained / one.planned.network_directory / "net.npz").exists()
    assert report.seconds(finding.runs) > seconds > 0
    assert len(list((tmp_path / "figures").iterdir())) == 2
    text = (tmp_path / report.REPORT).read_text()
    assert "What was published for vgg16 is measured" in text


def test_runs_are_made_once(replication, hydra_ready, tmp_path):
    folder, findings = replication
    again = tmp_path / "smoke"
    shutil.copytree(folder, again)
    runs = sorted((again / "runs").iterdir())
    assert len(runs) == 7
    (runs[0] / "metrics.json").unlink()  # as if killed
    before = {run: (run / "metrics.json").stat().st_mtime_ns for run in runs[1:]}
    second = replicate.replicate(replicate._config([CLAIMS, "scale=smoke", f"folder={again}"]))
    assert {run: (run / "metrics.json").stat().st_mtime_ns for run in runs[1:]} == before
    assert (runs[0] / "metrics.json").exists()
    assert [one.verdict for one in second] == [one.verdict for one in findings]
    assert sorted((again / "runs").iterdir()) == runs


def test_a_run_of_another_process_is_waited_for(monkeypatch, tmp_path):
    planned = [SimpleNamespace(claim="c", directory=name, overrides=()) for name in "ab"]
    order = []

    def run(one, directory):
        order.append(one.directory)
        if order == ["a"]:
            raise BusyError("a is busy")

    monkeypatch.setattr(plan, "_run", run)
    monkeypatch.setattr(plan, "POLL", 0)
    monkeypatch.setattr(plan, "load_run", lambda directory: SimpleNamespace())
    monkeypatch.setattr(plan, "ClaimRun", SimpleNamespace)
    assert len(plan.make(planned, tmp_path, lambda one: None)) == 2
    assert order == ["a", "b", "a"]


def test_a_run_that_fails_is_told_and_decides_nothing(hydra_ready, tmp_path, monkeypatch):
    claim = schema.load("pytorch-curve")
    claim.runs["curve"].overrides.append("style_image=missing.png")
    monkeypatch.setattr(schema, "load", lambda name: claim)
    config = replicate._config(["claims=pytorch-curve", "scale=smoke", f"folder={tmp_path}"])
    config.scale.decides = True
    (finding,) = replicate.replicate(config)
    assert finding.verdict == "inconclusive"
    assert "did not finish: style_image=missing.png" in (tmp_path / report.REPORT).read_text()


def test_a_folder_that_cannot_be_written_is_one_error(hydra_ready, tmp_path):
    (tmp_path / "file").write_text("")
    config = replicate._config(["claims=pytorch-curve", "scale=smoke", f"folder={tmp_path}/file"])
    with pytest.raises(ResultsError, match="cannot be written"):
        replicate.replicate(config)
    (tmp_path / "folder/report.md").mkdir(parents=True)
    (tmp_path / "folder/claims.csv").write_text("claim,verdict,statement\n")
    config.folder = str(tmp_path / "folder")
    with pytest.raises(ResultsError, match="report.md: cannot be written"):
        replicate.replicate(config)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("claims=[mxnet-esp]", "claims=mxnet-esp: must be all or some of cs20-pool, .*mxnet-eps"),
        ("scale=huge", "scale=huge: must be one of paper, quick, smoke"),
        ("epochs=3", "epochs: there is no such key"),
    ],
)
def test_bad_arguments_are_one_line(argument, message, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("sys.argv", ["replicate", argument, f"folder={tmp_path}/new"])
    from hydra.core.global_hydra import GlobalHydra

    GlobalHydra.instance().clear()
    with pytest.raises(SystemExit) as stopped:
        replicate.main()
    assert stopped.value.code == InputError.exit_code
    error = capsys.readouterr().err
    assert re.search(message, error)
    assert error.count("\n") == 1
    assert not (tmp_path / "new").exists()
