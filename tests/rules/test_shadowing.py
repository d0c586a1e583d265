"""KD312: a file in the place of a package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from doctor.project import collect_project
from tests.rules.environments import plain
from tests.rules.machines import Drop, change, message, outcome

TRAIN = "import tensorflow as tf\ntf.keras.Sequential().fit([1])\n"


def project(folder: Path, *files: str) -> dict[str, Any]:
    """An environment with a project of these files, each of them a training script unless it is a namesake."""
    for name in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(TRAIN if path.name.startswith("train") else "x = 1\n", encoding="utf-8")
    return change(plain(), {"project": collect_project(folder)})


@pytest.mark.parametrize("name", ["tensorflow.py", "keras.py", "numpy.py"])
def test_a_file_of_the_project_beside_a_script(tmp_path: Path, name: str) -> None:
    """Python starts with the folder of the script."""
    snapshot = project(tmp_path, "train.py", name)
    assert outcome("KD312", snapshot) == "error"
    assert message("KD312", snapshot) == f"{name} takes the place of {name[:-3]} for train.py, which stands beside it"


@pytest.mark.parametrize(
    "files",
    [
        ("train.py", "model.py"),
        ("train.py", "layers/keras.py"),  # imported as layers.keras
        ("src/__init__.py", "src/train.py", "src/numpy.py"),  # a package: python -m src.train
        ("train.py", "keras/__init__.py"),  # a copy of Keras, perhaps meant
    ],
)
def test_files_that_take_no_place(tmp_path: Path, files: tuple[str, ...]) -> None:
    """Elsewhere the name means nothing."""
    assert outcome("KD312", project(tmp_path, *files)) == "passed"


def test_a_script_that_is_called_as_what_it_imports(tmp_path: Path) -> None:
    """The first file of many beginners."""
    (tmp_path / "tensorflow.py").write_text(TRAIN, encoding="utf-8")
    assert outcome("KD312", change(plain(), {"project": collect_project(tmp_path)})) == "error"


def test_a_module_on_the_path() -> None:
    """PYTHONPATH comes before site-packages."""
    row = {"module": "numpy", "path": "/w/lib/numpy.py", "package": "/e/site-packages/numpy"}
    snapshot = change(plain(), {"software.shadowed": [row]})
    assert outcome("KD312", snapshot) == "error"
    assert message("KD312", snapshot) == "/w/lib/numpy.py is imported as numpy, before the package of that name"


def test_unknown_facts() -> None:
    """Nobody looked at the path nor at a project; no script in the project."""
    assert outcome("KD312", plain()) == "skipped"
    assert outcome("KD312", change(plain(), {"project.scripts": []})) == "inapplicable"
    assert outcome("KD312", change(plain(), {"software.shadowed": [], "project.scripts": Drop})) == "passed"
