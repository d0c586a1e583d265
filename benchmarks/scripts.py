"""Time reading of training scripts: 500 of them, out of the tests' corpus and its variations, in one folder.

    python benchmarks/scripts.py [--count 500] [--limit 2.0]

Prints wall seconds (best and median of the runs) of reading alone, and of `kdoctor scan` of that folder as a whole,
start included. Exit code 1 where reading takes longer than the limit.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CORPUS = ROOT / "tests/project/scripts_corpus"
PADDING = '''

def report_{n}(rows, limit=10):
    """Print the rows that are longest."""
    chosen = sorted(rows, key=lambda row: len(row["text"]), reverse=True)[:limit]
    for index, row in enumerate(chosen):
        total = sum(value for value in row["values"] if value is not None)
        print(f"{{index:3d}} {{row['name']:<20}} {{total / max(1, len(row['values'])):.3f}}")
    return {{row["name"]: row["values"] for row in chosen if row["values"]}}

'''


def write(folder: Path, count: int) -> tuple[int, int]:
    """Write ``count`` scripts of about 100 lines; returns their number of lines and of bytes."""
    sources = sorted(path for path in CORPUS.iterdir() if path.suffix == ".py")
    lines = size = 0
    for number in range(count):
        text = sources[number % len(sources)].read_text(encoding="utf-8")
        variant = number // len(sources)
        text = text.replace("Dense(1", f"Dense({variant + 1}") + "".join(
            PADDING.format(n=n) for n in range(max(0, (100 - text.count("\n")) // 12))
        )
        (folder / f"train_{number:04}.py").write_text(text, encoding="utf-8")
        lines += text.count("\n")
        size += len(text)
    return lines, size


def main() -> int:
    """Measure, and hold the time against the limit."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--limit", type=float, default=2.0)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    from doctor.project.scripts import collect_scripts

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lines, size = write(folder, options.count)
        times = []
        for _ in range(options.runs):
            started = time.perf_counter()
            rows, _, _ = collect_scripts(folder)
            times.append(time.perf_counter() - started)
        assert len(rows) == options.count
        print(
            f"{options.count} scripts, {lines} lines, {size / 1024:.0f} KiB, {sum(len(r['facts']) for r in rows)} facts"
        )
        print(f"read: best {min(times):.2f} s, median {statistics.median(times):.2f} s")
        started = time.perf_counter()
        command = [sys.executable, "-m", "doctor", "scan", name, "--offline", "--format", "json"]
        subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=False)
        print(f"kdoctor scan as a whole: {time.perf_counter() - started:.2f} s")
    return int(min(times) > options.limit)


if __name__ == "__main__":
    sys.exit(main())
