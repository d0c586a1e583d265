"""What the training process itself meets: variables that hide the GPU, a CPU without AVX (KD109, KD110)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from doctor.model.facts import Inapplicable, Unknown, applies, known, need
from doctor.model.report import Confidence
from doctor.rule import Case, Finding, Severity, rule

from .builds import tensorflow_facts
from .fitting import CHECK_GPUS
from .measure import IMAGE_VARIABLES, SNAPSHOT
from .shared import need_gpu_case


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
    listed = known(case.machine.gpus)
    count = len(listed) if listed else None
    found = _setting(case, "CUDA_VISIBLE_DEVICES")
    if found is not None and _hides_all(found[0], count):
        yield _hidden(case, found, "unset CUDA_VISIBLE_DEVICES", count)
    name = "NVIDIA_VISIBLE_DEVICES"
    found = _setting(case, name) if case.in_container and not known(case.container.gpus_requested) else None
    if found is not None and found[0].strip() in ("none", "void", ""):
        yield _hidden(
            case, found, f"start it with docker run --gpus all, or -e {name}=all with the NVIDIA runtime", None
        )


def _setting(case: Case, name: str) -> tuple[str, str] | None:
    """The value of a variable and the fact that tells it: the environment's own, else that of its image.

    Raises:
        Unknown: neither environment is known.
    """
    own, image = known(case.software.environment), known(case.software.image.environment)
    if own is None and image is None:
        need(case.software.environment)
    for fact, variables in (("software.environment", own), (IMAGE_VARIABLES, image)):
        if variables and name in variables:
            return variables[name], f"{fact}.{name}"
    return None


def _hides_all(value: str, count: int | None) -> bool:
    """Whether the first entry names no GPU: CUDA stops reading there."""
    first = value.split(",", maxsplit=1)[0].strip()
    if re.match(r"(GPU|MIG)-", first):
        return False
    if not re.fullmatch(r"\+?\d+", first):
        return True
    return count is not None and int(first) >= count


def _hidden(case: Case, found: tuple[str, str], fix: str, count: int | None) -> Finding:
    value, fact = found
    name = fact.rpartition(".")[2]
    there = f" ({count} in the machine)" if count else ""
    return Finding(
        f"{name}={value!r} hides every GPU{there}",
        effect="TensorFlow finds no GPU and computes on the CPU",
        fix=fix,
        verify=CHECK_GPUS,
        evidence=case.evidence(fact, "machine.gpus.0.name"),
        likely=0.9,
        thing=name,
    )


@rule("KD110", "cpu-without-avx", Severity.ERROR, would_help=SNAPSHOT)
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
        lacking = _lacking(case, wanted)
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
        confidence=Confidence.HIGH if known(case.machine.cpu.flags) is not None else Confidence.MEDIUM,
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


# Names of processors without AVX (Intel's and AMD's product specifications, instruction sets): Core 2, the first Core i
# (three digits), Xeon 5500 and 5600, Celeron and Pentium up to 2021, AMD before Bulldozer, QEMU's default CPUs.
_WITHOUT_AVX = re.compile(
    r"core ?(\(tm\))? ?2\b|core(\(tm\))? i[357]( cpu)? +[mqx]? ?\d{3}\b|xeon.* [xelw]5[56]\d\d\b"
    r"|(celeron|pentium).* [nj]\d{4}\b|celeron.* g[1-5]\d{3}\b|pentium.* g[2-6]\d{3}\b"
    r"|\bphenom\b|\bathlon(\(tm\))? ?(ii|64)\b|qemu virtual cpu|common kvm processor",
    re.IGNORECASE,
)


def _lacking(case: Case, wanted: tuple[str, ...]) -> list[str]:
    """The instructions that this CPU lacks, by its flags, else by its name.

    Raises:
        Unknown: neither tells.
    """
    flags, model = known(case.machine.cpu.flags), known(case.machine.cpu.model)
    if flags is None and model and _WITHOUT_AVX.search(model):
        return list(wanted)
    flags = need(case.machine.cpu.flags)
    return [flag for flag in wanted if not any(f.lower().startswith(flag) for f in flags)]


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
