"""Write docs/performance.md from the CSV files under benchmarks/results/.

python -m benchmarks.page
"""

from __future__ import annotations

import csv

from benchmarks import fast, growth, harness, iteration, large, operators, quality, sweeps

PAGE = harness.ROOT / "docs" / "performance.md"

KINDS = {
    "iteration": (
        "One iteration against PyTorch",
        "Losses and gradient of Gatys' objective to relu5_1, all peers with the same weights,"
        " pictures and threads, one process at a time, in turn; the losses agree to 1e-4, or the"
        " benchmark ends. Seconds include what else the machine did (the column load of the CSV);"
        " CPU seconds much less. Memory is the peak of the whole process.",
        iteration.summary,
    ),
    "growth": (
        "Growth with the picture",
        "One iteration, whole and in tiles. MB added is the peak over what the process had before"
        " the objective was made; the slopes are of logarithms, against the pixels (1 is in"
        " proportion), for tiles over the sizes that are larger than one.",
        growth.summary,
    ),
    "quality": (
        "Time to quality",
        "nstrep's L-BFGS until its loss is at most the peer's, in cosines scaled by"
        " frequency^-basis_power: 0.5 is the default; or in pixels. From the photo and"
        " from noise: torch.optim.LBFGS with its defaults after 60 evaluations."
        " mxnet2016: that recipe with its own optimiser after 200 epochs on half the threads,"
        " against nstrep's L-BFGS on the same loss, from the same noise and from the photo, with"
        " updates at half the size first (multiscale), which count a quarter.",
        quality.summary,
    ),
    "large": (
        "A picture of 3840 x 2160",
        "A whole run of the default recipe in tiles: the peak of the process, reading, decoding and"
        " writing the picture included.",
        large.summary,
    ),
    "sweeps": (
        "Sweeps",
        "Runs of the default recipe: a process for each, all in one with all threads"
        " (hydra/launcher=basic), and one on each core with one thread (the default, joblib)."
        " Besides optimising: importing, composing, pictures, targets, writing the results; of runs"
        " side by side each core's seconds count.",
        sweeps.summary,
    ),
    "fast": (
        "One pass of a feed-forward network against PyTorch",
        "The network of pytorch/examples with random weights, the same in both.",
        fast.summary,
    ),
}


def main() -> None:
    """Write the page."""
    parts = [
        "# Performance",
        "Made by `python -m benchmarks.page` from `benchmarks/results/*.csv`; the benchmarks need"
        " `pip install -e '.[bench]'`. What counts is a ratio within one table: peers took turns on"
        " one machine. `python -m benchmarks.iteration --help` and so on say what can be set.",
    ]
    for kind, (title, how, summary) in KINDS.items():
        parts += [f"## {title}", how]
        for file in sorted(harness.RESULTS.glob(f"{kind}_*.csv")):
            rows = read(file.name)
            loads = [float(row["load"]) for row in rows]
            rounds = len({row["round"] for row in rows})
            size = f", {rows[0]['size']} px" if kind != "growth" else ""
            parts += [
                f"### {rows[0]['model']}{size}",
                f"{rows[0]['machine']}; {rows[0]['date']}; rounds: {rounds}; load"
                f" {min(loads):.1f} to {max(loads):.1f}.",
                summary(rows),
            ]
    profile = read("operators.csv")
    tried = [list(row.values()) for row in read("tried.csv")]
    parts += [
        "## Where the time goes",
        "By MXNet's profiler, one thread: the graph as one would write it first (tests/plain.py)"
        f" and the one that runs. {profile[0]['machine']}; {profile[0]['date']}; load"
        f" {float(profile[0]['load']):.1f}.",
        operators.summary(profile),
        "## What was tried",
        "Noted by hand when it was tried; the method stands beside each figure.",
        harness.table(("what", "helps", "figure", "how"), tried),
    ]
    PAGE.write_text("\n\n".join(parts) + "\n")


def read(name: str) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    with (harness.RESULTS / name).open() as stream:
        return list(csv.DictReader(stream))


if __name__ == "__main__":
    main()
