"""NVML through nvidia-ml-py, always in a child: a hung or crashing driver must not take the doctor with it."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from doctor.io.process import CannotStart, Runner, run
from doctor.payloads import nvml as payload

SECONDS = 5.0
MAX_OUTPUT = 256 * 1024
_COMPAT = re.compile(r"/(cuda-)?compat(/|$)")


class Nvml(Protocol):
    """Who can be asked for the driver and the GPUs."""

    def __call__(self) -> dict[str, Any]:
        """The answer, shaped as `doctor.payloads.nvml.ask` says; never raises."""
        ...


class ChildNvml:
    """The real one: nvidia-ml-py in a child of this interpreter, ctypes where nvidia-ml-py is not installed.

    `seconds` is the time limit; `environ` the environment that the child's loader sees.
    """

    def __init__(
        self,
        seconds: float = SECONDS,
        environ: Mapping[str, str] | None = None,
        runner: Runner = run,
        ctypes: bool = False,
    ) -> None:
        self.seconds = seconds
        self.environ = loader_environment(os.environ if environ is None else environ)
        self.runner = runner
        self.ctypes = ctypes

    def __call__(self) -> dict[str, Any]:
        """Ask. What went wrong is a reason in the answer."""
        # -S: neither binding needs site-packages, and without them the child starts in half the time.
        argv = [sys.executable, "-I", "-S", str(Path(payload.__file__))]
        if not self.ctypes and (module := _pynvml_path()) is not None:
            argv.append(module)
        try:
            result = self.runner(argv, timeout=self.seconds, max_output=MAX_OUTPUT, env=self.environ)
        except CannotStart as error:
            return payload.unanswered(f"NVML was not asked: {error}")
        failure = result.failure(self.seconds)
        if failure is not None:
            return payload.unanswered(f"NVML {failure}")
        try:
            answer = json.loads(result.stdout)
        except ValueError:
            answer = None
        return answer if isinstance(answer, dict) else payload.unanswered("NVML gave no answer that can be read")


def loader_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment in which NVML speaks of the host's driver.

    NVML asks the libcuda that the loader finds for the newest CUDA; cuda-compat would answer for itself, not for
    the driver, so its folders leave LD_LIBRARY_PATH. The driver's folders that a loader may not know are appended.
    """
    folders = [folder for folder in environ.get("LD_LIBRARY_PATH", "").split(":") if folder]
    kept = [folder for folder in folders if not _COMPAT.search(folder)]
    kept += [folder for folder in payload.EXTRA_FOLDERS if folder not in kept and Path(folder).is_dir()]
    result = {name: value for name, value in environ.items() if name != "LD_LIBRARY_PATH"}
    if kept:
        result["LD_LIBRARY_PATH"] = ":".join(kept)
    return result


def _pynvml_path() -> str | None:
    try:
        spec = importlib.util.find_spec("pynvml")
    except (ImportError, ValueError):
        return None
    return spec.origin if spec is not None else None
