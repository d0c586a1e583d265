"""``kdoctor log``: what a training's or TensorFlow's log says, joined with this machine's facts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from doctor.cli.options import Flags, shared


@shared
def log(
    flags: Flags,
    file: Annotated[
        Path, typer.Argument(help="The log; - or nothing reads stdin.", show_default=False, allow_dash=True)
    ] = Path("-"),
    machine: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--machine", help="Judge with the machine of this snapshot.", metavar="SNAPSHOT"),
    ] = None,
    no_machine: Annotated[bool, typer.Option("--no-machine", help="Judge by the log alone.")] = False,
    python: Annotated[Optional[str], typer.Option(help="Judge with this interpreter's environment.")] = None,  # noqa: UP045
    tee: Annotated[bool, typer.Option("--tee", help="Pass stdin on to stderr, unchanged, while it is read.")] = False,
) -> None:
    """Explain a log: python train.py 2>&1 | kdoctor log --tee."""
    from doctor import logs
    from doctor.cli.session import Session
    from doctor.errors import UsageError
    from doctor.model.report import Note
    from doctor.scan import Looked, Request, look_at

    session = Session.open(flags)
    if no_machine and (machine is not None or python is not None):
        raise UsageError("--no-machine: the log is judged alone; leave --machine and --python out")
    if tee and str(file) != "-":
        raise UsageError("--tee: only what comes through stdin is passed on; leave it out, or the file")
    if str(file) == "-":
        if sys.stdin is None or sys.stdin.isatty():
            raise UsageError("log: nothing on stdin; name a file, or: python train.py 2>&1 | kdoctor log")
        found = logs.read_pipe(sys.stdin.buffer, sys.stderr.buffer if tee else None)
    else:
        found = logs.read_file(file)
    if no_machine:
        looked = Looked((logs.joined(logs.alone("log"), found),))
    else:
        request = Request(python=python or session.settings.python, machine=machine, log=found)
        looked = look_at(request, offline=session.settings.offline)
    session.header = (*looked.header, f"log {file}, {found.read} lines, {len(found.lines)} that may matter")
    more = [Note("log", "more lines that may matter than are kept; the first of each kind are")] if found.full else []
    session.finish(session.judge(looked.snapshots), unmet=looked.unmet, notes=[*looked.notes, *more])
