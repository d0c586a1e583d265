"""Declared requirements, judged for the environment of the snapshot: its Python and its system, never ours.

Nothing here registers a rule.
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Iterator

import msgspec
from packaging.markers import InvalidMarker, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from doctor.case import Case
from doctor.model.facts import Unknown, known, need
from doctor.model.report import Location
from doctor.model.snapshot import Package, Requested

from . import installers
from .tables.packages import distribution
from .tables.tensorflow import Release, tensorflow_release
from .tables.versions import numbers

_WHEEL_INSTALLERS = frozenset({"pip", "uv", "poetry", "pdm", "pipenv", "hatch", "rye"})
_SYSTEMS = {
    "linux": ("Linux", "linux", "posix", "linux"),
    "windows": ("Windows", "win32", "nt", "windows"),
    "darwin": ("Darwin", "darwin", "posix", "macos"),
}
_CHIPS = {"amd64": "x86_64", "x64": "x86_64", "arm64": "arm64", "aarch64": "aarch64"}
_VARIABLE = re.compile(
    r"\b(?:python_version|python_full_version|sys_platform|platform_system|platform_machine"
    r"|os_name|implementation_name|platform_python_implementation|platform_release"
    r"|platform_version|implementation_version)\b"
)
_EXTRA = re.compile(r"""extra\s*==\s*["']([^"']+)["']""")

canonical = functools.lru_cache(maxsize=8192)(canonicalize_name)
"""The normalised name, worked out once: an environment's metadata names the same few hundred again and again."""

MarkerEnvironment = frozenset[tuple[str, str]]
"""The marker variables of an environment, with their values."""


class Asked(msgspec.Struct, frozen=True):
    """A requirement that somebody wrote, read: ``row`` as it stands in the snapshot, ``index`` its place there."""

    row: Requested
    index: int
    requirement: Requirement
    name: str
    extras: frozenset[str]

    @property
    def file(self) -> str:
        """The file (or ``command line``) that it stands in."""
        return re.sub(r":\d+$", "", known(self.row.where) or "")

    @property
    def location(self) -> Location | None:
        """The line of the file that it stands in; None for a command line, or where only the file is told."""
        where = re.fullmatch(r"(.+):(\d+)", known(self.row.where) or "")
        return Location(where[1], int(where[2])) if where else None

    @property
    def fact(self) -> str:
        """Its path in the snapshot."""
        return f"software.requested.{self.index}"


@functools.lru_cache(maxsize=8192)
def parse(text: str) -> Requirement | None:
    """A requirement, or None for what is none."""
    try:
        return Requirement(text)
    except InvalidRequirement:
        return None


def asked(case: Case) -> tuple[Asked, ...]:
    """What was asked for here, in the order of the snapshot.

    Lines that are no requirement are left out, and those whose marker does not hold here or cannot be told.
    """
    return case.once("requirements asked for", lambda: _asked(case))


def _asked(case: Case) -> tuple[Asked, ...]:
    out = []
    environment = marker_environment(case)
    for index, row in enumerate(known(case.software.requested) or ()):
        requirement = applying(row.requirement, environment)
        if requirement is not None:
            extras = frozenset(canonicalize_name(extra) for extra in requirement.extras)
            out.append(Asked(row, index, requirement, canonicalize_name(requirement.name), extras))
    return tuple(out)


def python_minor(case: Case) -> str | None:
    """``3.11`` of the environment's Python; None where it is not known."""
    parts = (known(case.software.python.version) or "").split(".")
    return ".".join(parts[:2]) if len(parts) >= 2 and all(p.isdigit() for p in parts[:2]) else None


def system(case: Case) -> str | None:
    """``linux``, ``windows`` or ``darwin``; an image and what runs in WSL is Linux, whatever the machine."""
    if case.in_container:
        return "linux"
    return case.machine.system


def chip(case: Case) -> str | None:
    """The architecture that the Python was built for, else the machine's: ``x86_64``, ``aarch64``, ``arm64``, …"""
    name = known(case.software.python.architecture) or known(case.machine.architecture)
    return _CHIPS.get(name.lower(), name.lower()) if name else None


def platforms(case: Case) -> tuple[str, ...] | None:
    """The tables' names of the platforms that this may be; None where the system is not known.

    An architecture that nobody told is x86_64 on Linux and Windows, and either one on macOS.
    """
    name, cpu = system(case), chip(case)
    if name is None:
        return None
    if name == "darwin":
        return (f"macos_{'arm64' if cpu == 'aarch64' else cpu}",) if cpu else ("macos_arm64", "macos_x86_64")
    if name == "windows":
        return (f"windows_{'amd64' if cpu in (None, 'x86_64') else cpu}",)
    return (f"linux_{'aarch64' if cpu == 'arm64' else cpu or 'x86_64'}",)


def marker_environment(case: Case) -> MarkerEnvironment:
    """The marker variables that the snapshot tells; those that it does not tell are not in it."""
    return case.once("marker environment", lambda: _marker_environment(case))


def _marker_environment(case: Case) -> MarkerEnvironment:
    env: dict[str, str] = {}
    version, minor = known(case.software.python.version), python_minor(case)
    if version and minor:
        env |= {"python_version": minor, "python_full_version": version if version.count(".") > 1 else f"{version}.0"}
    if implementation := known(case.software.python.implementation):
        env["implementation_name"] = implementation
        env["platform_python_implementation"] = {"cpython": "CPython", "pypy": "PyPy"}.get(
            implementation, implementation
        )
    if name := system(case):
        platform_system, sys_platform, os_name, _ = _SYSTEMS[name]
        env |= {"platform_system": platform_system, "sys_platform": sys_platform, "os_name": os_name}
        cpu = chip(case)
        if cpu:
            env["platform_machine"] = "AMD64" if name == "windows" and cpu == "x86_64" else cpu
    return frozenset(env.items())


@functools.lru_cache(maxsize=16384)
def applying(text: str, environment: MarkerEnvironment, extras: frozenset[str] = frozenset()) -> Requirement | None:
    """The requirement in ``text`` where its marker holds; None where it does not, or rests on what is not known."""
    requirement = parse(text)
    if requirement is None or requirement.marker is None:
        return requirement
    variables = dict(environment)
    if not variables.keys() >= set(_VARIABLE.findall(str(requirement.marker))):
        return None
    for extra in ("", *sorted(extras)):
        with contextlib.suppress(InvalidMarker, UndefinedEnvironmentName):
            if requirement.marker.evaluate({**variables, "extra": extra}):
                return requirement
    return None


def declared(case: Case, package: Package, extras: frozenset[str] = frozenset()) -> tuple[Requirement, ...]:
    """The requirements of an installed package that hold here; those that nobody can tell are left out."""
    return _all_applying(known(package.requires) or (), marker_environment(case), extras)


@functools.lru_cache(maxsize=4096)
def _all_applying(
    texts: tuple[str, ...], environment: MarkerEnvironment, extras: frozenset[str]
) -> tuple[Requirement, ...]:
    return tuple(found for text in texts if (found := applying(text, environment, extras)) is not None)


def extras_of(case: Case, package: Package) -> frozenset[str]:
    """The extras that an installed package was asked for with."""
    return frozenset(extra for row in asked(case) if row.name == package.name for extra in row.extras)


def undecided(case: Case, package: Package) -> Iterator[Requirement]:
    """The requirements of an installed package whose marker rests on what is not known here."""
    environment, extras = marker_environment(case), extras_of(case, package)
    for text in known(package.requires) or ():
        if requirement := _undecided(text, environment, extras):
            yield requirement


@functools.lru_cache(maxsize=16384)
def _undecided(text: str, environment: MarkerEnvironment, extras: frozenset[str]) -> Requirement | None:
    requirement = parse(text)
    if requirement is None or requirement.marker is None:
        return None
    marker = str(requirement.marker)
    if set(_VARIABLE.findall(marker)) <= {name for name, _ in environment}:
        return None
    wanted = {canonicalize_name(extra) for extra in _EXTRA.findall(marker)}
    # What needs another extra does not hold, whatever the rest of its marker says.
    return None if wanted and not wanted & extras else requirement


def release_requirements(case: Case, release: Release, extra: str | None = None) -> Iterator[Requirement]:
    """What the tables say that a TensorFlow release requires here (with ``extra``: what only that extra requires)."""
    environment = marker_environment(case)
    where = (platforms(case) or ("linux_x86_64",))[0]
    texts = release.extras.get(extra, ()) if extra else _with_stand_in(release, where)
    for text in texts:
        if requirement := applying(text, environment):
            yield requirement


def _with_stand_in(release: Release, where: str) -> tuple[str, ...]:
    """The wheel's requirements; those of the Linux wheel too where it only stands in for another distribution.

    From 2.11 to 2.17 `tensorflow` for Windows holds nothing but a requirement of `tensorflow-intel`, which declares
    what the Linux wheel declares; likewise for other systems.
    """
    texts = release.requirements(where)
    found = [requirement for text in texts if (requirement := parse(text)) is not None]
    stands_in = bool(found) and all(
        (row := distribution(requirement.name)) is not None and row.owns_folder for requirement in found
    )
    return (*texts, *release.requires) if stands_in else texts


def tensorflow_package(case: Case) -> Package | None:
    """The installed distribution whose ``tensorflow`` folder is imported, as far as the packages tell."""
    return case.once("package of TensorFlow", lambda: _tensorflow_package(case))


def _tensorflow_package(case: Case) -> Package | None:
    packages = known(case.software.packages) or ()
    named = known(case.software.tensorflow.distribution)
    if named and (package := case.package(canonicalize_name(named))):
        return package
    owners = [p for p in packages if (row := distribution(p.name)) is not None and row.owns_folder]
    return next((p for p in owners if p.name == "tensorflow"), owners[0] if owners else None)


def tensorflow_version(case: Case) -> str | None:
    """The version of the installed TensorFlow."""
    package = tensorflow_package(case)
    return known(case.software.tensorflow.version) or (known(package.version) if package else None)


def without_tensorflow(case: Case) -> bool:
    """Whether it is known that no TensorFlow is installed: looked for, or missing from the whole list of packages."""
    facts, packages = case.software.tensorflow, known(case.software.packages)
    if known(facts.present) is not None or known(facts.version) is not None:
        return known(facts.present) is False
    return packages is not None and not case.is_partial("software.packages") and tensorflow_package(case) is None


def foreign(package: Package | None) -> bool:
    """Whether a package was built by a distribution of its own (conda, a system's packages): bounds differ there."""
    return package is not None and (
        known(package.build) is not None or (known(package.installer) or "pip") not in _WHEEL_INSTALLERS
    )


def need_requirements_of_tensorflow(case: Case, name: str) -> None:
    """Leave a rule as skipped where nobody knows what the installed TensorFlow declares of a package.

    Raises:
        Unknown: its METADATA was not read, and the tables do not have its release; or what it says of the package
            rests on a fact that is not known, as the Python.
    """
    package = tensorflow_package(case)
    told = package is not None and (known(package.requires) is not None or foreign(package))
    if not told and tensorflow_release(tensorflow_version(case)) is None:
        raise Unknown("software.packages", f"what TensorFlow {tensorflow_version(case)} declares is not known")
    rows = undecided(case, package) if package is not None else ()
    if any(canonical(row.name) == name for row in rows) and requirement_of_tensorflow(case, name) is None:
        need_markers(case)


def need_markers(case: Case) -> None:
    """Leave a rule as skipped where a requirement's marker cannot be told.

    Raises:
        Unknown: the first fact that markers rest on and that is not known.
    """
    need(case.software.python.version)
    if system(case) is None:
        need(case.machine.os)
    raise Unknown("software.packages", "a requirement depends on what no snapshot tells")


def requirement_of_tensorflow(case: Case, name: str) -> Requirement | None:
    """What the installed TensorFlow declares of a package: from its own METADATA, else from the tables."""
    package = tensorflow_package(case)
    if package is not None:
        for requirement in declared(case, package):
            if canonical(requirement.name) == name:
                return requirement
        if foreign(package):
            return None
    release = tensorflow_release(tensorflow_version(case))
    if release is None:
        return None
    found = [r for r in release_requirements(case, release) if canonical(r.name) == name]
    return found[0] if found else None


def installer(case: Case, package: Package | None = None) -> str:
    """The tool that manages the environment: ``conda``, ``uv`` or ``pip``."""
    return installers.tool_of(case, package, tensorflow_package(case))


def install(case: Case, *requirements: str, package: Package | None = None) -> str:
    """The command that installs these requirements with the tool in use, where they are looked at."""
    return installers.install(case, installer(case, package), requirements, tensorflow_package(case))


def check(case: Case, package: Package | None = None) -> str:
    """The command that looks whether the environment's declared requirements are met."""
    return installers.check(case, installer(case, package))


def replace(case: Case, names: list[str], *requirements: str) -> str:
    """The command that removes these packages and installs what is required in their place."""
    return installers.replace(case, installer(case), names, requirements, tensorflow_package(case))


def joined(*specifiers: str) -> str:
    """Several specifiers as one, without clauses that another one implies (``<2`` beside ``<2.0.0``)."""
    clauses = {str(clause): clause for text in specifiers if text for clause in SpecifierSet(text)}
    kept = []
    lowest = [c for c in clauses.values() if c.operator in ("~=", "==") and not c.version.endswith("*")]
    for text, clause in clauses.items():
        if clause.operator in (">", ">=") and any(numbers(c.version) >= numbers(clause.version) for c in lowest):
            continue
        rivals = [c for t, c in clauses.items() if t != text and c.operator[0] == clause.operator[0]]
        if clause.operator in ("<", "<=") and any(numbers(r.version) < numbers(clause.version) for r in rivals):
            continue
        if clause.operator in (">", ">=") and any(numbers(r.version) > numbers(clause.version) for r in rivals):
            continue
        if any(
            r.operator == clause.operator and numbers(r.version) == numbers(clause.version)
            for r in rivals
            if str(r) > text
        ):
            continue
        kept.append(text)
    return ",".join(sorted(kept, key=lambda text: (text[0] != ">", text[0] != "<", text)))


def bounds_of(specifier: str) -> str:
    """The least and the greatest that a specifier allows, for a sentence; versions that it leaves out are not named."""
    clauses = [str(clause) for clause in SpecifierSet(specifier) if clause.operator != "!="]
    return joined(",".join(clauses))
