"""``scan --canary``: the canary beside the facts, held against the project's reference if it has one."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from doctor.canary.record import Record
from doctor.canary.record_file import load_record
from doctor.canary.report import judged
from doctor.canary.runs import Options, run_with, runner_for, settle
from doctor.canary.start import Progress
from doctor.engine import Outcome
from doctor.errors import DoctorError
from doctor.model.report import Note
from doctor.scan import Request
from doctor.settings import Settings
from doctor.targets.words import parse


@dataclass
class Beside:
    """What the canary adds to a scan's report; ``text`` is its line in the head."""

    text: str | None = None
    outcomes: list[Outcome] = field(default_factory=list)
    unmet: list[Note] = field(default_factory=list)
    record: Record | None = None
    parts: dict[str, Any] = field(default_factory=dict)

    @property
    def had(self) -> tuple[str, ...]:
        """What of ``--require`` was had."""
        return ("canary",) if self.record is not None else ()


def run_beside(request: Request, subject: str, settings: Settings, progress: Progress) -> Beside:
    """Run the canary in the first target of a scan; one that cannot run is an unmet wish, not the end of the scan."""
    target = parse(request.targets[0] if request.targets and request.python is None else "host")
    options = Options()
    try:
        runner = runner_for(target, os.environ, request.folder, request.python, request.inside)
        reference = load_record(Path(settings.reference)) if settings.reference else None
        drift = None
        if reference is None:
            record = run_with(runner, options, progress=progress)
        else:
            saved = reference
            seeds = len(reference.seeds)
            _, record, drift = settle(lambda _: saved, lambda n: run_with(runner, options, n, progress), seeds, seeds)
        parts = judged(record, [], subject, settings, reference=reference, drift=drift)
    except DoctorError as error:
        return Beside(text=f"could not run: {error}", unmet=[Note("canary", f"{subject}: {error}")])
    outcomes = [outcome for _, outcome in parts.pop("judged")]
    unmet = list(parts.pop("unmet", ()))
    return Beside(_told(record, drift), outcomes, unmet, record, parts)


def _told(record: Record, drift: dict[str, Any] | None) -> str:
    accuracies = [seed.accuracy for seed in record.seeds]
    text = f"accuracy {sum(accuracies) / len(accuracies):.4f} over {len(accuracies)} seeds"
    return f"{text}, {drift['class']} against the reference" if drift else f"{text}; no reference to hold it against"
