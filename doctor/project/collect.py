"""Reads a folder: every file that names images or requirements; one that fails never hides another."""

from __future__ import annotations

import posixpath
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from doctor.images import discover
from doctor.images.discover import Candidate
from doctor.images.use import ImageUse, Unreadable
from doctor.project import environment
from doctor.project.found import Found, Requirement, SourceFile
from doctor.project.requirements import Include

if TYPE_CHECKING:
    from doctor.images.contexts import Build

_MOST_INCLUDES = 200
_LONGEST_TEXT = 400
# A folder of ordinary files takes a fraction of a second; this ends one that was made to take hours.
_MOST_SECONDS = 30.0
_SUPPRESSION = re.compile(
    r"(?:#|//)\s*kdoctor:\s*ignore\[(?P<codes>[A-Za-z0-9_, -]{1,400})\][ \t]*(?P<reason>[^\r\n]{0,500})", re.IGNORECASE
)
_UNTIL = re.compile(r"\(\s*until\s+(\d{4}-\d{2}-\d{2})\s*\)", re.IGNORECASE)


def collect(
    folder: Path, build_args: Mapping[str, str] | None = None, texts: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The ``project`` section of a snapshot; see :func:`doctor.project.collect_project`."""
    from doctor.project.scripts import collect_scripts  # noqa: PLC0415 (the folder's other files stand alone too)

    run = _Collection(folder, dict(build_args or {}), texts or {})
    for item in discover.walk(folder):
        if isinstance(item, Unreadable):
            run.found.unreadable.append(item)
        else:
            run.read(item)
    run.follow_builds()
    run.follow_includes()
    run.read_dotenv()
    section = run.section()
    section["scripts"], unreadable, comments = collect_scripts(folder, texts=texts)
    section["unreadable"] += unreadable
    section["suppressions"] += comments
    return section


class _Collection:
    def __init__(self, folder: Path, build_args: Mapping[str, str], texts: Mapping[str, str]) -> None:
        self._root = folder
        self._build_args = build_args
        self._texts = texts
        self._deadline = time.monotonic() + _MOST_SECONDS
        self.found = Found()
        self._suppressions: list[dict[str, Any]] = []
        self._environment: list[dict[str, Any]] = []
        self._builds: list[Build] = []
        self._dockerfiles: set[str] = set()  # that were read
        self._includes: dict[str, list[Include]] = {}  # by the including file
        self._kinds: dict[str, str] = {}  # requirements files that were read: path → kind

    def read(self, candidate: Candidate) -> None:
        """Read one file by the reader of its kind."""
        if time.monotonic() > self._deadline:
            self.found.fail(candidate.path, None, f"not looked at: {_MOST_SECONDS:g} s for the whole folder are over")
            return
        text = self._texts.get(candidate.path) or discover.read(self._root, candidate)
        if isinstance(text, Unreadable):
            if candidate.kind != discover.YAML:  # some YAML file, nobody knows that it matters
                self.found.unreadable.append(text)
            return
        if "kdoctor:" in text:
            self._suppressions += suppressions(candidate.path, text)
        if candidate.kind in (discover.DOCKERFILE, discover.COMPOSE):
            self._environment += environment.parse(text, candidate.path, candidate.kind)
        file = SourceFile(candidate.path, text, self._root)
        try:
            found = self._parse(file, candidate.kind)
        except RecursionError:
            self.found.fail(candidate.path, None, "nested too deep to be read")
            return
        found.images = _with_text(found.images, text)
        self.found.add(found)

    def _parse(self, file: SourceFile, kind: str) -> Found:
        if kind in (discover.REQUIREMENTS, discover.CONSTRAINTS):
            return self._requirements(file, "constraint" if kind == discover.CONSTRAINTS else "requirement")
        if kind == discover.DOCKERFILE:
            return self._dockerfile(file)
        if kind in (discover.PYPROJECT, discover.SETUP_CFG, discover.PIPFILE, discover.CONDA, discover.LOCK):
            return _dependencies(file, kind)
        uses, unreadable = self._images(file, kind)
        return Found(uses, [], [], unreadable)

    def _images(self, file: SourceFile, kind: str) -> tuple[list[ImageUse], list[Unreadable]]:
        """What the files say in which an image is one value."""
        from doctor.images import readers  # noqa: PLC0415 (imported where a file of its kind is met)

        variables: dict[str, str] | Unreadable = {}
        if kind == discover.COMPOSE and "$" in file.text:
            variables = readers.compose_variables(self._root, file.path)
        if isinstance(variables, Unreadable):
            self.found.unreadable.append(variables)
            variables = {}
        if kind in (discover.COMPOSE, discover.BAKE, discover.DEVCONTAINER):
            from doctor.images import contexts  # noqa: PLC0415 (imported where a file of its kind is met)

            self._builds += contexts.builds(file.text, file.path, kind)
        return readers.parse_values(file.text, file.path, kind, variables)

    def _dockerfile(self, file: SourceFile) -> Found:
        from doctor.images import dockerfile  # noqa: PLC0415 (imported where a file of its kind is met)
        from doctor.project import installs  # noqa: PLC0415

        self._dockerfiles.add(file.path)
        parsed = dockerfile.parse(file.text, file.path, self._build_args)
        return Found(parsed.uses, installs.parse(parsed, file.path), [], parsed.problems)

    def _requirements(self, file: SourceFile, kind: str) -> Found:
        from doctor.project import requirements  # noqa: PLC0415 (packaging: 50 ms)

        parsed = requirements.parse(file, kind)
        self._kinds[file.path] = kind
        self._includes[file.path] = parsed.includes
        return parsed.found

    def follow_builds(self) -> None:
        """Read the Dockerfiles that builds name and whose own names do not tell what they are."""
        for path in dict.fromkeys(build.dockerfile for build in self._builds[:_MOST_INCLUDES]):
            place = self._root / path
            if path in self._dockerfiles or not place.resolve().is_relative_to(self._root.resolve()):
                continue
            if place.is_file():
                self.read(Candidate(path, discover.DOCKERFILE, place.stat().st_size))

    def follow_includes(self) -> None:
        """Read the files that requirements files include and that the walk did not meet."""
        pending = [(path, include) for path, includes in self._includes.items() for include in includes]
        for _ in range(_MOST_INCLUDES):
            if not pending:
                return
            path, include = pending.pop(0)
            target = _beside(path, include.path)
            if target in self._kinds or "://" in include.path:
                continue
            place = self._root / (target or "")
            if target is None or not place.resolve().is_relative_to(self._root.resolve()):
                self.found.fail(path, include.line, f"{include.path[:200]}: outside the folder, not read")
            elif not place.is_file():
                self.found.fail(path, include.line, f"{include.path[:200]}: no such file")
            else:
                kind = discover.CONSTRAINTS if include.kind == "constraint" else discover.REQUIREMENTS
                self.read(Candidate(target, kind, place.stat().st_size))
                pending += [(target, further) for further in self._includes.get(target, ())]

    def read_dotenv(self) -> None:
        """The variables of TensorFlow in the folder's own ``.env``."""
        path = environment.DOTENV
        place = self._root / path
        if place.is_symlink() or not place.is_file():
            return
        text = self._texts.get(path) or discover.read(self._root, Candidate(path, discover.YAML, place.stat().st_size))
        if isinstance(text, str):
            self._environment += environment.parse(text, path, path)

    def section(self) -> dict[str, Any]:
        """Everything that was found, as plain data."""
        requirements = self._constrained()
        return {
            "images": [self._named(use).row() for use in self.found.images],
            "requirements": [r.row() for r in requirements],
            "lock_files": [lock.row() for lock in self.found.lock_files],
            "requested": [
                {"requirement": r.text, "where": f"{r.path}:{r.line}"} for r in requirements if r.kind != "constraint"
            ],
            "unreadable": [row.row() for row in self.found.unreadable],
            "suppressions": self._suppressions,
            "environment": self._environment,
        }

    def _named(self, use: ImageUse) -> ImageUse:
        """A use; one that no rule judges where the build gives its name to a context of its own."""
        from doctor.images import placed  # noqa: PLC0415 (only where an image is named)

        replaced = any(build.dockerfile == use.path and use.reference in build.names for build in self._builds)
        return placed.opened(use) if replaced else use

    def _constrained(self) -> list[Requirement]:
        """The requirements, exact also where a constraint file that goes with them says so."""
        exact: dict[str, set[str]] = {}
        for requirement in self.found.requirements:
            if requirement.kind == "constraint" and requirement.exact:
                exact.setdefault(requirement.path, set()).add(requirement.name)
        if not exact:
            return self.found.requirements
        result = []
        for requirement in self.found.requirements:
            files = self._constraint_files(requirement)
            if not requirement.exact and any(requirement.name in exact.get(path, ()) for path in files):
                requirement = replace(requirement, exact=True)  # noqa: PLW2901
            result.append(requirement)
        return result

    def _constraint_files(self, requirement: Requirement) -> set[str]:
        """The constraint files that apply: those of its own command, of its file, and of the files that include it."""
        found = set[str]()
        for name in requirement.constraints:
            base = posixpath.basename(name)
            found.update(path for path in self._kinds if posixpath.basename(path) == base)
        files, pending = set[str](), [requirement.path]
        while pending:
            path = pending.pop()
            if path in files:
                continue
            files.add(path)
            found.update(
                t for i in self._includes.get(path, ()) if i.kind == "constraint" if (t := _beside(path, i.path))
            )
            pending += [
                parent
                for parent, includes in self._includes.items()
                if any(i.kind == "requirement" and _beside(parent, i.path) == path for i in includes)
            ]
        return found


def _with_text(images: list[ImageUse], text: str) -> list[ImageUse]:
    """The uses with the lines that they stand on; not those of RUN, which may hold secrets."""
    if not images:
        return images
    lines = text.split("\n")
    return [
        use
        if use.use in ("mount-from", "onbuild")
        else replace(use, text=lines[use.line - 1].rstrip("\r")[:_LONGEST_TEXT])
        for use in images
    ]


def _dependencies(file: SourceFile, kind: str) -> Found:
    from doctor.project import locks, manifests  # noqa: PLC0415 (packaging: 50 ms)

    readers: dict[str, Callable[[SourceFile], Found]] = {
        discover.PYPROJECT: manifests.parse_pyproject,
        discover.SETUP_CFG: manifests.parse_setup_cfg,
        discover.PIPFILE: manifests.parse_pipfile,
        discover.CONDA: manifests.parse_conda,
        discover.LOCK: locks.parse,
    }
    return readers[kind](file)


def _beside(path: str, name: str) -> str | None:
    """A path that a file names, relative to the folder; None where it leads out of it."""
    if name.startswith(("/", "~")):
        return None
    target = posixpath.normpath(posixpath.join(posixpath.dirname(path), name.replace("\\", "/")))
    return None if target.startswith("../") or target == ".." else target


def suppressions(path: str, text: str) -> list[dict[str, Any]]:
    """The comments ``# kdoctor: ignore[KD403] reason (until 2027-01-01)`` of a file, as rows of ``suppressions``."""
    rows = []
    for match in _SUPPRESSION.finditer(text):
        until = _UNTIL.search(match["reason"])
        reason = _UNTIL.sub("", match["reason"]).strip()
        rows.append(
            {
                "path": path,
                "line": text.count("\n", 0, match.start()) + 1,
                "codes": [code.strip() for code in match["codes"].split(",") if code.strip()],
                "reason": reason or None,
                "until": until[1] if until else None,
            }
        )
    return rows
