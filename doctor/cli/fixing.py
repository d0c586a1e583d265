"""``scan --fix``: the plan, the question whether to write it, and a second look where it was written."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from doctor.case import Case
from doctor.cli.session import Session
from doctor.engine import Outcome
from doctor.fix.plan import Plan, plan
from doctor.fix.proof import renewed
from doctor.scan import Request, build_arguments, project_facts

if TYPE_CHECKING:
    from doctor.model.report import Fixes

Judged = list[tuple[Case, Outcome]]


def mend(
    session: Session, request: Request, judged: Sequence[tuple[Case, Outcome]], *, write: bool
) -> tuple[Judged, Fixes]:
    """The fixes of the findings, written where that was asked for; with the verdict on what the files say then."""
    made = plan(request.folder, session.standing(judged), judged[0][0], build_arguments(request.build_args))
    if not made.files or not (write or _agreed(made)):
        return list(judged), made.fixes()
    fixes = made.write()
    section = project_facts(request, offline=session.settings.offline)
    snapshots = [renewed(judged[0][0].snapshot, section), *(case.snapshot for case, _ in judged[1:])]
    return session.judge(snapshots), fixes


def _agreed(made: Plan) -> bool:
    """Whether somebody at a terminal says yes; in CI, and where nobody sits, nobody is asked."""
    if os.environ.get("CI", "").lower() not in ("", "0", "false"):
        return False
    if not (sys.stdin.isatty() and sys.stderr.isatty() and sys.stdout.isatty()):
        return False
    import typer

    from doctor.report.sanitize import screen, source

    for file in made.fixes().files:
        for line in file.diff.removesuffix("\n").split("\n"):
            print(screen(source(line)), file=sys.stderr)  # noqa: T201
    count = len(made.files)
    return typer.confirm(f"Write {'this file' if count == 1 else f'these {count} files'}?", default=False, err=True)
