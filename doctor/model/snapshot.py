"""The snapshot: machine x software x project, as in section 2 of the public contract.

Sections are always there (an empty section is one of which nothing is known), so that a rule asks
``need(case.software.tensorflow.version)`` and nothing else. Lists that are known to be incomplete stand in ``partial``.
"""

from __future__ import annotations

from typing import Any

import msgspec

from doctor.model.facts import Facts, Maybe, known, unknown

SCHEMA = 1
_SYSTEMS = {
    "linux": "linux", "windows": "windows", "win32": "windows", "darwin": "darwin", "macos": "darwin",
}  # fmt: skip


class Distribution(Facts, frozen=True):
    """A Linux distribution, as ``/etc/os-release`` names it (``ubuntu``, ``22.04``)."""

    id: Maybe[str] = unknown("software.distribution.id")
    version: Maybe[str] = unknown("software.distribution.version")


class Cpu(Facts, frozen=True):
    """The processor. ``flags`` in the kernel's spelling (``avx2``, ``avx512f``), ``cores`` = logical processors."""

    model: Maybe[str] = unknown("machine.cpu.model")
    flags: Maybe[tuple[str, ...]] = unknown("machine.cpu.flags")
    cores: Maybe[int] = unknown("machine.cpu.cores")


class Driver(Facts, frozen=True):
    """The NVIDIA driver of the host. ``cuda_version`` is the newest CUDA that it supports itself."""

    present: Maybe[bool] = unknown("machine.driver.present")
    version: Maybe[str] = unknown("machine.driver.version")
    cuda_version: Maybe[str] = unknown("machine.driver.cuda_version")
    kernel_module_version: Maybe[str] = unknown("machine.driver.kernel_module_version")
    libcuda_version: Maybe[str] = unknown("machine.driver.libcuda_version")
    libcuda_path: Maybe[str] = unknown("machine.driver.libcuda_path")
    nvml_version: Maybe[str] = unknown("machine.driver.nvml_version")
    error: Maybe[str | None] = unknown("machine.driver.error")
    open_kernel_module: Maybe[bool] = unknown("machine.driver.open_kernel_module")


class Gpu(Facts, frozen=True):
    """One GPU, as NVML names it. ``memory_mib`` in MiB; ``mig``: Multi-Instance GPU mode, in ``mig_devices`` parts.

    ``error``: what NVML said where it would not speak of this GPU.
    """

    index: Maybe[int] = unknown("machine.gpus.index")
    name: Maybe[str] = unknown("machine.gpus.name")
    compute_capability: Maybe[str] = unknown("machine.gpus.compute_capability")
    memory_mib: Maybe[int] = unknown("machine.gpus.memory_mib")
    mig: Maybe[bool] = unknown("machine.gpus.mig")
    mig_devices: Maybe[int] = unknown("machine.gpus.mig_devices")
    brand: Maybe[str] = unknown("machine.gpus.brand")
    error: Maybe[str | None] = unknown("machine.gpus.error")


class DeviceNode(Facts, frozen=True):
    """A device node and what the user who ran kdoctor may do with it."""

    path: str
    mode: Maybe[str] = unknown("machine.device_nodes.mode")
    readable: Maybe[bool] = unknown("machine.device_nodes.readable")
    writable: Maybe[bool] = unknown("machine.device_nodes.writable")
    error: Maybe[str | None] = unknown("machine.device_nodes.error")


class Engine(Facts, frozen=True):
    """The container engine of the machine."""

    present: Maybe[bool] = unknown("machine.engine.present")
    name: Maybe[str] = unknown("machine.engine.name")
    version: Maybe[str] = unknown("machine.engine.version")
    runtimes: Maybe[tuple[str, ...]] = unknown("machine.engine.runtimes")
    default_runtime: Maybe[str] = unknown("machine.engine.default_runtime")
    cdi_devices: Maybe[tuple[str, ...]] = unknown("machine.engine.cdi_devices")
    nvidia_toolkit: Maybe[str] = unknown("machine.engine.nvidia_toolkit")
    cgroup_driver: Maybe[str] = unknown("machine.engine.cgroup_driver")
    endpoint: Maybe[str] = unknown("machine.engine.endpoint")


class Machine(Facts, frozen=True):
    """What a container cannot bring along. ``wsl``: False, or the generation of the Windows Subsystem for Linux."""

    name: Maybe[str] = unknown("machine.name")
    os: Maybe[str] = unknown("machine.os")
    distribution: Distribution = Distribution()
    kernel: Maybe[str] = unknown("machine.kernel")
    architecture: Maybe[str] = unknown("machine.architecture")
    wsl: Maybe[int | bool] = unknown("machine.wsl")
    virtualization: Maybe[str | None] = unknown("machine.virtualization")
    cpu: Cpu = Cpu()
    pci_gpus: Maybe[tuple[str, ...]] = unknown("machine.pci_gpus")
    driver: Driver = Driver()
    gpus: Maybe[tuple[Gpu, ...]] = unknown("machine.gpus")
    devices: Maybe[tuple[str, ...]] = unknown("machine.devices")
    device_nodes: Maybe[tuple[DeviceNode, ...]] = unknown("machine.device_nodes")
    nouveau: Maybe[bool] = unknown("machine.nouveau")
    engine: Engine = Engine()

    @property
    def system(self) -> str | None:
        """``linux``, ``windows`` or ``darwin``, however ``os`` spells it; None where it is not known, or another."""
        name = (known(self.os) or "").lower()
        return _SYSTEMS.get(name)


class Libc(Facts, frozen=True):
    """The C library (``glibc`` or ``musl``)."""

    name: Maybe[str] = unknown("software.libc.name")
    version: Maybe[str] = unknown("software.libc.version")


class Python(Facts, frozen=True):
    """The interpreter. ``environment``: venv, conda or system. ``externally_managed``: a system guards it (PEP 668)."""

    version: Maybe[str] = unknown("software.python.version")
    implementation: Maybe[str] = unknown("software.python.implementation")
    executable: Maybe[str] = unknown("software.python.executable")
    environment: Maybe[str] = unknown("software.python.environment")
    externally_managed: Maybe[bool] = unknown("software.python.externally_managed")
    bits: Maybe[int] = unknown("software.python.bits")
    architecture: Maybe[str] = unknown("software.python.architecture")


class Package(Facts, frozen=True):
    """An installed distribution. ``name`` as normalised by PEP 503, ``requires`` as in its METADATA."""

    name: str
    version: Maybe[str] = unknown("software.packages.version")
    build: Maybe[str] = unknown("software.packages.build")
    installer: Maybe[str] = unknown("software.packages.installer")
    location: Maybe[str] = unknown("software.packages.location")
    requires: Maybe[tuple[str, ...]] = unknown("software.packages.requires")
    editable: Maybe[bool] = unknown("software.packages.editable")


class Shadowed(Facts, frozen=True):
    """A module (``numpy.py``) that an import takes before the package of its name, which stands later on the path."""

    module: str
    path: Maybe[str] = unknown("software.shadowed.path")
    package: Maybe[str] = unknown("software.shadowed.package")


class Requested(Facts, frozen=True):
    """A requirement that somebody wrote, and where."""

    requirement: str
    where: Maybe[str] = unknown("software.requested.where")


class Observed(Facts, frozen=True):
    """What TensorFlow itself said when it was started with ``--try``."""

    gpus: Maybe[tuple[str, ...]] = unknown("software.tensorflow.observed.gpus")
    import_seconds: Maybe[float] = unknown("software.tensorflow.observed.import_seconds")
    signal: Maybe[str | None] = unknown("software.tensorflow.observed.signal")
    error: Maybe[str | None] = unknown("software.tensorflow.observed.error")
    version: Maybe[str] = unknown("software.tensorflow.observed.version")
    log: Maybe[tuple[str, ...]] = unknown("software.tensorflow.observed.log")


class TensorFlow(Facts, frozen=True):
    """The TensorFlow that would be imported, from its package's own build information.

    ``present`` False: looked, and it is not installed. ``owners``: all distributions that claim the folder.
    ``missing_files``: modules and libraries of its upper folders that a RECORD lists and that are not there.
    """

    present: Maybe[bool] = unknown("software.tensorflow.present")
    version: Maybe[str] = unknown("software.tensorflow.version")
    distribution: Maybe[str] = unknown("software.tensorflow.distribution")
    owners: Maybe[tuple[str, ...]] = unknown("software.tensorflow.owners")
    path: Maybe[str] = unknown("software.tensorflow.path")
    missing_files: Maybe[tuple[str, ...]] = unknown("software.tensorflow.missing_files")
    cuda_build: Maybe[bool] = unknown("software.tensorflow.cuda_build")
    cuda_version: Maybe[str] = unknown("software.tensorflow.cuda_version")
    cudnn_version: Maybe[str] = unknown("software.tensorflow.cudnn_version")
    cudnn_compiled_version: Maybe[str] = unknown("software.tensorflow.cudnn_compiled_version")
    platform_tag: Maybe[str] = unknown("software.tensorflow.platform_tag")
    compute_capabilities: Maybe[tuple[str, ...]] = unknown("software.tensorflow.compute_capabilities")
    observed: Observed = Observed()


class Keras(Facts, frozen=True):
    """The Keras that ``tf.keras`` would use. ``legacy``: TF_USE_LEGACY_KERAS asks for Keras 2."""

    present: Maybe[bool] = unknown("software.keras.present")
    version: Maybe[str] = unknown("software.keras.version")
    backend: Maybe[str] = unknown("software.keras.backend")
    floatx: Maybe[str] = unknown("software.keras.floatx")
    legacy: Maybe[bool] = unknown("software.keras.legacy")


class Toolkit(Facts, frozen=True):
    """A CUDA toolkit outside the Python environment."""

    version: Maybe[str] = unknown("software.cuda.toolkits.version")
    path: Maybe[str] = unknown("software.cuda.toolkits.path")


class Library(Facts, frozen=True):
    """A CUDA library, in the order in which the loader finds them.

    ``origin``: wheel, conda, system or compat. ``on_path`` False: it is there, but no folder that the loader searches
    holds it. ``loadable`` is decided from the ELF file, nothing is opened.
    """

    soname: str
    version: Maybe[str] = unknown("software.cuda.libraries.version")
    path: Maybe[str] = unknown("software.cuda.libraries.path")
    origin: Maybe[str] = unknown("software.cuda.libraries.origin")
    loadable: Maybe[bool] = unknown("software.cuda.libraries.loadable")
    on_path: Maybe[bool] = unknown("software.cuda.libraries.on_path")


class Cuda(Facts, frozen=True):
    """CUDA as software. ``ptxas_version`` and ``libdevice`` are False when looked for and not there."""

    toolkits: Maybe[tuple[Toolkit, ...]] = unknown("software.cuda.toolkits")
    libraries: Maybe[tuple[Library, ...]] = unknown("software.cuda.libraries")
    cudnn_version: Maybe[str | bool] = unknown("software.cuda.cudnn_version")
    ptxas_version: Maybe[str | bool] = unknown("software.cuda.ptxas_version")
    nvcc_version: Maybe[str | bool] = unknown("software.cuda.nvcc_version")
    libdevice: Maybe[str | bool] = unknown("software.cuda.libdevice")
    compat_driver: Maybe[str | bool] = unknown("software.cuda.compat_driver")
    compat_drivers: Maybe[tuple[int, ...]] = unknown("software.cuda.compat_drivers")


class BaseImage(Facts, frozen=True):
    """The image that an image was built on, where that can be told."""

    name: Maybe[str] = unknown("software.image.base.name")
    digest: Maybe[str] = unknown("software.image.base.digest")


class Image(Facts, frozen=True):
    """The identity of an image, and its configuration. ``environment`` is the image's own, not the container's."""

    reference: Maybe[str] = unknown("software.image.reference")
    digest: Maybe[str] = unknown("software.image.digest")
    id: Maybe[str] = unknown("software.image.id")
    repo_digests: Maybe[tuple[str, ...]] = unknown("software.image.repo_digests")
    base: BaseImage = BaseImage()
    labels: Maybe[dict[str, str]] = unknown("software.image.labels")
    environment: Maybe[dict[str, str]] = unknown("software.image.environment")
    platform: Maybe[str] = unknown("software.image.platform")
    layers: Maybe[tuple[str, ...]] = unknown("software.image.layers")


class Software(Facts, frozen=True):
    """What an environment is made of."""

    distribution: Distribution = Distribution()
    libc: Libc = Libc()
    python: Python = Python()
    packages: Maybe[tuple[Package, ...]] = unknown("software.packages")
    shadowed: Maybe[tuple[Shadowed, ...]] = unknown("software.shadowed")
    requested: Maybe[tuple[Requested, ...]] = unknown("software.requested")
    tensorflow: TensorFlow = TensorFlow()
    keras: Keras = Keras()
    cuda: Cuda = Cuda()
    environment: Maybe[dict[str, str]] = unknown("software.environment")
    image: Image = Image()


class Container(Facts, frozen=True):
    """How a container was, or is to be, started."""

    gpus_requested: Maybe[bool] = unknown("container.gpus_requested")
    runtime: Maybe[str] = unknown("container.runtime")


class Project(Facts, frozen=True):
    """What the repository says. Rows are kept as the project readers write them (contract, section 2)."""

    images: Maybe[tuple[dict[str, Any], ...]] = unknown("project.images")
    requirements: Maybe[tuple[dict[str, Any], ...]] = unknown("project.requirements")
    lock_files: Maybe[tuple[dict[str, Any], ...]] = unknown("project.lock_files")
    scripts: Maybe[tuple[dict[str, Any], ...]] = unknown("project.scripts")
    unreadable: Maybe[tuple[dict[str, Any], ...]] = unknown("project.unreadable")
    suppressions: Maybe[tuple[dict[str, Any], ...]] = unknown("project.suppressions")
    environment: Maybe[tuple[dict[str, Any], ...]] = unknown("project.environment")


class Subject(Facts, frozen=True):
    """What a snapshot speaks of (host, interpreter, image, container, archive), and how it was ``collected``."""

    kind: str = "host"
    name: str = "host"
    collected: Maybe[str] = unknown("subject.collected")


class Expects(Facts, frozen=True):
    """What the user said is meant to be there."""

    gpu: Maybe[bool] = unknown("expects.gpu")


class Snapshot(Facts, frozen=True, omit_defaults=False):
    """One document of kind ``kdoctor/snapshot``."""

    kind: str = "kdoctor/snapshot"
    schema: int = SCHEMA
    subject: Subject = Subject()
    collected_at: Maybe[str] = unknown("collected_at")
    machine: Machine = Machine()
    software: Software = Software()
    container: Container = Container()
    project: Project = Project()
    log: Maybe[tuple[str, ...]] = unknown("log")
    partial: tuple[str, ...] = ()
    derived: tuple[str, ...] = ()
    expects: Expects = Expects()


def replace(facts: Any, **changes: Any) -> Any:
    """A copy with some fields changed (a thin name for ``msgspec.structs.replace``)."""
    return msgspec.structs.replace(facts, **changes)
