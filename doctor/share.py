"""``snapshot --share``: a snapshot without what names people, hosts and places, as a block for a bug report."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec

from doctor.model.snapshot import Snapshot
from doctor.model.wire import drop, to_builtins

_HOMES = re.compile(r"(/home/|/Users/|/root(?=/|$)|[A-Z]:\\Users\\)[^/\\\s:]*")
_DROPPED = (
    ("machine", "name"),
    ("project",),
    ("log",),
    ("software", "environment", "HOSTNAME"),
    ("software", "image", "labels"),
)
_REGISTRY = re.compile(r"^(?=[^/]*[.:])[\w.-]+(?::\d+)?(?=/)")  # the part of a reference that names a host
_PUBLIC = frozenset(
    {"docker.io", "index.docker.io", "ghcr.io", "nvcr.io", "quay.io", "gcr.io", "mcr.microsoft.com", "public.ecr.aws"}
)
_ADDRESSES = re.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}\b(?=[:/])|[\w.+-]+@[\w-]+\.[\w.]+")


def shared_block(snapshot: Snapshot) -> bytes:
    """The snapshot as Markdown to paste: host name, private registries, project, log and home folders are taken out."""
    document = to_builtins(snapshot)
    drop(document, _DROPPED)
    subject = document["subject"]
    if subject["kind"] == "host":  # a remote node's snapshot is called like the node
        subject["name"] = "host"
    elif subject["kind"] == "image":
        subject["name"] = _public(subject["name"])
    _hide_registries(document.get("software", {}).get("image"))
    document = _redact(document, str(Path.home()))
    text = msgspec.json.format(msgspec.json.encode(document), indent=1).decode()
    return f"<details><summary>kdoctor snapshot</summary>\n\n```json\n{text}\n```\n\n</details>\n".encode()


def _hide_registries(image: Any) -> None:
    """Take the hosts of private registries out of what a snapshot says of an image."""
    if not isinstance(image, dict):
        return
    base = image.get("base")
    for section, key in ((image, "reference"), (base if isinstance(base, dict) else {}, "name")):
        if isinstance(section.get(key), str):
            section[key] = _public(section[key])
    if isinstance(image.get("repo_digests"), list):
        image["repo_digests"] = [_public(name) for name in image["repo_digests"]]


def _public(reference: str) -> str:
    return _REGISTRY.sub(lambda match: match[0] if match[0] in _PUBLIC else "…", reference)


def _redact(node: Any, home: str) -> Any:
    if isinstance(node, dict):
        return {key: _redact(value, home) for key, value in node.items()}
    if isinstance(node, list):
        return [_redact(value, home) for value in node]
    if isinstance(node, str):
        text = node.replace(home, "~") if len(home) > 1 else node
        return _ADDRESSES.sub("…", _HOMES.sub("~", text))
    return node
