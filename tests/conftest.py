"""Small networks, pictures and configurations that the tests share."""

import os
from pathlib import Path

# pytest-xdist runs a process on each core; several threads in each would be in each other's way.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from hydra import compose, initialize_config_dir

from nstrep import cli
from nstrep.config.checks import check
from nstrep.config.schema import ExperimentConfig
from nstrep.networks.vgg import Architecture
from nstrep.networks.weights import Weights

TINY = Architecture("tiny", depths=(2, 2, 1), widths=(4, 6, 8))


def by_kind(content, style, tv, extra=None):
    """What the terms of an objective are made from: weights by layer, the total variation's."""
    return {"content_loss": content, "style_loss": style, "tv_loss": tv, **(extra or {})}


@pytest.fixture
def rng():
    return np.random.Generator(np.random.PCG64(7))


@pytest.fixture(scope="session")
def tiny() -> tuple[Architecture, Weights]:
    """A three-block VGG with random weights of about unit gain."""
    rng = np.random.Generator(np.random.PCG64(3))
    arrays = {}
    for layer in TINY.convolutions:
        for name, shape in layer.shapes.items():
            scale = 1.0 if name.endswith("bias") else np.sqrt(2 / (9 * layer.in_channels))
            arrays[name] = rng.normal(0, scale, shape).astype(np.float32)
    return TINY, Weights(arrays, "tests", "0" * 64)


@pytest.fixture
def image(rng):
    """Make a smooth random ``vgg_input`` image (1, 3, H, W)."""

    def make(height, width):
        x = rng.normal(0, 60, (1, 3, height, width))
        return ((x + np.roll(x, 1, 2) + np.roll(x, 1, 3)) / 2).astype(np.float32)

    return make


@pytest.fixture(scope="module")
def hydra_ready():
    """Hydra knows the folder of configurations, for code that composes by itself."""
    with initialize_config_dir(version_base="1.3", config_dir=str(cli.config_folder())):
        yield


@pytest.fixture
def composed():
    """Compose configurations as the command line does."""
    with initialize_config_dir(version_base="1.3", config_dir=str(cli.config_folder())):
        yield lambda *overrides: compose("config", overrides=list(overrides))


@pytest.fixture
def config(composed):
    """Compose and check."""
    return lambda *overrides: check(composed(*overrides))


SMALL = ("max_long_edge=48", "max_num_epochs=3", "stop_eps=0", "model=vgg19_slim", "style=swirls")
"""An experiment of about a second."""


@pytest.fixture
def small(config) -> ExperimentConfig:
    return config(*SMALL)


@pytest.fixture
def run_command(tmp_path, monkeypatch):
    """Run ``python -m nstrep.run`` in its own process: returncode, stdout and stderr."""
    import subprocess
    import sys

    def run(*arguments, folder: Path = tmp_path, **environment):
        import os

        return subprocess.run(
            [sys.executable, "-m", "nstrep.run", *arguments],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[1]), **environment},
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run


@pytest.fixture
def run_python():
    """Run code in a fresh interpreter that imports this checkout; what it printed."""
    import os
    import subprocess
    import sys

    def run(code: str) -> str:
        return subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[1])},
            capture_output=True,
            text=True,
            check=True,
            timeout=300,
        ).stdout

    return run
