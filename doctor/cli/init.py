"""``kdoctor init``: a policy and a CI file to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer


def init(
    path: Annotated[Path, typer.Argument(help="The project's folder.", show_default=False)] = Path(),
    ci: Annotated[
        Optional[str],  # noqa: UP045 -- typer reads the annotation at run time
        typer.Option(help="github, gitlab or none; else what the project uses.", show_default=False),
    ] = None,
) -> None:
    """Write a commented policy and the CI file; what is there already stays as it is."""
    import datetime

    from doctor.cli.session import emit
    from doctor.errors import UsageError
    from doctor.report.sanitize import screen
    from doctor.starting import CI, start

    if ci is not None and ci not in (*CI, "none"):
        raise UsageError(f"--ci {ci}: it is {', '.join(CI)} or none")
    for file in start(path, ci, datetime.datetime.now(datetime.timezone.utc).date()):
        head = f"{file.path}: {'written' if file.text is not None else 'not written'}"
        lines = [head + (f"; {file.advice}" if file.advice else "")]
        if file.text is not None:
            lines += ["", *(f"    {line}".rstrip() for line in file.text.splitlines()), ""]
        emit(screen("\n".join(lines) + "\n"))
    emit("next: kdoctor gate\n")
