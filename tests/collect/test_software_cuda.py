"""CUDA in fabricated roots: wheels, toolkits, system and conda libraries, on the loader's path and off it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.collect.software_support import dist_info, put, static

SITE = "opt/venv/lib/python3.11/site-packages"
BUILD = (
    "import collections\n"
    "build_info = collections.OrderedDict([('cuda_version', '12.2'), ('cudnn_version', '8'),"
    " ('cuda_compute_capabilities', ['sm_50', 'compute_80']), ('is_cuda_build', True)])\n"
)


class Root:
    """A root with a base Python, a venv with a GPU build of TensorFlow, and stub libraries as a test wants them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        files = {
            "usr/local/bin/python3.11": "",
            "usr/local/lib/python3.11/os.py": "",
            "opt/venv/pyvenv.cfg": "home = /usr/local/bin\nversion = 3.11.9\n",
            "opt/venv/bin/python": "->/usr/local/bin/python3.11",
            f"{SITE}/tensorflow/__init__.py": "",
            f"{SITE}/tensorflow/python/platform/build_info.py": BUILD,
        }
        record = "tensorflow/__init__.py,,\ntensorflow-2.15.0.dist-info/RECORD,,\n"
        wheel = "Tag: cp311-cp311-manylinux2014_x86_64\nTag: cp311-cp311-manylinux_2_17_x86_64\n"
        put(folder, {**files, **dist_info(SITE, "tensorflow", "2.15.0", RECORD=record, WHEEL=wheel)})
        runpath = "$ORIGIN/../nvidia/cuda_runtime/lib:$ORIGIN/../nvidia/cudnn/lib:$ORIGIN/../nvidia/cusolver/lib"
        self.library(f"{SITE}/tensorflow/libtensorflow_framework.so.2", f"-Wl,--enable-new-dtags,-rpath,{runpath}")

    def library(self, place: str, *options: str, soname: str = "", code: str = "int x;") -> Path:
        """A shared object at a place in the root."""
        path = self.folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        name = soname or path.name
        command = ["gcc", "-shared", "-fPIC", "-nostdlib", f"-Wl,-soname,{name}", "-o", str(path), "-xc", "-", "-xnone"]
        subprocess.run([*command, *options], input=code.encode(), capture_output=True, check=True, timeout=60)
        return path

    def wheel(self, name: str, version: str, *places: str) -> None:
        """An nvidia wheel with stub libraries, and a RECORD that claims them."""
        for place in places:
            self.library(f"{SITE}/{place}")
        put(self.folder, dist_info(SITE, name, version, RECORD="".join(f"{place},,\n" for place in places)))

    def cuda(self, **environ: str) -> dict[str, Any]:
        """`software.cuda` of the venv."""
        document = static("/opt/venv/bin/python", environ, self.folder)
        json.dumps(document)
        return document["software"]["cuda"]


@pytest.fixture
def root(tmp_path: Path) -> Root:
    """A root, where there is a compiler for its libraries."""
    if shutil.which("gcc") is None:
        pytest.skip("no gcc to compile stub libraries with")
    return Root(tmp_path / "root")


def library(cuda: dict[str, Any], soname: str, path: str = "") -> dict[str, Any]:
    """The one entry of a soname (under a path)."""
    found = [e for e in cuda["libraries"] if e["soname"] == soname and path in e["path"]]
    assert len(found) == 1, cuda["libraries"]
    return found[0]


def test_a_wheel_on_the_runpath_is_found_with_its_version(root: Root) -> None:
    """What pip installed where TensorFlow's RUNPATH looks is on the path, of origin wheel, in the wheel's version."""
    root.wheel("nvidia-cuda-runtime-cu12", "12.2.140", "nvidia/cuda_runtime/lib/libcudart.so.12")
    entry = library(root.cuda(), "libcudart.so.12")
    assert (entry["on_path"], entry["origin"], entry["version"], entry["loadable"]) == (True, "wheel", "12.2.140", True)
    assert entry["stage"] == "RUNPATH"


def test_a_wheel_off_the_path_is_listed_as_such(root: Root) -> None:
    """KD205 needs it: there, and not where the loader looks."""
    root.wheel("nvidia-cufft-cu12", "11.0.8.103", "nvidia/cufft/lib/libcufft.so.11")
    entry = library(root.cuda(), "libcufft.so.11")
    assert (entry["on_path"], entry["origin"], entry["version"]) == (False, "wheel", "11.0.8.103")


def test_ld_library_path_shadows_the_wheel(root: Root) -> None:
    """TensorFlow has a RUNPATH, so LD_LIBRARY_PATH wins over what pip installed; both are listed, in order."""
    root.wheel("nvidia-cudnn-cu12", "8.9.4.25", "nvidia/cudnn/lib/libcudnn.so.8")
    root.library("opt/old/libcudnn.so.8.6.0", soname="libcudnn.so.8")
    put(root.folder, {"opt/old/libcudnn.so.8": "->libcudnn.so.8.6.0", "opt/old/libcudnn.so": "->libcudnn.so.8"})
    cuda = root.cuda(LD_LIBRARY_PATH="/opt/old")
    first, second = (e for e in cuda["libraries"] if e["soname"] == "libcudnn.so.8")
    assert (first["version"], first["origin"], first["stage"]) == ("8.6.0", "system", "LD_LIBRARY_PATH")
    assert (second["version"], second["origin"], second["order"]) == ("8.9.4.25", "wheel", 1)
    assert first["shadows"] == [second["path"]]
    assert cuda["cudnn_version"] == "8.6.0"
    assert root.cuda()["cudnn_version"] == "8.9.4.25"


def test_a_missing_dependency_makes_a_library_unloadable(root: Root) -> None:
    """Every DT_NEEDED must be found; the missing one is named, and installing it heals."""
    sparse = root.library(f"{SITE}/nvidia/cusparse/lib/libcusparse.so.12")
    solver = f"{SITE}/nvidia/cusolver/lib/libcusolver.so.11"
    root.library(solver, "-Wl,--no-as-needed,-rpath,$ORIGIN/../../cusparse/lib", str(sparse))
    assert library(root.cuda(), "libcusolver.so.11")["loadable"] is True
    sparse.unlink()
    entry = library(root.cuda(), "libcusolver.so.11")
    assert entry["loadable"] is False
    assert entry["needs"] == ["libcusparse.so.12"]


def test_a_file_of_another_machine_or_cut_off_is_not_loadable(root: Root) -> None:
    """Class and machine are compared with TensorFlow's own libraries; a truncated file is no library."""
    path = root.library("opt/l/libcublas.so.12")
    data = bytearray(path.read_bytes())
    data[18:20] = (243).to_bytes(2, "little")
    path.write_bytes(data)
    put(root.folder, {"opt/l/libcufft.so.11": b"\x7fELF\x02\x01"})
    cuda = root.cuda(LD_LIBRARY_PATH="/opt/l")
    assert library(cuda, "libcublas.so.12")["loadable"] is False
    assert "riscv64" in library(cuda, "libcublas.so.12")["why"]
    assert library(cuda, "libcufft.so.11")["loadable"] is False


def test_an_alias_of_another_major_version_is_told_from_the_real_thing(root: Root) -> None:
    """The well-known trick `libcusolver.so.10 -> libcusolver.so.11` is found under that name, and marked."""
    root.library("usr/lib/libcusolver.so.11.1.0", soname="libcusolver.so.11")
    put(root.folder, {f"usr/lib/libcusolver.so.{n}": "->libcusolver.so.11.1.0" for n in ("10", "11")})
    cuda = root.cuda()
    assert library(cuda, "libcusolver.so.10")["alias_of"] == "libcusolver.so.11"
    assert "alias_of" not in library(cuda, "libcusolver.so.11")
    assert [e["soname"] for e in cuda["libraries"]] == ["libcusolver.so.10", "libcusolver.so.11"]


def test_a_toolkit_is_found_once_with_its_components(root: Root) -> None:
    """/usr/local/cuda is a link to it; libraries and tools have their own versions, out of version.json."""
    versions = {
        "cuda": {"version": "12.2.2"},
        "cuda_cudart": {"version": "12.2.140"},
        "cuda_nvcc": {"version": "12.2.139"},
    }
    put(
        root.folder,
        {
            "usr/local/cuda": "->/etc/alternatives/cuda",
            "etc/alternatives/cuda": "->/usr/local/cuda-12.2",
            "usr/local/cuda-12.2/version.json": json.dumps(versions),
            "usr/local/cuda-12.2/bin/ptxas": "",
            "usr/local/cuda-12.2/nvvm/libdevice/libdevice.10.bc": "",
        },
    )
    root.library("usr/local/cuda-12.2/lib64/libcudart.so.12")
    cuda = root.cuda(CUDA_HOME="/usr/local/cuda")
    assert cuda["toolkits"] == [{"path": "/usr/local/cuda-12.2", "version": "12.2.2"}]
    assert cuda["ptxas_version"] == "12.2.139"
    assert cuda["nvcc_version"] is False
    assert cuda["libdevice"] == "/usr/local/cuda-12.2/nvvm/libdevice/libdevice.10.bc"
    entry = library(cuda, "libcudart.so.12")
    assert (entry["version"], entry["on_path"], entry["origin"]) == ("12.2.140", False, "system")


@pytest.mark.parametrize(
    ("files", "version"),
    [
        ({"usr/local/cuda/version.txt": "CUDA Version 10.1.243\n"}, "10.1.243"),
        ({"usr/local/cuda/include/cuda.h": "#define CUDA_VERSION 11040\n"}, "11.4"),
        ({"usr/local/cuda-11.8/lib64/keep": ""}, "11.8"),
        ({"opt/cuda/version.json": '{"cuda": {"version": "12.6.3"}}'}, "12.6.3"),
    ],
)
def test_the_version_of_a_toolkit_is_read_from_what_it_has(root: Root, files: dict[str, str], version: str) -> None:
    """version.json, the older version.txt, cuda.h, or the folder's name."""
    put(root.folder, files)
    assert [kit["version"] for kit in root.cuda()["toolkits"]] == [version]


def test_without_any_cuda_all_is_looked_for_and_not_there(root: Root) -> None:
    """Empty lists and false are knowledge."""
    assert root.cuda() == {
        "toolkits": [],
        "libraries": [],
        "cudnn_version": False,
        "ptxas_version": False,
        "nvcc_version": False,
        "libdevice": False,
        "compat_driver": False,
    }


def test_libdevice_is_looked_for_where_xla_looks(root: Root) -> None:
    """XLA_FLAGS first, then the toolkit, then the wheel; CUDA_HOME is nothing to XLA."""
    wheel = f"/{SITE}/nvidia/cuda_nvcc/nvvm/libdevice/libdevice.10.bc"
    put(root.folder, {"home/me/cuda/nvvm/libdevice/libdevice.10.bc": ""})
    assert root.cuda(CUDA_HOME="/home/me/cuda")["libdevice"] is False
    put(root.folder, {wheel: "", f"{SITE}/nvidia/cuda_nvcc/bin/ptxas": ""})
    put(root.folder, dist_info(SITE, "nvidia-cuda-nvcc-cu12", "12.2.140", RECORD="nvidia/cuda_nvcc/bin/ptxas,,\n"))
    assert root.cuda()["libdevice"] == wheel
    assert root.cuda()["ptxas_version"] == "12.2.140"
    flags = "--xla_dump_to=/x --xla_gpu_cuda_data_dir=/home/me/cuda"
    assert root.cuda(XLA_FLAGS=flags)["libdevice"] == "/home/me/cuda/nvvm/libdevice/libdevice.10.bc"


def test_the_version_of_a_lonely_ptxas_is_read_from_its_text(root: Root) -> None:
    """A ptxas outside of wheel and toolkit tells its version in its read-only data; nothing is run."""
    text = 'const char v[] = "Cuda compilation tools, release 12.4, V12.4.131";'
    root.library("usr/bin/ptxas", code=text)
    assert root.cuda(PATH="/usr/bin")["ptxas_version"] == "12.4.131"


def test_cuda_compat_is_told_with_the_branches_of_its_note(root: Root) -> None:
    """The libcuda of a cuda-compat package: origin compat, its driver version, and the branches of the ELF note."""
    note = json.dumps({"format": 1, "CUDA version": "12.9", "driver": [535, 550, 570], "device": [1, 2]})
    size = len(note) + 1
    code = (
        f"struct {{ int name, size, type; char owner[8]; char text[{size}]; }} const n"
        ' __attribute__((section(".note.cuda.fwd_compatibility"), aligned(4)))'
        f' = {{7, {size}, 1, "NVIDIA", {json.dumps(note)}}};'
    )
    root.library("usr/local/cuda-12.9/compat/libcuda.so.575.57.08", soname="libcuda.so.1", code=code)
    put(root.folder, {"usr/local/cuda-12.9/compat/libcuda.so.1": "->libcuda.so.575.57.08"})
    cuda = root.cuda()
    assert (cuda["compat_driver"], cuda["compat_drivers"]) == ("575.57.08", [535, 550, 570])
    entry = library(cuda, "libcuda.so.1")
    assert (entry["origin"], entry["version"], entry["on_path"]) == ("compat", "575.57.08", False)
    assert cuda["toolkits"] == []


def test_conda_libraries_are_conda(root: Root) -> None:
    """A conda environment: build strings, packages that are no Python, and libraries of origin conda."""
    site = "opt/conda/lib/python3.10/site-packages"
    files = {
        "opt/conda/bin/python3.10": "",
        "opt/conda/lib/python3.10/os.py": "",
        "opt/conda/conda-meta/history": "",
        "opt/conda/conda-meta/python-3.10.13-h955ad1f_0.json": "{}",
        "opt/conda/conda-meta/numpy-1.23.5-py310hd5efca6_0.json": "{}",
        "opt/conda/conda-meta/cudatoolkit-11.8.0-h6a678d5_0.json": "{}",
        "opt/conda/conda-meta/not-json.txt": "",
    }
    put(root.folder, {**files, **dist_info(site, "numpy", "1.23.5", INSTALLER="conda")})
    root.library("opt/conda/lib/libcudart.so.11.8.89", soname="libcudart.so.11.0")
    put(root.folder, {"opt/conda/lib/libcudart.so.11.0": "->libcudart.so.11.8.89"})
    document = static("/opt/conda/bin/python3.10", {}, root.folder)
    software = document["software"]
    assert (software["python"]["environment"], software["python"]["version"]) == ("conda", "3.10.13")
    builds = {p["name"]: (p["version"], p["build"], p["installer"]) for p in software["packages"]}
    assert builds == {
        "numpy": ("1.23.5", "py310hd5efca6_0", "conda"),
        "python": ("3.10.13", "h955ad1f_0", "conda"),
        "cudatoolkit": ("11.8.0", "h6a678d5_0", "conda"),
    }
    entry = library(software["cuda"], "libcudart.so.11.0")
    assert (entry["origin"], entry["version"], entry["on_path"]) == ("conda", "11.8.89", False)


def test_a_conda_python_brings_its_rpath(root: Root) -> None:
    """Conda's interpreter has an RPATH to its lib folder; a TensorFlow without a RUNPATH finds CUDA through it."""
    site = "opt/conda/lib/python3.11/site-packages"
    files = {
        "opt/conda/lib/python3.11/os.py": "",
        "opt/conda/conda-meta/history": "",
        f"{site}/tensorflow/__init__.py": "",
    }
    put(root.folder, files)
    root.library("opt/conda/bin/python3.11", "-Wl,--disable-new-dtags,-rpath,$ORIGIN/../lib")
    framework = root.library(f"{site}/tensorflow/libtensorflow_framework.so.2")
    root.library("opt/conda/lib/libcudart.so.12")
    cuda = static("/opt/conda/bin/python3.11", {}, root.folder)["software"]["cuda"]
    assert (library(cuda, "libcudart.so.12")["stage"], library(cuda, "libcudart.so.12")["on_path"]) == ("RPATH", True)
    framework.unlink()
    root.library(f"{site}/tensorflow/libtensorflow_framework.so.2", "-Wl,--enable-new-dtags,-rpath,$ORIGIN")
    cuda = static("/opt/conda/bin/python3.11", {}, root.folder)["software"]["cuda"]
    assert library(cuda, "libcudart.so.12")["on_path"] is False


def test_without_a_cache_the_configured_folders_count_as_concluded(root: Root) -> None:
    """An image on which ldconfig never ran: its ld.so.conf says what the next run will bring, and that is derived."""
    root.library("usr/local/cuda-12.2/lib64/libcudart.so.12")
    put(root.folder, {"etc/ld.so.conf": "include /etc/ld.so.conf.d/*.conf\n"})
    put(root.folder, {"etc/ld.so.conf.d/cuda.conf": "# CUDA\n/usr/local/cuda-12.2/lib64\n"})
    document = static("/opt/venv/bin/python", {}, root.folder)
    assert library(document["software"]["cuda"], "libcudart.so.12")["on_path"] is True
    assert document["derived"] == ["software.cuda.libraries", "software.python.version"]
