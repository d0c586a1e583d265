"""Calls: of functions and classes of the script, which are followed, and of everything else, which is handed on."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field

from doctor.project.scripts import library, loops, methods
from doctor.project.scripts.names import kind
from doctor.project.scripts.state import DEEPEST_CALL, Frame, Run, Scope
from doctor.project.scripts.values import (
    UNKNOWN,
    Api,
    Class,
    Function,
    Instance,
    Layer,
    Mapping,
    Method,
    Model,
    Sequence,
    Tensor,
    Thing,
    Value,
    join,
)

# What a star import of a section of Keras brings, as far as it matters here.
STAR_NAMES = {
    "models": frozenset({"Sequential", "Model", "load_model", "clone_model", "model_from_json"}),
    "optimizers": frozenset({"Adam", "SGD", "RMSprop", "Adagrad", "Adadelta", "Adamax", "Nadam"}),
    "callbacks": frozenset({"EarlyStopping", "ModelCheckpoint", "CSVLogger", "TensorBoard", "ReduceLROnPlateau"}),
    "losses": frozenset({"BinaryCrossentropy", "CategoricalCrossentropy", "SparseCategoricalCrossentropy"}),
    "utils": frozenset({"to_categorical", "set_random_seed", "plot_model"}),
}
_MOST_TIMES = 3
_MODEL_BASES = frozenset({"keras.Model", "keras.Sequential"})


@dataclass
class Arguments:
    """Arguments of a call; ``complete`` is False where ``*`` or ``**`` hide some.

    ``discarded``: nobody takes the result; ``name``: the only name that takes it.
    """

    positional: list[Value] = field(default_factory=list)
    named: dict[str, Value] = field(default_factory=dict)
    complete: bool = True
    discarded: bool = False
    name: str | None = None

    def get(self, name: str, index: int | None = None) -> Value | None:
        """An argument by its name, or its place; None where it is not given (or hidden)."""
        if name in self.named:
            return self.named[name]
        return self.positional[index] if index is not None and index < len(self.positional) else None

    def says_training(self) -> bool:
        """Whether a call of a model may say that it trains: by that name, by one like it, or by its place."""
        return not self.complete or len(self.positional) != 1 or any("train" in name for name in self.named)

    def all(self) -> list[Value]:
        """All that can be seen."""
        return [*self.positional, *self.named.values()]


def arguments_of(run: Run, node: ast.Call) -> Arguments:
    """The arguments of a call, evaluated."""
    found = Arguments()
    for argument in node.args:
        if isinstance(argument, ast.Starred):
            value = run.evaluate(run, argument.value)
            if isinstance(value, Sequence) and value.complete:
                found.positional += value.items
            else:
                found.complete = False
        else:
            found.positional.append(run.evaluate(run, argument))
    for keyword in node.keywords:
        value = run.evaluate(run, keyword.value)
        if keyword.arg is not None:
            found.named[keyword.arg] = value
        elif isinstance(value, Mapping):
            found.named.update({k: v for k, v in value.items.items() if isinstance(k, str)})
            found.complete = found.complete and value.complete
        else:
            found.complete = False
    return found


def call(run: Run, node: ast.Call, callee: Value, arguments: Arguments) -> Value:
    """What a call gives."""
    if isinstance(callee, Function):
        return execute(run, callee, arguments)
    if isinstance(callee, Class):
        return instantiate(run, node, callee, arguments)
    if isinstance(callee, Api):
        _hand_over(run, arguments)
        return library.call(run, node, callee.name, arguments)
    if isinstance(callee, Method):
        _hand_over(run, arguments)
        return methods.call(run, node, callee, arguments)
    if isinstance(callee, Layer):
        return Tensor(callee, _tensors(run, arguments))
    if isinstance(callee, Model):
        return call_model(run, node, callee, arguments)
    if isinstance(callee, Thing):
        return library.call_thing(run, node, callee, arguments)
    if run.tapes and not arguments.says_training():
        run.tapes[-1].append((node, UNKNOWN))
    _hand_over(run, arguments)
    tensors = _tensors(run, arguments)
    return Tensor(UNKNOWN, tensors) if tensors else UNKNOWN


def call_model(run: Run, node: ast.Call, model: Model, arguments: Arguments) -> Value:
    """A model applied to something; under a tape it is noted with how it was called."""
    model.used_in += any(isinstance(value, Tensor) for value in arguments.positional)
    if run.tapes and not arguments.says_training():
        run.tapes[-1].append((node, model))
    return Tensor(model, _tensors(run, arguments), model)


def _tensors(run: Run, arguments: Arguments) -> tuple[Tensor, ...]:
    found: list[Tensor] = []
    for value in arguments.all():
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, Sequence):
            found += [item for item in value.items if isinstance(item, Tensor)]
    return tuple(found)


def _hand_over(run: Run, arguments: Arguments) -> None:
    """Functions of the script that are given to somebody else will be called by them; lists may grow there."""
    for value in arguments.all():
        if isinstance(value, Function) and id(value.node) not in run.executed:
            execute(run, value, None)


def execute(run: Run, function: Function, arguments: Arguments | None) -> Value:
    """Follow a function of the script; ``arguments`` is None where nobody knows with what it is called."""
    node = function.node
    times = run.executed.get(id(node), 0)
    if times >= _MOST_TIMES or len(run.frames) > DEEPEST_CALL:
        return run.returned.get(id(node), UNKNOWN)
    run.executed[id(node)] = times + 1
    scope = Scope(function.scope)
    run.scopes.append(scope)
    _bind_parameters(run, node.args, scope, function.self_value, arguments)
    if isinstance(node, ast.Lambda):
        run.frames.append(Frame(scope))
        try:
            return run.evaluate(run, node.body)
        finally:
            run.frames.pop()
    frame = Frame(scope)
    run.frames.append(frame)
    branch, run.branch = run.branch, run.branch
    try:
        run.run_body(run, node.body)
    finally:
        run.frames.pop()
        run.branch = branch
    values = frame.returned
    value = values[0] if values else UNKNOWN
    for other in values[1:]:
        value = join(value, other)
    run.returned[id(node)] = value
    return value


def _bind_parameters(
    run: Run, parameters: ast.arguments, scope: Scope, self_value: Value | None, arguments: Arguments | None
) -> None:
    names = [a.arg for a in (*parameters.posonlyargs, *parameters.args)]
    defaults = dict(zip(reversed(names), reversed(parameters.defaults), strict=False))
    defaults.update(
        {a.arg: d for a, d in zip(parameters.kwonlyargs, parameters.kw_defaults, strict=True) if d is not None}
    )
    every = names + [a.arg for a in parameters.kwonlyargs]
    for name in every:
        default = defaults.get(name)
        known = arguments is not None and arguments.complete and isinstance(default, ast.Constant)
        scope.names[name] = run.evaluate(run, default) if known and default is not None else UNKNOWN
    if arguments is not None:
        given = [self_value, *arguments.positional] if self_value is not None else arguments.positional
        for name, value in zip(names, given, strict=False):
            scope.names[name] = value if value is not None else UNKNOWN
        for name, value in arguments.named.items():
            if name in every:
                scope.names[name] = value
    elif self_value is not None and names:
        scope.names[names[0]] = self_value
    for extra in (parameters.vararg, parameters.kwarg):
        if extra is not None:
            scope.names[extra.arg] = UNKNOWN


def instantiate(run: Run, node: ast.Call, of: Class, arguments: Arguments | None) -> Value:
    """An object of a class of the script: a model, a layer, a callback, or something else."""
    bases = {kind(base) for base in of.derives()}
    arguments = arguments or Arguments(complete=False)
    if bases & _MODEL_BASES:
        return _model_of(run, node, of, arguments)
    if "keras.layers.Layer" in bases or any(base.startswith("keras.layers.") for base in bases):
        value: Value = Layer("custom", "?", training=None, node=node)
        _run_init(run, of, Instance(of), arguments)
        return value
    if any(base.startswith("keras.callbacks.") for base in bases):
        _run_init(run, of, Instance(of), arguments)
        return Thing("callback of the script", dict(arguments.named), node)
    if any(base.startswith("keras.losses.") for base in bases):
        return Thing("loss of the script", {}, node)
    instance = Instance(of)
    _run_init(run, of, instance, arguments)
    return instance


def _run_init(run: Run, of: Class, instance: Value, arguments: Arguments) -> None:
    method = of.method("__init__")
    if method is not None:
        execute(run, Function(method, of.scope, instance), arguments)


def _model_of(run: Run, node: ast.Call, of: Class, arguments: Arguments) -> Model:
    model = Model("subclass", of=of, certain=True)
    if "__init__" not in of.methods:
        model.attributes.update(arguments.named)
    _run_init(run, of, model, arguments)
    loops.built(run, model, node, random=True)
    forward = of.method("call")
    if forward is not None and id(forward) not in run.executed:
        open_tapes, run.tapes = run.tapes, []
        result = execute(run, Function(forward, of.scope, model), Arguments([library.layer_input()], complete=False))
        run.tapes = open_tapes
        if isinstance(result, Tensor):
            model.outputs = [result]
    elif forward is not None:
        result = run.returned.get(id(forward), UNKNOWN)
        if isinstance(result, Tensor):
            model.outputs = [result]
    own_step = of.method("train_step")
    if own_step is not None and id(own_step) not in run.executed:
        execute(run, Function(own_step, of.scope, model), None)
    return model
