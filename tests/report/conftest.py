"""A report as a run of ``scan`` might give it."""

from __future__ import annotations

import msgspec
import pytest

from doctor.model.report import (
    Evidence,
    Finding,
    Location,
    NotApplied,
    Passed,
    Report,
    Severity,
    Skip,
    SubjectRow,
)

CUDNN = Finding(
    "TensorFlow cannot load cuDNN",
    code="KD201",
    name="cuda-library-missing",
    severity=Severity.ERROR,
    subject="host",
    effect="TensorFlow trains on the CPU and says so in one log line",
    fix="pip install 'tensorflow[and-cuda]==2.21.0'",
    evidence=(
        Evidence("found", "no libcudnn.so.9 in the 14 folders that the loader searches"),
        Evidence("expected", "cuDNN 9.3 or a later 9.x"),
    ),
)
DIGEST = Finding(
    "base image is not pinned to a digest",
    code="KD403",
    name="digest-missing",
    severity=Severity.WARNING,
    subject="host",
    effect="this tag can move",
    fix="kdoctor pin Dockerfile --write",
    thing="tensorflow/tensorflow:2.21.0-gpu",
    location=Location("Dockerfile", 1, 6, text="FROM tensorflow/tensorflow:2.21.0-gpu AS build"),
)


@pytest.fixture
def report() -> Report:
    """One error, one warning, and each other outcome."""
    return Report(
        tool={"name": "kdoctor", "version": "0.1.0", "tables": "2026-11-21"},
        subjects=(SubjectRow("host", "host", None, "fail"),),
        findings=(CUDNN, DIGEST),
        skipped=(Skip("KD108", "ptx-newer-than-driver", "host", None, "machine.gpus: not known", "kdoctor snapshot"),),
        inapplicable=(NotApplied("KD105", "host", None, "no WSL"),),
        passed=(Passed("KD101", "host", None), Passed("KD102", "host", None)),
        summary={"error": 1, "warning": 1, "info": 0, "skipped": 1, "inapplicable": 1, "passed": 2, "suppressed": 0},
        verdict="fail",
        exit_code=1,
    )


@pytest.fixture
def fleet(report: Report) -> Report:
    """The same finding on three nodes, a further one on one of them, and a node that is well."""
    names = ("node-a", "node-b", "node-c", "node-d")
    on = {name: msgspec.structs.replace(CUDNN, subject=name) for name in names[:3]}
    return msgspec.structs.replace(
        report,
        subjects=tuple(SubjectRow("host", name, None, "pass" if name == "node-d" else "fail") for name in names),
        findings=(*on.values(), msgspec.structs.replace(DIGEST, subject="node-b")),
        passed=tuple(Passed("KD102", name, None) for name in names),
        skipped=(Skip("KD108", "ptx-newer-than-driver", "node-d", None, "machine.gpus: not known"),),
        inapplicable=(),
    )
