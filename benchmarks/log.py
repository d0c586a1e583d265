"""Time ``kdoctor log`` on a large log beside grep for a few words, in one run, and print the ratio.

    python benchmarks/log.py [--megabytes 100]

Two logs are made: a training's, most lines of one shape, and one whose lines are all different words. Wall time in
seconds (median of the runs) and peak resident memory in MiB. grep is no rival that explains anything: it is what a
user would type, and the least that reading the file costs.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

WORDS = ("error", "cuda", "loading", "tensor", "shape", "value", "warning", "library", "import", "numpy", "keras")
FAULT = "E cuda_dnn.cc:1] Loaded runtime CuDNN library: 8.4.1 but source was compiled with: 8.6.0.\n"
GREP = ["grep", "-aEc", "CuDNN|CUDA_ERROR|DNN library|cannot open shared|No matching distribution|GLIBC"]


def training() -> Iterator[str]:
    """Progress bars, and a warning every thousand lines."""
    n = 0
    while True:
        n += 1
        bar = "=" * (n % 30) + ">" + "." * (29 - n % 30)
        yield f"{n % 1875}/1875 [{bar}] - ETA: {n % 60}s - loss: {random.random():.4f} - accuracy: 0.9{n % 100}\n"
        if n % 1000 == 0:
            yield FAULT


def words() -> Iterator[str]:
    """Lines that are all different, with words that messages hold too."""
    while True:
        text = " ".join(random.choice(WORDS) + random.choice("abcdefghij ") for _ in range(12))
        yield f"2024-05-01 12:00:00 worker-{random.choice('abcdef')} INFO {text}\n"


def write(path: Path, lines: Iterator[str], size: int) -> None:
    """A log of about ``size`` bytes."""
    with path.open("w") as file:
        while size > 0:
            size -= file.write(next(lines))


def measure(command: list[str], runs: int) -> tuple[float, float]:
    """Median wall time in seconds and peak memory in MiB."""
    times, peak = [], 0.0
    for _ in range(runs):
        started = time.perf_counter()
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, _, usage = os.wait4(child.pid, 0)
        times.append(time.perf_counter() - started)
        peak = max(peak, usage.ru_maxrss / 1024)
    return statistics.median(times), peak


def main() -> None:
    """Make the logs, run both, print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    random.seed(1)
    with tempfile.TemporaryDirectory() as folder:
        for name, lines in (("training", training()), ("words", words())):
            path = Path(folder, f"{name}.log")
            write(path, lines, options.megabytes * 1_000_000)
            ours, memory = measure([sys.executable, "-m", "doctor", "log", "--no-machine", str(path)], options.runs)
            grep, _ = measure([*GREP, str(path)], options.runs)
            print(
                f"{name:9} {options.megabytes} MB  kdoctor log {ours:6.2f} s {memory:5.0f} MiB   "
                f"grep {grep:6.2f} s   ratio {ours / grep:5.1f}"
            )


if __name__ == "__main__":
    main()
