"""The real nvidia-ml-py binding and the ctypes one, both against a fake libnvidia-ml.so.1 that is a real library."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from doctor.io.nvml import ChildNvml, loader_environment
from doctor.payloads import nvml as payload
from tests.nvml.fake import A100, T4, FakeNvml

pytest_plugins = ["tests.nvml.fixtures"]

BINDINGS = pytest.mark.parametrize("ctypes", [False, True], ids=["nvidia-ml-py", "ctypes"])

# driver, the newest CUDA that it supports (cuda_driver.json of the project's tables)
DRIVERS = [
    ("418.67", "10.1"),
    ("440.33.01", "10.2"),
    ("450.80.02", "11.0"),
    ("470.82.01", "11.4"),
    ("525.60.13", "12.0"),
    ("535.104.05", "12.2"),
    ("570.124.06", "12.8"),
    ("580.65.06", "13.0"),
    ("615.36.02", "13.4"),
]

ERRORS = {
    4: "NVML_ERROR_NO_PERMISSION",
    9: "NVML_ERROR_DRIVER_NOT_LOADED",
    10: "NVML_ERROR_TIMEOUT",
    11: "NVML_ERROR_IRQ_ISSUE",
    14: "NVML_ERROR_CORRUPTED_INFOROM",
    15: "NVML_ERROR_GPU_IS_LOST",
    16: "NVML_ERROR_RESET_REQUIRED",
    17: "NVML_ERROR_OPERATING_SYSTEM",
    18: "NVML_ERROR_LIB_RM_VERSION_MISMATCH",
    20: "NVML_ERROR_MEMORY",
    999: "NVML_ERROR_UNKNOWN",
    777: "NVML_ERROR_777",
}


def ask(environ: dict[str, str], ctypes: bool = False, seconds: float = 20.0) -> dict[str, Any]:
    return ChildNvml(seconds=seconds, environ=environ, ctypes=ctypes)()


@BINDINGS
@pytest.mark.parametrize(("driver", "cuda"), DRIVERS)
def test_driver_and_gpu_of_each_branch(fake_nvml: FakeNvml, driver: str, cuda: str, ctypes: bool) -> None:
    """Every driver branch from 418 to 615 is read, also where the library lacks newer functions."""
    answer = ask(fake_nvml(driver, cuda, [T4]), ctypes)
    assert answer["driver"] == {
        "version": driver,
        "cuda_version": cuda,
        "nvml_version": f"{cuda.split('.', maxsplit=1)[0]}.{driver}",
    }
    assert answer["gpus"] == [
        {
            "index": 0,
            "name": "Tesla T4",
            "compute_capability": "7.5",
            "memory_mib": 15360,
            "brand": "tesla",
            "mig": False,
        }
    ]


@pytest.mark.parametrize("driver", ["418.67", "535.104.05", "615.36.02"])
def test_both_bindings_give_the_same_answer(fake_nvml: FakeNvml, driver: str) -> None:
    """On several GPUs with MIG, errors and missing answers nvidia-ml-py and ctypes agree to the letter."""
    gpus = [
        A100,
        {**A100, "mig": 1, "mig_devices": 3},
        {**T4, "errors": {"nvmlDeviceGetName": 15, "nvmlDeviceGetMemoryInfo": 999}},
        {"name": "NVIDIA GB10", "compute_capability": "12.1"},
        {**A100, "errors": {"nvmlDeviceGetHandleByIndex_v2": 4}},
    ]
    environ = fake_nvml(driver, "12.2", gpus, errors={"nvmlSystemGetNVMLVersion": 999})
    assert ask(environ) == ask(environ, ctypes=True)


@BINDINGS
def test_mig(fake_nvml: FakeNvml, ctypes: bool) -> None:
    """MIG mode is told apart from its absence, with the number of MIG devices that exist."""
    gpus = [{**A100, "mig": 1, "mig_devices": 2}, {**A100, "mig": 1}, A100, T4]
    answer = ask(fake_nvml(gpus=gpus), ctypes)
    assert [(gpu["mig"], gpu.get("mig_devices")) for gpu in answer["gpus"]] == [
        (True, 2),
        (True, 0),
        (False, None),
        (False, None),
    ]


@BINDINGS
@pytest.mark.parametrize(("code", "name"), ERRORS.items(), ids=list(ERRORS.values()))
def test_an_error_of_nvml_is_a_value(fake_nvml: FakeNvml, code: int, name: str, ctypes: bool) -> None:
    """Each error that NVML's start can return arrives under its name in nvml.h, and the GPUs are not known."""
    answer = ask(fake_nvml(gpus=[A100], errors={"nvmlInitWithFlags": code}), ctypes)
    assert answer["driver"] == {"error": name}
    assert answer["gpus"] == {"missing": name}


@BINDINGS
def test_a_driver_before_nvml_s_present_start_function(fake_nvml: FakeNvml, ctypes: bool) -> None:
    """A driver older than the function that starts NVML is an error with a name, not a crash."""
    assert ask(fake_nvml("390.138", "9.1", [T4]), ctypes)["driver"] == {"error": "NVML_ERROR_FUNCTION_NOT_FOUND"}


@BINDINGS
def test_no_library(tmp_path: Path, ctypes: bool) -> None:
    """Without libnvidia-ml.so.1 the answer says so."""
    if Path("/proc/driver/nvidia").exists() or Path("/dev/dxg").exists():
        pytest.skip("this machine has an NVIDIA driver of its own")
    answer = ask({"LD_LIBRARY_PATH": str(tmp_path)}, ctypes)
    assert answer["driver"] == {"error": "NVML_ERROR_LIBRARY_NOT_FOUND"}


@BINDINGS
def test_a_lost_gpu_does_not_hide_the_others(fake_nvml: FakeNvml, ctypes: bool) -> None:
    """The GPU that fell off the bus carries the error, the driver names it, and the next GPU is read."""
    lost = {**A100, "errors": {"nvmlDeviceGetHandleByIndex_v2": 15}}
    answer = ask(fake_nvml(gpus=[lost, T4]), ctypes)
    assert answer["driver"]["error"] == "NVML_ERROR_GPU_IS_LOST"
    assert answer["gpus"][0] == {"index": 0, "error": "NVML_ERROR_GPU_IS_LOST"}
    assert answer["gpus"][1]["name"] == "Tesla T4"


@BINDINGS
def test_a_gpu_without_memory_of_its_own(fake_nvml: FakeNvml, ctypes: bool) -> None:
    """NOT_SUPPORTED for one question is a missing field, no error of the driver."""
    answer = ask(fake_nvml(gpus=[{"name": "NVIDIA GB10", "compute_capability": "12.1"}]), ctypes)
    assert answer["gpus"][0]["memory_mib"] == {"missing": "NVML_ERROR_NOT_SUPPORTED"}
    assert "error" not in answer["driver"]


@BINDINGS
@pytest.mark.parametrize("function", ["nvmlInitWithFlags", "nvmlDeviceGetCount_v2"])
def test_a_hanging_nvml_costs_the_time_limit_only(fake_nvml: FakeNvml, function: str, ctypes: bool) -> None:
    """A driver that never answers becomes a reason after the limit."""
    started = time.monotonic()
    answer = ask(fake_nvml(gpus=[A100], hang=function), ctypes, seconds=0.5)
    assert time.monotonic() - started < 4
    assert answer == payload.unanswered("NVML did not answer within 0.5 s")


@BINDINGS
def test_a_crashing_nvml_has_its_signal_s_name(fake_nvml: FakeNvml, ctypes: bool) -> None:
    """A library that dies takes its child along and nothing else."""
    answer = ask(fake_nvml(gpus=[A100], crash="nvmlDeviceGetName"), ctypes)
    assert answer == payload.unanswered("NVML died by SIGSEGV")


@BINDINGS
def test_hostile_names_stay_text(fake_nvml: FakeNvml, ctypes: bool) -> None:
    """Control characters and broken UTF-8 in a GPU's name neither break the document nor reach a terminal raw."""
    answer = ask(fake_nvml(gpus=[{**T4, "name": "Tesla\x1b[31m T4 \u202e"}]), ctypes)
    assert answer["gpus"][0]["name"] == "Tesla\x1b[31m T4 \u202e"


def test_a_binding_that_cannot_be_read_is_a_reason(fake_nvml: FakeNvml, tmp_path: Path) -> None:
    """Garbage where an answer should be becomes a reason too."""
    bad = tmp_path / "pynvml.py"
    bad.write_text("print('garbage')\nraise SystemExit(0)\n")
    command = [sys.executable, "-I", "-S", str(Path(payload.__file__)), str(bad)]
    assert subprocess.run(command, capture_output=True, check=True).stdout == b"garbage\n"
    child = ChildNvml(environ=fake_nvml(), runner=lambda argv, **options: _run_instead(command, **options))
    assert child() == payload.unanswered("NVML gave no answer that can be read")


@pytest.mark.parametrize("shape", ["module", "package", "broken"])
def test_the_binding_is_loaded_whatever_its_shape(fake_nvml: FakeNvml, tmp_path: Path, shape: str) -> None:
    """nvidia-ml-py's single file, the older package of the same name, and ctypes in place of a broken one."""
    path = tmp_path / ("pynvml.py" if shape == "module" else "pynvml/__init__.py")
    path.parent.mkdir(exist_ok=True)
    real = importlib.util.find_spec("pynvml")
    assert real is not None
    assert real.origin is not None
    if shape == "package":
        shutil.copy(real.origin, path.parent / "nvml.py")
        text = (path.parent / "nvml.py").read_text().replace("sys.modules[__name__]", "sys.modules['pynvml.nvml']")
        (path.parent / "nvml.py").write_text(text)
        path.write_text("from .nvml import *\n")
    else:
        path.write_text("import nowhere_to_be_found\n" if shape == "broken" else Path(real.origin).read_text())
    command = [sys.executable, "-I", "-S", "-B", str(Path(payload.__file__)), str(path)]
    child = ChildNvml(environ=fake_nvml(gpus=[A100]), runner=lambda argv, **options: _run_instead(command, **options))
    assert child()["gpus"][0]["name"] == A100["name"]


def test_nvidia_ml_py_is_what_the_doctor_uses(fake_nvml: FakeNvml) -> None:
    """The child is handed the installed nvidia-ml-py; ctypes is only for where there is none."""
    seen: list[list[str]] = []

    def spy(argv: list[str], **options: Any) -> Any:
        seen.append(list(argv))
        return _run_instead(argv, **options)

    ChildNvml(environ=fake_nvml(gpus=[A100]), runner=spy)()
    assert Path(seen[0][-1]).name == "pynvml.py"


def _run_instead(command: list[str], **options: Any) -> Any:
    from doctor.io.process import run

    return run(command, **options)


class TestForkedChild:
    """`ask_in_child`, what the probe uses on a remote node, in an interpreter of its own."""

    CODE = "import sys; sys.path.insert(0, sys.argv[1]); import nvml, json; print(json.dumps(nvml.ask_in_child(%s)))"

    def ask(self, environ: dict[str, str], seconds: float = 20.0) -> dict[str, Any]:
        folder = str(Path(payload.__file__).parent)
        command = [sys.executable, "-I", "-S", "-B", "-c", self.CODE % seconds, folder]
        result = subprocess.run(command, env=environ, capture_output=True, check=True, timeout=60)
        answer: dict[str, Any] = json.loads(result.stdout)
        return answer

    def test_agrees_with_nvidia_ml_py(self, fake_nvml: FakeNvml) -> None:
        """The fork changes nothing about the answer."""
        environ = fake_nvml(gpus=[A100, {**A100, "mig": 1, "mig_devices": 3}, T4])
        assert self.ask(environ) == ask(environ)

    def test_a_hang_is_a_reason(self, fake_nvml: FakeNvml) -> None:
        """The forked child is killed at the limit."""
        assert self.ask(fake_nvml(hang="nvmlInitWithFlags"), 0.5) == payload.unanswered(
            "NVML did not answer within 0.5 s"
        )

    def test_a_crash_is_a_reason(self, fake_nvml: FakeNvml) -> None:
        """The forked child's death has its signal's name."""
        assert self.ask(fake_nvml(crash="nvmlInitWithFlags")) == payload.unanswered("NVML died by SIGSEGV")


def test_compat_folders_leave_the_loader_s_path(tmp_path: Path) -> None:
    """NVML must not ask a container's own libcuda for the host driver's CUDA; everything else stays."""
    environ = {"LD_LIBRARY_PATH": f"/usr/local/cuda-12.9/compat:/opt/cuda-compat/lib::{tmp_path}/compatible", "A": "b"}
    result = loader_environment(environ)
    assert result["A"] == "b"
    assert result["LD_LIBRARY_PATH"].split(":")[0] == f"{tmp_path}/compatible"
    assert "/compat:" not in result["LD_LIBRARY_PATH"] + ":"


@pytest.mark.gpu
@BINDINGS
def test_the_real_driver_agrees_with_nvidia_smi(ctypes: bool) -> None:
    """On a machine with a GPU both bindings say what nvidia-smi says."""
    smi = shutil.which("nvidia-smi")
    if smi is None or subprocess.run([smi, "-L"], capture_output=True, check=False).returncode != 0:
        pytest.skip("there is no NVIDIA GPU on this machine")
    query = [smi, "--query-gpu=driver_version,name,compute_cap,memory.total", "--format=csv,noheader,nounits"]
    rows = subprocess.run(query, capture_output=True, check=True, text=True).stdout.strip().splitlines()
    expected = [[field.strip() for field in row.split(",")] for row in rows]
    answer = ChildNvml(ctypes=ctypes)()
    assert answer["driver"]["version"] == expected[0][0]
    assert "error" not in answer["driver"]
    assert [[g["name"], g["compute_capability"], str(g["memory_mib"])] for g in answer["gpus"]] == [
        r[1:] for r in expected
    ]
