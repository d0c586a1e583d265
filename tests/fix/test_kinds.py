"""Every kind of edit: the finding is gone after it, everything else is as it was, and a second run changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fix.support import OLD, applies, project, training

EDITS: dict[str, tuple[str, str, str, str]] = {
    # name: code, file, before, after
    "requirements": ("KD601", "requirements.txt", "numpy>=1.22  # fast\n", "numpy==1.26.4  # fast\n"),
    "no line end": ("KD601", "requirements.txt", "numpy", "numpy==1.26.4"),
    "CRLF": ("KD601", "requirements.txt", "# é\r\nnumpy ~= 1.26\r\nflask\r\n", "# é\r\nnumpy==1.26.4\r\nflask\r\n"),
    "extras": ("KD601", "requirements.txt", "tensorflow[and-cuda]\n", "tensorflow[and-cuda]==2.16.2\n"),
    "marker": (
        "KD601",
        "requirements.txt",
        'numpy>=1.22; python_version >= "3.9"\n',
        'numpy==1.26.4; python_version >= "3.9"\n',
    ),
    "names like it": ("KD601", "requirements.txt", "numpy-quaternion\nnumpy\n", "numpy-quaternion\nnumpy==1.26.4\n"),
    "dependency group": (
        "KD601",
        "pyproject.toml",
        "[dependency-groups]\ntrain = [\"keras>=3\", 'numpy']  # these\n",
        "[dependency-groups]\ntrain = [\"keras==3.3.3\", 'numpy==1.26.4']  # these\n",
    ),
    "Poetry": (
        "KD601",
        "pyproject.toml",
        '[tool.poetry.dependencies]\npython = "^3.11"\nkeras = {version = "^3.0", extras = ["x"]}\nnumpy = "*"\n',
        '[tool.poetry.dependencies]\npython = "^3.11"\nkeras = {version = "3.3.3", extras = ["x"]}\nnumpy = "1.26.4"\n',
    ),
    "Pipfile": ("KD601", "Pipfile", '[packages]\nnumpy = "*"\n', '[packages]\nnumpy = "==1.26.4"\n'),
    "conda": (
        "KD601",
        "environment.yml",
        "dependencies:\n  - python=3.11\n  - numpy >=1.22\n  - conda-forge::keras\n  - pip:\n      - tensorflow\n",
        "dependencies:\n  - python=3.11\n  - numpy=1.26.4\n  - conda-forge::keras=3.3.3\n  - pip:\n"
        "      - tensorflow==2.16.2\n",
    ),
    "never existed": (
        "KD311",
        "requirements.txt",
        "tensorflow[and-cuda]==2.16.9  # new\n",
        "tensorflow[and-cuda]==2.16.2  # new\n",
    ),
    "stub": ("KD311", "requirements.txt", "tensorflow-gpu\n", "tensorflow[and-cuda]==2.16.2\n"),
    "contradiction": (
        "KD311",
        "requirements.txt",
        "tensorflow==2.15.1\nnumpy==2.1.0\n",
        "tensorflow==2.15.1\nnumpy==1.26.4\n",
    ),
    "argument": (
        "KD715",
        "train.py",
        training(optimizer="keras.optimizers.Adam(lr=0.1,  # é\n    beta_1=0.9)"),
        training(optimizer="keras.optimizers.Adam(learning_rate=0.1,  # é\n    beta_1=0.9)"),
    ),
    "metric": (
        "KD715",
        "train.py",
        training() + "mean = keras.metrics.Mean()\nmean.reset_states()\n",
        training() + "mean = keras.metrics.Mean()\nmean.reset_state()\n",
    ),
    "generator": (
        "KD715",
        "train.py",
        training() + "model.predict_generator(rows, steps=3)\n",
        training() + "model.predict(rows, steps=3)\n",
    ),
    "best weights": (
        "KD718",
        "train.py",
        training(callback="keras.callbacks.EarlyStopping(\n    patience=(3),  # epochs\n)"),
        training(callback="keras.callbacks.EarlyStopping(\n    patience=(3), restore_best_weights=True,  # epochs\n)"),
    ),
    "best weights, nothing else": (
        "KD718",
        "train.py",
        training(callback="keras.callbacks.EarlyStopping()"),
        training(callback="keras.callbacks.EarlyStopping(restore_best_weights=True)"),
    ),
    "seed": (
        "KD701",
        "train.py",
        training(seed=""),
        training(seed="").replace("import keras\n", "import keras\n\nkeras.utils.set_random_seed(42)\n"),
    ),
    "seed, CRLF": (
        "KD701",
        "train.py",
        training(seed="").replace("\n", "\r\n"),
        training(seed="")
        .replace("import keras\n", "import keras\n\nkeras.utils.set_random_seed(42)\n")
        .replace("\n", "\r\n"),
    ),
}


@pytest.mark.parametrize(("code", "path", "before", "after"), EDITS.values(), ids=EDITS)
def test_the_edit_mends_and_touches_nothing_else(code: str, path: str, before: str, after: str, tmp_path: Path) -> None:
    """The file is byte for byte as it should be, the finding is gone, no other came, and nothing is left to do."""
    here = project(tmp_path / "p", {path: before})
    found = {finding.code for finding in here.findings()}
    assert code in found
    fixes = here.plan(code).write()
    assert here.read(path) == after
    assert [file.refused for file in fixes.files] == [None]
    assert all(row.written for row in fixes.rows if row.replacements)
    assert not here.findings(code)
    new = {finding.code for finding in here.findings()} - found
    assert new <= {"KD602"} | ({"KD601"} if code == "KD311" else set())  # a pin without a hash; no longer a pin
    assert not here.plan(code).files


@pytest.mark.parametrize(("code", "path", "before", "after"), EDITS.values(), ids=EDITS)
def test_git_applies_the_diff(code: str, path: str, before: str, after: str, tmp_path: Path) -> None:
    """The diff makes of the file what --write makes of it."""
    here = project(tmp_path / "p", {path: before})
    diffs = "".join(file.diff for file in here.plan(code).fixes().files)
    assert here.read(path) == before
    assert applies(here.folder, diffs)[path] == after


@pytest.mark.parametrize(("code", "path", "before", "after"), EDITS.values(), ids=EDITS)
def test_replacements_by_line_and_column_say_the_same(
    code: str, path: str, before: str, after: str, tmp_path: Path
) -> None:
    """What a report carries, applied from the end, gives the same text as the diff."""
    here = project(tmp_path / "p", {path: before})
    places = {r for row in here.plan(code).rows for r in row.replacements}
    starts = [0]
    for line in before.split("\n"):
        starts.append(starts[-1] + len(line) + 1)
    text = before
    for r in sorted(places, key=lambda r: (r.line, r.column), reverse=True):
        text = text[: starts[r.line - 1] + r.column - 1] + r.text + text[starts[r.end_line - 1] + r.end_column - 1 :]
    assert text == after


def test_a_dockerfile_gets_what_the_requirements_get(tmp_path: Path) -> None:
    """An install line of an image takes the version that the project asks for, quoted where the shell needs it."""
    here = project(
        tmp_path / "p",
        {
            "requirements.txt": "numpy\ntensorflow[and-cuda]\n",
            "Dockerfile": 'FROM scratch\nRUN pip install numpy "keras>=3" && \\\n  pip install tensorflow[and-cuda]\n',
        },
    )
    here.plan("KD601").write()
    assert here.read("Dockerfile") == (
        "FROM scratch\nRUN pip install numpy==1.26.4 \"keras>=3\" && \\\n  pip install 'tensorflow[and-cuda]==2.16.2'\n"
    )
    assert [finding.thing for finding in here.findings("KD601")] == ["keras"]
    assert not here.plan("KD601").files


def test_a_lock_file_decides_before_what_is_installed(tmp_path: Path) -> None:
    """The version that an image's install line gets is the locked one."""
    here = project(
        tmp_path / "p",
        {
            "uv.lock": 'version = 1\n[[package]]\nname = "numpy"\nversion = "1.26.1"\nsource = {registry = "x"}\n',
            "Dockerfile": "FROM scratch\nRUN pip install numpy\n",
        },
    )
    here.plan("KD601").write()
    assert here.read("Dockerfile") == "FROM scratch\nRUN pip install numpy==1.26.1\n"


def test_an_incompatible_package_gets_a_bound_and_a_command(tmp_path: Path) -> None:
    """NumPy 2 under TensorFlow 2.15: what asks for it is bounded, the environment is left to a command."""
    here = project(tmp_path / "p", {"requirements.txt": "tensorflow==2.15.1\nnumpy>=1.20\n"}, **OLD)
    made = here.plan()
    made.write()
    assert here.read("requirements.txt") == "tensorflow==2.15.1\nnumpy>=1.23.5,<2.0.0\n"
    commands = [row.command for row in made.rows if row.kind == "command"]
    assert "pip install 'numpy>=1.23.5,<2.0.0'" in commands
    assert not here.plan().files


ENVIRONMENT = {
    "Dockerfile": (
        "FROM scratch\nENV TF_CPP_MIN_LOG_LEVEL=2 \\\n    B=1\nRUN true\n",
        "FROM scratch\nENV TF_CPP_MIN_LOG_LEVEL=2 \\\n    B=1\nENV TF_DETERMINISTIC_OPS=1\nRUN true\n",
    ),
    "compose.yaml": (
        "services:\n  a:\n    build: .\n    environment:\n      TF_XLA_FLAGS: x\n    tty: true\n",
        "services:\n  a:\n    build: .\n    environment:\n      TF_XLA_FLAGS: x\n"
        '      TF_DETERMINISTIC_OPS: "1"\n    tty: true\n',
    ),
    "docker-compose.yml": (
        'services:\n  a:\n    build: .\n    environment:\n      - "KERAS_BACKEND=tensorflow"',
        'services:\n  a:\n    build: .\n    environment:\n      - "KERAS_BACKEND=tensorflow"\n'
        '      - "TF_DETERMINISTIC_OPS=1"',
    ),
    ".env": ("SECRET=s\nPYTHONHASHSEED=0\nZ=1\n", "SECRET=s\nPYTHONHASHSEED=0\nTF_DETERMINISTIC_OPS=1\nZ=1\n"),
}


@pytest.mark.parametrize(("path", "texts"), ENVIRONMENT.items())
def test_a_variable_goes_where_others_are_set(path: str, texts: tuple[str, str], tmp_path: Path) -> None:
    """Beside the variables of TensorFlow that a file sets already, written as they are; then the finding is gone."""
    here = project(tmp_path / "p", {path: texts[0], "train.py": training(), "other.py": training()})
    assert len(here.findings("KD702")) == 2
    here.plan("KD702").write()
    assert here.read(path) == texts[1]
    assert not here.findings("KD702")
    assert not here.plan("KD702").files


def test_no_variable_is_set_where_nothing_sets_any(tmp_path: Path) -> None:
    """A project that configures TensorFlow nowhere is told so."""
    here = project(tmp_path / "p", {"Dockerfile": "FROM scratch\nENV A=1\n", "train.py": training()})
    assert ["no file of the project sets" in row.reason for row in here.refused("KD702")] == [True]


def test_no_other_variable_is_taken_up(tmp_path: Path) -> None:
    """Of a .env file only variables of TensorFlow enter the facts."""
    here = project(tmp_path / "p", {".env": "TF_API_TOKEN=x\nAWS_SECRET=s\nTF_XLA_FLAGS=f\n"})
    assert here.case().value("project.environment") == (
        {"name": "TF_XLA_FLAGS", "value": "f", "path": ".env", "line": 3, "end_line": 3},
    )


def test_two_fixes_of_one_request_are_not_mixed(tmp_path: Path) -> None:
    """The graver finding's edit is made, the other one is reported with the code of the first."""
    bare = {"packages": [{"name": "numpy", "version": "2.1.0", "installer": "pip"}], "tensorflow": {"present": False}}
    here = project(tmp_path / "p", {"requirements.txt": "tensorflow==2.15.1\nnumpy>=2\n"}, **bare, keras={})
    made = here.plan("KD311", "KD601")
    made.write()
    assert here.read("requirements.txt") == "tensorflow==2.15.1\nnumpy<2.0.0,>=1.23.5\n"
    assert [(row.code, row.reason) for row in made.rows if row.kind == "edit" and not row.replacements] == [
        ("KD601", "the fix of KD311 changes the same words: run it again")
    ]
    assert not here.plan("KD311", "KD601").files


def test_two_fixes_of_one_line_go_together(tmp_path: Path) -> None:
    """Edits beside each other are proven together."""
    here = project(tmp_path / "p", {"pyproject.toml": '[dependency-groups]\na = ["numpy", "keras"]\n'})
    here.plan("KD601").write()
    assert here.read("pyproject.toml") == '[dependency-groups]\na = ["numpy==1.26.4", "keras==3.3.3"]\n'
