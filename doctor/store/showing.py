"""Runs on the screen: a table, one run in full, two runs side by side."""

from __future__ import annotations

import csv
import datetime
import io
import json
from collections.abc import Sequence
from typing import Any

from doctor.report.sanitize import line, screen
from doctor.store.reading import Row, plain

_COLUMNS = ("run", "date", "kind", "subject", "verdict", "accuracy", "tensorflow", "keras", "host")
_MARKS = {"pass": "✓", "fail": "✗", "incomplete": "!"}
_WIDTHS = {"subject": 30, "host": 18}
_LEAST = ("keras", "host", "tensorflow", "subject", "kind")  # given up first where a terminal is narrow
_NARROW_SUBJECT = 16


def table(rows: Sequence[Row], width: int | None = None) -> str:
    """The runs as a table; ``width``: of the terminal, where the columns that matter least are left out to fit it."""
    if not rows:
        return "no runs\n"
    cells = [[_cell(row, name) for name in _COLUMNS] for row in rows]
    kept = [n for n in range(len(_COLUMNS)) if any(row[n] for row in cells)]
    lines = [[_COLUMNS[n] for n in kept], *([row[n] for n in kept] for row in cells)]
    if width is not None:
        lines = _fitted(lines, width)
    widths = _column_widths(lines)
    text = ["  ".join(value.ljust(size) for value, size in zip(row, widths, strict=True)).rstrip() for row in lines]
    return screen("\n".join(text) + "\n")


def _fitted(lines: list[list[str]], width: int) -> list[list[str]]:
    """The table without the columns that matter least, and with shorter subjects, as far as the width asks for it."""
    for name in _LEAST:
        over = sum(_column_widths(lines)) + 2 * (len(lines[0]) - 1) - width
        if over <= 0 or name not in lines[0]:
            continue
        at = lines[0].index(name)
        if name == "subject":
            room = max(_NARROW_SUBJECT, _column_widths(lines)[at] - over - 1)  # and the sign that it was cut
            lines = [[*row[:at], line(row[at], room), *row[at + 1 :]] for row in lines]
        else:
            lines = [row[:at] + row[at + 1 :] for row in lines]
    return lines


def _column_widths(lines: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(*lines, strict=True)]


def as_json(rows: Sequence[Row]) -> str:
    """The runs as one JSON document."""
    document = {"kind": "kdoctor/history", "schema": 1, "runs": [plain(row) for row in rows]}
    return json.dumps(document, ensure_ascii=True) + "\n"


def as_lines(rows: Sequence[Row]) -> str:
    """The runs as JSON Lines."""
    return "".join(json.dumps(plain(row), ensure_ascii=True) + "\n" for row in rows)


def as_csv(rows: Sequence[Row]) -> str:
    """The runs as CSV with a header. A text that a spreadsheet would run as a formula gets an apostrophe before it."""
    out = io.StringIO()
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(out, names, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: _csv(value) for key, value in row.items()})
    return out.getvalue()


def run(row: Row) -> str:
    """One run in full, for a person."""
    environment = row["environment"]
    lines = [f"run {row['id']}  {row['kind']} of {row['subject']}  {_date(row['ran_at'])}  {row['verdict']}"]
    lines += _block(
        [
            ("uid", row["uid"]),
            ("host", row["host"]),
            ("tags", ", ".join(row["tags"])),
            ("deployed", _date(row["deployed_at"]) if row["deployed_at"] else None),
            ("model", row["model"]),
            ("optimizer", row["optimizer"]),
            ("parameters", _flat(row["parameters"]) if row["kind"] == "training" else None),
            ("accuracy", _accuracy(row)),
            ("loss", _number(row["loss"])),
            ("drift", _drift(row)),
            ("data", _file(row["data_path"], row["data_sha256"])),
            ("weights", _file(row["weights_path"], row["weights_sha256"])),
            ("seconds", _number(row["seconds"])),
        ]
    )
    lines.append(f"environment {environment['sha256'][:16]}")
    names = ("python", "tensorflow", "keras", "numpy", "cuda", "cudnn", "driver", "gpus", "cpu", "distribution")
    lines += _block([(name, environment[name]) for name in (*names, "image", "image_digest", "base_digest")])
    if row["findings"]:
        lines.append("findings")
        lines += [f"  {one['severity']}[{one['code']}] {line(one['message'], 200)}" for one in row["findings"]]
    for one in row["references"]:
        who, why = line(one["accepted_by"], 80), line(one["reason"], 200)
        lines.append(f"accepted {_date(one['accepted_at'])} by {who}: {why}")
    return screen("\n".join(lines) + "\n")


def change_lines(changes: Sequence[dict[str, Any]], most: int = 40) -> list[str]:
    """Differences, one a line; how many are left out is said."""
    shown = [
        f"  {line(one['what'], 30)} {line(one['name'], 80)}: {_side(one.get('a'))} → {_side(one.get('b'))}"
        for one in changes[:most]
    ]
    return shown + ([f"  and {len(changes) - most} more (--format json)"] if len(changes) > most else [])


def _cell(row: Row, name: str) -> str:
    if name == "run":
        return str(row["id"])
    if name == "date":
        return _date(row["ran_at"])
    if name == "verdict":
        return f"{_MARKS.get(row['verdict'], '–')} {line(row['verdict'], 12)}"
    if name == "accuracy":
        return "" if row["accuracy"] is None else f"{row['accuracy']:.4f}"
    if name == "subject" and row["kind"] == "training":
        return line(row["model"] or row["subject"], _WIDTHS["subject"])
    return line(row[name] or "", _WIDTHS.get(name, 20))


def _block(pairs: Sequence[tuple[str, Any]]) -> list[str]:
    return [f"  {name:13} {line(value, 200)}" for name, value in pairs if value not in (None, "")]


def _accuracy(row: Row) -> str | None:
    if row["accuracy"] is None:
        return None
    spread = f", standard deviation {row['accuracy_sd']:.4f} between seeds" if row["accuracy_sd"] is not None else ""
    return f"{row['accuracy']:.4f} ({row['accuracy_metric'] or 'accuracy'}){spread}"


def _drift(row: Row) -> str | None:
    parts = [row["drift_class"], row["drift_label"]]
    if row["drift_difference"] is not None:
        parts.append(f"{row['drift_difference']:+.4f}")
    return ", ".join(part for part in parts if part) or None


def _file(path: str | None, digest: str | None) -> str | None:
    return " ".join(part for part in (path, digest[:16] if digest else None) if part) or None


def _flat(parameters: dict[str, Any] | None) -> str:
    return ", ".join(f"{key}={value}" for key, value in (parameters or {}).items())


def _side(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return line(", ".join(map(str, value)) or "none", 100)
    return "none" if value is None else line(value, 100)


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.6g}"


def _date(moment: datetime.datetime) -> str:
    return moment.astimezone(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M")


def _csv(value: Any) -> Any:
    value = plain(value)
    if isinstance(value, (dict, list)):
        value = json.dumps(value, ensure_ascii=True)
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + value
    return value
