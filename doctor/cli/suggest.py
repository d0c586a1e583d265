"""``kdoctor suggest``: which TensorFlow fits this driver, GPU and Python."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def suggest(
    package: Annotated[str, typer.Argument(help="tensorflow or tensorflow-cpu.")] = "tensorflow",
    driver: Annotated[str | None, typer.Option(help="This NVIDIA driver, not the one that is loaded.")] = None,
    gpu: Annotated[list[str] | None, typer.Option(help="This GPU: a name or a compute capability.")] = None,
    python: Annotated[str | None, typer.Option(help="This Python version.")] = None,
    machine: Annotated[Path | None, typer.Option(help="The machine of this snapshot.")] = None,
    format: Annotated[str, typer.Option("--format", help="text or json.")] = "text",  # noqa: A002
) -> None:
    """Say which TensorFlow fits, as install commands; exit code 1 where none does."""
    import msgspec

    from doctor.cli.options import leave
    from doctor.cli.session import emit
    from doctor.errors import UsageError
    from doctor.model.wire import load_snapshot
    from doctor.report.context import terminal
    from doctor.report.sanitize import json_text
    from doctor.scan import Request, look_at
    from doctor.suggest import suggest as find
    from doctor.suggest import text, wanted

    if format not in ("text", "json"):
        raise UsageError(f"--format {format!r}: expected text or json")
    snapshot = load_snapshot(machine) if machine else look_at(Request(), offline=True).snapshots[0]
    asked = wanted(snapshot, driver=driver, gpus=tuple(gpu or ()), python=python, package=package)
    fits = find(asked)
    if format == "json":
        rows = [{**msgspec.to_builtins(fit), "fits": fit.fits} for fit in fits]
        emit(json_text(msgspec.json.encode({"for": asked, "releases": rows}).decode()) + "\n")
    else:
        emit(text(asked, fits, width=int(terminal()["width"])))
    leave(0 if any(fit.fits for fit in fits) else 1)
