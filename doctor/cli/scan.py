"""``kdoctor scan``: this machine x the chosen interpreter x this folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from doctor.cli.options import Flags, shared
from doctor.cli.options_inside import AllDependencies, Cache, PlainHttp, Platform, Pull, Run, inside

_FIXES = "Fixes"


@shared
def scan(
    flags: Flags,
    path: Annotated[Path, typer.Argument(help="The project's folder.", show_default=False)] = Path(),
    python: Annotated[Optional[str], typer.Option(help="Look at this interpreter or environment.")] = None,  # noqa: UP045
    target: Annotated[Optional[list[str]], typer.Option(help="Look at these instead of this host.")] = None,  # noqa: UP045
    image: Annotated[
        list[str] | None, typer.Option(help="Look into this image: short for --target image:REF.", metavar="REF")
    ] = None,
    machine: Annotated[Optional[Path], typer.Option(help="Judge on the machine of this snapshot.")] = None,  # noqa: UP045
    log: Annotated[Optional[Path], typer.Option(help="A training or TensorFlow log to join with the facts.")] = None,  # noqa: UP045
    build_arg: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE for the project's Dockerfiles.", metavar="NAME=VALUE")
    ] = None,
    platform: Platform = None,
    pull: Pull = None,
    run: Run = False,
    cache: Cache = None,
    plain_http: PlainHttp = None,
    all_dependencies: AllDependencies = False,
    try_: Annotated[bool, typer.Option("--try", help="Import TensorFlow in a child and list its devices.")] = False,
    canary: Annotated[bool, typer.Option("--canary", help="Run the training canary too.")] = False,
    fix: Annotated[
        bool,
        typer.Option("--fix", help="Show what would mend the findings: a diff, or commands.", rich_help_panel=_FIXES),
    ] = False,
    write: Annotated[
        bool,
        typer.Option("--write", "--yes", help="With --fix: write the safe edits, ask nothing.", rich_help_panel=_FIXES),
    ] = False,
) -> None:
    """Say what is wrong with this machine and this environment, the root cause first."""
    from doctor.cli.session import Session
    from doctor.errors import UsageError
    from doctor.scan import Request, look_at

    if write and not fix:
        raise UsageError("--write goes with --fix: kdoctor scan --fix --write")
    flags.update(image=image, platform=platform, pull=pull, run=run, cache=cache, plain_http_registries=plain_http)
    flags["all_dependencies"] = all_dependencies
    session = Session.open(flags, path)
    request = Request(
        folder=path,
        python=python or session.settings.python,
        targets=(*(target or ()), *(f"image:{one}" for one in session.settings.image)),
        machine=machine,
        log=log,
        try_tensorflow=try_,
        build_args=tuple(build_arg or ()),
        with_project=True,
        inside=inside(session.settings, "missing" if canary else "never"),
        history=session.history,
        all_dependencies=session.settings.all_dependencies,
    )
    looked = look_at(request, offline=session.settings.offline)
    session.header = looked.header
    judged = session.judge(looked.snapshots)
    fixes = None
    if fix and judged:
        from doctor.cli.fixing import mend

        judged, fixes = mend(session, request, judged, write=write)
    if not canary or looked.blind:
        session.finish(judged, unmet=looked.unmet, notes=looked.notes, fixes=fixes)
    from doctor.canary.beside import run_beside
    from doctor.canary.present import Bar
    from doctor.report.head import of_report

    case = judged[0][0]
    with Bar("canary", session.settings.progress) as bar:
        found = run_beside(request, case.subject.name, session.settings, bar)
    if found.record is not None:
        session.canaries = {case.subject.name: found.record}
    session.finish(
        judged,
        extra=found.outcomes,
        unmet=[*looked.unmet, *found.unmet],
        notes=looked.notes,
        had=found.had,
        fixes=fixes,
        head=(lambda report: of_report(case, report, found.text)) if len(judged) == 1 else None,
        **found.parts,
    )
