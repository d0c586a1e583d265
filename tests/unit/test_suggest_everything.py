"""``kdoctor suggest`` over the tables: every driver, GPU and Python gets an answer that the rules pass, or a reason."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from doctor import catalogue
from doctor.case import Case
from doctor.engine import judge
from doctor.model.snapshot import Snapshot
from doctor.model.wire import decode_snapshot
from doctor.suggest import suggest, text, wanted

catalogue.mount()
CUDA: Any = importlib.import_module(f"{catalogue.PACKAGE}.tables.cuda")
GPUS: Any = importlib.import_module(f"{catalogue.PACKAGE}.tables.gpus")
TENSORFLOW: Any = importlib.import_module(f"{catalogue.PACKAGE}.tables.tensorflow")
REQUIREMENTS: Any = importlib.import_module(f"{catalogue.PACKAGE}.requirements")
RULES = [rule for rule in catalogue.rules() if rule.code.startswith(("KD1", "KD2", "KD3"))]


def drivers() -> list[str]:
    """A version of every branch, and every driver that a toolkit came with or asks for at least."""
    told = {f"{branch.branch}.999" for branch in CUDA._driver().branches}
    told |= {row.linux for row in CUDA.toolkits() if row.linux}
    told |= {row.linux for row in CUDA._cuda().minor_version if row.linux}
    return sorted(told)


def capabilities() -> list[str]:
    """Every compute capability of the tables."""
    return [row.compute_capability for row in GPUS.architectures()]


def pythons() -> list[str]:
    """Every Python that some release has a wheel for, and two that none has."""
    known = {python for release in TENSORFLOW.releases() for python in release.python.get("linux_x86_64", ())}
    return sorted({*known, "2.6", "3.15"}, key=lambda text: tuple(map(int, text.split("."))))


def environment(fit: Any, driver: str, capability: str, python: str) -> dict[str, Any]:
    """The machine, and the environment that the suggested command makes on it, as far as it pins one."""
    release = TENSORFLOW.tensorflow_release(fit.version)
    asked = fit.command.split("'")[1]
    requires = [*release.requirements("linux_x86_64")]
    return {
        "schema": 1,
        "machine": {
            "os": "linux",
            "architecture": "x86_64",
            "driver": {"present": True, "version": driver, "kernel_module_version": driver, "libcuda_version": driver},
            "gpus": [{"index": 0, "name": "a GPU", "compute_capability": capability}],
            "pci_gpus": ["10de:0000"],
            "devices": ["/dev/nvidia0", "/dev/nvidiactl", "/dev/nvidia-uvm"],
        },
        "software": {
            "python": {"version": f"{python}.0", "implementation": "cpython", "environment": "venv", "bits": 64,
                       "architecture": "x86_64"},
            "libc": {"name": "glibc", "version": "2.39"},
            "packages": [{"name": "tensorflow", "version": fit.version, "installer": "pip", "requires": requires}],
            "requested": [{"requirement": asked, "where": "command line"}],
            "tensorflow": {
                "present": True,
                "version": fit.version,
                "distribution": "tensorflow",
                "cuda_build": True,
                "cuda_version": release.cuda.version,
                "cudnn_version": release.cuda.cudnn,
                "compute_capabilities": list(release.cuda.compute_capabilities or ()),
            },
            "environment": {},
        },
        "expects": {"gpu": True},
        "partial": ["software.packages"],
    }  # fmt: skip


def errors(snapshot: dict[str, Any]) -> list[str]:
    """What the rules on machine and software call an error."""
    outcome = judge(Case(decode_snapshot(snapshot)), RULES)
    assert not outcome.failures, outcome.failures
    return [f"{f.code} {f.message}" for f in outcome.findings if f.severity == "error"]


def held(driver: str, capability: str, python: str) -> bool:
    """Whether anything fits. Each release fits or says why not; newest and oldest that fit are put to the rules."""
    asked = wanted(Snapshot(), driver=driver, gpus=(capability,), python=python)
    fits = suggest(asked)
    good = [fit for fit in fits if fit.fits]
    assert fits
    assert all(fit.fits or all(fit.against) for fit in fits)
    assert bool(good) != ("No release fits." in text(asked, fits))
    for fit in {good[0].version: good[0], good[-1].version: good[-1]}.values() if good else ():
        assert not errors(environment(fit, driver, capability, python)), (fit.version, driver, capability, python)
    return bool(good)


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(drivers()), st.sampled_from(capabilities()), st.sampled_from(pythons()))
def test_every_driver_gpu_and_python_gets_an_answer_or_a_reason(driver: str, capability: str, python: str) -> None:
    """Any three of the tables' drivers, compute capabilities and Pythons."""
    found = held(driver, capability, python)
    assert not found or python not in ("2.6", "3.15")


@pytest.mark.parametrize(("python", "least"), [("3.8", 200), ("3.12", 200)])
def test_what_fits_passes_the_rules_on_every_gpu(python: str, least: int) -> None:
    """All drivers on all GPUs, for an old and a new Python; many of them have an answer."""
    assert sum(held(driver, capability, python) for driver in drivers()[::2] for capability in capabilities()) > least


@pytest.mark.parametrize("capability", capabilities())
def test_a_gpu_alone_is_never_left_without_a_word(capability: str) -> None:
    """Without driver and Python: releases with what driver they need, or the reason why there is none."""
    asked = wanted(Snapshot(), driver=None, gpus=(capability,), python=None)
    said = text(asked, suggest(asked))
    assert ("needs an NVIDIA driver" in said) != ("No release fits." in said)
    assert "Why not:" in said or "pip install 'tensorflow" in said
