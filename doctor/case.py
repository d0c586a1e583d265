"""A case: one machine, one software and one project, joined for the rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from doctor.model.facts import Facts, Missing, Unknown, known
from doctor.model.report import Evidence
from doctor.model.snapshot import Container, Machine, Package, Project, Snapshot, Software, Subject

T = TypeVar("T")


class Case(msgspec.Struct, frozen=True, dict=True):
    """What a rule judges. Made from one snapshot, or from the halves of several."""

    snapshot: Snapshot

    @property
    def subject(self) -> Subject:
        """What is judged."""
        return self.snapshot.subject

    @property
    def machine(self) -> Machine:
        """The machine half."""
        return self.snapshot.machine

    @property
    def software(self) -> Software:
        """The software half."""
        return self.snapshot.software

    @property
    def container(self) -> Container:
        """How the container is started, where there is one."""
        return self.snapshot.container

    @property
    def project(self) -> Project:
        """What the repository says."""
        return self.snapshot.project

    def is_partial(self, path: str) -> bool:
        """Whether the list at ``path`` is known to be incomplete: absence from it proves nothing."""
        return path in self.snapshot.partial

    def complete(self, path: str) -> None:
        """Leave the rule as skipped where the list at ``path`` is incomplete.

        Raises:
            Unknown: the list is in ``partial``.
        """
        if self.is_partial(path):
            raise Unknown(path, "known to be incomplete")

    def package(self, *names: str) -> Package | None:
        """The first installed distribution of one of these (normalised) names; None where none is known."""
        installed = self.installed
        return next((installed[name] for name in names if name in installed), None)

    @property
    def installed(self) -> dict[str, Package]:
        """The packages in use by name: of several of one name the first, as Python's import finds it."""
        return self.once("packages by name", lambda: _by_name(known(self.software.packages) or ()))

    def once(self, name: str, make: Callable[[], T]) -> T:
        """What ``make`` returns, made at the first call with this name: rules are pure, so it is the same each time."""
        store: dict[str, T] = self.__dict__
        if name not in store:
            store[name] = make()
        return store[name]

    def evidence(self, *paths: str) -> tuple[Evidence, ...]:
        """The facts at these paths (``machine.gpus.0.name``), with their values; missing ones are left out."""
        rows = []
        for path in paths:
            value = self.value(path)
            if not isinstance(value, Missing):
                derived = any(path == d or path.startswith(d + ".") for d in self.snapshot.derived)
                rows.append(Evidence(path, value, "derived" if derived else "snapshot"))
        return tuple(rows)

    def value(self, path: str) -> Any:
        """The fact at a dotted path, as plain data; Missing where it is not known."""
        node: Any = self.snapshot
        for step in path.split("."):
            if isinstance(node, Missing):
                return node
            if isinstance(node, Facts):
                node = getattr(node, step, Missing(path))
            elif isinstance(node, dict):
                node = node.get(step, Missing(path))
            elif isinstance(node, tuple) and step.isdigit() and int(step) < len(node):
                node = node[int(step)]
            else:
                return Missing(path)
        return (
            msgspec.to_builtins(node) if isinstance(node, tuple) and node and not isinstance(node[0], Facts) else node
        )

    @property
    def in_container(self) -> bool:
        """Whether the software is that of a container or image."""
        return self.subject.kind in ("image", "container", "archive")


def _by_name(packages: tuple[Package, ...]) -> dict[str, Package]:
    found: dict[str, Package] = {}
    for package in packages:
        found.setdefault(package.name, package)
    return found


class Comparison(msgspec.Struct, frozen=True):
    """Two cases side by side: ``a`` before or here, ``b`` after or there; ``drift``: the canary's verdict, if any."""

    a: Case
    b: Case
    drift: dict[str, Any] | None = None


class CanaryRun(msgspec.Struct, frozen=True):
    """One environment's canary judged alone; ``facts``: what ``doctor.canary.alone.run_alone`` says of its record."""

    name: str
    facts: dict[str, Any]
