"""One script from its syntax tree to its facts."""

from __future__ import annotations

import ast
import contextlib
from dataclasses import dataclass, field
from typing import Any

from doctor.project.scripts import calls, statements
from doctor.project.scripts.expressions import evaluate
from doctor.project.scripts.source import Source, parse
from doctor.project.scripts.state import Frame, Run, TooMuch
from doctor.project.scripts.values import Class, Function

# What one script says at most: a hostile one says more.
_MOST_FACTS = 400


@dataclass
class Script:
    """What was found in one script, before those of the project are held together.

    ``sets``: which of ``seed``, ``determinism``, ``gpu`` and ``cpu`` it sets or checks anywhere; ``imports``: modules
    with the number of leading dots.
    """

    path: str
    notebook: bool
    trains: dict[str, Any] | None
    facts: list[dict[str, Any]]
    flags: dict[str, dict[str, Any]]
    keras: list[str]
    backend: str | None
    environment: dict[str, str | None]
    imports: set[tuple[str, int]] = field(default_factory=set)


def analyse(source: Source) -> Script:
    """Follow a script and note its facts.

    Raises:
        NotReadable: there is no syntax tree of it.
    """
    tree = parse(source)
    run = Run(source, evaluate, statements.run_body)
    run.frames.append(Frame(run.module))
    with contextlib.suppress(TooMuch, RecursionError):  # what was noted so far stands: each fact is of its own place
        _follow(run, tree)
    result = _result(run)
    _let_go(run)
    return result


def _let_go(run: Run) -> None:
    """Break the circles of names and what they stand for: a syntax tree hangs on each."""
    for scope in (run.module, *run.scopes):
        scope.names.clear()
    for model in run.models:
        model.attributes.clear()
        model.layers.clear()
        model.outputs.clear()


def _follow(run: Run, tree: ast.Module) -> None:
    run.run_body(run, tree.body)
    for name in [n for n in run.loaded if isinstance(run.module.names.get(n), Function)]:
        function = run.module.names[name]
        if isinstance(function, Function) and id(function.node) not in run.executed and _is_entry(run, function):
            calls.execute(run, function, None)
    _methods_of_used_classes(run)
    run.reached = False
    for function in list(run.functions):
        if id(function.node) not in run.executed:
            run.loops.clear()
            name = getattr(function.node, "name", "")
            run.unused = bool(name) and name not in run.loaded and f".{name}" not in run.loaded
            calls.execute(run, function, None)
    run.unused = False
    for of in list(run.classes):
        _unused_class(run, of)


def _is_entry(run: Run, function: Function) -> bool:
    """Whether somebody else calls a function: it is decorated as a command."""
    node = function.node
    return not isinstance(node, ast.Lambda) and any(
        "main" in name or "command" in name for name in map(ast.unparse, node.decorator_list)
    )


def _methods_of_used_classes(run: Run) -> None:
    """Methods that nothing calls, of classes that the script makes objects of, may be called through a variable."""
    for of in list(run.classes):
        first = of.method("__init__")
        if first is None or id(first) not in run.executed:
            continue
        for method in of.methods.values():
            if id(method) not in run.executed:
                run.reached = False
                calls.execute(run, Function(method, of.scope), None)
                run.reached = True


def _unused_class(run: Run, of: Class) -> None:
    if any(id(method) in run.executed for method in of.methods.values()):
        left = [m for m in of.methods.values() if id(m) not in run.executed]
        for method in left:
            calls.execute(run, Function(method, of.scope), None)
        return
    node = ast.Call(func=ast.Name(of.node.name, ast.Load()), args=[], keywords=[])
    ast.copy_location(node, of.node)
    value = calls.instantiate(run, node, of, None)
    for method in of.methods.values():
        if id(method) not in run.executed:
            calls.execute(run, Function(method, of.scope, value), None)


def _result(run: Run) -> Script:
    trains = run.flags.get("trains")
    training = trains is not None and trains["reached"]
    facts = run.facts[:_MOST_FACTS]
    if training:
        facts += _unrecorded(run) + _early_stops(run)
    return Script(
        run.source.path,
        run.source.places is not None,
        trains if training else None,
        facts,
        run.flags,
        sorted(run.flavors),
        run.environment.get("KERAS_BACKEND"),
        run.environment,
        run.imports,
    )


def _unrecorded(run: Run) -> list[dict[str, Any]]:
    """The first call that trains and whose metrics are kept nowhere, with the number of such calls."""
    if "tracker" in run.flags or ".history" in run.loaded or any(fit.kept for fit in run.fits):
        return []
    if not run.fits or run.wrote > run.fits[0].order:
        return []
    lost = [fit for fit in run.fits if fit.discarded or (fit.name is not None and fit.name not in run.loaded)]
    if len(lost) != len(run.fits) or (run.source.places is not None and any(not fit.discarded for fit in lost)):
        return []
    first = lost[0]
    return [{"what": "metrics-unrecorded", **run.place(first.node), "count": len(lost), "assigned": first.name}]


def _early_stops(run: Run) -> list[dict[str, Any]]:
    from doctor.project.scripts.values import Const  # noqa: PLC0415

    rows: list[dict[str, Any]] = []
    if any(checkpoint for _, checkpoint in run.early_stops):
        return rows
    seen: set[int] = set()
    for thing, _ in run.early_stops:
        restore = thing.options.get("restore_best_weights")
        lost = restore is None or (isinstance(restore, Const) and not restore.value)
        if lost and thing.complete and thing.node is not None and id(thing.node) not in seen:
            seen.add(id(thing.node))
            rows.append({"what": "best-weights-lost", **run.place(thing.node)})
    return rows[:1]
