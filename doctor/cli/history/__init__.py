"""``kdoctor history``: recorded runs."""

from __future__ import annotations

import functools
from collections.abc import Callable

import typer

from doctor.cli.history.asking import diff, drift, list_, show
from doctor.cli.history.keeping import accept, add, check, prune
from doctor.cli.history.showing import export, plot


def _with_library(command: Callable[..., None]) -> Callable[..., None]:
    """The command, which says what to install where the database library is not there; its ``--help`` needs none."""

    @functools.wraps(command)
    def run(*arguments: object, **options: object) -> None:
        from doctor.store.place import check_library

        check_library()
        command(*arguments, **options)

    return run


history = typer.Typer(
    name="history",
    help="Recorded runs: what drifted when, and what changed then.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
history.command("list")(_with_library(list_))
for command, short in (  # short: whole in the list of commands of a terminal of 80 columns
    (show, None),
    (diff, "Say what differs between two recorded runs."),
    (drift, "Say when accuracy drifted, and what changed then."),
    (accept, None),
    (add, None),
    (plot, "Plot accuracy over time, with the tolerance band."),
    (export, "Hand runs to other tools: JSON Lines, CSV or MLflow."),
    (prune, None),
    (check, None),
):
    history.command(short_help=short)(_with_library(command))
