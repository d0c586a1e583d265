"""The compilers that XLA starts for a GPU: libdevice and ptxas."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.model.facts import known, need
from doctor.rule import Case, Finding, Severity, rule

from . import requirements as reqs
from .cuda import SNAPSHOT
from .loading import State, cuda_state
from .measure import gpus_seen, measured
from .proof import evidence
from .shared import need_gpu_case, older
from .tables import gpus as gpu_table
from .tables.systems import ptxas_faults, ptxas_supports
from .tables.tensorflow import tensorflow_release
from .tables.versions import major, numbers

_JIT_BY_DEFAULT = (2, 11)
XLA_CHECK = 'python -c "import tensorflow as tf; print(tf.function(tf.math.sin, jit_compile=True)(tf.ones([2])))"'


@rule(
    "KD209",
    "libdevice-missing",
    Severity.ERROR,
    follows=("KD207", "KD201", "KD202", "KD205", "KD301", "KD409"),
    would_help=SNAPSHOT,
)
def libdevice_missing(case: Case) -> Iterator[Finding]:
    """XLA cannot find libdevice, NVIDIA's library of mathematical functions for GPUs.

    XLA looks for `nvvm/libdevice/libdevice.10.bc` below the folder that `XLA_FLAGS=--xla_gpu_cuda_data_dir` names, in
    the nvidia-cuda-nvcc wheel, below /usr/local/cuda and in the working folder (`./libdevice.10.bc`).

    ## Why is this bad?
    From TensorFlow 2.11 on the optimizers are compiled by XLA where a GPU is there, and Keras 3 compiles whole training
    steps: training stops with "libdevice not found at ./libdevice.10.bc".

    ## How to fix
    Install the wheel that holds it (nvidia-cuda-nvcc-cu12), or point XLA to a toolkit:
    `XLA_FLAGS=--xla_gpu_cuda_data_dir=/usr/local/cuda`.

    ## References
    XLA, `gpu_backend_lib.cc` (GetROCDLDir, CandidateCudaRoots); tensorflow/tensorflow issues 58681 and 60790.
    """
    need_gpu_case(case)
    state = cuda_state(case)
    where = need(case.software.cuda.libdevice)
    if where is not False and where != "":
        return
    version = state.build.version
    always = version is None or version.release[:2] >= _JIT_BY_DEFAULT
    yield Finding(
        "XLA finds no libdevice.10.bc in the places where it looks",
        severity=None if always else Severity.WARNING,
        effect="training stops as soon as XLA compiles a step"
        + ("" if always else "; this TensorFlow compiles only where jit_compile or XLA_FLAGS asks for it"),
        fix=_nvcc(case, state),
        verify=XLA_CHECK,
        evidence=evidence(
            case,
            "software.cuda.libdevice",
            "software.tensorflow.version",
            "software.cuda.toolkits",
            "software.environment.XLA_FLAGS",
        ),
        likely=0.7,
        thing="libdevice",
    )


@rule(
    "KD210",
    "ptxas-unsuitable",
    Severity.WARNING,
    follows=("KD207", "KD201", "KD202", "KD205", "KD301", "KD409", "KD107"),
    would_help=SNAPSHOT,
)
def ptxas_unsuitable(case: Case) -> Iterator[Finding]:
    """The ptxas that XLA starts is missing, does not know this GPU, or is known to compile wrongly.

    ## Why is this bad?
    Without ptxas XLA falls back to the driver's compiler, which is slower; with one that does not know the GPU it
    fails or falls back; ptxas 9.0 to 9.2.87 compiles XLA's code wrongly: results are wrong, or the program stops.

    ## How to fix
    Install the nvidia-cuda-nvcc wheel that belongs to this TensorFlow, or put the bin folder of a fitting toolkit first
    on PATH.

    ## References
    XLA, `ptx_compiler_helpers.cc` (WarnIfBadPtxasVersion); `ptxas --help` of 17 toolkits; openxla/xla issue 5932.
    """
    need_gpu_case(case)
    state = cuda_state(case)
    version = need(case.software.cuda.ptxas_version)
    if version is False or version == "":
        yield _finding(
            case, state, "XLA finds no ptxas", "XLA compiles through the driver: slower, with a warning", 0.3
        )
        return
    if not isinstance(version, str) or not numbers(version):
        return
    cards = _capabilities(case)
    for capability in cards or (None,):
        for fault in ptxas_faults(version, capability):
            yield _finding(case, state, f"ptxas {version}: {fault.fault}", _effect(fault.fault), _likely(fault.fault))
            return
    for capability in cards:
        if _knows(version, capability) is False:
            text = f"ptxas {version} does not know compute capability {capability}"
            yield _finding(case, state, text, "XLA falls back to the driver, or fails", 0.6)
            return
    measured(case)  # some faults are of some GPUs only: without one it is not known that there is none


def _capabilities(case: Case) -> tuple[str, ...]:
    """The compute capabilities of the GPUs, as far as they are known."""
    if known(case.machine.gpus) is None and known(case.machine.pci_gpus) is None:
        return ()
    return tuple(dict.fromkeys(gpu.capability for gpu in gpus_seen(case) if gpu.capability))


def _knows(ptxas: str, capability: str) -> bool | None:
    """Whether a ptxas compiles for a GPU: from its own list of targets, else from the architecture's toolkits."""
    listed = ptxas_supports(ptxas, capability)
    row = gpu_table.architecture(capability)
    if listed is not None or row is None:
        return listed
    first, last = row.first_toolkit, row.last_toolkit
    return not older(ptxas, first) and (last is None or not older(last, minor_of(ptxas)))


def minor_of(version: str) -> str:
    """``12.5`` of ``12.5.82``."""
    return ".".join(version.split(".")[:2])


def _effect(fault: str) -> str:
    wrong = "miscompil" in fault
    return "wrong results or crashes in what XLA compiles" if wrong else "XLA falls back to the driver, or fails"


def _likely(fault: str) -> float:
    return 0.3 if "edge cases" in fault else 0.6


def _finding(case: Case, state: State, message: str, effect: str, likely: float) -> Finding:
    return Finding(
        message,
        effect=effect,
        fix=_nvcc(case, state),
        verify="ptxas --version",
        evidence=evidence(
            case, "software.cuda.ptxas_version", "machine.gpus.0.compute_capability", "software.tensorflow.cuda_version"
        ),
        likely=likely,
        thing="ptxas",
    )


def _nvcc(case: Case, state: State) -> str:
    """The way to nvcc's tools (ptxas, libdevice) of the CUDA that this build uses."""
    number = major(state.cuda)
    package = reqs.tensorflow_package(case)
    if package is not None and known(package.installer) == "conda":
        return reqs.install(case, f"cuda-nvcc=={'.'.join(state.cuda.split('.')[:2])}", package=package)
    if number == 12:
        wanted = next((t for t in _extra(case) if t.startswith("nvidia-cuda-nvcc")), "nvidia-cuda-nvcc-cu12")
        return reqs.install(case, wanted)
    path = next((p for t in known(case.software.cuda.toolkits) or () if (p := known(t.path))), "/usr/local/cuda")
    setting = "set" if reqs.system(case) == "windows" else "export"
    return (
        f"install the nvcc package of CUDA {state.cuda}, then {setting} XLA_FLAGS=--xla_gpu_cuda_data_dir={path} "
        f"and put {path}/bin first on PATH"
    )


def _extra(case: Case) -> tuple[str, ...]:
    release = tensorflow_release(reqs.tensorflow_version(case))
    return release.extras.get("and-cuda", ()) if release else ()
