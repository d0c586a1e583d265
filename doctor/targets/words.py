"""A target is a word: ``host``, ``python:PATH``, ``image:REF``, ``container:NAME``, ``archive:FILE``,
``snapshot:FILE``.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from doctor.errors import UsageError

KINDS = ("host", "python", "image", "container", "archive", "snapshot")
_ARCHIVES = (".tar", ".tar.gz", ".tgz", ".oci", ".tar.zst")
_VERSION = re.compile(r"^\d[\w.-]*$")
_REFERENCE = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._:/-]*(?:@sha256:[0-9a-f]{64})?$")


@dataclass(frozen=True)
class Target:
    """What is to be looked at: one of :data:`KINDS` and its name (empty for ``host``)."""

    kind: str
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}" if self.name else self.kind


def parse(word: str) -> Target:
    """The target that a word names; a bare reference, interpreter or ``.json`` file is recognised.

    Raises:
        UsageError: the word names nothing that kdoctor could look at.
    """
    if word in ("", "host"):
        return Target("host")
    kind, colon, name = word.partition(":")
    if colon and kind in KINDS and kind != "host":
        if not name:
            raise UsageError(f"target {word!r}: a name is missing behind {kind}:")
        if kind == "python" and _VERSION.match(name) and not Path(name).exists():
            return Target("image", word)  # the image of that name: no interpreter is called 3.12
        return Target(kind, name)
    path = Path(word).expanduser()
    if word.endswith(".json"):
        return Target("snapshot", word)
    if word.endswith(_ARCHIVES):
        return Target("archive", word)
    if path.exists() or word.startswith((".", "~", os.sep)):
        return Target("python", word)
    if ("@sha256:" in word or ":" in word or "/" in word) and _REFERENCE.match(word):
        return Target("image", word)
    raise UsageError(
        f"target {word!r} is not understood: "
        "host, python:PATH, image:REF, container:NAME, archive:FILE or snapshot:FILE"
    )
