"""Finds the files of a folder that name images or requirements, and reads each in bounded time and memory."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from doctor.images.use import Unreadable

MIB = 1024 * 1024
MOST_ENTRIES = 200_000  # directory entries looked at
MOST_FILES = 5_000  # files read
_DEEPEST = 40
_PEEK = 8192

# What a builder, an installer or a tool put there: nothing in it was written for this project.
_SKIPPED_FOLDERS = frozenset(
    {
        "node_modules", "bower_components", "site-packages", "dist-packages", "__pycache__", "venv", "env",
        "virtualenv", "vendor", "third_party", "target", "build", "dist", "wandb", "mlruns",
    }
)  # fmt: skip
_SHOWN_HIDDEN_FOLDERS = frozenset({".github", ".gitlab", ".devcontainer", ".docker", ".ci", ".gitea", ".forgejo"})

DOCKERFILE = "dockerfile"
COMPOSE = "compose"
WORKFLOW = "workflow"
ACTION = "action"
GITLAB = "gitlab"
DEVCONTAINER = "devcontainer"
BAKE = "bake"
KUSTOMIZATION = "kustomization"
HELM_VALUES = "helm-values"  # beside a Chart.yaml only
CHART = "Chart.yaml"
YAML = "yaml"  # perhaps a Kubernetes manifest: its content decides
REQUIREMENTS = "requirements"
CONSTRAINTS = "constraints"
PYPROJECT = "pyproject"
SETUP_CFG = "setup.cfg"
PIPFILE = "pipfile"
CONDA = "conda"
LOCK = "lock"

_KINDS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(pattern, re.IGNORECASE))
    for kind, pattern in (
        (COMPOSE, r"(?:.*/)?(?:(?:docker-|podman-)?compose(?:[-._][^/]*)?|[^/]*[-._]compose)\.ya?ml"),
        (WORKFLOW, r"(?:.*/)?\.(?:github|gitea|forgejo)/workflows/[^/]+\.ya?ml"),
        (ACTION, r"(?:.*/)?action\.ya?ml"),
        (GITLAB, r"(?:.*/)?(?:[^/]*\.gitlab-ci[^/]*|\.gitlab/.*)\.ya?ml"),
        (DEVCONTAINER, r"(?:.*/)?\.?devcontainer\.json"),
        (BAKE, r"(?:.*/)?docker-bake[^/]*\.(?:hcl|json)"),
        (LOCK, r"(?:.*/)?(?:pylock(?:\.[^/]+)?\.toml|uv\.lock|poetry\.lock|pdm\.lock|pipfile\.lock)"),
        (LOCK, r"(?:.*/)?(?:(?:[^/]*\.)?conda-lock\.ya?ml|conda-[^/]+\.lock)"),
        (PYPROJECT, r"(?:.*/)?pyproject\.toml"),
        (SETUP_CFG, r"(?:.*/)?setup\.cfg"),
        (PIPFILE, r"(?:.*/)?pipfile"),
        (CONDA, r"(?:.*/)?(?:environment|conda)(?:[-._][^/]*)?\.ya?ml"),
        (CONSTRAINTS, r"(?:.*/)?[^/]*constraints?[^/]*\.txt"),
        (REQUIREMENTS, r"(?:.*/)?(?:[^/]*requirements?[^/]*\.(?:txt|in)|requirements/[^/]+\.(?:txt|in))"),
        (KUSTOMIZATION, r"(?:.*/)?kustomization(?:\.ya?ml)?"),
        (YAML, r".*\.ya?ml"),
    )
)
_DOCKERFILE = re.compile(r"(?:(?:dockerfile|containerfile)(?:[-._][^/]*)?|[^/]+\.(?:dockerfile|containerfile))", re.I)
# a Dockerfile.py is a program, a Dockerfile.j2 a template of one
_NO_DOCKERFILE = re.compile(
    r".*(?:\.dockerignore|\.(?:md|rst|html?|txt|py|go|js|ts|rs|java|rb|json|ya?ml|toml|lock|sh|bash|ps1|j2|jinja2?"
    r"|tmpl|tpl|template|erb|mustache|orig|rej|bak|swp|patch|diff|png|svg|pdf|vim))",
    re.IGNORECASE,
)
# Largest file read, in bytes: YAML is parsed in Python, at about 6 s a MiB.
_LARGEST = {YAML: MIB // 2, SETUP_CFG: MIB // 4, LOCK: 8 * MIB, REQUIREMENTS: 4 * MIB, CONSTRAINTS: 4 * MIB}
_LARGEST_OTHER = MIB


@dataclass(frozen=True)
class Candidate:
    """A file that its name makes worth reading. ``path`` is relative to the folder, with ``/`` as separator."""

    path: str
    kind: str
    size: int


_VALUES = re.compile(r"(?:.*/)?values[^/]*\.ya?ml", re.IGNORECASE)


def kind_beside(kind: str | None, path: str, has_chart: bool) -> str | None:
    """The kind of a file, where one beside it has a say: values are a chart's where a ``Chart.yaml`` is there."""
    return HELM_VALUES if kind == YAML and has_chart and _VALUES.fullmatch(path) else kind


def kind_of(path: str) -> str | None:
    """What kind of file a path names (``dockerfile``, ``compose``, …); None for those of no interest."""
    name = path.rsplit("/", 1)[-1]
    if _DOCKERFILE.fullmatch(name) and not _NO_DOCKERFILE.fullmatch(name):
        return DOCKERFILE
    return next((kind for kind, pattern in _KINDS if pattern.fullmatch(path)), None)


def walk(folder: Path) -> Iterator[Candidate | Unreadable]:
    """The files of interest below ``folder``, in the order of their paths; symbolic links to folders are not followed.

    A folder that cannot be listed, and a tree that is too large, are handed over as unreadable.
    """
    entries = files = 0
    pending = [("", 0)]
    while pending:
        prefix, depth = pending.pop()
        try:
            with os.scandir(folder / prefix) as listing:
                rows = []
                for entry in listing:
                    entries += 1
                    if entries > MOST_ENTRIES:
                        break
                    rows.append(entry)
        except OSError as error:
            yield Unreadable(prefix or ".", None, f"cannot be listed: {error.strerror or error}")
            continue
        deeper = []
        has_chart = any(entry.name == CHART for entry in rows)
        for entry in sorted(rows, key=lambda e: e.name):
            path = prefix + entry.name
            try:
                if entry.is_dir(follow_symlinks=False):
                    if not is_skipped(entry):
                        deeper.append((path + "/", depth + 1))
                    continue
                kind = kind_beside(kind_of(path), path, has_chart)
                if kind is None or not entry.is_file():
                    continue
                if entry.is_symlink() and not _leads_inside(folder, entry):
                    yield Unreadable(path, None, "a link out of the folder, not followed")
                    continue
                files += 1
                yield Candidate(path, kind, entry.stat().st_size)
            except OSError as error:
                yield Unreadable(path, None, f"cannot be read: {error.strerror or error}")
        if entries > MOST_ENTRIES or files > MOST_FILES:
            yield Unreadable(prefix or ".", None, "too many files: the rest of the folder was not looked at")
            return
        if depth < _DEEPEST:
            pending += reversed(deeper)


def _leads_inside(folder: Path, entry: os.DirEntry[str]) -> bool:
    return Path(entry.path).resolve().is_relative_to(folder.resolve())


def is_skipped(entry: os.DirEntry[str]) -> bool:
    """Whether a folder holds nothing that was written for this project: hidden, installed, or built."""
    name = entry.name
    if name.startswith("."):
        return name not in _SHOWN_HIDDEN_FOLDERS
    if name not in _SKIPPED_FOLDERS:
        return (Path(entry.path) / "pyvenv.cfg").exists() if "env" in name.lower() else False
    # these two are also names that people give to folders of their own
    if name in ("env", "build", "target", "dist", "vendor"):
        return name == "env" and (Path(entry.path) / "pyvenv.cfg").exists()
    return True


def read(root: Path, candidate: Candidate) -> str | Unreadable:
    """The decoded text of a file; line ends and a byte order mark are kept.

    Bytes that are no UTF-8 become surrogates, so that the text can be written back unchanged.
    """
    limit = _LARGEST.get(candidate.kind, _LARGEST_OTHER)
    if candidate.size > limit:
        return Unreadable(
            candidate.path, None, f"{candidate.size / MIB:.1f} MiB: more than the {limit / MIB:g} MiB that are read"
        )
    try:
        with (root / candidate.path).open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        return Unreadable(candidate.path, None, f"cannot be read: {error.strerror or error}")
    if len(data) > limit:
        return Unreadable(candidate.path, None, f"more than the {limit / MIB:g} MiB that are read")
    return decode(data, candidate.path)


def decode(data: bytes, path: str) -> str | Unreadable:
    """The text of a file: UTF-8, or UTF-16 where it begins with that byte order mark."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        try:
            return data.decode("utf-16")
        except UnicodeDecodeError:
            return Unreadable(path, None, "binary data, not text")
    if b"\0" in data[:_PEEK]:
        return Unreadable(path, None, "binary data, not text")
    return data.decode("utf-8", "surrogateescape")
