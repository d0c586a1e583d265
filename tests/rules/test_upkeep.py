"""KD903: the tables are older than what is judged."""

from __future__ import annotations

from typing import Any

import pytest

from tests.rules.environments import plain, replaced, wheels
from tests.rules.machines import change, message, outcome


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"software.tensorflow.version": "2.99.0"}, "TensorFlow 2.99.0"),
        ({"software.tensorflow.version": "2.99.0.dev20300101"}, "TensorFlow 2.99.0.dev20300101"),
        ({"software.cuda.toolkits": [{"version": "99.1"}]}, "CUDA 99.1"),
        ({"machine.driver.version": "9999.10"}, "NVIDIA driver 9999.10"),
        ({"machine.gpus": [{"name": "NVIDIA Next", "compute_capability": "99.0"}]}, "compute capability 99.0"),
    ],
    ids=["release", "nightly", "toolkit", "driver", "gpu"],
)
def test_newer_than_the_tables(more: dict[str, Any], words: str) -> None:
    """Each thing of which the tables end somewhere."""
    assert words in message("KD903", change(plain(), more))


def test_a_newer_keras() -> None:
    """A minor version of Keras that nobody had seen."""
    assert "Keras 99.0" in message("KD903", replaced(plain(), keras="99.0"))


@pytest.mark.parametrize(
    "snapshot",
    [plain("2.10.1"), wheels("2.21.0"), change(plain(), {"software.tensorflow.version": "2.21.1"})],
    ids=["old", "newest", "newer patch"],
)
def test_what_the_tables_know(snapshot: dict[str, Any]) -> None:
    """Releases up to the newest minor version."""
    assert outcome("KD903", snapshot) == "passed"


def test_nothing_to_look_up() -> None:
    """A snapshot that names nothing of which the tables speak."""
    assert outcome("KD903", {"machine": {"os": "linux"}}) == "inapplicable"
