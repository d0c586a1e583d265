"""GPUs for which the cuDNN in use holds no code, and the cuDNN that still does. Registers no rule."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from doctor.model.facts import Unknown, known, need
from doctor.rule import Case, Finding

from . import requirements as reqs
from .loading import State, cuda_state, cudnn_found
from .measure import Seen, facts_of, gpus_seen, lowered, which
from .proof import evidence
from .shared import older
from .tables.libraries import CudnnDropped, cudnn_without
from .tables.tensorflow import Release
from .tables.versions import admits, at_least, major, major_minor

_CHECK = (
    'python -c "import tensorflow as tf; print(tf.nn.conv2d(tf.ones([1, 8, 8, 1]), tf.ones([3, 3, 1, 1]), '
    "1, 'SAME').device)\""
)


def gpus_without_cudnn(case: Case, gpus: list[tuple[Seen, str]]) -> Iterator[Finding]:
    """What KD106 says of GPUs that TensorFlow still has code for, and cuDNN has not.

    Raises:
        Unknown: which cuDNN is there, where later ones hold no code for one of the GPUs.
    """
    old = [(gpu, capability, row) for gpu, capability in gpus if (row := cudnn_without(capability)) is not None]
    if not old:
        return
    state = cuda_state(case)
    found = cudnn_found(case, state)
    if found is None:
        if not state.complete and major(state.cudnn or "") in {major(row.since) for _, _, row in old}:
            need(case.software.cuda.cudnn_version)
        return
    version, fact = found
    if major(version) != major(state.cudnn or ""):
        return  # another major version is never opened (KD203)
    bad = [(gpu, capability, row) for gpu, capability, row in old if at_least(version, row.since)]
    if not bad:
        return
    row, cards = bad[0][2], [(gpu, capability) for gpu, capability, _ in bad]
    yield Finding(
        f"cuDNN {version} holds no code for {which(cards)}: "
        f"from {row.since} on it is for compute capability {row.below} and later",
        severity=lowered(case, cards),
        effect="the first convolution or recurrent layer on this GPU fails",
        fix=_older(case, state, row),
        verify=_CHECK,
        evidence=evidence(case, *facts_of(cards), fact, "software.cuda.cudnn_version"),
        likely=0.88,
        thing="cudnn",
    )


def _older(case: Case, state: State, row: CudnnDropped) -> str:
    """The way to the last cuDNN that holds code for the GPU and is as new as this TensorFlow needs."""
    least, cuda, package = state.cudnn_compiled, major(state.cuda), reqs.tensorflow_package(case)
    if least is not None and not older(least, row.since):
        return f"use a TensorFlow that was compiled against a cuDNN before {row.since}"
    bounds = f">={major_minor(least) or least},<{row.since}" if least else f"<{row.since}"
    if package is not None and known(package.installer) == "conda":
        return reqs.install(case, f"cudnn{bounds}", package=package)
    name = f"nvidia-cudnn-cu{cuda}"
    if case.package(name) is not None:
        return reqs.install(case, f"{name}{bounds}")
    return f"install a cuDNN {bounds} for CUDA {state.cuda} from NVIDIA's packages"


def capabilities_of(case: Case) -> tuple[str, ...]:
    """The compute capabilities of the machine's GPUs, as far as they are known."""
    try:
        return tuple(dict.fromkeys(gpu.capability for gpu in gpus_seen(case) if gpu.capability))
    except Unknown:
        return ()


def held_back(release: Release, capabilities: Iterable[str]) -> tuple[str, ...]:
    """What to install beside a release's and-cuda extra, so that it brings a cuDNN with code for these GPUs."""
    rows = [row for capability in capabilities if (row := cudnn_without(capability)) is not None]
    if not rows:
        return ()
    for requirement in filter(None, map(reqs.parse, release.extras.get("and-cuda", ()))):
        if requirement.name.startswith("nvidia-cudnn"):
            return tuple(
                dict.fromkeys(
                    f"{requirement.name}<{row.since}"
                    for row in rows
                    if admits(str(requirement.specifier), f"{row.since}.999")
                )
            )
    return ()
