"""JSON: the report as in section 5 of the public contract, one document, keys in a stable order."""

from __future__ import annotations

from typing import Any

import msgspec

from doctor.model.facts import Missing
from doctor.model.report import Report
from doctor.report import sanitize
from doctor.report.context import Context


def render(report: Report, context: Context) -> str:
    """The report as indented JSON with a final newline."""
    return document(report)


def document(value: Any) -> str:
    """A value as an indented JSON document with a final newline; nothing in its strings acts on who prints it."""
    plain = msgspec.to_builtins(value, enc_hook=_outside_json)
    try:
        data = msgspec.json.encode(plain)
    except UnicodeEncodeError:  # a file name that is not UTF-8
        data = msgspec.json.encode(_encodable(plain))
    return sanitize.json_text(msgspec.json.format(data, indent=2).decode()) + "\n"


def _outside_json(value: Any) -> Any:
    """What evidence may hold besides plain data: a missing fact, as on the wire; anything else as its text."""
    return {"missing": value.why} if isinstance(value, Missing) else str(value)


def _encodable(node: Any) -> Any:
    if isinstance(node, str):
        return sanitize.no_surrogates(node)
    if isinstance(node, dict):
        return {_encodable(key): _encodable(value) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return [_encodable(item) for item in node]
    return node
