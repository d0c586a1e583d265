"""Configuration files: ``[tool.kdoctor]`` in pyproject.toml, ``kdoctor.toml``, and the user's own ``config.toml``.

Reads them bounded and says of each key on which line it stands. What the keys mean, ``doctor.settings`` knows.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from doctor.errors import UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:  # pragma: no cover - the same library under its earlier name
    import tomli as tomllib  # type: ignore[import-not-found,unused-ignore]

MAX_BYTES = 1 << 20
PROJECT_FILE = "kdoctor.toml"
PYPROJECT = "pyproject.toml"

_TABLE = re.compile(r"^\s*\[\[?\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?$")
_QUOTES = str.maketrans("", "", "\"' ")


class ConfigFile(msgspec.Struct, frozen=True):
    """One file's settings: ``values`` under their keys as written; ``trusted``: the user owns it, not the project."""

    path: Path
    prefix: str
    text: str
    values: dict[str, Any]
    trusted: bool

    def origin(self, *keys: str | int) -> str:
        """``pyproject.toml:12`` for a key (``"fail-on"``) or the n-th table of a key; the file alone where unclear."""
        line = line_of(self.text, self.prefix, keys)
        return f"{shown(self.path)}:{line}" if line else shown(self.path)


def shown(path: Path) -> str:
    """The path as a person would write it: relative to the working folder where it lies below it."""
    try:
        return str(path.relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)


def line_of(text: str, prefix: str, keys: tuple[str | int, ...]) -> int | None:
    """The line on which a key stands in TOML source; None where a plain look finds none (inline tables, escapes)."""
    names = [str(key) for key in keys if isinstance(key, str)]
    nth = next((key for key in keys if isinstance(key, int)), None)
    wanted = ".".join([*([prefix] if prefix else []), *names])
    table, seen = "", -1
    for number, line in enumerate(text.splitlines(), 1):
        header = _TABLE.match(line)
        if header:
            table = header[1].translate(_QUOTES)
            if table == wanted:
                seen += 1
                if nth is None or seen == nth:
                    return number
            continue
        key = line.split("=", 1)[0].translate(_QUOTES) if "=" in line else ""
        if key and ".".join([table, key] if table else [key]) == wanted:
            return number
    return None


def own_config(environ: Mapping[str, str]) -> Path | None:
    """The user's own configuration file, whether or not it is there; None where there is no home."""
    base = environ.get("XDG_CONFIG_HOME") or (f"{environ['HOME']}/.config" if environ.get("HOME") else "")
    return Path(base) / "kdoctor" / "config.toml" if base else None


def read_own(environ: Mapping[str, str]) -> ConfigFile | None:
    """The user's own configuration, where there is one.

    Raises:
        UsageError: it cannot be read, or is not TOML.
    """
    path = own_config(environ)
    return _read(path, "", trusted=True) if path is not None and path.is_file() else None


def read_named(path: Path, folder: Path) -> ConfigFile:
    """The file given as ``--config``. One that lies inside the scanned folder is still the project's.

    Raises:
        UsageError: it cannot be read, is not TOML, or is a pyproject.toml without ``[tool.kdoctor]``.
    """
    inside = folder.resolve() in path.resolve().parents
    if path.name != PYPROJECT:
        return _read(path, "", trusted=not inside)
    found = _read(path, "tool.kdoctor", trusted=not inside)
    if not found.values:
        raise UsageError(f"{shown(path)}: no [tool.kdoctor] in it")
    return found


def read_project(folder: Path) -> ConfigFile | None:
    """The project's settings: in the folder, or in a parent up to the root of its repository.

    Raises:
        UsageError: unreadable, not TOML, or two files of one folder both hold settings.
    """
    for place in _places(folder):
        found = []
        if (place / PROJECT_FILE).is_file():
            found.append(_read(place / PROJECT_FILE, "", trusted=False))
        if (place / PYPROJECT).is_file():
            # another tool's broken pyproject.toml is no fault of ours: rules on project files speak of it
            text = _text(place / PYPROJECT)
            if "kdoctor" in text:
                found.append(_parse(place / PYPROJECT, text, "tool.kdoctor", trusted=False))
        found = [file for file in found if file.values or file.path.name == PROJECT_FILE]
        if len(found) > 1:
            raise UsageError(
                f"{shown(found[0].path)}: settings also stand in {found[1].path.name}: keep one of the two"
            )
        if found:
            return found[0]
    return None


def _places(folder: Path) -> list[Path]:
    try:
        here = folder.resolve()
    except (OSError, RuntimeError):
        return [folder]
    chain = [folder, *here.parents]
    for number, place in enumerate([here, *here.parents]):
        if (place / ".git").exists():
            return chain[: number + 1]
    return [folder]


def _read(path: Path, prefix: str, *, trusted: bool) -> ConfigFile:
    return _parse(path, _text(path), prefix, trusted=trusted)


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{shown(path)}: cannot be read: {error.strerror or error}") from None
    if len(data) > MAX_BYTES:
        raise UsageError(f"{shown(path)}: larger than {MAX_BYTES >> 20} MiB; no configuration is that large")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{shown(path)}: not UTF-8 text (byte {error.start})") from None


def _parse(path: Path, text: str, prefix: str, *, trusted: bool) -> ConfigFile:
    try:
        node: Any = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{shown(path)}: not valid TOML: {error}") from None
    except RecursionError:
        raise UsageError(f"{shown(path)}: nested too deep") from None
    for step in prefix.split(".") if prefix else ():
        node = node.get(step, {}) if isinstance(node, dict) else {}
    if not isinstance(node, dict):
        raise UsageError(f"{shown(path)}: [{prefix}] is not a table")
    return ConfigFile(path, prefix, text, node, trusted)
