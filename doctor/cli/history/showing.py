"""``kdoctor history plot`` and ``export``: for eyes, and for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from doctor.cli.history import options as o


def plot(
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--output", "-o", help="FILE.svg, .png or .html; without it, lines in the terminal."),
    ] = None,
    kind: o.Kind = None,
    image: o.Image = None,
    host: o.Host = None,
    tag: o.Tag = None,
    model: o.Model = None,
    since: o.Since = None,
    until: o.Until = None,
    tolerance: Annotated[Optional[float], typer.Option(help="Of accuracy, absolute.", min=0.0, max=1.0)] = None,  # noqa: UP045
    across_hosts: Annotated[bool, typer.Option("--across-hosts", help="Hold runs on several hosts together.")] = False,
    history: o.Where = None,
    config: o.Config = None,
) -> None:
    """Plot accuracy over time, with the tolerance band and what changed at each step."""
    from doctor.cli.session import emit
    from doctor.errors import UsageError
    from doctor.io.files import write_atomically
    from doctor.report.context import terminal
    from doctor.store import plotting
    from doctor.store.drifting import explain, load_series
    from doctor.store.opening import open_store
    from doctor.store.steps import find_steps

    suffix = output.suffix.lower().lstrip(".") if output is not None else ""
    if output is not None and suffix not in ("svg", "png", "html"):
        raise UsageError(f"{output}: write to a file that ends in .svg, .png or .html")
    wanted = o.make_filter(kind, image, None, host, tag, model, None, since, until)
    settings, place = o.find(config, history)
    allowed = tolerance if tolerance is not None else settings.tolerance
    with open_store(place, write=False) as store:
        series = load_series(store, wanted, across_hosts=across_hosts)
        steps = [find_steps(one, allowed) for one in series]
        if output is None:
            emit(plotting.told_sparklines(series, steps, allowed, unicode=bool(terminal()["unicode"])))
            return
        told = [[(step, explain(store, step, allowed)) for step in some] for some in steps]
    try:
        data = plotting.draw(series, told, allowed, suffix)
    except ImportError:
        raise UsageError("plotting needs matplotlib: pip install 'keras-doctor[plot]'") from None
    write_atomically(output, data)


def export(
    to: Annotated[str, typer.Option("--to", help="jsonl, csv or mlflow.")] = "jsonl",
    output: Annotated[Optional[Path], typer.Option("--output", "-o", help="Write to FILE.", metavar="FILE")] = None,  # noqa: UP045
    experiment: Annotated[str, typer.Option(help="MLflow's experiment.")] = "kdoctor",
    kind: o.Kind = None,
    image: o.Image = None,
    host: o.Host = None,
    tag: o.Tag = None,
    model: o.Model = None,
    since: o.Since = None,
    until: o.Until = None,
    history: o.Where = None,
    config: o.Config = None,
) -> None:
    """Hand runs to other tools: JSON Lines (whole runs), CSV (one line a run), or MLflow's tracking server."""
    from doctor.cli.session import emit
    from doctor.errors import UsageError
    from doctor.io.files import write_atomically
    from doctor.report.totals import count
    from doctor.store import showing
    from doctor.store.exporting import to_mlflow, whole_runs
    from doctor.store.opening import open_store
    from doctor.store.reading import list_runs

    if to not in ("jsonl", "csv", "mlflow"):
        raise UsageError(f"--to {to!r}: expected jsonl, csv or mlflow")
    wanted = o.make_filter(kind, image, None, host, tag, model, None, since, until)
    _, place = o.find(config, history)
    with open_store(place, write=False) as store:
        if to == "mlflow":
            copied = count(len(to_mlflow(store, wanted, experiment)), "run")
            typer.echo(f"{copied} copied to experiment {experiment}")
            return
        rows = list(whole_runs(store, wanted)) if to == "jsonl" else list_runs(store, wanted)[::-1]
    text = showing.as_lines(rows) if to == "jsonl" else showing.as_csv(rows)
    if output is not None:
        write_atomically(output, text.encode())
    else:
        emit(text)
