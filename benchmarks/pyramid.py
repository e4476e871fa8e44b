"""Time to the quality of one scale, by one scale and from coarse to fine.

python -m benchmarks.pyramid                                # 1024 px, both networks: an hour
python -m benchmarks.pyramid --size 256 --scales [64,128,256] --evaluations 20    # a minute

The goal is the total loss at full size that a run at this size alone, from the content image, has
after so many evaluations. The run over several scales counts all of its time, targets included.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from pathlib import Path

from benchmarks import harness

NETWORKS = {
    "vgg19_slim": ("model=vgg19_slim",),
    "vgg19": ("model=vgg19", "weights.path=random"),  # its architecture
}


def main() -> None:
    """Measure in rounds, print a table, write the CSV."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="*", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--evaluations", type=int, default=100, help="of the single-scale run")
    parser.add_argument("--scales", default="auto")
    parser.add_argument("--coarse-epochs", default="50")
    parser.add_argument("--rounds", type=int, default=1)
    given = parser.parse_args()
    for model in given.models:
        rows: list[dict] = []
        common = (*NETWORKS[model], f"max_long_edge={given.size}", "max_num_epochs=1000")
        several = (f"scales={given.scales}", f"coarse_epochs={given.coarse_epochs}")
        follow([*NETWORKS[model], "max_long_edge=64", "max_num_epochs=1"])  # loads everything
        for turn in range(given.rounds):
            single = follow(common, evaluations=given.evaluations)
            ways = {
                "one scale": single,
                "from coarse to fine": follow([*common, *several], goal=single["loss"]),
            }
            for way, found in ways.items():
                about = {"model": model, "size": given.size, "way": way, "round": turn}
                rows.append({**about, **found, "load": harness.load()})
                harness.progress(str(rows[-1]))
        harness.write_csv(f"pyramid_{model}_{given.size}", rows)
        print(summary(rows))


def follow(overrides: list[str], goal: float = 0.0, evaluations: float = math.inf) -> dict:
    """Run until the loss at full size is at the goal, or after so many evaluations there."""
    from hydra import compose, initialize_config_dir

    from nstrep import cli
    from nstrep.config.checks import check
    from nstrep.experiment import run

    with initialize_config_dir(version_base="1.3", config_dir=str(cli.config_folder())):
        quiet = ("stop_eps=0", "save_epochs=0", "checkpoint_seconds=null", "remove_noise=0")
        config = check(compose("config", [*overrides, *quiet]))
    found: dict = {}
    before = 0  # evaluations at the coarser scales

    def observe(step) -> bool:
        nonlocal before
        if max(step.image.shape[2:]) < config.max_long_edge:
            before = step.evaluations
            return False
        loss = step.losses["total"]
        found.update(seconds=time.perf_counter() - began, loss=loss)
        found.update(evaluations=step.evaluations - before, coarse_evaluations=before)
        return loss <= goal or found["evaluations"] >= evaluations

    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        run.run(config, Path(folder) / "run", callback=observe)
    return found


def summary(rows: list[dict]) -> str:
    """Median seconds to the goal, their share of one scale's, and the evaluations of the loss."""
    seconds = harness.medians(rows, "way", "seconds")
    first = next(iter(seconds.values()))
    evaluations = harness.medians(rows, "way", "evaluations")
    coarse = harness.medians(rows, "way", "coarse_evaluations")
    return harness.table(
        ("way", "seconds", "of one scale's", "evaluations at full size", "at coarser scales"),
        [
            [way, value, value / first, int(evaluations[way]), int(coarse[way])]
            for way, value in seconds.items()
        ],
    )


if __name__ == "__main__":
    main()
