"""``kdoctor check``: the rules on saved snapshots."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def check(
    snapshots: Annotated[list[Path], typer.Argument()],
    format: Annotated[str, typer.Option("--format")] = "text",
) -> None:
    """Judge saved snapshots; nothing is read besides the files."""
    import msgspec

    from doctor import catalogue
    from doctor.diagnosis import diagnose, load_subjects
    from doctor.engine import Outcome
    from doctor.model.report import Report, SubjectRow

    subjects, notes = load_subjects(snapshots)
    total = Outcome()
    for snapshot in subjects:
        total.extend(diagnose(snapshot, catalogue.rules())[1])
    for failure in total.failures:
        print(failure, file=sys.stderr)
    report = Report(
        subjects=tuple(SubjectRow(s.subject.kind, s.subject.name) for s in subjects),
        findings=tuple(total.findings),
        skipped=tuple(total.skipped),
        notes=tuple(notes),
    )
    sys.stdout.buffer.write(msgspec.json.encode(report, enc_hook=str))
