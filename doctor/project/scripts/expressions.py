"""What an expression of a script stands for; calls are handed on."""

from __future__ import annotations

import ast
from collections.abc import Callable

from doctor.project.scripts import calls
from doctor.project.scripts.names import STAR_LAYERS, canonical, flavor
from doctor.project.scripts.state import Run, Scope
from doctor.project.scripts.values import (
    OPERATION,
    UNKNOWN,
    Api,
    Class,
    Const,
    Function,
    Instance,
    Layers,
    Mapping,
    Method,
    Model,
    Sequence,
    Tensor,
    Value,
    constant,
    join,
)
from doctor.project.scripts.watched import note_use

_CONSTANTS: dict[object, Const] = {}


def evaluate(run: Run, node: ast.expr | None) -> Value:
    """What an expression stands for; all that it calls is noted on the way.

    Raises:
        TooMuch: the script is longer to follow than is worth it.
        RecursionError: it is nested too deep.
    """
    if node is None:
        return UNKNOWN
    if isinstance(node, ast.Constant):
        return Const(node.value)
    run.steps += 1
    if isinstance(node, ast.Name):
        return _name(run, node)
    run.step()
    find = _EVALUATE.get(type(node))
    return find(run, node) if find is not None else _other(run, node)


def _other(run: Run, node: ast.expr) -> Value:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):
            evaluate(run, child)
    return UNKNOWN


def _name(run: Run, node: ast.Name) -> Value:
    run.loaded.add(node.id)
    found = run.frame.scope.get(node.id)
    if found is not None:
        return found
    for module in run.stars:
        full = canonical(module)
        if full.startswith("keras.layers") and node.id in STAR_LAYERS:
            return Api(f"{module}.{node.id}")
        if full.startswith(("keras.models", "keras.optimizers", "keras.callbacks", "keras.losses", "keras.utils")):
            last = full.rpartition(".")[2]
            if node.id in calls.STAR_NAMES.get(last, ()):
                return Api(f"{module}.{node.id}")
    return UNKNOWN


def _attribute(run: Run, node: ast.Attribute) -> Value:
    owner = evaluate(run, node.value)
    name = node.attr
    run.loaded.add("." + name)
    if isinstance(owner, Api):
        full = f"{owner.name}.{name}"
        if owner.name.startswith(("tensorflow", "keras", "tf_keras")):
            note_use(run, full, node)
            found = flavor(full)
            if found is not None:
                run.flavors.add(found)
        return Api(full)
    if isinstance(owner, Model):
        if name in owner.attributes:
            return owner.attributes[name]
        if name == "layers":
            return Layers(owner)
        if name == "output" and owner.certain:
            return Tensor(owner)
        if owner.of is not None and (method := owner.of.method(name)) is not None:
            return Function(method, owner.of.scope, owner)
        return Method(owner, name)
    if isinstance(owner, Instance):
        if name in owner.attributes:
            return owner.attributes[name]
        method = owner.of.method(name)
        return Function(method, owner.of.scope, owner) if method is not None else UNKNOWN
    if isinstance(owner, Layers):
        return Tensor(UNKNOWN) if name == "output" else Method(owner, name)
    if isinstance(owner, Class):
        method = owner.method(name)
        return Function(method, owner.scope) if method is not None else UNKNOWN
    if isinstance(owner, Mapping) and name in owner.items:
        return owner.items[name]
    return Method(owner, name)


def _call(run: Run, node: ast.Call) -> Value:
    discarded, run.discarded = run.discarded is node, None
    name = run.assigned[1] if run.assigned is not None and run.assigned[0] is node else None
    run.assigned = None
    callee = evaluate(run, node.func)
    arguments = calls.arguments_of(run, node)
    arguments.discarded, arguments.name = discarded, name
    return calls.call(run, node, callee, arguments)


def _sequence(run: Run, node: ast.List | ast.Tuple | ast.Set) -> Value:
    items: list[Value] = []
    complete = True
    for element in node.elts:
        if isinstance(element, ast.Starred):
            value = evaluate(run, element.value)
            if isinstance(value, Sequence):
                items += value.items
                complete = complete and value.complete
            else:
                items.append(UNKNOWN)
                complete = False
        else:
            items.append(evaluate(run, element))
    return Sequence(items, complete)


def _mapping(run: Run, node: ast.Dict) -> Value:
    items: dict[object, Value] = {}
    complete = True
    for key, element in zip(node.keys, node.values, strict=True):
        value = evaluate(run, element)
        name = constant(evaluate(run, key)) if key is not None else None
        if isinstance(name, (str, int)):
            items[name] = value
        else:
            complete = False
    return Mapping(items, complete)


def _subscript(run: Run, node: ast.Subscript) -> Value:
    owner = evaluate(run, node.value)
    key = evaluate(run, node.slice)
    if isinstance(owner, Layers):
        return owner
    index = constant(key)
    if isinstance(owner, Sequence) and owner.complete and isinstance(index, int) and not isinstance(index, bool):
        return owner.items[index] if -len(owner.items) <= index < len(owner.items) else UNKNOWN
    if isinstance(owner, Mapping) and owner.complete and isinstance(index, (str, int)):
        return owner.items.get(index, UNKNOWN)
    if isinstance(owner, Model) and not isinstance(index, int):
        return UNKNOWN
    return UNKNOWN


def _binary(run: Run, node: ast.BinOp) -> Value:
    one, other = evaluate(run, node.left), evaluate(run, node.right)
    if isinstance(node.op, ast.Add) and isinstance(one, Sequence) and isinstance(other, Sequence):
        return Sequence(one.items + other.items, one.complete and other.complete)
    tensors = tuple(value for value in (one, other) if isinstance(value, Tensor))
    if tensors:
        return Tensor(OPERATION, tensors)
    a, b = constant(one), constant(other)
    if isinstance(node.op, ast.Add) and isinstance(a, str) and isinstance(b, str) and len(a) + len(b) < 1000:
        return Const(a + b)
    return UNKNOWN


def _unary(run: Run, node: ast.UnaryOp) -> Value:
    value = constant(evaluate(run, node.operand))
    if isinstance(node.op, ast.USub) and isinstance(value, (int, float)):
        return Const(-value)
    if isinstance(node.op, ast.Not) and isinstance(value, bool):
        return Const(not value)
    return UNKNOWN


def _choice(run: Run, node: ast.IfExp) -> Value:
    evaluate(run, node.test)
    return join(evaluate(run, node.body), evaluate(run, node.orelse))


def _either(run: Run, node: ast.BoolOp) -> Value:
    for value in node.values:
        evaluate(run, value)
    return UNKNOWN


def _lambda(run: Run, node: ast.Lambda) -> Value:
    value = Function(node, run.frame.scope)
    run.functions.append(value)
    return value


def _comprehension(run: Run, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> Value:
    frame = run.frame
    outer = frame.scope
    frame.scope = Scope(outer)
    for part in node.generators:
        over = evaluate(run, part.iter)
        if isinstance(part.target, ast.Name):
            frame.scope.names[part.target.id] = item_of(over)
        else:
            for name in ast.walk(part.target):
                if isinstance(name, ast.Name):
                    frame.scope.names[name.id] = UNKNOWN
        for test in part.ifs:
            evaluate(run, test)
    made = (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,)
    for element in made:
        value = evaluate(run, element)
        if isinstance(value, Model):
            value.kept = True
    frame.scope = outer
    return UNKNOWN


def _await(run: Run, node: ast.Await | ast.Starred | ast.NamedExpr) -> Value:
    value = evaluate(run, node.value)
    if isinstance(node, ast.NamedExpr):
        run.frame.scope.names[node.target.id] = value
    return value


def item_of(over: Value) -> Value:
    """What a loop's name stands for: one of the layers of a model, the only kind of item that matters here."""
    if isinstance(over, Layers):
        return over
    if isinstance(over, Sequence) and len(over.items) == 1 and over.complete:
        return over.items[0]
    return UNKNOWN


def is_main(test: ast.expr) -> bool:
    """Whether this is ``__name__ == "__main__"``."""
    return (
        isinstance(test, ast.Compare)
        and isinstance(test.left, ast.Name)
        and test.left.id == "__name__"
        and isinstance(test.ops[0], ast.Eq)
    )


def asks_for_version(test: ast.expr) -> bool:
    """Whether a test looks at a version, or at whether something exists: what is behind it was thought of."""
    for node in ast.walk(test):
        name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
        if "version" in name.lower() or name in ("hasattr", "TF2", "IS_TF2", "PY3", "is_tf2"):
            return True
    return False


def set_environment(run: Run, key: Value, value: Value, node: ast.AST) -> None:
    """A variable of the environment is set by the script itself."""
    name = constant(key)
    if isinstance(name, str):
        text = constant(value)
        run.environment[name] = str(text) if text is not None else None
        if name in ("TF_DETERMINISTIC_OPS", "TF_CUDNN_DETERMINISTIC") and str(text) not in ("0", "false"):
            run.flag("determinism", node, call=name)


_EVALUATE: dict[type, Callable[..., Value]] = {
    ast.Attribute: _attribute,
    ast.Call: _call,
    ast.List: _sequence,
    ast.Tuple: _sequence,
    ast.Set: _sequence,
    ast.Dict: _mapping,
    ast.Subscript: _subscript,
    ast.BinOp: _binary,
    ast.UnaryOp: _unary,
    ast.IfExp: _choice,
    ast.BoolOp: _either,
    ast.Lambda: _lambda,
    ast.ListComp: _comprehension,
    ast.SetComp: _comprehension,
    ast.GeneratorExp: _comprehension,
    ast.DictComp: _comprehension,
    ast.Await: _await,
    ast.Starred: _await,
    ast.NamedExpr: _await,
}
