"""Variables behind a reference: which of them decide the tag, who gives them their values, and who else uses them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from doctor.images import discover, reference
from doctor.images.dockerfile import PLATFORM_ARGUMENTS, Argument, Dockerfile
from doctor.images.use import ImageUse
from doctor.pin.files import File, Uses

_NAME = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)")
_SCHEMES = ("docker://", "docker-image://")


def mentioned(text: str) -> frozenset[str]:
    """The variables that a text names; one too many where a dollar is escaped."""
    return frozenset(_NAME.findall(text))


def tag_part(raw: str) -> str:
    """The part of a reference, as written, that tells the tag, or may tell it: ``a/${N}`` may hold a tag in N."""
    text = raw.strip("\"'")
    for scheme in _SCHEMES:
        text = text.removeprefix(scheme)
    depth = slash = 0
    colon: int | None = None
    for at, char in enumerate(text):
        if char == "{":
            depth += 1
        elif char == "}":
            depth = max(0, depth - 1)
        elif depth == 0 and char == "/":
            slash, colon = at + 1, None
        elif depth == 0 and char == ":" and colon is None:
            colon = at + 1
    return text[colon if colon is not None else slash :]


@dataclass(frozen=True)
class Names:
    """The variables of one file, and what it says of them."""

    file: File
    uses: Uses

    @property
    def dockerfile(self) -> Dockerfile | None:
        """The Dockerfile, where the file is one."""
        return self.uses.dockerfile

    def definition(self, name: str) -> Argument | None:
        """The ARG that FROM gets its value from."""
        found = self.dockerfile.arguments if self.dockerfile else []
        return next((a for a in reversed(found) if a.name == name), None)

    def behind(self, names: Iterable[str], *, tag_only: bool = False) -> frozenset[str]:
        """These variables and those in their defaults, all the way down; ``tag_only``: those that may decide a tag."""
        found: set[str] = set()
        pending = list(names)
        while pending:
            name = pending.pop()
            if name in found:
                continue
            found.add(name)
            definition = self.definition(name)
            if definition is not None and definition.raw is not None:
                pending += mentioned(tag_part(definition.raw) if tag_only else definition.raw)
        return frozenset(found)

    def deciding(self, use: ImageUse) -> frozenset[str]:
        """The variables that decide, or may decide, the tag of a use."""
        return self.behind(mentioned(tag_part(use.raw.split("@", 1)[0])), tag_only=True)

    def given(self, use: ImageUse) -> str | None:
        """Why the file itself does not say which image this is; None where it does."""
        everywhere = self.behind(mentioned(use.raw))
        for name in sorted(everywhere):
            definition = self.definition(name)
            if definition is not None and definition.given:
                return f"{name} is given by --build-arg: the file does not say which image this is"
            if self.dockerfile is not None and definition is None and name in PLATFORM_ARGUMENTS:
                return f"{name} differs by platform: one digest cannot stand for all of them"
        for name in sorted(self.deciding(use)):
            definition = self.definition(name)
            if definition is not None and definition.raw is None:
                return f"{name} has no default: its value is given on the command line"
            if self.file.kind == discover.COMPOSE and name in self.file.variables:
                return f"{name} is set in .env, not in this file"
        return None

    def shared(self, use: ImageUse) -> str | None:
        """The variable that decides the tag of this use and that of another image; None where there is none."""
        mine = self.deciding(use)
        for other in self.uses.images if mine else ():
            if other.pinned in (reference.STAGE, reference.SCRATCH) or other.reference == use.reference:
                continue
            both = mine & self.deciding(other)
            if both:
                return min(both)
        return None

    def is_free(self, name: str, by: str | None) -> bool:
        """Whether only images use this ARG: no stage takes it over, no platform and no ARG but ``by`` names it."""
        if self.dockerfile is None:
            return False
        if any(name in mentioned(a.raw or "") for a in self.dockerfile.arguments if a.name not in (name, by)):
            return False
        inside = False
        for instruction in self.dockerfile.instructions:
            if instruction.name == "FROM":
                inside = True
                if any(name in mentioned(flag.text) for flag in instruction.flags):
                    return False
            elif instruction.name == "ARG" and inside and name in instruction.arguments.split():
                return False
        return True
