"""What is recorded of one run, before it is rows: plain, immutable, and independent of the database."""

from __future__ import annotations

import datetime
import hashlib
import json
import math
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from doctor.case import Case
from doctor.model.facts import Missing, known
from doctor.model.report import Finding
from doctor.model.snapshot import Snapshot
from doctor.model.wire import drop, to_builtins

MAX_TEXT = 4000
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")  # PostgreSQL holds neither in text

# What differs between two looks at one and the same environment, or names where it stood.
_VOLATILE = (("machine", "name"), ("software", "tensorflow", "observed"))
_SECTIONS = ("software", "machine", "container", "partial", "derived")


class Part(msgspec.Struct, frozen=True):
    """Base of what is recorded."""


class Metric(Part, frozen=True):
    """One metric after one epoch, counted from 1; None where it was no number."""

    epoch: int
    name: str
    value: float | None


class Drift(Part, frozen=True):
    """What a run held against another one came to: the mechanism, the label of accuracy, and the difference."""

    mechanism: str | None = None
    label: str | None = None
    difference: float | None = None


class Document(Part, frozen=True):
    """A document kept whole: what equal runs share (stored once), and what is this run's own."""

    kind: str
    body: bytes
    rest: dict[str, Any]

    @property
    def sha256(self) -> str:
        """The name under which the shared part is stored."""
        return hashlib.sha256(self.body).hexdigest()


class Entry(Part, frozen=True):
    """One run: of a scan, a canary, a comparison, the gate, or a training of the user's own.

    ``environment``: where it ran; ``compared_with``: the other side of a comparison. ``seeds``: accuracy by seed.
    ``accuracy_metric``: which of the metrics is the accuracy.
    """

    kind: str
    subject: str
    subject_kind: str
    ran_at: datetime.datetime
    environment: Snapshot
    verdict: str = "pass"
    exit_code: int | None = None
    host: str | None = None
    compared_with: Snapshot | None = None
    deployed_at: datetime.datetime | None = None
    model: str | None = None
    optimizer: str | None = None
    parameters: dict[str, Any] = {}
    seeds: dict[str, float] = {}
    device: str | None = None
    accuracy_metric: str | None = None
    accuracy: float | None = None
    accuracy_sd: float | None = None
    loss: float | None = None
    data_path: str | None = None
    data_sha256: str | None = None
    weights_path: str | None = None
    weights_sha256: str | None = None
    drift: Drift = Drift()
    seconds: float | None = None
    metrics: tuple[Metric, ...] = ()
    findings: tuple[Finding, ...] = ()
    tags: tuple[str, ...] = ()
    document: Document | None = None


def environment_document(snapshot: Snapshot) -> dict[str, Any]:
    """What makes an environment: facts of its software and machine, less what names the host or changes by itself."""
    whole = to_builtins(snapshot)
    kept = {key: whole[key] for key in _SECTIONS if whole.get(key)}
    drop(kept, _VOLATILE)
    document: dict[str, Any] = storable(kept)
    return document


def content_hash(document: Mapping[str, Any]) -> str:
    """SHA-256 over a document, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(document, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def environment_columns(snapshot: Snapshot) -> dict[str, str | None]:
    """The facts that a person filters and groups by, each as text; None where not known."""
    case = Case(snapshot)
    numpy = case.package("numpy")
    gpus = [known(gpu.name) or "GPU" for gpu in known(snapshot.machine.gpus) or ()]
    distribution = [case.value(f"software.distribution.{key}") for key in ("id", "version")]
    image = snapshot.software.image
    digest = known(image.digest) or next(iter(known(image.repo_digests) or ()), "").rpartition("@")[2]
    columns = {
        "python": case.value("software.python.version"),
        "tensorflow": case.value("software.tensorflow.version"),
        "keras": case.value("software.keras.version"),
        "numpy": None if numpy is None else known(numpy.version),
        "cuda": case.value("software.tensorflow.cuda_version"),
        "cudnn": case.value("software.cuda.cudnn_version"),
        "driver": case.value("machine.driver.version"),
        "gpus": ", ".join(gpus),
        "cpu": case.value("machine.cpu.model"),
        "distribution": " ".join(part for part in distribution if isinstance(part, str)),
        "image": known(image.reference),
        "image_digest": digest or known(image.id),
        "base_digest": known(image.base.digest),
    }
    return {name: _text(value) for name, value in columns.items()}


def storable(value: Any) -> Any:
    """Plain data that both databases can hold: no NUL, no lone surrogates, no infinite numbers; texts bounded."""
    if isinstance(value, str):
        return _UNSTORABLE.sub("\ufffd", value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {storable(str(key)): storable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [storable(item) for item in value]
    return value


def short(value: str | None) -> str | None:
    """A text for a column."""
    return None if value is None else str(storable(value))[:MAX_TEXT]


def number(value: Any) -> float | None:
    """A finite number, or None."""
    good = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if good else None


def bare_name(subject: str) -> str:
    """A subject without tag and digest: what stays the same when an image moves on."""
    name = subject.split("@", 1)[0]
    head, _, tail = name.rpartition(":")
    return head if head and "/" not in tail and head not in ("image", "python", "container", "archive") else name


def _text(value: Any) -> str | None:
    if isinstance(value, Missing) or value is None or value is False or value == "":
        return None
    return short(str(value))
