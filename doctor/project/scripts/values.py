"""What an expression of a script stands for, as far as it can be told without running it."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import Any


class Value:
    """Something nobody can tell; the base of all that can be told."""

    __slots__ = ()


UNKNOWN = Value()


@dataclass(eq=False, slots=True)
class Const(Value):
    """A number, text, bool or None that stands in the script."""

    value: Any


OPERATION = Const("operation")  # what makes a tensor and is no layer: an input, a function of TensorFlow


@dataclass(eq=False, slots=True)
class Api(Value):
    """Something imported, by its dotted name as written: ``tensorflow.keras.layers.Dense``."""

    name: str


@dataclass(eq=False, slots=True)
class Sequence(Value):
    """A list or tuple whose items are known; ``complete`` is False where others were added out of sight."""

    items: list[Value]
    complete: bool = True


@dataclass(eq=False, slots=True)
class Mapping(Value):
    """A dictionary with constant keys."""

    items: dict[Any, Value]
    complete: bool = True


@dataclass(eq=False, slots=True)
class Function(Value):
    """A function of the script; ``self_value`` of a bound method."""

    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
    scope: Any
    self_value: Value | None = None


@dataclass(eq=False, slots=True)
class Class(Value):
    """A class of the script, with the canonical names of the imported classes that it derives from."""

    node: ast.ClassDef
    scope: Any
    bases: tuple[str, ...]
    methods: dict[str, ast.FunctionDef | ast.AsyncFunctionDef]
    parents: tuple[Class, ...] = ()

    def method(self, name: str) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
        """A method of the class or of a class of the script that it derives from."""
        if name in self.methods:
            return self.methods[name]
        return next((found for parent in self.parents if (found := parent.method(name)) is not None), None)

    def derives(self) -> tuple[str, ...]:
        """The canonical names of all imported bases."""
        return self.bases + tuple(name for parent in self.parents for name in parent.derives())


@dataclass(eq=False, slots=True)
class Instance(Value):
    """An object of a class of the script that is no model and no layer."""

    of: Class
    attributes: dict[str, Value] = field(default_factory=dict)


@dataclass(eq=False, slots=True)
class Layer(Value):
    """A Keras layer. ``activation``: its name, ``"?"`` where it cannot be told; ``units`` where they are a number.

    ``training``: whether it behaves differently in training (dropout, batch normalisation): None where not known.
    """

    kind: str
    activation: str = "linear"
    units: int | None = None
    training: bool | None = False
    name: str | None = None
    node: ast.AST | None = None


@dataclass(eq=False, slots=True)
class Tensor(Value):
    """What a layer or model gave: ``maker`` and the tensors that went in."""

    maker: Value
    inputs: tuple[Tensor, ...] = ()
    in_model: Model | None = None


@dataclass(eq=False, slots=True)
class Model(Value):
    """A Keras model. ``certain`` is False where its layers cannot be told with certainty.

    ``change``: where it was changed since ``compile`` (``change_own``: the model as a whole); ``used_in``: how often it
    became a part of another; ``branch``: how deep in branches it was built; ``kept``: put away in a list, to be used
    later; ``order``: when it was built, 0 where its weights are not drawn; ``attributes_training``: of a ready-made
    one, whether it behaves differently in training.
    """

    kind: str
    layers: list[Value] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)
    certain: bool = True
    of: Class | None = None
    attributes: dict[str, Value] = field(default_factory=dict)
    compiled: bool = False
    change: ast.AST | None = None
    change_what: str = ""
    change_own: bool = False
    used_in: int = 0
    branch: int = 0
    kept: bool = False
    order: int = 0
    attributes_training: bool | None = None
    loss: Value = UNKNOWN


@dataclass(eq=False, slots=True)
class Layers(Value):
    """``model.layers``, a slice of it, or one layer out of it."""

    model: Model


@dataclass(eq=False, slots=True)
class Thing(Value):
    """Another object of the library: ``kind`` is its canonical class, ``options`` what it was made with."""

    kind: str
    options: dict[str, Value]
    node: ast.AST | None = None
    complete: bool = True


@dataclass(eq=False, slots=True)
class Labels(Value):
    """Labels whose coding is known: ``onehot`` or ``integers``."""

    coding: str


@dataclass(eq=False, slots=True)
class Method(Value):
    """A method of a known object, not yet called; ``name`` as written."""

    owner: Value
    name: str


def constant(value: Value | None) -> Any:
    """The Python value of a constant; None where it is none."""
    return value.value if isinstance(value, Const) else None


def join(one: Value, other: Value) -> Value:
    """What a name stands for after two branches."""
    if one is other:
        return one
    if isinstance(one, Const) and isinstance(other, Const) and one.value == other.value:
        return one
    if isinstance(one, Api) and isinstance(other, Api) and one.name == other.name:
        return one
    return UNKNOWN
