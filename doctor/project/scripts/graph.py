"""What a model is made of: its last layer's activation, and whether a layer of it behaves differently in training."""

from __future__ import annotations

from dataclasses import dataclass

from doctor.project.scripts.names import ACTIVATION_LAYERS, HEAD_LAYERS, PASSING_LAYERS
from doctor.project.scripts.values import Instance, Layer, Mapping, Model, Sequence, Tensor, Value

_MOST_NODES = 2000


@dataclass(frozen=True)
class Head:
    """The end of a model: the activation's name, and the number of units where it is known."""

    activation: str
    units: int | None
    layer: Layer
    name: str | None = None


def heads(value: Value) -> list[Head | None]:
    """The ends of a model, of a tensor or a layer; None for each that cannot be told."""
    if isinstance(value, Model):
        if not value.certain:
            return [None]
        if value.kind == "keras.Sequential":
            return [_of_stack(value.layers)]
        if not value.outputs:
            return [None]
        return [_head(output) for output in value.outputs]
    return [_head(value)]


def _head(value: Value, depth: int = 0) -> Head | None:
    if depth > 50:
        return None
    if isinstance(value, Tensor):
        maker = value.maker
        if isinstance(maker, Model):
            ends = heads(maker)
            return ends[0] if len(ends) == 1 else None
        before = value.inputs[0] if len(value.inputs) == 1 else None
        return _of_layer(maker, _head(before, depth + 1) if before is not None else None)
    if isinstance(value, Model):
        ends = heads(value)
        return ends[0] if len(ends) == 1 else None
    return None


def _of_stack(layers: list[Value]) -> Head | None:
    head: Head | None = None
    for layer in layers[-6:]:
        if isinstance(layer, Model):
            ends = heads(layer)
            head = ends[0] if len(ends) == 1 else None
        else:
            head = _of_layer(layer, head)
    return head


def _of_layer(layer: Value, before: Head | None) -> Head | None:
    if not isinstance(layer, Layer) or layer.activation == "?":
        return None
    if layer.kind in HEAD_LAYERS:
        return Head(layer.activation, layer.units, layer, layer.name)
    if layer.kind == "Activation" or layer.kind in ACTIVATION_LAYERS:
        if layer.activation == "linear":
            return before
        if before is not None and before.activation not in ("linear", layer.activation):
            return None  # one activation upon another
        return Head(layer.activation, before.units if before is not None else None, layer, layer.name)
    if layer.kind in PASSING_LAYERS and before is not None:
        return Head(before.activation, before.units if layer.kind != "Flatten" else None, before.layer, before.name)
    return None


def contains(model: Model, part: Value) -> bool:
    """Whether a layer or model is a part of a model."""
    return any(value is part for value in _parts(model))


def differs_in_training(value: Value) -> bool | None:
    """Whether a model behaves differently in training; None where not all of it is known."""
    if not isinstance(value, Model):
        return None
    answer: bool | None = False
    for part in _parts(value):
        said: bool | None
        if isinstance(part, Layer):
            said = part.training
        elif isinstance(part, Model):
            opaque = not part.layers and not part.outputs and not part.attributes
            said = None if not part.certain or opaque else False
            if part.kind == "application":
                said = part.attributes_training
        else:
            said = None if type(part) is Value else False
        if said:
            return True
        if said is None:
            answer = None
    return answer


def _parts(model: Model) -> list[Value]:
    """Everything in a model, each once."""
    found: list[Value] = []
    seen: set[int] = set()
    pending: list[Value] = [model]
    while pending and len(found) < _MOST_NODES:
        value = pending.pop()
        if id(value) in seen and type(value) is not Value:
            continue
        seen.add(id(value))
        if isinstance(value, Tensor):
            pending.append(value.maker)
            pending += value.inputs
            continue
        if isinstance(value, (Sequence, Mapping)):
            pending += value.items if isinstance(value, Sequence) else list(value.items.values())
            if value.complete:
                continue
        if isinstance(value, Model):
            pending += value.layers
            pending += value.outputs
            pending += [a for a in value.attributes.values() if type(a) is not Value]
        elif isinstance(value, Instance):
            pending += list(value.attributes.values())
        found.append(value)
    return found
