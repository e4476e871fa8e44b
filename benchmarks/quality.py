"""Time to quality: to the loss of PyTorch's L-BFGS, and to that of the MXNet example of 2016.

python -m benchmarks.quality                       # the shipped network, 512 px
python -m benchmarks.quality --size 256            # minutes
python -m benchmarks.quality --model vgg19        # half an hour a round

The first goal is the loss of ``torch.optim.LBFGS`` (its defaults) after 60 evaluations, same
weights, losses and start. The second is the loss of recipe=mxnet2016 with its own optimiser after
200 epochs, on MXNet's default of half the threads; nstrep minimises that same loss, from the same
noise and from the photo, with the change at half the size first.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks import harness

EVALUATIONS, EPOCHS = 60, 200
MOST = 500
"""Most epochs of nstrep."""

POWERS = (0.5, 0.25, 0)
"""Exponents of the scaled cosines: the default, that with the fewest steps, and 0 for pixels."""

STARTS = {"noise": 40, "photo": 20}
"""Where nstrep starts against the example, which starts from noise; updates at half the size first.
"""


def main() -> None:
    """Measure in rounds, print a table, write the CSV."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=harness.MODELS, default="vgg19_slim")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--starts", nargs="*", choices=("photo", "noise"), default=("photo", "noise")
    )
    given = parser.parse_args()
    rows: list[dict] = []
    with tempfile.TemporaryDirectory() as folder:
        problem = Path(folder) / "problem.npz"
        harness.write_problem(problem, given.model, given.size)
        ours = ("benchmarks.ours", problem, given.model)
        for turn in range(given.rounds):

            def add(case: str, peer: str, found: dict, turn: int = turn) -> dict:
                rows.append(
                    {
                        "model": given.model,
                        "size": given.size,
                        "case": case,
                        "peer": peer,
                        "round": turn,
                        **{key: found[key] for key in ("seconds", "cpu", "evaluations", "loss")},
                        "load": harness.load(),
                    }
                )
                harness.progress(f"round {turn + 1}: {rows[-1]}")
                return found

            for start in given.starts:
                torch = ("benchmarks.torch_peer", problem, "eager", "optimise")
                found = add(start, "torch", harness.child(*torch, start, EVALUATIONS))
                goal = ("optimise", start, found["loss"], MOST)
                for power in POWERS:
                    name = f"nstrep, basis_power={power}" if power else "nstrep, basis=pixels"
                    add(start, name, harness.child(*ours, *goal, power))
            half = max(1, harness.cores() // 2)
            upstream = ("recipe", "mxnet2016", "own", 0, EPOCHS)
            found = harness.child(*ours, *upstream, threads=half)
            add("mxnet2016", "mxnet2016", {**found, "loss": found["last_loss"]})
            for start, coarse in STARTS.items():
                goal = ("recipe", "mxnet2016", "lbfgs", found["last_loss"], MOST, start, coarse)
                add("mxnet2016", f"nstrep, {start}", harness.child(*ours, *goal))
    harness.write_csv(f"quality_{given.model}_{given.size}", rows)
    print(summary(rows))


def summary(rows: list[dict]) -> str:
    """Medians, and nstrep's share of the peer's time to the same loss."""
    lines = []
    for case in dict.fromkeys(row["case"] for row in rows):
        peers = dict.fromkeys(row["peer"] for row in rows if row["case"] == case)
        found = {}
        for peer in peers:
            mine = [row for row in rows if (row["case"], row["peer"]) == (case, peer)]
            found[peer] = {
                key: harness.median_and_spread(float(row[key]) for row in mine)[0]
                for key in ("seconds", "cpu", "evaluations", "loss")
            }
        theirs = next(iter(found.values()))
        for peer, each in found.items():
            ratios = [each[key] / theirs[key] for key in ("seconds", "cpu", "evaluations")]
            lines.append([case, peer, *each.values(), *ratios])
    header = (
        "case", "who", "seconds", "CPU seconds", "evaluations", "loss", "seconds / peer",
        "CPU / peer", "evaluations / peer",
    )  # fmt: skip
    return harness.table(header, lines)


if __name__ == "__main__":
    main()
