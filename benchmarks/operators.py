"""Where the time of an iteration goes: MXNet's operators, in the plain graph and in the tuned one.

python -m benchmarks.operators                    # a minute; one thread

The plain graph is that of tests/plain.py, MXNet's own operators and autograd; the tuned one is what
runs. By MXNet's profiler.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["MXNET_EXEC_BULK_EXEC_TRAIN"] = "0"  # or the profiler sees segments, not operators

import mxnet as mx

from benchmarks import harness, ours
from nstrep.experiment import problem, run
from tests.plain import plain

CASES = {
    "vgg19_slim, default recipe, 512 x 341": ("model=vgg19_slim",),
    "VGG-19 (random), Gatys 2015, 320 x 213": (
        "model=vgg19", "weights.path=random", "recipe=gatys2015", "max_long_edge=320",
    ),
}  # fmt: skip
MOST = 8
"""Operators of each graph, the longest first."""


def profiled(work, rounds: int) -> dict[str, float]:
    """Milliseconds of each operator, a round; the first is not counted."""
    work()
    mx.nd.waitall()
    with tempfile.TemporaryDirectory() as folder:
        mx.profiler.set_config(
            profile_symbolic=True, profile_imperative=True, aggregate_stats=True,
            filename=f"{folder}/profile.json",
        )  # fmt: skip
        mx.profiler.set_state("run")
        for _ in range(rounds):
            work()
        mx.nd.waitall()
        mx.profiler.set_state("stop")
        found = json.loads(mx.profiler.dumps(reset=True, format="json"))
    times = found["Time"]["operator"]
    return {name: each["Total"] / rounds for name, each in times.items()}


def main() -> None:
    """Profile, print a table, write the CSV."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    rows = []
    for case, overrides in CASES.items():
        config = ours.composed("style=swirls", "tv_weight=0", "tile=null", *overrides)
        inputs = run.load_inputs(config)
        tuned = problem.objective(config, inputs)
        first = plain(config, inputs, tuned)
        graphs = {
            "plain": lambda p=inputs, f=first: f(p.start)[1].wait_to_read(),
            "tuned": lambda p=inputs, t=tuned: t(p.start).gradient.wait_to_read(),
        }
        for graph, work in graphs.items():
            found = profiled(work, given.rounds)
            ordered = sorted(found.items(), key=lambda item: -item[1])
            named = [*ordered[:MOST], ("all others", sum(each for _, each in ordered[MOST:]))]
            rows += [
                {"case": case, "graph": graph, "operator": name, "ms": ms, "load": harness.load()}
                for name, ms in named
            ]
    harness.write_csv("operators", rows)
    print(summary(rows))


def summary(rows: list[dict]) -> str:
    """Milliseconds by operator, the longest first."""
    lines = [[row["case"], row["graph"], row["operator"], float(row["ms"])] for row in rows]
    return harness.table(("case", "graph", "operator", "ms an iteration"), lines)


if __name__ == "__main__":
    main()
