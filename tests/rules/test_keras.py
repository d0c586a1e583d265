"""KD307: Keras of another generation."""

from __future__ import annotations

from typing import Any

import pytest

from tests.rules.environments import plain, replaced, without
from tests.rules.machines import Drop, change, fix, message, outcome


def keras(tensorflow: str, version: str, **more: str) -> dict[str, Any]:
    """This Keras beside this TensorFlow."""
    snapshot = replaced(plain("2.17.1"), tensorflow=tensorflow, keras=version, **more)
    facts = {"software.tensorflow": {"version": tensorflow, "distribution": "tensorflow"}, "software.keras": {}}
    return change(snapshot, facts)


@pytest.mark.parametrize(
    ("tensorflow", "version", "expected"),
    [
        ("2.15.1", "2.15.0", "passed"),
        ("2.15.1", "2.14.0", "error"),
        ("2.15.1", "2", "passed"),
        ("2.19.1", "3", "passed"),
        ("2.16.2", "2", "error"),
        ("2.15.0", "3.0.2", "warning"),  # the maintainers say that it works
        ("2.14.1", "3.0.2", "error"),
        ("2.16.2", "3.15.1", "passed"),
        ("2.16.2", "2.15.0", "error"),
        ("2.18.1", "3.4.1", "error"),
        ("2.18.1", "3.8.0", "passed"),
        ("2.20.0", "3.9.2", "error"),
        ("2.11.0", "2.11.0", "passed"),
        ("2.4.4", "2.4.3", "passed"),
        ("2.5.3", "2.4.3", "passed"),  # it declares keras-nightly, and tf.keras is its own
        ("2.5.3", "2.8.0", "warning"),
        ("2.6.0", "2.6.0", "passed"),
        ("2.6.0", "2.7.0", "error"),  # declared as ~=2.6, and the import fails
        ("2.6.0", "2.4.3", "error"),
        ("2.4.4", "2.8.0", "warning"),
        ("2.4.4", "2.3.1", "warning"),
        ("2.3.4", "2.3.1", "passed"),
        ("2.3.4", "2.2.5", "warning"),
        ("1.15.5", "2.2.5", "passed"),
    ],
)
def test_generations(tensorflow: str, version: str, expected: str) -> None:
    """The Keras that TensorFlow declares; known to work in spite of it; a separate Keras beside a bundled one."""
    assert outcome("KD307", keras(tensorflow, version)) == expected


def test_the_fix_keeps_to_the_undeclared_bound_too() -> None:
    """2.6.0 declares keras~=2.6, by which pip would install 2.15."""
    assert "<2.7" in fix("KD307", keras("2.6.0", "2.4.3"))


@pytest.mark.parametrize(
    ("tensorflow", "version", "expected"),
    [
        ("2.18.1", "2.18.0", "passed"),
        ("2.18.1", "2.17.0", "error"),
        ("2.18.1", "2.20.1", "warning"),  # seen to train and save
        ("2.20.0", "2.20.1", "passed"),
        ("2.15.1", "2.15.1", "passed"),
        ("2.17.1", "2.15.0", "error"),
    ],
)
def test_tf_keras_belongs_to_one_minor_version(tensorflow: str, version: str, expected: str) -> None:
    """tf-keras X.Y with TensorFlow X.Y, whether it declares that or not."""
    newest = {"2.18.1": "3.8.0", "2.20.0": "3.12.0", "2.15.1": "2.15.0", "2.17.1": "3.5.0"}[tensorflow]
    assert outcome("KD307", keras(tensorflow, newest, tf_keras=version)) == expected


def test_the_legacy_switch_needs_tf_keras() -> None:
    """TF_USE_LEGACY_KERAS without tf-keras; with it, on an old TensorFlow, or in an incomplete list: no finding."""
    legacy = {"software.keras": {"legacy": True}}
    snapshot = change(plain("2.18.1"), legacy)
    assert "TF_USE_LEGACY_KERAS" in message("KD307", snapshot)
    assert fix("KD307", snapshot).startswith("pip install 'tf-keras~=2.18.0'")
    assert outcome("KD307", change(replaced(plain("2.18.1"), tf_keras="2.18.0"), legacy)) == "passed"
    assert outcome("KD307", change(plain("2.15.1"), legacy)) == "passed"
    assert outcome("KD307", change(snapshot, {"partial": ["software.packages"]})) == "passed"


def test_a_package_that_needs_tf_keras() -> None:
    """transformers 4 beside Keras 3."""
    snapshot = replaced(plain("2.18.1"), transformers="4.49.0")
    assert outcome("KD307", snapshot) == "warning"
    assert outcome("KD307", replaced(snapshot, tf_keras="2.18.0")) == "passed"
    assert outcome("KD307", replaced(snapshot, transformers="5.0.0")) == "passed"
    assert outcome("KD307", replaced(plain("2.15.1"), transformers="4.49.0")) == "passed"


def test_the_keras_that_was_read_stands_in_for_the_package() -> None:
    """Without a package row the collector's own reading decides."""
    snapshot = change(without(plain("2.15.1"), "keras"), {"software.keras": {"version": "3.8.0"}})
    assert outcome("KD307", snapshot) == "error"


def test_unknown_facts() -> None:
    """No Keras and an incomplete list, no version of TensorFlow, no TensorFlow."""
    gone = change(without(plain(), "keras"), {"software.keras": {}})
    assert outcome("KD307", gone) == "passed"
    assert outcome("KD307", change(gone, {"partial": ["software.packages"]})) == "skipped"
    assert outcome("KD307", change(gone, {"software.packages": Drop})) == "skipped"
    untold = change(plain(), {"software.tensorflow": {}, "software.packages": [{"name": "tensorflow"}]})
    assert outcome("KD307", untold) == "skipped"
    assert outcome("KD307", change(plain(), {"software.tensorflow": {"present": False}})) == "inapplicable"


def test_conda_mends_conda() -> None:
    """The command is that of the tool which installed Keras."""
    snapshot = keras("2.16.2", "2.15.0")
    rows = [{**p, "installer": "conda"} for p in snapshot["software"]["packages"]]
    rows = [{**p, "requires": ["keras>=3.0.0"]} if p["name"] == "tensorflow" else p for p in rows]
    assert fix("KD307", change(snapshot, {"software.packages": rows})) == "conda install 'keras>=3.0.0'"


def test_tensorflow_probability_does_nothing_without_tf_keras() -> None:
    """Its METADATA requires tf-keras in an extra only; the first use fails."""
    snapshot = replaced(plain("2.18.1"), tensorflow_probability="0.25.0")
    assert outcome("KD307", snapshot) == "error"
    assert fix("KD307", snapshot) == "pip install 'tf-keras~=2.18.0'"
    assert outcome("KD307", replaced(snapshot, tf_keras="2.18.0")) == "passed"


@pytest.mark.parametrize(
    ("backend", "changes", "expected"),
    [
        ("torch", {}, "error"),
        ("jax", {}, "error"),
        ("tensorflow", {}, "passed"),
        ("torch", {"partial": ["software.packages"]}, "passed"),
        (
            "torch",
            {"software.keras.legacy": True, "software.keras.tf_keras": "2.18.0"},
            "error",
        ),  # no tf-keras: said so
    ],
)
def test_a_backend_that_is_not_installed(backend: str, changes: dict[str, Any], expected: str) -> None:
    """Keras imports its backend, and nothing of it works without."""
    snapshot = change(plain("2.18.1"), {"software.keras.backend": backend, **changes})
    assert outcome("KD307", snapshot) == expected


def test_whoever_named_the_backend_is_named() -> None:
    """The variable comes before the file."""
    snapshot = change(plain("2.18.1"), {"software.keras.backend": "torch"})
    assert message("KD307", snapshot) == "Keras is set to the backend torch (keras.json), and torch is not installed"
    told = change(snapshot, {"software.environment": {"KERAS_BACKEND": "torch"}})
    assert fix("KD307", told) == "unset KERAS_BACKEND"
    assert outcome("KD307", replaced(told, torch="2.4.0")) == "passed"
