"""What ends up in the wheel, and what it does to its neighbours."""

from __future__ import annotations

import ast
import importlib.util
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIST_RULES = "from doctor import catalogue; print([r.code + ' ' + r.page for r in catalogue.rules()])"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source distribution, built from this checkout."""
    out = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", str(out)], cwd=ROOT, check=True, capture_output=True
    )
    return out


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    """The wheel."""
    return next(built.glob("*.whl"))


def _source_files(folder: str) -> set[str]:
    return {
        str(p.relative_to(ROOT)) for p in (ROOT / folder).rglob("*") if p.is_file() and "__pycache__" not in p.parts
    }


def test_wheel_holds_every_file_of_the_program_and_of_the_rules(wheel: Path) -> None:
    """Each file of doctor/ and rules/ is in the wheel, the rules as doctor/rules."""
    names = set(zipfile.ZipFile(wheel).namelist())
    assert _source_files("doctor") <= names
    assert {f"doctor/{name}" for name in _source_files("rules")} <= names


def test_only_top_level_name_is_doctor(wheel: Path) -> None:
    """Nothing but doctor is ever put into site-packages at the top level."""
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"doctor"}


def test_source_distribution_holds_program_rules_and_tests(built: Path) -> None:
    """The sdist builds and tests again."""
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {"/".join(name.split("/")[1:]) for name in archive.getnames()}
    assert {"doctor/__init__.py", "rules/__init__.py", "tests/conftest.py", "pyproject.toml"} <= names


def _install(target: Path, *what: str) -> subprocess.CompletedProcess[str]:
    if importlib.util.find_spec("pip") is None:
        pytest.skip("this environment has no pip to install with")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), *what]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_same_rules_from_the_wheel_and_from_the_checkout(wheel: Path, tmp_path: Path) -> None:
    """Installed and checked out, the catalogue holds the same rules with the same pages."""
    assert _install(tmp_path / "site", str(wheel)).returncode == 0
    listed = []
    for path in (tmp_path / "site", ROOT):
        env = {**os.environ, "PYTHONPATH": str(path), "PYTHONDONTWRITEBYTECODE": "1"}
        run = subprocess.run(
            [sys.executable, "-c", LIST_RULES], env=env, cwd=tmp_path, capture_output=True, text=True, check=True
        )
        listed.append(run.stdout)
    assert listed[0] == listed[1]
    assert "KD102" in listed[0]


@pytest.mark.parametrize("first", ["rules", "kdoctor"])
def test_lives_beside_the_package_called_rules(
    wheel: Path, tmp_path: Path, lacking: Callable[[str], NoReturn], first: str
) -> None:
    """PyPI's well-known package ``rules`` is untouched by an installation, in either order."""
    neighbour = tmp_path / "alone"
    done = _install(neighbour, "rules==3.5")
    if done.returncode:
        lacking(f"the package index has no 'rules': {done.stderr.strip()[-200:]}")
    before = {p.relative_to(neighbour): p.read_bytes() for p in (neighbour / "rules").rglob("*.py")}
    both = tmp_path / "both"
    for what in [["rules==3.5"], [str(wheel)]] if first == "rules" else [[str(wheel)], ["rules==3.5"]]:
        assert _install(both, *what).returncode == 0
    assert {p.relative_to(both): p.read_bytes() for p in (both / "rules").rglob("*.py")} == before
    assert (both / "doctor/rules/__init__.py").is_file()


def test_nobody_imports_rules_by_its_folder_name() -> None:
    """Under doctor/ and tests/ the rules are only known as doctor.rules."""
    for file in [*(ROOT / "doctor").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]:
        for node in ast.walk(ast.parse(file.read_bytes())):
            modules = []
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                modules = [node.module or ""]
            assert not [m for m in modules if m.split(".")[0] == "rules"], file


def test_version_is_a_literal() -> None:
    """The version is read without running anything."""
    tree = ast.parse((ROOT / "doctor/__init__.py").read_text())
    values = [n.value for n in tree.body if isinstance(n, ast.Assign) and n.targets[0].id == "__version__"]  # type: ignore[attr-defined]
    assert len(values) == 1
    assert isinstance(values[0], ast.Constant)
