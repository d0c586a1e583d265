"""``kdoctor history list``, ``show``, ``diff`` and ``drift``: what was recorded, and what it says."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from doctor.cli.history import options as o


def list_(
    kind: o.Kind = None,
    image: o.Image = None,
    digest: o.Digest = None,
    host: o.Host = None,
    tag: o.Tag = None,
    model: o.Model = None,
    verdict: o.Verdict = None,
    since: o.Since = None,
    until: o.Until = None,
    limit: Annotated[int, typer.Option(help="The newest so many; 0 for all.", min=0)] = 50,
    format: o.Format = "text",  # noqa: A002
    history: o.Where = None,
    config: o.Config = None,
) -> None:
    """List recorded runs, the newest first."""
    import shutil
    import sys

    from doctor.cli.session import emit

    o.check_format(format, ("text", "json", "csv"))
    wanted = o.make_filter(kind, image, digest, host, tag, model, verdict, since, until, limit or None)
    _, place = o.find(config, history)

    from doctor.store import showing
    from doctor.store.opening import exists, open_store
    from doctor.store.reading import list_runs

    rows = []
    if exists(place):
        with open_store(place, write=False) as store:
            rows = list_runs(store, wanted)
    if not rows:
        typer.echo(f"kdoctor: no such runs in {place}; record some with --record", err=True)
    if format == "text":
        emit(showing.table(rows, shutil.get_terminal_size().columns if sys.stdout.isatty() else None))
    else:
        emit({"json": showing.as_json, "csv": showing.as_csv}[format](rows))


def show(
    run: Annotated[str, typer.Argument(help="A run's number, the beginning of its uid, or latest.")] = "latest",
    format: o.TwoFormats = "text",  # noqa: A002
    record: Annotated[bool, typer.Option("--record", help="Write the canary record that it was made from.")] = False,
    history: o.Where = None,
    config: o.Config = None,
) -> None:
    """Show one run in full."""
    import json

    from doctor.canary.record_file import encode_record
    from doctor.cli.session import emit
    from doctor.errors import UsageError
    from doctor.store import showing
    from doctor.store.opening import open_store
    from doctor.store.reading import find_run, load_record_of, load_run, plain

    o.check_format(format, ("text", "json"))
    _, place = o.find(config, history)
    with open_store(place, write=False) as store:
        row = load_run(store, find_run(store, run))
        if record:
            found = load_record_of(store, row)
            if found is None:
                raise UsageError(f"run {row['id']}: a {row['kind']} without a canary record")
            emit(encode_record(found).decode())
        elif format == "json":
            emit(json.dumps({"kind": "kdoctor/history", "schema": 1, "run": plain(row)}, ensure_ascii=True) + "\n")
        else:
            emit(showing.run(row))


def diff(
    a: Annotated[str, typer.Argument(help="The run before.")],
    b: Annotated[str, typer.Argument(help="The run after.")],
    format: o.TwoFormats = "text",  # noqa: A002
    history: o.Where = None,
    config: o.Config = None,
) -> None:
    """Say what differs between two recorded runs, and whether their canaries drift."""
    import json

    from doctor.cli.session import emit
    from doctor.store.drifting import difference
    from doctor.store.opening import open_store
    from doctor.store.reading import find_run, load_run, plain
    from doctor.store.telling import told_difference

    o.check_format(format, ("text", "json"))
    settings, place = o.find(config, history)
    with open_store(place, write=False) as store:
        rows = [load_run(store, find_run(store, word)) for word in (a, b)]
        found = difference(store, rows[0], rows[1], settings.tolerance)
    if format == "json":
        emit(json.dumps(plain({"a": rows[0]["id"], "b": rows[1]["id"], **found}), ensure_ascii=True) + "\n")
    else:
        emit(told_difference(rows[0], rows[1], found))


def drift(
    kind: o.Kind = None,
    image: o.Image = None,
    host: o.Host = None,
    tag: o.Tag = None,
    model: o.Model = None,
    since: o.Since = None,
    until: o.Until = None,
    tolerance: Annotated[Optional[float], typer.Option(help="Of accuracy, absolute.", min=0.0, max=1.0)] = None,  # noqa: UP045
    across_hosts: Annotated[bool, typer.Option("--across-hosts", help="Hold runs on several hosts together.")] = False,
    format: o.TwoFormats = "text",  # noqa: A002
    history: o.Where = None,
    config: o.Config = None,
) -> None:
    """Say when accuracy drifted, and what changed then: the first run beyond tolerance, and the run before.

    Exit code 1 where the newest runs are still beyond.
    """
    import json

    from doctor.cli.options import leave
    from doctor.cli.session import emit
    from doctor.store.drifting import explain, load_series
    from doctor.store.opening import open_store
    from doctor.store.reading import plain
    from doctor.store.steps import find_steps
    from doctor.store.telling import told_drift

    o.check_format(format, ("text", "json"))
    wanted = o.make_filter(kind, image, None, host, tag, model, None, since, until)
    settings, place = o.find(config, history)
    allowed = tolerance if tolerance is not None else settings.tolerance
    with open_store(place, write=False) as store:
        series = load_series(store, wanted, across_hosts=across_hosts)
        steps = [step for one in series for step in find_steps(one, allowed)]
        found = [explain(store, step, allowed) for step in steps]
    if format == "json":
        document = {"kind": "kdoctor/history", "schema": 1, "series": len(series), "drifts": found}
        emit(json.dumps(plain(document), ensure_ascii=True) + "\n")
    else:
        emit(told_drift(series, found, allowed))
    leave(1 if any(not step.ended for step in steps) else 0)
