"""What is known at a point of a script that is being followed: names, branches, loops, and the facts noted so far."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from doctor.project.scripts.source import Source
from doctor.project.scripts.values import UNKNOWN, Model, Sequence, Thing, Value, join

# A script is followed this far: nodes looked at, and functions within functions.
MOST_STEPS = 150_000
DEEPEST_CALL = 12
_LONGEST_TEXT = 240


class TooMuch(Exception):
    """The script is longer to follow than is worth it; what was noted so far stands."""


class Scope:
    """Names and what they stand for, within a function or a module."""

    __slots__ = ("names", "outer")

    def __init__(self, outer: Scope | None = None) -> None:
        self.names: dict[str, Value] = {}
        self.outer = outer

    def get(self, name: str) -> Value | None:
        """What a name stands for here; None where it was never bound."""
        scope: Scope | None = self
        while scope is not None:
            found = scope.names.get(name)
            if found is not None:
                return found
            scope = scope.outer
        return None


@dataclass
class Loop:
    """A loop that is being followed: the models built and trained in it, and whether the session is cleared."""

    node: ast.AST
    frame: int
    built: list[tuple[Model, ast.AST]] = field(default_factory=list)
    trained: set[int] = field(default_factory=set)
    cleared: bool = False


@dataclass
class Frame:
    """A function that is being followed, or the module: its scope, the statement at work, what it returned."""

    scope: Scope
    statement: ast.AST | None = None
    returned: list[Value] = field(default_factory=list)


@dataclass
class Fit:
    """One call that trains: how its result is used (``name``: assigned to that name only), and what keeps metrics."""

    node: ast.Call
    discarded: bool
    name: str | None
    kept: bool
    order: int


@dataclass
class Run:
    """One script being followed. ``reached`` is False for functions that nothing in the script calls."""

    source: Source
    evaluate: Callable[[Run, ast.expr | None], Value]
    run_body: Callable[[Run, list[ast.stmt]], None]
    module: Scope = field(default_factory=Scope)
    frames: list[Frame] = field(default_factory=list)
    loops: list[Loop] = field(default_factory=list)
    tapes: list[list[tuple[ast.Call, Value]]] = field(default_factory=list)
    under_tape: dict[int, list[tuple[ast.Call, Value]]] = field(default_factory=dict)  # by the tape
    graded: list[tuple[ast.Call, Value]] = field(default_factory=list)  # whose gradients were taken
    late: list[tuple[ast.AST, dict[str, Any], int]] = field(default_factory=list)  # seeds set after a model was built
    last_model: int = 0
    scopes: list[Scope] = field(default_factory=list)
    kept_alive: list[Value] = field(default_factory=list)  # their identity is a key
    facts: list[dict[str, Any]] = field(default_factory=list)
    models: list[Model] = field(default_factory=list)
    classes: list[Any] = field(default_factory=list)
    functions: list[Any] = field(default_factory=list)
    executed: dict[int, int] = field(default_factory=dict)
    returned: dict[int, Value] = field(default_factory=dict)
    fits: list[Fit] = field(default_factory=list)
    early_stops: list[tuple[Thing, bool]] = field(default_factory=list)
    loaded: set[str] = field(default_factory=set)
    imports: set[tuple[str, int]] = field(default_factory=set)
    stars: list[str] = field(default_factory=list)
    flags: dict[str, dict[str, Any]] = field(default_factory=dict)  # first place of: seed, determinism, gpu, …
    flavors: set[str] = field(default_factory=set)
    environment: dict[str, str | None] = field(default_factory=dict)
    reached: bool = True
    unused: bool = False  # within a function whose name nothing in the script mentions
    branch: int = 0
    guarded: int = 0  # within try: … except ImportError, or behind a test of the version
    steps: int = 0
    order: int = 0
    wrote: int = 0  # when something was last written to a file or a log
    first_model: tuple[int, ast.AST] | None = None
    seen: set[tuple[str, int, int, str]] = field(default_factory=set)
    has_training_layer: bool = False
    discarded: ast.AST | None = None
    assigned: tuple[ast.AST, str] | None = None

    @property
    def frame(self) -> Frame:
        """The function at work, or the module."""
        return self.frames[-1]

    def step(self) -> None:
        """Count a node.

        Raises:
            TooMuch: that was one too many.
        """
        self.steps += 1
        if self.steps > MOST_STEPS:
            raise TooMuch

    def tick(self) -> int:
        """The number of the next event, in the order in which the script would run."""
        self.order += 1
        return self.order

    def place(self, node: ast.AST) -> dict[str, Any]:
        """Where a node stands: line and column from 1, the line's text, and of a notebook the cell."""
        number, offset = getattr(node, "lineno", 1), getattr(node, "col_offset", 0)
        text = self.source.line(number)
        column = offset if text.isascii() else len(text.encode()[:offset].decode("utf-8", "ignore"))
        row: dict[str, Any] = {"line": number, "column": column + 1}
        if self.source.places is not None and 0 < number <= len(self.source.places):
            cell, within, line = self.source.places[number - 1]
            row = {"line": line, "cell": cell, "cell_line": within}
        row["text"] = text[:_LONGEST_TEXT].encode("utf-8", "replace").decode()
        return row

    def note(self, what: str, node: ast.AST, **more: Any) -> None:
        """Note a fact, once a place and name."""
        key = (what, getattr(node, "lineno", 0), getattr(node, "col_offset", 0), str(more.get("name", "")))
        if key not in self.seen:
            self.seen.add(key)
            self.facts.append({"what": what, **self.place(node), **more})

    def flag(self, name: str, node: ast.AST, **more: Any) -> None:
        """Remember the first place of something that a script does once."""
        if name not in self.flags or (self.flags[name]["unused"] and not self.unused):
            self.flags[name] = {**self.place(node), **more, "reached": self.reached, "unused": self.unused}

    @contextmanager
    def branching(self) -> Iterator[None]:
        """Within: what may or may not run."""
        self.branch += 1
        try:
            yield
        finally:
            self.branch -= 1


def merge(before: dict[str, Value], one: dict[str, Value], other: dict[str, Value]) -> dict[str, Value]:
    """The names after two branches that both began with ``before``."""
    result = {}
    for name in one.keys() | other.keys():
        a, b = one.get(name), other.get(name)
        if a is b and a is not None:
            result[name] = a
        elif a is None or b is None:
            result[name] = a or b or UNKNOWN  # bound in one branch: whoever uses it means that one
            if isinstance(result[name], Sequence):
                result[name] = UNKNOWN
        elif isinstance(a, Model) and isinstance(b, Model):
            result[name] = Model("joined", certain=False, compiled=a.compiled and b.compiled)
        else:
            result[name] = join(a, b)
    return result
