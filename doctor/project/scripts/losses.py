"""Losses and output activations that do not belong together; labels whose coding is another than the loss's."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from doctor.project.scripts.graph import Head, heads
from doctor.project.scripts.names import canonical, kind, snake
from doctor.project.scripts.state import Run
from doctor.project.scripts.values import (
    UNKNOWN,
    Api,
    Const,
    Labels,
    Layer,
    Mapping,
    Model,
    Sequence,
    Tensor,
    Thing,
    Value,
    constant,
)

if TYPE_CHECKING:
    from doctor.project.scripts.calls import Arguments

CATEGORICAL = frozenset({"categorical_crossentropy", "sparse_categorical_crossentropy"})
_CROSSENTROPIES = CATEGORICAL | {"binary_crossentropy"}
# Where from_logits stands among the positional arguments: of the classes, and of the functions.
_PLACE_OF_LOGITS = {True: 0, False: 2}
# Activations that give no probabilities.
_NO_PROBABILITIES = frozenset(
    {"linear", "relu", "tanh", "elu", "selu", "gelu", "leaky_relu", "swish", "silu", "softplus"}
)
_ACTIVATIONS = _NO_PROBABILITIES | {"sigmoid", "softmax"}


def activation_of(value: Value | None) -> str:
    """The name of an activation as it is given to a layer; ``?`` where it cannot be told."""
    if isinstance(value, Const):
        if value.value is None:
            return "linear"
        return str(value.value).lower() if str(value.value).lower() in _ACTIVATIONS else "?"
    if isinstance(value, Api):
        return activation_of_name(canonical(value.name)) or "?"
    if isinstance(value, Layer):
        return value.activation
    return "?"


def activation_of_name(name: str) -> str | None:
    """``softmax`` of ``keras.activations.softmax`` or ``tensorflow.nn.softmax``; None where it is no activation."""
    section, _, last = name.rpartition(".")
    if section in ("keras.activations", "tensorflow.nn", "keras.ops", "tensorflow", "tensorflow.math", "keras.backend"):
        return last if last in _ACTIVATIONS else None
    return None


def activation_layer(activation: str, node: ast.AST) -> Layer:
    """An activation applied as a function, as if it were a layer."""
    return Layer("Activation", activation, node=node)


def loss_from(run: Run, node: ast.Call, name: str, arguments: Arguments) -> Value:
    """A loss object, or the value of a loss function."""
    if name[:1].isupper():
        return Thing(
            "keras.losses." + name, dict(arguments.named), node, arguments.complete and not arguments.positional
        )
    thing = Thing("keras.losses." + name, {k: v for k, v in arguments.named.items() if k == "from_logits"}, node)
    check_call(run, node, thing, arguments)
    return UNKNOWN


class Loss:
    """A loss by its name in Keras's functions, and whether it takes logits (None: not known)."""

    __slots__ = ("logits", "name")

    def __init__(self, name: str, logits: bool | None) -> None:
        self.name = name
        self.logits = logits


def loss_of(value: Value | None) -> Loss | None:
    """What a loss argument stands for; None where it cannot be told."""
    if isinstance(value, Const) and isinstance(value.value, str):
        return Loss(snake(value.value), False)
    if isinstance(value, Api):
        full = kind(value.name)
        section, _, last = full.rpartition(".")
        return Loss(snake(last), False) if section == "keras.losses" else None
    if isinstance(value, Thing) and value.kind.startswith("keras.losses."):
        given = value.options.get("from_logits")
        logits = constant(given) if given is not None else (False if value.complete else None)
        name = snake(value.kind.rpartition(".")[2])
        return Loss(name, logits if isinstance(logits, bool) else None)
    return None


def check_compile(run: Run, model: Model, value: Value | None, node: ast.AST) -> None:
    """Hold the losses that a model is compiled with against its outputs."""
    ends = heads(model)
    values: list[Value | None]
    if isinstance(value, Sequence):
        values = list(value.items) if value.complete else []
        if len(values) != len(ends):
            return
    elif isinstance(value, Mapping):
        named = {end.name: end for end in ends if end is not None and end.name}
        for name, given in value.items.items():
            if name in named:
                _check(run, named[name], loss_of(given), node)
        return
    else:
        values = [value] * len(ends)
    for end, one in zip(ends, values, strict=True):
        if end is not None:
            _check(run, end, loss_of(one), node)


def check_call(run: Run, node: ast.Call, thing: Thing, arguments: Arguments) -> None:
    """A loss is called with labels and predictions."""
    predicted = arguments.get("y_pred", 1)
    if isinstance(predicted, Tensor):
        for end in heads(predicted):
            if end is not None:
                _check(run, end, loss_of(thing), node)


def check_logits_function(run: Run, node: ast.Call, name: str, arguments: Arguments) -> None:
    """``tf.nn.…_with_logits`` is called."""
    predicted = arguments.get("logits")
    loss = {
        "softmax_cross_entropy_with_logits": "categorical_crossentropy",
        "sparse_softmax_cross_entropy_with_logits": "sparse_categorical_crossentropy",
        "sigmoid_cross_entropy_with_logits": "binary_crossentropy",
    }.get(name)
    if loss is not None and isinstance(predicted, Tensor):
        for end in heads(predicted):
            if end is not None:
                _check(run, end, Loss(loss, True), node)


def _check(run: Run, head: Head, loss: Loss | None, node: ast.AST) -> None:
    why = _mismatch(head, loss)
    if why is not None:
        layer = head.layer.node
        more = {"output_line": run.place(layer)["line"]} if layer is not None else {}
        run.note(
            "loss-activation",
            node,
            why=why,
            activation=head.activation,
            loss=loss.name if loss is not None else None,
            units=head.units,
            from_logits=loss.logits if loss is not None else None,
            **more,
        )


def _mismatch(head: Head, loss: Loss | None) -> str | None:
    """Why an output and a loss do not belong together; None where they do, or nobody knows."""
    if head.activation == "softmax" and head.units == 1:
        return "softmax-of-one"
    if loss is None or loss.logits is None or loss.name not in _CROSSENTROPIES:
        return None
    if loss.logits:
        return "logits-of-probabilities" if head.activation in ("softmax", "sigmoid") else None
    if head.activation in _NO_PROBABILITIES:
        return "no-probabilities"
    if loss.name in CATEGORICAL and head.activation == "sigmoid":
        return "sigmoid-with-categorical"
    if loss.name == "binary_crossentropy" and head.activation == "softmax":
        return "softmax-with-binary"
    return None


def check_labels(run: Run, model: Model, labels: Value | None, node: ast.AST) -> None:
    """Hold the labels that a model is fitted to against its loss."""
    loss = loss_of(model.loss)
    if not isinstance(labels, Labels) or loss is None:
        return
    wrong = (loss.name == "sparse_categorical_crossentropy" and labels.coding == "onehot") or (
        loss.name == "categorical_crossentropy" and labels.coding == "integers"
    )
    if wrong:
        run.note("loss-labels", node, loss=loss.name, labels=labels.coding)
