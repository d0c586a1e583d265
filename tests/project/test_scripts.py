"""Reading scripts and notebooks: what is looked at, where facts stand, and input that was made to hurt."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from doctor.project import collect_project
from doctor.project.scripts import collect_scripts

TRAIN = """\
import keras

model = keras.Sequential([keras.layers.Dense(1)])
model.compile("adam", "mse")
model.fit(x, y, epochs=3)
"""


def write(folder: Path, files: dict[str, str | bytes]) -> None:
    """Write files below a folder."""
    for name, text in files.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(text if isinstance(text, bytes) else text.encode())


def read(folder: Path, files: dict[str, str | bytes]) -> tuple[dict[str, dict[str, Any]], list[dict[str, Any]]]:
    """The rows by path, and what could not be read."""
    write(folder, files)
    rows, unreadable, _ = collect_scripts(folder)
    json.dumps([rows, unreadable]).encode()  # whatever was read can be written
    return {row["path"]: row for row in rows}, unreadable


def whats(row: dict[str, Any]) -> set[str]:
    """The kinds of facts in a row."""
    return {fact["what"] for fact in row["facts"]}


def notebook(*cells: str | list[str]) -> str:
    """A notebook of code cells."""
    return json.dumps({"cells": [{"cell_type": "code", "source": cell} for cell in cells], "nbformat": 4}, indent=1)


def test_what_is_looked_at(tmp_path: Path) -> None:
    """Files that speak of TensorFlow or Keras; not tests, environments, or what is installed."""
    skipped = "tests/test_model.py test_train.py venv/lib/x.py node_modules/a.py .hidden/a.py env/pyvenv.cfg env/a.py"
    names = f"train.py src/models/fit.py lib/site-packages/keras/a.py {skipped}"
    files: dict[str, str | bytes] = dict.fromkeys(names.split(), TRAIN)
    rows, unreadable = read(tmp_path, {**files, "util.py": "import os\n", "notes.txt": TRAIN})
    assert sorted(rows) == ["src/models/fit.py", "train.py"]
    assert unreadable == []


def test_a_fact_stands_at_its_place(tmp_path: Path) -> None:
    """Line and column from 1, counted in characters, and the line as it is written."""
    rows, _ = read(tmp_path, {"train.py": TRAIN.replace("model.fit", "été = 1; model.fit")})
    (fact,) = [fact for fact in rows["train.py"]["facts"] if fact["what"] == "seed-unset"]
    assert (fact["line"], fact["column"], fact["text"]) == (5, 10, "été = 1; model.fit(x, y, epochs=3)")


def test_a_notebook_names_cell_and_line_of_the_file(tmp_path: Path) -> None:
    """Where Jupyter wrote each line on a line of its own, that line; the cell is counted over all cells."""
    text = notebook(["%load_ext x\n", "import keras\n", "\n", "m = keras.Sequential()"], "m.fit(x, y, epochs=1)")
    rows, _ = read(tmp_path, {"a.ipynb": text})
    fact = rows["a.ipynb"]["facts"][0]
    assert (fact["what"], fact["cell"], fact["cell_line"]) == ("trains", 2, 1)
    assert "m.fit(x, y, epochs=1)" in text.split("\n")[fact["line"] - 1]


def test_a_notebook_written_on_one_line(tmp_path: Path) -> None:
    """Cells and their lines are known, whatever the file looks like."""
    cells = [{"cell_type": "code", "source": TRAIN}, {"cell_type": "raw"}, 7, {"cell_type": "code", "source": None}]
    rows, _ = read(tmp_path, {"a.ipynb": json.dumps({"cells": cells})})
    assert rows["a.ipynb"]["facts"][0]["cell_line"] == 5


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("a.ipynb", "keras {", "a notebook that is not JSON"),
        ("a.ipynb", '["keras"]', "JSON, but not a notebook"),
        ("a.ipynb", "[" * 100_000 + "keras", "a notebook that is not JSON"),
        ("a.py", "import keras\nprint 'loss', 1\n", "Python 2, which is not looked at"),
        ("a.py", "import keras\nexcept Exception, e:\n", "Python 2, which is not looked at"),
        ("a.py", "import keras\ndef f(:\n", "not Python"),
        ("a.py", "import keras\nx = " + "(" * 5000, "not Python"),
        ("a.py", "import keras\nx = 1" + "+1" * 200_000, "nested too deep to be read"),
        ("a.py", "import keras\nx = a" + ".b" * 300_000, "nested too deep to be read"),
        ("a.py", "import keras\nx = " + "not " * 100_000 + "a", "nested too deep to be read"),
        ("a.py", b"import keras\n\0\0\0", "binary data, not text"),
        ("a.py", "import keras\n" + "# x\n" * 400_000, "more than the 1 MiB that are read"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, data: str | bytes, why: str) -> None:
    """One line says why; the other scripts are looked at all the same."""
    rows, unreadable = read(tmp_path, {name: data, "train.py": TRAIN})
    assert [row["path"] for row in unreadable] == [name]
    assert unreadable[0]["why"].startswith(why)
    assert "seed-unset" in whats(rows["train.py"])


@pytest.mark.parametrize(
    "data",
    [
        TRAIN.encode("utf-16"),
        b"\xef\xbb\xbf" + TRAIN.encode(),
        b"# -*- coding: latin-1 -*-\n# \xe9\n" + TRAIN.encode(),
        b"# -*- coding: no-such -*-\n" + TRAIN.encode(),
        TRAIN.replace("\n", "\r\n").encode(),
        b"# \xff\xfe bytes that are no text\n" + TRAIN.encode(),
        TRAIN.encode() + b"\x0c\n\\\n\n",
    ],
)
def test_encodings(tmp_path: Path, data: bytes) -> None:
    """UTF-16, byte order marks, declared and unknown encodings, other line ends."""
    rows, unreadable = read(tmp_path, {"a.py": data})
    assert unreadable == []
    assert rows["a.py"]["trains"] == "fit"


@pytest.mark.parametrize(
    "body",
    [
        "def f():\n    return f()\nf()\n",
        "def f(n):\n    return g(n)\ndef g(n):\n    return f(n)\nf(1)\n",
        "class A(keras.Model):\n    def __init__(self):\n        self.a = A()\nA()\n",
        "class A(A):\n    pass\nA()\n",
        "a = []\na.append(a)\nm = keras.Sequential(a)\nm.add(m)\nm.compile('adam', 'mse')\nm.fit(a, epochs=1)\n",
        "m = keras.Model(keras.Input(()), None)\nm.outputs = m\nm.fit(*a, **b)\n",
        "for i in m.layers: m.layers = i\n" * 200,
        "lambda: (yield)\nglobal q\nmatch m:\n    case [1, *r]: m.fit(r, epochs=1)\n",
        "x = [[[[y for y in x] for x in z] for z in z] for z in m]\nx[::2, ...] += 1\ndel x[0], m.a\n",
        "".join(f"def f{i}(m):\n    f{i + 1}(m)\n    f{i + 1}(m)\n    f{i + 1}(m)\n" for i in range(40))
        + "f0(keras)\n",
        "keras.Sequential(layers=keras.layers.Dense(units=True, activation=3.5, name=b''))\nkeras.Model()\n",
        "keras.callbacks.EarlyStopping(*a)\nkeras.losses.BinaryCrossentropy(1)(1)\nkeras.models.load_model(b'x')\n",
        "try:\n    pass\nexcept* ValueError:\n    pass\n" if sys.version_info >= (3, 11) else "pass\n",
    ],
)
def test_strange_programs_end(tmp_path: Path, body: str) -> None:
    """Recursion, models in themselves, calls that multiply: an answer, in good time."""
    started = time.monotonic()
    rows, unreadable = read(tmp_path, {"a.py": "import keras\nm = keras.Sequential()\n" + body})
    assert list(rows) == ["a.py"]
    assert unreadable == []
    assert time.monotonic() - started < 10


def test_a_large_script_ends(tmp_path: Path) -> None:
    """A script of almost 1 MiB of calls is followed a bounded way."""
    started = time.monotonic()
    rows, _ = read(tmp_path, {"a.py": "import keras\n" + "keras.layers.Dense(1, activation='x')(a)\n" * 25_000})
    assert list(rows) == ["a.py"]
    assert time.monotonic() - started < 20


def test_nothing_is_executed(tmp_path: Path) -> None:
    """A script that would leave a trace leaves none."""
    trace = tmp_path / "trace"
    read(
        tmp_path, {"a.py": f"import keras\nopen({str(trace)!r}, 'w').write('here')\n__import__('os').system('true')\n"}
    )
    assert not trace.exists()


def test_links_are_not_followed(tmp_path: Path) -> None:
    """A link to a script or folder elsewhere gives nothing, nor does one that leads round in a circle."""
    outside = tmp_path / "outside"
    inside = tmp_path / "inside"
    write(outside, {"train.py": TRAIN})
    inside.mkdir()
    (inside / "a.py").symlink_to(outside / "train.py")
    (inside / "b").symlink_to(outside)
    (inside / "c").symlink_to(inside)
    assert collect_scripts(inside)[0] == []


def test_a_seed_in_an_imported_module_counts(tmp_path: Path) -> None:
    """Through packages and relative imports, and through modules that import others."""
    files: dict[str, str | bytes] = {
        "app/__init__.py": "",
        "app/train.py": "from . import settings\n" + TRAIN,
        "app/settings.py": "import tensorflow\nfrom .deep import base\n",
        "app/deep/base.py": "import keras\nkeras.utils.set_random_seed(1)\n",
        "other.py": "import settings\n" + TRAIN,
    }
    rows, _ = read(tmp_path, files)
    assert "seed-set" in whats(rows["app/train.py"])
    assert "seed-unset" in whats(rows["other.py"])


def test_a_training_function_of_a_module_is_no_script(tmp_path: Path) -> None:
    """Who imports it trains."""
    body = "".join("    " + line + "\n" for line in TRAIN.splitlines()[2:])
    rows, _ = read(tmp_path, {"lib.py": "import keras\ndef train(x, y):\n" + body})
    assert rows["lib.py"]["trains"] is None


def test_the_project_holds_scripts_and_their_suppressions(tmp_path: Path) -> None:
    """``collect_project`` carries the rows; a comment in a script is a suppression."""
    write(
        tmp_path,
        {
            "train.py": "# kdoctor: ignore[KD701] a demo (until 2030-01-01)\n" + TRAIN,
            "old.py": "import keras\nprint 1\n",
        },
    )
    project = collect_project(tmp_path)
    assert [row["path"] for row in project["scripts"]] == ["train.py"]
    assert project["suppressions"][0]["codes"] == ["KD701"]
    assert project["unreadable"][0]["path"] == "old.py"


def test_a_suppression_inside_a_string_is_an_example(tmp_path: Path) -> None:
    """A docstring that shows how to write one suppresses nothing, and cannot expire."""
    shown = '"""How to:\n\n# kdoctor: ignore[KD403] an example (until 2020-01-01)\n"""\n'
    write(tmp_path, {"train.py": shown + TRAIN + "x = 1  # kdoctor: ignore[KD702] a demo\n"})
    assert [row["codes"] for row in collect_project(tmp_path)["suppressions"]] == [["KD702"]]


def test_reading_imports_no_framework() -> None:
    """Neither TensorFlow nor Keras nor NumPy is imported to read scripts."""
    code = (
        "import sys; from pathlib import Path; from doctor.project.scripts import collect_scripts;"
        f"collect_scripts(Path({str(Path(__file__).parent / 'scripts_corpus')!r}));"
        "print({'tensorflow', 'keras', 'numpy', 'rich', 'docker'} & set(sys.modules))"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert done.stdout.strip() == "set()"
