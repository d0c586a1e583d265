"""Runs to record: reports, canaries and trainings made by hand."""

from __future__ import annotations

import datetime
from typing import Any

from doctor.canary.record import Record
from doctor.canary.runs import snapshot_of
from doctor.model.report import Evidence, Finding, Location, Report, Severity, SubjectRow
from doctor.model.snapshot import Snapshot
from doctor.model.wire import decode_snapshot
from doctor.store.entry import Entry
from doctor.store.recording import canary_fields
from tests.canary import records

START = datetime.datetime(2026, 1, 1, 2, 10, tzinfo=datetime.timezone.utc)
DIGEST = "sha256:" + "ab" * 32


def environment(name: str = "host", **versions: str) -> Snapshot:
    """An environment whose packages have these versions."""
    packages = {"tensorflow": "2.15.1", "keras": "2.15.0", "numpy": "1.26.4", **versions}
    return decode_snapshot(
        {
            "subject": {"kind": "interpreter", "name": name, "collected": "static"},
            "machine": {"name": "trainer-03", "os": "linux", "driver": {"present": True, "version": "535.104.05"}},
            "software": {
                "python": {"version": "3.11.7"},
                "packages": [{"name": key.replace("_", "-"), "version": value} for key, value in packages.items()],
                "tensorflow": {"present": True, "version": packages["tensorflow"]},
                "keras": {"present": True, "version": packages["keras"]},
                "environment": {"TF_ENABLE_ONEDNN_OPTS": "1"},
            },
        }
    )


def image(tag: str, digest: str = DIGEST, **versions: str) -> Snapshot:
    """An image's environment."""
    document: dict[str, Any] = {
        "subject": {"kind": "image", "name": f"image:registry.example/app:{tag}", "collected": "static"},
        "software": {
            "image": {"reference": f"registry.example/app:{tag}", "digest": digest},
            "packages": [{"name": name, "version": version} for name, version in versions.items()],
        },
    }
    return decode_snapshot(document)


def finding(subject: str = "host", code: str = "KD102") -> Finding:
    """One finding at error level."""
    return Finding(
        "the driver is too old",
        code=code,
        name="driver-too-old",
        severity=Severity.ERROR,
        subject=subject,
        machine="trainer-03",
        evidence=(Evidence("machine.driver.version", "470.82.01"),),
        location=Location("Dockerfile", 3),
    )


def report(*subjects: str, findings: tuple[Finding, ...] = (), **more: Any) -> Report:
    """A report on these subjects."""
    rows = tuple(
        SubjectRow("interpreter", name, verdict="fail" if any(f.subject == name for f in findings) else "pass")
        for name in subjects
    )
    verdict = "fail" if findings else "pass"
    return Report(subjects=rows, findings=findings, verdict=verdict, exit_code=1 if findings else 0, **more)


def canary(day: int = 0, *, shift: float = 0.0, document: dict[str, Any] | None = None, **versions: str) -> Record:
    """A canary record of a day of the year, its accuracy shifted, its environment of these versions."""
    raw = document if document is not None else records.document()
    raw["created_at"] = at(day).isoformat()
    raw["timings"] = {"total": 9.0 + day / 1000, "beyond_import": 2.0}
    if shift:
        raw["seeds"] = records.seeds([seed["accuracy"] + shift for seed in raw["seeds"]], "a")
    raw["environment"]["packages"].update(versions)
    for name in ("keras", "numpy", "tensorflow"):
        if name in versions:
            raw["environment"][name] = versions[name]
    return records.record(raw)


def at(day: float) -> datetime.datetime:
    """That many days after the first of the year."""
    return START + datetime.timedelta(days=day)


def canary_entry(record: Record, name: str = "host", **more: Any) -> Entry:
    """A canary run as it is recorded."""
    moment = datetime.datetime.fromisoformat(str(record.created_at))
    given: dict[str, Any] = {"host": "trainer-03", "environment": snapshot_of(record, name), **more}
    return Entry(
        kind="canary", subject=name, subject_kind="interpreter", ran_at=moment, **canary_fields(record), **given
    )


def training_entry(day: float, accuracy: float, model: str = "ctr", **more: Any) -> Entry:
    """A training run of the user's own."""
    usual = {"environment": environment(), "parameters": {"batch_size": 64}, "host": "trainer-03", "subject": "host"}
    given: dict[str, Any] = {**usual, **more}
    return Entry(
        kind="training",
        subject_kind="interpreter",
        ran_at=at(day),
        model=model,
        accuracy_metric="val_accuracy",
        accuracy=accuracy,
        **given,
    )
