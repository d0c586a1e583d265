"""Packages that the RUN lines of a Dockerfile install: pip, uv, conda and its kin, apt.

Shell is split by ``shlex`` with its operators (``&&``, ``;``, ``|``, redirections), so that a quoted ``>=`` is a
version and a bare one a redirection, as in the shell. ``sh -c '…'`` and heredocs are looked into.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import replace

from doctor.images.dockerfile import Dockerfile
from doctor.images.dockerfile_lines import Instruction
from doctor.images.interpolate import ExpansionError, expand_word
from doctor.project import options, specs
from doctor.project.found import Requirement

_LONGEST_SCRIPT = 65536
_DEEPEST = 3
_SEPARATORS = frozenset({";", "&&", "||", "|", "&", "(", ")", ";;", "|&", "\n"})
_KEYWORDS = frozenset({"then", "do", "else", "elif", "if", "while", "until", "!", "{", "}", "time", "fi", "done"})
_PREFIXES = frozenset({"sudo", "env", "exec", "eval", "command", "nice", "nohup", "time", "xargs"})
_PREFIX_VALUES = frozenset({"-u", "--user", "-g", "--group", "-n"})
_SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ash", "su"})
_SUBSTITUTION = re.compile(r"\$\(([^()]*)\)|`([^`]*)`")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_PYTHON = re.compile(r"(?:python|pypy)[0-9.]*$")
_PIP = re.compile(r"pip[0-9.]*$")
_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))")


def parse(dockerfile: Dockerfile, path: str) -> list[Requirement]:
    """The packages that the RUN instructions ask for, each at the first line of its instruction."""
    values: dict[str, str] = {a.name: a.value for a in dockerfile.arguments if a.value is not None}
    defaults = dict(values)
    values = {}
    found: list[Requirement] = []
    for instruction in dockerfile.instructions:
        inner = instruction.trigger or instruction
        if inner.name == "FROM":
            values = {}
        elif inner.name in ("ARG", "ENV"):
            _remember(inner, values, defaults, dockerfile.escape)
        elif inner.name == "RUN":
            for script in _scripts(inner):
                found += [
                    replace(requirement, kind="install", end_line=instruction.end_line)
                    for requirement in _requirements(_known(script, values), path, instruction.line)
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
    for heredoc in instruction.heredocs:
        yield heredoc.content


def _known(script: str, values: Mapping[str, str]) -> str:
    """The script with the variables replaced whose values the Dockerfile gives."""
    if "$" not in script:
        return script
    return _VARIABLE.sub(lambda m: values.get(m[1] or m[2], m[0])[:_LONGEST_SCRIPT], script)


def _requirements(script: str, path: str, line: int, depth: int = 0) -> Iterator[Requirement]:
    if depth > _DEEPEST or len(script) > _LONGEST_SCRIPT or not re.search(r"\b(?:install|add|create)\b", script):
        return
    # a substitution is a script of its own; what it prints is a word that nobody knows here
    for match in _SUBSTITUTION.finditer(script):
        yield from _requirements(match[1] or match[2] or "", path, line, depth + 1)
    for command in _commands(_SUBSTITUTION.sub("$_", script)):
        words = _bare(command)
        if not words:
            continue
        name = words[0].rsplit("/", 1)[-1]
        if name in _SHELLS:
            for at, word in enumerate(words[1:-1], 1):
                if re.fullmatch(r"-[a-z]*c[a-z]*", word):
                    yield from _requirements(words[at + 1], path, line, depth + 1)
                    break
            continue
        yield from _installed(name, words[1:], path, line)


def _commands(script: str) -> Iterator[list[str]]:
    """The simple commands of a script: their words, without redirections."""
    # a backslash before a line end joins lines; other line ends separate commands
    for text in script.replace("\\\n", " ").split("\n"):
        words: list[str] = []
        skip = False
        for token in _tokens(text):
            if token in _SEPARATORS:
                yield words
                words = []
            elif token[0] in "<>" and set(token) <= set("<>&"):
                skip = True
                if words and words[-1].isdigit():
                    words.pop()
            elif skip:
                skip = False
            else:
                words.append(token)
        yield words


def _tokens(text: str) -> list[str]:
    lexer = shlex.shlex(text, posix=True, punctuation_chars=";&|()<>")
    lexer.whitespace_split = True
    lexer.commenters = ""  # in the middle of a word (a URL's #egg=) it is no comment
    tokens: list[str] = []
    try:
        for token in lexer:
            if token.startswith("#"):
                break
            if token:
                tokens.append(token)
    except ValueError:  # a quote that is closed on another line, or in a substitution
        return [word for word in re.split(r"\s+|(&&|\|\||[;|&()])", text) if word]
    return tokens


def _bare(words: list[str]) -> list[str]:
    """A command without keywords, assignments and what only starts another command."""
    at = 0
    while at < len(words):
        word = words[at]
        if word in _PREFIXES:
            at = _past_options(words, at + 1, _PREFIX_VALUES)
        elif word in _KEYWORDS or _ASSIGNMENT.match(word):
            at += 1
        elif word in ("conda", "mamba", "micromamba") and words[at + 1 : at + 2] == ["run"]:
            at = _past_options(words, at + 2, options.CONDA)
        elif word == "uv" and words[at + 1 : at + 2] == ["run"]:
            at = _past_options(words, at + 2, options.PIP)
        else:
            break
    return words[at:]


def _past_options(words: list[str], at: int, values: frozenset[str]) -> int:
    while at < len(words) and words[at].startswith("-"):
        at += 2 if words[at] in values else 1
    return at


def _installed(name: str, words: list[str], path: str, line: int) -> Iterator[Requirement]:
    if _PYTHON.match(name) and "-m" in words[:4]:
        at = words.index("-m")
        name, words = (words[at + 1] if at + 1 < len(words) else ""), words[at + 2 :]
    if name == "uv" and words:
        at = _past_options(words, 0, options.PIP)
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
