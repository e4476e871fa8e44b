"""The tuned graph against the plain one of tests/plain.py."""

import mxnet as mx
import numpy as np
import pytest

from nstrep.experiment import problem, run
from tests.conftest import SMALL
from tests.plain import plain


@pytest.mark.parametrize("recipe", ["nstrep", "gatys2015", "mxnet2016"])
@pytest.mark.parametrize(("tile", "edge"), [("null", 96), (192, 240)])
def test_tuning_changes_no_more_than_rounding(config, rng, recipe, tile, edge):
    common = (
        *SMALL, f"recipe={recipe}", f"max_long_edge={edge}", "tv_weight=0", "init=content",
        "losses.feature_scale=1",
    )  # fmt: skip
    settings = config(*common, f"tile={tile}")
    inputs = run.load_inputs(settings)
    whole = problem.objective(config(*common, "tile=null"), inputs)
    tuned = problem.objective(settings, inputs)
    assert str(tuned.tile) == {"null": "None"}.get(tile, str(tile))
    at = inputs.start + rng.normal(0, 20, inputs.start.shape).astype(np.float32)
    expected, slope = plain(settings, inputs, whole)(at)
    slope = slope.asnumpy()
    found = tuned(at)
    for name, value in expected.items():
        assert found.losses[name] == pytest.approx(value.asscalar(), rel=1e-5), name
    gradient = found.gradient
    gradient = gradient.asnumpy() if isinstance(gradient, mx.nd.NDArray) else gradient
    # Where the input of a ReLU is zero up to rounding, the gradient of a few pixels around differs.
    difference = abs(gradient - slope)
    assert np.quantile(difference, 0.95) < 1e-6 * abs(slope).max()
    assert np.linalg.norm(difference) < 1e-4 * np.linalg.norm(slope)
