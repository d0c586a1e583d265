"""Fixtures for every test, and the rule for real parts: skipped with the reason, failed under KDOCTOR_E2E=1."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"

# A shell's background job ignores Ctrl-C, and so would every process that the tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def private_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own for each test, so that nobody's configuration decides a test."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name in [n for n in os.environ if n.startswith("KDOCTOR_") and n not in _TEST_SWITCHES]:
        monkeypatch.delenv(name)
    return home


_TEST_SWITCHES = {"KDOCTOR_E2E", "KDOCTOR_E2E_CACHE", "KDOCTOR_GPU_PYTHON", "KDOCTOR_TF_ENVS", "KDOCTOR_TEST_PYTHONS"}
_REAL_HOME = Path.home()


@pytest.fixture(scope="session")
def lacking() -> Callable[[str], NoReturn]:
    """Skip for want of a real part, with the reason; fail instead where KDOCTOR_E2E=1 promises that it is there."""

    def report(reason: str) -> NoReturn:
        if os.environ.get("KDOCTOR_E2E") == "1":
            pytest.fail(f"KDOCTOR_E2E=1, but {reason}")
        pytest.skip(reason)

    return report


@pytest.fixture(scope="session")
def shared() -> Path:
    """The benchmark material that lies beside a checkout of the project; not part of it."""
    if not SHARED.is_dir():
        pytest.skip("the benchmark material (../shared) is not beside this checkout")
    return SHARED


@pytest.fixture(scope="session")
def tensorflow_environments() -> dict[str, Path]:
    """Python interpreters of TensorFlow environments, by release, from KDOCTOR_TF_ENVS; may be empty.

    ``.ci/environments`` builds them.
    """
    folder = Path(os.environ.get("KDOCTOR_TF_ENVS") or _REAL_HOME / ".cache/kdoctor/tensorflow")
    if not folder.is_dir():
        return {}
    found = {p.name: p / "bin/python" for p in sorted(folder.iterdir())}
    return {name: python for name, python in found.items() if python.exists()}


@pytest.fixture(scope="session")
def kdoctor() -> list[str]:
    """The command line of the kdoctor under test."""
    return [sys.executable, "-m", "doctor"]
