"""CUDA libraries: missing, of another version, off the path, shadowed, never installed."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.model.facts import Unknown, applies, known, need
from doctor.model.report import Confidence
from doctor.model.snapshot import Library
from doctor.rule import Case, Finding, Severity, rule

from . import installers
from . import requirements as reqs
from .loading import (
    LIBRARIES,
    TOOLKITS,
    Opened,
    State,
    cuda_state,
    names,
    wheels_unseen,
)
from .proof import evidence
from .remedies import install_cuda
from .shared import need_gpu_case
from .tables.libraries import sonames_for_cuda
from .tables.versions import numbers

BUILD = ("software.tensorflow.version", "software.tensorflow.cuda_version", "software.tensorflow.cudnn_version")
ON_CPU = "TensorFlow trains on the CPU and says so in one log line"
CHECK = "python -c \"import tensorflow as tf; print(tf.config.list_physical_devices('GPU'))\""
SNAPSHOT = "kdoctor scan --python PATH/TO/python"


@rule("KD201", "cuda-library-missing", Severity.ERROR, follows=("KD409", "KD301"), would_help=SNAPSHOT)
def cuda_library_missing(case: Case) -> Iterator[Finding]:
    """A CUDA library that this TensorFlow opens is found nowhere.

    TensorFlow opens libcudart, libcublas, libcublasLt, libcufft, libcurand, libcusolver, libcusparse and libcudnn by
    the exact names that its build knows. One that is missing is enough.

    ## Why is this bad?
    TensorFlow does not fail: it skips all GPUs, logs one line and trains on the CPU.

    ## How to fix
    Install the wheels that belong to this TensorFlow (`pip install 'tensorflow[and-cuda]==…'`), or the package of the
    toolkit that brings the library.

    ## References
    TensorFlow, `tsl/platform/default/dso_loader.cc` (TryDlopenCUDALibraries); tensorflow.org/install/pip.
    """
    need_gpu_case(case)
    state = cuda_state(case)
    need(case.software.cuda.libraries)
    gone = _missing(case, state)
    if not gone:
        case.complete(LIBRARIES)
        return
    wheels = sorted({lib.want.wheel for lib in gone if lib.want.wheel})
    yield Finding(
        f"TensorFlow cannot find {names(gone)}",
        effect=ON_CPU,
        fix=_gutted_first(
            case, wheels, install_cuda(case, state, tuple(wheels) if state.cudnn_library not in gone else ())
        ),
        verify=CHECK,
        evidence=evidence(case, *BUILD, *_all_usable(state)[:3], TOOLKITS),
        likely=0.85,
        thing=",".join(lib.soname for lib in gone),
    )


def _missing(case: Case, state: State) -> tuple[Opened, ...]:
    """What is missing and no other rule explains: the list must be complete, and something else must be there."""
    if not state.complete or state.nothing or state.version_differs:
        return ()
    explained = {lib.soname for lib in state.half_differs} | {lib.soname for lib in _off_path(state)}
    if _toolkit_off_path(state):
        explained |= {lib.soname for lib in state.toolkit_libraries}
    cudnn = state.cudnn_library
    if cudnn is not None and (cudnn.others or isinstance(known(case.software.cuda.cudnn_version), str)):
        explained.add(cudnn.soname)
    return tuple(lib for lib in state.required if lib.missing and lib.soname not in explained)


def _all_usable(state: State) -> tuple[Library, ...]:
    return tuple(copy for lib in state.required for _, copy in lib.usable[:1])


def _others(state: State) -> tuple[Library, ...]:
    """Two libraries of the version that is there instead."""
    half = state.half_differs
    return tuple(copy for _, copy in (state.other_cuda or (half[0].others if half else ()))[:2])


def _gutted_first(case: Case, wheels: list[str], fix: str) -> str:
    """The fix behind a command for wheels that are listed as installed though their library is nowhere.

    What is listed pip would not touch.
    """
    listed = [package for name in wheels if (package := case.package(name)) is not None and not reqs.foreign(package)]
    if not listed or case.in_container:
        return fix
    exact = tuple(f"{p.name}=={known(p.version)}" if known(p.version) else p.name for p in listed)
    first = installers.again(case, reqs.installer(case, listed[0]), exact)
    return f"{first}, then {fix}" if fix.startswith("install ") else f"{first} && {fix}"


@rule("KD202", "cuda-version-mismatch", Severity.ERROR, follows=("KD409", "KD301"), would_help=SNAPSHOT)
def cuda_version_mismatch(case: Case) -> Iterator[Finding]:
    """CUDA is installed, but not the version that this TensorFlow opens.

    The names carry the version: a build for CUDA 12 opens libcudart.so.12 and nothing else. Before CUDA 11 even the
    minor version counts (libcudart.so.10.1). Within CUDA 11 and 12 any minor version does.

    ## Why is this bad?
    The libraries of another version are never opened. TensorFlow trains on the CPU.

    ## How to fix
    Let pip bring the right version (`tensorflow[and-cuda]`), install that toolkit beside the other one, or choose a
    TensorFlow built for the CUDA that is there. Renaming or linking the files does not help.

    ## References
    tensorflow.org/install/source#gpu, tested build configurations; CUDA minor version compatibility.
    """
    need_gpu_case(case)
    state = cuda_state(case)
    if state.listed is False and state.toolkits is None:
        need(case.software.cuda.libraries)
    half = state.half_differs
    if not state.version_differs and not half:
        if not state.listed and not state.fitting_toolkits and not state.runtime_wheel:
            need(case.software.cuda.toolkits)
            need(case.software.cuda.libraries)
        return
    have = _versions_there(case, state)
    lead = half[0].soname if half else _wanted_in_vain(state)
    yield Finding(
        f"TensorFlow opens CUDA {state.cuda} ({lead}), but CUDA {have} is installed",
        confidence=state.build.confidence if state.complete or not half else Confidence.MEDIUM,
        effect=ON_CPU,
        fix=state.build.make_sure(install_cuda(case, state)),
        verify=CHECK,
        evidence=evidence(case, *BUILD, TOOLKITS, *_others(state)),
        likely=0.9,
        thing="cuda",
    )


def _wanted_in_vain(state: State) -> str:
    """The first name that this build opens and none of the toolkits brings: not always the runtime's."""
    brought = {row.soname for version in state.toolkits or () for row in sonames_for_cuda(version)}
    lacking = [lib for lib in state.toolkit_libraries if lib.want.soname not in brought]
    return (lacking or state.required)[0].soname


def _versions_there(case: Case, state: State) -> str:
    told = list(state.toolkits or ())
    told += [v for _, lib in state.other_cuda if (v := known(lib.version))]
    return ", ".join(dict.fromkeys(told)) or "of another version"


@rule("KD205", "cuda-library-path", Severity.ERROR, follows=("KD409", "KD301"), would_help=SNAPSHOT)
def cuda_library_path(case: Case) -> Iterator[Finding]:
    """The right CUDA libraries are installed, but the loader does not find or cannot load them.

    ## Why is this bad?
    Everything looks installed, and TensorFlow still trains on the CPU. The loader looks into LD_LIBRARY_PATH, the
    folders that TensorFlow's own libraries name (RUNPATH), ld.so.cache and the default folders: nowhere else.

    ## How to fix
    Name the folder in LD_LIBRARY_PATH before Python starts, or register it with ldconfig; for nvidia-* wheels,
    install TensorFlow and the wheels into one environment.

    ## References
    ld.so(8); tensorflow/tensorflow issues 63362 and 65842 (the 2.16.1 wheel).
    """
    need_gpu_case(case)
    state = cuda_state(case)
    if (fault := wheels_unseen(case, state)) is not None:
        yield from _unseen_wheels(case, state, fault)
        return
    off = _off_path(state)
    hidden = _toolkit_off_path(state)
    if off or hidden:
        broken = [lib for lib in off if all(known(copy.on_path) for _, copy in lib.unusable)]
        folder = _folder(case, state)
        right = [(state.toolkits or ())[i] for i in state.fitting_toolkits]
        what = names(off) if off else f"the libraries of the CUDA {', '.join(right)} toolkit"
        yield Finding(
            f"{what}: found, but cannot be loaded (another architecture, or a library that they need is missing)"
            if broken and len(broken) == len(off)
            else f"{what}: installed, but in no folder that the loader searches",
            effect=ON_CPU,
            fix=_path_fix(case, folder),
            verify=CHECK,
            evidence=evidence(
                case,
                *BUILD,
                *(lib.unusable[0][1] for lib in off[:4]),
                TOOLKITS,
                "software.environment.LD_LIBRARY_PATH",
            ),
            likely=0.88,
            thing=",".join(lib.soname for lib in off) or "toolkit",
        )
        return
    need(case.software.cuda.libraries)


def _off_path(state: State) -> tuple[Opened, ...]:
    return tuple(lib for lib in state.required if lib.unusable and not lib.usable)


def _toolkit_off_path(state: State) -> bool:
    """A toolkit of the right version is there, and its runtime is not among what the loader finds."""
    return bool(
        state.complete
        and state.fitting_toolkits
        and not state.runtime_wheel
        and any(lib.missing for lib in state.toolkit_libraries if lib.want.library == "cudart")
    )


def _unseen_wheels(case: Case, state: State, fault: str) -> Iterator[Finding]:
    first = [lib.usable[0] for lib in state.required if lib.usable]
    version = reqs.tensorflow_version(case)
    yield Finding(
        f"the nvidia-* wheels are installed, but TensorFlow {version} does not find them: {fault}",
        confidence=Confidence.MEDIUM,
        effect=ON_CPU,
        fix="install a release without this fault, "
        + reqs.install(case, "tensorflow[and-cuda]==2.17.1")
        + ", or name the lib folders of the nvidia-* wheels in LD_LIBRARY_PATH before Python starts",
        verify=CHECK,
        evidence=evidence(case, *BUILD, *(copy for _, copy in first[:2]), "software.environment.LD_LIBRARY_PATH"),
        likely=0.8,
        thing="wheels",
    )


def _folder(case: Case, state: State) -> str:
    for lib in _off_path(state):
        path = known(lib.unusable[0][1].path)
        if path and "/" in path:
            return path.rpartition("/")[0]
    fitting = {(state.toolkits or ())[i] for i in state.fitting_toolkits}
    toolkits = known(case.software.cuda.toolkits) or ()
    path = next((p for t in toolkits if known(t.version) in fitting and (p := known(t.path))), None)
    return f"{path}/lib64" if path else "/usr/local/cuda/lib64"


def _path_fix(case: Case, folder: str) -> str:
    if reqs.system(case) == "windows":
        return "add the toolkit's bin folder and cuDNN's bin folder to PATH, then start a new shell"
    return f"export LD_LIBRARY_PATH={folder}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}  # before Python starts"


@rule("KD206", "cuda-library-shadowed", Severity.WARNING, follows=("KD208",), would_help=SNAPSHOT)
def cuda_library_shadowed(case: Case) -> Iterator[Finding]:
    """Another copy of a CUDA library is found before the one that was installed for TensorFlow.

    TensorFlow's wheels name their folders by RUNPATH, and LD_LIBRARY_PATH comes before that: a copy in a folder named
    there wins over what pip installed.

    ## Why is this bad?
    The version in use is not the one that pip, a lock file or this environment says. With an older cuDNN TensorFlow
    refuses convolutions at run time; with a newer one results may differ.

    ## How to fix
    Take the folder out of LD_LIBRARY_PATH, or remove the other copy.

    ## References
    ld.so(8): order of DT_RPATH, LD_LIBRARY_PATH, DT_RUNPATH, ld.so.cache.
    """
    need_gpu_case(case)
    state = cuda_state(case)
    need(case.software.cuda.libraries)
    for lib in state.opened:
        for _, own in lib.usable[1:]:
            first = lib.usable[0][1]
            if _shadows(first, own):
                yield Finding(
                    f"{lib.soname} {known(first.version)} ({known(first.origin) or 'a copy'}) is found before the "
                    f"{known(own.version)} that belongs to this environment",
                    effect="the version in use is not the installed one",
                    fix=_unshadow(case, known(first.path)),
                    verify="LD_DEBUG=libs python -c 'import tensorflow' 2>&1 | grep " + lib.soname,
                    evidence=evidence(case, first, own, "software.environment.LD_LIBRARY_PATH"),
                    likely=0.6,
                    thing=lib.soname,
                )
                break


_NEARNESS = {"wheel": 2, "conda": 1}


def _shadows(first: Library, own: Library) -> bool:
    """Whether the first copy is a stranger of another version before one of the environment's own."""
    near = _NEARNESS.get(str(known(own.origin)), 0)
    have, want = known(first.version), known(own.version)
    if not have or not want or near <= _NEARNESS.get(str(known(first.origin)), 0):
        return False
    length = min(len(numbers(have)), len(numbers(want)))
    return numbers(have)[:length] != numbers(want)[:length]


def _unshadow(case: Case, path: str | None) -> str:
    folder = path.rpartition("/")[0] if path and "/" in path else None
    if folder and folder in (known(case.software.environment) or {}).get("LD_LIBRARY_PATH", "").split(":"):
        return f"take {folder} out of LD_LIBRARY_PATH"
    return f"remove {path}, or take its folder out of the loader's path" if path else "remove the other copy"


def _brings_cuda(case: Case, state: State) -> bool:
    """Whether a package may have brought CUDA: an nvidia-* wheel, conda's, or whatever a conda environment links."""
    packages = known(case.software.packages) or ()
    conda = known(case.software.python.environment) == "conda" or any(known(p.installer) == "conda" for p in packages)
    return conda or state.runtime_wheel or any(p.name.startswith("nvidia-cu") for p in packages)


@rule("KD207", "cuda-wheels-absent", Severity.ERROR, follows=("KD409", "KD301"), would_help=SNAPSHOT)
def cuda_wheels_absent(case: Case) -> Iterator[Finding]:
    """TensorFlow is a GPU build, but neither the CUDA wheels nor a system CUDA is there.

    `pip install tensorflow` installs a wheel that can use a GPU and none of the libraries that it needs for that.

    ## Why is this bad?
    TensorFlow trains on the CPU, tens of times slower, and says so in one log line.

    ## How to fix
    `pip install 'tensorflow[and-cuda]'` of the same version; releases before 2.14 have no such extra and need a
    system CUDA and cuDNN, or conda's.

    ## References
    tensorflow.org/install/pip; METADATA of the wheels (extra `and-cuda` since 2.14).
    """
    need_gpu_case(case)
    state = cuda_state(case)
    applies(state.build.cuda_build is not None or state.listed, "not known to be a GPU build")
    if state.toolkits is None:
        need(case.software.cuda.toolkits)
        raise Unknown(TOOLKITS, "there, of an unknown version")
    if state.listed:
        if not state.complete:
            case.complete(LIBRARIES)
        if not state.nothing or state.other_cuda:
            return
    else:
        need(case.software.packages)
        case.complete("software.packages")
        if state.toolkits or _brings_cuda(case, state):
            need(case.software.cuda.libraries)
    yield Finding(
        f"TensorFlow is built for CUDA {state.cuda}, and no CUDA is installed: neither wheels nor a toolkit",
        # A system's own packages bring CUDA without a toolkit's folder: only the libraries tell for certain.
        severity=None if state.listed else Severity.WARNING,
        confidence=Confidence.HIGH if state.listed else Confidence.MEDIUM,
        effect=ON_CPU,
        fix=install_cuda(case, state),
        verify=CHECK,
        evidence=evidence(case, *BUILD, "software.tensorflow.cuda_build", TOOLKITS, LIBRARIES),
        likely=0.8,
        thing="cuda",
    )
