"""Drifts and differences as words for a person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from doctor.report.sanitize import line, screen
from doctor.store.reading import Row, plain
from doctor.store.showing import change_lines
from doctor.store.steps import Series

_MOST_PASSING = 10


def told_drift(series: Sequence[Series], drifts: Sequence[dict[str, Any]], tolerance: float) -> str:
    """Every drift with its date, the run before, and what changed; one line where there is none."""
    runs = sum(len(one.points) for one in series)
    counted = f"{_counted(runs, 'run')} with an accuracy in {len(series)} series"
    if not drifts:
        return f"no drift beyond ±{tolerance:g} in {counted}\n"
    lasting, passing = ([drift for drift in drifts if drift["passing"] is kind] for kind in (False, True))
    blocks = [_one(drift) for drift in lasting]
    if passing:
        blocks.append(
            "\n".join(["passing, back within tolerance soon after:", *map(_passing, passing[-_MOST_PASSING:])])
        )
    kinds = [_counted(len(lasting), "drift")] + ([f"{len(passing)} passing"] if passing else [])
    blocks.append(f"{', '.join(kinds)} beyond ±{tolerance:g} in {counted}")
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
        f"tolerance {drift['tolerance']:g}), {_lasting(drift)}",
        f"  first beyond  run {first['run']}",
        f"  run before    run {before['run']}, {plain(before['ran_at'])}, accuracy {before['accuracy']:.4f}",
    ]
    if drift["since"] == "level":
        lines.append(f"  nothing changed since the run before; since run {level['run']}, which began the level:")
        lines += [
            f"  environment changed with run {one['run']}, {plain(one['ran_at'])}" for one in drift["environments"]
        ]
    lines += _mechanism(drift["drift"])
    lines += change_lines(drift["changes"], 12) or ["  no recorded difference between their environments and inputs"]
    return "\n".join(lines)


def _passing(drift: dict[str, Any]) -> str:
    first, level = drift["first_beyond"], drift["level"]
    accuracies = f"accuracy {first['accuracy']:.4f} against {level['accuracy']:.4f}"
    lasted = _counted(drift["runs_beyond"], "run")
    return f"  {plain(first['ran_at'])}  {line(drift['series'], 60)}  run {first['run']}: {accuracies}, for {lasted}"


def _lasting(drift: dict[str, Any]) -> str:
    runs = _counted(drift["runs_beyond"], "run")
    return f"for {runs}{'' if drift['over'] else ', until now'}"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


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
