"""One pass of pytorch/examples' network at 512 x 512: nstrep against PyTorch, interleaved.

    python -m benchmarks.fast [--size 512] [--rounds 7] [--threads 2]

Needs the extra ``train``. All programs have the same random weights. Each has its own process and
they take turns, so that all run under the same conditions. Prints medians and nstrep's share of the
time of each program; benchmarks/results/ gets the seconds of every round.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time

import numpy as np

from benchmarks import harness


def ours(weights: str, size: int):
    """A pass of nstrep, from ``rgb01`` to ``rgb01``."""
    from nstrep.fast import layouts
    from nstrep.fast.network import Transformer

    transformer = Transformer(*layouts.load(weights))
    picture = np.random.default_rng(0).random((size, size, 3)).astype(np.float32)
    return lambda: transformer(picture)


def theirs(weights: str, size: int, *, channels_last: bool):
    """A pass of PyTorch, from ``rgb01`` to ``rgb01``."""
    import torch

    from tests.fast.test_fast_nets import torch_net

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    layout = torch.channels_last if channels_last else torch.contiguous_format
    net = torch_net(torch)
    net.load_state_dict(torch.load(weights, weights_only=True))
    net = net.to(memory_format=layout)
    picture = np.random.default_rng(0).random((size, size, 3)).astype(np.float32)

    def run() -> np.ndarray:
        with torch.inference_mode():
            pixels = torch.from_numpy(picture).permute(2, 0, 1)[None] * 255
            result = net(pixels.contiguous(memory_format=layout))
            return (result[0].permute(1, 2, 0) / 255).contiguous().numpy()

    return run


PROGRAMS = {
    "nstrep": ours,
    "pytorch": lambda *given: theirs(*given, channels_last=False),
    "pytorch channels_last": lambda *given: theirs(*given, channels_last=True),
}


def serve(name: str, weights: str, size: int) -> None:
    """Time a pass for every line on stdin, after writing the result of the first to a file."""
    run = PROGRAMS[name](weights, size)
    np.save(f"{weights}.{name}.npy", run())
    run()
    print("ready", flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        run()
        print(time.perf_counter() - began, flush=True)


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(*given.serve, given.size)
        return
    import torch

    from tests.fast.test_fast_nets import torch_net

    load = harness.load()
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": str(given.threads),
        "PYTHONPATH": str(harness.ROOT),
    }
    with tempfile.TemporaryDirectory() as folder:
        weights = f"{folder}/net.pth"
        torch.save(torch_net(torch).state_dict(), weights)
        command = [sys.executable, "-m", "benchmarks.fast", "--size", str(given.size), "--serve"]
        servers = {
            name: subprocess.Popen(
                [*command, name, weights], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                env=environment, text=True, cwd=harness.ROOT,
            )
            for name in PROGRAMS
        }  # fmt: skip
        for server in servers.values():
            server.stdout.readline()
        first, *others = (np.load(f"{weights}.{name}.npy") for name in PROGRAMS)
        apart = max(np.abs(first - other).max() / np.abs(first).max() for other in others)
        times: dict[str, list[float]] = {name: [] for name in PROGRAMS}
        for _ in range(given.rounds):
            for name, server in servers.items():
                server.stdin.write("\n")
                server.stdin.flush()
                times[name].append(float(server.stdout.readline()))
        for server in servers.values():
            server.stdin.close()
            server.wait()
    rows = [
        {"model": "pytorch_examples", "size": given.size, "threads": given.threads,
         "program": name, "round": number, "seconds": value, "apart": apart, "load": load}
        for name, found in times.items()
        for number, value in enumerate(found)
    ]  # fmt: skip
    harness.write_csv(f"fast_{given.size}", rows)
    print(summary(rows))


def summary(rows: list[dict]) -> str:
    """Medians, spreads and nstrep's share of each program's time."""
    lines, ours = [], None
    for name in dict.fromkeys(row["program"] for row in rows):
        times = [float(row["seconds"]) for row in rows if row["program"] == name]
        median, least, most = harness.median_and_spread(times)
        ours = ours or median
        lines.append(
            [name, rows[0]["threads"], median, f"{least:.3g} to {most:.3g}", ours / median]
        )
    header = ("program", "threads", "seconds", "from, to", "nstrep / program")
    apart = f"The results differ by {float(rows[0]['apart']):.1e} of the largest value."
    return f"{harness.table(header, lines)}\n\n{apart}"


if __name__ == "__main__":
    main()
