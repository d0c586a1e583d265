"""Packages that the RUN lines of a Dockerfile install: pip, uv, conda and its kin, apt.

``sh -c '…'``, command substitutions and the heredocs that a shell reads are looked into.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import replace

from doctor.images.dockerfile import Dockerfile
from doctor.images.dockerfile_lines import Instruction
from doctor.images.interpolate import ExpansionError, expand_word
from doctor.project import options, shell, specs
from doctor.project.found import Requirement

_DEEPEST = 3
_SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ash", "su"})
_SUBSTITUTION = re.compile(r"\$\(([^()]*)\)|`([^`]*)`")
_PYTHON = re.compile(r"(?:(?:python|pypy)[0-9.]*|py|\$.*)$")
_PIP = re.compile(r"pip[0-9.]*$")


def parse(dockerfile: Dockerfile, path: str) -> list[Requirement]:
    """The packages that the RUN instructions ask for, each at the first line of its instruction."""
    defaults: dict[str, str] = {a.name: a.value for a in dockerfile.arguments if a.value is not None}
    values: dict[str, str] = {}
    stages: dict[str, dict[str, str]] = {}  # what is known in a stage, by its alias
    found: list[Requirement] = []
    for instruction in dockerfile.instructions:
        inner = instruction.trigger or instruction
        if inner.name == "FROM":
            words = [word.text for word in inner.words()]
            # what a stage sets, the stages that begin with it have too
            values = dict(stages.get(shell.known("".join(words[:1]), defaults), {}))
            if len(words) == 3:
                stages[words[2].lower()] = values
        elif inner.name in ("ARG", "ENV"):
            _remember(inner, values, defaults, dockerfile.escape)
        elif inner.name == "RUN":
            for script in _scripts(inner):
                found += [
                    replace(requirement, kind="install", end_line=instruction.end_line)
                    for requirement in _requirements(shell.known(script, values), path, instruction.line)
                ]
    return found


def _remember(instruction: Instruction, values: dict[str, str], defaults: Mapping[str, str], escape: str) -> None:
    from e2b_dockerfile_utils import parse_words  # noqa: PLC0415 (20 ms: only where one is met)

    words = parse_words(instruction.arguments, escape)
    if instruction.name == "ENV" and words and "=" not in words[0]:
        words = [f"{words[0]}={' '.join(words[1:])}"]
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            if name in defaults:
                values[name] = defaults[name]
            continue
        try:
            values[name] = expand_word(text, values, escape).text
        except ExpansionError:
            values.pop(name, None)


def _scripts(instruction: Instruction) -> Iterator[str]:
    words = instruction.json_words()
    if words is not None:
        yield shlex.join(words)
        return
    yield instruction.arguments
    if instruction.heredocs and _is_for_a_shell(instruction.arguments):
        for heredoc in instruction.heredocs:
            first = heredoc.content.split("\n", 1)[0]
            if not first.startswith("#!") or any(shell.base(word) in _SHELLS for word in first[2:].split()):
                yield heredoc.content


def _is_for_a_shell(arguments: str) -> bool:
    """Whether a shell reads the heredocs of these arguments: there is no command but a shell, or one among several."""
    commands = [shell.bare(words) for words in shell.commands(arguments)]
    programs = [shell.base(words[0]) for words in commands if words]
    return not programs or not _SHELLS.isdisjoint(programs)


def _requirements(script: str, path: str, line: int, depth: int = 0) -> Iterator[Requirement]:
    if depth > _DEEPEST or len(script) > shell.LONGEST_SCRIPT or not re.search(r"\b(?:install|add|create)\b", script):
        return
    # a substitution is a script of its own; what it prints is a word that nobody knows here
    for match in _SUBSTITUTION.finditer(script):
        yield from _requirements(match[1] or match[2] or "", path, line, depth + 1)
    given: dict[str, str] = {}  # by the script itself
    for command in shell.commands(_SUBSTITUTION.sub("$_", script)):
        shell.remember_assignments(command, given)
        words = shell.bare(shell.expanded(command, given))
        if not words:
            continue
        name = shell.base(words[0])
        if name in _SHELLS:
            for at, word in enumerate(words[1:-1], 1):
                if re.fullmatch(r"-[a-z]*c[a-z]*", word):
                    yield from _requirements(words[at + 1], path, line, depth + 1)
                    break
            continue
        yield from _installed(name, words[1:], path, line)


def _installed(name: str, words: list[str], path: str, line: int) -> Iterator[Requirement]:
    if _PYTHON.match(name) and "-m" in words[:4]:
        at = words.index("-m")
        name, words = (words[at + 1] if at + 1 < len(words) else ""), words[at + 2 :]
    if name == "uv" and words:
        at = shell.past_options(words, 0, options.PIP)
        head, words = words[at : at + 1], words[at + 1 :]
        if head == ["pip"]:
            yield from _pip(words, "install", "uv", path, line)
        elif head == ["add"]:
            yield from _pip(["add", *words], "add", "uv", path, line)
        elif head == ["tool"]:
            yield from _pip(words, "install", "uv", path, line)
    elif _PIP.match(name) or name == "pipx":
        yield from _pip(words, "install", "pip", path, line)
    elif name in ("conda", "mamba", "micromamba"):
        yield from _conda(words, name, path, line)
    elif name in ("apt-get", "apt", "aptitude"):
        yield from _apt(words, path, line)


def _arguments(words: list[str], verbs: tuple[str, ...], values: frozenset[str]) -> tuple[list[str], list[str]]:
    """What a command is asked to install, and the constraint files that it is given; nothing unless a verb is there."""
    names: list[str] = []
    constraints: list[str] = []
    begun = False
    at = 0
    while at < len(words):
        word = words[at]
        if word.startswith("-") and len(word) > 1:
            takes = word in values or (not word.startswith("--") and len(word) > 2 and "-" + word[-1] in values)
            if word in ("-c", "--constraint", "--constraints") and at + 1 < len(words):
                constraints.append(words[at + 1])
            elif word.startswith("--constraint="):
                constraints.append(word.partition("=")[2])
            if word.startswith("--editable=") and begun:
                names.append(word.partition("=")[2])
            if word in ("-e", "--editable") and at + 1 < len(words) and begun:
                names.append(words[at + 1])
            at += 2 if takes and "=" not in word else 1
            continue
        if begun:
            names.append(word)
        elif word in verbs:
            begun = True
        elif not word.startswith("-"):
            return [], []
        at += 1
    return names, constraints


def _pip(words: list[str], verb: str, installer: str, path: str, line: int) -> Iterator[Requirement]:
    names, constraints = _arguments(words, (verb,), options.PIP)
    for name in names:
        try:
            requirement = specs.pip(name, path, line, installer=installer)
        except specs.NotARequirement:
            continue
        if requirement is not None:
            yield replace(requirement, constraints=tuple(constraints))


def _conda(words: list[str], name: str, path: str, line: int) -> Iterator[Requirement]:
    if words[:1] == ["env"]:
        return
    names, _ = _arguments(words, ("install", "create"), options.CONDA)
    for text in names:
        if text.startswith("$"):
            continue
        try:
            yield specs.conda(text, path, line, installer=name)
        except specs.NotARequirement:
            continue


def _apt(words: list[str], path: str, line: int) -> Iterator[Requirement]:
    names, _ = _arguments(words, ("install",), options.APT)
    for text in names:
        try:
            yield specs.apt(text, path, line)
        except specs.NotARequirement:
            continue
