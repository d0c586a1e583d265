"""``kdoctor compare``: two environments side by side."""

from __future__ import annotations

from typing import Annotated

import typer

from doctor.cli.options import Flags, shared


@shared
def compare(
    flags: Flags,
    a: Annotated[str, typer.Argument(help="A target: before, or here.")],
    b: Annotated[str, typer.Argument(help="A target: after, or there.")],
    canary: Annotated[bool, typer.Option("--canary/--no-canary", help="Run the training canary in both.")] = True,
) -> None:
    """Say what differs between two environments, and whether results will."""
    from doctor.cli.session import Session
    from doctor.comparison import compare_targets

    session = Session.open(flags)
    found = compare_targets(a, b, canary=canary, offline=session.settings.offline)
    session.compared(found)
