"""Plain snapshots that the tests of the GPU rules start from: a machine that works, changed in one place at a time."""

from __future__ import annotations

import copy
from typing import Any

from tests.support import compute

NODES = ["/dev/nvidia0", "/dev/nvidiactl", "/dev/nvidia-uvm"]
CODE = {
    "2.10.1": ("11.2", ["sm_35", "sm_50", "sm_60", "sm_70", "sm_75", "compute_80"]),
    "2.14.1": ("11.8", ["sm_35", "sm_50", "sm_60", "sm_70", "sm_75", "compute_80"]),
    "2.15.1": ("12.2", ["sm_50", "sm_60", "sm_70", "sm_75", "compute_80"]),
    "2.16.2": ("12.3", ["sm_50", "sm_60", "sm_70", "sm_80", "compute_90"]),
    "2.17.1": ("12.3", ["sm_60", "sm_70", "sm_80", "sm_89", "compute_90"]),
    "2.21.0": ("12.5.1", ["sm_60", "sm_70", "sm_80", "sm_89", "compute_90"]),
}
CUDA_OF_BRANCH = {
    "450": "11.0", "470": "11.4", "520": "11.8", "525": "12.0", "530": "12.1", "535": "12.2", "545": "12.3",
    "550": "12.4", "555": "12.5", "570": "12.8", "580": "13.0", "590": "13.1",
}  # fmt: skip


def driver(version: str) -> dict[str, Any]:
    """A driver whose parts agree."""
    cuda = CUDA_OF_BRANCH[version.partition(".")[0]]
    return {
        "present": True,
        "version": version,
        "cuda_version": cuda,
        "kernel_module_version": version,
        "libcuda_version": version,
    }


def host(
    tensorflow: str = "2.17.1", gpu: tuple[str, str] = ("Tesla T4", "7.5"), version: str = "535.104.05"
) -> dict[str, Any]:
    """A Linux machine with one GPU, its driver, and a TensorFlow from the package index with its CUDA wheels."""
    cuda, code = CODE[tensorflow]
    return {
        "subject": {"kind": "host", "name": "host"},
        "machine": {
            "os": "linux",
            "architecture": "x86_64",
            "wsl": False,
            "cpu": {"model": "AMD EPYC 7763", "flags": ["sse4_2", "avx", "avx2", "fma"], "cores": 16},
            "pci_gpus": ["10de:1eb8"],
            "driver": driver(version),
            "gpus": [{"index": 0, "name": gpu[0], "compute_capability": gpu[1]}],
            "devices": NODES,
        },
        "software": {
            "python": {"version": "3.11.7", "architecture": "x86_64"},
            "packages": [{"name": "tensorflow", "version": tensorflow, "installer": "pip"}],
            "tensorflow": {
                "present": True,
                "version": tensorflow,
                "distribution": "tensorflow",
                "cuda_build": True,
                "cuda_version": cuda,
                "compute_capabilities": code,
            },
            "cuda": {"toolkits": [], "libraries": [], "compat_driver": False},
            "environment": {},
        },
    }


def image(environment: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    """An image with that TensorFlow, started with ``--gpus all`` by a Docker that can do it."""
    return change(
        host(**more),
        {
            "subject": {"kind": "image", "name": "image"},
            "machine.engine": {
                "name": "docker",
                "runtimes": ["runc", "nvidia"],
                "default_runtime": "runc",
                "cdi_devices": [],
                "nvidia_toolkit": "1.17.3",
            },
            "software.image": {"reference": "registry.example/train:1.0", "environment": environment or {}},
            "container": {"gpus_requested": True, "runtime": "nvidia"},
        },
    )


class Drop:
    """In ``change``: the fact is not known."""


def change(snapshot: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A copy with the facts at these dotted paths set, or taken out (``Drop``)."""
    out = copy.deepcopy(snapshot)
    for path, value in changes.items():
        *steps, last = path.split(".")
        node = out
        for step in steps:
            node = node.setdefault(step, {})
        if value is Drop:
            node.pop(last, None)
        else:
            node[last] = value
    return out


def outcome(code: str, snapshot: dict[str, Any]) -> str:
    """What became of one rule: its severity where it fires, else passed, skipped or inapplicable."""
    result = compute(code, snapshot)
    if result.findings:
        severity = result.findings[0].severity
        return severity.value if severity else "none"
    return "skipped" if result.skipped else "inapplicable" if result.inapplicable else "passed"


def message(code: str, snapshot: dict[str, Any]) -> str:
    """The message of the only finding of a rule."""
    (finding,) = compute(code, snapshot).findings
    return finding.message


def fix(code: str, snapshot: dict[str, Any]) -> str:
    """How the only finding of a rule is to be mended."""
    (finding,) = compute(code, snapshot).findings
    return finding.fix


def reason(code: str, snapshot: dict[str, Any]) -> str:
    """Why a rule was skipped or left."""
    result = compute(code, snapshot)
    (row,) = [*result.skipped, *result.inapplicable]
    return row.reason
