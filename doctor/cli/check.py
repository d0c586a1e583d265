"""``kdoctor check``: the rules on saved snapshots."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from doctor.cli.options import Flags, shared


@shared
def check(
    flags: Flags,
    snapshots: Annotated[list[Path], typer.Argument(help="Saved snapshots, each a subject of its own.")],
    machine: Annotated[Optional[Path], typer.Option(help="Judge them on the machine of this snapshot.")] = None,  # noqa: UP045
    software: Annotated[Optional[Path], typer.Option(help="Judge this snapshot's software on their machines.")] = None,  # noqa: UP045
) -> None:
    """Judge saved snapshots; nothing is read besides the files."""
    from doctor.cli.session import Session
    from doctor.diagnosis import load_subjects, pair

    session = Session.open(flags)
    found = load_subjects(snapshots)
    cases = pair(found.snapshots, machine=machine, software=software)
    session.finish(session.judge(cases), unmet=found.unmet, notes=found.notes)
