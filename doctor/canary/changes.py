"""What differs between the environments of two records, and which of it may have caused a difference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from doctor.canary.record import Environment

MOST_SUSPECTS = 8

# Which changes can have to do with a cause, the likelier first.
_DEFAULTS = ("replaced", "keras-json", "source", "package", "environment", "setting")
_NUMBERS = ("package", "environment", "setting", "device", "cpu", "libc", "python")
_RELEVANT = {
    "precision": ("replaced", "keras-json", "device", "environment", "setting", "source", "package"),
    "hardware": ("device", "cpu"),
    "library": (*_NUMBERS[:-1],),
    "random-stream": ("replaced", "source", *_NUMBERS),
}
_PACKAGES_FIRST = ("keras", "tf-keras", "tensorflow", "tensorflow-cpu", "tensorflow-gpu", "numpy", "ml-dtypes")
_KERAS_PACKAGES = ("keras", "tf-keras", "keras-nightly")
_TENSORFLOW_NAMES = ("tensorflow", "tensorflow-cpu", "tensorflow-gpu", "tensorflow-intel", "tf-nightly")
_NUMERIC_PACKAGES = (*_KERAS_PACKAGES, *_TENSORFLOW_NAMES, "numpy", "ml-dtypes", "intel-extension-for-tensorflow")
_NO_SUSPECTS = ("h5py", "protobuf", "absl-py", "opt-einsum", "optree")


class Change(msgspec.Struct, frozen=True):
    """One thing that differs: its kind, its name, and what each side has (None: not there)."""

    what: str
    name: str
    a: Any = None
    b: Any = None

    def __str__(self) -> str:
        """`keras 2.15.0 → 3.15.1`, `TF_ENABLE_ONEDNN_OPTS unset → 0`."""
        if self.what == "replaced":
            side = "b" if self.a is None else "a"
            return f"{self.name}, replaced at run time in {side}"
        if self.what == "source":
            return f"the installed file of {self.name} differs although the versions are the same"
        label = {"keras-json": f"keras.json {self.name}"}.get(self.what, self.name)
        return f"{label} {_shown(self.a, self.what)} → {_shown(self.b, self.what)}"


def environment_changes(a: Environment, b: Environment) -> list[Change]:
    """Everything that differs between two environments, packages first."""
    found = _mapping("package", a.packages, b.packages)
    found.sort(key=lambda change: (_rank(change.name), change.name))
    found += _values("python", "python", a.python, b.python)
    found += _values("libc", "libc", a.libc, b.libc)
    for name, first, second in (
        ("tensorflow", a.tensorflow, b.tensorflow),
        ("keras", a.keras, b.keras),
        ("numpy", a.numpy, b.numpy),
    ):
        if not any(change.name in _aliases(name) for change in found):
            found += _values("package", name, first, second)
    found += _mapping("environment", a.variables, b.variables)
    found += _mapping("keras-json", a.keras_json or {}, b.keras_json or {})
    found += _values("device", "device", a.device, b.device) + _values("device", "gpus", a.gpus or None, b.gpus or None)
    found += _cpu_changes(a, b)
    for name in ("determinism", "seeding", "tensor_float_32", "xla"):
        found += _values("setting", name, getattr(a, name), getattr(b, name))
    found += _mapping("threads", _threads(a), _threads(b))  # never a suspect: no effect was ever seen
    found += [Change("replaced", name, a=name) for name in a.replaced if name not in b.replaced]
    found += [Change("replaced", name, b=name) for name in b.replaced if name not in a.replaced]
    if same_versions(a, b):
        found += _mapping("source", a.sources, b.sources)
    found += _values("image", "image", a.image_digest, b.image_digest)
    return found


def same_versions(a: Environment, b: Environment) -> bool:
    """Whether TensorFlow, Keras and NumPy are of the same versions."""
    return (a.tensorflow, a.keras, a.numpy) == (b.tensorflow, b.keras, b.numpy)


def other_hardware(a: Environment, b: Environment) -> bool:
    """Whether the numbers were computed by another kind of processor."""
    return (a.device, a.gpus) != (b.device, b.gpus) or bool(_cpu_changes(a, b))


def suspects(what: str, changes: list[Change]) -> list[str]:
    """The changes that may be behind a cause of this kind, the likeliest first, as words."""
    kinds = _RELEVANT.get(what, _DEFAULTS)
    chosen = [
        change
        for change in changes
        if change.what in kinds and not (change.what == "package" and change.name in _NO_SUSPECTS)
    ]
    chosen.sort(key=lambda change: (kinds.index(change.what), _rank(change.name)))
    return [str(change) for change in chosen[:MOST_SUSPECTS]]


def _cpu_changes(a: Environment, b: Environment) -> list[Change]:
    found = _values("cpu", "machine", a.cpu.machine, b.cpu.machine)
    if a.cpu.flags is not None and b.cpu.flags is not None:
        only = [
            sorted(set(one) - set(other)) for one, other in ((a.cpu.flags, b.cpu.flags), (b.cpu.flags, a.cpu.flags))
        ]
        if any(only):
            found.append(Change("cpu", "CPU flags", only[0], only[1]))
    elif a.cpu.model and b.cpu.model:
        found += _values("cpu", "CPU", a.cpu.model, b.cpu.model)
    return found


def _threads(environment: Environment) -> dict[str, int]:
    return {f"{name} threads": count for name, count in environment.threads.items()}


def _values(what: str, name: str, a: Any, b: Any) -> list[Change]:
    return [Change(what, name, a, b)] if a != b else []


def _mapping(what: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> list[Change]:
    names = sorted(set(a) | set(b))
    return [Change(what, name, a.get(name), b.get(name)) for name in names if a.get(name) != b.get(name)]


def _aliases(name: str) -> tuple[str, ...]:
    return {"tensorflow": _TENSORFLOW_NAMES, "keras": _KERAS_PACKAGES}.get(name, (name,))


def _rank(name: str) -> int:
    return _PACKAGES_FIRST.index(name) if name in _PACKAGES_FIRST else len(_PACKAGES_FIRST)


def _shown(value: Any, what: str) -> str:
    if value is None:
        return {"environment": "unset", "package": "absent"}.get(what, "unset")
    if isinstance(value, list | tuple):
        return "/".join(str(item) for item in value)[:200] or "none"
    return str(value)[:200]
