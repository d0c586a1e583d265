"""Follows the statements of a script in the order in which they would run; each branch, each loop once."""

from __future__ import annotations

import ast
from collections.abc import Callable

from doctor.project.scripts import expressions, loops
from doctor.project.scripts.names import canonical
from doctor.project.scripts.state import Frame, Run, Scope, merge
from doctor.project.scripts.values import (
    UNKNOWN,
    Api,
    Class,
    Function,
    Instance,
    Mapping,
    Model,
    Sequence,
    Thing,
    Value,
    join,
)
from doctor.project.scripts.watched import note_use

_IMPORT_ERRORS = frozenset({"ImportError", "ModuleNotFoundError", "AttributeError", "Exception", "BaseException"})


def run_body(run: Run, body: list[ast.stmt]) -> None:
    """Follow statements one after the other."""
    for statement in body:
        run.step()
        run.frame.statement = statement
        follow = _FOLLOW.get(type(statement))
        if follow is not None:
            follow(run, statement)


def _expression(run: Run, node: ast.Expr) -> None:
    run.discarded = node.value
    run.evaluate(run, node.value)


def _assign(run: Run, node: ast.Assign) -> None:
    first = node.targets[0]
    if len(node.targets) == 1 and isinstance(first, ast.Name):
        run.assigned = (node.value, first.id)
    value = run.evaluate(run, node.value)
    for target in node.targets:
        bind(run, target, value)


def _annotated(run: Run, node: ast.AnnAssign) -> None:
    if node.value is not None:
        if isinstance(node.target, ast.Name):
            run.assigned = (node.value, node.target.id)
        bind(run, node.target, run.evaluate(run, node.value))


def _augmented(run: Run, node: ast.AugAssign) -> None:
    value = run.evaluate(run, node.value)
    before = run.evaluate(run, node.target)
    if isinstance(before, Sequence) and isinstance(node.op, ast.Add):
        if isinstance(value, Sequence):
            before.items += value.items
            before.complete = before.complete and value.complete
        else:
            before.complete = False
        return
    bind(run, node.target, UNKNOWN)


def bind(run: Run, target: ast.expr, value: Value) -> None:
    """Let a target stand for a value: a name, names of a tuple, an attribute, an item."""
    if isinstance(target, ast.Name):
        run.frame.scope.names[target.id] = value
    elif isinstance(target, (ast.Tuple, ast.List)):
        items = value.items if isinstance(value, Sequence) and len(value.items) == len(target.elts) else None
        for index, element in enumerate(target.elts):
            bind(run, element, items[index] if items else UNKNOWN)
    elif isinstance(target, ast.Starred):
        bind(run, target.value, UNKNOWN)
    elif isinstance(target, ast.Attribute):
        _bind_attribute(run, target, value)
    elif isinstance(target, ast.Subscript):
        owner = run.evaluate(run, target.value)
        key = run.evaluate(run, target.slice)
        if isinstance(owner, Api) and owner.name == "os.environ":
            expressions.set_environment(run, key, value, target)
        elif isinstance(owner, (Mapping, Sequence)):
            owner.complete = False
        if isinstance(value, Model):
            value.kept = True


def _bind_attribute(run: Run, target: ast.Attribute, value: Value) -> None:
    owner = run.evaluate(run, target.value)
    if isinstance(owner, (Instance, Model)) and not (isinstance(owner, Model) and owner.of is None):
        before = owner.attributes.get(target.attr)
        owner.attributes[target.attr] = join(before, value) if run.branch and before is not None else value
    if target.attr in ("trainable", "activation", "kernel_regularizer"):
        loops.changed(run, owner, target, value)


def _if(run: Run, node: ast.If) -> None:
    run.evaluate(run, node.test)
    if expressions.is_main(node.test):
        run_body(run, node.body)
        return
    guarded = expressions.asks_for_version(node.test)
    run.guarded += guarded
    with run.branching():
        names = run.frame.scope.names
        before = dict(names)
        run_body(run, node.body)
        one = dict(names)
        one_ends = _ends(node.body)
        names.clear()
        names.update(before)
        run_body(run, node.orelse)
        other = dict(names)
        other_ends = bool(node.orelse) and _ends(node.orelse)
    run.guarded -= guarded
    names.clear()
    names.update(other if one_ends else one if other_ends else merge(before, one, other))


def _ends(body: list[ast.stmt]) -> bool:
    return isinstance(body[-1], (ast.Return, ast.Raise, ast.Continue, ast.Break)) or (
        isinstance(body[-1], ast.Expr)
        and isinstance(body[-1].value, ast.Call)
        and ast.unparse(body[-1].value.func) in ("sys.exit", "exit", "quit")
    )


def _for(run: Run, node: ast.For | ast.AsyncFor) -> None:
    over = run.evaluate(run, node.iter)
    with loops.loop(run, node):
        bind(run, node.target, expressions.item_of(over))
        run_body(run, node.body)
    run_body(run, node.orelse)


def _while(run: Run, node: ast.While) -> None:
    run.evaluate(run, node.test)
    with loops.loop(run, node):
        run_body(run, node.body)
    run_body(run, node.orelse)


def _with(run: Run, node: ast.With | ast.AsyncWith) -> None:
    tapes: list[Thing] = []
    for item in node.items:
        value = run.evaluate(run, item.context_expr)
        if isinstance(value, Thing) and value.kind == "tensorflow.GradientTape":
            tapes.append(value)
            run.tapes.append([])
            run.under_tape[id(value)] = run.tapes[-1]
            run.kept_alive.append(value)
        if item.optional_vars is not None:
            bind(run, item.optional_vars, value)
    run_body(run, node.body)
    for _ in tapes:
        run.tapes.pop()


def _try(run: Run, node: ast.Try) -> None:
    guarded = any(_catches_import(handler.type) for handler in node.handlers)
    run.guarded += guarded
    run_body(run, node.body)
    with run.branching():
        for handler in node.handlers:
            names = run.frame.scope.names
            before = dict(names)
            run_body(run, handler.body)
            if guarded or _ends(handler.body):
                names.update(before)  # what was imported first is what is meant
    run.guarded -= guarded
    run_body(run, node.orelse)
    run_body(run, node.finalbody)


def _catches_import(node: ast.expr | None) -> bool:
    if node is None:
        return True
    names = node.elts if isinstance(node, ast.Tuple) else [node]
    return any(isinstance(name, ast.Name) and name.id in _IMPORT_ERRORS for name in names)


def _import(run: Run, node: ast.Import) -> None:
    for alias in node.names:
        run.imports.add((alias.name, 0))
        note_use(run, alias.name, alias if hasattr(alias, "lineno") else node, imported=True)
        name = alias.asname or alias.name.partition(".")[0]
        run.frame.scope.names[name] = Api(alias.name if alias.asname else name)


def _import_from(run: Run, node: ast.ImportFrom) -> None:
    module = node.module or ""
    run.imports.add((module, node.level))
    prefix = "." * node.level + module
    for alias in node.names:
        if alias.name == "*":
            run.stars.append(prefix)
            note_use(run, prefix, node, imported=True)
            continue
        if not module or node.level:
            run.imports.add((f"{module}.{alias.name}".lstrip("."), node.level))
        full = f"{prefix}.{alias.name}" if module else prefix + alias.name
        note_use(run, full, alias, imported=True)
        run.frame.scope.names[alias.asname or alias.name] = Api(full)


def _function(run: Run, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
    for default in (*node.args.defaults, *(d for d in node.args.kw_defaults if d is not None)):
        run.evaluate(run, default)
    value = Function(node, run.frame.scope)
    run.functions.append(value)
    run.frame.scope.names[node.name] = value
    for decorator in node.decorator_list:
        run.evaluate(run, decorator)
        name = ast.unparse(decorator) if not isinstance(decorator, ast.Name) else decorator.id
        if any(word in name for word in ("hydra.main", "click.command", "command", "main")):
            run.loaded.add(node.name)


def _class(run: Run, node: ast.ClassDef) -> None:
    bases: list[str] = []
    parents: list[Class] = []
    for base in node.bases:
        value = run.evaluate(run, base)
        if isinstance(value, Class):
            parents.append(value)
        elif isinstance(value, Api):
            bases.append(canonical(value.name))
        else:
            bases.append("?")
    methods = {s.name: s for s in node.body if isinstance(s, (ast.FunctionDef, ast.AsyncFunctionDef))}
    value = Class(node, run.frame.scope, tuple(bases), methods, tuple(parents))
    run.classes.append(value)
    outer = run.frame.scope
    scope = Scope(outer)
    run.scopes.append(scope)
    run.frames.append(Frame(scope))
    run_body(run, [s for s in node.body if not isinstance(s, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))])
    run.frames.pop()
    outer.names[node.name] = value


def _return(run: Run, node: ast.Return) -> None:
    run.frame.returned.append(run.evaluate(run, node.value) if node.value is not None else UNKNOWN)


def _delete(run: Run, node: ast.Delete) -> None:
    for target in node.targets:
        if isinstance(target, ast.Name):
            run.frame.scope.names.pop(target.id, None)


def _values(run: Run, node: ast.stmt) -> None:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):
            run.evaluate(run, child)


def _match(run: Run, node: ast.Match) -> None:
    run.evaluate(run, node.subject)
    with run.branching():
        for case in node.cases:
            run_body(run, case.body)


_FOLLOW: dict[type, Callable[..., None]] = {
    ast.Expr: _expression,
    ast.Assign: _assign,
    ast.AnnAssign: _annotated,
    ast.AugAssign: _augmented,
    ast.If: _if,
    ast.For: _for,
    ast.AsyncFor: _for,
    ast.While: _while,
    ast.With: _with,
    ast.AsyncWith: _with,
    ast.Try: _try,
    ast.Import: _import,
    ast.ImportFrom: _import_from,
    ast.FunctionDef: _function,
    ast.AsyncFunctionDef: _function,
    ast.ClassDef: _class,
    ast.Return: _return,
    ast.Delete: _delete,
    ast.Assert: _values,
    ast.Raise: _values,
    ast.Match: _match,
}
if hasattr(ast, "TryStar"):
    _FOLLOW[ast.TryStar] = _try
