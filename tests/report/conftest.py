"""A report as a run of ``scan`` might give it."""

from __future__ import annotations

import msgspec
import pytest

from doctor.model.report import (
    CaseRow,
    Evidence,
    Finding,
    Location,
    LogRemark,
    MachineRow,
    NotApplied,
    Note,
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


HOSTILE = (
    "\x1b[31m\x00 \u202e \ufffe \udc80 ]]> <script>alert(1)</script> <img src=x onerror=alert(1)> ##[error]x "
    "::error::y %0A::warning::z @everyone #1 a/b#2 [click](http://evil.example) ![i](http://evil.example/i.png) `code` "
    "| cell www.evil.example </details> {{7*7}} {% raw %} {0}\n::error::next line\n# heading"
)


@pytest.fixture
def hostile(report: Report) -> Report:
    """A report in which every string from outside tries to act wherever it is shown."""
    finding = msgspec.structs.replace(
        CUDNN,
        message=HOSTILE,
        subject=HOSTILE,
        machine=HOSTILE,
        effect=HOSTILE,
        fix=HOSTILE,
        verify=HOSTILE,
        thing=HOSTILE,
        evidence=(Evidence(HOSTILE, {HOSTILE: [HOSTILE]}, HOSTILE),),
    )
    placed = msgspec.structs.replace(finding, location=Location(f"{HOSTILE[:40]}/a", 3, 2, text=HOSTILE))
    return msgspec.structs.replace(
        report,
        subjects=(SubjectRow("image", HOSTILE, HOSTILE, "fail"), SubjectRow("host", "host", None, "pass")),
        machines=(MachineRow(HOSTILE, HOSTILE, (HOSTILE,)),),
        findings=(finding, placed),
        skipped=(Skip("KD108", "ptx-newer-than-driver", HOSTILE, HOSTILE, HOSTILE, HOSTILE),),
        notes=(Note(HOSTILE, HOSTILE),),
        log=(LogRemark(HOSTILE, HOSTILE, True), LogRemark(HOSTILE, HOSTILE, False)),
        cases=(CaseRow(HOSTILE, HOSTILE, HOSTILE, (HOSTILE,), HOSTILE, HOSTILE),),
        changes=({"what": HOSTILE, "name": HOSTILE, "a": HOSTILE, "b": None},),
        drift={
            "class": HOSTILE,
            "reason": HOSTILE,
            "accuracy": None,
            "first_divergence": {"arm": HOSTILE, "stage": HOSTILE, "epoch": None},
            "causes": [{"what": HOSTILE, "from": HOSTILE, "to": HOSTILE, "evidence": [], "suspects": [HOSTILE]}],
            "stages": {HOSTILE: {HOSTILE: 1.0}},
        },
        incomplete=True,
    )


@pytest.fixture
def crowd(report: Report) -> Report:
    """A thousand findings on fifty images, with skips: the last twenty are the errors."""
    subjects = tuple(f"registry.example/team/app-{number:02}@sha256:{number:064x}" for number in range(50))
    findings = tuple(
        msgspec.structs.replace(
            CUDNN if number >= 980 else DIGEST,
            subject=subjects[number % 50],
            message=f"finding number {number}",
            location=Location(f"services/app-{number % 50}/Dockerfile", number + 1, 6) if number % 2 else None,
        )
        for number in range(1000)
    )
    return msgspec.structs.replace(
        report,
        subjects=tuple(SubjectRow("image", name, None, "fail") for name in subjects),
        findings=tuple(msgspec.structs.replace(finding, fingerprint=finding.identity()) for finding in findings),
        skipped=tuple(
            Skip("KD108", "ptx-newer-than-driver", name, "node", "machine.gpus: not known", "kdoctor snapshot")
            for name in subjects
        ),
        passed=tuple(Passed(f"KD3{number:02}", name, None) for name in subjects for number in range(12)),
    )


DRIFT = {
    "class": "default-changed",
    "accuracy": {
        "a": 0.929,
        "b": 0.9091,
        "difference": -0.0199,
        "interval90": [-0.0241, -0.0157],
        "p": 2e-7,
        "label": "drift",
        "test": "welch-t",
        "seeds": 16,
        "tolerance": 0.01,
    },
    "first_divergence": {"arm": "default", "stage": "init", "epoch": None},
    "causes": [
        {
            "what": "initializer",
            "from": "glorot_uniform",
            "to": "he_normal",
            "evidence": ["probes.initializer"],
            "suspects": ["keras 2.15.0 → 2.15.1"],
        }
    ],
    "stages": {"pinned": {"forward": 0.0, "gradient": 1.2e-7, "update": 0.0, "final": 3e-6}, "default": {"init": 1.41}},
    "predictions": {"changed": 0.08, "between_seeds": 0.05, "classes": []},
}


@pytest.fixture
def compared(report: Report) -> Report:
    """A comparison of two images whose default initializer differs."""
    return msgspec.structs.replace(
        report,
        subjects=(SubjectRow("image", "app@sha256:aaaa", None, "pass"), SubjectRow("image", "app@sha256:bbbb")),
        drift=DRIFT,
        changes=(
            {"what": "package", "name": "keras", "a": "2.15.0", "b": "2.15.1"},
            {"what": "environment", "name": "TF_ENABLE_ONEDNN_OPTS", "a": None, "b": "0"},
        ),
    )
