"""The maintenance script that holds kdoctor to its figures, with a scorer that prints results of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
GOOD: dict[str, Any] = {"cases": 50, "top1": 0.96, "top3": 0.98, "anywhere": 0.98, "healthy": 9, "false_alarms": 0}
MORE: dict[str, Any] = {
    "failures": 0,
    "by_rule": {"driver-too-old": {"cases": 50, "top1": 0.96, "anywhere": 0.98, "silent": 1}},
    "results": [
        {"id": "a-1", "kind": "fault", "rule": "driver-too-old", "top1": False, "findings": ["error:driver-missing"]},
        {"id": "b-2", "kind": "fault", "rule": "driver-too-old", "top1": True, "findings": ["error:driver-too-old"]},
        {"id": "c-3", "kind": "healthy", "rule": "healthy", "alarm": False, "findings": []},
    ],
}


def check(folder: Path, **changed: float) -> subprocess.CompletedProcess[str]:
    """The script against a scorer that prints these figures."""
    (folder / "score.py").write_text(f"print({json.dumps(json.dumps({**GOOD, **MORE, **changed}))})")
    command = [sys.executable, str(ROOT / "maintenance" / "accuracy.py"), "--check", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_miss_is_named_and_the_page_is_stale(tmp_path: Path) -> None:
    """Above the floor nothing falls below it; but the page in the repository holds other figures than these."""
    run = check(tmp_path)
    assert (run.returncode, "is not current" in run.stderr, "below the floor" in run.stderr) == (1, True, False)
    assert "`a-1`: expected driver-too-old, kdoctor says error:driver-missing" in run.stdout
    assert "b-2" not in run.stdout
    assert "| driver-too-old | 50 | 96.0 % | 98.0 % | 1 |" in run.stdout


@pytest.mark.parametrize("changed", [{"top1": 0.91}, {"anywhere": 0.96}, {"false_alarms": 1}, {"failures": 1}])
def test_a_set_below_the_floor_fails(tmp_path: Path, changed: dict[str, float]) -> None:
    """Each of the promised figures has its floor."""
    run = check(tmp_path, **changed)
    assert run.returncode == 1
    assert "below the floor: single log lines" in run.stderr


def test_without_a_benchmark_nothing_is_claimed(tmp_path: Path) -> None:
    """A folder without the scorer is an error of its own."""
    command = [sys.executable, str(ROOT / "maintenance" / "accuracy.py"), "--check", str(tmp_path)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 2
