"""Where a finding stands in formats for code review: each needs a file and a line, and a host or an image has none."""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from doctor.model.facts import known
from doctor.model.report import Finding, Report, Severity
from doctor.model.snapshot import Snapshot
from doctor.report.context import Anchor, Anchors

FALLBACK = "pyproject.toml"
_FRAMEWORKS = ("tensorflow", "tensorflow-cpu", "tf-nightly", "keras")

_ORIGIN = re.compile(r"(?P<path>[^/~:][^:]*\.toml):(?P<line>\d+)")
_WHERE = re.compile(r"(?P<path>[^:]+):(?P<line>\d+)")


class Place(msgspec.Struct, frozen=True):
    """A place in a file; lines and columns from 1. ``logical``: what is really meant, where that is no file."""

    path: str
    line: int = 1
    column: int | None = None
    end_line: int | None = None
    end_column: int | None = None
    text: str | None = None
    logical: str | None = None


def place_of(finding: Finding, anchors: Anchors) -> Place:
    """The finding's own place; without one the policy, else the line that asks for the thing, else pyproject.toml:1."""
    own = finding.location
    if own is not None and _inside(own.path):
        line = own.line or 1
        end = None
        if own.column is not None and finding.thing and own.text and own.text.startswith(finding.thing, own.column - 1):
            end = own.column + len(finding.thing)
        return Place(_join(anchors.root, own.path), line, own.column, own.end_line, end, own.text)
    logical = f"{finding.subject}:{own.path}" if own is not None else finding.subject
    found = anchors.policy or _asking(finding, anchors)
    if found is None:
        return Place(_join(anchors.root, FALLBACK), logical=logical)
    path = found.path if found is anchors.policy else _join(anchors.root, found.path)
    return Place(path, found.line or 1, logical=logical)


def worst_first(report: Report) -> list[Finding]:
    """The report's findings for formats that hold only so many: errors and what the gate denies, then the others.

    Among equals their order stands.
    """
    grave = Severity.ERROR.weight
    return sorted(
        report.findings,
        key=lambda f: -grave if f.code in report.denied else -(f.severity or Severity.INFO).weight,
    )


def distinct_identities(findings: Sequence[Finding]) -> list[str]:
    """One SHA-256 for each finding, none twice: its fingerprint, the machine, and a number for what is still alike."""
    seen: dict[str, int] = {}
    found = []
    for finding in findings:
        own = f"{finding.fingerprint or finding.identity()}|{finding.machine or ''}"
        seen[own] = number = seen.get(own, 0) + 1
        found.append(hashlib.sha256(f"{own}|{number}".encode(errors="backslashreplace")).hexdigest())
    return found


def anchors(snapshots: Iterable[Snapshot], origins: Mapping[str, str], root: str = "") -> Anchors:
    """The lines that ask for images and packages in these snapshots' projects, and the policy's line.

    ``origins``: as ``Settings.origins``: the first line of a configuration file of the project is the policy's.
    ``root``: the scanned folder, relative to the working folder.
    """
    rows: dict[Anchor, None] = {}
    for snapshot in snapshots:
        rows |= dict.fromkeys(_asks(snapshot))
    return Anchors(root="" if root == "." else root, policy=_policy(origins), asks=tuple(rows))


def _policy(origins: Mapping[str, str]) -> Anchor | None:
    found = [match for origin in origins.values() if (match := _ORIGIN.fullmatch(origin)) and _inside(match["path"])]
    if not found:
        return None
    first = min(found, key=lambda match: int(match["line"]))
    return Anchor("policy", first["path"], int(first["line"]))


def _asks(snapshot: Snapshot) -> Iterator[Anchor]:
    for row in known(snapshot.project.images) or ():
        yield from _anchor(row.get("reference"), row)
    for row in known(snapshot.project.requirements) or ():
        yield from _anchor(row.get("name"), row)
    for requested in known(snapshot.software.requested) or ():
        where = _WHERE.fullmatch(known(requested.where) or "")
        name = re.match(r"[A-Za-z0-9][\w.-]*", known(requested.requirement) or "")
        if where and name:
            yield from _anchor(name[0], {"path": where["path"], "line": int(where["line"])})


def _anchor(what: Any, row: Mapping[str, Any]) -> Iterator[Anchor]:
    path, line = row.get("path"), row.get("line")
    if isinstance(what, str) and what and isinstance(path, str) and _inside(path):
        yield Anchor(what, path, line if isinstance(line, int) else None)


def _asking(finding: Finding, anchors: Anchors) -> Anchor | None:
    """The line that asks for what the finding is about: the thing, else the subject, else TensorFlow itself."""
    by_name: dict[str, Anchor] = {}
    for anchor in anchors.asks:
        by_name.setdefault(_plain(anchor.what), anchor)
    for word in (finding.thing, finding.subject, *_FRAMEWORKS):
        if word and _plain(word) in by_name:
            return by_name[_plain(word)]
    return None


def _plain(word: str) -> str:
    """A name in one form: an image without its implied registry, a package as normalised."""
    word = word.removeprefix("image:").removeprefix("docker.io/").removeprefix("library/")
    return word if ":" in word or "/" in word else re.sub(r"[-_.]+", "-", word).lower()


def _inside(path: str) -> bool:
    """Whether a path is relative and stays below the folder it starts from."""
    return bool(path) and not path.startswith(("/", "~", "<")) and posixpath.normpath(path).split("/", 1)[0] != ".."


def _join(root: str, path: str) -> str:
    return posixpath.normpath(posixpath.join(root, path))
