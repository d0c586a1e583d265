"""Containers and the GPU: how they are started, and their cuda-compat (KD501, KD503)."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.model.facts import Inapplicable, Unknown, applies, known, need
from doctor.model.report import Confidence
from doctor.rule import Case, Finding, Severity, rule

from .builds import tensorflow_facts
from .compat import compat_in_use, driver_version, judge
from .measure import IMAGE_VARIABLES, container_variables, runs_in_container, start_and_look, without_gpu_nodes
from .shared import gpu_wish, need_gpu_case

_START = "docker run --gpus all"
_CONFIGURE = "sudo nvidia-ctk runtime configure --runtime=docker && sudo systemctl restart docker"


@rule("KD501", "container-without-gpu-runtime", Severity.ERROR, would_help="kdoctor scan --target container:NAME")
def container_without_gpu_runtime(case: Case) -> Iterator[Finding]:
    """The container gets no GPU: not asked for, no NVIDIA runtime or CDI to give it, or without the compute capability.

    ## Why is this bad?
    A container sees no GPU by itself. The NVIDIA runtime (or a CDI device) mounts libcuda and the device nodes at the
    start; without it TensorFlow says "libcuda.so.1: cannot open shared object file" and computes on the CPU.

    ## How to fix
    Start it with `docker run --gpus all` (compose: `deploy.resources.reservations.devices`, Kubernetes:
    `nvidia.com/gpu`). On the host install nvidia-container-toolkit and run
    `sudo nvidia-ctk runtime configure --runtime=docker`. NVIDIA_DRIVER_CAPABILITIES needs `compute`.

    ## How it is judged
    Only where the image holds something that uses CUDA. It is a warning where nothing but an ordinary TensorFlow on a
    machine with a GPU speaks for one.

    ## References
    NVIDIA Container Toolkit, installation guide and "Specialized configurations with Docker"
    """
    asked = known(case.container.gpus_requested)
    runtime = known(case.container.runtime)
    inside = runs_in_container(case) and not case.in_container
    applies(case.in_container or inside or asked is not None or runtime is not None, "no container")
    need_gpu_case(case)
    _uses_cuda(case)
    if inside:
        need(case.machine.devices)
        if without_gpu_nodes(case):
            yield _no_gpu(
                case,
                "this runs in a container that was started without a GPU: no device node of one is in it",
                f"start it with its GPUs: {_START}",
                "machine.devices",
                mild=gpu_wish(case) is None,
            )
        return
    variables = container_variables(case)
    capabilities = variables.get("NVIDIA_DRIVER_CAPABILITIES", "")
    if asked is not False and capabilities and not {"compute", "all"} & set(capabilities.replace(" ", "").split(",")):
        yield _no_gpu(
            case,
            f"NVIDIA_DRIVER_CAPABILITIES={capabilities} leaves out compute, so libcuda is not mounted",
            "-e NVIDIA_DRIVER_CAPABILITIES=compute,utility",
            f"{IMAGE_VARIABLES}.NVIDIA_DRIVER_CAPABILITIES",
        )
        return
    engine = case.machine.engine
    by_runtime = "nvidia" in (runtime or known(engine.default_runtime) or "")
    if asked is False and not by_runtime:
        yield _no_gpu(
            case,
            "the container is started without a GPU and without the NVIDIA runtime",
            f"start it with {_START}"
            if _able(case) is not False
            else f"install nvidia-container-toolkit, {_CONFIGURE}, then {_START}",
            "container.gpus_requested",
            mild=gpu_wish(case) is None,
        )
        return
    if asked is False and "NVIDIA_VISIBLE_DEVICES" not in variables and "CUDA_VERSION" not in variables:
        need(case.software.image.environment)
        yield _no_gpu(
            case,
            "the NVIDIA runtime is used, but NVIDIA_VISIBLE_DEVICES is not set, so no GPU is mounted",
            f"start it with {_START}, or -e NVIDIA_VISIBLE_DEVICES=all",
            "container.gpus_requested",
        )
        return
    runtimes = known(engine.runtimes)
    if runtime and "nvidia" in runtime and runtimes is not None and runtime not in runtimes:
        yield _no_gpu(case, f"the engine has no runtime called {runtime}", _CONFIGURE, "machine.engine.runtimes")
        return
    able = _able(case)
    if able is False:
        yield _no_gpu(
            case,
            "the container engine has neither an NVIDIA runtime nor a CDI device",
            f"install nvidia-container-toolkit, then {_CONFIGURE}",
            "machine.engine.runtimes",
            mild=asked is None,
        )
        return
    if asked is None and able is None:
        need(case.container.gpus_requested)


def _uses_cuda(case: Case) -> None:
    """Leave where nothing in the container could use a GPU.

    Raises:
        Inapplicable: its TensorFlow has no CUDA, or there is neither TensorFlow nor CUDA.
    """
    build = tensorflow_facts(case)
    if gpu_wish(case) is not None:
        return
    applies(build.cuda_build is not False, "this TensorFlow has no CUDA (KD301)")
    applies(build.version is not None or known(case.snapshot.expects.gpu) is True, "nothing in the image uses CUDA")


def _able(case: Case) -> bool | None:
    """Whether the engine can give a container a GPU: by runtime, by CDI, or by the toolkit's hook for ``--gpus``."""
    engine = case.machine.engine
    runtimes, devices, toolkit = known(engine.runtimes), known(engine.cdi_devices), known(engine.nvidia_toolkit)
    by_name = any("nvidia" in runtime for runtime in runtimes or ())
    if by_name or any("nvidia" in device for device in devices or ()) or toolkit:
        return True
    if known(engine.name) == "podman":
        return None if devices is None else False
    return False if runtimes is not None and (devices is not None or toolkit == "") else None


def _no_gpu(case: Case, what: str, fix: str, fact: str, *, mild: bool = False) -> Finding:
    return Finding(
        what,
        severity=Severity.WARNING if mild else None,
        confidence=Confidence.MEDIUM if mild else Confidence.HIGH,
        effect="no libcuda and no device in the container: TensorFlow computes on the CPU",
        fix=fix,
        verify=start_and_look(case),
        evidence=case.evidence(
            fact,
            "container.runtime",
            "machine.engine.name",
            "machine.engine.default_runtime",
            "machine.engine.cdi_devices",
            "machine.engine.nvidia_toolkit",
        ),
        likely=0.9,
    )


@rule("KD503", "cuda-compat-unsuitable", Severity.ERROR, would_help="kdoctor scan --image IMAGE --machine node.json")
def cuda_compat_unsuitable(case: Case) -> Iterator[Finding]:
    """The cuda-compat libcuda that takes the driver's place does not suit this GPU or this driver branch.

    ## Why is this bad?
    Forward compatibility is made for data-centre GPUs (and Jetson), over certain driver branches. Anywhere else every
    CUDA call fails: "forward compatibility was attempted on non supported HW" (804), "system has unsupported display
    driver / cuda driver combination" (803), "kernel version ... does not match DSO version".

    ## How to fix
    Take the compat folder off LD_LIBRARY_PATH or out of the image, and rely on the host's driver; update that where it
    is too old for the CUDA of the image.

    ## How it is judged
    Only where the compat library is the one in use: it is on LD_LIBRARY_PATH or found first, or the NVIDIA container
    toolkit would put it first (it is newer than the driver, and its ELF note does not exclude the branch).

    ## References
    CUDA Compatibility guide, https://docs.nvidia.com/deploy/cuda-compatibility/forward-compatibility.html
    """
    if known(case.software.cuda.compat_driver) is False:
        raise Inapplicable("no cuda-compat")
    compat = compat_in_use(case)
    if compat is None:
        version = need(case.software.cuda.compat_driver)
        need_gpu_case(case)
        if driver_version(case) is None:
            need(case.machine.driver.version)
        raise Inapplicable(f"the cuda-compat library {version} is there, but not in use")
    need_gpu_case(case)
    verdict = judge(case, compat)
    if verdict.suits is None:
        raise Unknown(verdict.fact, f"{verdict.why} is not known")
    if verdict.suits:
        return
    label = (
        f"the cuda-compat library {compat.version}"
        if compat.version
        else f"a cuda-compat library for CUDA {compat.cuda}"
    )
    yield Finding(
        f"{label} does not suit this machine: {verdict.why}",
        confidence=Confidence.HIGH if compat.told_by != "software.cuda.compat_driver" else Confidence.MEDIUM,
        effect="every CUDA call fails (error 803 or 804), and TensorFlow computes on the CPU",
        fix=_without_compat(compat.told_by),
        verify="python -c \"import ctypes; assert ctypes.CDLL('libcuda.so.1').cuInit(0) == 0\"",
        evidence=case.evidence(
            "software.cuda.compat_driver",
            "machine.driver.version",
            "machine.driver.cuda_version",
            compat.told_by,
            f"{verdict.fact}.name" if verdict.fact.startswith("machine.gpus") else verdict.fact,
        ),
        likely=0.93,
    )


def _without_compat(told_by: str) -> str:
    if told_by.endswith("LD_LIBRARY_PATH"):
        return "take the compat folder off LD_LIBRARY_PATH; if CUDA then needs a newer driver, update the host's"
    return "take cuda-compat out of the image (RUN rm -rf /usr/local/cuda*/compat), or update the host's driver"
