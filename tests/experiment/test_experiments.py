"""Every experiment of configs/experiment/, for two epochs at 64 pixels."""

import pytest
from hydra import compose

from nstrep.claims.plan import Scale, expand
from nstrep.claims.schema import RunSet
from nstrep.config.checks import check
from nstrep.config.folder import group_options
from nstrep.experiment import run

TINY = Scale("tiny", "", ["max_long_edge=64", "max_num_epochs=2", "model=vgg19_slim"])


@pytest.mark.parametrize("name", group_options("experiment"))
def test_two_epochs(name, hydra_ready, tmp_path):
    rows = list(expand(RunSet(experiment=name), TINY))
    assert len(rows) > 1 or name in ("preview", "poster")
    for number, (overrides, _) in enumerate((rows[0], rows[-1])):
        small = [each for each in overrides if not each.startswith("max_long_edge=")]
        metrics = run.run(
            check(compose("config", [*small, "max_long_edge=64"])), tmp_path / str(number)
        )
        assert metrics["status"] == "finished"
        assert metrics["epochs"] == 2
        assert (tmp_path / str(number) / "final.png").stat().st_size > 0
