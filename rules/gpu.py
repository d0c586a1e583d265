"""The code that a TensorFlow build holds for the GPU (KD106 to KD108)."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.model.facts import Inapplicable, Unknown, known, need
from doctor.model.report import Confidence
from doctor.rule import Case, Finding, Severity, rule

from .builds import TensorFlowBuild, tensorflow_facts
from .compat import LOOK_FOR_COMPAT, driver_version, effective_cuda, may_be_lifted
from .cudnn_gpus import gpus_without_cudnn
from .fitting import CHECK_GPUS, install, mentioned, newer_build, newest_release
from .gpu_code import Code, Holdings, all_machine_code, holdings, ptx_needs, release_ptx_cuda
from .measure import SNAPSHOT, driver_loaded, facts_of, lowered, measured, which
from .shared import driver_system, need_gpu_case
from .tables.cuda import branch_for_cuda
from .tables.versions import at_least, major, numbers

# TensorFlow's PTX fails to load on these generations (CUDA_ERROR_INVALID_PTX, CUDA_ERROR_INVALID_HANDLE):
# tensorflow/tensorflow issues 90291, 99592, 101746, and 2.16.2 behaves like 2.20.
_PTX_FAILS_ON = (12,)
_BUILD = "software.tensorflow.compute_capabilities"


def _code(case: Case) -> tuple[TensorFlowBuild, Holdings]:
    """The build and what GPU code it holds.

    Raises:
        Inapplicable: no GPU is meant, or TensorFlow has no CUDA.
        Unknown: neither its code nor its CUDA is known.
    """
    need_gpu_case(case)
    tensorflow = case.software.tensorflow
    build = tensorflow_facts(case)
    if known(tensorflow.present) is False:
        raise Inapplicable("TensorFlow is not installed")
    if build.cuda_build is False:
        raise Inapplicable("this TensorFlow has no CUDA (KD301)")
    held = holdings(build)
    if held is None:
        raise Unknown(_BUILD)
    return build, held


def _settled(held: Holdings) -> None:
    """Leave a rule that found nothing as skipped where only the most that the build can hold is known.

    Raises:
        Unknown: its code itself is not known.
    """
    if not held.listed:
        raise Unknown(_BUILD)


def _sure_of(build: TensorFlowBuild, held: Holdings, severity: Severity | None) -> tuple[Severity | None, Confidence]:
    """Severity and confidence: a warning at most where it is not told which build this is."""
    return (severity, build.confidence) if held.sure else (Severity.WARNING, Confidence.MEDIUM)


def _other_release(case: Case, capability: str) -> str | None:
    """The command that installs the newest TensorFlow with machine code for this GPU, where there is one."""
    driver, python = driver_version(case), known(case.software.python.version)
    release = newest_release(driver=driver, system=driver_system(case), capability=capability, python=python)
    if release is not None:
        return install(case, release)
    release = newest_release(capability=capability, python=python) or newest_release(capability=capability)
    if release is None:
        return None
    branch = branch_for_cuda(release_ptx_cuda(release, capability) or release.cuda.version)
    return install(case, release, *([f"with a driver of branch R{branch.branch} or newer"] if branch else []))


@rule("KD106", "gpu-too-old", Severity.ERROR, would_help=SNAPSHOT)
def gpu_too_old(case: Case) -> Iterator[Finding]:
    """The GPU's compute capability is below what this TensorFlow build (or cuDNN) holds code for, or in a gap of it.

    ## Why is this bad?
    TensorFlow leaves the GPU out ("Ignoring visible gpu device ... the minimum required Cuda capability is"), or fails
    with "no kernel image is available for execution on the device".

    ## How to fix
    Install the newest TensorFlow that still has code for this GPU, or build TensorFlow for it; with a cuDNN that is too
    new, an older cuDNN of the same major version.

    ## How it is judged
    Machine code `sm_XY` runs on compute capability X.Z with Z at least Y, of the same X. PTX `compute_XY` can be
    compiled by the driver for X.Y and everything later. Where neither holds and the build has code for a later
    generation, the GPU is too old. It is a warning where another GPU in the machine serves. cuDNN 9.11 and later hold
    no code for GPUs before Turing (7.5), and the and-cuda extra of TensorFlow 2.20 and later installs the newest
    cuDNN 9.

    ## References
    CUDA C++ programming guide, binary compatibility and PTX compatibility; cuDNN support matrices
    """
    build, held = _code(case)
    code = held.code
    bad = [
        (gpu, capability)
        for gpu, capability in measured(case)
        if not code.native(capability) and not code.by_ptx(capability) and _later(code, capability)
    ]
    if not bad:
        yield from gpus_without_cudnn(case, measured(case))
        return _settled(held)
    severity, confidence = _sure_of(build, held, lowered(case, bad))
    gpu, capability = bad[0]
    lowest = code.every[0]
    gap = numbers(lowest) < numbers(capability)
    yield Finding(
        f"{held.holds} no code for {which(bad)}: "
        + (f"it holds {', '.join(code.every)} and nothing that runs on it" if gap else f"it begins at {lowest}"),
        severity=severity,
        confidence=confidence,
        effect="TensorFlow ignores this GPU, or fails with 'no kernel image is available'",
        fix=build.make_sure(
            _other_release(case, capability) or f"build TensorFlow from source for compute capability {capability}",
        ),
        verify=CHECK_GPUS,
        evidence=case.evidence(*facts_of(bad, _BUILD, "software.tensorflow.version")),
        likely=0.92,
        thing=gpu.name,
    )


def _later(code: Code, capability: str) -> bool:
    """Whether the build holds code for an architecture later than this GPU's."""
    return bool(code.every) and numbers(code.every[-1]) > numbers(capability)


@rule("KD107", "gpu-too-new", Severity.ERROR, would_help=SNAPSHOT)
def gpu_too_new(case: Case) -> Iterator[Finding]:
    """This TensorFlow build holds no machine code for the GPU's architecture, which is newer than the build.

    ## Why is this bad?
    At best the driver compiles every kernel out of PTX at the first start, which takes up to half an hour and is
    repeated whenever the cache is lost. At worst it cannot: the pip wheels do not run on GPUs of compute capability 12
    (GeForce RTX 50, RTX PRO Blackwell): CUDA_ERROR_INVALID_PTX, CUDA_ERROR_INVALID_HANDLE.

    ## How to fix
    Use a build that knows the architecture: a newer release where there is one, NVIDIA's container, or a build from
    source.

    ## How it is judged
    An error where nothing can run, a warning where PTX can carry it.

    ## References
    CUDA C++ programming guide, PTX compatibility
    tensorflow/tensorflow issues 90291, 99592, 101746
    """
    build, held = _code(case)
    code = held.code
    bad = [
        (gpu, capability)
        for gpu, capability in measured(case)
        if not code.native(capability) and (code.by_ptx(capability) or not _later(code, capability))
    ]
    if not bad:
        return _settled(held)
    gpu, capability = bad[0]
    from_index = build.official or build.distribution == "tf-nightly"
    carried = all(code.by_ptx(c) and not (from_index and major(c) in _PTX_FAILS_ON) for _, c in bad)
    newest = code.every[-1] if code.every else "nothing"
    release = _other_release(case, capability)
    severity, confidence = _sure_of(build, held, lowered(case, bad))
    yield Finding(
        f"{held.holds} no machine code for {which(bad)}; its newest is for {newest}",
        severity=Severity.WARNING if carried else severity,
        confidence=Confidence.MEDIUM if carried else confidence,
        effect="the driver compiles every kernel at the first start, for up to 30 minutes"
        if carried
        else "kernels fail to load (CUDA_ERROR_INVALID_PTX, CUDA_ERROR_INVALID_HANDLE)",
        fix=build.make_sure(release or newer_build(capability)),
        verify='python -c "import tensorflow as tf; print(tf.linalg.matmul(tf.ones((8, 8)), tf.ones((8, 8))).device)"',
        evidence=case.evidence(*facts_of(bad, _BUILD, "software.tensorflow.version")),
        likely=0.3 if carried else 0.9,
        thing=gpu.name,
    )


@rule("KD108", "ptx-newer-than-driver", Severity.ERROR, follows=("KD102", "KD111"), would_help=SNAPSHOT)
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
    build, held = _code(case)
    _settled(held)
    code = held.code
    matching = [(gpu, c) for gpu, c in measured(case) if code.by_ptx(c) and not all_machine_code(build, code, c)]
    bad = [(gpu, c) for gpu, c in matching if major(c) not in _PTX_FAILS_ON]
    if not bad:
        return
    if driver_loaded(case) is False:
        raise Inapplicable("no NVIDIA driver is loaded (KD101)")
    have = effective_cuda(case)
    if have is None:
        have = need(case.machine.driver.cuda_version)
    wanted = ptx_needs(build)
    if at_least(have, wanted.cuda):
        return
    if not wanted.measured and any(code.native(c) for _, c in bad):
        raise Unknown("gpu_code", "this wheel's kernels were not looked into: which are PTX only is")
    gpu, capability = bad[0]
    branch = branch_for_cuda(wanted.cuda)
    other = newest_release(
        driver=driver_version(case),
        driver_cuda=have,
        system=driver_system(case),
        capability=capability,
        python=known(case.software.python.version),
    )
    lifted = may_be_lifted(case, build.cuda_version or wanted.cuda)
    yield Finding(
        f"the driver (CUDA {have}) cannot compile this TensorFlow's PTX-only kernels for {which(bad)}: "
        f"that takes CUDA {wanted.cuda}",
        severity=Severity.WARNING if lifted else lowered(case, bad),
        confidence=build.confidence if wanted.measured and not lifted else Confidence.MEDIUM,
        effect="kernels without machine code fail: 'PTX was compiled with an unsupported toolchain'",
        fix=f"install an NVIDIA driver of branch R{branch.branch if branch else '?'} or newer"
        + (f", or {mentioned(case, other)}" if other else "")
        + (f"; {LOOK_FOR_COMPAT}" if lifted else ""),
        verify="nvidia-smi | grep 'CUDA Version'",
        evidence=case.evidence(
            *facts_of(bad, "machine.driver.version", "machine.driver.cuda_version", _BUILD),
            "software.tensorflow.version",
        ),
        likely=0.85,
        thing=gpu.name,
    )
