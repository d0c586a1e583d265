"""Training scripts: a renamed argument or method, an argument more, a seed. Edits of the text, proven on the tree.

What is to become of the syntax tree is done to the tree itself; an edit of the text stands only where the tree of the
edited text is exactly that one.
"""

from __future__ import annotations

import ast
import copy
import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from doctor.fix.text import Placed, Text
from doctor.model.report import Change, Location
from doctor.pin.plan import applied
from doctor.pin.spots import Edit

_GENERATORS = re.compile(r"\.(?:fit|evaluate|predict)_generator")
# What the methods for generators and those that took their place both take.
_SHARED = frozenset(
    {"steps_per_epoch", "epochs", "verbose", "callbacks", "validation_data", "validation_steps", "validation_freq"}
    | {"class_weight", "shuffle", "initial_epoch", "steps"}
)
NOTEBOOK = "a notebook: change the cell by hand"
UNSURE = "the syntax tree does not make this safe: change it by hand"

Build = Callable[[ast.Module], list[tuple[ast.AST, Edit]]]


def place(file: Text, change: Change, location: Location, row: dict[str, Any]) -> Placed:
    """The edits for a change of a script. ``row``: the script's row of ``project.scripts``."""
    if row.get("kind") == "notebook" or file.path.endswith(".ipynb"):
        return NOTEBOOK
    tree = _parse(file.text)
    if tree is None:
        return "not UTF-8, or no Python that can be parsed: not edited"
    script = _Script(file, tree)
    if change.kind in ("argument", "method"):
        places = [
            fact for fact in row.get("facts") or () if (fact.get("what"), fact.get("name")) == ("api", change.name)
        ]
        edits = [script.rename(change, fact) for fact in places]
    elif change.kind == "keyword":
        edits = [script.keyword(change, location)]
    else:
        edits = [script.seed(change)]
    found = [edit for edit in edits if edit is not None]
    if not found or len(found) < len(edits):
        return UNSURE
    after = _parse(applied(file.text, found))
    if after is None or ast.dump(after) != ast.dump(script.tree):
        return UNSURE
    return tuple(dict.fromkeys(found))


def _parse(text: str) -> ast.Module | None:
    try:
        text.encode()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return None if text.startswith("\ufeff") else ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


class _Script:
    """A script's text, and its tree as the edits change it."""

    def __init__(self, file: Text, tree: ast.Module) -> None:
        self._file = file
        self._starts = file.starts()
        self._lines = [
            file.text[start:end] for start, end in zip(self._starts, [*self._starts[1:], len(file.text)], strict=True)
        ]
        self.tree = tree
        self._before = copy.deepcopy(tree)

    def _offset(self, line: int, column: int) -> int:
        """The offset of a place in the tree, whose columns count bytes of UTF-8."""
        return self._starts[line - 1] + len(self._lines[line - 1].encode()[:column].decode("utf-8", "ignore"))

    def _start(self, node: ast.AST) -> int:
        return self._offset(node.lineno, node.col_offset)  # type: ignore[attr-defined]

    def _end(self, node: ast.AST) -> int:
        return self._offset(node.end_lineno, node.end_col_offset)  # type: ignore[attr-defined]

    def _column(self, node: ast.AST) -> int:
        return self._start(node) - self._starts[node.lineno - 1] + 1  # type: ignore[attr-defined]

    def _at(self, kind: type[ast.AST], line: object, column: object) -> Iterator[Any]:
        """The nodes of a kind that begin at a fact's place."""
        for node in ast.walk(self.tree):
            if isinstance(node, kind) and getattr(node, "lineno", None) == line and self._column(node) == column:
                yield node

    def rename(self, change: Change, fact: dict[str, Any]) -> Edit | None:
        """Another name for an argument, or for a method whose object is certain."""
        if change.kind == "argument":
            return self._argument(change, fact)
        old = change.name.removeprefix(".")
        for call in self._at(ast.Call, fact.get("line"), fact.get("column")):
            method = call.func
            if not isinstance(method, ast.Attribute) or method.attr != old:
                continue
            if not (_takes_the_same(call) if _GENERATORS.fullmatch(change.name) else self._is_metric(method.value)):
                return None
            end = self._end(method)
            if self._file.text[end - len(old) : end] != old:
                return None
            method.attr = change.value
            return Edit(end - len(old), end, change.value)
        return None

    def _argument(self, change: Change, fact: dict[str, Any]) -> Edit | None:
        old = change.name.removesuffix(")").rpartition("(")[2]
        for node in self._at(ast.keyword, fact.get("line"), fact.get("column")):
            start = self._start(node)
            call = next(n for n in ast.walk(self.tree) if isinstance(n, ast.Call) and node in n.keywords)
            names = [keyword.arg for keyword in call.keywords]
            written = re.match(rf"{re.escape(old)}\b", self._file.text[start:])
            if node.arg != old or change.value in names or None in names or not written:
                return None
            node.arg = change.value
            return Edit(start, start + len(old), change.value)
        return None

    def _is_metric(self, receiver: ast.expr) -> bool:
        """Whether every value that the script gives this name is a metric of Keras: those have ``reset_state``."""
        name = ast.unparse(receiver)
        values = [value for target, value in _assignments(self._before) if target == name]
        return bool(values) and all(re.fullmatch(r"(?:\w+\.)*metrics\.[A-Z]\w*\(.*\)", v, re.DOTALL) for v in values)

    def keyword(self, change: Change, location: Location) -> Edit | None:
        """One argument more, behind the last one."""
        for call in self._at(ast.Call, location.line, location.column):
            names = [keyword.arg for keyword in call.keywords]
            if change.name in names or None in names:
                return None
            last = max((self._end(node) for node in (*call.args, *call.keywords)), default=self._end(call) - 1)
            value = ast.parse(change.value, mode="eval").body
            call.keywords.append(ast.keyword(arg=change.name, value=value))
            comma = ", " if call.args or len(call.keywords) > 1 else ""
            return Edit(last, last, f"{comma}{change.name}={change.value}")
        return None

    def seed(self, change: Change) -> Edit | None:
        """A call behind the first block of imports that binds Keras or TensorFlow."""
        body = self.tree.body
        for index, first in enumerate(body):
            if not isinstance(first, (ast.Import, ast.ImportFrom)) or _keras_of([first]) is None:
                continue
            last = index
            while last + 1 < len(body) and isinstance(body[last + 1], (ast.Import, ast.ImportFrom)):
                last += 1
            name = _keras_of(body[index : last + 1])
            following = body[last + 1] if last + 1 < len(body) else None
            end_line = body[last].end_lineno or body[last].lineno
            rest = self._file.text[self._end(body[last]) : self._starts[end_line - 1] + len(self._lines[end_line - 1])]
            if following is None or following.lineno <= end_line or not re.fullmatch(r"\s*(?:#.*)?\s*", rest):
                return None
            call = f"{name}.{change.name.removeprefix('keras.')}({change.value})"
            body.insert(last + 1, ast.parse(call).body[0])
            at = self._starts[end_line]
            return Edit(at, at, f"{self._file.newline}{call}{self._file.newline}")
        return None


def _takes_the_same(call: ast.Call) -> bool:
    """Whether a call of a method for generators is one of the method in its place, word for word."""
    names = {keyword.arg for keyword in call.keywords}
    return len(call.args) == 1 and not isinstance(call.args[0], ast.Starred) and names <= _SHARED


def _assignments(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Every binding of a name or attribute by an assignment, a loop or the like, with the text of its value."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                yield ast.unparse(target), ast.unparse(node.value)
        elif isinstance(node, (ast.AnnAssign, ast.NamedExpr, ast.AugAssign)) and node.value is not None:
            yield ast.unparse(node.target), ast.unparse(node.value)
        elif isinstance(node, (ast.For, ast.AsyncFor, ast.comprehension)):
            yield ast.unparse(node.target), ""
        elif isinstance(node, ast.withitem) and node.optional_vars is not None:
            yield ast.unparse(node.optional_vars), ""
        elif isinstance(node, ast.arg):
            yield node.arg, ""


def _keras_of(block: list[ast.stmt]) -> str | None:
    """The expression for Keras after these imports; Keras itself before TensorFlow's attribute."""
    tensorflow = None
    for statement in block:
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                if alias.name == "keras" or (alias.name == "tensorflow.keras" and alias.asname):
                    return alias.asname or alias.name
                if alias.name == "tensorflow":
                    tensorflow = f"{alias.asname or alias.name}.keras"
        elif isinstance(statement, ast.ImportFrom) and statement.module == "tensorflow" and not statement.level:
            for alias in statement.names:
                if alias.name == "keras":
                    return alias.asname or alias.name
    return tensorflow
