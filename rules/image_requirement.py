"""What an image requires of the driver (KD502)."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.model.facts import Unknown, applies, known, need
from doctor.rule import Case, Finding, Severity, rule

from .compat import driver_version, reported_cuda
from .fitting import driver_runs
from .measure import IMAGE_VARIABLES, container_variables, gpu_capability, start_and_look
from .requires import Here, brands_of, disabled, holds, lowest_cuda, requirements
from .shared import driver_system, need_gpu_case
from .tables.cuda import branch_for_cuda
from .tables.versions import at_least

_CDI_SINCE = "1.18"  # nvidia-container-toolkit: from here on the runtime's default mode is CDI, which checks nothing


@rule("KD502", "cuda-requirement-unmet", Severity.ERROR, would_help="kdoctor scan --image IMAGE --machine node.json")
def cuda_requirement_unmet(case: Case) -> Iterator[Finding]:
    """The image's NVIDIA_REQUIRE_* expression fails on this machine.

    ## Why is this bad?
    The NVIDIA runtime refuses to start the container: "requirement error: unsatisfied condition: cuda>=12.8, please
    update your driver to a newer version, or use an earlier cuda container".

    ## How to fix
    Update the driver, or use an image built on an older CUDA. Where minor-version compatibility would do (KD102 is
    silent), `-e NVIDIA_DISABLE_REQUIRE=1` turns the check off.

    ## How it is judged
    As libnvidia-container does: a space means OR, a comma AND, several variables are ANDed; CUDA_VERSION without
    NVIDIA_REQUIRE_CUDA stands for `cuda>=` its major and minor; NVIDIA_DISABLE_REQUIRE counts only with what Go reads
    as true (`1`, `true`; not `yes`). In CDI mode, the runtime's default from nvidia-container-toolkit 1.18 on, nothing
    is checked and the container starts: then it is a warning.

    ## References
    NVIDIA/libnvidia-container src/cli/dsl.c, NVIDIA/nvidia-container-toolkit internal/config/image/cuda_image.go
    """
    environment = known(case.software.image.environment)
    variables = container_variables(case)
    expressions = requirements(variables)
    if environment is None and not expressions:
        applies(case.in_container, "no image")
        need(case.software.image.environment)
    applies(bool(expressions), "the image requires nothing of the driver")
    need_gpu_case(case)
    applies(not disabled(variables), "NVIDIA_DISABLE_REQUIRE turns the check off")
    applies(known(case.container.gpus_requested) is not False, "no GPU is asked for the container")
    driver = driver_version(case)
    reported = reported_cuda(case)
    unmet = _unmet(case, expressions, reported, driver)
    if unmet is None:
        return
    name, expression = unmet
    enforced = _enforced(case)
    wanted = lowest_cuda(expression)
    what = f"this machine (driver {driver or 'unknown'}, CUDA {reported or 'unknown'}) does not meet the image's {name}"
    short = expression if len(expression) < 80 else f"{expression[:60]}..."
    yield Finding(
        f"{what}: {short}",
        severity=None if enforced else Severity.WARNING,
        effect="the container does not start: 'unsatisfied condition'"
        if enforced
        else "the runtime's CDI mode does not check it: the container starts, and CUDA may fail in it",
        fix=_meet(case, wanted, driver),
        verify=start_and_look(case),
        evidence=case.evidence(
            f"{IMAGE_VARIABLES}.{name}",
            "machine.driver.version",
            "machine.driver.cuda_version",
            "machine.gpus.0.name",
            "machine.engine.nvidia_toolkit",
        ),
        likely=0.95,
        thing=name,
    )


def _unmet(case: Case, expressions: dict[str, str], cuda: str | None, driver: str | None) -> tuple[str, str] | None:
    """The first variable whose expression fails for a visible GPU; every one must pass for all of them.

    Raises:
        Unknown: none fails for certain, and one hangs on a fact that is not known.
    """
    gpus = known(case.machine.gpus)
    places = [
        Here(cuda, driver, gpu_capability(gpu), _brands(known(gpu.brand), known(gpu.name))) for gpu in gpus or ()
    ] or [Here(cuda, driver, any_gpu=gpus is None)]
    unsure = False
    for name, expression in expressions.items():
        for here in places:
            verdict = holds(expression, here)
            if verdict is False:
                return name, expression
            unsure = unsure or verdict is None
    if unsure:
        need(case.machine.driver.version if driver is None else case.machine.gpus)
        raise Unknown("machine.gpus.brand")
    return None


def _brands(brand: str | None, name: str | None) -> frozenset[str] | None:
    if brand:
        return frozenset({brand.lower().removeprefix("nvml_brand_").replace("_", "").replace(" ", "")})
    return brands_of(name) if name else None


def _enforced(case: Case) -> bool:
    """Whether the check is made at the start: by the hook (``--gpus``) and in the legacy mode, never in CDI mode."""
    engine, runtime = case.machine.engine, known(case.container.runtime)
    toolkit = known(engine.nvidia_toolkit)
    if known(engine.name) == "podman":
        return False
    if runtime is None and known(case.container.gpus_requested):
        runtime = known(engine.default_runtime)
    return not (toolkit and at_least(toolkit, _CDI_SINCE) and "nvidia" in (runtime or ""))


def _meet(case: Case, cuda: str | None, driver: str | None) -> str:
    if cuda is None:
        return "use an image whose requirement this machine meets"
    branch = branch_for_cuda(cuda)
    update = f"install an NVIDIA driver of branch R{branch.branch} or newer" if branch else "update the NVIDIA driver"
    out = f"{update}, or use an image for an older CUDA"
    runs = driver_runs(driver, cuda, driver_system(case)) if driver else None
    return f"{out}; this driver runs CUDA {cuda} all the same: -e NVIDIA_DISABLE_REQUIRE=1" if runs else out
