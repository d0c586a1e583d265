"""A fix that mends TensorFlow must not break its neighbours, nor the other way round."""

from __future__ import annotations

from typing import Any

import pytest

from tests.rules.environments import packages, plain, replaced, requiring
from tests.rules.machines import change, fix
from tests.support import compute

JAX = ("numpy>=2.0", "ml-dtypes>=0.5.0")


def beside_jax() -> dict[str, Any]:
    """TensorFlow 2.15 in which `pip install jax` has brought NumPy 2 and a later ml-dtypes."""
    snapshot = replaced(plain("2.15.1"), numpy="2.4.6", ml_dtypes="0.6.0", jax="0.10.2")
    snapshot = requiring(snapshot, "tensorflow", "numpy<2.0.0,>=1.23.5", "ml-dtypes~=0.3.1", "keras<2.16,>=2.15.0")
    return requiring(snapshot, "jax", *JAX)


def fixes(code: str, snapshot: dict[str, Any]) -> list[str]:
    """The fixes of all findings of one rule."""
    return [finding.fix for finding in compute(code, snapshot).findings]


def test_who_cannot_live_with_it_is_moved_along() -> None:
    """NumPy 1 alone would break JAX: JAX is named without a version, TensorFlow with its own."""
    assert fix("KD305", beside_jax()) == "pip install 'tensorflow==2.15.1' 'numpy>=1.23.5,<2.0.0' 'jax'"


def test_the_fixes_of_two_findings_agree() -> None:
    """ml-dtypes of TensorFlow, and JAX as whoever asks for more: both ways round TensorFlow stays."""
    assert fixes("KD309", beside_jax()) == ["pip install 'tensorflow==2.15.1' 'ml-dtypes~=0.3.1' 'jax'"]
    mended = replaced(beside_jax(), numpy="1.26.4", ml_dtypes="0.3.2")
    assert fixes("KD309", mended) == [
        "pip install 'tensorflow==2.15.1' 'numpy>=1.23.5,<2.0.0' 'jax'",
        "pip install 'tensorflow==2.15.1' 'ml-dtypes~=0.3.1' 'jax'",
    ]


def test_upper_bounds_of_others_are_kept() -> None:
    """Whoever only forbids later versions narrows the requirement, nobody is moved."""
    snapshot = replaced(plain("2.17.1"), typing_extensions="4.0.1", grpcio="1.85.1", pinned="1.0")
    snapshot = requiring(snapshot, "grpcio", "typing-extensions~=4.12")
    snapshot = requiring(snapshot, "pinned", "typing-extensions<4.15")
    snapshot = requiring(snapshot, "tensorflow", "typing-extensions>=3.6.6")
    assert fixes("KD309", snapshot) == ["pip install 'typing-extensions<4.15,~=4.12'"]


def test_what_tensorflow_forbids_moves_the_one_who_asks() -> None:
    """TensorFlow 2.12 caps typing-extensions: the package that wants more is what has to move."""
    snapshot = replaced(plain("2.12.1"), typing_extensions="4.5.0", pydantic="2.12.0")
    snapshot = requiring(snapshot, "tensorflow", "typing-extensions<4.6.0,>=3.6.6")
    snapshot = requiring(snapshot, "pydantic", "typing-extensions>=4.14")
    assert fixes("KD309", snapshot) == ["pip install 'tensorflow==2.12.1' 'typing-extensions>=3.6.6,<4.6.0' 'pydantic'"]


@pytest.mark.parametrize(
    ("distribution", "expected"),
    [
        ("tensorflow", "pip install 'tf-keras~=2.16.0'"),
        ("tensorflow-cpu", "pip install --no-deps 'tf-keras~=2.16.0'"),
    ],
)
def test_tf_keras_of_this_tensorflow_and_no_second_one(distribution: str, expected: str) -> None:
    """tensorflow-hub asks for any tf-keras: the newest replaces TensorFlow, or comes beside tensorflow-cpu."""
    snapshot = plain("2.16.1")
    rows = packages(f"{distribution} 2.16.1", "keras 3.0.5", "numpy 1.26.4", "protobuf 4.25.3", "tensorflow-hub 0.16.1")
    snapshot = change(snapshot, {"software.packages": rows, "software.tensorflow.distribution": distribution})
    snapshot = requiring(snapshot, "tensorflow-hub", "tf-keras>=2.14.1")
    assert fixes("KD309", snapshot) == [expected]
