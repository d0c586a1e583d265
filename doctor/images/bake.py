"""Images in bake files (``docker-bake.hcl`` and ``.json``): ``docker-image://`` contexts, and Dockerfiles within."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from doctor.images import inline, placed
from doctor.images.interpolate import Expansion
from doctor.images.use import ImageUse, Unreadable
from doctor.images.yaml_nodes import Scalar

USE = "bake"
_SCHEME = inline.CONTEXT_SCHEME
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_-]*)\}")
_HEREDOC = re.compile(r"<<-?\w+\r?\n")
_ESCAPED = re.compile(r"\$\$(?=\{)")
_LONGEST_HCL = 64 * 1024  # the grammar is worked through in Python, at about 50 KiB a second


def parse(text: str, path: str) -> tuple[list[ImageUse], list[Unreadable]]:
    """The images that targets name as contexts, and what could not be read."""
    if len(text) > _LONGEST_HCL:
        return [], [Unreadable(path, None, f"more than the {_LONGEST_HCL // 1024} KiB that are read")]
    try:
        bodies, values = _json(text) if path.lower().endswith(".json") else _hcl(text)
    except _NotReadable as error:
        return [], [Unreadable(path, error.line, error.why)]
    except RecursionError:
        return [], [Unreadable(path, None, "nested too deep to be read")]
    uses: list[ImageUse] = []
    at = 0
    for name in _contexts(bodies):
        start = text.find(name, at)
        if start < 0:
            start = max(0, text.find(name))
        at = start + len(name)
        line = text.count("\n", 0, start) + 1
        column = start - text.rfind("\n", 0, start)
        scalar = Scalar(name, line, column, line, (start, at) if text.startswith(name, start) else None)
        expansion = _expand(name, values)
        use = placed.use_of(scalar, USE, path, expansion=expansion, scheme=_SCHEME)
        uses.append(placed.opened(use) if "${" in expansion.text else use)
    problems: list[Unreadable] = []
    for body in bodies:
        found, faults = _within(body, text, path, values)
        uses += found
        problems += faults
    return uses, problems


def _within(
    body: Mapping[str, Any], text: str, path: str, values: Mapping[str, str]
) -> tuple[list[ImageUse], list[Unreadable]]:
    """The images of a target's ``dockerfile-inline``."""
    written = string(body.get("dockerfile-inline"))
    if written is None:
        return [], []
    heredoc = _HEREDOC.match(written)
    if heredoc is not None:
        inner = written[heredoc.end() :].rpartition("\n")[0]  # the last line ends it
        lines = inline.of_raw(text, inner, max(0, text.find(written)) + heredoc.end())
    else:
        written_so = json.dumps(written) if path.lower().endswith(".json") else written
        at = text.find(written_so)
        place = inline.of_raw(text, "", at if at >= 0 else max(0, text.find("dockerfile-inline")))[0]
        lines = [inline.Line(part, place.line, place.column) for part in _unescaped(written, path).split("\n")]
    lines, open_ = inline.expanded(lines, lambda line: _expand_line(line, values))
    return inline.read(lines, path, text, open_)


def _unescaped(written: str, path: str) -> str:
    """The text of a string in HCL; JSON's were read already."""
    if path.lower().endswith(".json"):
        return written
    return written.replace("\\n", "\n").replace('\\"', '"')


def _expand_line(line: str, values: Mapping[str, str]) -> Expansion:
    """A line after bake's variables; what is written ``$${`` is the Dockerfile's own."""
    mark = "\0"
    found = _expand(_ESCAPED.sub(mark, line), values)
    return Expansion(found.text.replace(mark, "$"), found.used, found.unset, found.unset)


def targets(text: str, path: str) -> list[dict[str, Any]]:
    """The targets of a bake file that can be read."""
    if len(text) > _LONGEST_HCL:
        return []
    try:
        return (_json(text) if path.lower().endswith(".json") else _hcl(text))[0]
    except (_NotReadable, RecursionError):
        return []


class _NotReadable(ValueError):
    def __init__(self, line: int | None, why: str) -> None:
        super().__init__(why)
        self.line = line
        self.why = why


def _json(text: str) -> tuple[list[dict[str, Any]], dict[str, str]]:
    try:
        root = json.loads(text.removeprefix("\ufeff"))
    except json.JSONDecodeError as error:
        raise _NotReadable(error.lineno, f"not JSON: {error.msg}") from None
    root = root if isinstance(root, dict) else {}
    targets, variables = root.get("target"), root.get("variable")
    values = {
        name: item["default"]
        for name, item in (variables.items() if isinstance(variables, dict) else ())
        if isinstance(item, dict) and isinstance(item.get("default"), str)
    }
    bodies = targets.values() if isinstance(targets, dict) else ()
    return [body for body in bodies if isinstance(body, dict)], values


@functools.lru_cache(maxsize=1)  # who asks for the builds asks for the images too
def _hcl(text: str) -> tuple[list[dict[str, Any]], dict[str, str]]:
    import hcl2  # noqa: PLC0415 (130 ms: only where such a file is met)

    try:
        root = hcl2.loads(text.removeprefix("\ufeff") + "\n")
    except Exception as error:
        if not type(error).__module__.startswith(("lark", "hcl2")):
            raise
        line = getattr(error, "line", None)
        raise _NotReadable(line if isinstance(line, int) and line > 0 else None, "not HCL") from None
    values: dict[str, str] = {}
    for name, body in _blocks(root, "variable"):
        default = string(body.get("default"))
        if default is not None:
            values[name] = default
    return [body for _, body in _blocks(root, "target")], values


def _blocks(root: Mapping[str, Any], kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for block in root.get(kind, ()):
        for name, body in block.items():
            if isinstance(body, dict):
                yield name.strip('"'), body


def _contexts(bodies: Iterable[dict[str, Any]]) -> Iterator[str]:
    for body in bodies:
        contexts = body.get("contexts")
        for value in contexts.values() if isinstance(contexts, dict) else ():
            text = string(value)
            if text is not None and text.startswith(_SCHEME):
                yield text


def string(value: Any) -> str | None:
    """A string literal: releases of the parser differ in whether they keep its quotes."""
    if not isinstance(value, str):
        return None
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value


def _expand(text: str, values: Mapping[str, str]) -> Expansion:
    used = tuple(dict.fromkeys(m[1] for m in _VARIABLE.finditer(text)))
    expanded = _VARIABLE.sub(lambda m: values.get(m[1], m[0]), text)
    return Expansion(expanded, used, tuple(name for name in used if name not in values))
