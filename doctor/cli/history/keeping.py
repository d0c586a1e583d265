"""``kdoctor history add``, ``accept``, ``prune``, ``check``: what changes a history, or looks whether it is whole."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from doctor.cli.history import options as o


def add(
    log: Annotated[str, typer.Argument(help="CSVLogger output, History.history as JSON, or mlflow:RUN_ID.")],
    model: Annotated[Optional[str], typer.Option(help="The model's name: its runs are held together.")] = None,  # noqa: UP045
    optimizer: Annotated[Optional[str], typer.Option(help="The optimizer's name.")] = None,  # noqa: UP045
    data: Annotated[Optional[Path], typer.Option(help="The training data: hashed.", metavar="FILE")] = None,  # noqa: UP045
    weights: Annotated[Optional[Path], typer.Option(help="The weights: path and hash.", metavar="FILE")] = None,  # noqa: UP045
    param: Annotated[Optional[list[str]], typer.Option(help="A hyperparameter.", metavar="NAME=VALUE")] = None,  # noqa: UP045
    metric: Annotated[Optional[str], typer.Option(help="Which metric is the accuracy.", metavar="NAME")] = None,  # noqa: UP045
    target: Annotated[str, typer.Option(help="Where it ran: a target, as for scan.")] = "host",
    digest: Annotated[Optional[str], typer.Option(help="Where it ran: this image.", metavar="SHA256:…")] = None,  # noqa: UP045
    date: Annotated[Optional[str], typer.Option(help="When it ran; else the log's own date.")] = None,  # noqa: UP045
    deployed: Annotated[Optional[str], typer.Option(help="When it was deployed.", metavar="DATE")] = None,  # noqa: UP045
    tag: Annotated[Optional[list[str]], typer.Option(help="A label.")] = None,  # noqa: UP045
    history: o.Where = None,
    config: o.Config = None,
) -> None:
    """Record a training run of your own."""
    from doctor.errors import UsageError
    from doctor.report.sanitize import line
    from doctor.scan import Request, look_at
    from doctor.store.adding import Told, environment_of_digest, training_entry
    from doctor.store.opening import open_store
    from doctor.store.training import read_parameters, read_training
    from doctor.store.writing import write_entries

    if digest is not None and not digest.startswith("sha256:"):
        raise UsageError(f"--digest {digest[:80]!r}: write sha256:…")
    told = Told(
        model=model,
        optimizer=optimizer,
        data=data,
        weights=weights,
        parameters=read_parameters(param or ()),
        metric=metric,
        tags=tuple(tag or ()),
        ran_at=o.moment(date, "--date"),
        deployed_at=o.moment(deployed, "--deployed"),
    )
    training = read_training(log)
    settings, place = o.find(config, history)
    environment = None
    if digest is None:
        environment = look_at(Request(targets=(target,)), offline=settings.offline, strict=True).snapshots[0]
    with open_store(place) as store:
        where = environment if environment is not None else environment_of_digest(store, str(digest))
        entry = training_entry(training, told, where)
        run = write_entries(store, [entry])[0]
    for note in training.notes:
        typer.echo(f"kdoctor: {line(note)}", err=True)
    if entry.accuracy is None:
        accuracy = f"no accuracy (--metric may name one of {', '.join(training.metrics)[:200]})"
    else:
        accuracy = f"{entry.accuracy_metric} {entry.accuracy:.4f}"
    if entry.accuracy is not None and entry.accuracy > 1:
        typer.echo(f"kdoctor: {accuracy} is more than 1; tolerances are absolute: 0.01 is a hundredth of 1", err=True)
    typer.echo(
        line(f"run {run}: {entry.model}, {accuracy}, after {_epochs(len(entry.metrics), len(training.metrics))}")
    )


def accept(
    run: Annotated[str, typer.Argument(help="A run's number, the beginning of its uid, or latest.")],
    reason: Annotated[str, typer.Option(help="Why.", show_default=False)],
    by: Annotated[Optional[str], typer.Option(help="Who; else GITHUB_ACTOR, GITLAB_USER_LOGIN or USER.")] = None,  # noqa: UP045
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--output", "-o", help="The reference's file; else the policy's.", metavar="FILE"),
    ] = None,
    history: o.Where = None,
    config: o.Config = None,
) -> None:
    """Make a run the reference, which gate and canary are held against."""
    import getpass
    import os

    from doctor.policy import REFERENCE_FILE
    from doctor.store.accepting import accept_run
    from doctor.store.opening import open_store
    from doctor.store.reading import find_run, load_run

    settings, place = o.find(config, history)
    file = output or Path(settings.reference or REFERENCE_FILE)
    who = by or os.environ.get("GITHUB_ACTOR") or os.environ.get("GITLAB_USER_LOGIN") or getpass.getuser()
    with open_store(place) as store:
        row = load_run(store, find_run(store, run))
        written = accept_run(store, row, by=who, reason=reason, file=file)
    if written is not None:
        typer.echo(f"{written}: holds run {row['id']}; commit it")
    else:
        typer.echo(f"run {row['id']} sets the level of its series from now on")


def prune(
    keep: Annotated[Optional[int], typer.Option(help="Keep the newest so many runs.", min=0)] = None,  # noqa: UP045
    before: Annotated[Optional[str], typer.Option(help="Forget runs before this day.", metavar="DATE")] = None,  # noqa: UP045
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    history: o.Where = None,
    config: o.Config = None,
) -> None:
    """Forget old runs; accepted ones are kept."""
    from doctor.errors import UsageError
    from doctor.report.totals import count
    from doctor.store import upkeep
    from doctor.store.opening import exists, open_store

    if (keep is None) == (before is None):
        raise UsageError("prune: say either --keep N or --before DATE")
    _, place = o.find(config, history)
    if not exists(place):
        raise UsageError(f"history {place}: is not there")
    with open_store(place) as store:
        done = upkeep.prune(store, keep=keep, before=o.moment(before, "--before"), dry=dry_run)
    verb = "would be forgotten" if dry_run else "forgotten"
    kept = f"; {done.accepted} accepted kept" if done.accepted else ""
    gone = (count(done.runs, "run"), count(done.environments, "environment"), count(done.documents, "record"))
    typer.echo(f"{', '.join(gone)} {verb}{kept}")


def check(history: o.Where = None, config: o.Config = None) -> None:
    """Look whether a history is whole; exit code 1 where it is not."""
    from doctor.cli.options import leave
    from doctor.errors import UsageError
    from doctor.report.sanitize import line
    from doctor.report.totals import count
    from doctor.store import upkeep
    from doctor.store.opening import exists, open_store

    _, place = o.find(config, history)
    if not exists(place):
        raise UsageError(f"history {place}: is not there")
    with open_store(place, write=False) as store:
        faults = upkeep.check(store)
        held = upkeep.counts(store)
    for fault in faults:
        typer.echo(line(fault))
    nouns = {"runs": "run", "environments": "environment", "documents": "record", "references": "reference"}
    told = ", ".join(count(held[name], noun) for name, noun in nouns.items())
    typer.echo(f"{place}: {told}; {count(len(faults), 'fault') if faults else 'whole'}")
    leave(1 if faults else 0)


def _epochs(rows: int, metrics: int) -> str:
    count = rows // max(1, metrics)
    return f"{count} epoch{'' if count == 1 else 's'}"
