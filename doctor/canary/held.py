"""Environments held against the accepted reference: the gate's canary, one run an environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from doctor.canary.record import Record
from doctor.canary.record_file import load_record
from doctor.canary.report import judged
from doctor.canary.runs import Options, run_with, runner_for
from doctor.canary.sides import Side, Watch, drift_between, with_series
from doctor.engine import Outcome
from doctor.errors import DoctorError
from doctor.model.report import Note
from doctor.settings import Settings
from doctor.targets.inside_options import Inside
from doctor.targets.words import parse

# Which drift a report of several shows: the gravest label first, then the gravest mechanism.
_LABELS = ("drift", "inconclusive", None, "equivalent")
_CLASSES = ("default-changed", "unexplained", "seed-ignored", "not-comparable", "random-stream", "rounding", "bitwise")


@dataclass
class Held:
    """What the canaries came to. ``drifts`` and ``records``: by subject; ``ran``: every canary that was to run did."""

    outcomes: list[Outcome] = field(default_factory=list)
    drifts: dict[str, dict[str, Any]] = field(default_factory=dict)
    records: dict[str, Record] = field(default_factory=dict)
    parts: dict[str, Any] = field(default_factory=dict)
    unmet: list[Note] = field(default_factory=list)
    ran: bool = False


@dataclass(frozen=True)
class Where:
    """Where canaries run: the folder and environment that interpreters are chosen from, and the one that was named."""

    folder: Path
    environ: Mapping[str, str]
    python: str | None = None
    inside: Inside | None = None


def wanted(settings: Settings) -> bool:
    """Whether the policy asks for the canary: by its key, by a reference, or by a requirement."""
    if settings.canary is not None:
        return settings.canary
    return settings.reference is not None or "canary" in settings.require


def hold(targets: Sequence[tuple[str, str]], settings: Settings, options: Options, where: Where, watch: Watch) -> Held:
    """Run the canary in each target (word and subject name) and hold it against the reference, where there is one.

    What could not be run, compared or decided is unmet: a gate without a verdict is not green.
    """
    held = Held()
    try:
        reference = load_record(Path(settings.reference)) if settings.reference is not None else None
    except DoctorError as error:
        advice = "accept one with kdoctor gate --update-reference"
        held.unmet += [Note("canary", f"{name}: {error}; {advice}") for _, name in targets]
        return held
    for word, name in targets:
        try:
            _hold_one(word, name, held, reference, settings, options, where, watch)
        except DoctorError as error:
            held.unmet.append(Note("canary", f"{name}: {error}"))
    held.ran = bool(targets) and not any(note.what == "canary" for note in held.unmet)
    return held


def _hold_one(
    word: str,
    name: str,
    held: Held,
    reference: Record | None,
    settings: Settings,
    options: Options,
    where: Where,
    watch: Watch,
) -> None:
    runner = runner_for(parse(word), where.environ, where.folder, where.python, where.inside)
    drift: dict[str, Any] | None = None
    if reference is None:
        with watch(f"canary in {name}") as progress:
            record = run_with(runner, options, None, progress)
    else:
        sides = Side("the reference", record=reference), Side(name, runner=runner)
        found = drift_between(*sides, options, settings.tolerance, watch)
        record, drift = found.b, {**with_series(found), "subject": name}
    held.records[name] = record
    parts = judged(record, (), name, settings, reference=reference, drift=drift)
    held.outcomes += [outcome for _, outcome in parts.pop("judged")]
    parts.pop("unmet", None)
    reason = _undecided(drift)
    if reason is not None:
        held.unmet.append(Note("the canary's verdict", f"{name}: {reason}"))
    if drift is not None:
        held.drifts[name] = drift
    if not held.parts or _rank(drift) < _rank(held.parts.get("drift")):
        held.parts = parts


def _undecided(drift: dict[str, Any] | None) -> str | None:
    if drift is None:
        return None
    if drift["class"] == "not-comparable":
        return f"not comparable with the reference: {drift['reason']}"
    if drift["accuracy"]["label"] == "inconclusive":
        seeds = drift["accuracy"]["seeds"]
        return f"accuracy is inconclusive with {seeds} seeds; accept a reference of more: --update-reference --seeds 64"
    return None


def _rank(drift: Mapping[str, Any] | None) -> tuple[int, int]:
    if drift is None:
        return len(_LABELS), len(_CLASSES)
    label = (drift.get("accuracy") or {}).get("label")
    return _LABELS.index(label), _CLASSES.index(drift["class"])
