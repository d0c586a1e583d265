"""TensorFlow, Keras, libc, distribution, environment variables and the choice of an interpreter in a whole root."""

from __future__ import annotations

import base64
import hashlib
import json
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

from doctor.collect import software
from tests.collect.software_support import dist_info, environment, names, put, run, static

SITE = "usr/lib/python3.11/site-packages"
PYTHON = {"usr/bin/python3.11": "", "usr/lib/python3.11/os.py": "", f"{SITE}/keep": ""}
TENSORFLOW = {f"{SITE}/tensorflow/__init__.py": ""}
BUILD = f"{SITE}/tensorflow/python/platform/build_info.py"
VERSION = f"{SITE}/tensorflow/include/tensorflow/core/public/version.h"


def look(root: Path, files: dict[str, Any], **environ: str) -> dict[str, Any]:
    """`software` of a fabricated root with a Python 3.11 and these files."""
    return static("/usr/bin/python3.11", environ, put(root, {**PYTHON, **files}))["software"]


def owner(name: str, version: str, folder: str = "tensorflow") -> dict[str, str]:
    """A distribution whose RECORD claims a folder."""
    return dist_info(SITE, name, version, RECORD=f"{folder}/__init__.py,sha256=x,0\n{name}.dist-info/RECORD,,\n")


TODAY = (
    "import collections\nbuild_info = collections.OrderedDict([('cuda_version', '12.5.1'), ('cudnn_version', '9'),"
    " ('cuda_compute_capabilities', ['sm_60', 'compute_90']), ('is_cuda_build', True), ('is_rocm_build', False)])"
)
OLD = 'is_rocm_build = False\nis_cuda_build = True\ncuda_version_number = "10.1"\ncudnn_version_number = "7"\n'


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        (TODAY, {"cuda_build": True, "cuda_version": "12.5.1", "cudnn_version": "9", "rocm_build": False}),
        (OLD, {"cuda_build": True, "cuda_version": "10.1", "cudnn_version": "7"}),
        ("build_info = {'is_cuda_build': False}", {"cuda_build": False}),
        ("is_cuda_build = False\n", {"cuda_build": False}),
    ],
)
def test_build_info_is_read_in_every_spelling(tmp_path: Path, text: str, facts: dict[str, Any]) -> None:
    """The plain dictionary of today and the names of 2.1 and before."""
    found = look(tmp_path, {**TENSORFLOW, **owner("tensorflow", "2.21.0"), BUILD: text})["tensorflow"]
    assert found.items() >= facts.items()


def test_one_owner_names_the_distribution_and_the_version(tmp_path: Path) -> None:
    """tensorflow-cpu owns the folder, tensorflow-io does not, whatever it is called."""
    files = {**owner("tensorflow-cpu", "2.15.1"), **owner("tensorflow-io", "0.36", "tensorflow_io")}
    found = look(tmp_path, {**TENSORFLOW, **files})["tensorflow"]
    assert (found["distribution"], found["version"], found["owners"]) == (
        "tensorflow-cpu",
        "2.15.1",
        ["tensorflow-cpu"],
    )


def test_of_two_owners_the_files_say_which_one_is_there(tmp_path: Path) -> None:
    """Two distributions in one folder: both are named, and the header inside tells whose files they are."""
    header = "#define TF_MAJOR_VERSION 2\n#define TF_MINOR_VERSION 15\n#define TF_PATCH_VERSION 1\n"
    header += '#define TF_VERSION_SUFFIX ""\n'
    files = {**owner("tensorflow", "2.21.0"), **owner("tensorflow-cpu", "2.15.1")}
    found = look(tmp_path, {**TENSORFLOW, **files, VERSION: header})["tensorflow"]
    assert found["owners"] == ["tensorflow", "tensorflow-cpu"]
    assert (found["distribution"], found["version"]) == ("tensorflow-cpu", "2.15.1")


def test_two_owners_of_unknown_files_leave_the_version_unknown(tmp_path: Path) -> None:
    """Nothing is guessed where nothing tells the two apart."""
    files = {**owner("tensorflow", "2.21.0"), **owner("tf-nightly", "2.22.0")}
    found = look(tmp_path, {**TENSORFLOW, **files})["tensorflow"]
    assert "distribution" not in found
    assert "several distributions" in found["version"]["missing"]


def test_an_unexpected_owner_is_found_too(tmp_path: Path) -> None:
    """A company's own build under another name owns the folder by its top_level.txt."""
    files = dist_info(SITE, "acme-ml", "7.1", **{"top_level.txt": "acme\ntensorflow\n"})
    found = look(tmp_path, {**TENSORFLOW, **files, **dist_info(SITE, "other", "1")})["tensorflow"]
    assert (found["distribution"], found["version"]) == ("acme-ml", "7.1")


def test_a_metapackage_owns_nothing(tmp_path: Path) -> None:
    """`tensorflow` without files of its own (as on Windows and Apple silicon) is not the owner."""
    files = {**dist_info(SITE, "tensorflow", "2.15.0", RECORD="x,,\n"), **owner("tensorflow-macos", "2.15.0")}
    assert look(tmp_path, {**TENSORFLOW, **files})["tensorflow"]["owners"] == ["tensorflow-macos"]


def test_without_tensorflow_it_is_known_to_be_absent(tmp_path: Path) -> None:
    """Looked, and there is none."""
    found = look(tmp_path, {})
    assert found["tensorflow"]["present"] is False
    assert found["keras"]["present"] is False


def test_keras_configuration_is_that_of_its_import(tmp_path: Path) -> None:
    """keras.json, KERAS_HOME, KERAS_BACKEND and TF_USE_LEGACY_KERAS, with the defaults for what is not said."""
    keras = {
        f"{SITE}/keras/__init__.py": "",
        **owner("keras", "3.11.0", "keras"),
        **dist_info(SITE, "tf_keras", "2.19.0"),
    }
    found = look(tmp_path / "a", keras, HOME="/home/me")["keras"]
    assert found == {
        "present": True, "path": f"/{SITE}/keras", "owners": ["keras"], "distribution": "keras", "version": "3.11.0",
        "tf_keras": "2.19.0", "legacy": False, "backend": "tensorflow", "floatx": "float32", "epsilon": 1e-7,
        "image_data_format": "channels_last",
    }  # fmt: skip
    settings = {"backend": "jax", "floatx": "float16", "epsilon": True, "image_data_format": 3}
    files = {**keras, "home/me/.keras/keras.json": json.dumps(settings)}
    found = look(tmp_path / "b", files, HOME="/home/me")["keras"]
    assert (found["backend"], found["floatx"], found["epsilon"]) == ("jax", "float16", 1e-7)
    assert found["image_data_format"] == "channels_last"
    found = look(tmp_path / "b", {}, HOME="/home/me", KERAS_BACKEND="torch", TF_USE_LEGACY_KERAS="1")["keras"]
    assert (found["backend"], found["legacy"]) == ("torch", True)
    assert look(tmp_path / "b", {}, HOME="/home/me", KERAS_HOME="/nowhere")["keras"]["backend"] == "tensorflow"


def test_a_broken_keras_json_is_a_gap(tmp_path: Path) -> None:
    """Keras takes its defaults then, and so do we, with a note."""
    files = {**PYTHON, "root/.keras/keras.json": "{not json"}
    document = static("/usr/bin/python3.11", {"HOME": "/root"}, put(tmp_path, files))
    assert document["software"]["keras"]["backend"] == "tensorflow"
    assert document["gaps"] == [{"path": "/root/.keras/keras.json", "why": "not JSON: Keras takes its defaults"}]


SECRETS = {
    "TF_API_TOKEN": "x",
    "CUDA_PASSWORD": "x",
    "KERAS_SECRET": "x",
    "NVIDIA_API_KEY": "x",
    "TF_GCS_CREDENTIALS": "x",
    "KERAS_HOME": "https://me:pass@host/path",
    "XLA_FLAGS": "--dump=s3://b/?token=abc",
    "TF_NOTE": "ghp_0123456789abcdefghij",
    "CUDA_NOTE": "nvapi-0123456789abcdefABCDEF",
    "MKL_NOTE": "dGhpcyBpcyBub3QgYSBzZWNyZXQgYnV0IGxvb2tzMTIz",
    "OMP_NOTE": "0123456789abcdef0123456789abcdef01234567",
    "TF_JWT": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.x",
}
HARMLESS = {
    "CUDA_VISIBLE_DEVICES": "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6,MIG-c7f3a5e2-5d4a-5f1c-8d3e-6a6b3e1c2d4f",
    "NVIDIA_REQUIRE_CUDA": "cuda>=12.2 brand=tesla,driver>=525,driver<526",
    "LD_LIBRARY_PATH": "/usr/local/cuda-12.2/lib64:/opt/a/very/long/path/with/Upper/and/123456/parts/in/it/lib",
    "XLA_FLAGS": "--xla_gpu_cuda_data_dir=/usr/local/cuda --xla_gpu_enable_fast_min_max=false",
    "NV_CUDNN_PACKAGE": "libcudnn8=8.9.0.131-1+cuda12.1",
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "PYTHONHASHSEED": "0",
    "CONDA_PREFIX": "/opt/conda/envs/train",
    "KERAS_BACKEND": "tensorflow",
}


def test_secrets_never_leave(tmp_path: Path) -> None:
    """By name or by look: neither the value nor a part of it is anywhere in the document, and the list is partial."""
    document = static("/usr/bin/python3.11", SECRETS, put(tmp_path, PYTHON))
    assert document["software"]["environment"] == {}
    assert document["partial"] == ["software.environment"]
    text = json.dumps(document)
    for value in SECRETS.values():
        assert value == "x" or value not in text
    assert "pass@" not in text


def test_what_is_no_secret_stays(tmp_path: Path) -> None:
    """GPU identifiers, requirement expressions, long paths and versions are kept as they are."""
    document = static("/usr/bin/python3.11", HARMLESS, put(tmp_path, PYTHON))
    assert document["software"]["environment"] == HARMLESS
    assert document["partial"] == []


def test_only_the_allow_list_is_taken(tmp_path: Path) -> None:
    """Everything else stays where it is, also what is Terraform's, or tells a cluster's hosts."""
    environ = {
        "HOME": "/root",
        "AWS_REGION": "x",
        "TF_VAR_region": "x",
        "TF_CONFIG": "{}",
        "PATH": "/bin",
        "USER": "me",
    }
    assert look(tmp_path, {}, **environ)["environment"] == {}


def test_logins_are_taken_out_of_addresses(tmp_path: Path) -> None:
    """A requirement that is an address keeps the address and loses the login."""
    metadata = "Name: a\nVersion: 1\nRequires-Dist: b @ git+https://me:hunter2@example.org/b.git\n"
    package = look(tmp_path, dist_info(SITE, "a", "1", METADATA=metadata))["packages"][0]
    assert package["requires"] == ["b @ git+https://***@example.org/b.git"]


TOKEN = "ghp_0123456789abcdefABCDEF0123456789abcd"


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("b @ https://me:p@ss@example.org/b.whl", "b @ https://***@example.org/b.whl"),
        ("b @ https://example.org/b.whl?a=1&X-Amz-Signature=0a1b", "b @ https://example.org/b.whl?a=1&X-Amz-Signature=***"),
        ("b @ https://example.org/?token=abc ; extra=='c'", "b @ https://example.org/?token=*** ; extra=='c'"),
        (f"b @ git+ssh://example.org/{TOKEN}/b.git", "b @ git+ssh://example.org/***/b.git"),
        ("b @ https://example.org/b@v1.whl", "b @ https://example.org/b@v1.whl"),
        ("sk-learn-contrib>=1", "sk-learn-contrib>=1"),
    ],
)  # fmt: skip
def test_secrets_are_taken_out_of_requirements(tmp_path: Path, written: str, shown: str) -> None:
    """Passwords with an @ in them, parameters that sign, and tokens go; an address without any stays as it is."""
    metadata = f"Name: a\nVersion: 1\nRequires-Dist: {written}\n"
    assert look(tmp_path, dist_info(SITE, "a", "1", METADATA=metadata))["packages"][0]["requires"] == [shown]


def test_code_in_a_pth_file_is_named_without_its_literals(tmp_path: Path) -> None:
    """A line that Python would run may set a password: what is shown of it has no string in it."""
    root = put(tmp_path, {**PYTHON, f"{SITE}/x.pth": 'import os; os.environ["A"] = "hunter2"; b = \'hunter3\n'})
    document = static("/usr/bin/python3.11", root=root)
    (gap,) = [gap["why"] for gap in document["gaps"] if gap["path"].endswith("x.pth")]
    assert gap.endswith('not followed: import os; os.environ["…"] = "…"; b = \'…\'')
    assert "hunter" not in json.dumps(document)


def test_what_is_no_metadata_tells_of_no_requirements(tmp_path: Path) -> None:
    """A corrupt METADATA leaves the requirements unknown; one without any Requires-Dist says that there are none."""
    files = {**dist_info(SITE, "a", "1", METADATA="\x00\x01garbage"), **dist_info(SITE, "b", "1")}
    packages = {package["name"]: package for package in look(tmp_path, files)["packages"]}
    assert "requires" not in packages["a"]
    assert packages["b"]["requires"] == []


def test_long_strings_are_cut(tmp_path: Path) -> None:
    """No string of the document is longer than its bound."""
    metadata = f"Name: a\nVersion: 1\nRequires-Dist: {'x' * 100000}\n"
    package = look(tmp_path, dist_info(SITE, "a", "1", METADATA=metadata))["packages"][0]
    assert len(package["requires"][0]) == software.MAX_STRING


def test_a_whole_root_chooses_the_python_with_tensorflow(tmp_path: Path) -> None:
    """Without a named interpreter the one on PATH is taken, unless another one has TensorFlow; both are told."""
    venv = {"opt/venv/pyvenv.cfg": "home = /usr/bin\n", "opt/venv/bin/python": "->/usr/bin/python3.11"}
    site = "opt/venv/lib/python3.11/site-packages"
    put(tmp_path, {**PYTHON, **venv, **dist_info(site, "inside", "1")})
    fs = software.HostFileSystem(str(tmp_path))
    document = software.collect(fs, None, {"PATH": "/usr/bin"})
    assert document["software"]["python"]["executable"] == "/usr/bin/python3.11"
    put(tmp_path, {f"{site}/tensorflow/__init__.py": ""})
    document = software.collect(fs, None, {"PATH": "/usr/bin"})
    assert document["software"]["python"]["executable"] == "/opt/venv/bin/python"
    assert names(document) == {"inside": "1"}
    chosen = [(entry["path"], entry["has"], entry.get("chosen", False)) for entry in document["interpreters"]]
    assert chosen == [("/usr/bin/python3.11", [], False), ("/opt/venv/bin/python", ["tensorflow"], True)]


def test_a_root_without_python_still_has_its_system(tmp_path: Path) -> None:
    """A base image: distribution and CUDA, no python section, and a note."""
    put(tmp_path, {"etc/os-release": 'ID=ubuntu\nVERSION_ID="22.04"\nPRETTY_NAME="Ubuntu 22.04"\n'})
    document = software.collect(software.HostFileSystem(str(tmp_path)), None, {}, arch="x86_64")
    assert document["software"]["distribution"] == {"id": "ubuntu", "version": "22.04", "name": "Ubuntu 22.04"}
    assert "python" not in document["software"]
    assert "packages" not in document["software"]
    assert document["software"]["cuda"]["toolkits"] == []
    assert document["gaps"] == [{"path": "/", "why": "no Python found"}]


def test_static_and_run_agree_on_this_machine() -> None:
    """What the files say is what the running interpreter says: libc, version, bits, packages, libraries."""
    environ = environment(TF_CPP_MIN_LOG_LEVEL="1")
    ran, read = run(sys.executable, environ)["software"], static(sys.executable, environ)["software"]
    assert read == ran
    assert ran["environment"] == {"TF_CPP_MIN_LOG_LEVEL": "1"}


def test_musl_is_told_from_glibc(tmp_path: Path) -> None:
    """A Python linked against musl: its name, and its version out of the library's own text (as in Debian's musl)."""
    if shutil.which("gcc") is None:
        pytest.skip("no gcc to compile stub programs with")
    root = put(tmp_path / "root", {**PYTHON, "lib/keep": ""})
    (root / "usr/bin/python3.11").unlink()
    interpreter = "-Wl,--dynamic-linker=/lib/ld-musl-x86_64.so.1"
    program = ["gcc", "-nostdlib", "-pie", interpreter, "-o", str(root / "usr/bin/python3.11"), "-xc", "-", "-xnone"]
    stub = ["gcc", "-nostdlib", "-shared", "-fPIC", "-o", str(root / "lib/ld-musl-x86_64.so.1"), "-xc", "-", "-xnone"]
    subprocess.run(stub, input=b'const char v[] = "/proc/self/fd/\\0001.2.3\\0Unsupported";', check=True)
    subprocess.run([*program, str(root / "lib/ld-musl-x86_64.so.1")], input=b"void _start(void) {}", check=True)
    found = static("/usr/bin/python3.11", {}, root)["software"]
    assert found["libc"] == {"name": "musl", "version": "1.2.3"}
    assert (found["python"]["bits"], found["python"]["architecture"]) == (64, platform.machine())


class Tree(software.FileSystem):
    """A root in memory, as an image's layers are: no operating system behind it."""

    def __init__(self, folder: Path) -> None:
        self.files = {"/" + str(p.relative_to(folder)): p for p in folder.rglob("*")}
        self.entries: dict[str, list[str]] = {"/": []}
        for path in self.files:
            self.entries.setdefault(software.parent(path), []).append(software.base(path))
        self.content = {n: p.read_bytes() for n, p in self.files.items() if p.is_file() and not p.is_symlink()}

    def lstat(self, path: str) -> tuple[str, int, int, float]:
        if path == "/" or (path in self.files and self.files[path].is_dir() and not self.files[path].is_symlink()):
            return software.FOLDER, 0, 0o755, 0.0
        if path not in self.files:
            raise FileNotFoundError(2, "No such file or directory", path)
        return (software.LINK if self.files[path].is_symlink() else software.FILE), 0, 0o644, 0.0

    def listdir(self, path: str) -> list[str]:
        return self.entries.get(path, [])

    def readlink(self, path: str) -> str:
        return str(self.files[path].readlink())

    def read(self, path: str, offset: int, length: int) -> bytes:
        return self.content[path][offset : offset + length]


def test_any_file_system_will_do(tmp_path: Path) -> None:
    """The same tree behind another implementation of the interface gives the same document."""
    venv = {
        "opt/venv/pyvenv.cfg": "home = /usr/bin\nversion = 3.11.4\n",
        "opt/venv/bin/python": "->/usr/bin/python3.11",
    }
    site = "opt/venv/lib/python3.11/site-packages"
    files = {**PYTHON, **venv, **dist_info(site, "inside", "1"), f"{site}/keras/__init__.py": ""}
    put(tmp_path, {**files, "etc/os-release": "->../usr/lib/os-release", "usr/lib/os-release": "ID=debian\n"})
    host = software.collect(software.HostFileSystem(str(tmp_path)), None, {"PATH": "/usr/bin"})
    assert software.collect(Tree(tmp_path), None, {"PATH": "/usr/bin"}) == host
    assert names(host) == {"inside": "1"}


def test_the_file_is_a_program_of_its_own_too(tmp_path: Path, capfdbinary: Any) -> None:
    """--root and --python are for static mode."""
    put(tmp_path, {**PYTHON, **dist_info(SITE, "inside", "1")})
    assert software.main(["--root", str(tmp_path), "--python", "/usr/bin/python3.11"]) == 0
    out = capfdbinary.readouterr().out.decode("ascii")
    assert names(json.loads(out.split(software.BEGIN)[1].split(software.END)[0])) == {"inside": "1"}


@pytest.mark.parametrize("arguments", [["--pyhton", "/x"], ["--root"], ["--python", "relative"], ["x"]])
def test_wrong_arguments_are_one_clear_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is collected from a place that nobody named."""
    assert software.main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1


@pytest.mark.e2e
def test_a_real_tensorflow_says_the_same(
    tensorflow_environments: dict[str, Path], lacking: Callable[[str], NoReturn]
) -> None:
    """Version, build information and Keras version of real environments are those that TensorFlow itself tells."""
    if not tensorflow_environments:
        lacking("there is no TensorFlow environment: set KDOCTOR_TF_ENVS")
    ask = (
        "import json, tensorflow as tf, keras\n"
        "print(json.dumps([tf.__version__, dict(tf.sysconfig.get_build_info()), keras.__version__,"
        " keras.backend.floatx(), tf.__file__]))"
    )
    for python in tensorflow_environments.values():
        environ = environment(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="")
        done = subprocess.run([str(python), "-B", "-c", ask], capture_output=True, env=environ, check=True, timeout=180)
        version, build, keras, floatx, file = json.loads(done.stdout.splitlines()[-1])
        for found in (run(python, environ)["software"], static(python, environ)["software"]):
            assert found["tensorflow"]["version"] == version
            assert found["tensorflow"]["path"] == str(Path(file).parent)
            assert found["tensorflow"]["cuda_build"] == build["is_cuda_build"]
            assert found["tensorflow"].get("cuda_version") == build.get("cuda_version")
            assert (found["keras"]["version"], found["keras"]["floatx"]) == (keras, floatx)


PARTS = ("tensorflow/__init__.py", "tensorflow/libtensorflow_framework.so.2", "tensorflow/python/_pywrap.so")


def _recorded(name: str) -> dict[str, str]:
    lines = [
        *PARTS,
        "tensorflow/include/deep.h",
        "tensorflow/python/ops/deep.py",
        "tensorflow/python/__pycache__/x.pyc",
    ]
    return dist_info(SITE, name, "2.15.1", RECORD="".join(f"{line},sha256=x,0\n" for line in lines))


@pytest.mark.parametrize("gone", [(), PARTS[:1], PARTS[1:], PARTS])
def test_files_that_a_record_lists_and_that_are_gone(tmp_path: Path, gone: tuple[str, ...]) -> None:
    """Removing tensorflow-cpu takes the files of tensorflow along; nothing else tells it from a sound one."""
    there = {f"{SITE}/{part}": "" for part in PARTS if part not in gone}
    found = look(tmp_path, {**_recorded("tensorflow"), **there, f"{SITE}/tensorflow/include/x.h": ""})["tensorflow"]
    assert found.get("missing_files", []) == sorted(gone)
    assert found["present"] is (PARTS[0] not in gone)


def test_other_distributions_are_not_asked_for_files(tmp_path: Path) -> None:
    """An editable build has no files where its RECORD stands."""
    record = {f"{SITE}/acme-1.dist-info/RECORD": "tensorflow/__init__.py,,\n"}
    assert "missing_files" not in look(tmp_path, {**dist_info(SITE, "acme", "1"), **record})["tensorflow"]


def _version_of_numpy(version: str, text: str) -> dict[str, str]:
    """A record of NumPy whose version file has this text."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
    record = f"numpy/version.py,sha256={digest},{len(text)}\nnumpy/__init__.py,sha256={EMPTY},0\n"
    return dist_info(SITE, "numpy", version, RECORD=record)


EMPTY = "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"


def test_a_record_that_an_update_left_behind_is_not_in_use(tmp_path: Path) -> None:
    """Two versions of NumPy in one folder: pip lists the one it meets first, the files say which one is imported."""
    records = {**_version_of_numpy("1.24.4", "version = '1.24.4'"), **_version_of_numpy("2.0.2", "version = '2.0.2'")}
    for version in ("1.24.4", "2.0.2"):
        files = {**records, f"{SITE}/numpy/version.py": f"version = '{version}'", f"{SITE}/numpy/__init__.py": ""}
        packages = look(tmp_path / version, files)["packages"]
        assert [row["version"] for row in packages if row["name"] == "numpy"] == [version]


def test_records_that_no_file_decides_between_all_stay(tmp_path: Path) -> None:
    """Nothing is guessed: the first one stands for the package, as pip has it."""
    records = {**_version_of_numpy("1.24.4", "a"), **_version_of_numpy("2.0.2", "b")}
    packages = look(tmp_path, {**records, f"{SITE}/numpy/version.py": "changed by hand"})["packages"]
    assert [row["version"] for row in packages if row["name"] == "numpy"] == ["1.24.4", "2.0.2"]


def test_a_module_before_the_package_of_its_name(tmp_path: Path) -> None:
    """numpy.py of a folder on PYTHONPATH; keras.py behind the package is never met."""
    files = {f"{SITE}/numpy/__init__.py": "", f"{SITE}/keras/__init__.py": "", f"{SITE}/keras.py": ""}
    found = look(tmp_path, {**files, "work/numpy.py": "x = 1"}, PYTHONPATH="/work")["shadowed"]
    assert found == [{"module": "numpy", "path": "/work/numpy.py", "package": f"/{SITE}/numpy"}]
    assert look(tmp_path, files)["shadowed"] == []
