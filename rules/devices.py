"""The way from the process to the GPU: the two halves of the driver, device nodes, WSL (KD103 to KD105)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from doctor.model.facts import Inapplicable, applies, known, need
from doctor.rule import Case, Finding, Severity, rule

from .compat import compat_in_use, driver_version
from .fitting import CHECK_GPUS
from .measure import ON_CPU, SNAPSHOT, driver_loaded, nvml_error, own_driver, runs_in_container, without_gpu_nodes
from .shared import gpu_wish, need_gpu_case, older, same_version

_WSL_LIBRARIES = "/usr/lib/wsl/"


@rule("KD103", "driver-library-mismatch", Severity.ERROR, follows=("KD503", "KD105"), would_help=SNAPSHOT)
def driver_library_mismatch(case: Case) -> Iterator[Finding]:
    """The loaded kernel module and the driver's user-space libraries (libcuda, NVML) are of different versions.

    ## Why is this bad?
    The two halves of the driver only talk to their own kind. Every CUDA call fails, `nvidia-smi` says
    "Driver/library version mismatch", and TensorFlow computes on the CPU.

    ## How to fix
    Newer libraries than the module mean that the driver was updated while the old module stayed loaded: restart, or
    unload and load the modules. An older libcuda is a leftover of another installation that is found first: remove it.
    In a container it is a libcuda that the image brings along: remove it there, the runtime mounts the host's.

    ## References
    NVML API reference, NVML_ERROR_LIB_RM_VERSION_MISMATCH
    """
    own_driver(case)
    applies(case.machine.system != "windows", "on Windows both halves are installed as one")
    need_gpu_case(case)
    driver = case.machine.driver
    error = nvml_error(case)
    if driver_loaded(case) is False:
        raise Inapplicable("no NVIDIA driver is loaded (KD101)")
    module = driver_version(case)
    compat = compat_in_use(case)
    library = known(driver.libcuda_version)
    if library and compat is not None and compat.told_by == "machine.driver.libcuda_version":
        raise Inapplicable("the libcuda in use is that of a cuda-compat package (KD503)")
    management = _nvml_driver(known(driver.nvml_version))
    other = next((v for v in (library, management) if v and module and not same_version(v, module)), None)
    if other is None and error != "NVML_ERROR_LIB_RM_VERSION_MISMATCH":
        need(driver.kernel_module_version if module is None else driver.libcuda_version)
        return
    which = "libcuda" if other == library else "NVML"
    yield Finding(
        f"the kernel module of the driver is {module}, {which} is {other}"
        if other and module
        else "the driver's kernel module and its libraries are of different versions",
        effect="every CUDA call fails, and TensorFlow computes on the CPU",
        fix=_agree(case, module, other),
        verify="nvidia-smi",
        evidence=case.evidence(
            "machine.driver.kernel_module_version",
            "machine.driver.libcuda_version",
            "machine.driver.libcuda_path",
            "machine.driver.nvml_version",
            "machine.driver.error",
        ),
        likely=0.95,
    )


def _nvml_driver(version: str | None) -> str | None:
    """The driver version in NVML's own: ``12.535.104.05`` is NVML of CUDA 12 and driver 535.104.05."""
    match = re.match(r"(?:\d{1,2}\.)?(\d{3}\.\d+(?:\.\d+)?)$", version or "")
    return match[1] if match else None


def _agree(case: Case, module: str | None, library: str | None) -> str:
    if case.in_container:
        return "remove libcuda and the NVIDIA driver packages from the image: the runtime mounts those of the host"
    if module and library and older(library, module):
        return "find the leftover library with ldconfig -p | grep libcuda, remove its package, then sudo ldconfig"
    return "restart the machine: the driver was updated and the old kernel module is still loaded (sudo reboot)"


_LOST = {
    "NVML_ERROR_GPU_IS_LOST": (
        "has lost the GPU",
        "restart the machine; look for Xid errors with sudo dmesg | grep Xid",
    ),
    "NVML_ERROR_RESET_REQUIRED": ("wants the GPU to be reset", "sudo nvidia-smi --gpu-reset, or restart the machine"),
    "NVML_ERROR_NO_PERMISSION": (
        "refuses access to the GPU",
        "give the user access to /dev/nvidia* (ls -l /dev/nvidia*; sudo usermod -aG video $USER, then log in again)",
    ),
    "NVML_ERROR_IRQ_ISSUE": ("gets no interrupts from the GPU", "restart the machine; look at sudo dmesg | grep NVRM"),
    "NVML_ERROR_UNKNOWN": ("cannot reach the GPU", "restart the machine; look at sudo dmesg | grep NVRM"),
    "NVML_ERROR_GPU_NOT_FOUND": ("finds no GPU", "restart the machine; look at sudo dmesg | grep NVRM"),
}


@rule("KD104", "gpu-device-inaccessible", Severity.ERROR, follows=("KD501", "KD111", "KD103"), would_help=SNAPSHOT)
def gpu_device_inaccessible(case: Case) -> Iterator[Finding]:
    """The driver is loaded, but the GPU cannot be reached: device nodes are missing or denied, or the GPU is lost.

    ## Why is this bad?
    CUDA opens `/dev/nvidiactl`, `/dev/nvidia-uvm` and `/dev/nvidia0` and the like. Without any one of them `cuInit`
    fails with CUDA_ERROR_UNKNOWN or CUDA_ERROR_NO_DEVICE, and TensorFlow computes on the CPU.

    ## How to fix
    Missing nodes: `sudo nvidia-modprobe -u -c=0` makes them. Denied ones: let the user into the group that owns them.
    In a container that lost its GPU ("Failed to initialize NVML: Unknown Error" some time after the start): the
    systemd cgroup driver took the device rules away; make the links with
    `sudo nvidia-ctk system create-dev-char-symlinks --create-all`, or use CDI, and start the container again.

    ## References
    NVIDIA Container Toolkit, troubleshooting: containers losing access to GPUs
    NVIDIA driver README, chapter "nvidia-modprobe"
    """
    own_driver(case)
    applies(case.machine.system != "windows", "Windows has no device nodes")
    need_gpu_case(case)
    if driver_loaded(case) is False:
        raise Inapplicable("no NVIDIA driver is loaded (KD101)")
    error = nvml_error(case)
    if error in _LOST:
        what, fix = _LOST[error]
        yield _unreachable(case, f"the driver {what} ({error})", _in_container(case) or fix)
        return
    if driver_loaded(case) is None:
        need(case.machine.driver.present)
    listed = known(case.machine.gpus)
    if listed is not None and not listed:
        there = known(case.machine.pci_gpus)
        what = "it lists no GPU" + (", although one is in the machine" if there else "")
        mild = not there and gpu_wish(case) is None
        yield _unreachable(case, what, _in_container(case) or _LOST["NVML_ERROR_UNKNOWN"][1], mild=mild)
        return
    nodes = known(case.machine.device_nodes) or ()
    denied = [
        node.path
        for node in nodes
        if _is_needed(node.path) and (known(node.readable) is False or known(node.writable) is False)
    ]
    if denied:
        yield _unreachable(case, f"{_and(denied)} may not be opened by this user", _LOST["NVML_ERROR_NO_PERMISSION"][1])
        return
    missing = _missing_nodes(need(case.machine.devices))
    if missing:
        what = f"{_and(missing)} {'is' if len(missing) == 1 else 'are'} missing"
        make = "sudo nvidia-modprobe -u -c=0  # loads nvidia-uvm and makes the device nodes"
        mild = without_gpu_nodes(case) and gpu_wish(case) is None
        yield _unreachable(case, what, _in_container(case) or make, mild=mild)


def _unreachable(case: Case, what: str, fix: str, *, mild: bool = False) -> Finding:
    return Finding(
        f"the NVIDIA driver is loaded, but {what}",
        severity=Severity.WARNING if mild else None,
        effect="cuInit fails, and TensorFlow computes on the CPU",
        fix=fix,
        verify="ls -l /dev/nvidia* && nvidia-smi",
        evidence=case.evidence(
            "machine.driver.present",
            "machine.driver.error",
            "machine.devices",
            "machine.pci_gpus",
            "machine.engine.cgroup_driver",
        ),
        likely=0.85,
    )


def _is_needed(node: str) -> bool:
    return node in ("/dev/nvidiactl", "/dev/nvidia-uvm") or bool(re.fullmatch(r"/dev/nvidia\d+", node))


def _missing_nodes(nodes: tuple[str, ...]) -> list[str]:
    missing = [node for node in ("/dev/nvidiactl", "/dev/nvidia-uvm") if node not in nodes]
    if not any(re.fullmatch(r"/dev/nvidia\d+", node) for node in nodes):
        missing.insert(0, "/dev/nvidia0")
    return missing


def _and(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _in_container(case: Case) -> str | None:
    """What to do where the process that looked runs in a container."""
    if case.subject.kind != "container" and not runs_in_container(case):
        return None
    if known(case.machine.engine.cgroup_driver) == "systemd":
        return (
            "on the host: sudo nvidia-ctk system create-dev-char-symlinks --create-all, then start the container again"
        )
    return "start the container with its GPUs (docker run --gpus all, a CDI device, or nvidia.com/gpu in the pod)"


@rule("KD105", "wsl-gpu-path", Severity.ERROR, would_help=SNAPSHOT)
def wsl_gpu_path(case: Case) -> Iterator[Finding]:
    """Inside WSL, the GPU is not reached by way of the Windows driver.

    ## Why is this bad?
    Under WSL 2 the driver is the Windows one. It shows itself as `/dev/dxg` and as `/usr/lib/wsl/lib/libcuda.so.1`. A
    Linux driver package brings another libcuda that knows nothing of it; WSL 1 has no GPU at all.

    ## How to fix
    Install the driver on Windows only, and no Linux driver inside WSL (`cuda-toolkit`, never `cuda` or
    `cuda-drivers`). Remove what is there, then `sudo ldconfig`; start WSL anew with `wsl --shutdown`.

    ## References
    CUDA on WSL user guide, https://docs.nvidia.com/cuda/wsl-user-guide/
    """
    if not (generation := need(case.machine.wsl)):
        raise Inapplicable("not under WSL")
    need_gpu_case(case)
    if generation is not True and generation == 1:
        yield _under_wsl(case, "WSL 1 has no access to a GPU", "on Windows: wsl --set-version <distribution> 2", ())
        return
    driver = case.machine.driver
    first = _first_libcuda(case)
    if first is not None and not first[0].startswith(_WSL_LIBRARIES):
        yield _under_wsl(
            case,
            f"libcuda comes from {first[0]}, not from the Windows driver's folder /usr/lib/wsl/lib",
            "remove the Linux driver: sudo apt-get purge 'libnvidia-compute-*' 'nvidia-driver-*', then sudo ldconfig",
            (first[1],),
        )
        return
    off_path = _off_path(case)
    if first is None and off_path is not None:
        yield _under_wsl(
            case,
            "the loader does not find libcuda: /usr/lib/wsl/lib is not among the folders that it searches",
            "echo /usr/lib/wsl/lib | sudo tee /etc/ld.so.conf.d/ld.wsl.conf && sudo ldconfig",
            (off_path,),
        )
        return
    devices = known(case.machine.devices)
    if known(driver.present) is False or (
        devices is not None and "/dev/dxg" not in devices and not known(driver.present)
    ):
        yield _under_wsl(
            case,
            "the Windows driver is not seen inside WSL",
            "update Windows, its NVIDIA driver and WSL (wsl --update), then wsl --shutdown and start again",
            ("machine.devices", "machine.driver.present"),
        )
        return
    if first is None:
        need(driver.present)


def _first_libcuda(case: Case) -> tuple[str, str] | None:
    """The path of the libcuda that the loader finds first, and the fact that tells it."""
    if case.in_container or runs_in_container(case):
        return None  # there the NVIDIA container toolkit mounts libcuda where a Linux driver would have it
    for at, library in enumerate(known(case.software.cuda.libraries) or ()):
        path = known(library.path)
        if library.soname == "libcuda.so.1" and path and known(library.on_path) is not False:
            return path, f"software.cuda.libraries.{at}.path"
    path = known(case.machine.driver.libcuda_path)
    return (path, "machine.driver.libcuda_path") if path else None


def _off_path(case: Case) -> str | None:
    """The fact that the Windows driver's libcuda is there, but off the loader's path."""
    for at, library in enumerate(known(case.software.cuda.libraries) or ()):
        windows = (known(library.path) or "").startswith(_WSL_LIBRARIES)
        if library.soname == "libcuda.so.1" and windows and known(library.on_path) is False:
            return f"software.cuda.libraries.{at}.path"
    return None


def _under_wsl(case: Case, what: str, fix: str, facts: tuple[str, ...]) -> Finding:
    return Finding(
        what,
        effect=ON_CPU,
        fix=fix,
        verify=f"/usr/lib/wsl/lib/nvidia-smi && {CHECK_GPUS}",
        evidence=case.evidence("machine.wsl", *facts),
        likely=0.95,
    )
