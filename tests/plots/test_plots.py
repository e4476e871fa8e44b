import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from nstrep import plot, plots
from nstrep.analysis.run_reader import load_sweep
from nstrep.plots import NothingToDraw
from nstrep.plots.measures import final_number, most_telling, pareto
from nstrep.plots.style import looks, text
from tests.runs import write_run, write_sweep


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """12 runs over three keys, one of them failed."""
    folder = tmp_path_factory.mktemp("plots")
    write_sweep(folder, "content_weight=3,10,30", "stop_eps=0.006,0.005", "style=vangogh,lilies")
    (folder / "3" / "metrics.json").unlink()
    (folder / "3" / "final.png").unlink()
    (folder / "3" / "failed.json").write_text('{"reason": "no space left"}')
    return load_sweep(folder)


def words(figure):
    """Every text of a figure that is not empty."""
    return [item.get_text() for item in figure.findobj(lambda a: hasattr(a, "get_text"))]


def test_curves_are_coloured_by_a_key(sweep):
    figure = plots.overlaid(sweep.runs, "content_weight")
    loss, eps = figure.axes
    assert len(loss.lines) == 12  # the failed run has a curve too
    assert len({str(line.get_color()) for line in loss.lines}) == 3
    assert loss.get_yscale() == eps.get_yscale() == "log"
    first = sweep.runs[0].curve
    np.testing.assert_allclose(loss.lines[0].get_ydata(), first["total"])
    assert {"3", "10", "30", "content_weight"} <= set(words(figure))


def test_a_second_and_a_third_key_are_told_by_dash_and_panel(sweep):
    figure = plots.overlaid(sweep.runs, "content_weight", others=["style", "stop_eps"])
    assert len(figure.axes) == 4  # total and eps for each of two thresholds
    assert [axes.get_title() for axes in figure.axes[::2]] == ["stop_eps=0.005", "stop_eps=0.006"]
    looks = [(str(line.get_color()), line.get_linestyle()) for line in figure.axes[0].lines]
    assert len(looks) == len(set(looks)) == 6
    (legend,) = figure.legends
    labels = [text.get_text() for text in legend.get_texts()]
    assert labels == ["3", "10", "30", "style", "vangogh", "lilies"]
    figure = plots.overlaid(sweep.runs, "style", others=["stop_eps", "content_weight", "seed"])
    assert "not told apart: seed" in figure.get_suptitle()


def test_epochs_are_whole_and_the_rounding_at_the_start_is_left_out():
    losses = {"total": [4.0, 2, 1, 1], "content_loss": [1e-14, 0.1, 0.2, 0.2]}
    curve = pd.DataFrame({"epoch": range(4), **losses, "eps": [math.nan, 0.5, 0.2, 0.1]})
    figure = plots.single(curve, title="", stop_eps=0.005)
    left, right = figure.axes
    assert all(tick == round(tick) for tick in left.get_xticks())
    shown = {line.get_label(): line.get_ydata() for line in left.lines}
    assert np.isnan(shown["content loss"][0])
    assert shown["content loss"][1] == 0.1
    assert shown["total loss"][0] == 4
    legend = [text.get_text() for text in right.get_legend().get_texts()]
    assert not any("stop_eps" in label for label in legend)  # which stands at the line itself
    assert "stop_eps = 0.005" in [text.get_text() for text in right.texts]


def test_the_margins_of_a_run_hold_its_title_and_numbers():
    """They are set and not computed, which would take longer than the drawing."""
    losses = {"total": [1.57e7, 2e6, 1.55e6], "eps": [math.nan, 1.5e-5, 1e-6]}
    curve = pd.DataFrame({"epoch": range(3), **losses})
    figure = plots.single(curve, title="a long title " * 12, stop_eps=0)
    assert figure.get_layout_engine() is None
    figure.canvas.draw()
    heading = figure.findobj(lambda a: getattr(a, "get_text", str)() == figure.get_suptitle())[0]
    assert heading.get_text().count("\n") == 1
    for axes in figure.axes:
        place = axes.get_tightbbox()
        assert figure.bbox.x0 <= place.x0 < place.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= place.y0 < place.y1 <= heading.get_window_extent().y0
    left, right = (axes.get_tightbbox() for axes in figure.axes)
    assert left.x1 < right.x0


def test_few_ticks_stand_between_the_numbers_of_a_run():
    curve = pd.DataFrame({"epoch": range(3), "total": [1e4, 1.0, 1e-3], "eps": [1.0, 0.3, 0.1]})
    wide, narrow = plots.single(curve, title="", stop_eps=0).axes
    low, high = wide.get_ylim()
    between = [tick for tick in wide.yaxis.get_minorticklocs() if low <= tick <= high]
    assert {f"{tick:.0e}"[0] for tick in between} == {"2", "5"}
    assert not len(narrow.yaxis.get_minorticklocs())


def test_a_curve_without_an_epoch_is_drawn(tmp_path):
    curve = pd.DataFrame({"epoch": [0], "total": [3.0], "eps": [math.nan]})
    left, right = plots.single(curve, title="", stop_eps=0).axes
    assert left.lines[0].get_marker() == "o"
    assert left.get_xlim() == (-1, 1)
    one_epoch = pd.DataFrame({"epoch": [0, 1], "total": [3.0, 2], "eps": [math.nan, 0.1]})
    assert plots.single(one_epoch, title="", stop_eps=0.005).axes[1].get_xlim() == (0, 2)
    assert "no values yet" in [text.get_text() for text in right.texts]


def test_titles_say_photo_painting_recipe_and_size(sweep):
    figure = plots.overlaid(sweep.runs, "content_weight")
    assert figure.get_suptitle() == "content: chelsea, recipe: nstrep, 24 x 16 pixels"
    run = sweep.runs[0]
    replaced = {"stand_in_for": "The Starry Night", "source": "stand_ins/swirls.webp"}
    stood_in = replace(run, metrics={**run.metrics, "style": replaced})
    for figure in (plots.denoise_strip(stood_in), plots.contact_sheet([stood_in], [])):
        title = figure.get_suptitle().replace("\n", " ")
        assert "content: chelsea, style: vangogh (stand-in: swirls), recipe: nstrep" in title


def test_losses_by_layer(sweep):
    (styles,) = plots.by_layer(sweep.runs[:1], None).axes
    layers = [line.get_label() for line in styles.lines]
    assert layers == ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"]
    column = sweep.runs[0].curve["style_loss.relu2_1"]
    np.testing.assert_allclose(styles.lines[1].get_ydata(), column)
    (styles,) = plots.by_layer(sweep.runs, "style", others=["stop_eps"]).axes
    assert [label.get_text() for label in styles.get_xticklabels()] == layers
    assert len(styles.lines) == 12
    assert styles.lines[0].get_ydata()[1] == column.iloc[-1]


def test_runs_that_were_not_one_sweep_give_few_figures(tmp_path):
    for number, typed in enumerate(
        ("seed=1", "content_weight=3", "lr=2,optimizer=adam", "recipe=gatys2015,max_num_epochs=9",
         "style=lilies,seed=5", "content=coffee,max_long_edge=48", "stop_eps=0.1,tv_weight=0.3")
    ):  # fmt: skip
        write_run(tmp_path / str(number), *typed.split(","))
    sweep = load_sweep(tmp_path)
    assert len(sweep.swept) > 7
    names = [name for kind in (plot.curves, plot.final, plot.grid) for name, _ in kind(sweep)]
    assert len(names) <= 7
    assert plot.compared(load_sweep(tmp_path / "0")) == []
    write_run(tmp_path / "7", "content_weight=3", "style=lilies")
    assert plot.compared(load_sweep(tmp_path)) == ["style"]


def test_a_sheet_says_which_keys_it_does_not_show(tmp_path, monkeypatch):
    monkeypatch.setattr(plot, "MOST_CAPTIONED", 3)
    typed = ("seed=1,lr=2", "seed=2,lr=3", "content_weight=3,tv_weight=1", "style=lilies,lr=4")
    for number, keys in enumerate(typed):
        write_run(tmp_path / str(number), *keys.split(","))
    ((_, figure),) = plot.grid(sweep := load_sweep(tmp_path))
    assert len(sweep.swept) > 3
    hidden = ", ".join(sweep.swept[3:])
    assert f"not shown: {hidden}" in figure.get_suptitle().replace("\n", " ")


def test_the_changes_of_scale_are_marked_where_all_runs_have_the_same(sweep):
    runs = [replace(run, curve=run.curve.assign(scale=[32] * 5 + [48] * 8)) for run in sweep.runs]
    for figure in (
        plots.overlaid(runs, "content_weight"),
        plots.single(runs[0].curve, title="a", stop_eps=0.0),
    ):
        for axes in figure.axes:
            (mark,) = (line for line in axes.lines if line.get_linestyle() == ":")
            assert list(mark.get_xdata()) == [4.5, 4.5]
    runs[0] = replace(runs[0], curve=runs[0].curve.assign(scale=[32] * 6 + [48] * 7))
    figure = plots.overlaid(runs, "content_weight")
    assert all(line.get_linestyle() != ":" for axes in figure.axes for line in axes.lines)


def test_mixed_formulas_are_shown_relative_to_their_start(tmp_path):
    write_sweep(tmp_path, "recipe=nstrep,gatys2015")
    ((_, figure),) = plot.curves(load_sweep(tmp_path))
    assert [line.get_ydata()[0] for line in figure.axes[0].lines] == [1, 1]
    assert any("share of its start" in word for word in words(figure))


def test_the_final_loss_against_a_number_and_against_words(sweep):
    done = [run for run in sweep.runs if run.status == "finished"]
    figure = plots.against(done, "content_weight", colour="style", alike=["stop_eps"])
    total = figure.axes[0]
    assert len(total.lines) == 4  # 2 styles x 2 thresholds
    found = {(x, y) for line in total.lines for x, y in line.get_xydata().tolist()}
    assert found == {(run.value("content_weight"), run.metrics["losses"]["total"]) for run in done}
    assert total.get_xscale() == "log"
    figure = plots.against(done, "style", colour="content_weight")
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == [
        "vangogh", "lilies",
    ]  # fmt: skip


def test_terms_are_free_of_their_weights(sweep):
    run = sweep.runs[-1]
    assert run.value("content_weight") == 30
    assert final_number(run, "content_term") == run.metrics["losses"]["content_loss"] / 30
    assert math.isnan(final_number(run, "no such"))
    assert final_number(run, "megapixels") == 16 * 24 / 1e6


def test_colour_goes_to_the_key_that_tells_the_most(sweep):
    assert most_telling(sweep.runs, ["stop_eps", "style", "content_weight"]) == "content_weight"
    assert most_telling(sweep.runs, []) is None


def test_the_pareto_front():
    points = [(1, 5), (2, 3), (2, 4), (3, 3), (4, 1), (5, 1), (1, 6), (1, 5)]
    front = pareto(points)
    assert front == [(1, 5), (2, 3), (4, 1)]
    for x, y in points:
        dominated = any(a <= x and b <= y and (a, b) != (x, y) for a, b in points)
        assert dominated != ((x, y) in front)


def test_the_tradeoff_parts_what_does_not_compare(sweep):
    figure = plots.tradeoff(sweep.runs, sweep.swept)
    assert [axes.get_title() for axes in figure.axes] == ["style=vangogh", "style=lilies"]
    with pytest.raises(NothingToDraw, match="no two finished runs"):
        plots.tradeoff(sweep.runs[:1], sweep.swept)


def test_a_grid_is_labelled_and_says_what_is_missing(sweep):
    lilies = [run for run in sweep.runs if run.value("style") == "lilies"]
    figure = plots.grid(lilies[:-1], "content_weight", "stop_eps")
    assert [axes.get_title() for axes in figure.axes[:2]] == ["0.005", "0.006"]
    assert [axes.get_ylabel() for axes in figure.axes[::2]] == ["3", "10", "30"]
    assert "failed:\nno space left" in words(figure)
    assert "not run" in words(figure)
    shown = figure.axes[2].images[0].get_array()
    first = next(
        r for r in lilies if (r.value("content_weight"), r.value("stop_eps")) == (10, 0.005)
    )
    np.testing.assert_array_equal(shown, first.picture)


def test_the_denoise_strip_filters_the_raw_result(sweep):
    from nstrep.images.filters import remove_noise

    run = sweep.runs[0]
    figure = plots.denoise_strip(run, {"tv": (0.1,), "gaussian": (1.0, 2.0)}, side=8)
    shown = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    assert len(shown) == 6
    np.testing.assert_allclose(shown[2], remove_noise(run.raw, 0.1, "tv")[4:12, 8:16])
    with pytest.raises(NothingToDraw, match=r"raw\.npz"):
        plots.denoise_strip(replace(run, path=sweep.path / "none"))


def test_cost_needs_sizes(sweep, tmp_path):
    with pytest.raises(NothingToDraw, match="one size"):
        plots.cost(sweep.runs)
    for edge in (32, 64):
        write_run(tmp_path / str(edge), f"max_long_edge={edge}", size=(edge // 2, edge))
    figure = plots.cost(load_sweep(tmp_path).runs)
    np.testing.assert_allclose(figure.axes[0].lines[0].get_xdata(), [512e-6, 2048e-6])


def test_looks_differ_for_every_level():
    for levels in ([f"w{n}" for n in range(28)], list(range(50))):
        found = {(str(look["color"]), look.get("linestyle")) for look in looks(levels).values()}
        assert len(found) == len(levels)


def test_hostile_names_are_drawn_as_text(tmp_path):
    for number, name in enumerate(("$\\frac{", "_hidden", "a\nb\x1b[0m", "名")):
        write_run(tmp_path / str(number), f"style.name={name!r}", overrides=False)
        config = tmp_path / str(number) / "config.yaml"
        assert "style" in config.read_text()
    written, _ = plot.draw(load_sweep(tmp_path), ["curves", "final", "grid"], tmp_path / "out")
    assert any(path.name == "curves_style.svg" for path in written)
    assert text("_a") != "_a"


def test_the_command_draws_what_makes_sense(tmp_path, capsys):
    write_sweep(tmp_path / "s", "content_weight=3,10", "stop_eps=0.006,0.005")
    plot.main([str(tmp_path / "s")])
    out = capsys.readouterr().out
    assert "left out: cost: the runs have one size" in out
    kinds = ["curves_content_weight", "final_stop_eps", "grid_content_weight_stop_eps"]
    for name in (*kinds, "tradeoff", "denoise"):
        with Image.open(tmp_path / "s" / "plots" / f"{name}.png") as image:
            assert min(image.size) > 200
        assert (tmp_path / "s" / "plots" / f"{name}.svg").read_text().startswith("<?xml")


def test_axes_can_be_asked_for(sweep, tmp_path):
    plot.main([str(sweep.path), "grid", "--x", "style", "--y", "stop_eps", "--out", str(tmp_path)])
    names = {path.stem for path in tmp_path.iterdir()}
    assert names == {f"grid_stop_eps_style_{number}" for number in (1, 2, 3)}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nope"], "nope: must be one of curves, layers, final, grid"),
        (["cost"], "cost: the runs have one size"),
        (["curves", "--x", "nope"], "--x nope: no run has this key; swept: content_weight"),
        (["curves", "--y", "nope"], "--y nope: no run has this"),
        (["--out", "/proc/nowhere"], "/proc/nowhere: cannot be written"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(sweep, capsys, arguments, said):
    with pytest.raises(SystemExit) as ended:
        plot.main([str(sweep.path), *arguments])
    assert ended.value.code in (2, 4)
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_one_run_and_failed_runs(tmp_path, capsys):
    write_run(tmp_path / "one", "content_weight=20")
    plot.main([str(tmp_path / "one")])
    assert (tmp_path / "one/plots/curves.png").exists()
    write_run(tmp_path / "bad" / "a", status="failed", reason="content_image=x: no such file")
    with pytest.raises(SystemExit):
        plot.main([str(tmp_path / "bad")])
    assert "no run has" in capsys.readouterr().err


def test_equal_runs_give_equal_files(sweep, tmp_path):
    for name in ("a", "b"):
        plots.save(plots.overlaid(sweep.runs, "style"), tmp_path / name)
    for kind in ("png", "svg"):
        assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()


def test_runs_whose_pictures_are_all_damaged_are_a_line(tmp_path):
    for index in range(2):
        run = write_run(tmp_path / str(index), f"content_weight={index + 1}", seed=index)
        (run / "final.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(NothingToDraw, match="no run has a picture that can be read"):
        list(plot.grid(load_sweep(tmp_path)))
