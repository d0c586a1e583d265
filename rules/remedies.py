"""The way to the CUDA that a TensorFlow build opens, for the installer in use. Nothing here registers a rule."""

from __future__ import annotations

from doctor.case import Case
from doctor.model.facts import known

from . import requirements as reqs
from .fitting import and_cuda_release, requirements_of, serves, unavailable_pin
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
    if release is not None and (wanted := and_cuda(case, release)) is not None:
        command = reqs.install(case, *wanted)
        return f"{command}  # at least {', '.join(wheels)}" if wheels and len(wheels) < 4 else command
    conda = f"conda install -c conda-forge cudatoolkit={cuda} cudnn={cudnn}".rstrip("=")
    other = and_cuda_release(case)
    return f"install the CUDA {cuda} toolkit and cuDNN {cudnn} ({conda} brings both)" + (
        f", or move to a release with the and-cuda extra: {reqs.install(case, *requirements_of(case, other))}"
        if other
        else ""
    )


def and_cuda(case: Case, release: Release) -> tuple[str, ...] | None:
    """The requirements that bring a release with its CUDA: of the next one where its extra cannot be installed.

    None where the release has no such extra, or neither it nor a later one with it can be installed and run here.
    """
    if "and-cuda" not in release.extras:
        return None
    python = reqs.python_minor(case)
    if not _broken(release, python):
        return requirements_of(case, release)
    later = releases()[releases().index(release) + 1 :]
    fitting = [
        r
        for r in later
        if not _broken(r, python) and (python is None or python in r.python["linux_x86_64"]) and serves(case, r)
    ]
    if not fitting:
        return None
    same = [r for r in fitting if r.version.split(".")[:2] == fitting[0].version.split(".")[:2]]
    return requirements_of(case, same[-1])


def _broken(release: Release, python: str | None) -> bool:
    return unavailable_pin(release, frozenset({"and-cuda"}), python) is not None
