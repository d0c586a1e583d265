"""Time ``kdoctor compare`` of two targets: the static one, and the one with canaries beside the two canaries alone.

    python benchmarks/compare.py python:OLD/bin/python python:NEW/bin/python
    python benchmarks/compare.py REPO@sha256:A REPO@sha256:B

Wall time in seconds, all on this machine, one after the other. What is read of an image is cached by the first run,
which does not count.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from scan import measure

STATIC_BUDGET, EXTRA_BUDGET = 1.0, 2.0  # seconds


def main() -> None:
    """Measure and print one table; exit status 1 where a budget is exceeded."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("a")
    parser.add_argument("b")
    parser.add_argument("--runs", type=int, default=5, help="runs of the static comparison")
    options = parser.parse_args()
    doctor = [sys.executable, "-m", "doctor"]
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)}

        def seconds(*arguments: str, runs: int = 1) -> float:
            return measure([*doctor, *arguments], runs, env, folder)[0] / 1000

        static = seconds("compare", "--no-canary", options.a, options.b, runs=options.runs)
        alone = seconds("canary", options.a) + seconds("canary", options.b)
        both = seconds("compare", options.a, options.b)
    rows = [
        ("compare --no-canary", static, f"budget {STATIC_BUDGET:g}"),
        ("both canaries alone", alone, ""),
        ("compare with both canaries", both, f"{both - alone:+.2f} beside them, budget {EXTRA_BUDGET:+g}"),
    ]
    for name, value, note in rows:
        print(f"{name:28}{value:8.2f} s  {note}")
    if static > STATIC_BUDGET or both - alone > EXTRA_BUDGET:
        sys.exit(1)


if __name__ == "__main__":
    main()
