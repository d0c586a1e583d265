"""``kdoctor compare``: two environments side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from doctor.cli.options import Flags, shared
from doctor.cli.options_inside import Cache, PlainHttp, Platform, Pull, Run, inside


@shared
def compare(
    flags: Flags,
    a: Annotated[str, typer.Argument(help="A target or canary record: before, or here.")],
    b: Annotated[str, typer.Argument(help="A target or canary record: after, or there.")],
    canary: Annotated[
        Optional[bool],  # noqa: UP045 -- typer reads the annotation at run time
        typer.Option(
            "--canary/--no-canary",
            help="Run the training canary in both; without it, where both can be run.",
            show_default=False,
        ),
    ] = None,
    machine: Annotated[Optional[Path], typer.Option(help="Judge both on the machine of this snapshot.")] = None,  # noqa: UP045
    seeds: Annotated[int, typer.Option(help="Trainings a side that accuracy is taken from.", min=2, max=512)] = 16,
    device: Annotated[str, typer.Option(help="cpu or gpu.")] = "cpu",
    timeout: Annotated[float, typer.Option(help="Seconds that one canary may take.", min=1)] = 300.0,
    platform: Platform = None,
    pull: Pull = None,
    run: Run = False,
    cache: Cache = None,
    plain_http: PlainHttp = None,
) -> None:
    """Say what differs between two environments, whether results drift, and why."""
    from doctor.canary.present import Bar
    from doctor.canary.runs import Options
    from doctor.cli.session import Session
    from doctor.comparison import Asked, compare_targets
    from doctor.errors import UsageError

    if device not in ("cpu", "gpu"):
        raise UsageError(f"--device {device}: it is cpu or gpu")
    flags.update(platform=platform, pull=pull, run=run, cache=cache, plain_http_registries=plain_http)
    session = Session.open(flags)
    settings = session.settings
    asked = Asked(
        a,
        b,
        canary=canary,
        options=Options(seeds=seeds, device=device, timeout=timeout),
        tolerance=settings.tolerance,
        machine=machine,
        offline=settings.offline,
        python=settings.python,
        inside=inside(settings, "never" if canary is False else "missing"),
    )
    session.compared(compare_targets(asked, lambda title: Bar(title, settings.progress)))
