"""This machine as one section: files, NVML and engine joined, each asked at the same time."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

from doctor.io.nvml import ChildNvml
from doctor.model.wire import decode_snapshot
from doctor.payloads.nvml import unanswered
from doctor.targets.machine import collect_machine, driver_environment
from tests.collect.test_machine import TRIPLET, Machine, ld_so_cache
from tests.nvml.fake import A100, FakeNvml

pytest_plugins = ["tests.nvml.fixtures"]


class OtherEngine:
    """An engine that gives one answer, where wanted not before the other parts are asked, too."""

    def __init__(self, answer: dict[str, Any], together: threading.Barrier | None = None) -> None:
        self.answer = answer
        self.together = together

    def facts(self) -> dict[str, Any]:
        if self.together is not None:
            self.together.wait()
        return dict(self.answer)


def slow_nvml() -> dict[str, Any]:
    time.sleep(0.6)
    return unanswered("asleep")


def test_it_decodes_into_the_model(fake_nvml: FakeNvml, tmp_path: Path) -> None:
    """Everything that is collected fits the model's types: nothing is dropped as not understood."""
    environ = fake_nvml(gpus=[A100, {**A100, "mig": 1}])
    found = collect_machine(environ=environ, engine=OtherEngine({"present": True, "name": "docker"}))
    machine = decode_snapshot({"schema": 1, "machine": found["machine"]}).machine
    assert machine.driver.version == "535.104.05"
    assert machine.engine.name == "docker"
    assert isinstance(machine.gpus, tuple)
    assert [gpu.mig for gpu in machine.gpus] == [False, True]
    assert machine.gpus[0].brand == "nvidia"
    assert "not understood" not in repr(machine)


def test_the_parts_are_asked_at_the_same_time(tmp_path: Path) -> None:
    """Neither NVML nor the engine answers before the other was asked: one after the other, the wait would break."""
    together = threading.Barrier(2, timeout=10)

    def nvml() -> dict[str, Any]:
        together.wait()
        return unanswered("asleep")

    found = collect_machine(root=str(tmp_path), environ={}, nvml=nvml, engine=OtherEngine({"present": False}, together))
    assert not together.broken
    assert found["machine"]["driver"]["version"] == {"missing": "asleep"}
    assert found["machine"]["engine"]["present"] is False


def test_no_engine_on_a_host_is_known(tmp_path: Path) -> None:
    """Outside a container the absence of an engine is a fact, and the toolkit's absence another."""
    found = collect_machine(root=str(tmp_path), environ={}, nvml=slow_nvml)
    assert found["machine"]["engine"] == {"present": False, "nvidia_toolkit": ""}


def test_no_engine_in_a_container_proves_nothing(tmp_path: Path) -> None:
    """Inside a container the host's engine is simply not visible."""
    (tmp_path / ".dockerenv").touch()
    found = collect_machine(root=str(tmp_path), environ={}, nvml=slow_nvml)
    assert found["machine"]["engine"] == {"missing": "a container does not show the engine of its host"}
    assert {"path": "machine.engine", "why": "a container does not show the engine of its host"} in found["gaps"]


def test_an_engine_that_fails_keeps_what_files_tell(tmp_path: Path) -> None:
    """The toolkit's version comes from files and stays known."""
    library = tmp_path / "usr/lib64/libnvidia-container.so.1.17.3"
    library.parent.mkdir(parents=True)
    library.touch()
    (library.parent / "libnvidia-container.so.1").symlink_to(library.name)
    broken = OtherEngine({"missing": "unix:///var/run/docker.sock (socket): permission denied"})
    found = collect_machine(root=str(tmp_path), environ={}, nvml=slow_nvml, engine=broken)
    engine = found["machine"]["engine"]
    assert engine["nvidia_toolkit"] == "1.17.3"
    assert engine["runtimes"] == {"missing": "unix:///var/run/docker.sock (socket): permission denied"}


def test_a_hanging_driver_costs_its_limit(fake_nvml: FakeNvml) -> None:
    """Whatever the driver does, the machine section comes."""
    environ = fake_nvml(hang="nvmlInitWithFlags")
    started = time.monotonic()
    found = collect_machine(environ=environ, nvml=ChildNvml(0.5, environ), engine=OtherEngine({"present": False}))
    assert time.monotonic() - started < 4
    assert found["machine"]["driver"]["cuda_version"] == {"missing": "NVML did not answer within 0.5 s"}
    assert "cores" in found["machine"]["cpu"]


def test_nvml_is_made_to_ask_the_driver_s_own_libcuda(tmp_path: Path) -> None:
    """Where the image's cuda-compat stands in ld.so.cache, the driver's folder goes first; else nothing is changed."""
    machine = Machine(tmp_path)
    machine.library(f"/usr/lib/{TRIPLET}/libcuda.so.1")
    assert "LD_LIBRARY_PATH" not in driver_environment(str(tmp_path), {})
    machine.library("/usr/local/cuda-12.9/compat/libcuda.so.1")
    paths = ["/usr/local/cuda-12.9/compat/libcuda.so.1", f"/usr/lib/{TRIPLET}/libcuda.so.1"]
    machine.write("/etc/ld.so.cache", ld_so_cache([("libcuda.so.1", path) for path in paths]))
    environ = driver_environment(str(tmp_path), {"LD_LIBRARY_PATH": "/opt/x"})
    assert environ["LD_LIBRARY_PATH"].split(":")[:2] == [f"/usr/lib/{TRIPLET}", "/opt/x"]
