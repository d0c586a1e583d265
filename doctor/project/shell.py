"""Shell as RUN lines hold it: split into simple commands, its variables filled in where their values are known.

Words are split by ``shlex`` with the operators (``&&``, ``;``, ``|``, redirections), so that a quoted ``>=`` is a
version and a bare one a redirection, as in the shell. Nothing is executed.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping

from doctor.images.interpolate import ExpansionError, expand_word
from doctor.project import options

LONGEST_SCRIPT = 65536
_LONGEST_EXPRESSION = 1024
# the lexer hands over runs of them: ``)&&(`` is one token
_SEPARATORS = frozenset(";&|()")
_KEYWORDS = frozenset({"then", "do", "else", "elif", "if", "while", "until", "!", "{", "}", "time", "fi", "done"})
_PREFIXES = frozenset({"sudo", "env", "exec", "eval", "command", "nice", "nohup", "time", "xargs"})
_PREFIXES_WITH_AN_ARGUMENT = frozenset({"gosu", "su-exec", "timeout", "chroot"})
_PREFIX_VALUES = frozenset({"-u", "--user", "-g", "--group", "-n", "-k", "-s", "-L", "-P", "-I"})
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_EXPRESSION = re.compile(r"\$(?:\{(?P<braced>[A-Za-z_][A-Za-z0-9_]*)|(?P<plain>[A-Za-z_][A-Za-z0-9_]*))")


def base(program: str) -> str:
    return program.rsplit("/", 1)[-1].removesuffix(".exe")


def known(script: str, values: Mapping[str, str]) -> str:
    """The script with the variables replaced whose values the Dockerfile gives; ``${X:-y}`` of another one is ``y``."""
    if "$" not in script:
        return script
    out: list[str] = []
    size = at = 0
    while at < len(script) and size <= LONGEST_SCRIPT:
        match = _EXPRESSION.search(script, at)
        end = match and (match.end() if match["plain"] else _closing(script, match.end()))
        if not match or not end:  # an expression that does not end hides what follows it
            out.append(script[at:])
            break
        piece = script[at : match.start()]
        piece += _value(script[match.start() : end], match["plain"] or match["braced"], values)
        out.append(piece)
        size += len(piece)
        at = end
    return "".join(out)


def _closing(script: str, at: int) -> int | None:
    """The offset behind the brace that closes the one before ``at``; None where there is none near."""
    depth = 1
    for place in range(at, min(len(script), at + _LONGEST_EXPRESSION)):
        depth += {"{": 1, "}": -1}.get(script[place], 0)
        if depth == 0:
            return place + 1
    return None


def _value(expression: str, name: str, values: Mapping[str, str]) -> str:
    if name in values:
        try:
            return expand_word(expression, values).text
        except ExpansionError:
            return expression
    operator = re.match(r":?([-+])", expression[2 + len(name) :]) if expression.startswith("${") else None
    if operator is None or not expression.endswith("}"):
        return expression
    return known(expression[2 + len(name) + operator.end() : -1], values) if operator[1] == "-" else ""


def remember_assignments(command: list[str], given: dict[str, str]) -> None:
    """Remember what a command that only sets variables sets them to, and the words that a loop goes through."""
    words = command[1:] if command[:1] in (["export"], ["local"], ["readonly"]) else command
    if words and all(_ASSIGNMENT.match(word) for word in words):
        pairs = [word.partition("=")[::2] for word in words]
    elif command[:1] == ["for"] and command[2:3] == ["in"]:
        pairs = [(command[1], " ".join(command[3:]))]
    else:
        return
    for name, text in pairs:
        if "$" in text or len(text) > _LONGEST_EXPRESSION:
            given.pop(name, None)
        else:
            given[name] = text


def expanded(command: list[str], given: Mapping[str, str]) -> list[str]:
    """The words of a command after the script's own variables; a word that is one variable may become several."""
    if not given:
        return command
    found: list[str] = []
    for word in command:
        text = known(word, given)
        found += text.split() if word.startswith("$") else [text]
    return found


def commands(script: str) -> Iterator[list[str]]:
    """The simple commands of a script: their words, without redirections."""
    # a backslash before a line end joins lines; other line ends separate commands
    for text in script.replace("\\\n", " ").split("\n"):
        words: list[str] = []
        skip = False
        for token in _tokens(text):
            if set(token) <= _SEPARATORS:
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


def bare(words: list[str]) -> list[str]:
    """A command without keywords, assignments and what only starts another command."""
    at = 0
    while at < len(words):
        word = words[at]
        if word in _PREFIXES:
            at = past_options(words, at + 1, _PREFIX_VALUES)
        elif word in _PREFIXES_WITH_AN_ARGUMENT:
            at = past_options(words, at + 1, _PREFIX_VALUES) + 1
        elif word in _KEYWORDS or _ASSIGNMENT.match(word):
            at += 1
        elif word in ("conda", "mamba", "micromamba") and words[at + 1 : at + 2] == ["run"]:
            at = past_options(words, at + 2, options.CONDA)
        elif word == "uv" and words[at + 1 : at + 2] == ["run"]:
            at = past_options(words, at + 2, options.PIP)
        else:
            break
    return words[at:]


def past_options(words: list[str], at: int, values: frozenset[str]) -> int:
    while at < len(words) and words[at].startswith("-"):
        at += 2 if words[at] in values else 1
    return at
