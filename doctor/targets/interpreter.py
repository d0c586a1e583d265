"""Which interpreter is looked at, and why: the first that applies, in the order of the contract."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from doctor.errors import TargetError

FRAMEWORKS = ("tensorflow", "keras", "tf_keras")


@dataclass(frozen=True)
class Interpreter:
    """An interpreter that may be looked at.

    ``why`` names the reason in words; ``may_run`` is False for one that the scanned folder brought along: its
    environment is read, but it is not started.
    """

    executable: Path
    why: str
    may_run: bool = True

    @property
    def prefix(self) -> Path:
        """The folder of its environment (no link is followed: a venv's python is one)."""
        return self.executable.parent.parent


@dataclass(frozen=True)
class Choice:
    """The interpreter chosen, those passed over that hold TensorFlow or Keras, and what was noticed on the way."""

    chosen: Interpreter | None
    passed_over: tuple[Interpreter, ...] = ()
    remarks: tuple[str, ...] = ()


def choose(project: Path, environ: Mapping[str, str], named: str | None = None) -> Choice:
    """The interpreter to look at.

    Raises:
        TargetError: the named interpreter is not there or cannot be executed.
    """
    if named is not None:
        return Choice(Interpreter(_named(named, environ), "named by --python"))
    remarks: list[str] = []
    candidates = list(_candidates(project, environ, remarks))
    chosen = candidates[0] if candidates else None
    seen = {_identity(chosen)} if chosen else set()
    passed_over = []
    for candidate in candidates[1:]:
        if _identity(candidate) not in seen and holds_framework(candidate.prefix):
            passed_over.append(candidate)
        seen.add(_identity(candidate))
    return Choice(chosen, tuple(passed_over), tuple(remarks))


def _candidates(project: Path, environ: Mapping[str, str], remarks: list[str]) -> Iterator[Interpreter]:
    for variable in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        prefix = environ.get(variable)
        if not prefix:
            continue
        python = python_of(Path(prefix))
        if python is None:
            remarks.append(f"{variable} names {prefix}, which holds no python")
        else:
            yield Interpreter(python, variable)
    if holds_framework(Path(sys.prefix)) or _own_paths_hold_framework():
        yield Interpreter(Path(sys.executable), "kdoctor's own environment, which holds TensorFlow or Keras")
    python = python_of(project / ".venv")
    if python is not None:
        yield Interpreter(python, ".venv of the project", may_run=False)
    found = shutil.which("python3", path=environ.get("PATH"))
    if found:
        yield Interpreter(Path(found), "python3 on PATH")


def _named(word: str, environ: Mapping[str, str]) -> Path:
    path = Path(word).expanduser()
    if path.is_dir():
        python = python_of(path)
        if python is None:
            raise TargetError(f"{word}: a folder with no bin/python in it; name the interpreter or its environment")
        return python
    if os.sep not in word:
        found = shutil.which(word, path=environ.get("PATH"))
        if found:
            return Path(found)
    if not path.exists():
        raise TargetError(f"{word}: no such interpreter")
    if not os.access(path, os.X_OK):
        raise TargetError(f"{word}: not executable; name an interpreter such as .venv/bin/python")
    return path.absolute()


def python_of(prefix: Path) -> Path | None:
    """The interpreter in an environment's folder, if it has one."""
    for name in ("bin/python", "bin/python3", "Scripts/python.exe", "python.exe"):
        if (prefix / name).is_file():
            return (prefix / name).absolute()
    return None


def holds_framework(prefix: Path) -> bool:
    """Whether TensorFlow or Keras lies in the environment's site-packages (nothing is imported)."""
    folders = [*prefix.glob("lib/python3*/site-packages"), prefix / "Lib/site-packages"]
    return any((folder / name).is_dir() for folder in folders for name in FRAMEWORKS)


def _own_paths_hold_framework() -> bool:
    paths = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    return any((Path(path) / name).is_dir() for path in paths for name in FRAMEWORKS)


def _identity(candidate: Interpreter) -> tuple[Path, Path]:
    return candidate.prefix.resolve(), candidate.executable.resolve()
