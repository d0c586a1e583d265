"""A libnvidia-ml.so.1 built from fake_nvml.c, and the environment in which a loader finds it and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).with_name("fake_nvml.c")

A100 = {"name": "NVIDIA A100-SXM4-40GB", "compute_capability": "8.0", "memory_mib": 40960, "brand": 14, "mig": 0}
T4 = {"name": "Tesla T4", "compute_capability": "7.5", "memory_mib": 15360, "brand": 2}


class FakeNvml:
    """Builds the library once a branch of drivers, and writes what it shall answer.

    Call it to get the environment: `env = fake(driver="535.104.05", cuda="12.2", gpus=[A100])`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.compiler = shutil.which("cc") or shutil.which("gcc")
        self._answers = 0

    def __call__(
        self,
        driver: str = "535.104.05",
        cuda: str = "12.2",
        gpus: Sequence[Mapping[str, Any]] = (),
        *,
        errors: Mapping[str, int] | None = None,
        hang: str | None = None,
        crash: str | None = None,
    ) -> dict[str, str]:
        """The environment (PATH, LD_LIBRARY_PATH, FAKE_NVML) of a machine with this driver and these GPUs.

        A GPU is {"name", "compute_capability", "memory_mib", "brand" (NVML's number), "mig" (0 or 1; absent: not
        supported), "mig_devices", "errors": {function: code}}. `errors`, `hang` and `crash` name C functions. The
        library has only the symbols that drivers of this branch have.
        """
        major, minor = (int(part) for part in cuda.split("."))
        lines = [f"driver={driver}", f"nvml={major}.{driver}", f"cuda={major * 1000 + minor * 10}", f"gpus={len(gpus)}"]
        for index, gpu in enumerate(gpus):
            lines += [f"gpu.{index}.{line}" for line in _gpu_lines(gpu)]
        lines += [f"error.{function}={code}" for function, code in (errors or {}).items()]
        lines += [f"hang.{hang}=1"] if hang else []
        lines += [f"crash.{crash}=1"] if crash else []
        self._answers += 1
        answers = self.folder / f"answers-{self._answers}"
        answers.write_text("\n".join(lines) + "\n", encoding="utf-8")
        library = self.library(int(driver.split(".", maxsplit=1)[0]))
        return {"PATH": os.environ["PATH"], "LD_LIBRARY_PATH": str(library.parent), "FAKE_NVML": str(answers)}

    def library(self, branch: int) -> Path:
        """The shared library of a branch, built on first use; needs a C compiler."""
        library = self.folder / f"branch-{branch}" / "libnvidia-ml.so.1"
        if not library.exists():
            assert self.compiler is not None
            library.parent.mkdir(parents=True)
            command = [self.compiler, "-Wall", "-Werror", "-shared", "-fPIC", f"-DBRANCH={branch}"]
            subprocess.run([*command, "-o", str(library), str(SOURCE)], check=True, timeout=60)
        return library


def _gpu_lines(gpu: Mapping[str, Any]) -> list[str]:
    lines = [f"{key}={value}" for key, value in gpu.items() if key not in ("compute_capability", "errors")]
    if "compute_capability" in gpu:
        major, minor = gpu["compute_capability"].split(".")
        lines += [f"major={major}", f"minor={minor}"]
    return lines + [f"error.{function}={code}" for function, code in gpu.get("errors", {}).items()]
