"""cuDNN: another major version, or older than the one that TensorFlow was compiled against."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.model.facts import Unknown, known, need
from doctor.model.report import Confidence
from doctor.rule import Case, Finding, Severity, rule

from . import requirements as reqs
from .cuda import BUILD, CHECK, ON_CPU, SNAPSHOT
from .cudnn_gpus import capabilities_of, held_back
from .loading import LIBRARIES, State, cuda_state, cudnn_found
from .proof import evidence
from .shared import need_gpu_case, older
from .tables.libraries import cudnn_soname
from .tables.tensorflow import tensorflow_release
from .tables.versions import major, numbers


@rule(
    "KD203", "cudnn-major-mismatch", Severity.ERROR, follows=("KD409", "KD202", "KD208", "KD301"), would_help=SNAPSHOT
)
def cudnn_major_mismatch(case: Case) -> Iterator[Finding]:
    """The cuDNN that is installed is of another major version than this TensorFlow opens.

    TensorFlow up to 2.17 opens libcudnn.so.8, from 2.18 on libcudnn.so.9. The one does not stand in for the other.

    ## Why is this bad?
    TensorFlow finds no cuDNN, registers no GPU and trains on the CPU.

    ## How to fix
    Install the cuDNN of the right major version: by the wheel that `tensorflow[and-cuda]` pins, or from the system's
    packages beside the other one.

    ## References
    cuDNN support matrix; tensorflow/build issue 221 (images with cuDNN 8 and TensorFlow 2.18).
    """
    need_gpu_case(case)
    state = cuda_state(case)
    library = state.cudnn_library
    if library is not None and (library.usable or library.unusable):
        return
    found = cudnn_found(case, state)
    if found is None:
        _nothing_known(case, state)
        return
    version, fact = found
    wanted = need_major(state)
    if wanted is None:
        raise Unknown("software.tensorflow.cudnn_version")
    if major(version) == wanted:
        return
    yield Finding(
        f"TensorFlow opens cuDNN {wanted} ({library.soname if library else 'libcudnn'}), and {version} is installed",
        confidence=state.build.confidence,
        effect=ON_CPU,
        fix=state.build.make_sure(_fix(case, state, f"cuDNN {wanted}")),
        verify=CHECK,
        evidence=evidence(case, *BUILD, fact, "software.cuda.cudnn_version"),
        likely=0.9,
        thing="cudnn",
    )


def need_major(state: State) -> int | None:
    """The major version of cuDNN that this build opens."""
    return major(state.cudnn) if state.cudnn else None


def _nothing_known(case: Case, state: State) -> None:
    """No cuDNN in sight: only a complete look makes that a pass for this rule."""
    if not state.complete:
        need(case.software.cuda.cudnn_version)
        case.complete(LIBRARIES)


@rule("KD204", "cudnn-too-old", Severity.ERROR, follows=("KD206", "KD203", "KD208"), would_help=SNAPSHOT)
def cudnn_too_old(case: Case) -> Iterator[Finding]:
    """The cuDNN that is loaded is older than the one that TensorFlow was compiled against.

    TensorFlow checks at run time: the same major version, and a minor version at least as high. A newer minor version
    is fine, another patch version too.

    ## Why is this bad?
    The GPU is registered, and the first convolution or recurrent layer fails: "Loaded runtime CuDNN library: X but
    source was compiled with: Y".

    ## How to fix
    Install the cuDNN that TensorFlow was compiled with, or a later one of the same major version.

    ## References
    TensorFlow, `cuda_dnn.cc` (CudnnSupport::Init); tensorflow/tensorflow issues 31622 and 60913.
    """
    need_gpu_case(case)
    state = cuda_state(case)
    found = cudnn_found(case, state)
    if found is None:
        _nothing_known(case, state)
        return
    version, fact = found
    compiled = state.cudnn_compiled
    if compiled is None:
        need(case.software.tensorflow.cudnn_compiled_version)
        return
    if major(version) != major(compiled) or not older(minor(version), minor(compiled)):
        return
    exact = known(case.software.tensorflow.cudnn_compiled_version) is not None
    yield Finding(
        f"cuDNN {version} is older than the {compiled} that TensorFlow was compiled against",
        confidence=Confidence.HIGH if exact else Confidence.MEDIUM,
        effect="the first convolution or recurrent layer on the GPU fails",
        fix=_fix(case, state, f"cuDNN {minor(compiled)} or a later {major(compiled)}.x"),
        verify='python -c "import tensorflow as tf; print(tf.nn.conv2d(tf.ones([1, 8, 8, 1]), tf.ones([3, 3, 1, 1]), '
        "1, 'SAME').device)\"",
        evidence=evidence(
            case, *BUILD, "software.tensorflow.cudnn_compiled_version", fact, "software.cuda.cudnn_version"
        ),
        likely=0.9,
        thing="cudnn",
    )


def minor(version: str) -> str:
    """``8.9`` of ``8.9.7.29``; a version that is told by its major number only stays as it is."""
    return ".".join(str(n) for n in _parts(version)[:2])


def _parts(version: str) -> tuple[int, ...]:
    told = version.split(".")
    have = numbers(version)
    return have + (0,) * (min(len(told), 2) - len(have))


def _fix(case: Case, state: State, what: str) -> str:
    """The way to the right cuDNN: the wheel that the extra pins, else the installer's own package."""
    release = tensorflow_release(reqs.tensorflow_version(case))
    package = reqs.tensorflow_package(case)
    if package is not None and known(package.installer) == "conda":
        return reqs.install(case, f"cudnn>={minor(state.build.cudnn_compiled or state.cudnn or '')}", package=package)
    pins = [text for text in (release.extras.get("and-cuda", ()) if release else ()) if text.startswith("nvidia-cudnn")]
    if release and pins and reqs.system(case) != "windows":
        least = "".join(f",<{held.partition('<')[2]}" for held in held_back(release, capabilities_of(case)))
        return reqs.install(case, pins[0] + least)
    if (name := _wheel(state)) is not None and reqs.system(case) != "windows":
        return f"{reqs.install(case, name)}  # or install {what} from NVIDIA's packages"
    return f"install {what} for CUDA {state.cuda} from NVIDIA's packages"


def _wheel(state: State) -> str | None:
    """The requirement on the cuDNN wheel for a build without an extra of its own, where such wheels exist."""
    cuda, compiled = major(state.cuda), state.build.cudnn_compiled
    if cuda is None or cuda < 11 or not compiled or cudnn_soname(compiled) is None or numbers(compiled) < (8, 5):
        return None
    return f"nvidia-cudnn-cu{cuda}>={compiled},<{(major(compiled) or 0) + 1}"
