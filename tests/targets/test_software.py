"""An environment's own interpreter runs the collector: and what if it does not."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from doctor.errors import TargetError
from doctor.targets.interpreter import Interpreter
from doctor.targets.software import ask, collect


def script(folder: Path, text: str) -> Interpreter:
    """Something executable that stands where an interpreter should."""
    path = folder / "python"
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return Interpreter(path, "VIRTUAL_ENV")


def test_interpreter_answers_for_its_own_environment() -> None:
    """A real interpreter answers with its version, and with the packages that are installed beside it."""
    import platform

    found = ask(Interpreter(Path(sys.executable), "named by --python"))
    assert found.how == "run"
    assert found.facts["python"]["version"] == platform.python_version()
    assert "pytest" in {package["name"] for package in found.facts["packages"]}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sleep 60", "did not answer within"),
        ("echo hello", "not the collector's document"),
        ("kill -SEGV $$", "died by SIGSEGV"),
        ("echo boom >&2; exit 7", "exit status 7: boom"),
        ("exec cat /dev/zero", "more than the output limit"),
        ("echo '----- BEGIN KDOCTOR SOFTWARE -----'; echo '{'; echo '----- END KDOCTOR SOFTWARE -----'", "document"),
        ("echo '----- BEGIN KDOCTOR SOFTWARE -----'; echo '[1]'; echo '----- END KDOCTOR SOFTWARE -----'", "document"),
    ],
)
def test_broken_interpreter_is_one_clear_line(tmp_path: Path, text: str, words: str) -> None:
    """Hangs, garbage, signals and endless output: one line that names the interpreter."""
    with pytest.raises(TargetError, match=words) as caught:
        ask(script(tmp_path, text), seconds=2)
    assert str(tmp_path / "python") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unnamed_interpreter_that_is_broken_is_read_as_files(tmp_path: Path) -> None:
    """The active environment's interpreter dies: its files are read instead, and that is said."""
    found = collect(script(tmp_path, "exit 7"))
    assert found.how == "static"
    assert "its files were read instead" in found.remarks[0]


def test_named_interpreter_that_is_broken_is_an_error(tmp_path: Path) -> None:
    """What was named must answer."""
    broken = script(tmp_path, "exit 7")
    with pytest.raises(TargetError):
        collect(Interpreter(broken.executable, "named by --python"))


def test_static_and_run_agree_on_this_environment() -> None:
    """Read as files or asked: the same packages, the same TensorFlow, the same Keras."""
    run = ask(Interpreter(Path(sys.executable), "named by --python")).facts
    static = collect(Interpreter(Path(sys.executable), "test", may_run=False)).facts
    for key in ("packages", "tensorflow", "keras"):
        assert static.get(key) == run.get(key), key
