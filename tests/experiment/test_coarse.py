"""A start from half the size."""

import numpy as np
import pytest

from nstrep.base.errors import InputError
from nstrep.experiment import image_inputs, multiscale, run
from tests.conftest import SMALL


@pytest.mark.parametrize(("height", "width"), [(10, 8), (9, 7), (20, 13)])
def test_sizes_change_without_loss_of_what_both_can_hold(rng, height, width):
    small = rng.normal(size=(1, 3, height, width))
    large = multiscale.resized(small, 2 * height + 1, 2 * width)
    np.testing.assert_allclose(multiscale.resized(large, height, width), small, atol=1e-9)
    assert large.mean() == pytest.approx(small.mean())
    flat = multiscale.resized(np.full((1, 3, 8, 8), 7.0), 17, 15)
    np.testing.assert_allclose(flat, 7.0)


def fine(image):
    """What half the size cannot hold."""
    half = multiscale.resized(image, image.shape[2] // 2, image.shape[3] // 2)
    return image - multiscale.resized(half, *image.shape[2:])


def test_it_begins_lower_and_keeps_the_fine_structures(config, tmp_path):
    plain = run.run(config(*SMALL, "max_long_edge=96"), tmp_path / "plain")
    settings = config(*SMALL, "max_long_edge=96", "multiscale=12", "checkpoint_seconds=0")
    seen = []

    def callback(step):
        seen.append(step.image.copy())

    found = run.run(settings, tmp_path / "coarse", callback=callback)
    assert found["losses_at_start"]["total"] < 0.7 * plain["losses_at_start"]["total"]
    assert found["losses"]["total"] < plain["losses"]["total"]
    start = run.load_inputs(settings).start
    np.testing.assert_allclose(fine(seen[0]), fine(start), atol=1e-2)
    assert not np.allclose(seen[0], start, atol=5)


def test_its_start_is_within_the_bounds(config, tmp_path):
    starts = {}
    for bounds in ("false", "true"):
        settings = config(
            *SMALL, "max_long_edge=96", "multiscale=6", "max_num_epochs=1", "basis=pixels",
            f"bounds={bounds}", "content_weight=0.01", "style_scale=0.5",
        )  # fmt: skip
        seen = starts[bounds] = []

        def callback(step, seen=seen):
            seen.append(step.image.copy())

        run.run(settings, tmp_path / bounds, callback=callback)
        low, high = image_inputs.bounds(config(*SMALL, "basis=pixels", "bounds=true"))
        inside = all(((low - 1e-4 <= x) & (x <= high + 1e-4)).all() for x in seen)
        assert inside == (bounds == "true")


def test_a_run_that_goes_on_does_not_begin_small_again(config, tmp_path, caplog):
    settings = config(*SMALL, "max_long_edge=96", "multiscale=3", "checkpoint_seconds=0")
    whole = run.run(settings, tmp_path / "whole")

    def callback(step):
        if step.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.run(settings, tmp_path / "cut", callback=callback)
    caplog.clear()
    caplog.set_level("INFO")
    assert run.run_once(settings, tmp_path / "cut")["losses"] == whole["losses"]
    assert "multiscale" not in caplog.text


def test_half_the_size_can_be_too_small(config, tmp_path):
    with pytest.raises(InputError, match="max_long_edge=20"):
        run.run(config(*SMALL, "max_long_edge=40", "multiscale=3"), tmp_path / "a")
