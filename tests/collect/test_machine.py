"""The machine collector over fabricated roots: files as the kernel, the driver and container engines leave them."""

from __future__ import annotations

import platform
import struct
from pathlib import Path
from typing import Any

import pytest

from doctor.collect.machine import Root as MachineRoot
from doctor.collect.machine import cached_libraries, collect, nvidia_toolkit, read_cpu

NATIVE = {"x86_64": 62, "aarch64": 183, "ppc64le": 21}
TRIPLET = platform.machine() + "-linux-gnu"

PROPRIETARY = (
    "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023\n"
    "GCC version:  gcc version 11.4.0 (Ubuntu 11.4.0-1ubuntu1~22.04)\n"
)
OPEN = (
    "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.133.20  Release Build  (dvs-builder@U22-I3)  Sun\n"
    "GCC version:  gcc version 13.3.0\n"
)
ANSWER = {
    "driver": {"version": "535.104.05", "cuda_version": "12.2", "nvml_version": "12.535.104.05"},
    "gpus": [
        {"index": 0, "name": "NVIDIA A100-SXM4-40GB", "compute_capability": "8.0", "memory_mib": 40960, "mig": False}
    ],
}


class Machine:
    """A folder that looks like the root of a machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.write("/proc/sys/kernel/osrelease", "5.15.0-91-generic\n")
        self.write("/proc/sys/kernel/hostname", "trainer-03\n")
        self.write("/etc/os-release", 'NAME="Ubuntu"\nID=ubuntu\nVERSION_ID="22.04"\n')
        self.write("/proc/cpuinfo", "processor\t: 0\nmodel name\t: AMD EPYC 7763\nflags\t\t: fpu avx avx2 fma\n\n")
        (folder / "sys/bus/pci/devices").mkdir(parents=True)
        (folder / "dev").mkdir()

    def write(self, path: str, data: str | bytes = "") -> Path:
        place = self.folder / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data.encode() if isinstance(data, str) else data)
        return place

    def link(self, path: str, target: str) -> None:
        place = self.folder / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(target)

    def pci(self, address: str, vendor: str, device: str, kind: str) -> None:
        for name, value in (("vendor", vendor), ("device", device), ("class", kind)):
            self.write(f"/sys/bus/pci/devices/{address}/{name}", value + "\n")

    def library(self, path: str, bits: int = 64, machine: int | None = None) -> None:
        number = NATIVE.get(platform.machine(), 62) if machine is None else machine
        self.write(path, b"\x7fELF" + bytes([bits // 32, 1, 1]) + bytes(9) + struct.pack("<HH", 3, number) + bytes(44))

    def collect(self, answer: dict[str, Any] | None = None, **environ: str) -> dict[str, Any]:
        return collect(str(self.folder), environ, (lambda: answer) if answer is not None else None)

    def machine(self, answer: dict[str, Any] | None = None, **environ: str) -> dict[str, Any]:
        found: dict[str, Any] = self.collect(answer, **environ)["machine"]
        return found


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def failed(error: str) -> dict[str, Any]:
    return {"driver": {"error": error}, "gpus": {"missing": error}}


def test_a_healthy_machine(machine: Machine) -> None:
    """Files and NVML join into the section that the contract shows."""
    machine.write("/proc/driver/nvidia/version", PROPRIETARY)
    machine.pci("0000:81:00.0", "0x10de", "0x20b0", "0x030200")
    machine.library(f"/usr/lib/{TRIPLET}/libcuda.so.535.104.05")
    machine.link(f"/usr/lib/{TRIPLET}/libcuda.so.1", "libcuda.so.535.104.05")
    for name in ("nvidia0", "nvidiactl", "nvidia-uvm"):
        machine.write("/dev/" + name)
    found = machine.machine(ANSWER)
    assert found["driver"] == {
        "present": True,
        "version": "535.104.05",
        "cuda_version": "12.2",
        "nvml_version": "12.535.104.05",
        "kernel_module_version": "535.104.05",
        "open_kernel_module": False,
        "libcuda_version": "535.104.05",
        "libcuda_path": f"/usr/lib/{TRIPLET}/libcuda.so.1",
    }
    assert found["gpus"] == ANSWER["gpus"]
    assert found["pci_gpus"] == ["10de:20b0"]
    assert found["devices"] == ["/dev/nvidia-uvm", "/dev/nvidia0", "/dev/nvidiactl"]
    assert (found["name"], found["os"], found["kernel"]) == ("trainer-03", "linux", "5.15.0-91-generic")
    assert found["distribution"] == {"id": "ubuntu", "version": "22.04"}
    assert found["cpu"] == {"model": "AMD EPYC 7763", "flags": ["avx", "avx2", "fma", "fpu"], "cores": 1}
    assert (found["wsl"], found["nouveau"], found["engine"]) == (False, False, {"nvidia_toolkit": ""})


def test_the_open_kernel_module_is_recognised(machine: Machine) -> None:
    """The open module words its version differently."""
    machine.write("/proc/driver/nvidia/version", OPEN)
    driver = machine.machine()["driver"]
    assert (driver["kernel_module_version"], driver["open_kernel_module"]) == ("570.133.20", True)


def test_without_any_nvidia_hardware(machine: Machine) -> None:
    """Looked everywhere, and there is none: empty lists and false; missing is only what a driver could tell."""
    found = machine.machine(failed("NVML_ERROR_LIBRARY_NOT_FOUND"))
    assert found["driver"]["present"] is False
    assert "error" not in found["driver"]
    assert (found["gpus"], found["pci_gpus"], found["devices"]) == ([], [], [])


@pytest.mark.parametrize("error", ["NVML_ERROR_LIBRARY_NOT_FOUND", "NVML_ERROR_DRIVER_NOT_LOADED"])
def test_a_gpu_without_a_driver(machine: Machine, error: str) -> None:
    """The hardware is known from PCI; what the GPU is stays unknown, and nouveau is told."""
    machine.pci("0000:01:00.0", "0x10de", "0x2684", "0x030000")
    machine.pci("0000:01:00.1", "0x10de", "0x22ba", "0x040300")  # its audio function
    machine.pci("0000:02:00.0", "0x8086", "0x9a49", "0x030000")
    (machine.folder / "sys/module/nouveau").mkdir(parents=True)
    found = machine.machine(failed(error))
    assert found["driver"]["present"] is False
    assert found["pci_gpus"] == ["10de:2684"]
    assert "missing" in found["gpus"]
    assert found["nouveau"] is True


def test_a_mismatch_keeps_both_versions(machine: Machine) -> None:
    """After an update without a restart NVML fails; kernel module and libcuda are both still known."""
    machine.write("/proc/driver/nvidia/version", PROPRIETARY)
    machine.library("/usr/lib64/libcuda.so.535.129.03")
    machine.link("/usr/lib64/libcuda.so.1", "libcuda.so.535.129.03")
    driver = machine.machine(failed("NVML_ERROR_LIB_RM_VERSION_MISMATCH"))["driver"]
    assert driver["present"] is True
    assert driver["error"] == "NVML_ERROR_LIB_RM_VERSION_MISMATCH"
    assert (driver["kernel_module_version"], driver["libcuda_version"]) == ("535.104.05", "535.129.03")
    assert driver["version"] == "535.104.05"
    assert driver["cuda_version"] == {"missing": "NVML_ERROR_LIB_RM_VERSION_MISMATCH"}


def test_a_hanging_nvml_leaves_what_files_tell(machine: Machine) -> None:
    """The version comes from the kernel module, the GPUs' names from its own list, the rest carries the reason."""
    machine.write("/proc/driver/nvidia/version", PROPRIETARY)
    machine.write("/proc/driver/nvidia/gpus/0000:81:00.0/information", "Model: \t\t NVIDIA A100-SXM4-40GB\nIRQ: 70\n")
    why = "NVML did not answer within 5 s"
    found = machine.machine({"driver": {"missing": why}, "gpus": {"missing": why}})
    assert found["driver"]["present"] is True
    assert found["driver"]["version"] == "535.104.05"
    assert found["driver"]["cuda_version"] == {"missing": why}
    assert found["gpus"] == [{"index": 0, "name": "NVIDIA A100-SXM4-40GB"}]


def test_nothing_is_concluded_from_silence(machine: Machine) -> None:
    """Without the kernel module's files a hang leaves it open whether there is a driver."""
    why = "NVML did not answer within 5 s"
    found = machine.collect({"driver": {"missing": why}, "gpus": {"missing": why}})
    assert found["machine"]["driver"]["present"] == {"missing": why}
    assert {"path": "machine.gpus", "why": why} in found["gaps"]


class TestContainer:
    """Inside a container or pod: the host's driver shines through /proc, its engine and distribution do not."""

    @pytest.mark.parametrize(
        ("path", "content", "environ", "kind"),
        [
            ("/.dockerenv", "", {}, "docker"),
            ("/run/.containerenv", "", {}, "podman"),
            ("/proc/1/cgroup", "11:cpu:/kubepods/besteffort/pod1/abc\n", {}, "kubernetes"),
            ("/var/run/secrets/kubernetes.io/serviceaccount/token", "", {}, "kubernetes"),
            ("/.dockerenv", "", {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "kubernetes"),
            ("/proc/1/cgroup", "11:cpu:/docker/0123456789abcdef\n", {}, "docker"),
            ("/proc/1/cgroup", "1:name=systemd:/machine.slice/libpod-1.scope\n0::/libpod\n", {}, "podman"),
            ("/run/systemd/container", "systemd-nspawn\n", {}, "systemd-nspawn"),
            ("/.singularity.d/runscript", "", {}, "apptainer"),
            ("/etc/x", "", {"container": "lxc"}, "lxc"),
        ],
    )
    def test_kinds(self, machine: Machine, path: str, content: str, environ: dict[str, str], kind: str) -> None:
        """Each kind is told by its usual sign."""
        machine.write(path, content)
        found = machine.collect(**environ)
        assert found["machine"]["virtualization"] == kind
        assert found["in_container"]
        assert "missing" in found["machine"]["distribution"]
        assert "engine" not in found["machine"]

    def test_the_host_s_driver_is_seen_without_its_libraries(self, machine: Machine) -> None:
        """A container without the NVIDIA runtime on a GPU machine: a driver is there, libraries and devices are not."""
        machine.write("/.dockerenv")
        machine.write("/proc/driver/nvidia/version", PROPRIETARY)
        machine.pci("0000:81:00.0", "0x10de", "0x20b0", "0x030200")
        found = machine.machine(failed("NVML_ERROR_LIBRARY_NOT_FOUND"))
        assert found["driver"]["present"] is True
        assert found["driver"]["version"] == "535.104.05"
        assert found["driver"]["error"] == "NVML_ERROR_LIBRARY_NOT_FOUND"
        assert found["driver"]["libcuda_version"] == {"missing": "the loader finds no libcuda.so.1 of the driver"}
        assert found["devices"] == []

    def test_a_denied_device_is_not_accessible(self, machine: Machine) -> None:
        """A node that exists but cannot be opened (device cgroup) is listed with the reason, not among the devices."""
        machine.write("/.dockerenv")
        machine.write("/proc/driver/nvidia/version", PROPRIETARY)
        machine.write("/dev/nvidia0")
        machine.write("/dev/nvidiactl")
        answer = {**failed("NVML_ERROR_UNKNOWN"), "denied": {"/dev/nvidiactl": "EPERM"}}
        found = machine.machine(answer)
        assert found["devices"] == ["/dev/nvidia0"]
        node = next(node for node in found["device_nodes"] if node["path"] == "/dev/nvidiactl")
        assert (node["readable"], node["writable"], node["error"]) == (False, False, "EPERM")

    def test_a_compat_libcuda_is_not_the_host_s(self, machine: Machine) -> None:
        """cuda-compat's library is passed over, and a CUDA version that NVML read through it is not believed."""
        machine.write("/proc/driver/nvidia/version", PROPRIETARY)
        machine.library("/usr/local/cuda-12.9/compat/libcuda.so.575.57.08")
        machine.link("/usr/local/cuda-12.9/compat/libcuda.so.1", "libcuda.so.575.57.08")
        machine.library(f"/usr/lib/{TRIPLET}/libcuda.so.535.104.05")
        machine.link(f"/usr/lib/{TRIPLET}/libcuda.so.1", "libcuda.so.535.104.05")
        driver = machine.machine(ANSWER, LD_LIBRARY_PATH="/usr/local/cuda-12.9/compat")["driver"]
        assert driver["libcuda_version"] == "535.104.05"
        assert "missing" in driver["cuda_version"]


class TestWsl:
    """Windows Subsystem for Linux."""

    @pytest.mark.parametrize(
        ("release", "generation"),
        [
            ("5.15.133.1-microsoft-standard-WSL2", 2),
            ("4.4.0-19041-Microsoft", 1),
            ("6.6.87-my-WSL2-build", 2),
            ("5.15.0-1053-azure", False),
            ("6.8.0-generic", False),
        ],
    )
    def test_generations(self, machine: Machine, release: str, generation: int | bool) -> None:
        """The kernel's name tells the generation."""
        machine.write("/proc/sys/kernel/osrelease", release)
        assert machine.machine()["wsl"] is generation or machine.machine()["wsl"] == generation

    def test_the_driver_comes_from_windows(self, machine: Machine) -> None:
        """libcuda is found in Windows' folder, its file name tells no version, and PCI is no witness."""
        machine.write("/proc/sys/kernel/osrelease", "5.15.133.1-microsoft-standard-WSL2")
        machine.write("/dev/dxg")
        machine.library("/usr/lib/wsl/lib/libcuda.so.1")
        found = machine.machine(ANSWER)
        assert found["virtualization"] == "wsl"
        assert found["driver"]["libcuda_path"] == "/usr/lib/wsl/lib/libcuda.so.1"
        assert "missing" in found["driver"]["libcuda_version"]
        assert "missing" in found["pci_gpus"]
        assert found["devices"] == ["/dev/dxg"]

    def test_a_linux_libcuda_that_hides_it_is_seen(self, machine: Machine) -> None:
        """A driver installed inside WSL comes first: its path and version say so."""
        machine.write("/proc/sys/kernel/osrelease", "5.15.133.1-microsoft-standard-WSL2")
        machine.library("/usr/lib/wsl/lib/libcuda.so.1")
        machine.library(f"/usr/lib/{TRIPLET}/libcuda.so.470.256.02")
        machine.link(f"/usr/lib/{TRIPLET}/libcuda.so.1", "libcuda.so.470.256.02")
        driver = machine.machine(ANSWER)["driver"]
        assert driver["libcuda_path"] == f"/usr/lib/{TRIPLET}/libcuda.so.1"
        assert driver["libcuda_version"] == "470.256.02"


class TestLoader:
    """Which libcuda the loader would find."""

    def test_order(self, machine: Machine) -> None:
        """LD_LIBRARY_PATH, then ld.so.cache, then the default folders."""
        for folder, version in (("/opt/a", "550.54.15"), ("/opt/b", "545.23.08"), (f"/usr/lib/{TRIPLET}", "535.54.03")):
            machine.library(f"{folder}/libcuda.so.{version}")
            machine.link(f"{folder}/libcuda.so.1", f"libcuda.so.{version}")
        assert machine.machine()["driver"]["libcuda_version"] == "535.54.03"
        machine.write("/etc/ld.so.cache", ld_so_cache([("libcuda.so.1", "/opt/b/libcuda.so.1")]))
        assert machine.machine()["driver"]["libcuda_version"] == "545.23.08"
        assert machine.machine(LD_LIBRARY_PATH="/none:/opt/a")["driver"]["libcuda_version"] == "550.54.15"

    def test_a_library_for_another_processor_is_passed_over(self, machine: Machine) -> None:
        """A 32-bit copy, one of another architecture and a text file do not count."""
        machine.library("/opt/32/libcuda.so.1", bits=32)
        machine.library("/opt/other/libcuda.so.1", machine=2)
        machine.write("/opt/text/libcuda.so.1", "INPUT(libcuda.so)")
        found = machine.machine(LD_LIBRARY_PATH="/opt/32:/opt/other:/opt/text")
        assert "libcuda_path" not in found["driver"]

    def test_absolute_links_stay_inside_the_root(self, machine: Machine) -> None:
        """Links are followed as in a chroot, and a circle of links ends."""
        machine.library("/opt/driver/libcuda.so.535.104.05")
        machine.link("/usr/lib64/libcuda.so.1", "/opt/driver/libcuda.so.535.104.05")
        machine.link("/opt/loop/libcuda.so.1", "/opt/loop/libcuda.so.1")
        machine.link("/opt/up/libcuda.so.1", "../../../../../../../opt/driver/libcuda.so.535.104.05")
        assert machine.machine(LD_LIBRARY_PATH="/opt/loop:/opt/up")["driver"]["libcuda_path"] == "/opt/up/libcuda.so.1"

    def test_this_machine_s_cache_is_read(self) -> None:
        """The cache of a real glibc system lists its libc."""
        cache = Path("/etc/ld.so.cache")
        if not cache.is_file():
            pytest.skip("this system has no /etc/ld.so.cache")
        paths = cached_libraries(cache.read_bytes(), "libc.so.6")
        assert paths
        assert all(path.endswith("/libc.so.6") and Path(path).exists() for path in paths)

    @pytest.mark.parametrize(
        "data", [b"", b"glibc-ld.so.cache1.1", b"glibc-ld.so.cache1.1" + b"\xff" * 100, b"x" * 999]
    )
    def test_a_broken_cache_is_empty(self, data: bytes) -> None:
        """Garbage in the cache finds nothing and breaks nothing."""
        assert cached_libraries(data, "libcuda.so.1") == []


def ld_so_cache(entries: list[tuple[str, str]]) -> bytes:
    """A cache as ldconfig writes it (glibc 2.32 and later, without extensions)."""
    start = 48 + 24 * len(entries)
    strings, table = b"", b""
    for name, path in entries:
        key = start + len(strings)
        strings += name.encode() + b"\0"
        value = start + len(strings)
        strings += path.encode() + b"\0"
        table += struct.pack("=iIIIQ", 0x303, key, value, 0, 0)
    head = b"glibc-ld.so.cache1.1" + struct.pack("=II", len(entries), len(strings)) + bytes(20)
    return head + table + strings


class TestCpu:
    """/proc/cpuinfo of several architectures."""

    def test_arm(self) -> None:
        """Arm calls its flags features and has numbers for a model."""
        text = (
            "processor\t: 0\nFeatures\t: fp asimd sve\nCPU implementer\t: 0x41\nCPU part\t: 0xd4f\n\nprocessor\t: 1\n"
        )
        assert read_cpu(text) == {
            "model": "Arm implementer 0x41 part 0xd4f",
            "flags": ["asimd", "fp", "sve"],
            "cores": 2,
        }

    def test_unreadable(self) -> None:
        """No file is a missing fact, never an empty list of flags."""
        assert read_cpu(None) == {"missing": "/proc/cpuinfo cannot be read"}
        assert read_cpu("processor : 0\n")["flags"] == {"missing": "/proc/cpuinfo has no flags"}


@pytest.mark.parametrize(
    ("product", "vendor", "kind"),
    [
        ("Standard PC (Q35 + ICH9, 2009)", "QEMU", "qemu"),
        ("VMware Virtual Platform", "VMware, Inc.", "vmware"),
        ("Virtual Machine", "Microsoft Corporation", "hyperv"),
        ("p4d.24xlarge", "Amazon EC2", "amazon"),
        ("Google Compute Engine", "Google", "google"),
        ("X", "Y", "vm"),
    ],
)
def test_virtual_machines(machine: Machine, product: str, vendor: str, kind: str) -> None:
    """The firmware names the hypervisor; on x86 only where the processor says that there is one."""
    machine.write("/sys/class/dmi/id/product_name", product + "\n")
    machine.write("/sys/class/dmi/id/sys_vendor", vendor + "\n")
    if platform.machine() == "x86_64":
        assert machine.machine()["virtualization"] is None
    machine.write("/proc/cpuinfo", "processor: 0\nmodel name: Xeon\nflags: fpu hypervisor avx\n")
    assert machine.machine()["virtualization"] == kind


class TestToolkit:
    """nvidia-container-toolkit's version, without running it."""

    STATUS = (
        "Package: libc6\nStatus: install ok installed\nVersion: 2.36-9\n\n"
        "Package: nvidia-container-toolkit\nStatus: {status}\nPriority: optional\nSection: utils\nVersion: 1.17.3-1\n\n"
        "Package: zlib1g\nStatus: install ok installed\nVersion: 1:1.2.13\n"
    )

    def test_debian(self, machine: Machine) -> None:
        """dpkg's list names it; a removed package does not count."""
        machine.write("/var/lib/dpkg/status", self.STATUS.format(status="install ok installed"))
        assert machine.machine()["engine"] == {"nvidia_toolkit": "1.17.3"}
        machine.write("/var/lib/dpkg/status", self.STATUS.format(status="deinstall ok config-files"))
        assert machine.machine()["engine"] == {"nvidia_toolkit": ""}

    def test_rpm_systems_by_the_library_s_name(self, machine: Machine) -> None:
        """Elsewhere the library's own file name tells."""
        machine.write("/usr/lib64/libnvidia-container.so.1.16.2")
        machine.link("/usr/lib64/libnvidia-container.so.1", "libnvidia-container.so.1.16.2")
        assert nvidia_toolkit(MachineRoot(str(machine.folder))) == "1.16.2"

    def test_there_without_a_version(self, machine: Machine) -> None:
        """Something installed by hand is known to be there, its version is not."""
        machine.write("/usr/bin/nvidia-ctk")
        assert "missing" in nvidia_toolkit(MachineRoot(str(machine.folder)))


def test_an_empty_root_is_gaps_and_no_exception(tmp_path: Path) -> None:
    """Where nothing can be read nothing is claimed."""
    found = collect(str(tmp_path), {}, None)
    gaps = {gap["path"] for gap in found["gaps"]}
    assert {"machine.name", "machine.kernel", "machine.cpu", "machine.pci_gpus", "machine.distribution"} <= gaps
    assert "missing" in found["machine"]["driver"]["present"]


def test_hostile_files_are_bounded(machine: Machine) -> None:
    """Endless names, binary data and folders where files should be neither break nor bloat the answer."""
    machine.write("/proc/sys/kernel/hostname", "x" * 100_000)
    machine.write("/etc/os-release", b"\xff\xfe\x00ID=" + b"y" * 100_000)
    (machine.folder / "proc/driver/nvidia/version").mkdir(parents=True)
    machine.write("/proc/cpuinfo", b"\x00\xff" * 10_000)
    found = machine.machine()
    assert len(found["name"]) <= 200
    assert all(len(str(value)) < 1000 for value in found["distribution"].values())
    assert "kernel_module_version" not in found["driver"]


def test_another_system_is_named_and_nothing_is_invented(tmp_path: Path) -> None:
    """On Windows and macOS the section says which system it is and what the standard library knows."""
    found = collect(str(tmp_path), {}, lambda: failed("NVML_ERROR_LIBRARY_NOT_FOUND"), "Windows")["machine"]
    assert found["os"] == "windows"
    assert found["driver"]["present"] is False
    assert "missing" in found["gpus"]
