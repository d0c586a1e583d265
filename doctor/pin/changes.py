"""A file's change as a unified diff that ``patch`` and ``git apply`` take, and the file itself, safely replaced."""

from __future__ import annotations

import stat
from collections.abc import Iterator

from doctor.errors import UsageError
from doctor.io.files import write_atomically
from doctor.pin.files import File, encode

CONTEXT = 3
_NO_LINE_END = "\n\\ No newline at end of file\n"


def unified(path: str, before: str, after: str) -> str:
    """The diff of two texts with equally many lines, as all changes of ``pin`` are; empty where they are the same.

    Line ends are kept as they are, so that the diff of a file with CRLF applies to it.
    """
    old, new = before.split("\n"), after.split("\n")
    changed = [i for i, (a, b) in enumerate(zip(old, new, strict=True)) if a != b]
    if not changed:
        return ""
    last = len(old) - 1
    parts = [f"--- a/{path}\n+++ b/{path}\n"]
    for first, end in _hunks(changed, len(old) - (old[last] == "")):
        parts.append(f"@@ -{first + 1},{end - first} +{first + 1},{end - first} @@\n")
        parts += _body(old, new, first, end, last)
    return "".join(parts)


def _hunks(changed: list[int], count: int) -> Iterator[tuple[int, int]]:
    """The ranges of lines that are shown: each change with its context, those that touch as one."""
    start, end = 0, -1
    for i in changed:
        if end < 0:
            start = max(0, i - CONTEXT)
        elif i - CONTEXT > end:
            yield start, end
            start = i - CONTEXT
        end = min(count, i + CONTEXT + 1)
    yield start, end


def _body(old: list[str], new: list[str], first: int, end: int, last: int) -> Iterator[str]:
    at = first
    while at < end:
        run = at
        while run < end and old[run] != new[run]:
            run += 1
        for sign, lines in (("-", old), ("+", new)) if run > at else ((" ", old),):
            for i in range(at, max(run, at + 1)):
                yield sign + lines[i] + ("\n" if i < last else _NO_LINE_END)
        at = max(run, at + 1)


def write(file: File, text: str) -> None:
    """Put ``text`` in place of the file. Interrupted at any moment this leaves the old or the new one.

    Raises:
        UsageError: the file was changed since it was read, may not be written to, or cannot be.
    """
    try:
        with file.place.open("rb") as opened:
            now = opened.read(len(file.data) + 1)
            mode = file.place.stat().st_mode
    except OSError as error:
        raise UsageError(f"{file.path}: cannot be read again: {error.strerror or error}") from None
    if now != file.data:
        raise UsageError(f"{file.path}: changed while kdoctor looked at it: not touched, run kdoctor pin again")
    if not mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH):
        raise UsageError(f"{file.path}: read-only: not touched; chmod u+w {file.path} first")
    write_atomically(file.place, encode(text))
