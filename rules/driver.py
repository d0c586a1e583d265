"""The NVIDIA driver: is it there, and of a version for this CUDA and this GPU (KD101, KD102, KD111)."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from doctor.model.facts import Inapplicable, Unknown, known, need
from doctor.model.report import Confidence
from doctor.rule import Case, Finding, Severity, rule

from . import requirements as reqs
from .builds import tensorflow_facts
from .compat import LOOK_FOR_COMPAT, compat_in_use, driver_version, judge, may_be_lifted, reported_cuda
from .fitting import driver_runs, least_driver, mentioned, newest_release, reported_runs
from .gpu_code import Code, all_machine_code, ptx_needs
from .measure import ON_CPU, SNAPSHOT, driver_loaded, facts_of, gpus_seen, lowered, measured, own_driver, which
from .shared import driver_system, need_gpu_case, nvidia_hardware
from .tables.cuda import branch_for_cuda
from .tables.gpus import dropped_by_driver, last_driver_branch
from .tables.versions import major, major_minor, numbers

_BUILT_FOR = "software.tensorflow.cuda_version"


@rule("KD101", "driver-missing", Severity.ERROR, follows=("KD501", "KD111"), would_help=SNAPSHOT)
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
    own_driver(case)
    driver = case.machine.driver
    loaded = driver_loaded(case)
    if need(driver.present) if loaded is None else loaded:
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
    if case.machine.system == "windows":
        return "install the NVIDIA driver for Windows from https://www.nvidia.com/drivers and restart"
    return "install the NVIDIA driver and restart (Ubuntu: sudo ubuntu-drivers install && sudo reboot)"


class _Used(msgspec.Struct, frozen=True):
    """A CUDA version that is used: by whom (a clause), and the fact that tells it."""

    cuda: str
    by: str
    fact: str


@rule("KD102", "driver-too-old", Severity.ERROR, follows=("KD103", "KD105"), would_help=SNAPSHOT)
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
    if driver_loaded(case) is False:
        raise Inapplicable("no NVIDIA driver is loaded (KD101)")
    driver, system = driver_version(case), driver_system(case)
    native = reported_cuda(case)
    used = _cuda_used(case)
    if driver is None and native is None:
        need(case.machine.driver.version)
    runs = driver_runs(driver, used.cuda, system) if driver else reported_runs(native or "", used.cuda)
    if runs is None:
        raise Unknown(used.fact, f"the tables name no least driver for CUDA {used.cuda}")
    told = used.fact == _BUILT_FOR or reqs.without_tensorflow(case)
    if runs:
        if not told:
            need(case.software.tensorflow.cuda_version)  # the CUDA that is there need not be the one that it opens
        return
    compat = compat_in_use(case)
    if compat is not None and numbers(compat.cuda) >= numbers(used.cuda) and judge(case, compat).suits is not False:
        return
    lifted = may_be_lifted(case, used.cuda)
    newer = _newer_driver(case, driver, used.cuda, system)
    yield Finding(
        f"{f'NVIDIA driver {driver}' if driver else 'the NVIDIA driver'} is too old for CUDA {used.cuda}, {used.by}: "
        f"it needs {least_driver(used.cuda, system)}" + (", or a cuda-compat library in the image" if lifted else ""),
        severity=Severity.WARNING if lifted else None,
        confidence=Confidence.HIGH if told and not lifted else Confidence.MEDIUM,
        effect=ON_CPU,
        fix=f"{newer}; {LOOK_FOR_COMPAT}" if lifted else newer,
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
        return _Used(build.cuda_version, "which this TensorFlow is built for", _BUILT_FOR)
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
            leaf = "version" if known(library.version) else "soname"
            yield _Used(version, "whose runtime is installed", f"software.cuda.libraries.{at}.{leaf}")
    for at, package in enumerate(known(case.software.packages) or ()):
        if re.match(r"cudatoolkit$|cuda-cudart$|nvidia-cuda-runtime(-cu\d+)?$", package.name):
            version = known(package.version) or ""
            if major_minor(version):
                yield _Used(version, f"which {package.name} brings", f"software.packages.{at}.version")
    for at, toolkit in enumerate(known(case.software.cuda.toolkits) or ()):
        if major_minor(known(toolkit.version) or ""):
            yield _Used(known(toolkit.version) or "", "which is installed", f"software.cuda.toolkits.{at}.version")


def _newer_driver(case: Case, driver: str | None, cuda: str, system: str) -> str:
    seen = gpus_seen(case) if nvidia_hardware(case) and known(case.machine.gpus) else ()
    capability = next((gpu.capability for gpu in seen if gpu.capability), None)
    python = known(case.software.python.version)
    fitting = newest_release(driver=driver, system=system, capability=capability, python=python)
    other = fitting if driver else None
    instead = f"{mentioned(case, other)} (CUDA {other.cuda.version})" if other else ""
    last = last_driver_branch(capability) if capability else None
    least = _least_with_ptx(case, cuda, system, [gpu.capability for gpu in seen if gpu.capability])
    if last is not None and (major(least.removeprefix("R")) or 0) > last:
        return f"R{last} is the last driver for this GPU, so use what it runs: {instead or 'an older TensorFlow'}"
    where = " on Windows" if known(case.machine.wsl) else " on the host" if case.in_container else ""
    newest = f", up to branch R{last}" if last is not None else ""
    update = f"install NVIDIA driver {least.removeprefix('one ')} or newer{where}{newest}"
    uses_tensorflow = tensorflow_facts(case).version is not None
    return f"{update}, or {instead}" if instead and uses_tensorflow and system == "linux" else update


def _least_with_ptx(case: Case, cuda: str, system: str, capabilities: list[str]) -> str:
    """The least driver for this CUDA that also compiles the PTX which these GPUs need: nobody updates it twice."""
    build, least = tensorflow_facts(case), least_driver(cuda, system)
    if build.compute_capabilities is None:
        return least
    code = Code(build.compute_capabilities)
    if all(all_machine_code(build, code, capability) or not code.by_ptx(capability) for capability in capabilities):
        return least
    branch = branch_for_cuda(ptx_needs(build).cuda)
    return f"R{branch.branch}" if branch and branch.branch > (major(least) or 0) else least


@rule("KD111", "driver-dropped-gpu", Severity.ERROR, would_help=SNAPSHOT)
def driver_dropped_gpu(case: Case) -> Iterator[Finding]:
    """The installed driver branch no longer supports this GPU's architecture.

    ## Why is this bad?
    NVIDIA's driver leaves out old architectures: Kepler after branch R470, Maxwell, Pascal and Volta after R580. A
    later driver installs without complaint and then finds no device.

    ## How to fix
    Install the last branch that knows the GPU, and hold the package so that no update replaces it.

    ## References
    CUDA Toolkit, driver and architecture matrix,
    https://docs.nvidia.com/datacenter/tesla/drivers/cuda-toolkit-driver-and-architecture-matrix.html
    """
    need_gpu_case(case)
    driver = driver_version(case) or known(case.machine.driver.libcuda_version)
    if driver is None:
        driver = need(case.machine.driver.version)
    verdicts = [(gpu, capability, dropped_by_driver(capability, driver)) for gpu, capability in measured(case)]
    bad = [(gpu, capability) for gpu, capability, dropped in verdicts if dropped]
    if not bad:
        if any(dropped is None for _, _, dropped in verdicts):
            raise Unknown("machine.driver.version", f"the tables do not know driver {driver} or this GPU")
        return
    gpu, capability = bad[0]
    last = last_driver_branch(capability)
    yield Finding(
        f"driver {driver} no longer supports {which(bad)}; the last branch that does is R{last}",
        severity=lowered(case, bad),
        effect="the driver finds no device, and TensorFlow computes on the CPU",
        fix=_last_driver(case, last),
        verify="nvidia-smi -L",
        evidence=case.evidence(*facts_of(bad, "machine.driver.version", "machine.driver.libcuda_version")),
        likely=0.95,
        thing=gpu.name,
    )


def _last_driver(case: Case, last: int | None) -> str:
    """The way to the last driver branch for a GPU, on the system that the driver is of."""
    if driver_system(case) == "windows":
        return (
            f"install the driver of branch R{last} on Windows, from https://www.nvidia.com/drivers, "
            "and keep Windows Update from replacing it"
        )
    return (
        f"install the driver of branch R{last} and hold it (Ubuntu: sudo apt-get install nvidia-driver-{last} && "
        f"sudo apt-mark hold nvidia-driver-{last})"
    )
