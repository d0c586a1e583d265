"""Drifts and differences as words for a person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from doctor.report.sanitize import line, screen
from doctor.store.drifting import Series
from doctor.store.reading import Row, plain
from doctor.store.showing import change_lines


def told_drift(series: Sequence[Series], drifts: Sequence[dict[str, Any]], tolerance: float) -> str:
    """Every drift with its date, the run before, and what changed; one line where there is none."""
    runs = sum(len(one.points) for one in series)
    counted = f"{runs} runs with an accuracy in {len(series)} series"
    if not drifts:
        return f"no drift beyond ±{tolerance:g} in {counted}\n"
    blocks = [_one(drift) for drift in drifts]
    blocks.append(f"{len(drifts)} drift{'s' if len(drifts) > 1 else ''} beyond ±{tolerance:g} in {counted}")
    return screen("\n\n".join(blocks) + "\n")


def told_difference(a: Row, b: Row, found: dict[str, Any]) -> str:
    """What differs between two runs."""
    lines = [f"run {run['id']}  {plain(run['ran_at'])}  {line(run['subject'], 60)}{_accuracy(run)}" for run in (a, b)]
    lines += _mechanism(found["drift"])
    lines += change_lines(found["changes"]) or ["  no recorded difference between their environments and inputs"]
    return screen("\n".join(lines) + "\n")


def _one(drift: dict[str, Any]) -> str:
    first, before, level = (drift[key] for key in ("first_beyond", "before", "level"))
    lines = [
        f"{plain(first['ran_at'])}  {line(drift['series'], 80)}",
        f"  accuracy {level['accuracy']:.4f} → {first['accuracy']:.4f} ({drift['difference']:+.4f}, "
        f"tolerance {drift['tolerance']:g}), for {drift['runs_beyond']} run{'s' if drift['runs_beyond'] > 1 else ''}",
        f"  first beyond  run {first['run']}",
        f"  run before    run {before['run']}, {plain(before['ran_at'])}, accuracy {before['accuracy']:.4f}",
    ]
    if drift["since"] == "level":
        lines.append(f"  nothing changed since the run before; since run {level['run']}, which set the level:")
    lines += _mechanism(drift["drift"])
    lines += change_lines(drift["changes"], 12) or ["  no recorded difference between their environments and inputs"]
    return "\n".join(lines)


def _mechanism(drift: dict[str, Any] | None) -> list[str]:
    if drift is None:
        return []
    if drift.get("reason"):
        return [f"  canaries not comparable: {line(drift['reason'], 200)}"]
    accuracy = drift["accuracy"] or {}
    lines = [f"  canaries: {drift['class']}, accuracy {accuracy.get('label')} (p {accuracy.get('p')})"]
    for cause in drift["causes"]:
        text = f"  cause: {cause['what']} {cause['from']} → {cause['to']}"
        suspects = ", ".join(cause["suspects"][:3])
        lines.append(line(text + (f"; suspects: {suspects}" if suspects else ""), 300))
    return lines


def _accuracy(run: Row) -> str:
    return "" if run["accuracy"] is None else f"  accuracy {run['accuracy']:.4f}"
