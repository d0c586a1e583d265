"""An image's own parts: whether its TensorFlow, CUDA and cuDNN fit together, whatever machine it runs on."""

from __future__ import annotations

import re
from collections.abc import Iterator

from doctor.model.facts import applies, known, need
from doctor.model.report import Confidence
from doctor.model.snapshot import Library
from doctor.rule import Case, Finding, Severity, rule

from . import requirements as reqs
from .cuda import BUILD, CHECK
from .cudnn import minor
from .loading import LIBRARIES, TOOLKITS, State, cuda_state, cudnn_found, names
from .proof import evidence
from .shared import gpu_wish, older
from .tables.systems import TensorflowImage, tensorflow_image
from .tables.tensorflow import tensorflow_release
from .tables.versions import major, major_minor

_OFFICIAL = re.compile(r"(?:^|/)tensorflow/tensorflow:v?(\d+\.\d+(?:\.\d+)?)[^/@]*-gpu")
IMAGES = ("image", "archive")


@rule("KD409", "image-incomplete", Severity.ERROR, follows=("KD301",), would_help="kdoctor scan --image REFERENCE")
def image_incomplete(case: Case) -> Iterator[Finding]:
    """An image's own TensorFlow, CUDA and cuDNN do not fit together.

    The image is made to use a GPU, and no machine can make it do so: a library that its TensorFlow opens is not in it,
    or is of another version. The official `tensorflow/tensorflow:2.18.0-gpu` and later are such images: TensorFlow for
    cuDNN 9 beside cuDNN 8.9.

    ## Why is this bad?
    It runs everywhere, on the CPU.

    ## How to fix
    Install the wheels that belong to its TensorFlow in the Dockerfile (`RUN pip install 'tensorflow[and-cuda]==…'`), or
    choose another base image.

    ## References
    tensorflow/build issue 221; tensorflow/tensorflow issues 62412 and 81344.
    """
    applies(case.subject.kind in IMAGES, "not an image")
    applies(known(case.software.tensorflow.present) is not False, "no TensorFlow in the image")
    official = _official(case)
    applies(gpu_wish(case) is not None or official is not None, "the image is not made for a GPU")
    if known(case.software.tensorflow.version) is None and official is None and reqs.tensorflow_package(case) is None:
        if known(case.software.packages) is not None:
            case.complete("software.packages")
            applies(False, "no TensorFlow in the image")
        need(case.software.tensorflow.version)
    if official is not None and known(case.software.cuda.libraries) is None:
        yield from _known_image(case, official)
        return
    state = cuda_state(case)
    why = _unfit(case, state)
    if why is None:
        need(case.software.cuda.libraries)
        if not state.complete:
            case.complete(LIBRARIES)
        return
    text = reqs.tensorflow_version(case)
    yield Finding(
        f"the image's TensorFlow {text or ''} cannot use a GPU: {why}".replace("  ", " "),
        effect="on every machine TensorFlow trains on the CPU in this image",
        fix=_image_fix(text),
        verify=f"docker run --rm --gpus all IMAGE {CHECK}",
        evidence=evidence(
            case, "software.image.reference", *BUILD, TOOLKITS, "software.cuda.cudnn_version", _cudnn_fact(case, state)
        ),
        likely=0.92,
        thing="image",
    )


def _cudnn_fact(case: Case, state: State) -> Library | str | None:
    found = cudnn_found(case, state)
    return found[1] if found is not None else None


def _unfit(case: Case, state: State) -> str | None:
    """What does not fit, in words; None where nothing shows it."""
    if state.version_differs:
        there = list(state.toolkits or ()) or [v for _, lib in state.other_cuda if (v := known(lib.version))]
        return f"it opens CUDA {state.cuda}, and the image holds CUDA {', '.join(there) or 'of another version'}"
    if state.half_differs:
        return f"it opens {names(state.half_differs)}, and the image holds another version"
    found, library = cudnn_found(case, state), state.cudnn_library
    unused = found is not None and library is not None and not library.usable
    if found is not None and unused and state.cudnn and major(found[0]) != major(state.cudnn):
        return f"it opens cuDNN {state.cudnn}, and the image holds cuDNN {found[0]}"
    compiled = state.build.cudnn_compiled
    same = found is not None and compiled is not None and major(found[0]) == major(compiled)
    if found is not None and compiled and same and older(minor(found[0]), minor(compiled)):
        return f"it needs cuDNN {compiled} or later, and the image holds cuDNN {found[0]}"
    off = tuple(lib for lib in state.required if lib.unusable and not lib.usable)
    if off:
        return f"{names(off)} cannot be loaded"
    gone = tuple(lib for lib in state.required if lib.missing)
    if state.complete and gone:
        return f"{names(gone)} {'is' if len(gone) == 1 else 'are'} not in the image"
    return None


def _official(case: Case) -> TensorflowImage | None:
    """The row of the tables, where the reference names an official GPU image."""
    match = _OFFICIAL.search(known(case.software.image.reference) or "")
    return tensorflow_image(match.group(1)) if match else None


def _known_image(case: Case, row: TensorflowImage) -> Iterator[Finding]:
    """An official image that the tables know, and of whose libraries nothing was read."""
    if not row.broken:
        need(case.software.cuda.libraries)
        return
    yield Finding(
        f"this official image cannot use a GPU: {row.note or 'its parts do not fit together'}",
        confidence=Confidence.MEDIUM,
        effect="on every machine TensorFlow trains on the CPU in this image",
        fix=_image_fix(reqs.tensorflow_version(case)),
        verify=f"docker run --rm --gpus all IMAGE {CHECK}",
        evidence=evidence(case, "software.image.reference", "software.tensorflow.version"),
        likely=0.9,
        thing="image",
    )


def _image_fix(text: str | None) -> str:
    release = tensorflow_release(text)
    if release is None:
        return "install the CUDA and cuDNN that its TensorFlow opens, or choose another base image"
    if "and-cuda" in release.extras:
        return f"RUN pip install 'tensorflow[and-cuda]=={release.version}'  # or another base image"
    cuda = major_minor(release.cuda.version)
    return f"choose a base image with CUDA {cuda} and cuDNN {release.cuda.cudnn_compiled or release.cuda.cudnn}"
