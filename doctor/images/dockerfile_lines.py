"""The lines of a Dockerfile: directives, comments, continuations and heredocs, with the place of every character.

The order of events is that of BuildKit's ``frontend/dockerfile/parser``; quoted words and heredoc markers are read by
``e2b-dockerfile-utils``, its Python port. Two things that port does not do are the reason for a reader of our own: it
stops at the first instruction that it does not know, and it forgets where on a line a word stood.
"""

from __future__ import annotations

import bisect
import json
import re
from dataclasses import dataclass, field

# bufio.MaxScanTokenSize: a longer line is refused by the builder
LONGEST_LINE = 65535
INSTRUCTIONS = frozenset(
    {
        "ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "MAINTAINER",
        "ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR",
    }
)  # fmt: skip
_WITH_HEREDOC = frozenset({"ADD", "COPY", "RUN"})
# more than any file needs: each marker costs a pass over the rest of the file when it is never closed
_MOST_HEREDOCS = 64

_DIRECTIVE = re.compile(r"#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+)")
KNOWN_DIRECTIVES = frozenset({"syntax", "escape", "check"})
# what Go's unicode.IsSpace knows, a no-break space among it: the builder cuts it off around the arguments
_SPACE = re.compile("[\t\n\v\f\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+")
_WORD = re.compile(r"[^\t\v\f\r ]+")


@dataclass(frozen=True)
class Heredoc:
    """A heredoc of an instruction. ``line``: the file's line on which its content starts."""

    name: str
    content: str
    line: int
    expand: bool


@dataclass(frozen=True)
class Word:
    """A word of a logical line. ``exact``: its text is the slice of the line, no quote or escape was taken out."""

    text: str
    start: int
    end: int
    exact: bool = True


@dataclass(frozen=True)
class Instruction:
    """One instruction. ``text`` is the logical line; ``rest`` the offset in it after keyword and flags."""

    name: str
    keyword: str
    text: str
    pieces: tuple[tuple[int, int, int], ...]  # (offset in text, offset in file, line in file)
    line: int
    end_line: int
    flags: tuple[Word, ...] = ()
    rest: int = 0
    heredocs: tuple[Heredoc, ...] = ()
    trigger: Instruction | None = None

    @property
    def arguments(self) -> str:
        """What follows the keyword and its flags."""
        return self.text[self.rest :].strip()

    def words(self) -> list[Word]:
        """The arguments, split at blanks (quotes have no meaning here, as in FROM)."""
        return [Word(m[0], m.start(), m.end()) for m in _WORD.finditer(self.text, self.rest)]

    def json_words(self) -> list[str] | None:
        """The arguments in JSON (exec) form; None where they are in shell form."""
        arguments = self.arguments
        if not arguments.startswith("["):
            return None
        try:
            found = json.loads(arguments)
        except (ValueError, RecursionError):
            return None
        return found if isinstance(found, list) and all(isinstance(word, str) for word in found) else None

    def line_at(self, at: int) -> int:
        """The file's line of the character at offset ``at`` of the logical line."""
        return self._piece(at)[2]

    def span(self, start: int, end: int) -> tuple[int, int] | None:
        """Offsets in the file of a slice of the logical line; None where it is spread over several lines."""
        first, last = self._piece(start), self._piece(max(start, end - 1))
        if first != last:
            return None
        shift = first[1] - first[0]
        return start + shift, end + shift

    def offset(self, at: int) -> int:
        """The offset in the file of offset ``at`` of the logical line."""
        piece = self._piece(at)
        return at - piece[0] + piece[1]

    def _piece(self, at: int) -> tuple[int, int, int]:
        return self.pieces[max(0, bisect.bisect_right(self.pieces, (at, 1 << 60, 0)) - 1)]


@dataclass
class Lines:
    """A Dockerfile as instructions. ``problems``: (line, why) of what the builder would refuse."""

    instructions: list[Instruction] = field(default_factory=list)
    escape: str = "\\"
    problems: list[tuple[int, str]] = field(default_factory=list)


def read(text: str) -> Lines:
    """The instructions of a Dockerfile. Nothing is raised: what cannot be read is a problem with its line."""
    return _Reader(text).run()


class _Reader:
    def __init__(self, text: str) -> None:
        self._lines = text.split("\n")
        if self._lines and not self._lines[-1]:
            self._lines.pop()
        self._row = 0  # index of the next line
        self._offset = 0  # offset in the file of the next line
        if self._lines and self._lines[0].startswith("\ufeff"):
            self._lines[0] = self._lines[0][1:]
            self._offset = 1
        self._directives_done = False
        self._seen: set[str] = set()
        self._result = Lines()

    def run(self) -> Lines:
        while self._row < len(self._lines):
            start, line = self._next()
            begun = self._row
            if self._directive(line.lstrip()):
                continue
            if _is_comment(line):
                continue
            indent = len(line) - len(line.lstrip())
            piece, ended = _cut_continuation(line[indent:], self._result.escape)
            if ended and not piece:
                continue
            self._instruction(begun, start + indent, piece, ended)
        return self._result

    def _next(self) -> tuple[int, str]:
        """Offset and text of the next physical line, without its line end."""
        line = self._lines[self._row]
        start = self._offset
        self._row += 1
        self._offset += len(line) + 1
        if len(line) > LONGEST_LINE:
            self._problem(self._row, f"a line of {len(line)} characters: the builder takes {LONGEST_LINE}")
            line = ""
        return start, line.rstrip("\r")

    def _problem(self, line: int, why: str) -> None:
        self._result.problems.append((line, why))

    def _directive(self, line: str) -> bool:
        if self._directives_done:
            return False
        match = _DIRECTIVE.match(line.rstrip())
        key = match[1].lower() if match else ""
        if match is None or key not in KNOWN_DIRECTIVES:
            self._directives_done = True
            return False
        if key in self._seen:
            self._problem(self._row, f"only one {key} parser directive can be used")
        self._seen.add(key)
        if key == "escape":
            if match[2] in ("\\", "`"):
                self._result.escape = match[2]
            else:
                self._problem(self._row, f"invalid escape token {match[2][:20]!r}: it must be ` or \\")
        return True

    def _instruction(self, begun: int, offset: int, piece: str, ended: bool) -> None:
        texts, pieces, length = [piece], [(0, offset, begun)], len(piece)
        while not ended and self._row < len(self._lines):
            start, line = self._next()
            if _is_comment(line) or not line.strip():
                continue
            piece, ended = _cut_continuation(line, self._result.escape)
            pieces.append((length, start, self._row))
            texts.append(piece)
            length += len(piece)
        instruction = self._build("".join(texts), tuple(pieces), begun)
        if instruction is not None:
            self._result.instructions.append(instruction)

    def _build(self, text: str, pieces: tuple[tuple[int, int, int], ...], begun: int) -> Instruction | None:
        parsed = _parse(text, 0, pieces, begun, self._result.escape)
        inner = parsed.trigger or parsed
        if inner.name not in INSTRUCTIONS:
            self._problem(begun, f"unknown instruction: {inner.keyword[:40]}")
            return None
        heredocs: tuple[Heredoc, ...] = ()
        if inner.name in _WITH_HEREDOC and "<<" in text and inner.json_words() is None:
            heredocs = self._heredocs(text, begun)
        end = self._row
        trigger = parsed.trigger
        if trigger is not None:
            trigger = _with_end(trigger, end, heredocs)
        return _with_end(parsed, end, heredocs, trigger)

    def _heredocs(self, text: str, begun: int) -> tuple[Heredoc, ...]:
        found = []
        for name, chomp, expand in _markers(text)[:_MOST_HEREDOCS]:
            first = self._row + 1
            content: list[str] = []
            closed = False
            while self._row < len(self._lines) and not closed:
                _, line = self._next()
                closed = (line.lstrip("\t") if chomp else line) == name
                if not closed:
                    content.append(line.lstrip("\t") if chomp else line)
            if not closed:
                self._problem(begun, f"unterminated heredoc: {name[:40]}")
                break
            found.append(Heredoc(name, "\n".join(content), first, expand))
        return tuple(found)


def _with_end(
    base: Instruction, end: int, heredocs: tuple[Heredoc, ...], trigger: Instruction | None = None
) -> Instruction:
    return Instruction(
        base.name, base.keyword, base.text, base.pieces, base.line, end, base.flags, base.rest, heredocs, trigger
    )  # fmt: skip


def _parse(text: str, start: int, pieces: tuple[tuple[int, int, int], ...], line: int, escape: str) -> Instruction:
    """Keyword and flags of the logical line from offset ``start``, and what ONBUILD stores as its trigger."""
    word = _WORD.search(text, start)
    if word is None:
        return Instruction("", "", text, pieces, line, line, rest=len(text))
    flags, rest = _flags(text, word.end(), escape)
    name = word[0].upper()
    trigger = None
    if name == "ONBUILD" and start == 0 and text[rest:].strip():
        trigger = _parse(text, rest, pieces, line, escape)
    return Instruction(name, word[0], text, pieces, line, line, tuple(flags), rest, (), trigger)


def _flags(text: str, at: int, escape: str) -> tuple[list[Word], int]:
    """Leading ``--flag[=value]`` words from offset ``at``, and where the arguments start."""
    flags: list[Word] = []
    while True:
        space = _SPACE.match(text, at)
        at = space.end() if space else at
        if not text.startswith("--", at):
            return flags, at
        start, out, quote = at, [], ""
        while at < len(text):
            char = text[at]
            if char == escape and at + 1 < len(text):
                out.append(text[at + 1])
                at += 2
                continue
            if quote:
                if char == quote:
                    quote = ""
                else:
                    out.append(char)
            elif char in "'\"":
                quote = char
            elif char in "\t\n\v\f\r \x85\xa0":
                break
            elif char != escape:
                out.append(char)
            at += 1
        flag = "".join(out)
        if flag == "--":
            return flags, at
        flags.append(Word(flag, start, at, exact=flag == text[start:at]))


def _markers(text: str) -> list[tuple[str, bool, bool]]:
    """The heredocs that a logical line opens: (terminator, leading tabs are cut, content is expanded)."""
    from e2b_dockerfile_utils import ShellLex, parse_heredoc  # noqa: PLC0415 (20 ms: only where one is met)

    try:
        words = ShellLex("\\", raw_quotes=True, raw_escapes=True).process_words(text)
        parsed = [parse_heredoc(word) for word in words if "<<" in word]
    except ValueError:
        return []
    return [(found.name, found.chomp, found.expand) for found in parsed if found is not None]


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith("#")


def _cut_continuation(line: str, escape: str) -> tuple[str, bool]:
    """The line without its continuation mark, and whether the instruction ends here."""
    tail = line.rstrip(" \t")
    if not tail.endswith(escape) or tail.endswith(escape * 2):
        return line, True
    return tail[:-1], False
