"""The collector against the interpreter's own word: each kind of environment, run and static, on this Python."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.collect.software_support import agree, dist_info, environment, names, normal_start, put, run, static

BASE = getattr(sys, "_base_executable", sys.executable)


def make(folder: Path, **options: bool) -> Path:
    """A venv of this Python without pip; its interpreter."""
    venv.EnvBuilder(symlinks=True, with_pip=False, **options).create(folder)
    return folder / "bin" / "python"


def site_of(python: Path) -> str:
    """The site-packages folder of a venv, relative to its root."""
    return f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """A venv with two distributions in it."""
    made = make(tmp_path / "env")
    put(tmp_path / "env", dist_info(site_of(made), "Some.Thing", "1.2"))
    put(tmp_path / "env", dist_info(site_of(made), "other", "3"))
    return made


@pytest.mark.parametrize("collect", [run, static])
def test_a_venv_is_read_as_its_interpreter_sees_it(python: Path, collect) -> None:
    """Same sys.path, same distributions, same version, whether the interpreter runs the collector or not."""
    document = collect(python, environment())
    agree(document, normal_start(python))
    assert document["software"]["python"]["environment"] == "venv"
    assert names(document) == {"some-thing": "1.2", "other": "3"}
    assert document["gaps"] == []


@pytest.mark.parametrize("collect", [run, static])
def test_system_site_packages_brings_the_base_and_the_user(tmp_path: Path, collect) -> None:
    """include-system-site-packages adds the user's and the base's folders after the venv's own."""
    made = make(tmp_path / "env", system_site_packages=True)
    put(tmp_path / "env", dist_info(site_of(made), "mine", "1"))
    put(Path(os.environ["HOME"]) / ".local", dist_info(site_of(made), "users", "2"))
    document = collect(made, environment())
    agree(document, normal_start(made))
    assert names(document)["users"] == "2"
    order = [package["name"] for package in document["software"]["packages"]]
    assert order.index("mine") < order.index("users")


@pytest.mark.parametrize("collect", [run, static])
def test_pythonnousersite_leaves_the_user_out(tmp_path: Path, collect) -> None:
    """PYTHONNOUSERSITE is obeyed, although the collector itself is started isolated."""
    made = make(tmp_path / "env", system_site_packages=True)
    put(Path(os.environ["HOME"]) / ".local", dist_info(site_of(made), "users", "2"))
    environ = environment(PYTHONNOUSERSITE="1")
    document = collect(made, environ)
    agree(document, normal_start(made, environ))
    assert "users" not in names(document)


@pytest.mark.parametrize("collect", [run, static])
def test_pythonpath_comes_first(python: Path, tmp_path: Path, collect) -> None:
    """A distribution on PYTHONPATH is the one in use, and the other of that name is still listed."""
    put(tmp_path / "extra", dist_info(".", "other", "99"))
    environ = environment(PYTHONPATH=str(tmp_path / "extra"))
    document = collect(python, environ)
    agree(document, normal_start(python, environ))
    assert names(document)["other"] == "99"
    assert [p["version"] for p in document["software"]["packages"] if p["name"] == "other"] == ["99", "3"]


@pytest.mark.parametrize("collect", [run, static])
def test_a_virtualenv_is_read_like_a_venv(tmp_path: Path, collect) -> None:
    """virtualenv writes other keys into pyvenv.cfg, and a .pth file with a line of code that changes no path."""
    pytest.importorskip("virtualenv", reason="virtualenv is not installed here")
    made = tmp_path / "env"
    command = [sys.executable, "-m", "virtualenv", "--no-download", "--no-pip", "-q", "-p", BASE, str(made)]
    subprocess.run(command, check=True, timeout=60)
    document = collect(made / "bin/python", environment())
    agree(document, normal_start(made / "bin/python"))
    assert document["software"]["python"]["environment"] == "venv"
    assert document["partial"] == []


@pytest.mark.parametrize("collect", [run, static])
def test_debians_python_has_dist_packages(collect) -> None:
    """Debian's patched site.py is recognised, and only its own dist-packages folders are taken."""
    system = Path("/usr/bin/python3")
    if not Path("/usr/lib/python3/dist-packages").is_dir() or not system.exists():
        pytest.skip("this is no Debian with a Python of its own")
    document = collect(system, environment())
    agree(document, normal_start(system))
    assert document["software"]["python"]["environment"] == "system"


@pytest.mark.parametrize("collect", [run, static])
def test_a_venv_of_debians_python_takes_its_dist_packages(tmp_path: Path, collect) -> None:
    """Debian's site.py treats a venv in its own way: its site-packages, then the system's dist-packages."""
    if not Path("/usr/lib/python3/dist-packages").is_dir() or not Path("/usr/bin/python3").exists():
        pytest.skip("this is no Debian with a Python of its own")
    command = ["/usr/bin/python3", "-m", "venv", "--without-pip", "--system-site-packages", str(tmp_path / "env")]
    made = subprocess.run(command, capture_output=True, check=False, timeout=60)
    if made.returncode != 0:
        pytest.skip("Debian's Python is without its venv module")
    put(next((tmp_path / "env/lib").glob("python3.*/site-packages")), dist_info(".", "mine", "1"))
    document = collect(tmp_path / "env/bin/python3", environment())
    agree(document, normal_start(tmp_path / "env/bin/python3"))


@pytest.mark.parametrize("collect", [run, static])
def test_path_lines_of_pth_files_are_followed(python: Path, tmp_path: Path, collect) -> None:
    """A .pth file adds the folders that exist, once each, and comments do not count."""
    put(tmp_path / "more", dist_info(".", "further", "5"))
    lines = f"# a comment\n\n{tmp_path / 'more'}\n{tmp_path / 'more'}\n/no/such/folder\nrelative\n"
    put(tmp_path / "env", {f"{site_of(python)}/x.pth": lines, f"{site_of(python)}/relative/keep": ""})
    document = collect(python, environment())
    agree(document, normal_start(python))
    assert names(document)["further"] == "5"


def test_code_in_a_pth_file_is_a_gap_and_is_never_run(python: Path, tmp_path: Path) -> None:
    """What Python would execute is noted, the list of packages is called incomplete, and nothing happens."""
    mark = tmp_path / "ran"
    put(tmp_path / "env", {f"{site_of(python)}/evil.pth": f"import os; open({str(mark)!r}, 'w').close()\n"})
    document = run(python)
    assert not mark.exists()
    assert document["partial"] == ["software.packages"]
    assert document["gaps"][0]["path"].endswith("evil.pth")
    assert "tensorflow" not in document["software"]  # not looked everywhere, so not "absent"


@pytest.mark.parametrize("collect", [run, static])
def test_an_editable_install_by_path_is_one_distribution(python: Path, tmp_path: Path, collect) -> None:
    """PEP 660 with a path line: the dist-info is editable, and the egg-info beside the source is not a second one."""
    source = tmp_path / "project/src"
    put(source, {"tensorflow/__init__.py": "", "mine.egg-info/PKG-INFO": "Name: mine\nVersion: 0.1\n"})
    url = f'{{"url": "file://{tmp_path}/project", "dir_info": {{"editable": true}}}}'
    put(tmp_path / "env", dist_info(site_of(python), "mine", "0.1", **{"direct_url.json": url, "INSTALLER": "pip\n"}))
    put(tmp_path / "env", {f"{site_of(python)}/__editable__.mine-0.1.pth": f"{source}\n"})
    document = collect(python, environment())
    agree(document, normal_start(python))
    mine = [package for package in document["software"]["packages"] if package["name"] == "mine"]
    assert [(p["editable"], p["installer"]) for p in mine] == [(True, "pip")]
    assert document["software"]["tensorflow"]["path"] == str(source / "tensorflow")


@pytest.mark.parametrize("collect", [run, static])
def test_an_editable_install_by_finder_is_read_as_text(python: Path, tmp_path: Path, collect) -> None:
    """The mapping of setuptools' import hook is understood without running it, and leaves no gap."""
    source = put(tmp_path / "project", {"keras/__init__.py": ""})
    site = site_of(python)
    finder = f"import sys\nMAPPING: dict[str, str] = {{'keras': {str(source / 'keras')!r}}}\ndef install():\n    pass\n"
    files = {f"{site}/__editable___keras_3_0_finder.py": finder}
    files[f"{site}/__editable__.keras-3.0.pth"] = (
        "import __editable___keras_3_0_finder; __editable___keras_3_0_finder.install()"
    )
    url = f'{{"url": "file://{source}", "dir_info": {{"editable": true}}}}'
    put(tmp_path / "env", {**files, **dist_info(site, "keras", "3.0", **{"direct_url.json": url})})
    document = collect(python, environment())
    agree(document, normal_start(python))
    assert document["partial"] == []
    keras = document["software"]["keras"]
    assert (keras["version"], keras["path"], keras["distribution"]) == ("3.0", str(source / "keras"), "keras")


@pytest.mark.parametrize("collect", [run, static])
def test_an_egg_link_is_an_editable_distribution(python: Path, tmp_path: Path, collect) -> None:
    """`setup.py develop`: easy-install.pth brings the folder, the .egg-link says that it is editable."""
    source = put(tmp_path / "project", {"old.egg-info/PKG-INFO": "Name: old\nVersion: 0.3\n"})
    put(source, {"old.egg-info/requires.txt": "numpy\n\n[gpu]\ncupy\n\n[:python_version < '3']\nenum34\n"})
    files = {"old.egg-link": f"{source}\n.", "easy-install.pth": f"{source}\n"}
    put(tmp_path / "env", {f"{site_of(python)}/{name}": text for name, text in files.items()})
    document = collect(python, environment())
    agree(document, normal_start(python))
    old = next(package for package in document["software"]["packages"] if package["name"] == "old")
    assert old["editable"] is True
    assert old["requires"] == ["numpy", 'cupy; extra == "gpu"', "enum34; python_version < '3'"]


@pytest.mark.parametrize("collect", [run, static])
def test_eggs_and_egg_info_of_every_shape_are_found(python: Path, tmp_path: Path, collect) -> None:
    """Egg folders on the path, egg-info folders and single egg-info files."""
    site = site_of(python)
    files = {
        f"{site}/Egg-1.0-py3.9.egg/EGG-INFO/PKG-INFO": "Name: Egg\nVersion: 1.0\n",
        f"{site}/easy-install.pth": "./Egg-1.0-py3.9.egg\n",
        f"{site}/single-2.0.egg-info": "Name: single\nVersion: 2.0\n",
        f"{site}/folder-3.0-py3.9.egg-info/PKG-INFO": "Name: folder\nVersion: 3.0\n",
    }
    put(tmp_path / "env", files)
    document = collect(python, environment())
    agree(document, normal_start(python))
    assert names(document).items() >= {"egg": "1.0", "single": "2.0", "folder": "3.0"}.items()


def test_two_versions_in_one_folder_are_both_listed(python: Path, tmp_path: Path) -> None:
    """An upgrade that left the old metadata behind shows as two distributions of one name."""
    put(tmp_path / "env", dist_info(site_of(python), "other", "4"))
    document = static(python)
    assert sorted(p["version"] for p in document["software"]["packages"] if p["name"] == "other") == ["3", "4"]


def test_nothing_is_written(python: Path, tmp_path: Path) -> None:
    """The tree is the same before and after, down to the modification times; no byte code appears."""

    def tree() -> dict[str, tuple[int, int]]:
        return {str(p): (p.lstat().st_size, p.lstat().st_mtime_ns) for p in tmp_path.rglob("*")}

    before = tree()
    run(python)
    static(python)
    assert tree() == before
