"""``kdoctor gate``: the pre-deploy gate, by the policy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from doctor.cli.options import Flags, shared
from doctor.cli.options_inside import AllDependencies, Cache, PlainHttp, Platform, Pull, inside

if TYPE_CHECKING:
    from doctor.canary.held import Where
    from doctor.canary.record import Record
    from doctor.canary.runs import Options
    from doctor.canary.sides import Watch
    from doctor.cli.session import Session
    from doctor.store.place import Place


@shared
def gate(
    flags: Flags,
    path: Annotated[Path, typer.Argument(help="The project's folder.", show_default=False)] = Path(),
    policy: Annotated[
        Optional[Path],  # noqa: UP045 -- typer reads the annotation at run time
        typer.Option(help="The policy, from elsewhere than the project: CI's base branch.", metavar="FILE"),
    ] = None,
    python: Annotated[Optional[str], typer.Option(help="Judge this interpreter, beside the policy's images.")] = None,  # noqa: UP045
    target: Annotated[Optional[list[str]], typer.Option(help="Judge these, not the policy's images.")] = None,  # noqa: UP045
    canary: Annotated[
        Optional[bool],  # noqa: UP045
        typer.Option("--canary/--no-canary", help="Run the canary, whatever the policy says.", show_default=False),
    ] = None,
    update_reference: Annotated[
        bool, typer.Option("--update-reference", help="Run the canary and accept it as the reference; judge nothing.")
    ] = False,
    reason: Annotated[str, typer.Option(help="Why the new reference is accepted.", show_default=False)] = "",
    by: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Who accepts it; else GITHUB_ACTOR, GITLAB_USER_LOGIN or USER.", show_default=False),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Trainings of a run without a reference.", min=2, max=512)] = 16,
    build_arg: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE for the project's Dockerfiles.", metavar="NAME=VALUE")
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds that one canary may take.", min=1)] = 300.0,
    platform: Platform = None,
    pull: Pull = None,
    cache: Cache = None,
    plain_http: PlainHttp = None,
    all_dependencies: AllDependencies = False,
) -> None:
    """Decide on a deployment: the images on the machines that the policy names, the project, and the canary."""
    import os

    import msgspec

    from doctor.canary import held
    from doctor.canary.present import Bar
    from doctor.canary.runs import Options
    from doctor.cli.session import Session
    from doctor.gatekeeping import check_policy, chosen, gather, judge_all, with_canaries
    from doctor.report.verdicts import areas
    from doctor.scan import Request

    flags.update(platform=platform, pull=pull, cache=cache, plain_http_registries=plain_http)
    flags["all_dependencies"] = all_dependencies
    session = Session.open(flags, path, policy=policy)
    if canary is not None:
        session.settings = msgspec.structs.replace(session.settings, canary=canary)
    settings = session.settings
    check_policy(settings)
    options = Options(seeds=seeds, timeout=timeout)
    runs = held.wanted(settings) or update_reference  # only what runs must be in the engine
    how = msgspec.structs.replace(inside(settings, "missing" if runs else "never"), run=False)
    where = held.Where(path, os.environ, python or settings.python, how)
    request = Request(
        folder=path, python=where.python, targets=tuple(target or ()), build_args=tuple(build_arg or ()), inside=how
    )

    def watch(title: str) -> Bar:
        return Bar(title, settings.progress)

    if update_reference:
        _accept(session, chosen(request, settings), options, where, watch, reason, by)
        return
    found = gather(request, settings)
    session.header = found.header
    canaries = held.Held()
    if held.wanted(settings):
        named = [(word, one.subject.name) for word, one in zip(found.words, found.software, strict=True)]
        canaries = held.hold(named, settings, options, where, watch)
    session.canaries = canaries.records
    verdicts = judge_all(found, settings, session.today, ("canary",) if canaries.ran else ())
    session.finish(
        session.placed(verdicts.judged),
        unmet=[*verdicts.unmet, *canaries.unmet],
        notes=verdicts.notes,
        extra=canaries.outcomes,
        head=areas,
        machines=verdicts.machines,
        suppressions=verdicts.suppressions,
        cases=with_canaries(verdicts.cases, canaries.drifts, canaries.unmet),
        deny=settings.deny,
        **canaries.parts,
    )


def _accept(
    session: Session,
    words: tuple[str, ...],
    options: Options,
    where: Where,
    watch: Watch,
    reason: str,
    by: str | None,
) -> None:
    """Run the canary once and write its record as the accepted reference."""
    import getpass
    import os
    import sys
    from contextlib import suppress

    from doctor import gate as verdict
    from doctor.canary.record_file import load_record
    from doctor.canary.report import judged
    from doctor.canary.runs import run_with, runner_for
    from doctor.canary.verdict import compare_records
    from doctor.cli.recording import keep
    from doctor.cli.session import emit
    from doctor.errors import DoctorError, UsageError
    from doctor.policy import REFERENCE_FILE
    from doctor.reference import accepted, write_reference
    from doctor.targets.words import parse

    settings = session.settings
    if len(words) > 1:
        raise UsageError(f"the policy names {len(words)} images: say with --target which one is the reference")
    if not reason.strip():
        raise UsageError("a reference is accepted for a reason: --reason 'TensorFlow 2.21 reviewed'")
    file = Path(settings.reference) if settings.reference is not None else session.folder / REFERENCE_FILE
    word = words[0] if words else "host"
    runner = runner_for(parse(word), where.environ, where.folder, where.python, where.inside)
    with watch(f"canary in {word}") as progress:
        record = run_with(runner, options, None, progress)
    alone = judged(record, (), runner.name, settings)
    if any(verdict.blocks(finding, settings) for _, outcome in alone["judged"] for finding in outcome.findings):
        session.finish(**alone)  # what is wrong by itself is no reference
    before = None
    with suppress(DoctorError):
        before = compare_records(load_record(file), record, settings.tolerance)
    who = by or os.environ.get("GITHUB_ACTOR") or os.environ.get("GITLAB_USER_LOGIN") or getpass.getuser()
    write_reference(file, record, by=who, why=reason, today=session.today)
    emit(accepted(file, record, before))
    if settings.reference is None:
        hint = f'the gate does not hold to it yet: add reference = "{REFERENCE_FILE}" to the policy'
        print(f"kdoctor: {hint}", file=sys.stderr)  # noqa: T201
    if settings.record:
        keep(settings, lambda place: [_recorded(place, record, runner.name, who, reason, file, settings.tag)])


def _recorded(place: Place, record: Record, subject: str, by: str, reason: str, file: Path, tags: Sequence[str]) -> int:
    from doctor.canary.runs import snapshot_of
    from doctor.store.accepting import record_accepted

    return record_accepted(place, record, snapshot_of(record, subject), by=by, reason=reason, file=file, tags=tags)
