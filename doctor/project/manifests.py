"""Requirements in pyproject.toml, setup.cfg, Pipfile and conda's environment files."""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from packaging.utils import canonicalize_name

from doctor.images.yaml_nodes import load
from doctor.project import specs
from doctor.project.found import Found, Requirement, SourceFile
from doctor.project.toml_files import NotToml, Places, loads

_MOST_ROWS = 2000  # of one list or table
# what a package declares for those who install it, in contrast to what is installed here
METADATA = "metadata"
_EXACT = re.compile(r"={0,3}\s*v?\d[^\s,|*^~<>!]*$")


def parse_pyproject(file: SourceFile) -> Found:
    """PEP 621 dependencies and extras, dependency groups, Poetry's tables, and the build system's requirements."""
    found = Found()
    try:
        root = loads(file.text)
    except NotToml as error:
        found.fail(file.path, error.line, error.why)
        return found
    places = Places(file.text)
    project = _table(root, "project")
    groups: list[tuple[str, Any]] = [(METADATA, project.get("dependencies"))]
    groups += [(METADATA, group) for group in _table(project, "optional-dependencies").values()]
    groups += [("group", group) for group in _table(root, "dependency-groups").values()]
    groups += [("group", _table(_table(root, "tool"), "uv").get("dev-dependencies"))]
    for kind, group in groups:
        for text in group[:_MOST_ROWS] if isinstance(group, list) else ():
            if isinstance(text, str):
                _add(found, file, text, places.string(text), kind)
    poetry = _table(_table(root, "tool"), "poetry")
    tables = [poetry.get("dependencies"), poetry.get("dev-dependencies")]
    tables += [_table(group, "dependencies") for group in _table(poetry, "group").values() if isinstance(group, dict)]
    for table in tables:
        found.requirements += _named(table, file, places, "poetry")
    own = project.get("name") or poetry.get("name")
    if isinstance(own, str):  # an extra that takes in another extra of the same project asks for nothing else
        found.requirements = [row for row in found.requirements if row.name != canonicalize_name(own)]
    return found


def parse_pipfile(file: SourceFile) -> Found:
    """The packages of a Pipfile."""
    found = Found()
    try:
        root = loads(file.text)
    except NotToml as error:
        found.fail(file.path, error.line, error.why)
        return found
    places = Places(file.text)
    for section in root:
        if section in ("packages", "dev-packages") or section not in ("source", "requires", "scripts", "pipenv"):
            found.requirements += _named(root[section], file, places, "pipenv")
    return found


def parse_setup_cfg(file: SourceFile) -> Found:
    """``install_requires`` and ``extras_require`` of a setup.cfg."""
    found = Found()
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(file.text.removeprefix("\ufeff"))
    except configparser.Error as error:
        line = getattr(error, "lineno", None)
        found.fail(file.path, line, f"not an INI file: {type(error).__name__}")
        return found
    blocks = []
    if parser.has_option("options", "install_requires"):
        blocks.append(parser.get("options", "install_requires"))
    if parser.has_section("options.extras_require"):
        blocks += [value for _, value in parser.items("options.extras_require")]
    lines: dict[str, int] = {}
    for number, line in enumerate(file.text.splitlines(), 1):
        lines.setdefault(line.split("=", 1)[-1].strip() if line[:1].strip() else line.strip(), number)
    for block in blocks:
        for text in (block or "").splitlines():
            if not text.strip() or text.strip().startswith(("file:", "#")):
                continue
            _add(found, file, text.split(" #")[0], lines.get(text.strip(), 1), METADATA)
    return found


def parse_conda(file: SourceFile) -> Found:
    """The dependencies of a conda environment file, those of its ``pip`` list included."""
    found = Found()
    loaded = load(file.text)
    for line, why in loaded.problems:
        found.fail(file.path, line, why)
    for document in loaded.documents:
        for node in document.sequence(document.at(document.root, "dependencies")):
            scalar = document.scalar(node)
            if scalar is not None:
                try:
                    found.requirements.append(specs.conda(scalar.text, file.path, scalar.line))
                except specs.NotARequirement as error:
                    found.fail(file.path, scalar.line, str(error))
                continue
            for item in document.sequence(document.at(node, "pip")):
                wanted = document.scalar(item)
                if wanted is not None and not wanted.text.startswith("-"):
                    _add(found, file, wanted.text, wanted.line, "requirement")
    return found


def _add(found: Found, file: SourceFile, text: str, line: int, kind: str) -> None:
    try:
        requirement = specs.pip(text, file.path, line, kind=kind)
    except specs.NotARequirement as error:
        found.fail(file.path, line, str(error))
        return
    if requirement is not None:
        found.requirements.append(requirement)


def _named(table: Any, file: SourceFile, places: Places, installer: str) -> Iterator[Requirement]:
    """Tables of the form ``name = "version"`` or ``name = {version = …, git = …}``."""
    for name, wanted in table.items() if isinstance(table, dict) else ():
        if name.lower() == "python":
            continue
        for item in wanted if isinstance(wanted, list) else [wanted]:
            requirement = _named_one(name, item, file, places.key(name), installer)
            if requirement is not None:
                yield requirement


def _named_one(name: str, wanted: Any, file: SourceFile, line: int, installer: str) -> Requirement | None:
    details: Mapping[str, Any] = wanted if isinstance(wanted, dict) else {"version": wanted}
    if "path" in details:
        return None
    version = details.get("version")
    version = version.strip() if isinstance(version, str) else ""
    url = next((details[k] for k in ("git", "url", "file") if isinstance(details.get(k), str)), None)
    revision = details.get("rev") or details.get("ref")
    # a bare version is exact to Poetry, and nothing that pipenv knows
    bare = installer == "poetry" and version[:1].isdigit()
    exact = (bare or version.startswith("==")) and bool(_EXACT.match(version))
    if url is not None:
        exact = bool(isinstance(revision, str) and re.fullmatch(r"[0-9a-f]{40}", revision)) or "sha256=" in url
    extras = details.get("extras")
    names: Iterable[str] = (str(e) for e in extras) if isinstance(extras, list) else ()
    marker = details.get("markers") or details.get("marker")
    return Requirement(
        canonicalize_name(name), "" if version == "*" else version, exact, installer, file.path, line,
        f"{name}{version if version[:1] in '=<>!~' else ''}".strip(), (), tuple(names), str(marker) if marker else None,
        specs.redacted(url) if url else None,
    )  # fmt: skip


def _table(parent: Any, name: str) -> dict[str, Any]:
    value = parent.get(name) if isinstance(parent, dict) else None
    return value if isinstance(value, dict) else {}
