"""Time kdoctor beside what a user would use instead, in one run, and print the ratios.

    python benchmarks/scan.py --environment TENSORFLOW_VENV [--env-doctor SCRIPT] [--cases CASES.jsonl]

Wall time in milliseconds (median of the runs) and peak resident memory in MiB of each command, all on this machine,
one after the other. The environment should hold 100 distributions or more; the script says how many it found.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SNAPSHOTS = 400


def measure(command: list[str], runs: int, env: dict[str, str], cwd: str) -> tuple[float, float]:
    """Median wall time in ms and peak memory in MiB; a command that fails without a word on stdout ends the benchmark.

    The exit code alone says nothing: findings make it 1.
    """
    times, peak = [], 0.0
    env = {name: value for name, value in env.items() if name != "PYTHONDONTWRITEBYTECODE"}
    for run in range(runs + 1):
        with tempfile.TemporaryFile() as said:
            started = time.perf_counter()
            child = subprocess.Popen(command, stdout=said, stderr=subprocess.DEVNULL, env=env, cwd=cwd)
            _, status, usage = os.wait4(child.pid, 0)
            if status != 0 and said.tell() == 0:
                raise SystemExit(f"{' '.join(command)}: failed without a result, nothing was measured")
        if run == 0:
            continue  # compiled files are written once in an installation's life
        times.append((time.perf_counter() - started) * 1000)
        peak = max(peak, usage.ru_maxrss / 1024)
    return statistics.median(times), peak


def snapshots(cases: Path | None, folder: Path, env: dict[str, str]) -> list[str]:
    """Snapshot files to check: from a file of cases where given, else copies of this host's own."""
    files = []
    if cases is not None:
        found = [json.loads(line) for line in cases.read_text().splitlines()]
        texts = [json.dumps(case["snapshot"]) for case in found if "snapshot" in case]
        for n in range(SNAPSHOTS):
            files.append(folder / f"c{n}.json")
            files[-1].write_text(texts[n % len(texts)])
    else:
        command = [sys.executable, "-m", "doctor", "snapshot"]
        own = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=env, cwd=folder).stdout
        for n in range(SNAPSHOTS):
            files.append(folder / f"c{n}.json")
            files[-1].write_bytes(own)
    return [str(file) for file in files]


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environment", type=Path, required=True, help="a virtual environment with TensorFlow in it")
    parser.add_argument("--env-doctor", type=Path, help="the env-doctor script, installed in an environment of its own")
    parser.add_argument("--cases", type=Path, help="cases.jsonl of the benchmark")
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    python = str(args.environment / "bin/python")
    kdoctor = [sys.executable, "-m", "doctor"]
    count = len(list(args.environment.glob("lib/python*/site-packages/*.dist-info")))
    print(f"environment: {args.environment.name}, {count} distributions; median of {args.runs} runs")
    with tempfile.TemporaryDirectory() as folder:
        root = str(Path(__file__).resolve().parent.parent)
        env = {**os.environ, "VIRTUAL_ENV": str(args.environment), "PYTHONPATH": root}
        files = snapshots(args.cases, Path(folder), env)
        rows = {
            "kdoctor --version": [*kdoctor, "--version"],
            "kdoctor scan": [*kdoctor, "scan", folder, "--offline"],
            f"kdoctor check ({len(files)} snapshots)": [*kdoctor, "check", *files, "--format", "json"],
            "pip check": [sys.executable, "-m", "pip", "--python", python, "check"],
            'python -c "import tensorflow"': [python, "-c", "import tensorflow"],
        }
        if args.env_doctor:
            rows["env-doctor check"] = [str(args.env_doctor), "check"]
        plain = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        results = {}
        for name, command in rows.items():
            own = name.startswith("kdoctor")
            results[name] = measure(
                command, args.runs, env if own else {**plain, "VIRTUAL_ENV": str(args.environment)}, folder
            )
    scan = results["kdoctor scan"][0]
    for name, (ms, mib) in results.items():
        print(f"{name:<40} {ms:8.0f} ms  {mib:6.0f} MiB  {ms / scan:6.2f} x kdoctor scan")
    ms = results[next(n for n in results if n.startswith("kdoctor check"))][0]
    print(f"kdoctor check: {len(files) / (ms / 1000):.0f} snapshots a second, start-up included")


if __name__ == "__main__":
    main()
