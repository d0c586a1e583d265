"""The canary's record as a document: read, checked and saved. A record is compared months later on another machine, so
what cannot be trusted or compared is refused here, with the reason."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import msgspec

from doctor.canary.record import PROTOCOL, Record
from doctor.errors import DocumentError
from doctor.io.files import write_atomically
from doctor.model.prepared import prepared
from doctor.model.wire import parse_document

MAX_BYTES = 4 * 1024 * 1024  # a record of 16 seeds has about 180 KB, one of 512 seeds less than 1 MB


def load_record(path: Path) -> Record:
    """The record in a file, or the one that an accepted reference holds.

    Raises:
        DocumentError: the file cannot be read, is cut short, was changed by hand, is of a newer schema, or holds the
            reason why there was no measurement.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise DocumentError(f"{path}: cannot be read: {error.strerror or error}") from None
    return parse_record(data, str(path))


def parse_record(data: bytes, origin: str) -> Record:
    """The record in these bytes; `origin` names it in errors.

    Raises:
        DocumentError: see `load_record`.
    """
    if len(data) > MAX_BYTES:
        raise DocumentError(f"{origin}: larger than {MAX_BYTES >> 20} MiB; no canary record is that large")
    if not data.strip():
        raise DocumentError(f"{origin}: empty; run the canary again")
    reference = _kind(data) == "kdoctor/reference"
    raw: Any = parse_document(data, origin, expected="reference" if reference else "canary")
    if reference:
        raw = raw.get("record")
        if not isinstance(raw, dict):
            raise DocumentError(f"{origin}: this reference holds no canary record; accept a run again")
    return decode_record(raw, origin)


def decode_record(document: dict[str, Any], origin: str = "the record") -> Record:
    """The record in a plain document.

    Raises:
        DocumentError: see `load_record`.
    """
    failure = document.get("error")
    if isinstance(failure, dict):
        raise DocumentError(
            f"{origin}: holds no measurement: {str(failure.get('message'))[:200]}; run the canary again"
        )
    told = document.get("checksum")
    if told is None:
        raise DocumentError(
            f"{origin}: has no checksum, so nobody can tell whether it was changed; run the canary again"
        )
    if told != checksum(document):
        raise DocumentError(f"{origin}: was changed after it was written (its checksum differs); run the canary again")
    try:
        record = msgspec.convert(document, prepared(Record), strict=False)
    except (msgspec.ValidationError, RecursionError) as error:
        version = document.get("canary", {}).get("version") if isinstance(document.get("canary"), dict) else None
        other = f" (it is of canary version {version}, this is version {PROTOCOL})" if version != PROTOCOL else ""
        raise DocumentError(f"{origin}: not a canary record{other}: {str(error)[:200]}") from None
    if len(record.seeds) < 2 or len({entry.seed for entry in record.seeds}) != len(record.seeds):
        raise DocumentError(f"{origin}: not a canary record: it needs at least two different seeds")
    return msgspec.structs.replace(record, document=document)


def save_record(record: Record, path: Path) -> None:
    """Write a record whole or not at all.

    Raises:
        UsageError: the place cannot be written to.
    """
    write_atomically(path, encode_record(record))


def encode_record(record: Record) -> bytes:
    """The document as it stands on disk: one line of JSON."""
    return json.dumps(record.document, sort_keys=True, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def sealed(document: dict[str, Any]) -> dict[str, Any]:
    """A document with its checksum."""
    return {**document, "checksum": checksum(document)}


def checksum(document: dict[str, Any]) -> str:
    """SHA-256 over the document without its checksum, in a form that survives re-indenting and re-ordering."""
    body = {key: value for key, value in document.items() if key != "checksum"}
    try:
        text = json.dumps(_steady(body), sort_keys=True, separators=(",", ":"))
    except RecursionError:
        raise DocumentError("nested too deep to be a canary record") from None
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _steady(value: Any) -> Any:
    """Numbers that other JSON tools write differently (1.0 and 1) in one form."""
    if isinstance(value, dict):
        return {str(key): _steady(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_steady(item) for item in value]
    if isinstance(value, float) and math.isfinite(value) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value


def _kind(data: bytes) -> str | None:
    class Header(msgspec.Struct):
        kind: str | None = None

    try:
        return msgspec.json.decode(data, type=Header).kind
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None  # the caller's own reading says what is wrong
