"""The NVIDIA driver: is it there, does it fit together, and does it run the CUDA that is used (KD101 to KD105)."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from doctor.model.facts import Inapplicable, Unknown, applies, known, need
from doctor.model.report import Confidence
from doctor.rule import Case, Finding, Severity, rule

from .compat import compat_in_use, driver_version, judge
from .fitting import CHECK_GPUS, driver_runs, install, least_driver, newest_release
from .shared import driver_system, gpus_seen, need_gpu_case, nvidia_hardware, older, same_version, tensorflow_facts
from .tables.cuda import cuda_reported_by
from .tables.gpus import last_driver_branch
from .tables.versions import major, major_minor, numbers

_NO_DRIVER = ("NVML_ERROR_DRIVER_NOT_LOADED", "NVML_ERROR_LIBRARY_NOT_FOUND")
_SNAPSHOT = "kdoctor snapshot, run on the machine itself, then kdoctor check --machine node.json"
_WSL_LIBRARIES = "/usr/lib/wsl/"
ON_CPU = "TensorFlow says so in one log line and computes on the CPU"


def _not_under_wsl(case: Case) -> None:
    applies(not known(case.machine.wsl), "WSL uses the driver of Windows (KD105)")
    applies(known(case.machine.os) != "darwin", "there is no NVIDIA driver for macOS")


@rule("KD101", "driver-missing", Severity.ERROR, follows=("KD501", "KD111"), would_help=_SNAPSHOT)
def driver_missing(case: Case) -> Iterator[Finding]:
    """A GPU is there or meant to be used, and no NVIDIA driver is loaded.

    ## Why is this bad?
    Without the driver's kernel module nothing reaches the GPU, whatever CUDA is installed: CUDA libraries are not the
    driver. TensorFlow does not fail, it computes on the CPU.

    ## How to fix
    Install the driver of the distribution and restart. Where it is installed and not loaded, the module was not built
    for the running kernel (DKMS), is blocked by Secure Boot, or the nouveau driver holds the GPU. In a container the
    driver is the host's: start the container with GPUs.

    ## How it is judged
    A machine without NVIDIA hardware is no fault, unless you say that a GPU is expected (`--require gpu`).

    ## References
    NVIDIA Driver Installation Guide, https://docs.nvidia.com/datacenter/tesla/driver-installation-guide/
    """
    need_gpu_case(case)
    _not_under_wsl(case)
    driver = case.machine.driver
    present = known(driver.present)
    if present is None and known(driver.error) in _NO_DRIVER:
        present = False
    if present is None and known(case.machine.nouveau) and not known(driver.kernel_module_version):
        present = False
    if need(driver.present) if present is None else present:
        return
    yield Finding(
        f"{_what_is_there(case)}, and no NVIDIA driver is loaded",
        effect=ON_CPU,
        fix=_load_driver(case),
        verify="nvidia-smi",
        confidence=Confidence.HIGH if nvidia_hardware(case) else Confidence.MEDIUM,
        evidence=case.evidence(
            "machine.driver.present",
            "machine.driver.error",
            "machine.driver.libcuda_version",
            "machine.nouveau",
            "machine.pci_gpus",
        ),
        likely=0.95,
    )


def _what_is_there(case: Case) -> str:
    seen = gpus_seen(case) if nvidia_hardware(case) else ()
    return f"{seen[0].name} is in the machine" if seen else "A GPU is meant to be used"


def _load_driver(case: Case) -> str:
    if known(case.machine.nouveau):
        return "install the NVIDIA driver, which turns nouveau off (Ubuntu: sudo ubuntu-drivers install && sudo reboot)"
    if known(case.machine.driver.libcuda_version):
        return "the driver is installed but not loaded: sudo modprobe nvidia, and read what sudo dmesg says of NVRM"
    if case.in_container:
        return "install the NVIDIA driver on the host, and start the container with --gpus all"
    if known(case.machine.os) == "windows":
        return "install the NVIDIA driver for Windows from https://www.nvidia.com/drivers and restart"
    return "install the NVIDIA driver and restart (Ubuntu: sudo ubuntu-drivers install && sudo reboot)"


class _Used(msgspec.Struct, frozen=True):
    """A CUDA version that is used: by whom (a clause), and the fact that tells it."""

    cuda: str
    by: str
    fact: str


@rule("KD102", "driver-too-old", Severity.ERROR, follows=("KD103", "KD105"), would_help=_SNAPSHOT)
def driver_too_old(case: Case) -> Iterator[Finding]:
    """The NVIDIA driver is older than the CUDA that is used needs.

    ## Why is this bad?
    TensorFlow does not fail: it logs one line and computes on the CPU. Other programs stop with "CUDA driver version
    is insufficient for CUDA runtime version".

    ## How to fix
    Update the driver, or choose a TensorFlow built for an older CUDA.

    ## How it is judged
    By NVIDIA's minor-version compatibility, not by comparing two CUDA versions: every CUDA 12.x runs on driver
    525.60.13, every 11.x on 450.80.02, every 13.x on the 580 branch (Windows and WSL: other numbers); up to CUDA 10
    each toolkit has its own least driver. A cuda-compat library that suits GPU and driver lifts the limit. GPU code
    that exists as PTX only has a limit of its own (KD108).

    ## References
    CUDA Compatibility guide, https://docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html
    CUDA Toolkit release notes, tables 2 and 3
    """
    need_gpu_case(case)
    if known(case.machine.driver.present) is False:
        raise Inapplicable("no NVIDIA driver is loaded (KD101)")
    driver, system = driver_version(case), driver_system(case)
    if driver is None:
        driver = need(case.machine.driver.version)
    used = _cuda_used(case)
    runs = driver_runs(driver, used.cuda, system)
    if runs is None:
        raise Unknown(used.fact, f"the tables name no least driver for CUDA {used.cuda}")
    if runs:
        return
    compat = compat_in_use(case)
    if compat is not None and numbers(compat.cuda) >= numbers(used.cuda) and judge(case, compat).suits is not False:
        return
    native = known(case.machine.driver.cuda_version) or cuda_reported_by(driver)
    yield Finding(
        f"NVIDIA driver {driver} is too old for CUDA {used.cuda}, {used.by}: it needs {least_driver(used.cuda, system)}"
        + (f", and this one ends at CUDA {major_minor(native)}" if native and major_minor(native) else ""),
        effect=ON_CPU,
        fix=_newer_driver(case, driver, used.cuda, system),
        verify="nvidia-smi --query-gpu=driver_version --format=csv,noheader",
        evidence=case.evidence(
            "machine.driver.version",
            "machine.driver.kernel_module_version",
            "machine.driver.cuda_version",
            used.fact,
        ),
        likely=0.9,
    )


def _cuda_used(case: Case) -> _Used:
    """The CUDA that is used: TensorFlow's build says it; without TensorFlow the oldest runtime that could be loaded.

    Raises:
        Inapplicable: TensorFlow has no CUDA, or there is no CUDA.
        Unknown: nobody looked.
    """
    build = tensorflow_facts(case)
    if build.cuda_build is False:
        raise Inapplicable("this TensorFlow has no CUDA (KD301)")
    if build.cuda_version:
        return _Used(build.cuda_version, "which this TensorFlow is built for", "software.tensorflow.cuda_version")
    found = [*_runtimes(case)]
    if found:
        return min(found, key=lambda used: numbers(used.cuda))
    image = (known(case.software.image.environment) or {}).get("CUDA_VERSION")
    if image and major_minor(image):
        return _Used(image, "which the image holds", "software.image.environment.CUDA_VERSION")
    if build.cuda_build or build.version:
        raise Unknown("software.tensorflow.cuda_version")
    case.complete("software.cuda.libraries")
    need(case.software.cuda.libraries)
    raise Inapplicable("no CUDA is installed")


def _runtimes(case: Case) -> Iterator[_Used]:
    """The CUDA runtimes that are installed: by library, package and toolkit."""
    for at, library in enumerate(known(case.software.cuda.libraries) or ()):
        version = known(library.version) or library.soname.partition(".so.")[2]
        if library.soname.startswith("libcudart.") and major_minor(version):
            yield _Used(version, "whose runtime is installed", f"software.cuda.libraries.{at}")
    for at, package in enumerate(known(case.software.packages) or ()):
        if re.match(r"cudatoolkit$|cuda-cudart$|nvidia-cuda-runtime(-cu\d+)?$", package.name):
            version = known(package.version) or ""
            if major_minor(version):
                yield _Used(version, f"which {package.name} brings", f"software.packages.{at}")
    for at, toolkit in enumerate(known(case.software.cuda.toolkits) or ()):
        if major_minor(known(toolkit.version) or ""):
            yield _Used(known(toolkit.version) or "", "which is installed", f"software.cuda.toolkits.{at}")


def _newer_driver(case: Case, driver: str, cuda: str, system: str) -> str:
    seen = gpus_seen(case) if nvidia_hardware(case) and known(case.machine.gpus) else ()
    capability = next((gpu.capability for gpu in seen if gpu.capability), None)
    python = known(case.software.python.version)
    older_release = newest_release(driver=driver, system=system, capability=capability, python=python)
    instead = f"{install(older_release)} (CUDA {older_release.cuda.version})" if older_release else ""
    last = last_driver_branch(capability) if capability else None
    least = least_driver(cuda, system)
    if last is not None and (major(least) or 0) > last:
        return f"R{last} is the last driver for this GPU, so use what it runs: {instead or 'an older TensorFlow'}"
    where = "on Windows" if known(case.machine.wsl) else "on the host" if case.in_container else ""
    update = f"install NVIDIA driver {least} or newer {where}".rstrip()
    uses_tensorflow = tensorflow_facts(case).version is not None
    return f"{update}, or {instead}" if instead and uses_tensorflow and system == "linux" else update


@rule("KD103", "driver-library-mismatch", Severity.ERROR, follows=("KD503", "KD105"), would_help=_SNAPSHOT)
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
    _not_under_wsl(case)
    applies(known(case.machine.os) != "windows", "on Windows both halves are installed as one")
    need_gpu_case(case)
    driver = case.machine.driver
    error = known(driver.error) or ""
    if known(driver.present) is False:
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
}


@rule("KD104", "gpu-device-inaccessible", Severity.ERROR, follows=("KD501", "KD111", "KD103"), would_help=_SNAPSHOT)
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
    _not_under_wsl(case)
    applies(known(case.machine.os) != "windows", "Windows has no device nodes")
    need_gpu_case(case)
    driver = case.machine.driver
    if known(driver.present) is False:
        raise Inapplicable("no NVIDIA driver is loaded (KD101)")
    error = known(driver.error) or ""
    if error in _LOST:
        what, fix = _LOST[error]
        yield _unreachable(case, f"the driver {what} ({error})", _in_container(case) or fix)
        return
    need(driver.present)
    listed = known(case.machine.gpus)
    if listed is not None and not listed and known(case.machine.pci_gpus):
        yield _unreachable(
            case, "the driver lists no GPU, although one is in the machine", _LOST["NVML_ERROR_UNKNOWN"][1]
        )
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
        make = "sudo nvidia-modprobe -u -c=0 (it loads nvidia-uvm and makes the device nodes)"
        yield _unreachable(
            case, f"{_and(missing)} {'is' if len(missing) == 1 else 'are'} missing", _in_container(case) or make
        )


def _unreachable(case: Case, what: str, fix: str) -> Finding:
    return Finding(
        f"the NVIDIA driver is loaded, but {what}",
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
    if case.subject.kind != "container" and known(case.machine.virtualization) not in ("docker", "podman", "container"):
        return None
    if known(case.machine.engine.cgroup_driver) == "systemd":
        return (
            "on the host: sudo nvidia-ctk system create-dev-char-symlinks --create-all, then start the container again"
        )
    return "start the container with its GPUs (docker run --gpus all, a CDI device, or nvidia.com/gpu in the pod)"


@rule("KD105", "wsl-gpu-path", Severity.ERROR, would_help=_SNAPSHOT)
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
    if not case.in_container:
        for at, library in enumerate(known(case.software.cuda.libraries) or ()):
            path = known(library.path)
            if library.soname == "libcuda.so.1" and path and known(library.on_path) is not False:
                return path, f"software.cuda.libraries.{at}"
    path = known(case.machine.driver.libcuda_path)
    return (path, "machine.driver.libcuda_path") if path else None


def _under_wsl(case: Case, what: str, fix: str, facts: tuple[str, ...]) -> Finding:
    return Finding(
        what,
        effect=ON_CPU,
        fix=fix,
        verify=f"/usr/lib/wsl/lib/nvidia-smi && {CHECK_GPUS}",
        evidence=case.evidence("machine.wsl", *facts),
        likely=0.95,
    )
