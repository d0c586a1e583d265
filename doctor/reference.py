"""The accepted reference: one canary record committed with the project, with who accepted it, when and why."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

from doctor.canary.alone import summary
from doctor.canary.record import Record
from doctor.errors import DocumentError, UsageError
from doctor.io.files import write_atomically
from doctor.model.snapshot import SCHEMA
from doctor.model.wire import read_document
from doctor.report import drift, sanitize

KIND = "kdoctor/reference"
MAX_TEXT = 500


def write_reference(path: Path, record: Record, *, by: str, why: str, today: datetime.date) -> None:
    """Write ``record`` as the accepted one, whole or not at all.

    Only a new file or another reference is written over: a key of a configuration must not cost somebody's data.

    Raises:
        UsageError: no reason, the place is a link or another kind of file, or it cannot be written to.
    """
    if not why.strip():
        raise UsageError("a reference is accepted for a reason: --reason 'TensorFlow 2.21 reviewed'")
    if path.is_symlink():
        raise UsageError(f"{path}: is a link; the reference is a file of its own")
    if path.exists():
        try:
            read_document(path, expected="reference")
        except DocumentError as error:
            raise UsageError(f"{error}; it is left as it is: name another file as the reference") from None
    write_atomically(path, encode_reference(record, by=by, why=why, today=today))


def encode_reference(record: Record, *, by: str, why: str, today: datetime.date) -> bytes:
    """The document as it is committed: a head that a reviewer reads, then the record."""
    document = {
        "kind": KIND,
        "schema": SCHEMA,
        "accepted_by": by[:MAX_TEXT],
        "accepted_at": today.isoformat(),
        "reason": why.strip()[:MAX_TEXT],
        "record": record.document,
    }
    return json.dumps(document, indent=1, allow_nan=False).encode() + b"\n"


def accepted(path: Path, record: Record, before: dict[str, Any] | None) -> str:
    """What was accepted, and how it differs from the reference before (its drift), for a person."""
    environment = record.environment
    told = summary(record)
    lines = [
        f"{path}: accepted TensorFlow {environment.tensorflow}, Keras {environment.keras}, NumPy {environment.numpy}; "
        f"accuracy {told['accuracy']:.4f} over {told['seeds']} seeds"
    ]
    if before is not None:
        lines.append("against the reference before:")
        lines += [f"  {name:14}  {text}" for _, name, text in drift.lines(before)]
    return "\n".join(sanitize.line(line, 400) for line in lines) + "\n"
