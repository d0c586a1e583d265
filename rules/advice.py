"""What to do about a rule whose only evidence is a log: its effect, its fix and the command that makes sure.

A rule that judges by facts says the same with the environment's own versions. Nothing here registers a rule.
"""

from __future__ import annotations

import msgspec


class Advice(msgspec.Struct, frozen=True):
    """``effect``: what it does to the training; ``fix``: the way out; ``sure``: a command whose answer decides."""

    effect: str
    fix: str
    sure: str = "kdoctor scan"


_CPU = "TensorFlow trains on the CPU"
_IMPORT = "the import fails"
_SMI = "nvidia-smi"
_CUDA = "install CUDA: pip install 'tensorflow[and-cuda]' (2.14 or later), or the CUDA and cuDNN that the build names"
_BUILD = 'python -c "import tensorflow as tf; print(tf.sysconfig.get_build_info())"'
_PACKAGES = "python -m pip check"

ADVICE: dict[str, Advice] = {
    "KD101": Advice(_CPU, "install or load the NVIDIA driver and restart (Ubuntu: sudo ubuntu-drivers install)", _SMI),
    "KD102": Advice(_CPU, "update the NVIDIA driver, or use a TensorFlow that was built for an older CUDA", _SMI),
    "KD103": Advice(
        _CPU, "restart, so that the module of the installed driver is loaded (or: sudo rmmod, modprobe)", _SMI
    ),
    "KD104": Advice(
        _CPU,
        "restart the container (or the machine); sudo nvidia-modprobe -u -c=0 makes the nodes",
        "ls -l /dev/nvidia*",
    ),
    "KD105": Advice(
        _CPU,
        "update the driver of Windows, install none inside WSL, and keep /usr/lib/wsl/lib on the path",
        "ls /usr/lib/wsl/lib",
    ),
    "KD106": Advice("the GPU is not used", "use an older TensorFlow, a build for this GPU, or a newer GPU", _BUILD),
    "KD107": Advice(
        "kernels are compiled for minutes, or fail",
        "use a build for this GPU: a later TensorFlow, or NVIDIA's image",
        _BUILD,
    ),
    "KD108": Advice("the first operation on the GPU fails", "update the NVIDIA driver", _SMI),
    "KD109": Advice(_CPU, "unset CUDA_VISIBLE_DEVICES, or name a GPU that is there", "env | grep VISIBLE_DEVICES"),
    "KD110": Advice(
        "the process dies",
        "use a CPU with AVX (virtual machine: CPU type host), a native arm64 Python, or conda-forge's build",
        "grep -m1 -o avx /proc/cpuinfo",
    ),
    "KD111": Advice(_CPU, "install the legacy driver branch that still serves this GPU", _SMI),
    "KD201": Advice(_CPU, _CUDA, "kdoctor scan, in the environment that trains"),
    "KD202": Advice(_CPU, _CUDA.replace("install CUDA", "install the CUDA version that this build opens"), _BUILD),
    "KD203": Advice(_CPU, "install the cuDNN of the major version that this build opens", _BUILD),
    "KD204": Advice(
        "the first convolution or recurrent layer fails",
        "install the cuDNN that TensorFlow was compiled with, or a later one of the same major version; "
        "take older copies off LD_LIBRARY_PATH",
        "python -m pip list | grep -i cudnn",
    ),
    "KD205": Advice(
        _CPU,
        "put the folder of the library on the loader's path (LD_LIBRARY_PATH, ldconfig; Windows: PATH)",
        "ldconfig -p | grep -e libcudart -e libcudnn",
    ),
    "KD206": Advice(
        "another copy is loaded than the one installed",
        "unset LD_LIBRARY_PATH, or put the right copy first",
        "echo $LD_LIBRARY_PATH",
    ),
    "KD207": Advice(
        _CPU, "install the CUDA wheels: pip install 'tensorflow[and-cuda]'", "python -m pip list | grep -i nvidia"
    ),
    "KD208": Advice(
        "one of the frameworks loads libraries of the other", "give each framework an environment of its own", _PACKAGES
    ),
    "KD209": Advice(
        "whatever XLA compiles fails",
        "install CUDA's nvcc package (pip install nvidia-cuda-nvcc-cu12, conda install cuda-nvcc) and name its folder: "
        "XLA_FLAGS=--xla_gpu_cuda_data_dir=DIR",
        "find / -name 'libdevice.10.bc' 2>/dev/null",
    ),
    "KD210": Advice(
        "XLA compiles slowly, wrongly or not at all",
        "put a ptxas of a later CUDA first on PATH (pip install nvidia-cuda-nvcc-cu12)",
        "ptxas --version",
    ),
    "KD301": Advice(
        _CPU,
        "install the build with CUDA: pip install 'tensorflow[and-cuda]' (conda: a cuda build of tensorflow)",
        'python -c "import tensorflow as tf; print(tf.test.is_built_with_cuda())"',
    ),
    "KD302": Advice(_CPU, "train in WSL2, or use TensorFlow 2.10, the last with GPUs on native Windows"),
    "KD303": Advice(
        _IMPORT,
        "uninstall every distribution that owns the folder, delete what is left of it, and install one",
        "python -m pip list | grep -i tensorflow",
    ),
    "KD304": Advice(
        "nothing is installed", "use a Python that TensorFlow has wheels for: kdoctor suggest names it", "python -VV"
    ),
    "KD305": Advice(
        _IMPORT,
        "install the NumPy that this TensorFlow was built for (up to 2.17: pip install 'numpy<2')",
        "python -m pip show numpy tensorflow",
    ),
    "KD306": Advice(
        _IMPORT,
        "install the protobuf that this TensorFlow asks for (pip install --upgrade tensorflow, or an exact protobuf)",
        "python -m pip show protobuf tensorflow",
    ),
    "KD307": Advice(
        "models do not import, load or train",
        "install the Keras of the same generation, or pip install tf-keras and set TF_USE_LEGACY_KERAS=1",
        "python -m pip show keras tf-keras tensorflow",
    ),
    "KD308": Advice(
        _IMPORT,
        "install the release of the add-on that belongs to the installed TensorFlow",
        "python -m pip list | grep -i -e tensorflow -e keras",
    ),
    "KD309": Advice(
        "a package may fail at import or at run time",
        "install versions that each other's requirements allow",
        _PACKAGES,
    ),
    "KD310": Advice(_IMPORT, "use a newer distribution or a container image, or an older TensorFlow", "ldd --version"),
    "KD311": Advice(
        "nothing is installed",
        "change the requirement to one that can be had",
        "python -m pip install --dry-run -r requirements.txt",
    ),
    "KD312": Advice(
        _IMPORT,
        "rename the file beside the script that has a module's name, and delete its __pycache__",
        'python -c "import tensorflow; print(tensorflow.__file__)"',
    ),
    "KD407": Advice(
        "the image cannot be pulled, or is another one",
        "choose a tag that is there, and pin it by digest: kdoctor pin",
        "docker buildx imagetools inspect IMAGE",
    ),
    "KD408": Advice(
        "the image cannot be pulled",
        "choose a tag that is there, and pin it by digest: kdoctor pin",
        "docker buildx imagetools inspect IMAGE",
    ),
    "KD405": Advice(
        "the image cannot be pulled",
        "pin a digest that the registry still has",
        "docker buildx imagetools inspect IMAGE",
    ),
    "KD410": Advice(
        "the image cannot be pulled",
        "name a repository that is there, or log in",
        "docker buildx imagetools inspect IMAGE",
    ),
    "KD501": Advice(
        "the container sees no GPU",
        "install the NVIDIA Container Toolkit, sudo nvidia-ctk runtime configure --runtime=docker, restart Docker, "
        "and start with --gpus all",
        "docker run --rm --gpus all ubuntu nvidia-smi",
    ),
    "KD502": Advice(
        "the container does not start", "update the NVIDIA driver, or use an image for an older CUDA", _SMI
    ),
    "KD503": Advice(
        "CUDA does not start",
        "take the cuda-compat folder off LD_LIBRARY_PATH, or use an image for the CUDA of this driver",
        "ls /usr/local/cuda/compat",
    ),
    "KD701": Advice("the run stops, or differs each time", "keras.utils.set_random_seed(1) at the start", ""),
    "KD703": Advice(
        "training stops under op determinism, or varies without it",
        "use another layer, or this operation on the CPU",
        "kdoctor canary --runs 5",
    ),
}
