"""What ``scan --fix`` offers, for a person: the diff, what somebody has to decide, and the commands."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.model.report import Fix, Fixes
from doctor.report import sanitize, totals


def lines(fixes: Fixes) -> Iterator[tuple[str, str]]:
    """Lines and what they are: ``diff`` and ``command`` stand as they are, ``text`` and ``item`` may be wrapped."""
    if not fixes.rows:
        yield "text", "nothing here can be mended mechanically"
        return
    for file in fixes.files:
        for line in file.diff.removesuffix("\n").split("\n"):
            yield "diff", sanitize.source(line)
    if fixes.files:
        yield "text", _state(fixes)
    for file in fixes.files:
        if file.refused:
            yield "item", f"{file.path}: not written: {file.refused}"
    for row in fixes.rows:
        if row.kind == "edit" and not row.replacements:
            yield "item", f"{_place(row)}: not edited: {row.reason}"
    commands = list(dict.fromkeys((row.command or "", row.code) for row in fixes.rows if row.kind == "command"))
    if commands:
        yield "text", "Commands; kdoctor runs none of them:"
    for command, code in commands:
        yield "command", sanitize.line(f"{command}  # {code}" if "#" not in command else command)


def _state(fixes: Fixes) -> str:
    files = totals.count(len(fixes.files), "file")
    done = [file for file in fixes.files if file.written]
    if len(done) == len(fixes.files):
        return f"{files} written."
    if done:
        return f"{len(done)} of {files} written."
    return f"{files} would change: the same command with --write changes {'it' if len(fixes.files) == 1 else 'them'}."


def _place(row: Fix) -> str:
    place = f"{row.path}:{row.line}" if row.path and row.line else row.path or row.subject
    return f"{row.code} {place}"
