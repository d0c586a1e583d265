"""The way to the CUDA that a TensorFlow build opens, for the installer in use. Nothing here registers a rule."""

from __future__ import annotations

from doctor.case import Case
from doctor.model.facts import known

from . import requirements as reqs
from .cudnn_gpus import capabilities_of, held_back
from .fitting import unavailable_pin
from .loading import State
from .tables.tensorflow import Release, releases, tensorflow_release


def install_cuda(case: Case, state: State, wheels: tuple[str, ...] = ()) -> str:
    """The way to the CUDA that this build opens, for the installer in use."""
    text = reqs.tensorflow_version(case)
    release = tensorflow_release(text)
    package = reqs.tensorflow_package(case)
    cuda, cudnn = ".".join(state.cuda.split(".")[:2]), state.build.cudnn_compiled or state.cudnn or ""
    if package is not None and known(package.installer) == "conda":
        return reqs.install(case, f"cuda-version=={cuda}", "cudnn", "tensorflow=*=*cuda*", package=package)
    if reqs.system(case) == "windows":
        return f"install the CUDA {cuda} toolkit and cuDNN {cudnn}, and put their bin folders on PATH"
    if release is not None and "and-cuda" in release.extras:
        command = reqs.install(case, *and_cuda(case, release))
        return f"{command}  # at least {', '.join(wheels)}" if wheels and len(wheels) < 4 else command
    conda = f"conda install -c conda-forge cudatoolkit={cuda} cudnn={cudnn}".rstrip("=")
    return (
        f"install the CUDA {cuda} toolkit and cuDNN {cudnn} ({conda} brings both), "
        "or move to a release with the and-cuda extra: " + reqs.install(case, *newest_and_cuda(case))
    )


def and_cuda(case: Case, release: Release) -> tuple[str, ...]:
    """The requirements that bring a release with its CUDA: of the next release where its extra cannot be installed."""
    instead = _instead(case, release.version)
    brought = tensorflow_release(instead.rpartition("==")[2]) if instead else release
    return instead or f"tensorflow[and-cuda]=={release.version}", *_held_back(case, brought)


def newest_and_cuda(case: Case) -> tuple[str, ...]:
    """The requirements that bring the newest TensorFlow with its CUDA."""
    return "tensorflow[and-cuda]", *_held_back(case, releases()[-1])


def _held_back(case: Case, release: Release | None) -> tuple[str, ...]:
    return held_back(release or releases()[-1], capabilities_of(case))


def _instead(case: Case, version: str) -> str | None:
    """What to install where this release's and-cuda extra cannot be installed any more: the next one where it can."""
    python, release = reqs.python_minor(case), tensorflow_release(version)
    if release is None or not _broken(release, python):
        return None
    later = releases()[releases().index(release) + 1 :]
    fitting = [r for r in later if not _broken(r, python) and (python is None or python in r.python["linux_x86_64"])]
    if not fitting:
        return "tensorflow[and-cuda]"
    same = [r for r in fitting if r.version.split(".")[:2] == fitting[0].version.split(".")[:2]]
    return f"tensorflow[and-cuda]=={same[-1].version}"


def _broken(release: Release, python: str | None) -> bool:
    return unavailable_pin(release, frozenset({"and-cuda"}), python) is not None
