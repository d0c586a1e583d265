"""A unified diff that ``patch`` and ``git apply`` take, also of texts with CRLF and without a last line end."""

from __future__ import annotations

import difflib

from doctor.pin.changes import CONTEXT

_NO_LINE_END = "\n\\ No newline at end of file\n"


def unified(path: str, before: str, after: str) -> str:
    """The diff of two texts; empty where they are the same. Only ``\\n`` ends a line, as ``patch`` has it."""
    rows = difflib.unified_diff(_lines(before), _lines(after), f"a/{path}", f"b/{path}", n=CONTEXT, lineterm="\n")
    return "".join(row if row.endswith("\n") else row + _NO_LINE_END for row in rows)


def _lines(text: str) -> list[str]:
    parts = text.split("\n")
    return [part + "\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])
