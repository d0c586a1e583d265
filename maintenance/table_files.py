"""Table files as text: one row a line, so that a diff shows rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

Table = dict[str, Any]


def read(path: Path) -> Table:
    """A table file; raises OSError or ValueError."""
    table: Table = json.loads(path.read_text("utf-8"))
    return table


def text(table: Table) -> str:
    """The text of a table file: header, sources, then each section with one row a line."""
    parts = []
    for key, value in table.items():
        if isinstance(value, list):
            rows = ",\n".join("  " + json.dumps(row, ensure_ascii=False) for row in value)
            parts.append(f" {json.dumps(key)}: [\n{rows}\n ]")
        else:
            shown = json.dumps(value, ensure_ascii=False, indent=2).replace("\n", "\n ")
            parts.append(f" {json.dumps(key)}: {shown}")
    return "{\n" + ",\n".join(parts) + "\n}\n"
