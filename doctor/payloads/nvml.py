"""Ask NVML for the driver and the GPUs. One stdlib-only file for CPython 3.6 and later that imports nothing of doctor.

Two bindings, one set of questions: `ask` takes nvidia-ml-py's module `pynvml`, or `CtypesNvml`, which offers the same
functions where nothing may be installed. The doctor runs this file in a child (`python -I -S nvml.py PATH_OF_PYNVML`);
on a remote node, where it is bundled into the probe, `ask_in_child` forks. Either way a hanging or crashing driver
costs the asker nothing but the time limit.

Function names, error codes and brands: NVIDIA's nvml.h as carried by nvidia-ml-py 13.615.71.
"""

import json
import os
import select
import signal
import sys
import time

TYPE_CHECKING = False  # typing itself need not be imported on the node
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, List, Optional, Tuple

SONAME = "libnvidia-ml.so.1"

# Where the driver's libraries lie when the loader does not know them: WSL2, Kubernetes device plug-ins (GKE), NixOS.
EXTRA_FOLDERS = ("/usr/lib/wsl/lib", "/usr/local/nvidia/lib64", "/run/opengl-driver/lib")

ERRORS = {
    1: "UNINITIALIZED",
    2: "INVALID_ARGUMENT",
    3: "NOT_SUPPORTED",
    4: "NO_PERMISSION",
    5: "ALREADY_INITIALIZED",
    6: "NOT_FOUND",
    7: "INSUFFICIENT_SIZE",
    8: "INSUFFICIENT_POWER",
    9: "DRIVER_NOT_LOADED",
    10: "TIMEOUT",
    11: "IRQ_ISSUE",
    12: "LIBRARY_NOT_FOUND",
    13: "FUNCTION_NOT_FOUND",
    14: "CORRUPTED_INFOROM",
    15: "GPU_IS_LOST",
    16: "RESET_REQUIRED",
    17: "OPERATING_SYSTEM",
    18: "LIB_RM_VERSION_MISMATCH",
    19: "IN_USE",
    20: "MEMORY",
    21: "NO_DATA",
    22: "VGPU_ECC_NOT_SUPPORTED",
    23: "INSUFFICIENT_RESOURCES",
    24: "FREQ_NOT_SUPPORTED",
    25: "ARGUMENT_VERSION_MISMATCH",
    26: "DEPRECATED",
    27: "NOT_READY",
    28: "GPU_NOT_FOUND",
    29: "INVALID_STATE",
    30: "RESET_TYPE_NOT_SUPPORTED",
    999: "UNKNOWN",
}
LIBRARY_NOT_FOUND = 12
FUNCTION_NOT_FOUND = 13

# What an NVIDIA_REQUIRE_* expression calls a brand: NVIDIA/go-nvlib, GetBrandAsString, in lower case.
BRANDS = {
    1: "quadro",
    2: "tesla",
    3: "nvs",
    4: "grid",
    5: "geforce",
    6: "titan",
    7: "nvidiavapps",
    8: "nvidiavpc",
    9: "nvidiavcs",
    10: "nvidiavws",
    11: "nvidiacloudgaming",
    12: "quadrortx",
    13: "nvidiartx",
    14: "nvidia",
    15: "geforcertx",
    16: "titanrtx",
}

MAX_GPUS = 64
MAX_TEXT = 200
MAX_ANSWER = 256 * 1024
# Errors that only say that a question has no answer on this GPU or with this driver.
_NO_ANSWER = ("NVML_ERROR_NOT_SUPPORTED", "NVML_ERROR_FUNCTION_NOT_FOUND")


def error_name(code: int) -> str:
    """The name of an NVML return code as nvml.h has it."""
    return "NVML_ERROR_" + ERRORS.get(code, str(code))


def ask(nvml: "Any") -> "Dict[str, Any]":
    """What a snapshot wants of NVML: {"driver": {...}, "gpus": [...], "denied": {device node: errno's name}}.

    `nvml` is the module pynvml or a CtypesNvml. Never raises for what NVML answers: an error is a value, `driver.error`
    is the first grave one, and a field without an answer is {"missing": name of the error}.
    """
    driver = {}  # type: Dict[str, Any]
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        name = error_name(error.value)
        result = {"driver": {"error": name}, "gpus": {"missing": name}}  # type: Dict[str, Any]
        if error.value != LIBRARY_NOT_FOUND:
            result["denied"] = denied_nodes()
        return result
    errors = []  # type: List[str]
    driver["version"] = _value(nvml, errors, lambda: _text(nvml.nvmlSystemGetDriverVersion()))
    driver["nvml_version"] = _value(nvml, errors, lambda: _text(nvml.nvmlSystemGetNVMLVersion()))
    driver["cuda_version"] = _value(nvml, errors, lambda: _cuda_version(nvml.nvmlSystemGetCudaDriverVersion()))
    count = _value(nvml, errors, nvml.nvmlDeviceGetCount)
    if isinstance(count, int):
        gpus = [_gpu(nvml, errors, index) for index in range(min(count, MAX_GPUS))]
    else:
        gpus = count
    result = {"driver": driver, "gpus": gpus}
    if errors:
        driver["error"] = errors[0]
        result["denied"] = denied_nodes()
    return result


def _gpu(nvml: "Any", errors: "List[str]", index: int) -> "Dict[str, Any]":
    gpu = {"index": index}  # type: Dict[str, Any]
    before = len(errors)
    handle = _value(nvml, errors, lambda: nvml.nvmlDeviceGetHandleByIndex(index))
    if not isinstance(handle, dict):
        gpu["name"] = _value(nvml, errors, lambda: _text(nvml.nvmlDeviceGetName(handle)))
        gpu["compute_capability"] = _value(
            nvml, errors, lambda: "%d.%d" % tuple(nvml.nvmlDeviceGetCudaComputeCapability(handle))
        )
        gpu["memory_mib"] = _value(nvml, errors, lambda: nvml.nvmlDeviceGetMemoryInfo(handle).total // (1024 * 1024))
        gpu["brand"] = _value(nvml, errors, lambda: BRANDS.get(nvml.nvmlDeviceGetBrand(handle), "unknown"))
        gpu.update(_mig(nvml, errors, handle))
    if len(errors) > before:
        gpu["error"] = errors[before]
    return gpu


def _mig(nvml: "Any", errors: "List[str]", handle: "Any") -> "Dict[str, Any]":
    """Whether MIG is on; with it how many MIG devices exist, for without one CUDA sees no GPU at all."""
    mode = _value(nvml, errors, lambda: nvml.nvmlDeviceGetMigMode(handle)[0])
    if isinstance(mode, dict):
        # A driver without the function (before 450) and a GPU without MIG say the same: there is no MIG here.
        return {"mig": False if mode["missing"] in _NO_ANSWER else mode}
    if mode != 1:
        return {"mig": False}
    most = _value(nvml, errors, lambda: nvml.nvmlDeviceGetMaxMigDeviceCount(handle))
    if not isinstance(most, int):
        return {"mig": True, "mig_devices": most}
    there = 0
    for index in range(min(most, MAX_GPUS)):
        try:
            nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, index)
        except nvml.NVMLError:
            continue
        there += 1
    return {"mig": True, "mig_devices": there}


def _value(nvml: "Any", errors: "List[str]", question: "Callable[[], Any]") -> "Any":
    try:
        return question()
    except nvml.NVMLError as error:
        name = error_name(error.value)
        if name not in _NO_ANSWER:
            errors.append(name)
        return {"missing": name}


def _text(value: "Any") -> str:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return str(value[:MAX_TEXT])


def _cuda_version(number: int) -> str:
    """12020 -> "12.2": 1000 * major + 10 * minor (nvml.h, NVML_CUDA_DRIVER_VERSION_MAJOR and _MINOR)."""
    return "%d.%d" % (number // 1000, number % 1000 // 10)


def denied_nodes(folder: str = "/dev") -> "Dict[str, str]":
    """Device nodes that cannot be opened although they are there, with errno's name: a container's device cgroup
    denies what the permission bits allow. Asked only after NVML failed, for it opens the GPUs just as NVML did.
    """
    import errno

    denied = {}  # type: Dict[str, str]
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return denied
    for name in names:
        if name in ("nvidiactl", "nvidia-uvm") or (name.startswith("nvidia") and name[6:].isdigit()):
            path = folder + "/" + name
            try:
                os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC))
            except OSError as error:
                denied[path] = errno.errorcode.get(error.errno or 0, str(error.errno))
    return denied


class NvmlError(Exception):
    """What NVML returned; `value` is the code of nvml.h."""

    def __init__(self, value: int) -> None:
        Exception.__init__(self, error_name(value))
        self.value = value


class CtypesNvml:
    """The functions of pynvml that `ask` uses, over the C library itself."""

    NVMLError = NvmlError

    def __init__(self, names: "Optional[List[str]]" = None) -> None:
        """`names`: file names to try in turn; by default the loader's own search, then EXTRA_FOLDERS."""
        self._names = names or [SONAME] + [folder + "/" + SONAME for folder in EXTRA_FOLDERS]
        self._library = None  # type: Any

    def _call(self, name: str, *arguments: "Any") -> None:
        try:
            function = getattr(self._library, name)
        except AttributeError:
            raise NvmlError(FUNCTION_NOT_FOUND) from None
        code = function(*arguments)
        if code != 0:
            raise NvmlError(code)

    def _load(self) -> None:
        import ctypes

        names = self._names
        if sys.platform == "win32":
            names = [os.path.join(os.environ.get("WINDIR", "C:/Windows"), "System32", "nvml.dll")]
        for name in names:
            try:
                self._library = ctypes.CDLL(name)
                return
            except OSError:
                continue
        raise NvmlError(LIBRARY_NOT_FOUND)

    def nvmlInit(self) -> None:
        self._load()
        self._call("nvmlInitWithFlags", 0)

    def _string(self, name: str, *before: "Any") -> bytes:
        import ctypes

        buffer = ctypes.create_string_buffer(96)
        self._call(name, *before, buffer, ctypes.c_uint(96))
        return buffer.value

    def _numbers(self, name: str, before: "Tuple[Any, ...]", count: int, signed: bool = False) -> "List[int]":
        import ctypes

        numbers = [(ctypes.c_int if signed else ctypes.c_uint)() for _ in range(count)]
        self._call(name, *before, *[ctypes.byref(number) for number in numbers])
        return [number.value for number in numbers]

    def _handle(self, name: str, *before: "Any") -> "Any":
        import ctypes

        handle = ctypes.c_void_p()
        self._call(name, *before, ctypes.byref(handle))
        return handle

    def nvmlSystemGetDriverVersion(self) -> bytes:
        return self._string("nvmlSystemGetDriverVersion")

    def nvmlSystemGetNVMLVersion(self) -> bytes:
        return self._string("nvmlSystemGetNVMLVersion")

    def nvmlSystemGetCudaDriverVersion(self) -> int:
        return self._numbers("nvmlSystemGetCudaDriverVersion", (), 1, signed=True)[0]

    def nvmlDeviceGetCount(self) -> int:
        return self._numbers("nvmlDeviceGetCount_v2", (), 1)[0]

    def nvmlDeviceGetHandleByIndex(self, index: int) -> "Any":
        return self._handle("nvmlDeviceGetHandleByIndex_v2", index)

    def nvmlDeviceGetName(self, handle: "Any") -> bytes:
        return self._string("nvmlDeviceGetName", handle)

    def nvmlDeviceGetCudaComputeCapability(self, handle: "Any") -> "List[int]":
        return self._numbers("nvmlDeviceGetCudaComputeCapability", (handle,), 2, signed=True)

    def nvmlDeviceGetMemoryInfo(self, handle: "Any") -> "Any":
        import ctypes

        class Memory(ctypes.Structure):
            _fields_ = [("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong)]

        memory = Memory()
        self._call("nvmlDeviceGetMemoryInfo", handle, ctypes.byref(memory))
        return memory

    def nvmlDeviceGetBrand(self, handle: "Any") -> int:
        return self._numbers("nvmlDeviceGetBrand", (handle,), 1)[0]

    def nvmlDeviceGetMigMode(self, handle: "Any") -> "List[int]":
        return self._numbers("nvmlDeviceGetMigMode", (handle,), 2)

    def nvmlDeviceGetMaxMigDeviceCount(self, handle: "Any") -> int:
        return self._numbers("nvmlDeviceGetMaxMigDeviceCount", (handle,), 1)[0]

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle: "Any", index: int) -> "Any":
        return self._handle("nvmlDeviceGetMigDeviceHandleByIndex", handle, index)


def unanswered(why: str) -> "Dict[str, Any]":
    """The result where NVML gave none at all: `why` in words."""
    return {"driver": {"missing": why}, "gpus": {"missing": why}}


def ask_in_child(seconds: float = 5.0) -> "Dict[str, Any]":
    """`ask` through ctypes in a forked child: a hang or a crash of the driver becomes a reason.

    `seconds` is the time limit. Where there is no fork (Windows), there is no child and no limit.
    """
    if not hasattr(os, "fork"):
        return ask(CtypesNvml())
    source, sink = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(source)
            os.write(sink, json.dumps(ask(CtypesNvml())).encode("ascii"))
        finally:
            os._exit(0)
    os.close(sink)
    data, finished = _read_until(source, time.time() + seconds)
    os.close(source)
    if not finished:
        os.kill(child, signal.SIGKILL)
        _reap(child, 0.5)
        return unanswered("NVML did not answer within %g s" % seconds)
    status = _reap(child, 0.5)
    try:
        return dict(json.loads(data.decode("ascii")))
    except ValueError:
        if status is not None and os.WIFSIGNALED(status):
            return unanswered("NVML died by %s" % signal.Signals(os.WTERMSIG(status)).name)
        return unanswered("NVML gave no answer that can be read")


def _read_until(source: int, deadline: float) -> "Tuple[bytes, bool]":
    data = b""
    while len(data) < MAX_ANSWER:
        left = deadline - time.time()
        if left <= 0 or not select.select([source], [], [], left)[0]:
            return data, False
        part = os.read(source, 65536)
        if not part:
            break
        data += part
    return data, True


def _reap(child: int, seconds: float) -> "Optional[int]":
    """The child's status; None where it is stuck in the kernel and cannot be waited for."""
    deadline = time.time() + seconds
    while True:
        number, status = os.waitpid(child, os.WNOHANG)
        if number:
            return status
        if time.time() > deadline:
            return None
        time.sleep(0.005)


def load_pynvml(path: str) -> "Any":
    """nvidia-ml-py's module from its file, without the site-packages around it. Raises whatever the file raises."""
    import importlib.util

    folder, name = os.path.split(path)
    parts = [folder] if name == "__init__.py" else None  # the older package of the same name is a folder
    spec = importlib.util.spec_from_file_location("pynvml", path, submodule_search_locations=parts)  # type: Any
    module = importlib.util.module_from_spec(spec)
    sys.modules["pynvml"] = module  # its own code looks itself up there
    spec.loader.exec_module(module)
    return module


def main(argv: "List[str]") -> int:
    """Print the answer as one JSON document. argv: the path of pynvml.py; without it, or if it is broken, ctypes."""
    nvml = CtypesNvml()  # type: Any
    if argv:
        try:
            nvml = load_pynvml(argv[0])
        except Exception:  # a broken installation of the binding says nothing about the driver
            pass
    sys.stdout.write(json.dumps(ask(nvml)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
