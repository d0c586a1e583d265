"""What the registries say about the images that a project names: all asked at once, within one limit of time."""

from __future__ import annotations

import datetime
import queue
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from doctor.images.reference import SCRATCH, STAGE, UNRESOLVED, InvalidReference, Reference, parse
from doctor.io.registry.interface import MANIFEST_TYPES, NotFound, Registry, RegistryError, rows_of

SECONDS = 2.0
WORKERS = 16
OK, LATE = "ok", "no answer within {seconds:g} s in all"

Answer = dict[str, Any]


def look_up(
    rows: Iterable[dict[str, Any]], connect: Callable[[], Registry], seconds: float = SECONDS
) -> list[dict[str, Any]]:
    """The rows of ``project.images`` with the registry's answer under ``registry``.

    Each reference is asked about once. An answer that is late stands as ``{"missing": why}``: the threads that still
    wait for it are left behind and do not keep the process alive.
    """
    rows = list(rows)
    wanted = {text: reference for row in rows if (text := row.get("reference")) and (reference := _askable(row))}
    answers = ask_all(wanted, connect, seconds)
    return [{**row, "registry": answers[row["reference"]]} if row.get("reference") in answers else row for row in rows]


def ask_all(wanted: dict[str, Reference], connect: Callable[[], Registry], seconds: float) -> dict[str, Answer]:
    """An answer for each reference, in time or missing."""
    todo: queue.SimpleQueue[tuple[str, Reference]] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[str, Answer]] = queue.SimpleQueue()
    for item in wanted.items():
        todo.put(item)
    for _ in range(min(WORKERS, len(wanted))):
        threading.Thread(target=_work, args=(todo, done, connect), daemon=True).start()
    answers: dict[str, Answer] = {}
    deadline = time.monotonic() + seconds
    while len(answers) < len(wanted):
        try:
            text, answer = done.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            break
        answers[text] = answer
    late = {"missing": LATE.format(seconds=seconds)}
    return {text: answers.get(text, late) for text in wanted}


def ask(registry: Registry, reference: Reference) -> Answer:
    """One registry's answer about one reference, in the contract's words."""
    answer: Answer = {"checked_at": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")}
    try:
        if reference.digest:
            answer |= _digest(registry, reference)
        if reference.tag or not reference.digest:
            tag = Reference(reference.domain, reference.path, reference.tag or "latest", None)
            found = registry.describe(tag)
            answer |= {"outcome": OK, "tag_digest": found.digest}
            answer.setdefault("media_type", found.media_type)
            answer["tag_media_type"] = found.media_type
            if reference.digest and found.is_index and answer["media_type"] in MANIFEST_TYPES:
                answer |= _index(registry, tag, reference.digest)
    except RegistryError as error:
        if not (isinstance(error, NotFound) and "digest_exists" in answer):
            answer |= {"outcome": error.outcome, "why": str(error)[:300]}
    return answer


def _digest(registry: Registry, reference: Reference) -> Answer:
    bare = Reference(reference.domain, reference.path, None, reference.digest)
    try:
        found = registry.describe(bare)
    except NotFound as error:
        return {"outcome": "not-found", "digest_exists": False, "why": str(error)[:300]}
    return {"outcome": OK, "digest_exists": True, "media_type": found.media_type}


def _index(registry: Registry, tag: Reference, digest: str) -> Answer:
    """What the index behind a tag offers, and whether a digest is one of its platforms."""
    manifest = registry.manifest(tag)
    listed = [row.get("digest") for row in rows_of(manifest.document)]
    return {"platforms": list(dict.fromkeys(manifest.platforms)), "tag_lists_digest": digest in listed}


def _work(
    todo: queue.SimpleQueue[tuple[str, Reference]],
    done: queue.SimpleQueue[tuple[str, Answer]],
    connect: Callable[[], Registry],
) -> None:
    registry = connect()
    while True:
        try:
            text, reference = todo.get_nowait()
        except queue.Empty:
            return
        try:
            done.put((text, ask(registry, reference)))
        except Exception as error:  # one answer's fault costs one answer
            done.put((text, {"missing": f"the look-up failed: {type(error).__name__}"}))


def _askable(row: dict[str, Any]) -> Reference | None:
    if row.get("error") or row.get("pinned") in (SCRATCH, STAGE, UNRESOLVED):
        return None
    try:
        found = parse(str(row["reference"]))
    except InvalidReference:
        return None
    return found if found.domain else None  # no host to ask: it is none, though the grammar lets it pass
