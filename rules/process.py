"""What the training process itself meets: variables that hide the GPU, a CPU without AVX (KD109, KD110)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from doctor.model.facts import Inapplicable, Unknown, applies, known, need
from doctor.model.report import Confidence
from doctor.rule import Case, Finding, Severity, rule

from .fitting import CHECK_GPUS
from .measure import SNAPSHOT
from .shared import need_gpu_case, tensorflow_facts


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
    environment = need(case.software.environment)
    image = known(case.software.image.environment) or {}
    listed = known(case.machine.gpus)
    count = len(listed) if listed else None
    name = "CUDA_VISIBLE_DEVICES"
    for origin, variables in (("software.environment", environment), ("software.image.environment", image)):
        if name in variables:
            if _hides_all(variables[name], count):
                yield _hidden(case, f"{name}={variables[name]!r}", f"{origin}.{name}", f"unset {name}", count)
            break
    if case.in_container:
        name = "NVIDIA_VISIBLE_DEVICES"
        for origin, variables in (("software.environment", environment), ("software.image.environment", image)):
            if name in variables:
                if variables[name].strip() in ("none", "void", "") and not known(case.container.gpus_requested):
                    fix = f"docker run --gpus all, or -e {name}=all with the NVIDIA runtime"
                    yield _hidden(case, f"{name}={variables[name]!r}", f"{origin}.{name}", fix, None)
                break


def _hides_all(value: str, count: int | None) -> bool:
    """Whether the first entry names no GPU: CUDA stops reading there."""
    first = value.split(",", maxsplit=1)[0].strip()
    if re.match(r"(GPU|MIG)-", first):
        return False
    if not re.fullmatch(r"\+?\d+", first):
        return True
    return count is not None and int(first) >= count


def _hidden(case: Case, what: str, fact: str, fix: str, count: int | None) -> Finding:
    there = f" ({count} in the machine)" if count else ""
    return Finding(
        f"{what} hides every GPU{there}",
        effect="TensorFlow finds no GPU and computes on the CPU",
        fix=fix,
        verify=CHECK_GPUS,
        evidence=case.evidence(fact, "machine.gpus.0.name"),
        likely=0.9,
        thing=fact.rpartition(".")[2],
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
        flags = need(case.machine.cpu.flags)
        lacking = [flag for flag in wanted if not any(f.lower().startswith(flag) for f in flags)]
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
        confidence=Confidence.HIGH if emulated is None else Confidence.MEDIUM,
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
