"""Plain snapshots of TensorFlow environments: with CUDA wheels, with a system CUDA, with neither, with nothing."""

from __future__ import annotations

from typing import Any

from tests.rules.machines import change

# TensorFlow → CUDA, cuDNN major, Keras, NumPy, protobuf, Python, wheels (short name → version), as pip installs them.
WHEELS_12_2 = {
    "cublas": "12.2.5.6", "cuda-cupti": "12.2.142", "cuda-nvcc": "12.2.140", "cuda-nvrtc": "12.2.140",
    "cuda-runtime": "12.2.140", "cudnn": "8.9.4.25", "cufft": "11.0.8.103", "curand": "10.3.3.141",
    "cusolver": "11.5.2.141", "cusparse": "12.1.2.141", "nccl": "2.16.5", "nvjitlink": "12.2.140",
}  # fmt: skip
WHEELS_12_3 = {
    "cublas": "12.3.4.1", "cuda-cupti": "12.3.101", "cuda-nvcc": "12.3.107", "cuda-nvrtc": "12.3.107",
    "cuda-runtime": "12.3.101", "cudnn": "8.9.7.29", "cufft": "11.0.12.1", "curand": "10.3.4.107",
    "cusolver": "11.5.4.101", "cusparse": "12.2.0.103", "nccl": "2.19.3", "nvjitlink": "12.3.101",
}  # fmt: skip
WHEELS_12_5 = {
    "cublas": "12.5.3.2", "cuda-cupti": "12.5.82", "cuda-nvcc": "12.5.82", "cuda-nvrtc": "12.5.82",
    "cuda-runtime": "12.5.82", "cudnn": "9.3.0.75", "cufft": "11.2.3.61", "curand": "10.3.6.82",
    "cusolver": "11.6.3.83", "cusparse": "12.5.1.3", "nccl": "2.21.5", "nvjitlink": "12.5.82",
}  # fmt: skip
RELEASES: dict[str, tuple[str, str, str, str, str, str, dict[str, str]]] = {
    "2.4.4": ("11.0", "8", "2.4.3", "1.19.5", "3.19.6", "3.8", {}),
    "2.10.1": ("11.2", "8", "2.10.0", "1.23.5", "3.19.6", "3.10", {}),
    "2.11.0": ("11.2", "8", "2.11.0", "1.23.5", "3.19.6", "3.10", {}),
    "2.12.1": ("11.8", "8", "2.12.0", "1.23.5", "4.25.3", "3.10", {}),
    "2.15.1": ("12.2", "8", "2.15.0", "1.26.4", "4.25.3", "3.11", WHEELS_12_2),
    "2.16.1": ("12.3", "8", "3.0.5", "1.26.4", "4.25.3", "3.11", WHEELS_12_3),
    "2.17.1": ("12.3", "8", "3.5.0", "1.26.4", "4.25.3", "3.11", WHEELS_12_3),
    "2.18.1": ("12.5.1", "9", "3.8.0", "1.26.4", "5.28.3", "3.11", WHEELS_12_5),
    "2.19.1": ("12.5.1", "9", "3.10.0", "2.1.3", "5.28.3", "3.11", WHEELS_12_5),
    "2.20.0": ("12.5.1", "9", "3.12.0", "2.2.6", "6.31.1", "3.13", WHEELS_12_5),
    "2.21.0": ("12.5.1", "9", "3.12.0", "2.2.6", "6.31.1", "3.12", WHEELS_12_5),
}
SONAMES = {
    "10": {
        "cudart": "libcudart.so.10.1", "cublas": "libcublas.so.10", "cufft": "libcufft.so.10",
        "curand": "libcurand.so.10", "cusolver": "libcusolver.so.10", "cusparse": "libcusparse.so.10",
    },
    "11": {
        "cudart": "libcudart.so.11.0", "cublas": "libcublas.so.11", "cublasLt": "libcublasLt.so.11",
        "cufft": "libcufft.so.10", "curand": "libcurand.so.10", "cusolver": "libcusolver.so.11",
        "cusparse": "libcusparse.so.11",
    },
    "12": {
        "cudart": "libcudart.so.12", "cublas": "libcublas.so.12", "cublasLt": "libcublasLt.so.12",
        "cufft": "libcufft.so.11", "curand": "libcurand.so.10", "cusolver": "libcusolver.so.11",
        "cusparse": "libcusparse.so.12",
    },
    "13": {
        "cudart": "libcudart.so.13", "cublas": "libcublas.so.13", "cublasLt": "libcublasLt.so.13",
        "cufft": "libcufft.so.12", "curand": "libcurand.so.10", "cusolver": "libcusolver.so.12",
        "cusparse": "libcusparse.so.12",
    },
}  # fmt: skip
_BROUGHT_BY = {"cudart": "cuda-runtime", "cublasLt": "cublas"}


def library(soname: str, version: str, origin: str = "system", **more: Any) -> dict[str, Any]:
    """One CUDA library of the snapshot; loadable unless ``more`` says otherwise."""
    return {"soname": soname, "version": version, "origin": origin, "loadable": True, **more}


def toolkit_libraries(cuda: str, cudnn: str | None = None, **more: Any) -> list[dict[str, Any]]:
    """The libraries of a system toolkit, and cuDNN beside it."""
    folder = f"/usr/local/cuda-{cuda}/lib64"
    rows = [library(name, cuda, path=f"{folder}/{name}", **more) for name in SONAMES[cuda.partition(".")[0]].values()]
    if cudnn is not None:
        name = f"libcudnn.so.{cudnn.partition('.')[0]}"
        rows.append(library(name, cudnn, path=f"/usr/lib/x86_64-linux-gnu/{name}", **more))
    return rows


def packages(*named: str, **pinned: str) -> list[dict[str, Any]]:
    """Packages installed by pip: ``"numpy 1.26.4"`` or ``numpy="1.26.4"``."""
    rows = [text.partition(" ") for text in named]
    return [{"name": n, "version": v, "installer": "pip"} for n, _, v in rows] + [
        {"name": n.replace("_", "-"), "version": v, "installer": "pip"} for n, v in pinned.items()
    ]


def plain(tensorflow: str = "2.17.1") -> dict[str, Any]:
    """`pip install tensorflow` on a machine with a Tesla T4: no CUDA at all."""
    cuda, cudnn, keras, numpy, protobuf, python, _ = RELEASES[tensorflow]
    return {
        "subject": {"kind": "host", "name": "host"},
        "machine": {
            "os": "linux",
            "architecture": "x86_64",
            "wsl": False,
            "cpu": {"model": "AMD EPYC 7763", "flags": ["sse4_2", "avx", "avx2", "fma"], "cores": 16},
            "driver": {"present": True, "version": "570.124.06", "cuda_version": "12.8"},
            "gpus": [{"index": 0, "name": "Tesla T4", "compute_capability": "7.5"}],
        },
        "software": {
            "distribution": {"id": "ubuntu", "version": "22.04"},
            "libc": {"name": "glibc", "version": "2.35"},
            "python": {"version": python, "implementation": "cpython", "environment": "venv", "bits": 64},
            "packages": packages(
                f"tensorflow {tensorflow}", f"keras {keras}", f"numpy {numpy}", f"protobuf {protobuf}"
            ),
            "tensorflow": {
                "version": tensorflow,
                "distribution": "tensorflow",
                "cuda_build": True,
                "cuda_version": cuda,
                "cudnn_version": cudnn,
            },
            "keras": {"version": keras, "backend": "tensorflow", "floatx": "float32", "legacy": False},
            "cuda": {"toolkits": [], "libraries": []},
            "environment": {},
        },
    }


def wheels(tensorflow: str = "2.17.1") -> dict[str, Any]:
    """The same with `tensorflow[and-cuda]`: everything fits."""
    base = plain(tensorflow)
    brought = RELEASES[tensorflow][-1]
    cudnn = f"libcudnn.so.{RELEASES[tensorflow][1]}"
    base["software"]["packages"] += packages(*(f"nvidia-{n}-cu12 {v}" for n, v in brought.items()))
    rows = [library(s, brought[_BROUGHT_BY.get(n, n)], "wheel") for n, s in SONAMES["12"].items()]
    base["software"]["cuda"] |= {
        "libraries": [
            *rows,
            library(cudnn, brought["cudnn"], "wheel"),
            library("libnccl.so.2", brought["nccl"], "wheel"),
        ],
        "cudnn_version": brought["cudnn"].rpartition(".")[0],
        "ptxas_version": brought["cuda-nvcc"],
        "libdevice": "site-packages/nvidia/cuda_nvcc/nvvm/libdevice/libdevice.10.bc",
    }
    return base


def system(tensorflow: str, cuda: str, cudnn: str | None, **more: Any) -> dict[str, Any]:
    """TensorFlow beside a CUDA toolkit and a cuDNN of the system."""
    return change(
        plain(tensorflow),
        {
            "software.cuda": {
                "toolkits": [{"version": cuda, "path": f"/usr/local/cuda-{cuda}"}],
                "libraries": toolkit_libraries(cuda, cudnn, **more),
                "cudnn_version": cudnn or False,
                "ptxas_version": cuda,
                "libdevice": f"/usr/local/cuda-{cuda}/nvvm/libdevice/libdevice.10.bc",
            }
        },
    )


def replaced(snapshot: dict[str, Any], **versions: str) -> dict[str, Any]:
    """A copy with other versions of these packages (added where they are not installed)."""
    rows = {p["name"]: dict(p) for p in snapshot["software"]["packages"]}
    for name, version in versions.items():
        key = name.replace("_", "-")
        rows[key] = {**rows.get(key, {"name": key, "installer": "pip"}), "version": version}
    return change(snapshot, {"software.packages": list(rows.values())})


def requiring(snapshot: dict[str, Any], package: str, *requires: str) -> dict[str, Any]:
    """A copy in which a package's METADATA names these requirements."""
    rows = [{**p, "requires": list(requires)} if p["name"] == package else p for p in snapshot["software"]["packages"]]
    return change(snapshot, {"software.packages": rows})


def without(snapshot: dict[str, Any], *names: str) -> dict[str, Any]:
    """A copy without these packages and libraries."""
    software = snapshot["software"]
    return change(
        snapshot,
        {
            "software.packages": [p for p in software["packages"] if p["name"] not in names],
            "software.cuda.libraries": [lib for lib in software["cuda"]["libraries"] if lib["soname"] not in names],
        },
    )


def cpu_only(snapshot: dict[str, Any]) -> dict[str, Any]:
    """The same software on a machine without a GPU."""
    return change(snapshot, {"machine.gpus": [], "machine.driver": {"present": False}, "machine.pci_gpus": []})


def asked(*requirements: str, python: str = "3.11.9", **machine: Any) -> dict[str, Any]:
    """An empty environment in which somebody asks for something."""
    return {
        "subject": {"kind": "interpreter", "name": "interpreter"},
        "machine": {"os": "linux", "architecture": "x86_64", "wsl": False, **machine},
        "software": {
            "distribution": {"id": "ubuntu", "version": "22.04"},
            "libc": {"name": "glibc", "version": "2.35"},
            "python": {"version": python, "implementation": "cpython", "environment": "venv", "bits": 64},
            "packages": packages("pip 24.0"),
            "requested": [
                {"requirement": text, "where": f"requirements.txt:{n}"} for n, text in enumerate(requirements, 1)
            ],
            "environment": {},
        },
    }
