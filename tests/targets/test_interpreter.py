"""Which interpreter is looked at: the first that applies, in the order of the contract."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from doctor.errors import TargetError
from doctor.targets.interpreter import choose


def environment(folder: Path, *packages: str) -> Path:
    """A folder that looks like a virtual environment with these packages in it."""
    (folder / "bin").mkdir(parents=True)
    (folder / "bin/python").write_text("#!/bin/sh\n")
    (folder / "bin/python").chmod(0o755)
    for package in packages:
        (folder / "lib/python3.11/site-packages" / package).mkdir(parents=True)
    return folder


@pytest.fixture(autouse=True)
def own_environment_is_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """kdoctor's own environment holds no framework, unless a test says so."""
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "own"))
    monkeypatch.setattr("sysconfig.get_path", lambda _name: str(tmp_path / "own/lib"))


def test_named_one_wins_over_everything(tmp_path: Path) -> None:
    """--python names an interpreter or the folder of its environment."""
    named, active = environment(tmp_path / "named"), environment(tmp_path / "active")
    for word in (str(named), str(named / "bin/python")):
        choice = choose(tmp_path, {"VIRTUAL_ENV": str(active)}, word)
        assert choice.chosen is not None
        assert (choice.chosen.prefix, choice.chosen.why) == (named, "named by --python")


def test_order_of_the_contract(tmp_path: Path) -> None:
    """VIRTUAL_ENV, CONDA_PREFIX, .venv of the project, python3 on PATH; .venv is read, not started."""
    active, conda = environment(tmp_path / "active"), environment(tmp_path / "conda")
    dot_venv, on_path = environment(tmp_path / "project/.venv"), environment(tmp_path / "usr")
    (on_path / "bin/python").rename(on_path / "bin/python3")
    env = {"VIRTUAL_ENV": str(active), "CONDA_PREFIX": str(conda), "PATH": str(on_path / "bin")}
    expected = [(active, "VIRTUAL_ENV", True), (conda, "CONDA_PREFIX", True), (dot_venv, ".venv of the project", False)]
    for prefix, why, may_run in expected:
        chosen = choose(tmp_path / "project", env).chosen
        assert chosen is not None
        assert (chosen.prefix, chosen.why, chosen.may_run) == (prefix, why, may_run)
        env.pop(why, None)
    (dot_venv / "bin/python").unlink()
    chosen = choose(tmp_path / "project", env).chosen
    assert chosen is not None
    assert chosen.why == "python3 on PATH"


def test_own_environment_counts_where_it_holds_a_framework(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """kdoctor installed beside TensorFlow looks at its own environment before .venv."""
    environment(tmp_path / ".venv")
    monkeypatch.setattr(sys, "prefix", str(environment(tmp_path / "both", "tensorflow")))
    chosen = choose(tmp_path, {"PATH": ""}).chosen
    assert chosen is not None
    assert chosen.why.startswith("kdoctor's own environment")


def test_passed_over_candidates_with_tensorflow_are_named(tmp_path: Path) -> None:
    """An active environment without TensorFlow wins, but the .venv that holds it is named."""
    active = environment(tmp_path / "active")
    environment(tmp_path / ".venv", "tensorflow")
    choice = choose(tmp_path, {"VIRTUAL_ENV": str(active), "PATH": ""})
    assert [one.prefix for one in choice.passed_over] == [tmp_path / ".venv"]


def test_stale_variable_is_said_and_passed_over(tmp_path: Path) -> None:
    """VIRTUAL_ENV of an environment that was deleted is a remark, no error."""
    choice = choose(tmp_path, {"VIRTUAL_ENV": str(tmp_path / "gone"), "PATH": ""})
    assert choice.chosen is None
    assert "holds no python" in choice.remarks[0]


@pytest.mark.parametrize(
    ("word", "words"), [("gone", "no such interpreter"), (".", "no bin/python"), ("text", "not executable")]
)
def test_named_one_that_is_none(tmp_path: Path, word: str, words: str) -> None:
    """A named interpreter that cannot be one is an error that says what to do."""
    (tmp_path / "text").write_text("hello")
    with pytest.raises(TargetError, match=words):
        choose(tmp_path, {"PATH": ""}, str(tmp_path / word))
