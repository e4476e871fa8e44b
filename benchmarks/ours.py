"""nstrep on the benchmarks' problem, in a process of its own; prints JSON.

python -m benchmarks.ours PROBLEM.npz MODEL iterate START COUNT [TILE]
python -m benchmarks.ours PROBLEM.npz MODEL optimise START LOSS EPOCHS POWER
python -m benchmarks.ours PROBLEM.npz MODEL recipe RECIPE OPTIMIZER LOSS EPOCHS [START COARSE]
"""

from __future__ import annotations

import json
import math
import sys

import numpy as np
from hydra import compose, initialize_config_dir

import nstrep  # noqa: F401  first of all
from benchmarks import harness
from nstrep import cli
from nstrep.base import process_memory
from nstrep.config.checks import check
from nstrep.config.schema import ExperimentConfig
from nstrep.experiment import memory_plan
from nstrep.experiment.scales import resized
from nstrep.losses.objective import Objective, term_settings
from nstrep.losses.regions import whole
from nstrep.networks.features import Network
from nstrep.networks.vgg import ARCHITECTURES
from nstrep.networks.weights import Weights
from nstrep.optim.basis import make_basis
from nstrep.optim.minimize import Step, minimize
from nstrep.optim.problem import Problem


def main() -> None:
    """Read the problem, do what is asked, print one line."""
    path, model, what, *rest = sys.argv[1:]
    problem = np.load(path)
    network = load_network(problem, model, "avg", "zero")
    print(json.dumps({"iterate": iterate, "optimise": optimise, "recipe": recipe}[what](
        problem, network, *rest
    )))  # fmt: skip


def load_network(problem: np.lib.npyio.NpzFile, model: str, pooling: str, padding: str) -> Network:
    """The problem's weights as a network."""
    arrays = {
        name.partition(".")[2]: problem[name] for name in problem if name.startswith("weights.")
    }
    return Network(ARCHITECTURES[model], Weights(arrays, "benchmark", "0" * 64), pooling, padding)


def composed(*overrides: str) -> ExperimentConfig:
    """A checked configuration."""
    with initialize_config_dir(version_base="1.3", config_dir=str(cli.config_folder())):
        return check(compose("config", overrides=list(overrides)))


def gatys(problem: np.lib.npyio.NpzFile, network: Network, tile: int | None = None):
    """The objective of the problem: Gatys' losses, no total variation."""
    config = composed(
        "recipe=gatys2015",
        f"content_weight={harness.CONTENT_WEIGHT}",
        f"style_weight={float(problem['style_weight'])}",
        f"content_layers=[{harness.CONTENT_LAYER}]",
        f"style_layers=[{','.join(harness.STYLE_LAYERS)}]",
        "style_layer_weights=mean",
        "tv_weight=0",
    )
    return objective(problem, network, config, tile)


def objective(problem, network: Network, config: ExperimentConfig, tile: int | None = None):
    """The objective of a configuration on the problem's pictures."""
    regions = whole(problem["painting"])
    return Objective(network, problem["photo"], regions, term_settings(config), config.losses, tile)


def iterate(problem, network: Network, start: str, count: str, tile: str = "0") -> dict:
    """Time evaluations after one to warm up."""
    image = problem[start]
    before = process_memory.memory_mb()["now"]
    side = int(tile) or None
    process_memory.settle_malloc(keep=side is None)
    found = gatys(problem, network, side)
    process_memory.give_memory_back()
    first = found(image)
    first.gradient.asnumpy()
    seconds, cpu = [], []
    for _ in range(int(count)):
        clock = harness.Clock()
        found(image).gradient.asnumpy()
        wall, used = clock()
        seconds.append(wall)
        cpu.append(used)
    weights = {"content": [harness.CONTENT_LAYER], "style": list(harness.STYLE_LAYERS)}
    pixels = math.prod(image.shape[2:])
    objective_bytes = 3 * pixels * memory_plan.FLOAT * memory_plan.OBJECTIVE[side is not None]
    working = memory_plan.working_bytes(
        network, image.shape, [problem["painting"].shape], weights, side
    )
    estimate = memory_plan.FIXED + objective_bytes + working
    return {
        "seconds": seconds,
        "cpu": cpu,
        "peak_mb": harness.peak_mb(),
        "before_mb": before,
        "estimate_mb": estimate / 2**20,
        "losses": {name: value for name, value in first.losses.items() if "." in name},
        "gradient_norm": float(np.linalg.norm(first.gradient.asnumpy().astype(np.float64))),
    }  # fmt: skip


def optimise(problem, network: Network, start: str, goal: str, most: str, power: str) -> dict:
    """L-BFGS in the scaled cosine basis (power 0: in pixels) until the loss is at the goal."""
    basis = f"basis_power={power}" if float(power) else "basis=pixels"
    config = composed("recipe=nstrep", basis)
    found = follow(gatys(problem, network), problem[start], config, float(goal), int(most))
    del found["image"]
    return found


def recipe(
    problem, network: Network, name: str, optimizer: str, goal: str, most: str,
    start: str = "noise", coarse_epochs: str = "0",
) -> dict:  # fmt: skip
    """A recipe's own objective by an optimiser of ours or the recipe's own.

    The start is the photo, or the recipe's noise; with updates at half the size first, which count.
    """
    losses = composed(f"recipe={name}")
    config = losses if optimizer == "own" else composed(f"optimizer={optimizer}")
    shape = problem["photo"].shape
    rng = np.random.Generator(np.random.PCG64(0))
    noise = rng.uniform(-0.1, 0.1, shape).astype(np.float32)
    at = problem["photo"] if start == "photo" else noise
    epochs, clock = int(coarse_epochs), harness.Clock()
    if epochs:
        half = [side // 2 for side in shape[2:]]
        small = {key: resized(problem[key], *half) for key in ("photo", "painting")}
        low = resized(at, *half)
        change = follow(objective(small, network, losses), low, config, 0.0, epochs)["image"] - low
        at = at + resized(change, *shape[2:])
    spent = clock()
    found = follow(objective(problem, network, losses), at, config, float(goal), int(most))
    del found["image"]
    if epochs:  # an evaluation at half the size costs a quarter
        found["seconds"] += spent[0]
        found["cpu"] += spent[1]
        found["evaluations"] += epochs / 4
    return found


def follow(found: Objective, start: np.ndarray, config, goal: float, most: int) -> dict:
    """Minimise until the total is at most ``goal`` or ``most`` epochs are over."""
    problem = Problem(found, make_basis(config.basis, config.basis_power, *start.shape[2:]))
    seen: list[Step] = []
    best = math.inf

    def observe(step: Step) -> bool:
        nonlocal best
        best = min(best, step.losses["total"])
        seen[:] = [step]
        return best <= goal or step.epoch >= most

    process_memory.settle_malloc(keep=True)
    found(start).gradient.wait_to_read()
    clock = harness.Clock()
    minimize(problem, start, config.optimizer, config.lr or math.nan, observe)
    wall, cpu = clock()
    return {
        "seconds": wall,
        "cpu": cpu,
        "evaluations": seen[-1].evaluations,
        "epochs": seen[-1].epoch,
        "loss": best,
        "last_loss": seen[-1].losses["total"],
        "peak_mb": harness.peak_mb(),
        "image": seen[-1].image,
    }


if __name__ == "__main__":
    main()
