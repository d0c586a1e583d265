"""Requirements of the project: exact, hashed, locked, and installed as locked; files that cannot be read."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import Any

from msgspec import UNSET, UnsetType

from doctor.model.facts import applies, known, need
from doctor.model.report import Change, Confidence, Evidence, Location
from doctor.rule import Case, Finding, Severity, rule

from .pinning import version_to_pin
from .tables.packages import is_numeric

_MOST_NAMED = 5
_TEMPLATE = "a template, not YAML"


@rule("KD601", "dependency-unpinned", Severity.WARNING)
def dependency_unpinned(case: Case) -> Iterator[Finding]:
    """TensorFlow, Keras or another numeric dependency is asked for without an exact version.

    ## Why is this bad?
    The next install takes the newest release that fits. TensorFlow 2.16.2 to 2.20.0 all take the newest Keras; the
    rounding of training changed at Keras 2.11, 3.0 and 3.7, and an upper bound that nobody declared (NumPy 2,
    protobuf 4) breaks the import.

    ## Example
    ```dockerfile
    RUN pip install tensorflow "numpy>=1.26"
    ```
    Use instead:
    ```dockerfile
    RUN pip install tensorflow==2.21.0 numpy==1.26.4
    ```

    ## How to fix
    Write `==` and the version that you tested, or keep a lock file and install from it.

    ## How it is judged
    Exact are `==` and `===` without a wildcard, a direct URL with hash or commit, conda's exact version, apt's
    `=version`, and what a constraint file or a lock file beside it pins. The numeric dependencies are a list in the
    tables, and `--all-dependencies` takes all packages for it. Ranges in a package's own metadata are an info only, and
    none where the project pins the package elsewhere.
    """
    rows = need(case.project.requirements)
    applies(bool(rows), "the project asks for no packages")
    numeric = [row for row in rows if _numeric(row)]
    applies(bool(numeric), "the project asks for no numeric package")
    pinned = {row.get("name") for row in numeric if row.get("exact") is True}
    for row in numeric:
        if row.get("exact") is not False or row.get("kind") == "constraint" or _locked(case, row):
            continue
        metadata = row.get("kind") == "metadata"
        if (metadata or str(row.get("path")).endswith(".in")) and row.get("name") in pinned:
            continue
        name, asked = str(row.get("name")), str(row.get("specifier") or "")
        version, why = version_to_pin(case, row)
        yield Finding(
            _inexact(row, name, asked),
            effect="the next install may take another release",
            fix=_exact_fix(row, version, why),
            verify="kdoctor scan --select KD601",
            evidence=(
                Evidence("project.requirements", {"name": name, **({"specifier": asked} if asked else {})}, "file"),
            ),
            location=_location(row),
            thing=name,
            severity=Severity.INFO if metadata else Severity.WARNING,
            likely=0.3,
            change=_exact_change(row, version, why),
        )


def _inexact(row: dict[str, Any], name: str, asked: str) -> str:
    if row.get("url"):
        return f"{name} comes from a URL without hash or commit"
    return f"{name} {asked} allows more than one version" if asked else f"{name} is asked for without a version"


def _exact_fix(row: dict[str, Any], version: str | None, why: str) -> str:
    return f"write {row.get('name')}{_sign(row)}{version or 'VERSION'}" + (f", {why}" if why else "")


def _sign(row: dict[str, Any]) -> str:
    return "=" if row.get("installer") in ("conda", "mamba", "micromamba", "apt") else "=="


def _exact_change(row: dict[str, Any], version: str | None, why: str) -> Change | UnsetType:
    """The exact requirement, where it can be written in place of the one that is there.

    Not a package's own metadata, whose ranges are for those who install it beside others; nor a file that another one
    is made from.
    """
    meant = row.get("kind") == "metadata" or str(row.get("path")).endswith(".in") or row.get("url")
    if version is None or meant or row.get("installer") == "apt":
        return UNSET
    return Change("requirement", str(row.get("name")), f"{_sign(row)}{version}", why)


@rule("KD602", "hash-missing", Severity.INFO)
def hash_missing(case: Case) -> Iterator[Finding]:
    """Versions are exact, but no hashes stand beside them.

    ## Why is this bad?
    A version can be served with other contents: another wheel for another platform, a rebuilt conda package, a
    mirror's own. With hashes pip refuses what is not the file that was tested.

    ## How to fix
    `uv pip compile --generate-hashes requirements.in -o requirements.txt`, or `pip-compile --generate-hashes`; both
    lock formats of uv and Poetry hold hashes by themselves.

    ## How it is judged
    For requirements files with a numeric dependency in them, and for lock files; once a file.
    """
    rows, locks = need(case.project.requirements), need(case.project.lock_files)
    applies(bool(rows or locks), "the project asks for no packages")
    files: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if row.get("installer") == "pip" and row.get("kind") == "requirement" and str(row.get("path")).endswith(".txt"):
            files.setdefault(str(row["path"]), []).append(row)
    for path, mine in files.items():
        bare = [row for row in mine if row.get("exact") is True and not row.get("hashes") and not row.get("url")]
        if any(_numeric(row) for row in bare):
            yield _without_hashes(path, [str(row.get("name")) for row in bare], bare[0])
    for lock in locks:
        if lock.get("hashed") is False and any(is_numeric(name) for name in lock.get("packages") or ()):
            yield _without_hashes(str(lock.get("path")), [], lock)


def _without_hashes(path: str, names: list[str], row: dict[str, Any]) -> Finding:
    what = f"{_named(names)} in {path}" if names else f"packages in {path}"
    return Finding(
        f"exact, but without hashes: {what}",
        effect="another file under the same version is accepted",
        fix="generate the file with hashes: uv pip compile --generate-hashes",
        evidence=(Evidence("project.requirements", names or path, "file"),),
        location=_location(row),
        thing=path,
    )


@rule("KD603", "lock-missing", Severity.INFO)
def lock_missing(case: Case) -> Iterator[Finding]:
    """The project asks for numeric packages and has no lock file.

    ## Why is this bad?
    What is not named is not pinned: exact versions of TensorFlow and Keras still leave NumPy, protobuf and a hundred
    others to the day of the install.

    ## How to fix
    `uv lock`, `poetry lock`, `pip lock`, or `conda-lock`, and install from the file that it writes.

    ## How it is judged
    A requirements file with hashes for every line counts as a lock.
    """
    rows, locks = need(case.project.requirements), need(case.project.lock_files)
    numeric = [row for row in rows if _numeric(row) and row.get("kind") != "constraint"]
    applies(bool(numeric), "the project asks for no numeric package")
    if locks or _hashed_file(rows):
        return
    yield Finding(
        f"no lock file for {_named([str(row.get('name')) for row in numeric])}",
        effect="what these packages bring along is chosen anew by each install",
        fix="lock them (uv lock, poetry lock, pip lock or conda-lock), and install from the lock file",
        evidence=(Evidence("project.lock_files", [], "file"),),
        location=_location(numeric[0]),
    )


def _hashed_file(rows: tuple[dict[str, Any], ...]) -> bool:
    files: dict[object, bool] = {}
    for row in rows:
        if row.get("installer") == "pip" and row.get("kind") == "requirement":
            files[row.get("path")] = files.get(row.get("path"), True) and bool(row.get("hashes"))
    return any(files.values())


@rule("KD604", "lock-drift", Severity.WARNING)
def lock_drift(case: Case) -> Iterator[Finding]:
    """Installed versions differ from the lock file.

    ## Why is this bad?
    What runs here is not what the project says, and not what its other machines run.

    ## How to fix
    Install from the lock file again (`uv sync`, `poetry install`, `pip install -r pylock.toml`), or lock anew where
    the installed versions are the ones that you want.

    ## How it is judged
    By packages that are both locked and installed, a numeric one first. What is locked and not installed may belong
    to an extra or to another platform.
    """
    locks = need(case.project.lock_files)
    applies(bool(locks), "the project has no lock file")
    need(case.software.packages)
    installed = {name: v for name, p in case.installed.items() if (v := known(p.version)) is not None}
    for lock in locks:
        locked = lock.get("packages")
        variants = lock.get("variants")
        if not isinstance(locked, dict):
            continue
        different = [
            name
            for name, version in locked.items()
            if name in installed
            and not _same(installed[name], version)
            and not any(_same(installed[name], v) for v in (variants or {}).get(name, ()))
        ]
        if not different:
            continue
        different.sort(key=lambda name: (not is_numeric(name), name))
        shown = ", ".join(f"{n} {installed[n]} (locked {locked[n]})" for n in different[:_MOST_NAMED])
        rest = len(different) - _MOST_NAMED
        yield Finding(
            f"{len(different)} installed package{'s differ' if len(different) > 1 else ' differs'} from"
            f" {lock.get('path')}: {shown}" + (f" and {rest} more" if rest > 0 else ""),
            effect="what runs here is not what the project says",
            fix="install from the lock file again, or lock anew",
            confidence=Confidence.MEDIUM,
            evidence=(
                Evidence("project.lock_files", {n: str(locked[n]) for n in different[:_MOST_NAMED]}, "file"),
                Evidence("software.packages", {n: installed[n] for n in different[:_MOST_NAMED]}),
            ),
            location=Location(str(lock.get("path"))),
            thing=str(lock.get("path")),
            severity=Severity.WARNING if any(is_numeric(n) for n in different) else Severity.INFO,
        )


def _same(installed: str, locked: object) -> bool:
    """Whether two versions are one, up to the local part that a build adds (``2.1.0+cu121``)."""
    mine, other = installed.strip().lower(), str(locked).strip().lower()
    return mine == other or mine.split("+")[0] == other or mine == other.split("+")[0]


@rule("KD902", "file-unreadable", Severity.WARNING)
def file_unreadable(case: Case) -> Iterator[Finding]:
    """A file of the project cannot be read or parsed; the rest is still looked at.

    ## Why is this bad?
    What stands in it is not judged: images and versions may be missing from this report.

    ## How to fix
    Correct the file at the line named. A Dockerfile that stands here is one that the builder refuses, too.

    ## How it is judged
    Templates that only become YAML later are an info: render them and scan the result.
    """
    rows = need(case.project.unreadable)
    for row in rows:
        why, path = str(row.get("why") or "cannot be read"), str(row.get("path"))
        yield Finding(
            f"{path}: {why}",
            effect="what it says is not judged",
            fix="render the template and scan the result" if why == _TEMPLATE else "correct the file",
            evidence=(Evidence("project.unreadable", why, "file"),),
            location=_location(row),
            thing=path,
            severity=Severity.INFO if why == _TEMPLATE else Severity.WARNING,
        )


def _numeric(row: dict[str, Any]) -> bool:
    """Whether a row is judged: a numeric dependency, or any with ``--all-dependencies``."""
    name = row.get("name")
    if not isinstance(name, str):
        return False
    if row.get("counts") is True:
        return True
    return is_numeric(name.removeprefix("python3-") if row.get("installer") == "apt" else name)


def _locked(case: Case, row: dict[str, Any]) -> bool:
    """Whether a lock file beside or above the file pins the package; an install line of a Dockerfile asks no lock."""
    if row.get("kind") == "install":
        return False
    folder = posixpath.dirname(str(row.get("path")))
    for lock in known(case.project.lock_files) or ():
        place = posixpath.dirname(str(lock.get("path")))
        beside = not place or folder == place or folder.startswith(place + "/")
        if beside and row.get("name") in (lock.get("packages") or {}):
            return True
    return False


def _location(row: dict[str, Any]) -> Location | None:
    path, line, end = row.get("path"), row.get("line"), row.get("end_line")
    if not isinstance(path, str):
        return None
    return Location(
        path,
        line if isinstance(line, int) else None,
        end_line=end if isinstance(end, int) and isinstance(line, int) and end > line else None,
    )


def _named(names: list[str]) -> str:
    unique = list(dict.fromkeys(names))
    rest = len(unique) - _MOST_NAMED
    return ", ".join(unique[:_MOST_NAMED]) + (f" and {rest} more" if rest > 0 else "")
