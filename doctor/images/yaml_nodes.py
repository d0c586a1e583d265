"""YAML as a graph of nodes with places: nothing is constructed, so a bomb of aliases is a handful of nodes.

A file is split at its document marks first: a document that cannot be read, or holds nothing of interest, costs the
others nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

_MARK = re.compile(r"^---(?=\s|$)", re.MULTILINE)
_DIRECTIVE = re.compile(r"^%.*$", re.MULTILINE)
_TEMPLATE = "{{"
TEMPLATE = "a template, not YAML"
_MOST_DOCUMENTS = 1000


@dataclass(frozen=True)
class Scalar:
    """A plain value: its text, the text's line and column (from 1), and its offsets where it is written as it reads."""

    text: str
    line: int
    column: int
    end_line: int
    span: tuple[int, int] | None


@dataclass
class Document:
    """One document. ``root`` is a node; the methods read nodes, with merge keys followed."""

    root: Any
    _text: str
    _offset: int
    _line: int
    _merged: dict[int, dict[str, Any]] = field(default_factory=dict)

    def mapping(self, node: Any) -> dict[str, Any]:
        """The entries of a mapping, those that it merges (``<<``) included; empty for any other node."""
        if getattr(node, "id", None) != "mapping":
            return {}
        known = self._merged.get(id(node))
        if known is not None:
            return known
        self._merged[id(node)] = {}  # what merges itself, merges nothing
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key, value in node.value:
            if key.id != "scalar":
                continue
            if key.value == "<<" and key.style is None:
                for source in self.sequence(value) or [value]:
                    for name, item in self.mapping(source).items():
                        merged.setdefault(name, item)
            else:
                own[key.value] = value
        self._merged[id(node)] = {**merged, **own}
        return self._merged[id(node)]

    def sequence(self, node: Any) -> list[Any]:
        """The items of a sequence; empty for any other node."""
        return list(node.value) if getattr(node, "id", None) == "sequence" else []

    def at(self, node: Any, *keys: str) -> Any:
        """The node below a path of keys; None where there is none."""
        for key in keys:
            node = self.mapping(node).get(key)
        return node

    def scalar(self, node: Any) -> Scalar | None:
        """A value that is neither mapping nor sequence nor null; None for any other node."""
        if getattr(node, "id", None) != "scalar" or (node.tag or "").endswith(":null"):
            return None
        start, end = node.start_mark, node.end_mark
        quotes = 1 if node.style in ("'", '"') else 0
        first, last = start.index + quotes, end.index - quotes
        exact = node.style in (None, "'", '"') and self._text[first:last] == node.value
        return Scalar(
            node.value,
            start.line + self._line,
            start.column + quotes + 1,
            end.line + self._line,
            (first + self._offset, last + self._offset) if exact else None,
        )

    def block(self, node: Any) -> list[tuple[int, int, str]] | None:
        """The lines behind the mark of a literal block: number, offset and text of each; None for any other value."""
        if getattr(node, "id", None) != "scalar" or node.style != "|":
            return None
        found: list[tuple[int, int, str]] = []
        count = node.value.count("\n") + (not node.value.endswith("\n"))
        line, at = node.start_mark.line, self._text.find("\n", node.start_mark.index) + 1
        while 0 < at < len(self._text) and len(found) < count:
            line += 1
            end = self._text.find("\n", at)
            end = len(self._text) if end < 0 else end
            found.append((line + self._line, at + self._offset, self._text[at:end].removesuffix("\r")))
            at = end + 1
        return found

    def text(self, node: Any) -> str | None:
        """The text of a scalar node; None for any other node."""
        found = self.scalar(node)
        return found.text if found else None

    def nodes(self) -> Iterator[Any]:
        """Every node once, however often aliases name it."""
        seen = {id(self.root)}
        pending = [self.root]
        while pending:
            node = pending.pop()
            yield node
            if node.id == "mapping":
                below = [part for pair in node.value for part in pair]
            elif node.id == "sequence":
                below = node.value
            else:
                continue
            for child in reversed(below):
                if id(child) not in seen:
                    seen.add(id(child))
                    pending.append(child)


@dataclass
class Documents:
    """The documents of a file, and what could not be read: (line, why)."""

    documents: list[Document] = field(default_factory=list)
    problems: list[tuple[int, str]] = field(default_factory=list)


def load(text: str, interesting: re.Pattern[str] | None = None) -> Documents:
    """The documents of a YAML file whose text matches ``interesting`` (all of them without it). Nothing is raised."""
    result = Documents()
    for offset, chunk in _chunks(text):
        if interesting is not None and not interesting.search(chunk):
            continue
        line = text.count("\n", 0, offset) + 1
        if len(result.documents) + len(result.problems) >= _MOST_DOCUMENTS:
            result.problems.append((line, f"more than {_MOST_DOCUMENTS} documents: the rest was not looked at"))
            break
        try:
            root = _compose(chunk)
        except RecursionError:
            result.problems.append((line, "nested too deep to be read"))
        except Exception as error:
            if not type(error).__module__.startswith("ruamel."):
                raise
            result.problems.append(_problem(error, chunk, line))
        else:
            if root is not None:
                result.documents.append(Document(root, chunk, offset, line))
    return result


def _chunks(text: str) -> Iterator[tuple[int, str]]:
    start = 1 if text.startswith("\ufeff") else 0
    ends = [m.start() for m in _MARK.finditer(text, start)]
    for end in [*ends, len(text)]:
        chunk = text[start:end]
        # a directive belongs to the document behind the next mark; blanked, so that the places stay
        if "%" in chunk:
            chunk = _DIRECTIVE.sub(lambda m: " " * len(m[0]), chunk)
        if chunk.strip():
            yield start, chunk
        start = end


def _compose(chunk: str) -> Any:
    from ruamel.yaml import YAML  # noqa: PLC0415 (80 ms: only where such a file is met)

    yaml = YAML(typ="safe", pure=True)
    yaml.composer.warn_double_anchors = False  # it is no fault, and the warning would print the file's text on stderr
    return yaml.compose(chunk)


def _problem(error: Any, chunk: str, line: int) -> tuple[int, str]:
    mark = getattr(error, "problem_mark", None)
    if mark is not None:
        at, why = mark.line, str(error.problem or "not YAML")
    else:
        position = getattr(error, "position", 0)
        at, why = chunk.count("\n", 0, position), "a control character, which YAML forbids"
    return line + at, TEMPLATE if _TEMPLATE in chunk else f"not YAML: {why[:120]}"
