"""``snapshot --share``: a snapshot without what names people, hosts and places, as a block for a bug report."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec

from doctor.model.snapshot import Snapshot
from doctor.model.wire import drop, to_builtins

_HOMES = re.compile(r"(/home/|/Users/|/root(?=/|$)|[A-Z]:\\Users\\)[^/\\\s:]*")
_DROPPED = (("machine", "name"), ("project",), ("log",), ("software", "environment", "HOSTNAME"))
_ADDRESSES = re.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}\b(?=[:/])|[\w.+-]+@[\w-]+\.[\w.]+")


def shared_block(snapshot: Snapshot) -> bytes:
    """The snapshot as Markdown to paste: host name, project, log and home folders are taken out."""
    document = to_builtins(snapshot)
    drop(document, _DROPPED)
    document = _redact(document, str(Path.home()))
    text = msgspec.json.format(msgspec.json.encode(document), indent=1).decode()
    return f"<details><summary>kdoctor snapshot</summary>\n\n```json\n{text}\n```\n\n</details>\n".encode()


def _redact(node: Any, home: str) -> Any:
    if isinstance(node, dict):
        return {key: _redact(value, home) for key, value in node.items()}
    if isinstance(node, list):
        return [_redact(value, home) for value in node]
    if isinstance(node, str):
        text = node.replace(home, "~") if len(home) > 1 else node
        return _ADDRESSES.sub("…", _HOMES.sub("~", text))
    return node
