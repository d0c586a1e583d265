"""Snapshots on the wire: bounded reading, missing facts, and writing.

Reading goes in two steps. A walk takes every ``{"missing": why}`` node out; then msgspec decodes the rest into types.
A field of a wrong type becomes a missing fact ("not understood: ...") and never discards the document; a list item of
a wrong shape is dropped and the list named in ``partial``.
"""

from __future__ import annotations

import codecs
import functools
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from doctor.errors import DocumentError
from doctor.model.facts import NOT_KNOWN, Facts, Missing
from doctor.model.prepared import prepared
from doctor.model.snapshot import SCHEMA, Snapshot

MAX_BYTES = 32 * 1024 * 1024
MAX_DEPTH = 64
MAX_MISTAKES = 64
MAX_TEXT = 200
MAX_TOLD = 5

_PLACE = re.compile(r"^(?P<what>.*?)(?: - at `\$(?P<path>[^`]*)`)?$", re.DOTALL)
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]|\[(\.\.\.)\]")
_WANTED = {
    "snapshot": "what kdoctor snapshot -o FILE writes is expected",
    "report": "what kdoctor scan --format json writes is expected",
    "canary": "what kdoctor canary -o FILE writes is expected",
    "baseline": "what kdoctor scan --write-baseline FILE writes is expected",
    "lock": "what kdoctor pin --lock writes is expected",
    "reference": "what kdoctor gate --update-reference writes is expected",
}

Path_ = tuple[Any, ...]


def read_document(path: Path, *, expected: str = "snapshot") -> dict[str, Any]:
    """The JSON object in a file, its kind and schema checked, its size and depth bounded.

    Raises:
        DocumentError: unreadable, too large, not JSON, nested too deep, of another kind or of a newer schema.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise DocumentError(f"{path}: cannot be read: {error.strerror or error}") from None
    return parse_document(data, str(path), expected=expected)


def parse_document(data: bytes, origin: str, *, expected: str = "snapshot") -> dict[str, Any]:
    """The JSON object in ``data``; ``origin`` names it in errors.

    Raises:
        DocumentError: see :func:`read_document`.
    """
    if len(data) > MAX_BYTES:
        raise DocumentError(f"{origin}: larger than {MAX_BYTES >> 20} MiB; no kdoctor document is that large")
    try:
        raw = msgspec.json.decode(_utf8(data))
    except RecursionError:
        raise DocumentError(f"{origin}: nested too deep to be a kdoctor document") from None
    except msgspec.DecodeError as error:
        raise DocumentError(f"{origin}: not JSON: {str(error)[:MAX_TEXT]}; {_WANTED[expected]}") from None
    except UnicodeDecodeError:
        raise DocumentError(f"{origin}: not JSON: not UTF-8 text; {_WANTED[expected]}") from None
    if not isinstance(raw, dict):
        raise DocumentError(f"{origin}: the document is not a JSON object; {_WANTED[expected]}")
    check_header(raw, origin, expected)
    return raw


def _utf8(data: bytes) -> bytes:
    """The same text without a byte-order mark: PowerShell's ``>`` writes UTF-16, some editors mark UTF-8."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16").encode()
    return data.removeprefix(codecs.BOM_UTF8)


def check_header(raw: dict[str, Any], origin: str, expected: str) -> None:
    """Refuse another kind of document and a schema that this version does not know.

    Raises:
        DocumentError: with what was found and what to do.
    """
    kind = raw.get("kind", "kdoctor/snapshot")
    if kind != f"kdoctor/{expected}":
        known = isinstance(kind, str) and kind.removeprefix("kdoctor/") in _WANTED
        what = f"a {kind} document" if known else "not a kdoctor document"
        raise DocumentError(f"{origin}: {what}; expected kdoctor/{expected}: {_WANTED[expected]}")
    schema = raw.get("schema", SCHEMA)
    if not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
        raise DocumentError(f"{origin}: schema is {str(schema)[:40]!r}, expected {SCHEMA}; {_WANTED[expected]}")
    if schema > SCHEMA:
        raise DocumentError(f"{origin}: schema {schema} is newer than this kdoctor reads ({SCHEMA}): update kdoctor")


def decode_snapshot(raw: dict[str, Any], origin: str = "snapshot", mistakes: list[str] | None = None) -> Snapshot:
    """The snapshot in a JSON object whose header is checked.

    ``mistakes`` gets the place and the reason of each field that is of a wrong type, and therefore not known.

    Raises:
        DocumentError: nested too deep.
    """
    missing: dict[Path_, str] = {}
    raw = _take_missing(raw, (), missing, origin)
    dropped: set[str] = set()
    for _ in range(MAX_MISTAKES):
        try:
            snapshot = msgspec.convert(raw, prepared(Snapshot), strict=True)
            break
        except msgspec.ValidationError as error:
            place, why = _mistake(error)
            if mistakes is not None:
                mistakes.append(f"{'.'.join(map(str, place)) or 'the document'} ({why.partition(': ')[2]})")
            _remove(raw, place, why, missing, dropped)
    else:
        snapshot, missing = _by_section(raw, missing)
        if mistakes is not None:
            mistakes.append("more than can be told")
    for place, why in missing.items():
        snapshot = _mark(snapshot, place, why)
    if dropped:
        snapshot = msgspec.structs.replace(
            snapshot, partial=tuple(dict.fromkeys([*snapshot.partial, *sorted(dropped)]))
        )
    return snapshot


def load_snapshot(path: Path, remarks: list[str] | None = None) -> Snapshot:
    """The snapshot saved in a file; ``remarks`` gets a sentence where fields of it are not understood.

    Raises:
        DocumentError: the file is no snapshot that this version can read.
    """
    mistakes: list[str] = []
    snapshot = decode_snapshot(read_document(path), str(path), mistakes)
    if mistakes and remarks is not None:
        count = "1 field is" if len(mistakes) == 1 else f"{len(mistakes)} fields are"
        rest = f", and {len(mistakes) - MAX_TOLD} more" if len(mistakes) > MAX_TOLD else ""
        told = ", ".join(mistakes[:MAX_TOLD])
        remarks.append(f"{path}: {count} of a wrong type and taken as not known: {told}{rest}; collect it anew")
    return snapshot


def _take_missing(node: Any, place: Path_, missing: dict[Path_, str], origin: str) -> Any:
    """A copy without ``{"missing": why}`` nodes; they are noted under their place."""
    if len(place) > MAX_DEPTH:
        raise DocumentError(f"{origin}: nested too deep to be a kdoctor document")
    if isinstance(node, dict):
        out = {}
        for key, value in node.items():
            if isinstance(value, dict) and isinstance(value.get("missing"), str):
                here = (*place, key)
                missing[here] = value["missing"][:MAX_TEXT]
            elif isinstance(value, (dict, list)):
                out[key] = _take_missing(value, (*place, key), missing, origin)
            else:
                out[key] = value
        return out
    if isinstance(node, list):
        return [
            _take_missing(value, (*place, i), missing, origin) if isinstance(value, (dict, list)) else value
            for i, value in enumerate(node)
        ]
    return node


def _mistake(error: msgspec.ValidationError) -> tuple[Path_, str]:
    match = _PLACE.match(str(error))
    text, path = (match["what"], match["path"] or "") if match else (str(error), "")
    place: list[Any] = []
    for key, index, _ in _STEP.findall(path):
        place.append(int(index) if index else key or "...")
    return tuple(place), f"not understood: {text[:MAX_TEXT]}"


def _remove(raw: dict[str, Any], place: Path_, why: str, missing: dict[Path_, str], dropped: set[str]) -> None:
    """Take the node at ``place`` out; where a path is not exact (inside a map), take out what holds it."""
    exact = place[: place.index("...")] if "..." in place else place
    node: Any = raw
    for step in exact[:-1]:
        node = node[step]
    if not exact:
        raw.clear()
        return
    if isinstance(exact[-1], int):
        del node[exact[-1]]
        _move_up(missing, exact)
        dropped.add(".".join(step for step in exact[:-1] if isinstance(step, str)))
    else:
        node.pop(exact[-1], None)
        missing[exact] = why


def _move_up(missing: dict[Path_, str], item: Path_) -> None:
    """After a list item is dropped: what was noted of it goes, what was noted of later items moves up by one."""
    depth, (*head, index) = len(item) - 1, item
    for place in [p for p in missing if len(p) > depth and list(p[:depth]) == head and _at_or_after(p[depth], index)]:
        why = missing.pop(place)
        if place[depth] > index:
            moved = (*head, place[depth] - 1, *place[depth + 1 :])
            missing[moved] = why


def _at_or_after(step: Any, index: int) -> bool:
    return isinstance(step, int) and step >= index


def _by_section(raw: dict[str, Any], missing: dict[Path_, str]) -> tuple[Snapshot, dict[Path_, str]]:
    """Decode each section on its own and give up those that hold too many mistakes."""
    good: dict[str, Any] = {}
    for key, value in raw.items():
        try:
            msgspec.convert({key: value}, Snapshot, strict=True)
            good[key] = value
        except msgspec.ValidationError:
            missing[(key,)] = "not understood: too many fields of a wrong type"
    return msgspec.convert(good, Snapshot, strict=True), missing


def _mark(node: Any, place: Path_, why: str, path: str = "") -> Any:
    """A copy of ``node`` in which the fact at ``place`` is missing, for the reason ``why``."""
    if not place or not isinstance(node, (Facts, tuple, dict, list)):
        return node
    step, rest = place[0], place[1:]
    if isinstance(node, (dict, list)):
        return _mark_plain(node, step, rest, why)
    if isinstance(node, tuple):
        if not isinstance(step, int) or step >= len(node):
            return node
        changed = _mark(node[step], rest, why, f"{path}.{step}")
        return (*node[:step], changed, *node[step + 1 :])
    if step not in node.__struct_fields__:
        return node
    here = f"{path}.{step}".lstrip(".")
    value = getattr(node, step)
    if rest:
        return msgspec.structs.replace(node, **{step: _mark(value, rest, why, here)})
    if not isinstance(_defaults(type(node))[step], (Missing, Facts)):
        return node  # never missing: it keeps its default
    return msgspec.structs.replace(node, **{step: _all_missing(value, here, why)})


def _mark_plain(node: dict[str, Any] | list[Any], step: Any, rest: Path_, why: str) -> Any:
    """The same for plain data (a row of the project's): there the missing fact stands as it does on the wire."""
    if isinstance(node, dict):
        if not rest:
            return {**node, step: {"missing": why}}
        return {**node, step: _mark(node[step], rest, why)} if step in node else node
    if not isinstance(step, int) or step >= len(node):
        return node
    return [*node[:step], _mark(node[step], rest, why), *node[step + 1 :]]


@functools.cache
def _defaults(kind: type[Facts]) -> dict[str, Any]:
    return {field.name: field.default for field in msgspec.structs.fields(kind)}


def _all_missing(value: Any, path: str, why: str) -> Any:
    """A section of which nothing is known for one reason, or the missing fact itself."""
    if not isinstance(value, Facts):
        return Missing(path, why)
    fields = [name for name, default in _defaults(type(value)).items() if isinstance(default, (Missing, Facts))]
    return msgspec.structs.replace(
        value, **{name: _all_missing(getattr(value, name), f"{path}.{name}", why) for name in fields}
    )


def to_builtins(snapshot: Snapshot) -> dict[str, Any]:
    """The snapshot as plain data: facts that nobody knows are left out, those with a reason say it."""
    body = _plain(snapshot)
    return {
        "kind": snapshot.kind,
        "schema": snapshot.schema,
        **{k: v for k, v in body.items() if k not in ("kind", "schema")},
    }


def drop(document: dict[str, Any], places: Iterable[tuple[str, ...]]) -> None:
    """Take these places, each a path of keys, out of a plain document; what is not there need not be."""
    for *above, last in places:
        node: Any = document
        for step in above:
            node = node.get(step) if isinstance(node, dict) else None
        if isinstance(node, dict):
            node.pop(last, None)


def _plain(node: Any) -> Any:
    if isinstance(node, Facts):
        reason = _one_reason(node)
        if reason is not None:
            return {"missing": reason}
        out = {}
        for field in node.__struct_fields__:
            value = getattr(node, field)
            if isinstance(value, Missing):
                if value.why != NOT_KNOWN:
                    out[field] = {"missing": value.why}
                continue
            plain = _plain(value)
            if isinstance(value, Facts) and not plain:
                continue
            out[field] = plain
        return out
    if isinstance(node, tuple):
        return [_plain(item) for item in node]
    return node


def _one_reason(node: Facts) -> str | None:
    """Why a whole section is missing, where all of it is, for one and the same reason."""
    values = [getattr(node, field) for field in node.__struct_fields__]
    reasons = {value.why if isinstance(value, Missing) else None for value in values}
    reason = reasons.pop() if len(reasons) == 1 else None
    return reason if reason != NOT_KNOWN else None


def encode_snapshot(snapshot: Snapshot) -> bytes:
    """The snapshot as indented JSON, UTF-8, with a final newline."""
    return msgspec.json.format(msgspec.json.encode(to_builtins(snapshot)), indent=2) + b"\n"
