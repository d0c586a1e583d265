"""``kdoctor compare``: two environments side by side."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def compare(
    a: Annotated[Path, typer.Argument()],
    b: Annotated[Path, typer.Argument()],
    format: Annotated[str, typer.Option("--format")] = "text",
) -> None:
    """Compare two environments."""
    import msgspec

    from doctor import catalogue
    from doctor.case import Case, Comparison
    from doctor.engine import judge
    from doctor.model.report import Report
    from doctor.model.wire import load_snapshot

    out = judge(Comparison(Case(load_snapshot(a)), Case(load_snapshot(b))), catalogue.rules())
    for failure in out.failures:
        print(failure, file=sys.stderr)
    sys.stdout.buffer.write(msgspec.json.encode(Report(findings=tuple(out.findings)), enc_hook=str))
