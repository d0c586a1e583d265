"""Facts taken away, facts that contradict each other, values that are none: never a false certainty, never a crash."""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from doctor import catalogue
from doctor.case import Comparison
from doctor.engine import judge
from doctor.model.report import Confidence, Severity
from tests.rules.environments import plain, system, wheels
from tests.rules.machines import change, host, image, outcome
from tests.support import case, diagnose

BENCHMARK = Path(__file__).resolve().parents[2].parent / "shared" / "benchmark"
Place = tuple[str, ...]
ODD: list[Any] = [
    "2.16-dev", "nightly", "11.x", "2.15.0+nv23.11", "", "latest", "v2.15", "12", "-1", "1e9", "2..3", "2.16.1\n",
    "\x00", "999999999999999999999.1", "٣.١", "8.6.1", "NVIDIA RTX 9090 Ti", "cuda>=", "tensorflow>=", None, True,
    False, 0, -1, 3.5, 10**30, [], {}, ["x"], [None], {"missing": "why"},
]  # fmt: skip


def whole(version: str, gpu: tuple[str, str] = ("Tesla T4", "7.5")) -> dict[str, Any]:
    """A machine and a TensorFlow with its CUDA wheels, everything told of both."""
    near = host(version, gpu, "580.65.06")
    build = {**wheels(version)["software"]["tensorflow"], **near["software"]["tensorflow"]}
    return change(wheels(version), {"machine": near["machine"], "software.tensorflow": build})


def contained(version: str, environment: dict[str, str]) -> dict[str, Any]:
    """The same as an image that is started with GPUs."""
    outer = image(environment, version="580.65.06")
    parts = {"subject": outer["subject"], "container": outer["container"], "machine": outer["machine"]}
    return change(whole(version), {**parts, "software.image": outer["software"]["image"]})


@functools.cache
def healthy() -> tuple[dict[str, Any], ...]:
    """Environments in which nothing is wrong."""
    return (
        whole("2.15.1"),
        whole("2.17.1", ("NVIDIA A100-SXM4-40GB", "8.0")),
        whole("2.21.0", ("NVIDIA H100", "9.0")),
        contained("2.17.1", {"NVIDIA_REQUIRE_CUDA": "cuda>=12.3"}),
        wheels("2.20.0"),
        system("2.10.1", "11.2", "8.1.0"),
        system("2.12.1", "11.8", "8.6.0"),
        system("2.18.1", "12.6", "9.5.1"),
    )


@functools.cache
def faulty() -> tuple[dict[str, Any], ...]:
    """One thing wrong in each."""
    good = whole("2.17.1")
    runc = {
        "container": {"gpus_requested": True, "runtime": "runc"},
        "machine.engine": {"runtimes": ["runc"], "cdi_devices": []},
    }
    return (
        change(good, {"machine.driver": host(version="470.82.01")["machine"]["driver"]}),
        whole("2.21.0", ("GeForce RTX 5090", "12.0")),
        whole("2.17.1", ("Quadro M2000", "5.2")),
        change(good, {"machine.driver.libcuda_version": "550.54.14"}),
        change(good, {"machine.driver": {"present": False}, "machine.devices": []}),
        change(good, {"software.tensorflow.cuda_build": False, "software.tensorflow.distribution": "tensorflow-cpu"}),
        change(good, {"machine.cpu": {"model": "Intel(R) Celeron(R) J4125", "flags": ["sse4_2"]}}),
        plain("2.18.1"),
        system("2.18.1", "12.5", "9.1.0"),
        system("2.18.1", "12.5", "8.9.7"),
        system("2.12.1", "12.4", "8.9.7"),
        contained("2.17.1", {"NVIDIA_REQUIRE_CUDA": "cuda>=13.5"}),
        change(contained("2.17.1", {}), runc),
    )


def keys(node: Any, path: Place = ()) -> Iterator[Place]:
    """Every key of the snapshot's halves: what can be unknown. Lists and variables are known or unknown as a whole."""
    if isinstance(node, dict):
        for key, value in node.items():
            if path or key in ("machine", "software", "container", "log", "expects"):
                yield (*path, key)
                if key != "environment":
                    yield from keys(value, (*path, key))


def without(snapshot: dict[str, Any], gone: list[Place]) -> dict[str, Any]:
    """A copy in which these facts are not known."""
    return edited(snapshot, [(path, None) for path in gone], drop=True)


def edited(snapshot: dict[str, Any], values: list[tuple[Place, Any]], *, drop: bool = False) -> dict[str, Any]:
    """A copy with other values, or without them; a path that another edit took away is passed over."""
    out = copy.deepcopy(snapshot)
    for path, value in values:
        node: Any = out
        for step in path[:-1]:
            node = node.get(step) if isinstance(node, dict) else None
        if isinstance(node, dict):
            if drop:
                node.pop(path[-1], None)
            else:
                node[path[-1]] = copy.deepcopy(value)
    return out


def errors(snapshot: dict[str, Any]) -> dict[str, Confidence | None]:
    """The names of the findings that are errors, with how sure they are."""
    outcome = diagnose(snapshot)
    assert not outcome.failures
    return {f.name: f.confidence for f in outcome.findings if f.severity is Severity.ERROR}


@st.composite
def with_less(draw: st.DrawFn, bases: tuple[dict[str, Any], ...]) -> tuple[dict[str, Any], dict[str, Any]]:
    """An environment, and the same with up to six of its facts unknown."""
    base = draw(st.sampled_from(bases))
    gone = draw(st.lists(st.sampled_from(sorted(keys(base))), min_size=1, max_size=6, unique=True))
    return base, without(base, gone)


def test_the_environments_are_what_they_are_said_to_be() -> None:
    """The healthy ones have no error, the faulty ones have one."""
    assert [errors(snapshot) for snapshot in healthy()] == [{}] * len(healthy())
    assert all(errors(snapshot) for snapshot in faulty())


@settings(max_examples=150, deadline=None, derandomize=True)
@given(with_less(healthy()))
def test_a_healthy_environment_stays_without_errors(pair: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """Whatever is not known of it."""
    assert errors(pair[1]) == {}


@settings(max_examples=150, deadline=None, derandomize=True)
@given(with_less(faulty()))
def test_a_fault_does_not_turn_into_another_certain_one(pair: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """With less known there are the same errors, fewer, or none; a new one is a guess that says so.

    Where nobody looked for toolkits, a CUDA that was never installed is libraries that are found nowhere: as true.
    """
    before, after = errors(pair[0]), errors(pair[1])
    true_as_well = {"cuda-library-missing"} if "cuda-wheels-absent" in before else set()
    new = after.keys() - before.keys() - true_as_well
    assert [name for name in new if after[name] is Confidence.HIGH] == []


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.data())
def test_values_that_are_none_crash_no_rule(data: st.DataObject) -> None:
    """A version that is no version, a number too large, a list for a name: each is a fact that is not known."""
    base = data.draw(st.sampled_from((*healthy(), *faulty())))
    places = data.draw(st.lists(st.sampled_from(sorted(keys(base))), min_size=1, max_size=5, unique=True))
    odd = edited(base, [(path, data.draw(st.sampled_from(ODD))) for path in places])
    assert not diagnose(odd).failures
    assert not _compared(odd, base)


def _compared(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    return list(judge(Comparison(case(a), case(b)), catalogue.rules()).failures)


CONTRADICTIONS = {
    "a driver that is there and is not": {"machine.driver": {"present": False, "version": "535.104.05"}},
    "a GPU and no driver": {"machine.driver": {"present": False}, "machine.devices": []},
    "a GPU and a PCI bus without one": {"machine.pci_gpus": ["8086:9a49"]},
    "a CPU build with CUDA": {"software.tensorflow.cuda_build": False, "software.tensorflow.cuda_version": "12.3"},
    "no TensorFlow, of a version": {"software.tensorflow.present": False},
    "no packages, and TensorFlow": {"software.packages": []},
    "macOS with an NVIDIA driver": {"machine.os": "darwin"},
    "WSL on Windows": {"machine.os": "windows", "machine.wsl": 2},
    "a kernel module of one version, NVML of another": {"machine.driver.version": "550.54.14"},
    "a Python of two architectures": {"software.python.architecture": "aarch64"},
}


@pytest.mark.parametrize("changes", CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_contradictions_crash_nothing(changes: dict[str, Any]) -> None:
    """The facts of threads contradict each other; every rule still ends."""
    for base in (whole("2.17.1"), contained("2.17.1", {}), wheels("2.17.1")):
        assert not diagnose(change(base, changes)).failures


@pytest.mark.parametrize("snapshot", [{}, {"machine": {}}, {"software": {}}, {"log": []}, {"project": {}}])
def test_nothing_known_is_no_finding(snapshot: dict[str, Any]) -> None:
    """And no rule that passes on facts that it never had is an error."""
    outcome = diagnose(snapshot)
    assert not outcome.findings
    assert not outcome.failures


@pytest.mark.skipif(not BENCHMARK.is_dir(), reason=f"the benchmark is not there: {BENCHMARK}")
@pytest.mark.parametrize("name", ["cases.jsonl", "table_cases.jsonl"])
def test_real_healthy_environments_with_one_fact_less(name: str) -> None:
    """Each fact in turn is taken from every healthy case: no error."""
    alarms = []
    for line in (BENCHMARK / name).read_text("utf-8").splitlines():
        row = json.loads(line)
        if row["kind"] == "healthy" and "snapshot" in row:
            for path in keys(row["snapshot"]):
                alarms += [(row["id"], path, found) for found in errors(without(row["snapshot"], [path]))]
    assert alarms == []


@pytest.mark.parametrize("version", ["2.99.0", "2.99.0.dev20300101", "2.21.0+own"])
def test_a_tensorflow_of_unknown_requirements_clears_no_package(version: str) -> None:
    """Neither its METADATA nor the tables tell what it needs: NumPy, protobuf and Keras are skipped, not passed."""
    snapshot = whole("2.21.0")
    rows = [{**p, "version": version} if p["name"] == "tensorflow" else p for p in snapshot["software"]["packages"]]
    unknown = change(snapshot, {"software.packages": rows, "software.tensorflow.version": version})
    assert {outcome(code, unknown) for code in ("KD305", "KD306", "KD307")} == {"skipped"}
    needs = ["numpy>=1.26", "protobuf>=6.31", "keras>=3.12"]
    told = [{**p, "requires": needs} if p["name"] == "tensorflow" else p for p in rows]
    read = change(unknown, {"software.packages": told})
    assert {outcome(code, read) for code in ("KD305", "KD306", "KD307")} == {"passed"}
