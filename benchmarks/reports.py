"""Time every report format for many findings, in one process each, and print the sizes.

    python benchmarks/reports.py [--findings 1000] [--folder FOLDER]

Milliseconds of wall time, each format in a fresh process: "first" includes what the format imports, "again" does not;
"all" is one process that renders every format once. The report holds 400 changes and 500 skips beside the findings.
"html+drift" has a drift of 16 seeds beside: importing the plotting library is most of it, and no limit is set for it.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MAX_SECONDS, MAX_HTML = 2.0, 1_500_000


def make_report(findings: int, *, drifted: bool = False):
    """A report whose texts have the lengths of real ones; the rules are the real ones too."""
    from doctor import catalogue
    from doctor.model.report import Evidence, Finding, Location, Passed, Report, Skip, SubjectRow

    numbers = random.Random(1)
    rules = catalogue.rules()
    subjects = [f"registry.example/team/app-{n:02}@sha256:{n:064x}" for n in range(50)]
    rows = []
    for n in range(findings):
        rule = rules[n % len(rules)]
        found = Finding(
            f"{rule.summary} ({n})",
            code=rule.code,
            name=rule.name,
            severity=rule.severity,
            subject=subjects[n % 50],
            machine="prod-node",
            effect="TensorFlow trains on the CPU and says so in one log line",
            fix="pip install 'tensorflow[and-cuda]==2.21.0'",
            verify="python -c 'import tensorflow as tf; print(tf.config.list_physical_devices())'",
            evidence=(Evidence("machine.driver.version", "470.82.01", "nvml"), Evidence("expected", "525.60.13")),
            location=Location(f"services/app-{n % 50}/Dockerfile", n + 1, 6, text="FROM python:3.11")
            if n % 2
            else None,
        )
        rows.append(found)
    wobble = {
        side: [[n, mean + numbers.gauss(0, 0.01)] for n in range(1, 17)] for side, mean in (("a", 0.93), ("b", 0.91))
    }
    drift = {
        "class": "default-changed",
        "accuracy": {
            "a": 0.93,
            "b": 0.91,
            "difference": -0.02,
            "interval90": [-0.03, -0.01],
            "p": 1e-6,
            "label": "drift",
            "test": "welch-t",
            "seeds": 16,
            "tolerance": 0.01,
        },
        "first_divergence": {"arm": "default", "stage": "init", "epoch": None},
        "causes": [],
        "stages": {
            "pinned": {"forward": 0.0, "gradient": 1e-7, "update": 1e-6, "final": 1e-6},
            "default": {"init": 1.4},
        },
        "series": {
            "accuracy": wobble,
            "loss": {side: [[2 / n, 1.8 / n, 2.2 / n] for n in range(1, 7)] for side in ("a", "b")},
            "weights": {"edges": [n / 20 for n in range(-20, 21)], "a": [90] * 40, "b": list(range(70, 110))},
        },
    }
    return Report(
        tool={"name": "kdoctor", "version": "0", "tables": "2026-01-01"},
        subjects=tuple(SubjectRow("image", name, None, "fail") for name in subjects),
        findings=tuple(rows),
        skipped=tuple(
            Skip(r.code, r.name, s, None, "machine.gpus: not known", r.would_help) for s in subjects for r in rules[:10]
        ),
        passed=tuple(Passed(r.code, s, None) for s in subjects for r in rules[10:40]),
        drift=drift if drifted else None,
        changes=tuple({"what": "package", "name": f"package-{n}", "a": "1.0.0", "b": "1.1.0"} for n in range(400)),
        verdict="fail",
        exit_code=1,
    )


def render_here(names: list[str], findings: int, folder: Path) -> None:
    """Render in this process, write the files, and print what each took as JSON."""
    from doctor.report import render
    from doctor.report.context import Context

    for wanted in names:
        name, _, drifted = wanted.partition("+")
        report = make_report(findings, drifted=bool(drifted))
        started = time.perf_counter()
        text = render(name, report, Context(seconds=1.0))
        first = time.perf_counter() - started
        started = time.perf_counter()
        render(name, report, Context(seconds=1.0))
        again = time.perf_counter() - started
        file = folder / f"report{drifted}.{name}"
        file.write_text(text, encoding="utf-8", errors="backslashreplace")
        print(json.dumps({"name": wanted, "first": first, "again": again, "bytes": file.stat().st_size}))


def measure(names: list[str], args: argparse.Namespace, folder: Path) -> list[dict[str, float]]:
    """The lines of one fresh process that renders these formats."""
    command = [
        sys.executable,
        __file__,
        "--render",
        ",".join(names),
        "--findings",
        str(args.findings),
        "--folder",
        str(folder),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent.parent)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def main() -> int:
    """Measure, print one table, and fail where a limit is exceeded."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--findings", type=int, default=1000)
    parser.add_argument("--folder", type=Path, help="keep the reports here")
    parser.add_argument("--render", help=argparse.SUPPRESS)
    args = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    if args.render:
        render_here(args.render.split(","), args.findings, args.folder)
        return 0
    from doctor.report import FORMATS

    with tempfile.TemporaryDirectory() as scratch:
        folder = args.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        rows = [measure([name], args, folder)[0] for name in (*FORMATS, "html+drift")]
        together = measure(list(FORMATS), args, folder)
    print(f"{args.findings} findings\n{'format':12}{'first ms':>10}{'again ms':>10}{'bytes':>12}")
    for row in rows:
        print(f"{row['name']:12}{row['first'] * 1000:10.0f}{row['again'] * 1000:10.0f}{row['bytes']:12}")
    total = sum(row["first"] for row in together)
    print(f"{'all':12}{total * 1000:10.0f}{sum(row['again'] for row in together) * 1000:10.0f}")
    size = max(row["bytes"] for row in rows if row["name"].startswith("html"))
    good = total < MAX_SECONDS and size < MAX_HTML
    print(f"limits: {MAX_SECONDS:g} s for all, {MAX_HTML} bytes of HTML: {'held' if good else 'exceeded'}")
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
