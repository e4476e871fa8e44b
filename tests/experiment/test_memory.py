import math

import pytest

from nstrep.base import process_memory
from nstrep.base.errors import InputError
from nstrep.config.schema import OptimizerConfig
from nstrep.experiment import memory_plan
from nstrep.losses import tiling
from nstrep.networks.features import Network
from nstrep.networks.vgg import ARCHITECTURES
from nstrep.networks.weights import random_weights

GB = 2**30
LAYERS = {"content": ["relu4_2"], "style": ["relu1_1", "relu5_1"]}


@pytest.fixture(scope="module")
def network():
    architecture = ARCHITECTURES["vgg19_slim"]
    return Network(architecture, random_weights(architecture, 0))


@pytest.fixture
def plan(network, config):
    def make(
        side, tile="auto", free=4 * GB, paintings=(), optimizer="adam", most="null", used=None,
        pixels=math.inf,
    ):  # fmt: skip
        settings = config(
            f"optimizer={optimizer}", f"tile={tile or 'null'}", "basis=pixels",
            f"max_memory_mb={most}",
        )  # fmt: skip
        shape = (1, 3, side, side)
        return memory_plan.plan(network, shape, paintings, LAYERS, settings, free, used, pixels)

    return make


def test_what_fits_is_computed_whole(plan):
    assert plan(512).tile is None


def test_what_does_not_fit_is_tiled_within_the_budget(plan, network):
    found = plan(3000)
    assert tiling.smallest_tile(network, [*LAYERS["content"], *LAYERS["style"]]) < found.tile < 3000
    assert found.bytes <= process_memory.SHARE * 4 * GB
    assert plan(3000, tile=None).bytes > process_memory.SHARE * 4 * GB
    assert plan(3000, free=8 * GB).tile > found.tile


def test_a_large_painting_counts(plan):
    assert plan(400, paintings=[(1, 3, 6000, 6000)]).tile is not None


def test_a_given_tile_is_taken(plan):
    assert plan(512, tile=300).tile == 300
    assert plan(512, tile=300).bytes < plan(512, tile=500).bytes


def test_corrections_count(plan):
    more = plan(2000, tile=512, optimizer="lbfgs_torch").bytes - plan(2000, tile=512).bytes
    assert more == 4 * 3 * 2000**2 * 2 * (100 - 1)  # Adam has two moments


def test_a_slow_plan_takes_more_memory_or_says_what_it_costs(plan, network, caplog):
    layers = [*LAYERS["content"], *LAYERS["style"]]
    size = plan(3000, tile=tiling.smallest_tile(network, layers), optimizer="lbfgs").bytes
    caplog.clear()
    roomy = plan(3000, free=size / process_memory.SHARE, optimizer="lbfgs")
    assert tiling.cost(network, layers, 3000, 3000, roomy.tile) < memory_plan.SLOW
    assert size < roomy.bytes < size / process_memory.SHARE
    assert not caplog.records
    slow = plan(3000, free=size, optimizer="lbfgs")
    times = tiling.cost(network, layers, 3000, 3000, slow.tile)
    assert f"tiles of {slow.tile} pixels take about {times:.0f} times as long" in caplog.text
    assert "fewer optimizer.corrections (20) or optimizer=adam" in caplog.text


def test_the_cost_of_tiles_is_their_area(network):
    layers = [*LAYERS["content"], *LAYERS["style"]]
    assert tiling.cost(network, layers, 300, 200, 300) == 1
    cut = tiling.spans(400, 240, network.architecture.margin(layers), 16)
    pixels = sum(span.stop - span.start for span in cut)
    assert tiling.cost(network, layers, 400, 240, 240) == pytest.approx(pixels / 400)


def test_what_cannot_fit_is_said(plan, caplog):
    assert plan(3000, free=GB / 4, optimizer="lbfgs").tile == 176
    assert "the run may not fit; take a smaller max_long_edge, fewer" in caplog.text


def test_each_scale_is_whole_or_in_tiles_within_the_limit(plan):
    scales = (360, 720, 1440, 2880)
    plans = [plan(side, free=64 * GB, most=4000, used=GB / 2) for side in scales]
    assert [found.tile is None for found in plans] == [True, True, True, False]
    assert all(found.bytes <= 4000 * 2**20 - GB / 2 for found in plans)
    assert all(plan(side, free=64 * GB).tile is None for side in scales)


def test_what_the_process_holds_counts_against_the_limit(plan):
    tiles = [plan(3000, most=3000, used=used).tile for used in (0, GB, 2 * GB)]
    assert tiles[0] > tiles[1] > tiles[2]
    assert plan(512, most=3000).tile is None  # what it finds: less than this


def test_the_smaller_of_limit_and_free_memory_decides(plan):
    assert plan(3000, most=64 * 1024, used=0) == plan(3000)
    assert plan(3000, free=64 * GB, most=2048, used=0).bytes <= 2 * GB
    assert plan(3000, free=GB, most=2048, used=0) == plan(3000, free=GB)


def test_a_coarser_scale_takes_no_larger_graph_than_the_last(plan):
    last = plan(2880, free=64 * GB, most=4000, used=GB / 2)
    whole, tiles = (
        plan(side, free=64 * GB, most=4000, used=GB / 2, pixels=last.pixels) for side in (720, 1440)
    )
    assert (whole.tile, whole.pixels) == (None, 720**2)
    assert tiles.tile is not None
    assert tiles.pixels <= last.pixels < 1440**2


def test_tiles_are_no_larger_than_what_is_faster(plan, network):
    layers, found = [*LAYERS["content"], *LAYERS["style"]], plan(3000)
    cost = lambda side: tiling.cost(network, layers, 3000, 3000, side)  # noqa: E731
    assert cost(found.tile) < cost(found.tile - 16)


def test_a_limit_that_is_too_small_is_one_line(plan, caplog):
    found = plan(3000, free=64 * GB, optimizer="lbfgs", most=700, used=GB / 2)
    assert found.tile == 176
    total = 512 + found.bytes / 2**20
    (line,) = (each.getMessage() for each in caplog.records if each.levelname == "WARNING")
    assert line == (
        f"max_memory_mb=700: the run may need {total:.0f} MB; take a smaller max_long_edge,"
        " fewer optimizer.corrections (20) or optimizer=adam"
    )


def test_the_limit_must_be_above_0(config):
    with pytest.raises(InputError, match="max_memory_mb=0: must be above 0"):
        config("max_memory_mb=0")


@pytest.mark.parametrize("version", [1, 2])
def test_the_limits_of_cgroups(tmp_path, version):
    names = {
        1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        2: ("memory.max", "memory.current", "inactive_file"),
    }[version]
    top = tmp_path / "memory" if version == 1 else tmp_path
    for place, limit in ((top / "a" / "b", 700), (top / "a", 500), (top, "max")):
        place.mkdir(parents=True, exist_ok=True)
        (place / names[0]).write_text(f"{limit}\n")
        (place / names[1]).write_text("300\n")
        (place / "memory.stat").write_text(f"anon 5\n{names[2]} 100\n")
    line = {1: "3:cpu,cpuacct:/x\n4:memory:/a/b\n", 2: "0::/a/b\n"}[version]
    assert sorted(process_memory._cgroup_headroom(tmp_path, line)) == [300, 500]
    assert process_memory._cgroup_headroom(tmp_path / "none", line) == []


def test_there_is_memory():
    assert 2**24 < process_memory.available() < 2**45


def test_processes_of_a_sweep_share_the_memory(monkeypatch):
    monkeypatch.setattr(process_memory, "_cgroup_headroom", lambda: [800.0])
    assert process_memory.available() == 800
    monkeypatch.setenv(process_memory.PROCESSES_VARIABLE, "1")
    process_memory.share_memory(4)
    assert process_memory.available() == 200


def test_settings_without_corrections():
    nothing = dict.fromkeys(OptimizerConfig.__dataclass_fields__)
    assert (
        memory_plan.picture_arrays(OptimizerConfig(**{**nothing, "name": "sgd"}), "pixels", False)
        > 0
    )


def test_strips_of_earlier_versions_are_read_as_auto(config, caplog):
    assert config("tile=strips").tile == "auto"
    assert "tile=strips: no longer exists, taken as tile=auto" in caplog.text
