"""This machine: files, NVML and the container engine, asked at the same time and joined into one `machine` section."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from typing import Any

from doctor.collect import machine as collector
from doctor.io.engine import DockerEngine, Engine
from doctor.io.nvml import ChildNvml, Nvml, loader_environment


def collect_machine(
    *,
    root: str = "/",
    environ: Mapping[str, str] | None = None,
    nvml: Nvml | None = None,
    engine: Engine | None = None,
    offline: bool = False,
) -> dict[str, Any]:
    """What `doctor.collect.machine.collect` returns, with the engine, for the machine that kdoctor runs on.

    `environ` defaults to this process's; `nvml` and `engine` to the real ones. `offline`: no engine behind a network is
    asked. Never raises for what it finds; takes as long as the slowest of the three, at most NVML's time limit.
    """
    env = driver_environment(root, os.environ if environ is None else environ)
    ask_nvml = nvml if nvml is not None else ChildNvml(environ=env)
    ask_engine = engine if engine is not None else DockerEngine(env, root, offline=offline)
    driver, container_engine = _Later(ask_nvml), _Later(ask_engine.facts)
    found = collector.collect(root, env, driver.result)
    _join_engine(found, container_engine.result())
    return found


class _Later(threading.Thread):
    """An answer that is being fetched (concurrent.futures would cost 15 ms of import for two questions)."""

    def __init__(self, question: Callable[[], dict[str, Any]]) -> None:
        super().__init__(daemon=True)
        self.question = question
        self.answer: dict[str, Any] = {"missing": "the question failed inside kdoctor"}
        self.start()

    def run(self) -> None:
        """Ask, in the thread."""
        self.answer = self.question()

    def result(self) -> dict[str, Any]:
        """Wait for the answer."""
        self.join()
        return self.answer


def driver_environment(root: str, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment in which a loader finds the host driver's libcuda before a cuda-compat one.

    NVML asks that library for the newest CUDA that the driver supports, and an image may have put cuda-compat's folder
    into ld.so.cache, where taking it off LD_LIBRARY_PATH does not help.
    """
    env = loader_environment(environ)
    copies = [path for path, _ in collector.find_library(collector.Root(root), env, "libcuda.so.1")]
    own = [path for path in copies if not collector.COMPAT.search(path)]
    if own and own[0] != copies[0]:
        folders = [own[0].rpartition("/")[0], env.get("LD_LIBRARY_PATH", "")]
        env["LD_LIBRARY_PATH"] = ":".join(folder for folder in folders if folder)
    return env


def _join_engine(found: dict[str, Any], engine: dict[str, Any]) -> None:
    """Put the engine's answer beside what the files say of the toolkit; in a container its absence proves nothing."""
    machine = found["machine"]
    of_files = machine.get("engine", {})
    if engine.get("present") is False and found["in_container"]:
        engine = {"missing": "a container does not show the engine of its host"}
    if "missing" in engine:
        found["gaps"].append({"path": "machine.engine", "why": engine["missing"]})
        if of_files:
            why = engine["missing"]
            engine = {
                name: {"missing": why} for name in ("name", "version", "runtimes", "default_runtime", "cdi_devices")
            }
    machine["engine"] = {**engine, **of_files}
