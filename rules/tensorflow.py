"""The TensorFlow that is installed: a build without CUDA, native Windows, two distributions in one folder."""

from __future__ import annotations

from collections.abc import Iterator

from packaging.utils import canonicalize_name

from doctor.model.facts import Unknown, applies, known, need
from doctor.model.report import Confidence
from doctor.model.snapshot import Package
from doctor.rule import Case, Finding, Severity, rule

from . import requirements as reqs
from .builds import CPU_DISTRIBUTIONS, tensorflow_facts
from .cuda import CHECK, SNAPSHOT
from .fitting import and_cuda_release, requirements_of, serves
from .proof import evidence
from .remedies import and_cuda
from .shared import CUDA_INSTALLED, gpu_wish, need_gpu_case, nvidia_hardware
from .tables.packages import distribution
from .tables.tensorflow import newest_release, tensorflow_release
from .tables.versions import allows
from .tables.versions import version as version_of

_LAST_WINDOWS_CUDA = (2, 10)
_STOOD_FOR = frozenset({"tensorflow-intel", "tensorflow-macos", "tensorflow-cpu-aws"})
PACKAGES = "software.packages"


@rule("KD301", "tensorflow-cpu-build", Severity.ERROR, follows=("KD303",), would_help=SNAPSHOT)
def tensorflow_cpu_build(case: Case) -> Iterator[Finding]:
    """The installed TensorFlow is built without CUDA, and a GPU is there or expected.

    `tensorflow-cpu`, `tensorflow-intel`, wheels for aarch64 and macOS and conda's `cpu_`, `mkl_` and `eigen_` builds
    hold no CUDA code; no library and no driver changes that.

    ## Why is this bad?
    TensorFlow trains on the CPU and says nothing about the GPU beside it.

    ## How to fix
    Install the build with CUDA: `pip install 'tensorflow[and-cuda]'` on x86_64 Linux, `tensorflow=*=*cuda*` from
    conda-forge, NVIDIA's container image on aarch64.

    ## References
    `tensorflow/python/platform/build_info.py` (is_cuda_build); tensorflow.org/install/pip.
    """
    applies(known(case.software.tensorflow.present) is not False, "TensorFlow is not installed")
    build = tensorflow_facts(case)
    system = reqs.system(case)
    applies(system != "darwin", "no CUDA on macOS")
    applies(not _windows_without_cuda(case), "native Windows: tensorflow-native-windows says it")
    need_gpu_case(case)
    if build.cuda_build is None:
        need(case.software.tensorflow.cuda_build)
    if build.cuda_build is not False:
        return
    wish = "the user" if known(case.snapshot.expects.gpu) else gpu_wish(case)
    if wish == CUDA_INSTALLED and build.distribution in CPU_DISTRIBUTIONS:
        wish = None  # a toolkit may serve others; the CPU build was asked for by its name
    name = build.distribution or "TensorFlow"
    text = reqs.tensorflow_version(case) or ""
    yield Finding(
        f"{name} {text} is built without CUDA, and {_gpu(case, wish)}".replace("  ", " "),
        severity=None if wish else Severity.WARNING,
        confidence=Confidence.HIGH if system == "linux" else Confidence.MEDIUM,  # elsewhere KD302 may be the reason
        effect="TensorFlow trains on the CPU",
        fix=_cuda_build(case, name, text),
        verify="python -c \"import tensorflow as tf; print(tf.sysconfig.get_build_info()['is_cuda_build'])\"",
        evidence=evidence(
            case,
            "software.tensorflow.distribution",
            "software.tensorflow.version",
            "software.tensorflow.cuda_build",
            "machine.architecture",
            "machine.gpus.0.name",
        ),
        likely=0.8,
        thing="tensorflow",
    )


def _gpu(case: Case, wish: str | None) -> str:
    if wish:
        return "a GPU is expected"
    return "a GPU is there" if nvidia_hardware(case) else "CUDA is installed here"


def _cuda_build(case: Case, name: str, text: str) -> str:
    package = reqs.tensorflow_package(case)
    if package is not None and known(package.installer) == "conda":
        return reqs.install(case, f"tensorflow=={text}=*cuda*", package=package)
    if reqs.chip(case) not in (None, "x86_64"):
        return (
            "use NVIDIA's TensorFlow container (nvcr.io/nvidia/tensorflow) or NVIDIA's wheel for this board: "
            "the wheels on the index for this architecture hold no CUDA"
        )
    release = tensorflow_release(text)
    if release is None or not serves(case, release):
        release = and_cuda_release(case) or release
    wanted = (and_cuda(case, release) or (f"tensorflow=={release.version}",)) if release else ("tensorflow[and-cuda]",)
    return reqs.replace(case, [name], *wanted) if name in CPU_DISTRIBUTIONS else reqs.install(case, *wanted)


def _windows_without_cuda(case: Case) -> bool:
    version = version_of(reqs.tensorflow_version(case))
    return reqs.system(case) == "windows" and version is not None and version.release[:2] > _LAST_WINDOWS_CUDA


def _inside_wsl(case: Case) -> str:
    """What to install inside WSL: the newest release, or where driver or GPU do not run that, the one that they run."""
    release = and_cuda_release(case, any_python=True)
    wanted = requirements_of(case, release) if release else ()
    if release is newest_release() and len(wanted) == 1:
        wanted = ()
    return " ".join(f"'{requirement}'" for requirement in wanted or ("tensorflow[and-cuda]",))


@rule("KD302", "tensorflow-native-windows", Severity.ERROR, would_help=SNAPSHOT)
def tensorflow_native_windows(case: Case) -> Iterator[Finding]:
    """TensorFlow 2.11 or later on native Windows: no GPU can be used.

    2.10 was the last release with CUDA on native Windows. Since then pip installs tensorflow-intel, a CPU build.

    ## Why is this bad?
    No driver, toolkit or cuDNN changes it; TensorFlow trains on the CPU.

    ## How to fix
    Install TensorFlow inside WSL2 (`pip install 'tensorflow[and-cuda]'` there), or stay with 2.10 and CUDA 11.2.

    ## References
    tensorflow.org/install/pip#windows-native; TensorFlow 2.11 release notes.
    """
    system = reqs.system(case)
    if system is None:
        need(case.machine.os)
    applies(system == "windows", "not native Windows")
    applies(known(case.software.tensorflow.present) is not False, "TensorFlow is not installed")
    applies(case.package("tensorflow-directml-plugin") is None, "TensorFlow uses the GPU through DirectML")
    version = version_of(reqs.tensorflow_version(case))
    if version is None:
        need(case.software.tensorflow.version)
        return
    if version.release[:2] <= _LAST_WINDOWS_CUDA:
        return
    need_gpu_case(case)
    yield Finding(
        f"TensorFlow {version} cannot use a GPU on native Windows: 2.10 was the last release that could",
        effect="TensorFlow trains on the CPU, whatever CUDA and driver are installed",
        fix=f"install it inside WSL2: wsl --install, then there: pip install {_inside_wsl(case)} "
        "(or on Windows: pip install 'tensorflow<2.11' with Python 3.7 to 3.10 and CUDA 11.2)",
        verify=CHECK,
        evidence=evidence(
            case, "machine.os", "software.tensorflow.version", "machine.gpus.0.name", "software.cuda.toolkits"
        ),
        likely=0.95,
        thing="tensorflow",
    )


@rule("KD303", "tensorflow-overlap", Severity.ERROR, would_help=SNAPSHOT)
def tensorflow_overlap(case: Case) -> Iterator[Finding]:
    """Two distributions own the folder `tensorflow`: which one is imported depends on the order of installation.

    The same where one of them was removed, and took files of the other along.

    ## Why is this bad?
    Files of two builds lie mixed in one folder. A CPU build may have overwritten the GPU build; removing one removes
    files of the other; pip does not notice, and goes on listing a TensorFlow that cannot be imported.

    ## How to fix
    Remove both, then install one.

    ## References
    tensorflow.org/install/pip; openai/baselines issue 146.
    """
    packages = need(case.software.packages)
    yield from _gutted(case)
    owners = _owners(case, packages)
    told = known(case.software.tensorflow.owners)
    names = [canonicalize_name(n) for n in told] if told is not None else [packages[i].name for i in owners]
    if len(set(names)) < 2:
        case.complete(PACKAGES)
        applies(bool(names) or reqs.tensorflow_package(case) is not None, "TensorFlow is not installed")
        return
    if told is None and (shell := _maybe_a_shell(packages, owners)) is not None:
        raise Unknown(f"{PACKAGES}.{shell}.version")
    names = list(dict.fromkeys(names))
    keep = _keep(names)
    text = reqs.tensorflow_version(case)
    release = tensorflow_release(text)
    pin = f"=={release.version}" if release and release.version == text else ""
    if keep == "tensorflow" and release and "and-cuda" in release.extras and _cuda_wheels(packages):
        keep = "tensorflow[and-cuda]"
    yield Finding(
        f"{' and '.join(names)} are installed into one folder: they overwrite each other",
        effect="which build is imported depends on the order of installation",
        fix=reqs.replace(case, names, keep + pin),
        verify='python -c "import tensorflow as tf; print(tf.__version__, tf.sysconfig.get_build_info())"',
        evidence=evidence(case, *(packages[i] for i in owners), "software.tensorflow.owners"),
        likely=0.95,
        thing=",".join(sorted(names)),
    )


def _gutted(case: Case) -> Iterator[Finding]:
    """TensorFlow is listed as installed, and files that its RECORD names are gone."""
    missing = known(case.software.tensorflow.missing_files) or ()
    package = reqs.tensorflow_package(case)
    if not missing or package is None:
        return
    version = known(package.version)
    requirement = package.name + (f"=={version}" if version else "")
    more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
    yield Finding(
        f"{package.name} {version or ''} is listed as installed, but its files are gone: {missing[0]}{more}",
        effect="the import fails, or finds an empty `tensorflow`: removing another TensorFlow took the files along, or "
        "an installation stopped half-way",
        fix=reqs.replace(case, [package.name], requirement),
        verify='python -c "import tensorflow as tf; print(tf.__version__)"',
        evidence=evidence(case, package, "software.tensorflow.missing_files", "software.tensorflow.present"),
        likely=0.97,
        thing=package.name,
    )


def _owners(case: Case, packages: tuple[Package, ...]) -> list[int]:
    """Places of the distributions that install the folder, those left out that another one only requires."""
    found = []
    for index, package in enumerate(packages):
        row = distribution(package.name)
        if row is None or not row.owns_folder or known(package.installer) == "conda":
            continue
        version = known(package.version)
        if row.stub and version and allows(row.stub, version):
            continue
        found.append(index)
    by_name = {packages[i].name: packages[i] for i in found}
    required = {name for name in by_name for other in by_name.values() if name in _requires(other)}
    if required:
        # The parent is a shell where it requires the build for this platform (tensorflow-intel, tensorflow-macos).
        found = [i for i in found if packages[i].name in required or not required & _requires(packages[i])]
    return found


def _maybe_a_shell(packages: tuple[Package, ...], owners: list[int]) -> int | None:
    """The place of a `tensorflow` of unknown version beside the one build that some of its versions only require."""
    others = {packages[i].name for i in owners} - {"tensorflow"}
    untold = [i for i in owners if packages[i].name == "tensorflow" and known(packages[i].version) is None]
    return untold[0] if untold and others <= _STOOD_FOR else None


def _requires(package: Package) -> set[str]:
    """The builds that a TensorFlow distribution requires on some platform, by METADATA or by the tables."""
    texts = list(known(package.requires) or ())
    release = tensorflow_release(known(package.version))
    if package.name == "tensorflow" and release is not None:
        texts += [t for some in (release.requires, *release.requires_elsewhere.values()) for t in some]
    read = (reqs.parse(text) for text in texts)
    names = {canonicalize_name(r.name) for r in read if r is not None}
    return {n for n in names if n != package.name and (row := distribution(n)) is not None and row.owns_folder}


def _cuda_wheels(packages: tuple[Package, ...]) -> bool:
    return any(p.name.startswith("nvidia-cuda-runtime") for p in packages)


def _keep(names: list[str]) -> str:
    """The distribution to stay: the one with CUDA where there is one."""
    if "tensorflow" in names or "tensorflow-gpu" in names:
        return "tensorflow"
    return next((n for n in names if n not in CPU_DISTRIBUTIONS), names[0])
