"""What the readers of project files take and give."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from doctor.images.use import ImageUse, Unreadable, clean


@dataclass(frozen=True)
class SourceFile:
    """A file of the project: its path relative to the folder scanned (``/`` as separator), and its decoded text."""

    path: str
    text: str
    root: Path

    @property
    def place(self) -> Path:
        """Where the file lies."""
        return self.root / self.path


@dataclass(frozen=True)
class Requirement:
    """A requirement, as a row of ``project.requirements``.

    ``name`` is normalised (PEP 503); ``exact`` as the contract's section 6 defines it; ``kind`` tells a constraint and
    a package's own metadata from what is installed; ``text`` is the requirement as it was written;
    ``constraints``: the constraint files that the same command is given.
    """

    name: str
    specifier: str
    exact: bool
    installer: str
    path: str
    line: int
    text: str
    hashes: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    marker: str | None = None
    url: str | None = None
    kind: str = "requirement"
    constraints: tuple[str, ...] = ()
    end_line: int = 0

    def row(self) -> dict[str, Any]:
        """The requirement as plain data, in the contract's order."""
        row: dict[str, Any] = {
            "name": clean(self.name),
            "specifier": clean(self.specifier),
            "exact": self.exact,
            "hashes": list(self.hashes),
            "installer": self.installer,
            "path": self.path,
            "line": self.line,
            "kind": self.kind,
        }
        if self.end_line > self.line:
            row["end_line"] = self.end_line
        if self.extras:
            row["extras"] = list(self.extras)
        if self.marker:
            row["marker"] = clean(self.marker)
        if self.url:
            row["url"] = clean(self.url)
        return row


@dataclass(frozen=True)
class LockFile:
    """A lock file: normalised name → version, and whether each package has hashes.

    ``variants``: all versions of those packages that are locked more than once, for several platforms or Pythons.
    """

    path: str
    format: str
    packages: dict[str, str]
    hashed: bool = True
    variants: dict[str, list[str]] = field(default_factory=dict)

    def row(self) -> dict[str, Any]:
        """The lock file as plain data, in the contract's order."""
        row = {"path": self.path, "format": self.format, "packages": self.packages, "hashed": self.hashed}
        return {**row, "variants": self.variants} if self.variants else row


@dataclass
class Found:
    """What one file, or all of them, gave."""

    images: list[ImageUse] = field(default_factory=list)
    requirements: list[Requirement] = field(default_factory=list)
    lock_files: list[LockFile] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)

    def add(self, other: Found) -> None:
        """Take over what another file gave."""
        self.images += other.images
        self.requirements += other.requirements
        self.lock_files += other.lock_files
        self.unreadable += other.unreadable

    def fail(self, path: str, line: int | None, why: str) -> None:
        """Note that a file, or a part of it, cannot be read."""
        self.unreadable.append(Unreadable(path, line, why))
