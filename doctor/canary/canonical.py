"""Configurations of layers, optimizers and losses in one form, whatever generation of Keras wrote them.

Keras 2 writes 'auto', "0.001" and 'float32' where Keras 3 writes 'sum_over_batch_size', 0.0010000000474974513 and a
policy object; each generation also has keys that the other lacks. Only what says the same in both is made equal.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

Plain = str | float | bool | None
Canonical = dict[str, Plain]

# Names and bookkeeping: no effect on any number.
_IRRELEVANT = frozenset(
    {"name", "trainable", "fn", "is_legacy_optimizer", "batch_input_shape", "build_config", "units"}
)
# What a key that one generation does not write stands for there.
_NEUTRAL: dict[str, frozenset[Plain]] = {
    "decay": frozenset({0.0}),
    "weight_decay": frozenset({None, 0.0}),  # and False, which equals 0.0
    "ema_momentum": frozenset({0.99}),
    "use_ema": frozenset({False}),
    "jit_compile": frozenset({False, True, "auto"}),
    "ignore_class": frozenset({None}),
    "axis": frozenset({-1.0}),
}
_NAMED = {"auto": "sum_over_batch_size"}
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_CLASS_KEYS = ("class_name", "registered_name")
_FLOAT_DIGITS = 7  # of a float32


def canonical(config: Any) -> Canonical:
    """One configuration as flat keys and plain values. Idempotent; anything that is no mapping gives an empty one."""
    if not isinstance(config, Mapping):
        return {}
    return {str(key): _value(value) for key, value in sorted(config.items()) if key not in _IRRELEVANT}


def canonical_section(config: Any) -> dict[str, Any]:
    """The `config` of a record: each component in canonical form, the rest as it is."""
    if not isinstance(config, Mapping):
        return {}
    components = ("layer", "optimizer", "loss")
    return {key: canonical(value) if key in components else value for key, value in config.items()}


def changes(a: Any, b: Any) -> dict[str, tuple[Plain, Plain]]:
    """The keys in which two configurations of one component say something different."""
    first, second = canonical(a), canonical(b)
    if not first or not second:
        return {}
    found = {}
    for key in sorted(set(first) | set(second)):
        neutral = _NEUTRAL.get(key, frozenset({None}))
        values = first.get(key), second.get(key)
        written = key in first, key in second
        same = values[0] == values[1] and type(values[0]) is type(values[1])
        if same or (all(value in neutral for value, told in zip(values, written, strict=True) if told)):
            continue
        found[key] = values
    return found


def snake(name: str) -> str:
    """`GlorotUniform` as `glorot_uniform`."""
    return _CAMEL.sub("_", name).lower()


def _value(value: Any) -> Plain:
    if isinstance(value, Mapping):
        return _object(value)
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float):
        return _number(float(value))
    if isinstance(value, str):
        try:
            return _number(float(value))
        except ValueError:
            return _NAMED.get(value, value)
    return str(value)


def _number(value: float) -> float:
    """A number as far as float32 can tell it: 0.0010000000474974513 is 0.001."""
    return float(f"{value:.{_FLOAT_DIGITS}g}")


def _object(value: Mapping[str, Any]) -> Plain:
    """An initializer, regularizer, policy or schedule: `glorot_uniform`, `l2(l2=0.01)`, `mixed_bfloat16`."""
    inner = value.get("config")
    name = next((str(value[key]) for key in _CLASS_KEYS if value.get(key)), "object")
    if not isinstance(inner, Mapping):
        return snake(name)
    if name.endswith("Policy"):
        return str(inner.get("name", snake(name)))
    settings = [
        f"{key}={_value(item)}"
        for key, item in sorted(inner.items())
        if item is not None and key not in _IRRELEVANT and key not in ("seed", "input_axes", "output_axes")
    ]
    return f"{snake(name)}({', '.join(settings)})" if settings else snake(name)
