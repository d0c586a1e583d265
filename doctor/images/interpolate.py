"""Variables in the words of Dockerfiles and compose files, with a record of which had no value.

BuildKit's words (``$X``, ``${X:-y}``, ``${X##p}``, ``${X//a/b}``, quotes, escapes) are expanded by the lexer of
``e2b-dockerfile-utils``, a port of BuildKit's own; this module bounds it. Compose's templates are those of compose-go.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

# No image that a builder accepts is longer; what grows beyond it (``ARG B=$A$A``, again and again) is hostile.
LONGEST = 4096
# Patterns are matched by backtracking, at a cost of length to the power of the stars.
_MOST_STARS = 2
_LONGEST_PATTERN_VALUE = 256
_SHORT_PATTERN_VALUE = 32
_DEEPEST = 50

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class ExpansionError(ValueError):
    """A word cannot be expanded: bad syntax, or ``${X:?}`` without a value."""


@dataclass(frozen=True)
class Expansion:
    """What a word became.

    ``used``: the variables it names; ``unset``: those of them that have no value; ``blank``: those in whose place, for
    want of a value and of a default, there is nothing now.
    """

    text: str
    used: tuple[str, ...] = ()
    unset: tuple[str, ...] = ()
    blank: tuple[str, ...] = ()


class _Watched(Mapping[str, str]):
    """A mapping that remembers which names were asked for."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self.used: dict[str, None] = {}
        self.unset: dict[str, None] = {}

    def __getitem__(self, name: str) -> str:
        self.used[name] = None
        if name not in self._values:
            self.unset[name] = None
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def expand_word(word: str, values: Mapping[str, str], escape: str = "\\") -> Expansion:
    """A Dockerfile word after quotes, escapes and variables.

    Raises:
        ExpansionError: the word is malformed, too long, or needs a value that is not given.
    """
    if not any(c in word for c in ("$", "'", '"', escape)):
        return Expansion(_bounded(word))
    watched = _Watched(values)
    try:
        text = _lexer(word, watched, escape).process_word(word)
    except (ValueError, re.error) as error:
        raise ExpansionError(_reason(error)) from None
    return Expansion(_bounded(text), tuple(watched.used), tuple(watched.unset))


def expand_words(line: str, values: Mapping[str, str], escape: str = "\\") -> list[str]:
    """A Dockerfile line as words, after quotes, escapes and variables.

    Raises:
        ExpansionError: as for :func:`expand_word`.
    """
    try:
        words: list[str] = _lexer(line, values, escape).process_words(line)
    except (ValueError, re.error) as error:
        raise ExpansionError(_reason(error)) from None
    return words


def _lexer(word: str, values: Mapping[str, str], escape: str):  # type: ignore[no-untyped-def]
    from e2b_dockerfile_utils import ShellLex  # noqa: PLC0415 (20 ms: only where a Dockerfile is met)

    _bounded(word)
    if "*" in word and "${" in word:
        longest = max((len(v) for v in values.values()), default=0)
        if (word.count("*") > _MOST_STARS and longest > _SHORT_PATTERN_VALUE) or longest > _LONGEST_PATTERN_VALUE:
            raise ExpansionError("the pattern is too costly to match")
    return ShellLex(escape, env=values, skip_unset_env=False)


def _bounded(text: str) -> str:
    if len(text) > LONGEST:
        raise ExpansionError(f"longer than {LONGEST} characters")
    return text


def _reason(error: Exception) -> str:
    text = str(error)
    # the lexer repeats the whole word before its reason
    return text.rsplit("': ", 1)[-1] if text.startswith("failed to process") else text


@dataclass
class _Compose:
    """One pass over a compose template."""

    values: Mapping[str, str]
    used: dict[str, None] = field(default_factory=dict)
    unset: dict[str, None] = field(default_factory=dict)
    blank: dict[str, None] = field(default_factory=dict)
    size: int = 0

    def expand(self, text: str, depth: int = 0) -> str:
        if depth > _DEEPEST:
            raise ExpansionError(f"nested more than {_DEEPEST} deep")
        out: list[str] = []
        at = 0
        while True:
            dollar = text.find("$", at)
            if dollar < 0 or dollar + 1 == len(text):
                out.append(text[at:])
                break
            out.append(text[at:dollar])
            following = text[dollar + 1]
            name = _NAME.match(text, dollar + 1)
            if following == "$":
                out.append("$")
                at = dollar + 2
            elif following == "{":
                end = _closing_brace(text, dollar + 1)
                out.append(self._braced(text[dollar + 2 : end], depth))
                at = end + 1
            elif name:
                out.append(self._plain(name[0]))
                at = name.end()
            else:
                out.append("$")
                at = dollar + 1
        result = "".join(out)
        self.size += len(result)
        _bounded(result)
        return result

    def _value(self, name: str) -> str | None:
        self.used[name] = None
        value = self.values.get(name)
        if value is None:
            self.unset[name] = None
        return value

    def _plain(self, name: str) -> str:
        value = self._value(name)
        if value is None:
            self.blank[name] = None
        return value or ""

    def _braced(self, body: str, depth: int) -> str:
        name = _NAME.match(body)
        if not name:
            raise ExpansionError("invalid template: a variable's name is missing")
        rest = body[name.end() :]
        if not rest:
            return self._plain(name[0])
        value = self._value(name[0])
        blank_is_unset = rest[0] == ":"
        operator, word = (rest[1:2], rest[2:]) if blank_is_unset else (rest[0], rest[1:])
        given = value is not None and not (blank_is_unset and not value)
        if operator == "-":
            return (value or "") if given else self.expand(word, depth + 1)
        if operator == "+":
            return self.expand(word, depth + 1) if given else ""
        if operator == "?":
            if given:
                return value or ""
            message = self.expand(word, depth + 1)
            raise ExpansionError(f"required variable {name[0]} is missing a value" + (message and f": {message}"))
        raise ExpansionError("invalid template: " + "${" + body[:40] + "}")


def _closing_brace(text: str, opening: int) -> int:
    """The brace that closes the one at ``opening``; compose-go takes the line's last one where none does."""
    end = text.find("\n", opening)
    line = text[: end if end >= 0 else len(text)]
    depth, at = 0, opening
    while at < len(line):
        if line[at] == "}":
            depth -= 1
            if depth == 0:
                return at
        elif line[at] == "{":
            depth += 1
            at += 1  # its first character is never a brace to compose-go
        at += 1
    last = line.rfind("}", opening)
    if last < 0:
        raise ExpansionError("invalid template: a closing brace is missing")
    return last


def expand_compose(text: str, values: Mapping[str, str]) -> Expansion:
    """A value of a compose file after interpolation.

    Raises:
        ExpansionError: the template is malformed, or needs a value that is not given.
    """
    _bounded(text)
    if "$" not in text:
        return Expansion(text)
    run = _Compose(values)
    result = run.expand(text)
    return Expansion(result, tuple(run.used), tuple(run.unset), tuple(run.blank))
