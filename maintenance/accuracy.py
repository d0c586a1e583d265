"""Measure how often kdoctor names the root cause, by the diagnosis benchmark, and keep the figures in docs/accuracy.md.

python maintenance/accuracy.py --check | --write [BENCHMARK_FOLDER]

The folder holds score.py and its cases (default: ../shared/benchmark beside the checkout). The figures stand between
the comments figures:begin and figures:end.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "accuracy.md"
BEGIN, END = "<!-- figures:begin -->\n", "<!-- figures:end -->"
SETS = {
    "real cases, facts and log": ["cases.jsonl"],
    "real cases, facts alone": ["cases.jsonl", "--without-log"],
    "cases out of the compatibility tables": ["table_cases.jsonl"],
    "single log lines": ["log_lines.jsonl"],
}
TOP1, RECALL, FALSE_ALARMS = 0.92, 0.97, 0  # the floor of every set


def score(folder: Path, arguments: list[str]) -> dict[str, Any]:
    """The scorer's result, as JSON, for this checkout.

    Raises:
        subprocess.CalledProcessError: The scorer failed.
    """
    files = [str(folder / word) if word.endswith(".jsonl") else word for word in arguments]
    command = [sys.executable, str(folder / "score.py"), *files, "--json", "--kdoctor", f"{sys.executable} -m doctor"]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run(command, env=environ, stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, Any] = json.loads(run.stdout)
    return result


def percent(share: float | None) -> str:
    """A share of 1 as per cent."""
    return "-" if share is None else f"{100 * share:.1f} %"


def totals(results: dict[str, dict[str, Any]]) -> list[str]:
    """One row a set."""
    rows = [
        "| set | faults | named first | among the first three | named at all | healthy | false alarms |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, result in results.items():
        shares = " | ".join(percent(result[key]) for key in ("top1", "top3", "anywhere"))
        rows.append(f"| {name} | {result['cases']} | {shares} | {result['healthy']} | {result['false_alarms']} |")
    return rows


def by_cause(result: dict[str, Any]) -> list[str]:
    """One row a root cause."""
    rows = ["| root cause | cases | named first | named at all | silent |", "| --- | ---: | ---: | ---: | ---: |"]
    for rule, row in result["by_rule"].items():
        shares = f"{percent(row['top1'])} | {percent(row['anywhere'])}"
        rows.append(f"| {rule} | {row['cases']} | {shares} | {row['silent']} |")
    return rows


def misses(results: dict[str, dict[str, Any]]) -> list[str]:
    """One line for each case that was missed or falsely alarmed."""
    lines = []
    for name, result in results.items():
        for row in result["results"]:
            found = ", ".join(row["findings"][:3]) or "nothing"
            if row["kind"] == "healthy" and row["alarm"]:
                lines.append(f"- {name}, `{row['id']}`: healthy, and kdoctor says {found}")
            elif row["kind"] != "healthy" and not row["top1"]:
                lines.append(f"- {name}, `{row['id']}`: expected {row['rule']}, kdoctor says {found}")
    return lines or ["None of these sets."]


def below_the_floor(results: dict[str, dict[str, Any]]) -> list[str]:
    """What falls short of the figures promised, one line each."""
    short = []
    for name, result in results.items():
        if result["top1"] < TOP1 or result["anywhere"] < RECALL:
            short.append(f"{name}: named first {result['top1']}, named at all {result['anywhere']}")
        if result["false_alarms"] > FALSE_ALARMS or result["failures"]:
            short.append(f"{name}: {result['false_alarms']} false alarms, {result['failures']} without a report")
    return short


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0: current and above the floor; 1: stale, or below it; 2: no benchmark, or no markers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--check", action="store_true", help="change nothing, say whether the page is current")
    action.add_argument("--write", action="store_true", help="write the figures")
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT.parent / "shared" / "benchmark")
    options = parser.parse_args(arguments)
    if not (options.folder / "score.py").is_file():
        print(f"{options.folder}: no benchmark is there", file=sys.stderr)
        return 2
    results = {name: score(options.folder, words) for name, words in SETS.items()}
    whole = score(options.folder, ["cases.jsonl", "table_cases.jsonl", "log_lines.jsonl"])
    parts = [totals(results), ["### By root cause, all sets"], by_cause(whole), ["### Missed"], misses(results)]
    figures = "\n\n".join("\n".join(part) for part in parts) + "\n"
    print(figures)
    text = PAGE.read_text(encoding="utf-8")
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        print(f"{PAGE}: has no {BEGIN.strip()} … {END}", file=sys.stderr)
        return 2
    after = f"{head}{BEGIN}{figures}{END}{tail}"
    if options.write:
        PAGE.write_text(after, encoding="utf-8")
    elif after != text:
        print(f"{PAGE}: is not current: python maintenance/accuracy.py --write", file=sys.stderr)
    short = below_the_floor(results)
    for line in short:
        print(f"below the floor: {line}", file=sys.stderr)
    return 1 if short or (options.check and after != text) else 0


if __name__ == "__main__":
    sys.exit(main())
