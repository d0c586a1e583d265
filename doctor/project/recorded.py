"""What tags named before: by ``kdoctor.lock``, else what the local engine pulled, else the history.

Rows get it under ``recorded``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from doctor.errors import DoctorError, DocumentError
from doctor.images import reference
from doctor.images.reference import InvalidReference
from doctor.pin import lock

if TYPE_CHECKING:
    from doctor.store.place import Place

Row = dict[str, Any]

_BY_TAG = (reference.TAG, reference.MOVING, reference.LATEST, reference.LATEST_IMPLICIT)
_MOST_IMAGES = 5000  # of an engine


def with_lock(section: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The ``project`` section with the digests of the folder's lock; one that cannot be read is ``unreadable``."""
    path = folder / lock.NAME
    if not path.is_file():
        return section
    try:
        locked = lock.read(path)
    except DocumentError as error:
        why = str(error).removeprefix(f"{path}: ")
        row = {"path": lock.NAME, "line": None, "why": why}
        return {**section, "unreadable": [*section.get("unreadable", ()), row]}
    rows = []
    for row in section["images"]:
        known = locked.get(_asked(row) or "")
        if known is not None:
            rows.append({**row, "recorded": {"digest": known.digest, "date": known.date, "source": lock.NAME}})
        else:
            rows.append(row)
    return {**section, "images": rows}


def with_engine(rows: list[Row], environ: Mapping[str, str]) -> list[Row]:
    """The rows with what the local engine pulled under their tags, where no lock tells and the registry has answered.

    An engine that does not answer records nothing.
    """
    if not any(_is_open(row) for row in rows):
        return rows
    from doctor.io.engine import EngineError, connect, find_endpoint  # noqa: PLC0415 (only where it can tell something)

    endpoint = find_endpoint(environ)
    if endpoint is None or not endpoint.local:
        return rows
    try:
        client = connect(endpoint)
    except EngineError:
        return rows
    try:
        images = client.api.images()
    except Exception:  # the SDK lets through what requests, urllib3 and json raise
        return rows
    finally:
        client.close()
    return with_repo_digests(rows, images if isinstance(images, list) else [])


def with_repo_digests(rows: list[Row], images: Iterable[Any]) -> list[Row]:
    """The rows with the RepoDigests of an engine's images (rows of its ``/images/json``).

    One image may stand under several digests of a repository: the tag has not moved where one of them is what it
    names now.
    """
    pulled: dict[str, list[str]] = {}
    for image in list(images)[:_MOST_IMAGES]:
        if not isinstance(image, dict):
            continue
        digests = [_parsed(text) for text in image.get("RepoDigests") or ()]
        for tag in filter(None, (_parsed(text) for text in image.get("RepoTags") or ())):
            same = [d.digest for d in digests if d is not None and d.digest and d.name == tag.name]
            pulled.setdefault(tag.normalized, []).extend(same)
    return [_with_digests(row, pulled, "the local engine") if _is_open(row) else row for row in rows]


def _with_digests(row: Row, known: Mapping[str, Sequence[str]], source: str) -> Row:
    digests = known.get(_asked(row) or "")
    if not digests:
        return row
    now = row["registry"]["tag_digest"]
    digest = now if now in digests else digests[0]
    return {**row, "recorded": {"digest": digest, "source": source}}


def with_history(rows: list[Row], find: Callable[[], Place | None]) -> list[Row]:
    """The rows with what tags named in the runs that were recorded, where neither lock nor engine tells.

    A history that is there and cannot be asked leaves the fact missing, with the reason.
    """
    names = {name for row in rows if _is_open(row) and (name := _asked(row))}
    if not names:
        return rows
    try:
        place = find()
        if place is None or (place.path is not None and not place.path.is_file()):
            return rows
        from doctor.store.recalling import digests_of  # noqa: PLC0415 (only where there is a history)

        known = digests_of(place, sorted(names))
    except DoctorError as error:
        missing = {"missing": str(error)[:300]}
        return [{**row, "recorded": missing} if _is_open(row) else row for row in rows]
    return [_with_digests(row, known, "the history") if _is_open(row) else row for row in rows]


def _is_open(row: Row) -> bool:
    """Whether nobody has recorded anything of this tag, and it is known what it names now."""
    registry = row.get("registry")
    answered = isinstance(registry, dict) and isinstance(registry.get("tag_digest"), str)
    return answered and "recorded" not in row and row.get("pinned") in _BY_TAG


def _asked(row: Row) -> str | None:
    """The full name and tag of a row that is used by tag; None for others."""
    found = _parsed(row.get("reference")) if row.get("pinned") in _BY_TAG else None
    return f"{found.name}:{found.tag or 'latest'}" if found is not None else None


def _parsed(text: Any) -> reference.Reference | None:
    try:
        return reference.parse(text) if isinstance(text, str) else None
    except InvalidReference:
        return None
