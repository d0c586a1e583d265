"""Layers and models as a script makes them."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from doctor.project.scripts import loops
from doctor.project.scripts.losses import activation_of
from doctor.project.scripts.names import ACTIVATION_LAYERS, HEAD_LAYERS, training_of
from doctor.project.scripts.state import Run
from doctor.project.scripts.values import Const, Layer, Model, Sequence, Tensor, Value, constant

if TYPE_CHECKING:
    from doctor.project.scripts.calls import Arguments

# Where an activation stands among the positional arguments of those layers that people give it without its name.
_PLACE_OF_ACTIVATION = {"Dense": 1}
_WITHOUT_NORMALISATION = ("VGG16", "VGG19")


def layer_from(run: Run, node: ast.Call, name: str, arguments: Arguments) -> Value:
    """A layer of Keras."""
    training = training_of(name)
    if training:
        run.has_training_layer = True
    first = arguments.get("layer", 0)
    if name == "TimeDistributed" and isinstance(first, Layer):
        return first
    title = constant(arguments.get("name"))
    title = title if isinstance(title, str) else None
    if name in ACTIVATION_LAYERS:
        return Layer(name, ACTIVATION_LAYERS[name], training=False, name=title, node=node)
    if name == "Activation":
        return Layer(name, activation_of(arguments.get("activation", 0)), training=False, name=title, node=node)
    if name not in HEAD_LAYERS:
        dropout = any(
            key in arguments.named and constant(arguments.named[key]) not in (0, 0.0)
            for key in ("dropout", "recurrent_dropout", "dropout_rate")
        )
        return Layer(name, "?", training=training or dropout or training, name=title, node=node)
    given = arguments.get("activation", _PLACE_OF_ACTIVATION.get(name))
    activation = activation_of(given) if given is not None else "linear"
    if not arguments.complete and given is None:
        activation = "?"
    count = arguments.get("units" if name == "Dense" else "filters", 0)
    units = constant(count)
    units = units if isinstance(units, int) and not isinstance(units, bool) else None
    return Layer(name, activation, units, training, title, node)


def model_from(run: Run, node: ast.Call, what: str, arguments: Arguments) -> Value:
    """A model of Keras: a stack, a functional one, a ready-made one."""
    if what.startswith("keras.applications."):
        return _application(run, node, what, arguments)
    model = Model(what)
    if what == "keras.Sequential":
        layers = arguments.get("layers", 0)
        if isinstance(layers, Sequence):
            model.layers = list(layers.items)
            model.certain = layers.complete
            for layer in model.layers:
                part = layer.maker if isinstance(layer, Tensor) else layer
                if isinstance(part, Model):
                    part.used_in += 1
        elif (
            layers is not None and constant(layers) is None and not isinstance(layers, Const)
        ) or not arguments.complete:
            model.certain = False
    else:
        outputs = arguments.get("outputs", 1)
        if isinstance(outputs, Sequence):
            model.outputs = list(outputs.items)
        elif outputs is not None:
            model.outputs = [outputs]
        else:
            model.certain = False
    loops.built(run, model, node, random=True)
    return model


def _application(run: Run, node: ast.Call, what: str, arguments: Arguments) -> Value:
    name = what.rpartition(".")[2]
    if not name[:1].isupper():
        return Value()  # preprocess_input, decode_predictions
    model = Model("application", certain=True, attributes_training=name not in _WITHOUT_NORMALISATION)
    if model.attributes_training:
        run.has_training_layer = True
    weights = arguments.get("weights")
    drawn = weights is not None and isinstance(weights, Const) and weights.value is None
    loops.built(run, model, node, random=drawn)
    return model
