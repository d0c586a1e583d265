"""Lock files: pylock.toml, uv.lock, poetry.lock, pdm.lock, Pipfile.lock and conda-lock, as name → version."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from packaging.utils import canonicalize_name

from doctor.project.found import Found, LockFile, SourceFile
from doctor.project.toml_files import NotToml, loads

_FORMATS = (
    (re.compile(r"pylock(?:\.[^/]+)?\.toml", re.IGNORECASE), "pylock"),
    (re.compile(r"uv\.lock", re.IGNORECASE), "uv"),
    (re.compile(r"poetry\.lock", re.IGNORECASE), "poetry"),
    (re.compile(r"pdm\.lock", re.IGNORECASE), "pdm"),
    (re.compile(r"pipfile\.lock", re.IGNORECASE), "pipenv"),
    (re.compile(r".*conda-lock\.ya?ml", re.IGNORECASE), "conda-lock"),
    (re.compile(r"conda-.+\.lock", re.IGNORECASE), "conda-explicit"),
)
_CONDA_LOCK_LINE = re.compile(r"(?:- |  |    )(?P<key>name|version|sha256):\s*(?P<value>\S+)\s*$")
_EXPLICIT = re.compile(
    r"https?://\S*/(?P<name>[^/\s]+)-(?P<version>[^/\s-]+)-[^/\s-]+\.(?:conda|tar\.bz2)(?P<hash>#\S+)?$"
)


def parse(file: SourceFile) -> Found:
    """The packages that a lock file pins; a file that cannot be read is a problem, with its line where it is known."""
    name = file.path.rsplit("/", 1)[-1]
    format_ = next((label for pattern, label in _FORMATS if pattern.fullmatch(name)), "")
    found = Found()
    try:
        if format_ == "pipenv":
            lock = _pipfile_lock(file)
        elif format_ == "conda-lock":
            lock = _conda_lock(file)
        elif format_ == "conda-explicit":
            lock = _conda_explicit(file)
        else:
            lock = _toml_lock(file, format_)
    except NotToml as error:
        found.fail(file.path, error.line, error.why)
    except json.JSONDecodeError as error:
        found.fail(file.path, error.lineno, f"not JSON: {error.msg}")
    except _NotALock as error:
        found.fail(file.path, None, str(error))
    else:
        found.lock_files.append(lock)
    return found


class _NotALock(ValueError):
    """The file does not hold what its name promises."""


def _toml_lock(file: SourceFile, format_: str) -> LockFile:
    root = loads(file.text)
    if format_ == "pylock":
        return _pylock(file, root)
    rows = [row for row in _list(root.get("package")) if isinstance(row.get("version"), str)]
    if not rows and "package" not in root and "version" not in root and "metadata" not in root:
        raise _NotALock(f"no {format_} lock file: it lists no packages")
    rows = [row for row in rows if not _is_own(row)]
    packages, variants = _gathered((canonicalize_name(str(row.get("name"))), row["version"]) for row in rows)
    older_hashes = _dict(_dict(root.get("metadata")).get("files"))
    hashed = all(_has_hashes(row) or older_hashes.get(str(row.get("name"))) for row in rows)
    return LockFile(file.path, format_, packages, hashed, variants)


def _pylock(file: SourceFile, root: dict[str, Any]) -> LockFile:
    from packaging.pylock import Pylock, PylockValidationError  # noqa: PLC0415 (only where such a file is met)

    try:
        lock = Pylock.from_dict(root)
    except PylockValidationError as error:
        raise _NotALock(f"not a lock file of PEP 751: {error}"[:200]) from None
    packages, variants = _gathered((str(p.name), str(p.version)) for p in lock.packages if p.version is not None)
    hashed = all(
        all(w.hashes for w in p.wheels or ()) and (p.sdist is None or bool(p.sdist.hashes))
        for p in lock.packages
        if p.version is not None
    )
    return LockFile(file.path, "pylock", packages, hashed, variants)


def _pipfile_lock(file: SourceFile) -> LockFile:
    try:
        root = json.loads(file.text.removeprefix("\ufeff"))
    except RecursionError:
        raise _NotALock("nested too deep to be read") from None
    packages: dict[str, str] = {}
    hashed = True
    for section, rows in _dict(root).items():
        if section == "_meta":
            continue
        for name, row in _dict(rows).items():
            version = _dict(row).get("version")
            if isinstance(version, str):
                packages[canonicalize_name(name)] = version.lstrip("=")
                hashed = hashed and bool(row.get("hashes"))
    return LockFile(file.path, "pipenv", packages, hashed)


def _conda_lock(file: SourceFile) -> LockFile:
    # written by a program with one key a line; a YAML parser needs 6 s for each MiB of it
    rows: list[tuple[str, str]] = []
    hashes = 0
    name: str | None = None
    for line in file.text.splitlines():
        match = _CONDA_LOCK_LINE.match(line)
        if match is None:
            continue
        key, value = match["key"], match["value"].strip("'\"")
        if line[0] == "-":
            name = None
        if key == "name":
            name = canonicalize_name(value)
        elif key == "version" and name:
            rows.append((name, value))
        elif key == "sha256":
            hashes += 1
    if not rows:
        raise _NotALock("no conda-lock file: it lists no packages")
    packages, variants = _gathered(rows)
    return LockFile(file.path, "conda-lock", packages, hashes >= len(rows), variants)


def _conda_explicit(file: SourceFile) -> LockFile:
    packages: dict[str, str] = {}
    hashed = True
    for line in file.text.splitlines():
        match = _EXPLICIT.match(line.strip())
        if match:
            packages[canonicalize_name(match["name"])] = match["version"]
            hashed = hashed and bool(match["hash"])
    if not packages:
        raise _NotALock("no explicit list of conda packages: it names none")
    return LockFile(file.path, "conda-explicit", packages, hashed)


def _gathered(rows: Iterable[tuple[str, str]]) -> tuple[dict[str, str], dict[str, list[str]]]:
    """The first version of each package, and all versions of those that have several."""
    versions: dict[str, list[str]] = {}
    for name, version in rows:
        known = versions.setdefault(name, [])
        if version not in known:
            known.append(version)
    return {name: v[0] for name, v in versions.items()}, {name: v for name, v in versions.items() if len(v) > 1}


def _is_own(row: dict[str, Any]) -> bool:
    """Whether a row of uv.lock is the project itself or another folder of it."""
    source = _dict(row.get("source"))
    return any(key in source for key in ("editable", "virtual", "directory"))


def _has_hashes(row: dict[str, Any]) -> bool:
    files = [*_list(row.get("files")), *_list(row.get("wheels")), *_list([row.get("sdist")])]
    return bool(files) and all(isinstance(f.get("hash"), str) for f in files)


def _list(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
