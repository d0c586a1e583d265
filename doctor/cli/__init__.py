"""The command line: one thin file a command."""

from __future__ import annotations

import typer

from doctor.cli.check import check
from doctor.cli.compare import compare

app = typer.Typer(add_completion=False, no_args_is_help=True)
app.command()(check)
app.command()(compare)


def main() -> None:
    """Run the command line."""
    app()
