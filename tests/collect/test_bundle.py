"""The probe: one file, run by `python3 -` on a node where nothing is installed."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from doctor.collect.bundle import PARTS, print_probe
from doctor.model.facts import Missing
from doctor.model.wire import decode_snapshot
from tests.collect.test_software_interpreters import interpreters
from tests.nvml.fake import A100, T4, FakeNvml

pytest_plugins = ["tests.nvml.fixtures"]


@pytest.fixture(scope="module")
def probe() -> bytes:
    return print_probe().encode("ascii")


def run(probe: bytes, python: Sequence[str], environ: dict[str, str] | None = None) -> dict[str, Any]:
    result = subprocess.run([*python, "-"], input=probe, env=environ, capture_output=True, check=True, timeout=120)
    assert result.stderr == b""
    document: dict[str, Any] = json.loads(result.stdout.decode("ascii"))
    return document


def test_the_document_is_a_snapshot(probe: bytes) -> None:
    """What the probe prints is one ASCII document that kdoctor reads, with a machine and a software section."""
    document = run(probe, [sys.executable])
    assert (document["kind"], document["schema"]) == ("kdoctor/snapshot", 1)
    assert document["subject"]["collected"] == "remote"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", document["collected_at"])
    snapshot = decode_snapshot(document)
    assert snapshot.machine.os == "linux"
    assert snapshot.machine.kernel == os.uname().release
    assert snapshot.software.python.version == ".".join(map(str, sys.version_info[:3]))
    assert not isinstance(snapshot.software.packages, Missing)
    assert "pytest" in {package.name for package in snapshot.software.packages}


def test_nothing_installed_is_needed(probe: bytes) -> None:
    """Without site-packages, environment and home the probe works all the same."""
    document = run(probe, [sys.executable, "-I", "-S"], {"PATH": os.environ["PATH"]})
    assert "missing" not in document["machine"]
    assert "missing" not in document["software"]


def test_it_imports_the_standard_library_only(probe: bytes) -> None:
    """Every import of every part is of the standard library."""
    for _, package, name in PARTS:
        path = Path(sys.modules["doctor"].__path__[0]).parent / package.replace(".", "/") / name
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            assert {name.partition(".")[0] for name in names} <= set(sys.stdlib_module_names), (path, names)


@pytest.mark.interpreters
@pytest.mark.parametrize("python", interpreters() or [""])
def test_every_python_from_3_6_runs_it(probe: bytes, python: str, fake_nvml: FakeNvml) -> None:
    """CPython 3.6 to 3.13 print the same machine, GPUs by ctypes among it."""
    if not python:
        pytest.skip("no CPython found: set KDOCTOR_TEST_PYTHONS")
    environ = fake_nvml("535.104.05", "12.2", [A100, {**A100, "mig": 1, "mig_devices": 2}, T4])
    document = run(probe, [python], environ)
    version = subprocess.run([python, "-V"], capture_output=True, text=True, check=True).stdout.split()[1]
    assert document["software"]["python"]["version"] == version
    assert document["machine"]["driver"]["version"] == "535.104.05"
    assert document["machine"]["driver"]["cuda_version"] == "12.2"
    assert [(gpu["compute_capability"], gpu["mig"]) for gpu in document["machine"]["gpus"]] == [
        ("8.0", False),
        ("8.0", True),
        ("7.5", False),
    ]


def test_a_hanging_driver_leaves_the_rest(fake_nvml: FakeNvml) -> None:
    """The probe's own limit holds on the node too; what files tell is there."""
    quick = print_probe().replace("NVML_SECONDS = 5.0", "NVML_SECONDS = 0.5").encode("ascii")
    document = run(quick, [sys.executable], fake_nvml(hang="nvmlInitWithFlags"))
    assert document["machine"]["gpus"] == {"missing": "NVML did not answer within 0.5 s"}
    assert "missing" not in document["machine"]["cpu"]


def test_a_failing_collector_is_a_missing_section(probe: bytes) -> None:
    """A bug in one collector costs its section, never the document."""
    broken = probe.replace(b"def run_facts(", b"def no_such_function(", 1)
    document = run(broken, [sys.executable])
    assert document["software"]["missing"].startswith("the collector failed: ")
    assert document["machine"]["os"] == "linux"
    assert isinstance(decode_snapshot(document).software.packages, Missing)


def test_nothing_is_written(probe: bytes, tmp_path: Path) -> None:
    """The home and the working folder stay empty."""
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    subprocess.run([sys.executable, "-"], input=probe, env=environ, cwd=tmp_path, check=True, capture_output=True)
    assert list(tmp_path.iterdir()) == []


def test_python_2_is_told_what_is_needed(probe: bytes) -> None:
    """The text is parsed by any Python, so that an old one can say what is wrong."""
    head = probe.decode("ascii").partition("\n_software")[0]
    for newer in ("f'", "async ", ": str", "->"):
        assert newer not in head
