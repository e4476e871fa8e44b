"""The run that a first-time user makes, at its full size: about a minute."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from nstrep.experiment import run


@pytest.mark.slow
@pytest.mark.parametrize("override", ["content_weight=10", "content_weight=20"])
def test_the_default_run_reaches_its_stop_and_a_tenth_of_the_start(config, tmp_path, override):
    metrics = run.run(config(override), tmp_path / "run")
    assert metrics["stop_reason"] in ("stop_eps", "max_num_epochs")
    assert metrics["losses"]["total"] < 0.1 * metrics["losses_at_start"]["total"]
    assert pd.read_csv(tmp_path / "run/curve.csv")["total"].is_monotonic_decreasing
    # Neither the photo again nor noise: neighbours are alike, the photo is still there.
    picture = np.asarray(Image.open(tmp_path / "run/final.png").convert("L"), dtype=float)
    neighbours = np.corrcoef(picture[:, 1:].ravel(), picture[:, :-1].ravel())[0, 1]
    assert neighbours > 0.8
    assert 0.1 < metrics["ssim"] < 0.8
