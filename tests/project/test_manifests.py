"""pyproject.toml, setup.cfg, Pipfile, conda environments and lock files."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import pytest

from doctor.project import locks, manifests
from doctor.project.found import Found, SourceFile


def file(name: str, text: str) -> SourceFile:
    return SourceFile(name, textwrap.dedent(text), Path())


def rows(found: Found) -> list[tuple[str, str, bool, int, str]]:
    return [(r.name, r.specifier, r.exact, r.line, r.kind) for r in found.requirements]


def test_pyproject() -> None:
    """Metadata, extras, groups and Poetry's tables, each at its line; a bare version is exact to Poetry."""
    text = """\
        [project]
        dependencies = [
          "tensorflow>=2.15",
        ]
        [project.optional-dependencies]
        gpu = ["tensorflow[and-cuda]==2.15.0"]
        [dependency-groups]
        dev = ["pytest", {include-group = "x"}]
        [tool.poetry.dependencies]
        python = "^3.10"
        keras = "3.1.0"
        jax = "^0.4"
        numpy = {version = "==1.26.4", extras = ["x"]}
        local = {path = "../x"}
    """
    assert rows(manifests.parse_pyproject(file("pyproject.toml", text))) == [
        ("tensorflow", ">=2.15", False, 3, "metadata"),
        ("tensorflow", "==2.15.0", True, 6, "metadata"),
        ("pytest", "", False, 8, "group"),
        ("keras", "3.1.0", True, 11, "requirement"),
        ("jax", "^0.4", False, 12, "requirement"),
        ("numpy", "==1.26.4", True, 13, "requirement"),
    ]


def test_pipfile_and_setup_cfg() -> None:
    """A star is no version to pipenv; setup.cfg declares ranges for others."""
    found = manifests.parse_pipfile(file("Pipfile", '[packages]\nnumpy = "==1.26.4"\nscipy = "*"\n'))
    assert rows(found) == [("numpy", "==1.26.4", True, 2, "requirement"), ("scipy", "", False, 3, "requirement")]
    text = "[options]\ninstall_requires =\n    numpy>=1\n[options.extras_require]\ngpu =\n    jax==0.4.1\n"
    assert rows(manifests.parse_setup_cfg(file("setup.cfg", text))) == [
        ("numpy", ">=1", False, 3, "metadata"),
        ("jax", "==0.4.1", True, 6, "metadata"),
    ]


def test_conda_environment() -> None:
    """Its own lines and those of pip, told apart by the installer."""
    text = """\
        dependencies:
          - conda-forge::numpy=1.26.4
          - pip:
            - keras
            - -r more.txt
    """
    found = manifests.parse_conda(file("environment.yml", text))
    assert rows(found) == [("numpy", "=1.26.4", True, 2, "requirement"), ("keras", "", False, 4, "requirement")]
    assert [r.installer for r in found.requirements] == ["conda", "pip"]


@pytest.mark.parametrize(
    ("name", "text", "expected", "hashed"),
    [
        (
            "uv.lock",
            'version = 1\n[[package]]\nname = "me"\nversion = "1"\nsource = {virtual = "."}\n'
            '[[package]]\nname = "NumPy"\nversion = "1.26.4"\nwheels = [{hash = "sha256:a"}]\n',
            {"numpy": "1.26.4"},
            True,
        ),
        ("poetry.lock", '[[package]]\nname = "numpy"\nversion = "1.26.4"\nfiles = []\n', {"numpy": "1.26.4"}, False),
        (
            "pylock.toml",
            'lock-version = "1.0"\ncreated-by = "x"\n[[packages]]\nname = "numpy"\nversion = "1.26.4"\n'
            '[[packages.wheels]]\nname = "numpy-1.26.4-py3-none-any.whl"\nurl = "https://x.example/numpy.whl"\n'
            'hashes = {sha256 = "aa"}\n',
            {"numpy": "1.26.4"},
            True,
        ),
        (
            "Pipfile.lock",
            json.dumps({"_meta": {}, "default": {"numpy": {"version": "==1.26.4", "hashes": ["sha256:a"]}}}),
            {"numpy": "1.26.4"},
            True,
        ),
        (
            "conda-lock.yml",
            "package:\n- name: numpy\n  version: 1.26.4\n  hash:\n    sha256: aa\n",
            {"numpy": "1.26.4"},
            True,
        ),
        (
            "conda-linux-64.lock",
            "@EXPLICIT\nhttps://c.example/linux-64/numpy-1.26.4-py311_0.conda#aa\n",
            {"numpy": "1.26.4"},
            True,
        ),
    ],
)
def test_lock_formats(name: str, text: str, expected: dict[str, str], hashed: bool) -> None:
    """Name and version of each package, without the project itself, and whether hashes stand there."""
    (lock,) = locks.parse(file(name, text)).lock_files
    assert (lock.packages, lock.hashed) == (expected, hashed)


def test_packages_that_are_locked_twice_keep_all_versions() -> None:
    """uv locks one version for each platform or Python."""
    text = "".join(f'[[package]]\nname = "numpy"\nversion = "{v}"\n' for v in ("1.26.4", "2.0.0"))
    (lock,) = locks.parse(file("uv.lock", "version = 1\n" + text)).lock_files
    assert (lock.packages, lock.variants) == ({"numpy": "1.26.4"}, {"numpy": ["1.26.4", "2.0.0"]})


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("pyproject.toml", "[project\n", 1),
        ("pyproject.toml", "a = 1\nb =\n", 2),
        ("Pipfile", "[[[", 1),
        ("environment.yml", "dependencies:\n  - a: b: c\n", 2),
        ("setup.cfg", "no section\n", 1),
    ],
)
def test_broken_manifests_say_where(name: str, text: str, line: int) -> None:
    """A broken file is one problem with its line, and no error."""
    readers = {
        "pyproject.toml": manifests.parse_pyproject,
        "Pipfile": manifests.parse_pipfile,
        "environment.yml": manifests.parse_conda,
        "setup.cfg": manifests.parse_setup_cfg,
    }
    found = readers[name](file(name, text))
    assert [(u.path, u.line) for u in found.unreadable] == [(name, line)]


@pytest.mark.parametrize(
    ("name", "text"), [("uv.lock", "x ="), ("Pipfile.lock", "{"), ("pylock.toml", "a = 1"), ("conda-lock.yml", "x: 1")]
)
def test_broken_locks_are_problems(name: str, text: str) -> None:
    """None of them passes for an empty lock file."""
    found = locks.parse(file(name, text))
    assert not found.lock_files
    assert len(found.unreadable) == 1
