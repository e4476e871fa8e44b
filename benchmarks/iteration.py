"""Seconds and memory of one iteration (losses and image gradient) against PyTorch.

python -m benchmarks.iteration                             # VGG-19, 512 px, a few minutes
python -m benchmarks.iteration --model vgg19_slim --size 256 --rounds 2
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks import harness

LAYOUTS = ("eager", "channels_last", "compile")


def main() -> None:
    """Measure in rounds, check the losses, print a table and write the CSV."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=harness.MODELS, default="vgg19")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=3, help="iterations in each process")
    parser.add_argument("--layouts", nargs="*", choices=LAYOUTS, default=LAYOUTS)
    given = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        problem = Path(folder) / "problem.npz"
        harness.write_problem(problem, given.model, given.size)
        ours = ("benchmarks.ours", problem, given.model, "iterate", "noise", given.count)
        peers = {"nstrep": ours}
        for layout in given.layouts:
            peers[f"torch {layout}"] = (
                "benchmarks.torch_peer", problem, layout, "iterate", "noise", given.count
            )  # fmt: skip
        losses: dict[str, dict] = {}
        for turn in range(given.rounds):
            for name, (module, *arguments) in list(peers.items()):
                harness.progress(f"round {turn + 1}: {name}")
                load = harness.load()
                try:
                    found = harness.child(module, *arguments)
                except SystemExit as error:
                    harness.progress(f"{name} does not work here: {str(error)[-300:]}")
                    del peers[name]
                    continue
                losses[name] = {**found["losses"], "gradient": found["gradient_norm"]}
                for wall, cpu in zip(found["seconds"], found["cpu"]):
                    rows.append(
                        {
                            "model": given.model,
                            "size": given.size,
                            "peer": name,
                            "round": turn,
                            "seconds": wall,
                            "cpu_seconds": cpu,
                            "peak_mb": found["peak_mb"],
                            "load": load,
                        }
                    )
    check(losses)
    harness.write_csv(f"iteration_{given.model}_{given.size}", rows)
    print(summary(rows))


def check(losses: dict[str, dict]) -> None:
    """All peers must compute the same to 1e-4."""
    mine = losses["nstrep"]
    for name, theirs in losses.items():
        for term, value in theirs.items():
            if abs(value - mine[term]) > 1e-4 * abs(mine[term]):
                raise SystemExit(f"{name}: {term} is {value}, nstrep's is {mine[term]}")


def summary(rows: list[dict]) -> str:
    """Medians and spreads, and what share of each peer's nstrep takes."""
    medians, lines = {}, []
    keys = ("seconds", "cpu_seconds", "peak_mb")
    spread = lambda three: f"{three[0]:.3g} ({three[1]:.3g} to {three[2]:.3g})"  # noqa: E731
    for name in dict.fromkeys(row["peer"] for row in rows):
        mine = [row for row in rows if row["peer"] == name]
        three = [harness.median_and_spread(float(row[key]) for row in mine) for key in keys]
        medians[name] = dict(zip(keys, (each[0] for each in three)))
        lines.append([name, *map(spread, three[:2]), f"{three[2][0]:.0f}"])
    for line in lines:
        line += [medians["nstrep"][key] / medians[line[0]][key] for key in keys]
    short = {"seconds": "seconds", "cpu_seconds": "CPU", "peak_mb": "MB"}
    header = ["peer", "seconds (from, to)", "CPU seconds (from, to)", "peak MB"]
    header += [f"nstrep / peer, {short[key]}" for key in keys]
    return harness.table(header, lines)


if __name__ == "__main__":
    main()
