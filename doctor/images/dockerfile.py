"""Images that a Dockerfile uses: FROM, ``COPY --from``, ``RUN --mount=…from=``, ``# syntax=`` and what ONBUILD stores.

Scopes and names follow BuildKit (``frontend/dockerfile/dockerfile2llb``): only ARGs before the first FROM are seen by
FROM; an alias is stored in lower case, and FROM looks for it as written (``FROM Builder`` after ``AS Builder`` is an
image), while ``--from`` ignores case; a number after ``COPY --from=`` is a stage.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from doctor.images import dockerfile_lines, reference
from doctor.images.dockerfile_lines import Instruction, Word
from doctor.images.interpolate import Expansion, ExpansionError, expand_word
from doctor.images.use import ImageUse, Unreadable, judge

_STAGE_NAME = re.compile(r"[a-z][a-z0-9\-_.]*\Z")
_DIRECTIVE = re.compile(r"\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*([^ ]*\S)")
_MOST_USES = 5000
_NO_TRIGGERS = frozenset({"ONBUILD", "FROM", "MAINTAINER"})

# What the builder sets for --platform linux/amd64 (getDefaultGlobalArgs).
PLATFORM_ARGUMENTS: Mapping[str, str] = {
    "BUILDPLATFORM": "linux/amd64", "BUILDOS": "linux", "BUILDOSVERSION": "", "BUILDARCH": "amd64", "BUILDVARIANT": "",
    "TARGETPLATFORM": "linux/amd64", "TARGETOS": "linux", "TARGETOSVERSION": "", "TARGETARCH": "amd64",
    "TARGETVARIANT": "", "TARGETSTAGE": "default",
}  # fmt: skip


@dataclass(frozen=True)
class Argument:
    """An ARG before the first FROM. ``raw``: its default as written, None without one; ``span``: of it in the file."""

    name: str
    raw: str | None
    value: str | None
    line: int
    span: tuple[int, int] | None
    given: bool = False


@dataclass
class Dockerfile:
    """What a Dockerfile says. ``instructions`` are kept for those who read RUN lines."""

    uses: list[ImageUse] = field(default_factory=list)
    arguments: list[Argument] = field(default_factory=list)
    problems: list[Unreadable] = field(default_factory=list)
    instructions: list[Instruction] = field(default_factory=list)
    escape: str = "\\"


def parse(text: str, path: str = "Dockerfile", build_args: Mapping[str, str] | None = None) -> Dockerfile:
    """Read a Dockerfile. Nothing is raised: what the builder would refuse stands in ``problems``, the rest is read.

    Args:
        text: the decoded file; line ends and a byte order mark are kept as they are.
        path: as it is to stand in the rows.
        build_args: values of ``--build-arg``.
    """
    return _Reading(text, path, dict(build_args or {})).run()


class _Reading:
    def __init__(self, text: str, path: str, build_args: dict[str, str]) -> None:
        self._text = text
        self._path = path
        self._build_args = build_args
        self._values = {**PLATFORM_ARGUMENTS, **{k: v for k, v in build_args.items() if k in PLATFORM_ARGUMENTS}}
        self._stages = 0  # begun so far
        self._finished: set[str] = set()  # aliases of all stages but the current one, in lower case
        self._current = ""
        self._all_stages: frozenset[str] = frozenset()
        self._found = Dockerfile()

    def run(self) -> Dockerfile:
        lines = dockerfile_lines.read(self._text)
        self._found.instructions = lines.instructions
        self._found.escape = lines.escape
        for line, why in lines.problems:
            self._problem(line, why)
        aliases = [_alias(i) for i in lines.instructions if i.name == "FROM"]
        self._all_stages = frozenset(aliases) - {""}
        if aliases and aliases[-1] and "TARGETSTAGE" not in self._build_args:
            self._values["TARGETSTAGE"] = aliases[-1]  # without --target the last stage is built
        self._syntax()
        orphan: Instruction | None = None
        for instruction in lines.instructions:
            if len(self._found.uses) > _MOST_USES:
                self._problem(instruction.line, f"more than {_MOST_USES} images: the rest was not looked at")
                break
            if instruction.name == "FROM":
                self._from(instruction)
            elif instruction.name == "ARG" and not self._stages:
                self._argument(instruction)
            else:
                if not self._stages and orphan is None:
                    orphan = instruction
                self._inside(instruction)
        if orphan is not None:
            self._problem(orphan.line, f"{orphan.name} stands before the first FROM")
        elif not self._stages and not lines.problems:
            self._problem(1, "no FROM in this file")
        self._found.problems.sort(key=lambda p: p.line or 0)
        return self._found

    def _problem(self, line: int, why: str) -> None:
        self._found.problems.append(Unreadable(self._path, line, why))

    def _argument(self, instruction: Instruction) -> None:
        from e2b_dockerfile_utils import parse_words  # noqa: PLC0415 (20 ms: only where one is met)

        at = instruction.rest
        words = parse_words(instruction.arguments, self._found.escape)
        if not words:
            self._problem(instruction.line, "ARG requires at least one argument")
        for word in words:
            start = max(at, instruction.text.find(word, at))
            at = start + len(word)
            name, given, default = word.partition("=")
            if not name:
                self._problem(instruction.line, "a name of ARG is blank")
                continue
            value: str | None = self._build_args.get(name)
            if value is None and given:
                try:
                    value = expand_word(default, self._values, self._found.escape).text
                except ExpansionError as error:
                    self._problem(instruction.line, f"ARG {name[:60]}: {error}")
                    continue
            if value is not None:
                self._values[name] = value
            span = instruction.span(start + len(name) + 1, at) if given else None
            self._found.arguments.append(
                Argument(
                    name, default if given else None, value, instruction.line_at(start), span, name in self._build_args
                )
            )

    def _from(self, instruction: Instruction) -> None:
        words = instruction.words()
        alias = _alias(instruction)
        if len(words) not in (1, 3) or (len(words) == 3 and words[1].text.lower() != "as"):
            self._problem(instruction.line, "FROM requires either one or three arguments: FROM image [AS name]")
        elif alias and not _STAGE_NAME.match(alias):
            self._problem(instruction.line, f"invalid name for a build stage: {alias[:60]!r}")
        for flag in instruction.flags:
            if not flag.text.startswith("--platform="):
                self._problem(instruction.line, f"unknown flag: {flag.text[:40]}")
        if words:
            self._found.uses.append(self._base(instruction, words[0], alias))
        self._stages += 1
        self._finished |= {self._current} - {""}
        self._current = alias

    def _base(self, instruction: Instruction, word: Word, alias: str) -> ImageUse:
        platform = next((f.text[11:] for f in instruction.flags if f.text.startswith("--platform=")), None)
        expansion, error = self._expand(word.text)
        if platform is not None:
            platform = self._expand(platform)[0].text or platform
        name = expansion.text
        if error is None and not name:
            names = ", ".join(expansion.unset)
            error = "base name should not be blank" + (f" (no value: {names})" if names else "")
        if error:
            pinned = reference.UNRESOLVED
        elif name in self._finished or (name and name == self._current):
            pinned = reference.STAGE
        elif name == "scratch":
            pinned = reference.SCRATCH
        else:
            judged = judge(name, expansion)
            pinned, error = judged.pinned, judged.error
        return replace(
            self._placed(instruction, word, "from"),
            reference=name,
            pinned=pinned,
            error=error,
            stage=alias or None,
            platform=platform,
            variables=expansion.used,
            unset=expansion.unset,
        )

    def _expand(self, word: str) -> tuple[Expansion, str | None]:
        try:
            return expand_word(word, self._values, self._found.escape), None
        except ExpansionError as error:
            return Expansion(""), str(error)

    def _inside(self, instruction: Instruction) -> None:
        inner, within_onbuild = instruction, False
        if instruction.name == "ONBUILD":
            if instruction.trigger is None:
                self._problem(instruction.line, "ONBUILD requires an instruction")
                return
            inner, within_onbuild = instruction.trigger, True
            if inner.name in _NO_TRIGGERS:
                self._problem(instruction.line, f"{inner.name} isn't allowed as an ONBUILD trigger")
                return
        if inner.name == "COPY":
            self._copy(inner, within_onbuild)
        elif inner.name == "RUN":
            self._run(inner, within_onbuild)

    def _copy(self, instruction: Instruction, onbuild: bool) -> None:
        for flag in instruction.flags:
            if flag.text.startswith("--from="):
                word = _part(flag, flag.text[7:], 7)
                if word.text:
                    self._found.uses.append(self._other(instruction, word, "copy-from", onbuild))

    def _run(self, instruction: Instruction, onbuild: bool) -> None:
        for flag in instruction.flags:
            if not flag.text.startswith("--mount="):
                continue
            word = _mount_source(flag)
            if word is not None:
                self._found.uses.append(self._other(instruction, word, "mount-from", onbuild))

    def _other(self, instruction: Instruction, word: Word, use: str, onbuild: bool) -> ImageUse:
        name = word.text
        pinned, error = self._stage_or_image(name, numbers=use == "copy-from")
        if re.search(r"\$.", name):
            pinned, error = (
                reference.UNRESOLVED,
                "variable expansion not supported in " + ("--from" if use == "copy-from" else "from="),
            )
        placed = self._placed(instruction, word, "onbuild" if onbuild else use)
        return replace(placed, pinned=pinned, error=error, within=use if onbuild else None)

    def _stage_or_image(self, name: str, numbers: bool) -> tuple[str, str | None]:
        lowered = name.lower()
        if numbers and re.fullmatch(r"[+-]?[0-9]{1,9}", name):
            if 0 <= int(name) < self._stages:
                return reference.STAGE, None
            return reference.UNRESOLVED, f"invalid stage index {int(name)}"
        if lowered in self._all_stages:
            # the stage that is being built is not finished: the builder refuses what copies from itself
            return reference.STAGE, None if lowered in self._finished else "stage not defined before use"
        if name == "scratch":
            return reference.SCRATCH, None
        judged = judge(name)
        return judged.pinned, judged.error

    def _syntax(self) -> None:
        found = _syntax_image(self._text)
        if found is None:
            return
        name, start, line = found
        judged = judge(name)
        column = start - (self._text.rfind("\n", 0, start) + 1) + 1 - (self._text[:1] == "\ufeff" and line == 1)
        self._found.uses.append(
            ImageUse(
                name, name, judged.pinned, "syntax", self._path, line, column, line, None, None, judged.error,
                text_line=line, text_column=column, span=(start, start + len(name)),
            )
        )  # fmt: skip

    def _placed(self, instruction: Instruction, word: Word, use: str) -> ImageUse:
        """A use of an image with its place; what it is, the caller adds."""
        text_line = instruction.line_at(word.start)
        text_column = self._column(instruction.offset(word.start))
        return ImageUse(
            raw=word.text,
            reference=word.text,
            pinned=reference.UNRESOLVED,
            use=use,
            path=self._path,
            line=instruction.line,
            column=text_column if text_line == instruction.line else self._column(instruction.offset(0)),
            end_line=instruction.end_line,
            text_line=text_line,
            text_column=text_column,
            span=instruction.span(word.start, word.end) if word.exact else None,
        )

    def _column(self, offset: int) -> int:
        begin = self._text.rfind("\n", 0, offset) + 1
        if begin == 0 and self._text.startswith("\ufeff"):
            begin = 1
        return offset - begin + 1


def _alias(instruction: Instruction) -> str:
    words = instruction.words()
    return words[2].text.lower() if len(words) == 3 and words[1].text.lower() == "as" else ""


def _part(flag: Word, text: str, at: int) -> Word:
    """The end of a flag's text from its offset ``at``; only as exact as the flag is."""
    start = flag.start + at if flag.exact else flag.start
    return Word(text, start, start + len(text) if flag.exact else flag.end, flag.exact)


def _mount_source(flag: Word) -> Word | None:
    """The value of ``from=`` in a ``--mount=`` flag, a line of comma-separated values; the last one holds."""
    value = flag.text[8:]
    fields = value.split(",")
    if '"' in value:
        fields = next(csv.reader([value]), [])
    at = 8
    last = None
    for item in fields:
        key, equals, source = item.partition("=")
        if equals and key.lower() == "from":
            found = _part(flag, source, at + len(key) + 1)
            last = Word(found.text, found.start, found.end, found.exact and '"' not in value)
        at += len(item) + 1
    return last if last is not None and last.text else None


def _syntax_image(text: str) -> tuple[str, int, int] | None:
    """The image of a syntax directive (a ``#`` or ``//`` comment, or a JSON object): name, offset and line.

    Directives stand first in the file, without a blank before them; any other line ends them (BuildKit's DetectSyntax).
    """
    at = 1 if text.startswith("\ufeff") else 0
    line = 1
    if text.startswith("#!", at):
        at, line = text.find("\n", at) + 1, 2
        if at == 0:
            return None
    if text.startswith("{", at):
        return _json_syntax(text, at, line)
    for mark in ("#", "//"):
        found = _syntax_directive(text, at, line, mark)
        if found is not None:
            return found
    return None


def _syntax_directive(text: str, at: int, line: int, mark: str) -> tuple[str, int, int] | None:
    seen: set[str] = set()
    while at < len(text):
        end = text.find("\n", at)
        end = len(text) if end < 0 else end
        content = text[at : min(end, at + dockerfile_lines.LONGEST_LINE)]
        match = _DIRECTIVE.match(content[len(mark) :]) if content.startswith(mark) else None
        key = match[1].lower() if match else ""
        if match is None or key not in dockerfile_lines.KNOWN_DIRECTIVES or key in seen:
            return None
        if key == "syntax":
            return match[2], at + len(mark) + match.start(2), line
        seen.add(key)
        at, line = end + 1, line + 1
    return None


def _json_syntax(text: str, at: int, line: int) -> tuple[str, int, int] | None:
    if len(text) > dockerfile_lines.LONGEST_LINE:
        return None
    try:
        name = json.loads(text[at:]).get("syntax")
    except (ValueError, RecursionError):
        return None
    if not isinstance(name, str) or not name.split():
        return None
    name = name.split()[0]
    start = max(at, text.find(name, at))
    return name, start, line + text.count("\n", at, start)
