"""``kdoctor history``: recorded runs."""

from __future__ import annotations

import typer

from doctor.cli.history.asking import diff, drift, list_, show
from doctor.cli.history.keeping import accept, add, check, prune
from doctor.cli.history.showing import export, plot

history = typer.Typer(
    name="history",
    help="Recorded runs: what drifted when, and what changed then.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
history.command("list")(list_)
for command in (show, diff, drift, accept, add, plot, export, prune, check):
    history.command()(command)
