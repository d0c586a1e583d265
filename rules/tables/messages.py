"""What lines of logs mean: messages of TensorFlow, XLA, CUDA, cuDNN, NVML, container tools, installers and Python."""

from __future__ import annotations

import functools
import re

import msgspec

from ._load import Row, Table, load

MOST_OF_A_LINE = 4000
# Words that every log is full of: looked for only where an anchor has no other.
_COMMON = frozenset(
    re.findall(
        r"\w+",
        "and any but cannot could cuda error fail failed file for found from get gpu has have import is it library "
        "line load loaded model module name no not of on only or out python run such tensorflow that the this to type "
        "using value version was warning when which will with you",
    )
)
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]{0,300}(?:\x07|\x1b\\)?|[@-Z\\-_])")


class Known(Row, frozen=True, kw_only=True):
    """A message. ``anchors``: texts in lower case without digits that begin at a word, one of which every such line
    holds; ``pattern``: decides.
    """

    id: str
    anchors: tuple[str, ...]
    pattern: str


class Remark(Known, frozen=True, kw_only=True):
    """A message that points to no rule: ``why`` says what it means, ``harmless`` whether it may be ignored."""

    why: str
    harmless: bool


class Message(Known, frozen=True, kw_only=True):
    """A message that speaks for rules.

    ``says``: what it tells, with the pattern's groups; ``codes``: the rules that it may point to, the likeliest first;
    ``likely``: how likely, in percent, the first is the root cause where no fact is known; ``stands``: against which
    facts it holds (0: none, 1: a rule that thought itself inapplicable, 2: also one that found nothing); ``symptom``:
    it only says that there is no GPU, and any reason explains it; ``severity``: lower than the rule's; ``resolve``:
    the judgement in code that reads its groups.
    """

    says: str
    codes: tuple[str, ...]
    likely: int
    stands: int = 0
    symptom: bool = False
    severity: str | None = None
    resolve: str | None = None


class _Messages(Table, frozen=True, kw_only=True):
    remarks: tuple[Remark, ...]
    messages: tuple[Message, ...]


class Said(msgspec.Struct, frozen=True):
    """A line that the table knows: its row, the line without colours, and the named groups (``lib2`` under ``lib``)."""

    row: Remark | Message
    line: str
    groups: dict[str, str]


def remarks() -> tuple[Remark, ...]:
    """All messages that point to no rule."""
    return load(_Messages, "log_messages").remarks


def messages() -> tuple[Message, ...]:
    """All messages that speak for rules; a more exact row stands before a more general one."""
    return load(_Messages, "log_messages").messages


def sources() -> dict[str, str]:
    """What the keys of the rows' ``source`` mean: where the wording was found, or that it was only quoted."""
    return load(_Messages, "log_messages").sources


@functools.cache
def anchors() -> tuple[str, ...]:
    """Texts in lower case without digits, beginning at a word; every line that the table knows holds one of them."""
    return tuple(dict.fromkeys(anchor for row in (*remarks(), *messages()) for anchor in row.anchors))


@functools.cache
def keywords() -> dict[str, tuple[str, ...]]:
    """For each anchor one word of letters that every text with it holds (a rare and long one), for a fast look.

    That an anchor ends within a word is foreseen only where it has a longer one.
    """
    found: dict[str, list[str]] = {}
    for anchor in anchors():
        words = re.findall(r"[a-z]+", anchor)
        found.setdefault(max(words, key=lambda word: (word not in _COMMON, len(word))), []).append(anchor)
    return {word: tuple(some) for word, some in found.items()}


@functools.cache
def _compiled() -> tuple[tuple[Remark | Message, tuple[str, ...], re.Pattern[str]], ...]:
    rows: tuple[Remark | Message, ...] = (*remarks(), *messages())
    return tuple((row, row.anchors, re.compile(row.pattern, re.IGNORECASE)) for row in rows)


def plain(line: str) -> str:
    """A line without terminal escapes and NULs, of bounded length."""
    return _ESCAPES.sub("", line[: 2 * MOST_OF_A_LINE].replace("\0", ""))[:MOST_OF_A_LINE].strip()


def said(line: str) -> Said | None:
    """What the table knows of a line: remarks go before messages; None for most lines."""
    text = plain(line)
    lower = text.lower()
    if not any(anchor in lower for anchor in anchors()):
        return None
    for row, words, pattern in _compiled():
        if any(word in lower for word in words) and (found := pattern.search(text)):
            return Said(row, text, _groups(found))
    return None


def _groups(found: re.Match[str]) -> dict[str, str]:
    """The named groups; alternatives are numbered (``lib``, ``lib2``), the first that matched counts."""
    groups: dict[str, str] = {}
    for name, value in found.groupdict().items():
        if value:
            groups.setdefault(name.rstrip("0123456789"), value.strip())
    return groups
