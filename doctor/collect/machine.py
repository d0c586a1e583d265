"""The machine collector: what a container cannot bring along, read from files.

One stdlib-only file for CPython 3.6 and later that imports nothing of doctor. It only reads files below a root; what
must be asked for (NVML) is handed in as a function, so that the doctor and the remote probe can each ask in their own
way (`doctor.io.nvml`, `doctor.payloads.nvml`), and a test can give a root and a driver that it made up.
"""

import os
import platform
import re
import stat
import struct

TYPE_CHECKING = False  # typing itself need not be imported on the node
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Tuple

    Facts = Dict[str, Any]

MAX_TEXT = 8 << 20  # /proc/cpuinfo of a machine with a thousand processors has about 3 MB
MAX_NAMES = 4096
MAX_FIELD = 200
MAX_LINKS = 40

NO_DRIVER = "no NVIDIA driver is loaded, so nothing can name the GPUs"
COMPAT = re.compile(r"/(cuda-)?compat(/|$)")
WSL_FOLDER = "/usr/lib/wsl/lib"


class Root:
    """Files below a folder that stands for "/": links are followed inside it, reads are bounded, failures are None."""

    def __init__(self, folder: str = "/") -> None:
        self.folder = folder.rstrip("/")

    def real(self, path: str) -> "Optional[str]":
        """`path` with every link followed inside the root; None where something of it is not there."""
        todo, done, links = path.strip("/").split("/"), "", 0
        while todo:
            name = todo.pop(0)
            if name in ("", "."):
                continue
            if name == "..":
                done = done.rpartition("/")[0]
                continue
            here = done + "/" + name
            try:
                target = os.readlink(self.folder + here) if os.path.islink(self.folder + here) else None
            except OSError:
                return None
            if target is None:
                done = here
                continue
            links += 1
            if links > MAX_LINKS:
                return None
            if target.startswith("/"):
                done = ""
            todo = target.split("/") + todo
        return done if os.path.lexists(self.folder + done) else None

    def exists(self, path: str) -> bool:
        return self.real(path) is not None

    def outside(self, path: str) -> "Optional[str]":
        """Where `path` lies for the system's own calls."""
        real = self.real(path)
        return None if real is None else (self.folder + real or "/")

    def data(self, path: str, limit: int = MAX_TEXT) -> "Optional[bytes]":
        place = self.outside(path)
        try:
            if place is None or not stat.S_ISREG(os.stat(place).st_mode):
                return None
            with open(place, "rb") as file:
                return file.read(limit)
        except OSError:
            return None

    def text(self, path: str, limit: int = MAX_TEXT) -> "Optional[str]":
        data = self.data(path, limit)
        return None if data is None else data.decode("utf-8", "replace")

    def line(self, path: str) -> "Optional[str]":
        """A file's first line without the space around it, cut to a bearable length."""
        text = self.text(path, 4096)
        return None if text is None else text.strip().partition("\n")[0][:MAX_FIELD]

    def names(self, path: str) -> "Optional[List[str]]":
        place = self.outside(path)
        if place is None:
            return None
        try:
            return sorted(os.listdir(place))[:MAX_NAMES]
        except OSError:
            return None


def collect(
    root: str = "/",
    environ: "Optional[Mapping[str, str]]" = None,
    nvml: "Optional[Callable[[], Facts]]" = None,
    system: "Optional[str]" = None,
) -> "Facts":
    """{"machine": the contract's section, "partial": [...], "gaps": [{"path", "why"}], "in_container": bool}.

    `environ`: the environment variables that the loader and the tell-tales of containers are read from. `nvml`: who is
    asked for the driver and the GPUs, answering as `doctor.payloads.nvml.ask` does. `system`: the kernel's name, if not
    this process's ("linux"). Never raises for what it finds; what is not known is {"missing": why}.
    """
    files = Root(root)
    env = os.environ if environ is None else environ
    name = (system or platform.system()).lower()
    if name != "linux":
        machine = _elsewhere(name)
        machine.update(_nvidia(files, env, nvml, False, {}))
        return {"machine": machine, "partial": [], "gaps": [], "in_container": False}
    release = files.line("/proc/sys/kernel/osrelease")
    wsl = wsl_generation(files, release or "")
    cpu = read_cpu(files.text("/proc/cpuinfo"))
    container = container_kind(files, env)
    machine = {
        "name": files.line("/proc/sys/kernel/hostname") or missing("/proc/sys/kernel/hostname cannot be read"),
        "os": "linux",
        "distribution": missing("a container does not show the distribution of its host")
        if container
        else read_distribution(files),
        "kernel": release or missing("/proc/sys/kernel/osrelease cannot be read"),
        "architecture": platform.machine(),
        "wsl": wsl,
        "virtualization": container or ("wsl" if wsl else hypervisor(files, cpu)),
        "cpu": cpu,
        "pci_gpus": pci_gpus(files),
        "nouveau": files.exists("/sys/module/nouveau"),
    }
    machine.update(_nvidia(files, env, nvml, bool(wsl), machine["pci_gpus"]))
    if not container:
        machine["engine"] = {"nvidia_toolkit": nvidia_toolkit(files)}
    gaps = [
        {"path": "machine." + key, "why": value["missing"]}
        for key, value in sorted(machine.items())
        if isinstance(value, dict) and "missing" in value
    ]
    partial = ["machine.gpus"] if isinstance(machine["gpus"], list) and machine["driver"].get("error") else []
    return {"machine": machine, "partial": partial, "gaps": gaps, "in_container": container is not None}


def missing(why: str) -> "Facts":
    return {"missing": why}


def _elsewhere(name: str) -> "Facts":
    """What the standard library knows of a system other than Linux."""
    return {
        "name": platform.node()[:MAX_FIELD],
        "os": name,
        "kernel": platform.release()[:MAX_FIELD],
        "architecture": platform.machine().lower(),
        "wsl": False,
        "cpu": {
            "model": platform.processor()[:MAX_FIELD] or missing("not said by the system"),
            "cores": os.cpu_count(),
        },
    }


def read_distribution(files: Root) -> "Facts":
    """ID and VERSION_ID of os-release(5)."""
    text = files.text("/etc/os-release", 65536)
    if text is None:
        text = files.text("/usr/lib/os-release", 65536)
    if text is None:
        return missing("there is no /etc/os-release")
    values = {}
    for line in text.splitlines():
        key, equals, value = line.strip().partition("=")
        if equals:
            values[key] = value.strip().strip("\"'")[:MAX_FIELD]
    result = {"id": values.get("ID", "linux")}  # os-release(5): the default of ID
    if "VERSION_ID" in values:
        result["version"] = values["VERSION_ID"]
    return result


def read_cpu(text: "Optional[str]") -> "Facts":
    """Model, flags and logical processors out of /proc/cpuinfo (x86: `flags`, Arm: `Features`)."""
    if not text:
        return missing("/proc/cpuinfo cannot be read")
    fields = {}  # type: Dict[str, str]
    cores = 0
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        key = key.strip()
        if colon and key == "processor":
            cores += 1
        if colon and key not in fields:
            fields[key] = value.strip()
    flags = fields.get("flags", fields.get("Features"))
    model = fields.get("model name") or fields.get("cpu model") or fields.get("cpu")
    if model is None and "CPU implementer" in fields:
        # 64-bit Arm kernels give numbers only; names for them are not the kernel's to know
        model = "Arm implementer %s part %s" % (fields["CPU implementer"], fields.get("CPU part", "?"))
    return {
        "model": model[:MAX_FIELD] if model else missing("/proc/cpuinfo has no model"),
        "flags": sorted(set(flags.split())) if flags is not None else missing("/proc/cpuinfo has no flags"),
        "cores": cores or missing("/proc/cpuinfo lists no processors"),
    }


def wsl_generation(files: Root, release: str) -> "Any":
    """False, 1 or 2. Microsoft's kernels are called `4.4.0-19041-Microsoft` (1) and `…-microsoft-standard-WSL2` (2)."""
    lower = release.lower()
    if "microsoft-standard" in lower or "wsl2" in lower:
        return 2
    if lower.endswith("-microsoft"):
        return 1
    # a kernel that the user built: only generation 2 can run one
    return 2 if files.exists("/dev/dxg") and files.exists(WSL_FOLDER) else False


def container_kind(files: Root, env: "Mapping[str, str]") -> "Optional[str]":
    """What kind of container this process runs in: kubernetes, podman, docker, lxc, …; None where in none."""
    groups = "".join(files.text(path, 65536) or "" for path in ("/proc/1/cgroup", "/proc/self/cgroup"))
    if (
        "KUBERNETES_SERVICE_HOST" in env
        or files.exists("/run/secrets/kubernetes.io")
        or files.exists("/var/run/secrets/kubernetes.io")
        or "kubepods" in groups
    ):
        return "kubernetes"
    if files.exists("/run/.containerenv"):
        return "podman"
    if files.exists("/.dockerenv"):
        return "docker"
    if files.exists("/.singularity.d") or "APPTAINER_CONTAINER" in env or "SINGULARITY_CONTAINER" in env:
        return "apptainer"
    told = env.get("container") or files.line("/run/systemd/container")
    if told and re.match(r"[a-z][a-z0-9-]{0,30}$", told):
        return "wsl" if told == "wsl" else told
    for sign, kind in (("/libpod", "podman"), ("/docker", "docker"), ("containerd", "containerd"), ("/lxc", "lxc")):
        if sign in groups:
            return kind
    return None


# What the firmware calls a virtual machine: systemd's src/basic/virt.c, dmi_vendor_table, with its own names.
_DMI = (
    ("KVM", "kvm"),
    ("OpenStack", "kvm"),
    ("KubeVirt", "kvm"),
    ("QEMU", "qemu"),
    ("Amazon EC2", "amazon"),
    ("VMware", "vmware"),
    ("VMW", "vmware"),
    ("innotek GmbH", "virtualbox"),
    ("VirtualBox", "virtualbox"),
    ("Oracle Corporation", "virtualbox"),
    ("Xen", "xen"),
    ("Bochs", "bochs"),
    ("Parallels", "parallels"),
    ("BHYVE", "bhyve"),
    ("Hyper-V", "hyperv"),
    ("Virtual Machine", "hyperv"),
    ("Apple Virtualization", "apple"),
    ("Google Compute Engine", "google"),
)


def hypervisor(files: Root, cpu: "Facts") -> "Optional[str]":
    """The virtual machine's kind ("vm" where it does not tell), None on bare metal."""
    model = cpu.get("model")
    if isinstance(model, str) and model.startswith("VirtualApple"):
        return "rosetta"
    flags = cpu.get("flags")
    if isinstance(flags, list) and platform.machine() == "x86_64" and "hypervisor" not in flags:
        return None  # bare-metal machines of a cloud carry the same vendor names
    told = [
        files.line("/sys/class/dmi/id/" + name) or ""
        for name in ("product_name", "sys_vendor", "board_vendor", "bios_vendor", "product_version")
    ]
    for text in told:
        for sign, kind in _DMI:
            if text.startswith(sign):
                return kind
    if files.line("/sys/hypervisor/type") == "xen":
        return "xen"
    return "vm" if isinstance(flags, list) and "hypervisor" in flags else None


def pci_gpus(files: Root) -> "Any":
    """NVIDIA's display and 3D controllers as "vendor:device" (PCI classes 0300 and 0302)."""
    if files.exists("/dev/dxg"):
        return missing("WSL shows a GPU through /dev/dxg, not as a PCI device")
    if files.exists("/sys/module/nvgpu"):
        return missing("an integrated Tegra GPU is no PCI device")
    names = files.names("/sys/bus/pci/devices")
    if names is None:
        if files.names("/sys/bus") is not None:
            return []  # a kernel without PCI
        return missing("/sys/bus/pci/devices cannot be read")
    found = []
    for name in names:
        folder = "/sys/bus/pci/devices/" + name
        if files.line(folder + "/vendor") != "0x10de":
            continue
        kind, device = files.line(folder + "/class") or "", files.line(folder + "/device") or ""
        if kind[:6] in ("0x0300", "0x0302") and re.match(r"0x[0-9a-f]{4}$", device):
            found.append("10de:" + device[2:])
    return found


def _nvidia(
    files: Root, env: "Mapping[str, str]", nvml: "Optional[Callable[[], Facts]]", wsl: bool, pci: "Any"
) -> "Facts":
    """driver, gpus, devices and device_nodes: the files joined with what NVML said."""
    answer = (
        nvml() if nvml is not None else {"driver": missing("NVML was not asked"), "gpus": missing("NVML was not asked")}
    )
    driver = read_driver(files, env, wsl)
    join_driver(driver, answer, files.exists("/sys/module/nvidia"))
    gpus = answer.get("gpus", missing("NVML gave no answer"))
    if not isinstance(gpus, list):
        gpus = gpus_of_kernel(files) or gpus
    if driver["present"] is False:
        gpus = [] if pci == [] else missing(NO_DRIVER)
    nodes = device_nodes(files, answer.get("denied"))
    return {
        "driver": driver,
        "gpus": gpus,
        "devices": [node["path"] for node in nodes if node["readable"] and node["writable"]],
        "device_nodes": nodes,
    }


_MODULE = re.compile(r"NVRM version:.*?Kernel Module(?: for \S+)?\s+(\d+(?:\.\d+)+)")


def read_driver(files: Root, env: "Mapping[str, str]", wsl: bool) -> "Facts":
    """The driver as far as files tell: the loaded kernel module and the host's libcuda."""
    driver = {}  # type: Facts
    loaded = files.text("/proc/driver/nvidia/version", 4096)
    found = _MODULE.search(loaded) if loaded else None
    version = found.group(1) if found else files.line("/sys/module/nvidia/version")
    if version and re.match(r"\d+(\.\d+)+$", version):
        driver["kernel_module_version"] = version
        driver["open_kernel_module"] = "Open Kernel Module" in (loaded or "")
    candidates = list(find_library(files, env, "libcuda.so.1"))
    driver["compat_first"] = bool(candidates) and bool(COMPAT.search(candidates[0][0]))
    for path, real in candidates:
        if COMPAT.search(path) or COMPAT.search(real):
            continue  # a container's own libcuda is software, not the host's driver
        driver["libcuda_path"] = path
        name = re.match(r"libcuda\.so\.(\d{3}(?:\.\d+)+)$", real.rpartition("/")[2])
        if name:
            driver["libcuda_version"] = name.group(1)
        elif wsl:
            driver["libcuda_version"] = missing("under WSL the file's name does not tell")
        else:
            driver["libcuda_version"] = missing("the name %s does not tell" % real.rpartition("/")[2][:MAX_FIELD])
        break
    else:
        driver["libcuda_version"] = missing("the loader finds no libcuda.so.1 of the driver")
    return driver


def join_driver(driver: "Facts", answer: "Facts", module: bool) -> None:
    """Add to `driver` what NVML said, and whether there is a driver at all. `module`: /sys/module/nvidia is there."""
    told = answer.get("driver")
    told = told if isinstance(told, dict) else {}
    loaded = module or "kernel_module_version" in driver
    error, why = told.get("error"), told.get("missing")
    compat = driver.pop("compat_first", False)
    if isinstance(told.get("version"), str) or loaded:
        driver["present"] = True
    elif error in ("NVML_ERROR_LIBRARY_NOT_FOUND", "NVML_ERROR_DRIVER_NOT_LOADED"):
        driver["present"] = False
    elif error in ("NVML_ERROR_LIB_RM_VERSION_MISMATCH", "NVML_ERROR_NO_PERMISSION", "NVML_ERROR_GPU_IS_LOST"):
        driver["present"] = True
    else:
        driver["present"] = missing("NVML: %s" % error if error else why or "not known")
    if error and (loaded or error != "NVML_ERROR_LIBRARY_NOT_FOUND"):
        driver["error"] = error
    reason = "no NVIDIA driver is loaded" if driver["present"] is False else error or why or "not known"
    for key in ("version", "cuda_version", "nvml_version"):
        driver[key] = told.get(key) or missing(reason)
    if not isinstance(driver["version"], str) and "kernel_module_version" in driver:
        driver["version"] = driver["kernel_module_version"]
    if compat and isinstance(driver["cuda_version"], str):
        driver["cuda_version"] = missing("NVML read it from the cuda-compat library that the loader finds first")


def gpus_of_kernel(files: Root) -> "Optional[List[Facts]]":
    """GPUs as the kernel module lists them; names only, for where NVML is not there or does not answer."""
    folder = "/proc/driver/nvidia/gpus"
    gpus = []
    for index, bus in enumerate(files.names(folder) or []):
        text = files.text("%s/%s/information" % (folder, bus), 4096) or ""
        name = re.search(r"^Model:\s*(\S.*?)\s*$", text, re.M)
        gpu = {"index": index}  # type: Facts
        if name:
            gpu["name"] = name.group(1)[:MAX_FIELD]
        gpus.append(gpu)
    return gpus or None


_NODE = re.compile(r"(nvidia\d+|nvidiactl|nvidia-uvm|nvidia-uvm-tools|nvidia-modeset|dxg)$")


def device_nodes(files: Root, denied: "Any") -> "List[Facts]":
    """NVIDIA's device nodes and what this user may do with them; `denied`: nodes that could not be opened, and why."""
    paths = ["/dev/" + name for name in files.names("/dev") or [] if _NODE.match(name)]
    paths += ["/dev/nvidia-caps/" + name for name in files.names("/dev/nvidia-caps") or []]
    nodes = []
    for path in paths:
        place = files.outside(path)
        if place is None:
            continue
        refused = denied.get(path) if isinstance(denied, dict) else None
        node = {
            "path": path,
            "mode": "%04o" % stat.S_IMODE(os.stat(place).st_mode),
            "readable": os.access(place, os.R_OK) and not refused,
            "writable": os.access(place, os.W_OK) and not refused,
        }
        if refused:
            node["error"] = refused
        nodes.append(node)
    return nodes


def find_library(files: Root, env: "Mapping[str, str]", name: str) -> "Iterator[Tuple[str, str]]":
    """(path, real path) of each copy of a library in the loader's order: LD_LIBRARY_PATH, ld.so.cache, default folders.

    Copies for another word size or processor are left out, as the loader passes over them.
    """
    folders = [folder for folder in env.get("LD_LIBRARY_PATH", "").split(":") if folder.startswith("/")]
    paths = [folder.rstrip("/") + "/" + name for folder in folders]
    paths += cached_libraries(files.data("/etc/ld.so.cache", 64 << 20) or b"", name)
    triplet = platform.machine() + "-linux-gnu"
    defaults = ["/lib/" + triplet, "/usr/lib/" + triplet, "/lib64", "/usr/lib64", "/lib", "/usr/lib", WSL_FOLDER]
    paths += [folder + "/" + name for folder in defaults]
    seen = set()
    for path in paths:
        real = files.real(path)
        if real is not None and path not in seen and _is_native(files.data(real, 20)):
            seen.add(path)
            yield path, real


# e_machine of elf.h
_MACHINES = {"x86_64": 62, "aarch64": 183, "ppc64le": 21}


def _is_native(head: "Optional[bytes]") -> bool:
    if head is None or len(head) < 20 or head[:4] != b"\x7fELF":
        return False
    wanted = _MACHINES.get(platform.machine())
    return head[4] == 2 and (wanted is None or struct.unpack("<H", head[18:20])[0] == wanted)


def cached_libraries(data: bytes, name: str) -> "List[str]":
    """The paths that ld.so.cache has for a library, in its order (glibc's dl-cache.h, struct cache_file_new)."""
    start = data.find(b"glibc-ld.so.cache1.1")
    if start < 0 or len(data) < start + 48:
        return []
    count = struct.unpack_from("=I", data, start + 20)[0]
    wanted = name.encode() + b"\0"
    paths = []
    for index in range(min(count, (len(data) - start - 48) // 24)):
        key, value = struct.unpack_from("=II", data, start + 48 + 24 * index + 4)
        if data.startswith(wanted, start + key):
            end = data.find(b"\0", start + value)
            paths.append(data[start + value : end].decode("utf-8", "replace"))
    return paths


def nvidia_toolkit(files: Root) -> "Any":
    """The version of nvidia-container-toolkit: Debian's package list, else the file name of its library.

    "" where it is not installed.
    """
    status = files.text("/var/lib/dpkg/status", 64 << 20)
    if status:
        for package in ("nvidia-container-toolkit", "nvidia-container-toolkit-base"):
            found = re.search(
                r"^Package: %s\nStatus: \S+ \S+ installed\n(?:.+\n)*?Version: ([^-\n]+)" % package, status, re.M
            )
            if found:
                return found.group(1)
    triplet = platform.machine() + "-linux-gnu"
    for folder in ("/usr/lib64", "/usr/lib/" + triplet, "/usr/lib"):
        real = files.real(folder + "/libnvidia-container.so.1")
        found = re.search(r"\.so\.(\d+\.\d+\.\d+)$", real) if real else None
        if found:
            return found.group(1)
    if files.exists("/usr/bin/nvidia-ctk") or files.exists("/usr/bin/nvidia-container-runtime"):
        return missing("nvidia-container-toolkit is there, its version is not in its files")
    return ""
