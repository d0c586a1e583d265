"""From what a command came to, to entries; and from entries to the store."""

from __future__ import annotations

import datetime
import socket
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from doctor.canary.alone import summary
from doctor.canary.record import Record
from doctor.canary.record_file import encode_record
from doctor.model.facts import is_known
from doctor.model.report import Finding, Report
from doctor.model.snapshot import Snapshot
from doctor.store.entry import Document, Drift, Entry, Metric, number
from doctor.store.opening import open_store
from doctor.store.place import Place
from doctor.store.writing import write_entries

# What differs between two canary runs that computed the same, apart from the environment's own facts.
_OWN = ("created_at", "timings", "checksum")


def record_report(
    place: Place,
    kind: str,
    report: Report,
    snapshots: Sequence[Snapshot],
    canaries: Mapping[str, Record] | None = None,
    tags: Sequence[str] = (),
) -> list[int]:
    """Record what a command reported, one run a subject (one in all for a comparison); the runs' numbers.

    ``kind``: scan, canary, compare or gate. ``snapshots``: those that were judged. ``canaries``: records by subject.

    Raises:
        StoreError: nothing was recorded.
    """
    entries = report_entries(kind, report, snapshots, canaries or {}, tags)
    with open_store(place) as store:
        return write_entries(store, entries)


def record_canary(place: Place, record: Record, snapshot: Snapshot, tags: Sequence[str] = ()) -> int:
    """Record one canary run on its own, as it came from its environment; the run's number.

    Raises:
        StoreError: nothing was recorded.
    """
    with open_store(place) as store:
        return write_entries(store, [canary_entry(record, snapshot, tags)])[0]


def canary_entry(record: Record, snapshot: Snapshot, tags: Sequence[str] = ()) -> Entry:
    """The entry of one canary run on its own, as it came from its environment."""
    return Entry(
        kind="canary",
        subject=snapshot.subject.name,
        subject_kind=snapshot.subject.kind,
        ran_at=_moment(record.created_at),
        environment=_with_image(snapshot, record),
        host=_host(snapshot),
        tags=tuple(tags),
        **canary_fields(record),
    )


def report_entries(
    kind: str,
    report: Report,
    snapshots: Sequence[Snapshot],
    canaries: Mapping[str, Record],
    tags: Sequence[str] = (),
) -> list[Entry]:
    """The entries of a report; see ``record_report``."""
    if kind == "compare" and len(snapshots) == 2:
        whole = _entry(kind, report, snapshots[1], report.findings, report.verdict, canaries, tags)
        return [msgspec.structs.replace(whole, compared_with=snapshots[0])]
    names = list(dict.fromkeys(snapshot.subject.name for snapshot in snapshots))
    by_name = {snapshot.subject.name: snapshot for snapshot in reversed(snapshots)}
    verdicts = {row.name: row.verdict for row in report.subjects}
    entries = []
    for number_, name in enumerate(names):
        own = [f for f in report.findings if f.subject == name or (number_ == 0 and f.subject not in by_name)]
        verdict = verdicts.get(name, report.verdict) if len(names) > 1 else report.verdict
        entries.append(_entry(kind, report, by_name[name], own, verdict, canaries, tags))
    return entries


def canary_fields(record: Record) -> dict[str, Any]:
    """What a canary record says in the columns of a run, and the record itself."""
    told = summary(record)
    config = record.config
    return {
        "model": "canary",
        "optimizer": str(config["optimizer_class"]) if config.get("optimizer_class") else None,
        "parameters": {
            "arguments": record.arguments,
            "optimizer": config.get("optimizer"),
            "policy": config.get("policy"),
            "canary": {"version": record.canary.version, "sha256": record.canary.sha256},
            "determinism": record.environment.determinism,
        },
        "seeds": {str(seed.seed): seed.accuracy for seed in record.seeds},
        "device": record.environment.device,
        "accuracy_metric": "accuracy",
        "accuracy": number(told["accuracy"]),
        "accuracy_sd": number(told["accuracy_sd"]),
        "loss": _mean([seed.nll for seed in record.seeds]),
        "data_sha256": record.data_sha256,
        "weights_sha256": record.seeds[0].final_sha256,
        "seconds": number(record.timings.get("total")),
        "metrics": _epochs(record),
        "document": _document(record),
    }


def _entry(
    kind: str,
    report: Report,
    snapshot: Snapshot,
    findings: Sequence[Finding],
    verdict: str,
    canaries: Mapping[str, Record],
    tags: Sequence[str],
) -> Entry:
    record = canaries.get(snapshot.subject.name)
    of_record = canary_fields(record) if record is not None else {}
    return Entry(
        kind=kind,
        subject=snapshot.subject.name,
        subject_kind=snapshot.subject.kind,
        ran_at=_moment(record.created_at if record is not None else None),
        environment=_with_image(snapshot, record),
        verdict=verdict,
        exit_code=report.exit_code,
        host=_host(snapshot),
        drift=_drift_of(kind, report, snapshot.subject.name, record),
        findings=tuple(findings),
        tags=tuple(tags),
        **of_record,
    )


def _with_image(snapshot: Snapshot, record: Record | None) -> Snapshot:
    """The snapshot with the digest of the image that the canary ran in, where only its record knows it."""
    digest = record.environment.image_digest if record is not None else None
    if digest is None or is_known(snapshot.software.image.digest):
        return snapshot
    image = msgspec.structs.replace(snapshot.software.image, digest=digest)
    return msgspec.structs.replace(snapshot, software=msgspec.structs.replace(snapshot.software, image=image))


def _drift_of(kind: str, report: Report, subject: str, record: Record | None) -> Drift:
    """The drift of one subject: the gate has one for each, the others have one in all."""
    rows = [row for row in report.cases or () if row.subject == subject and row.drift is not None]
    if rows:
        return Drift(rows[0].drift, rows[0].accuracy)
    return _drift(report.drift) if kind == "compare" or record is not None else Drift()


def _drift(drift: Mapping[str, Any] | None) -> Drift:
    if drift is None:
        return Drift()
    accuracy = drift.get("accuracy") or {}
    return Drift(drift.get("class"), accuracy.get("label"), number(accuracy.get("difference")))


def _epochs(record: Record) -> tuple[Metric, ...]:
    """Each epoch's mean over the seeds; the seeds one by one stand in the record."""
    rows = []
    for epoch, values in enumerate(zip(*(seed.epochs for seed in record.seeds), strict=False), 1):
        for name in ("accuracy", "loss", "nll"):
            mean = _mean([getattr(value, name) for value in values])
            if mean is not None:
                rows.append(Metric(epoch, name, mean))
    return tuple(rows)


def _document(record: Record) -> Document:
    """The record in two parts: nightly runs that compute the same are kept once."""
    body = {key: value for key, value in record.document.items() if key not in _OWN}
    rest = {key: record.document[key] for key in _OWN if key in record.document}
    shared = encode_record(msgspec.structs.replace(record, document=body))
    return Document("kdoctor/canary", zlib.compress(shared, 6), rest)


def _mean(values: Sequence[float | None]) -> float | None:
    numbers = [value for value in values if number(value) is not None and value is not None]
    return sum(numbers) / len(numbers) if numbers else None


def _moment(text: str | None) -> datetime.datetime:
    """A moment as a document names it; now where it names none."""
    now = datetime.datetime.now(datetime.timezone.utc)
    try:
        found = datetime.datetime.fromisoformat(text.replace("Z", "+00:00")) if text else now
    except ValueError:
        return now
    return found if found.tzinfo is not None else found.replace(tzinfo=datetime.timezone.utc)


def _host(snapshot: Snapshot) -> str:
    name = snapshot.machine.name
    return name if isinstance(name, str) else socket.gethostname()
