"""Pins a file with a map of digests, as the tests of this folder do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn

from doctor.pin.run import Request, Result, run

A, B, C = ("sha256:" + letter * 64 for letter in "abc")


def no_registry() -> NoReturn:
    """Stands for the registries in tests that must not ask any."""
    raise AssertionError("a registry was asked")


def pin(root: Path, path: str, content: str | bytes, digests: dict[str, str], **asked: Any) -> tuple[bytes, Result]:
    """The bytes of one file after ``pin --write --digests``, and what the run said."""
    place = root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content.encode() if isinstance(content, str) else content)
    return again(root, path, digests, **asked)


def again(root: Path, path: str, digests: dict[str, str], **asked: Any) -> tuple[bytes, Result]:
    """The same for a file that is there already."""
    table = root / ".digests"
    table.write_text(json.dumps(digests))
    request = Request(**{"folder": root, "names": (root / path,), "write": True, "digests": table, **asked})
    result = run(request, no_registry)
    return (root / path).read_bytes(), result


def reasons(result: Result) -> list[str]:
    """Why images were left without a digest."""
    return [row.text for row in result.failed]
