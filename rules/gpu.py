"""The GPU and the code that a build holds for it; what hides it; and the CPU's instructions (KD106 to KD111)."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from doctor.model.facts import Inapplicable, Unknown, applies, known, need
from doctor.model.report import Confidence
from doctor.rule import Case, Finding, Severity, rule

from .compat import driver_version, effective_cuda
from .fitting import CHECK_GPUS, Code, covers, install, newest_release
from .shared import Seen, TensorFlowBuild, driver_system, gpus_seen, need_gpu_case, tensorflow_facts
from .tables.cuda import branch_for_cuda, cuda_for_ptx
from .tables.gpus import architecture, dropped_by_driver, last_driver_branch
from .tables.tensorflow import GpuCode
from .tables.versions import at_least, major, numbers

_SNAPSHOT = "kdoctor snapshot, run on the machine itself, then kdoctor check --machine node.json"
# TensorFlow's PTX fails to load on these generations (CUDA_ERROR_INVALID_PTX, CUDA_ERROR_INVALID_HANDLE):
# tensorflow/tensorflow issues 90291, 99592, 101746, and 2.16.2 behaves like 2.20.
_PTX_FAILS_ON = (12,)
_BUILD = "software.tensorflow.compute_capabilities"


def _code(case: Case) -> tuple[TensorFlowBuild, Code]:
    """The build and its GPU code.

    Raises:
        Inapplicable: no GPU is meant, or TensorFlow has no CUDA.
        Unknown: TensorFlow or its code is not known.
    """
    need_gpu_case(case)
    tensorflow = case.software.tensorflow
    build = tensorflow_facts(case)
    if known(tensorflow.present) is False:
        raise Inapplicable("TensorFlow is not installed")
    if build.cuda_build is False:
        raise Inapplicable("this TensorFlow has no CUDA (KD301)")
    if build.compute_capabilities is None:
        raise Unknown(_BUILD)
    return build, Code(build.compute_capabilities)


def _measured(case: Case) -> list[tuple[Seen, str]]:
    """The GPUs with their compute capability.

    Raises:
        Unknown: of no GPU is it known.
    """
    seen = gpus_seen(case)
    out = [(gpu, gpu.capability) for gpu in seen if gpu.capability]
    if seen and not out:
        raise Unknown(f"{seen[0].fact}.compute_capability")
    return out


def _which(gpus: list[tuple[Seen, str]]) -> str:
    return ", ".join(dict.fromkeys(f"{gpu.name} (compute capability {capability})" for gpu, capability in gpus))


def _facts(case: Case, gpus: list[tuple[Seen, str]], *more: str) -> tuple[str, ...]:
    paths = []
    for gpu, _ in gpus:
        listed = gpu.fact.startswith("machine.gpus")
        paths += [f"{gpu.fact}.name", f"{gpu.fact}.compute_capability"] if listed else [gpu.fact]
    return (*paths, *more)


def _lowered(case: Case, bad: list[tuple[Seen, str]]) -> Severity | None:
    """A warning where another GPU of the machine serves: TensorFlow leaves the bad one out."""
    return Severity.WARNING if len(bad) < len(gpus_seen(case)) else None


def _other_release(case: Case, capability: str) -> str | None:
    """The command that installs the newest TensorFlow with machine code for this GPU, where there is one."""
    driver, python = driver_version(case), known(case.software.python.version)
    release = newest_release(driver=driver, system=driver_system(case), capability=capability, python=python)
    if release is None:
        release = newest_release(capability=capability)
        wanted = f" (on Python {release.python['linux_x86_64'][-1]} or older)" if release and python else ""
        return f"{install(release)}{wanted}" if release else None
    return install(release)


@rule("KD106", "gpu-too-old", Severity.ERROR, would_help=_SNAPSHOT)
def gpu_too_old(case: Case) -> Iterator[Finding]:
    """The GPU's compute capability is below what this TensorFlow build holds code for, or in a gap of it.

    ## Why is this bad?
    TensorFlow leaves the GPU out ("Ignoring visible gpu device ... the minimum required Cuda capability is"), or fails
    with "no kernel image is available for execution on the device".

    ## How to fix
    Install the newest TensorFlow that still has code for this GPU, or build TensorFlow for it.

    ## How it is judged
    Machine code `sm_XY` runs on compute capability X.Z with Z at least Y, of the same X. PTX `compute_XY` can be
    compiled by the driver for X.Y and everything later. Where neither holds and the build has code for a later
    generation, the GPU is too old. It is a warning where another GPU in the machine serves.

    ## References
    CUDA C++ programming guide, binary compatibility and PTX compatibility
    """
    _, code = _code(case)
    bad = [
        (gpu, capability)
        for gpu, capability in _measured(case)
        if not code.native(capability) and not code.by_ptx(capability) and _later(code, capability)
    ]
    if not bad:
        return
    gpu, capability = bad[0]
    lowest = code.every[0]
    gap = numbers(lowest) < numbers(capability)
    yield Finding(
        f"this TensorFlow has no code for {_which(bad)}: "
        + (f"it holds {', '.join(code.every)} and nothing that runs on it" if gap else f"it begins at {lowest}"),
        severity=_lowered(case, bad),
        effect="TensorFlow ignores this GPU, or fails with 'no kernel image is available'",
        fix=_other_release(case, capability) or f"build TensorFlow from source for compute capability {capability}",
        verify=CHECK_GPUS,
        evidence=case.evidence(*_facts(case, bad, _BUILD, "software.tensorflow.version")),
        likely=0.9,
        thing=gpu.name,
    )


def _later(code: Code, capability: str) -> bool:
    """Whether the build holds code for an architecture later than this GPU's."""
    return bool(code.every) and numbers(code.every[-1]) > numbers(capability)


@rule("KD107", "gpu-too-new", Severity.ERROR, would_help=_SNAPSHOT)
def gpu_too_new(case: Case) -> Iterator[Finding]:
    """This TensorFlow build holds no machine code for the GPU's architecture, which is newer than the build.

    ## Why is this bad?
    At best the driver compiles every kernel out of PTX at the first start, which takes up to half an hour and is
    repeated whenever the cache is lost. At worst it cannot: the pip wheels do not run on GPUs of compute capability 12
    (GeForce RTX 50, RTX PRO Blackwell): CUDA_ERROR_INVALID_PTX, CUDA_ERROR_INVALID_HANDLE.

    ## How to fix
    Use a build that knows the architecture: NVIDIA's container, a nightly build, or a build from source.

    ## How it is judged
    An error where nothing can run, a warning where PTX can carry it.

    ## References
    CUDA C++ programming guide, PTX compatibility
    tensorflow/tensorflow issues 90291, 99592, 101746
    """
    _, code = _code(case)
    bad = [
        (gpu, capability)
        for gpu, capability in _measured(case)
        if not code.native(capability) and (code.by_ptx(capability) or not _later(code, capability))
    ]
    if not bad:
        return
    gpu, capability = bad[0]
    carried = all(code.by_ptx(c) and major(c) not in _PTX_FAILS_ON for _, c in bad)
    newest = code.every[-1] if code.every else "nothing"
    release = _other_release(case, capability)
    yield Finding(
        f"this TensorFlow holds no machine code for {_which(bad)}; its newest is for {newest}",
        severity=Severity.WARNING if carried else _lowered(case, bad),
        confidence=Confidence.MEDIUM if carried else Confidence.HIGH,
        effect="the driver compiles every kernel at the first start, for up to 30 minutes"
        if carried
        else "kernels fail to load (CUDA_ERROR_INVALID_PTX, CUDA_ERROR_INVALID_HANDLE)",
        fix=release or _newer_build(capability),
        verify='python -c "import tensorflow as tf; print(tf.linalg.matmul(tf.ones((8, 8)), tf.ones((8, 8))).device)"',
        evidence=case.evidence(*_facts(case, bad, _BUILD, "software.tensorflow.version")),
        likely=0.3 if carried else 0.9,
        thing=gpu.name,
    )


def _newer_build(capability: str) -> str:
    row = architecture(capability)
    toolkit = f" with CUDA {row.first_toolkit} or newer" if row else ""
    return (
        f"no wheel on the package index has code for it yet: build TensorFlow from source for compute capability "
        f"{capability}{toolkit}, or use a container of NVIDIA that names this GPU generation"
    )


class _Ptx(msgspec.Struct, frozen=True):
    """The CUDA version that a driver must report to compile the PTX, and whether it was read from the very wheel."""

    cuda: str
    measured: bool


@rule("KD108", "ptx-newer-than-driver", Severity.ERROR, follows=("KD102", "KD111"), would_help=_SNAPSHOT)
def ptx_newer_than_driver(case: Case) -> Iterator[Finding]:
    """For this GPU kernels exist as PTX only, and the driver is too old to compile that PTX.

    ## Why is this bad?
    Minor-version compatibility lets an older driver run newer CUDA programs, but it does not cover PTX: "the provided
    PTX was compiled with an unsupported toolchain" (CUDA_ERROR_UNSUPPORTED_PTX_VERSION). TensorFlow sees the GPU, lists
    it, and fails at the first kernel that has no machine code.

    ## How to fix
    Update the driver to one that reports the CUDA named here; a data-centre GPU may use cuda-compat instead.

    ## How it is judged
    TensorFlow's wheels hold more than a thousand kernels as PTX only for the newest architecture they name: the
    A100 for 2.8 to 2.15, the H100 from 2.16 on, and everything later than that. A GPU with machine code for every
    kernel needs no PTX and passes on any driver that runs the build (KD102).

    ## References
    CUDA Compatibility guide, minor version compatibility, limitations
    PTX ISA, release history
    """
    build, code = _code(case)
    matching = [(gpu, c) for gpu, c in _measured(case) if code.by_ptx(c) and not _all_machine_code(build, code, c)]
    bad = [(gpu, c) for gpu, c in matching if major(c) not in _PTX_FAILS_ON]
    if not bad:
        return
    if known(case.machine.driver.present) is False:
        raise Inapplicable("no NVIDIA driver is loaded (KD101)")
    have = effective_cuda(case)
    if have is None:
        have = need(case.machine.driver.cuda_version)
    wanted = _ptx_needs(build)
    if at_least(have, wanted.cuda):
        return
    if not wanted.measured and any(code.native(c) for _, c in bad):
        raise Unknown("gpu_code", "this wheel's kernels were not looked into: which are PTX only is")
    gpu, capability = bad[0]
    branch = branch_for_cuda(wanted.cuda)
    older_release = _older_without_ptx(case, capability)
    yield Finding(
        f"for {_which(bad)} this TensorFlow holds kernels as PTX only, which a driver for CUDA {wanted.cuda} or newer "
        f"compiles; this one ends at CUDA {have}",
        severity=_lowered(case, bad),
        confidence=Confidence.HIGH if wanted.measured else Confidence.MEDIUM,
        effect="kernels without machine code fail: 'PTX was compiled with an unsupported toolchain'",
        fix=f"install an NVIDIA driver of branch R{branch.branch if branch else '?'} or newer"
        + (f", or {older_release}" if older_release else ""),
        verify="nvidia-smi (its head must show CUDA Version: " + wanted.cuda + " or newer)",
        evidence=case.evidence(
            *_facts(case, bad, "machine.driver.version", "machine.driver.cuda_version", _BUILD),
            "software.tensorflow.version",
        ),
        likely=0.85,
        thing=gpu.name,
    )


def _all_machine_code(build: TensorFlowBuild, code: Code, capability: str) -> bool:
    """Whether every kernel has machine code for this GPU."""
    scanned = _scanned(build)
    if scanned is None:
        return any(covers(c, capability) for c in code.machine_code if c not in code.ptx)
    return any(covers(c, capability) for c in Code(scanned.sass_full).machine_code)


def _scanned(build: TensorFlowBuild) -> GpuCode | None:
    """What the wheel was found to hold, where this build is that wheel: it names the same architectures."""
    same = build.release is not None and build.compute_capabilities == build.release.cuda.compute_capabilities
    return build.gpu_code if same else None


def _ptx_needs(build: TensorFlowBuild) -> _Ptx:
    scanned = _scanned(build)
    if scanned is not None:
        return _Ptx(scanned.driver_cuda_for_ptx or cuda_for_ptx(scanned.max_ptx_isa) or "", True)
    if build.cuda_version is None:
        raise Unknown("software.tensorflow.cuda_version")
    return _Ptx(build.cuda_version, False)  # PTX is never newer than the toolkit that wrote it


def _older_without_ptx(case: Case, capability: str) -> str | None:
    """The newest release whose wheel has machine code for every kernel on this GPU, and which the driver runs."""
    release = newest_release(
        driver=driver_version(case),
        system=driver_system(case),
        capability=capability,
        python=known(case.software.python.version),
        machine_code_only=True,
    )
    return install(release) if release else None


@rule("KD109", "gpu-hidden", Severity.WARNING, would_help="kdoctor scan, in the environment that trains")
def gpu_hidden(case: Case) -> Iterator[Finding]:
    """An environment variable hides the GPU.

    ## Why is this bad?
    CUDA_VISIBLE_DEVICES is read when CUDA starts: it lists GPUs up to the first entry that names none. An empty text,
    `-1`, a word, or the number of a GPU that is not there hides all of them, and TensorFlow computes on the CPU. In a
    container NVIDIA_VISIBLE_DEVICES with `none` or `void` does the same.

    ## How to fix
    Take the variable away where it is not meant (`unset CUDA_VISIBLE_DEVICES`), or name GPUs that are there.

    ## References
    CUDA C++ programming guide, environment variables
    NVIDIA Container Toolkit, environment variables
    """
    need_gpu_case(case)
    applies(tensorflow_facts(case).cuda_build is not False, "this TensorFlow has no CUDA (KD301)")
    environment = need(case.software.environment)
    image = known(case.software.image.environment) or {}
    listed = known(case.machine.gpus)
    count = len(listed) if listed else None
    name = "CUDA_VISIBLE_DEVICES"
    for origin, variables in (("software.environment", environment), ("software.image.environment", image)):
        if name in variables:
            if _hides_all(variables[name], count):
                yield _hidden(case, f"{name}={variables[name]!r}", f"{origin}.{name}", f"unset {name}", count)
            break
    if case.in_container:
        name = "NVIDIA_VISIBLE_DEVICES"
        for origin, variables in (("software.environment", environment), ("software.image.environment", image)):
            if name in variables:
                if variables[name].strip() in ("none", "void", "") and not known(case.container.gpus_requested):
                    fix = f"docker run --gpus all, or -e {name}=all with the NVIDIA runtime"
                    yield _hidden(case, f"{name}={variables[name]!r}", f"{origin}.{name}", fix, None)
                break


def _hides_all(value: str, count: int | None) -> bool:
    """Whether the first entry names no GPU: CUDA stops reading there."""
    first = value.split(",", maxsplit=1)[0].strip()
    if re.match(r"(GPU|MIG)-", first):
        return False
    if not re.fullmatch(r"\+?\d+", first):
        return True
    return count is not None and int(first) >= count


def _hidden(case: Case, what: str, fact: str, fix: str, count: int | None) -> Finding:
    there = f" ({count} in the machine)" if count else ""
    return Finding(
        f"{what} hides every GPU{there}",
        effect="TensorFlow finds no GPU and computes on the CPU",
        fix=fix,
        verify=CHECK_GPUS,
        evidence=case.evidence(fact, "machine.gpus.0.name"),
        likely=0.9,
        thing=fact.rpartition(".")[2],
    )


@rule("KD110", "cpu-without-avx", Severity.ERROR, would_help=_SNAPSHOT)
def cpu_without_avx(case: Case) -> Iterator[Finding]:
    """The TensorFlow wheel needs CPU instructions (AVX) that this CPU, or its emulation, does not have.

    ## Why is this bad?
    The process dies at `import tensorflow` with "Illegal instruction (core dumped)", without a Python traceback.

    ## How to fix
    Run it on a CPU with AVX. In a virtual machine pass the host's CPU through. On Apple silicon use a native arm64
    Python, not an Intel one under Rosetta. conda-forge's build does without AVX.

    ## How it is judged
    By the CPU's flags; without them by what is known of emulators and of the CPU model. Official x86 wheels need AVX
    from TensorFlow 1.6 on.

    ## References
    TensorFlow 1.6.0 release notes: prebuilt binaries use AVX instructions
    """
    if known(case.software.tensorflow.present) is False:
        raise Inapplicable("TensorFlow is not installed")
    build = tensorflow_facts(case)
    if build.version is None:
        raise Unknown("software.tensorflow.version")
    package = case.package(build.distribution or "tensorflow")
    applies(package is None or known(package.build) is None, "conda's builds do without AVX")
    release = build.release
    if release is None:
        raise Unknown("software.tensorflow.version", f"the tables do not know TensorFlow {build.version}")
    wanted = release.cpu_flags.get("x86_64", ())
    applies(bool(wanted), f"TensorFlow {release.version} needs no special instructions")
    emulated = _emulation(case)
    if emulated is None:
        chip = known(case.software.python.architecture) or known(case.machine.architecture)
        applies(chip in (None, "x86_64", "amd64", "AMD64"), f"not an x86 wheel ({chip})")
        flags = need(case.machine.cpu.flags)
        lacking = [flag for flag in wanted if not any(f.lower().startswith(flag) for f in flags)]
        if not lacking:
            return
        model = known(case.machine.cpu.model) or "this CPU"
        what = f"{model} has no {', '.join(lacking).upper()}, which TensorFlow {build.version} needs"
        fix = (
            "run it on a CPU with AVX (in a virtual machine: CPU type host), or conda install -c conda-forge tensorflow"
        )
    else:
        what, fix = f"TensorFlow {build.version} needs AVX, and {emulated[0]} has none", emulated[1]
    yield Finding(
        what,
        confidence=Confidence.HIGH if emulated is None else Confidence.MEDIUM,
        effect="import tensorflow dies with 'Illegal instruction'",
        fix=fix,
        verify='python -c "import tensorflow"',
        evidence=case.evidence(
            "machine.cpu.model",
            "machine.cpu.flags",
            "machine.virtualization",
            "machine.architecture",
            "software.python.architecture",
            "software.tensorflow.version",
        ),
        likely=0.97,
    )


def _emulation(case: Case) -> tuple[str, str] | None:
    """The emulator that runs x86 code on another CPU, and the way out; None where the CPU itself runs it."""
    machine, python = case.machine, known(case.software.python.architecture)
    if known(machine.cpu.flags) is not None:
        return None
    if known(machine.virtualization) == "rosetta" and python in (None, "x86_64"):
        return "Rosetta", "install a native arm64 Python, and pip install tensorflow there"
    arm = known(machine.architecture) in ("arm64", "aarch64")
    x86_image = (known(case.software.image.platform) or "").startswith("linux/amd64") or python == "x86_64"
    if arm and x86_image:
        return "the emulator that runs x86 code on this ARM CPU", "use an image and a Python for arm64"
    return None


@rule("KD111", "driver-dropped-gpu", Severity.ERROR, would_help=_SNAPSHOT)
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
    measured = _measured(case)
    verdicts = [(gpu, capability, dropped_by_driver(capability, driver)) for gpu, capability in measured]
    bad = [(gpu, capability) for gpu, capability, dropped in verdicts if dropped]
    if not bad:
        if any(dropped is None for _, _, dropped in verdicts):
            raise Unknown("machine.driver.version", f"the tables do not know driver {driver} or this GPU")
        return
    gpu, capability = bad[0]
    last = last_driver_branch(capability)
    yield Finding(
        f"driver {driver} no longer supports {_which(bad)}; the last branch that does is R{last}",
        severity=_lowered(case, bad),
        effect="the driver finds no device, and TensorFlow computes on the CPU",
        fix=f"install the driver of branch R{last} and hold it (Ubuntu: sudo apt-get install nvidia-driver-{last} && "
        f"sudo apt-mark hold nvidia-driver-{last})",
        verify="nvidia-smi -L",
        evidence=case.evidence(*_facts(case, bad, "machine.driver.version", "machine.driver.libcuda_version")),
        likely=0.95,
        thing=gpu.name,
    )
