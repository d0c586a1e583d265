"""KD809: what TensorFlow reports against what the facts predict."""

from __future__ import annotations

from typing import Any

import pytest

from tests.rules.environments import cpu_only, plain, replaced, requiring, system, wheels
from tests.rules.machines import Drop, change, message, outcome
from tests.support import compute

SEEN = ["/physical_device:GPU:0"]


def working(tensorflow: str = "2.17.1") -> dict[str, Any]:
    """An environment of which everything is known that the GPU rules ask for, and nothing is wrong."""
    more = {
        "machine.pci_gpus": ["10de:1eb8"],
        "machine.devices": ["/dev/nvidia0", "/dev/nvidiactl", "/dev/nvidia-uvm"],
        "machine.driver": {
            "present": True,
            "version": "570.124.06",
            "cuda_version": "12.8",
            "kernel_module_version": "570.124.06",
            "libcuda_version": "570.124.06",
        },
        "software.cuda.compat_driver": False,
        "software.tensorflow.compute_capabilities": ["sm_60", "sm_70", "sm_80", "sm_89", "compute_90"],
    }
    return change(wheels(tensorflow), more)


def tried(snapshot: dict[str, Any], **observed: Any) -> dict[str, Any]:
    """The same with what `--try` saw."""
    return change(snapshot, {"software.tensorflow.observed": observed})


@pytest.mark.parametrize(
    "snapshot",
    [
        tried(working(), gpus=SEEN, version="2.17.1", signal=None, error=None),
        tried(plain(), gpus=[], version="2.17.1"),
        tried(change(working(), {"software.environment": {"CUDA_VISIBLE_DEVICES": "-1"}}), gpus=[]),
        tried(system("2.15.1", "11.8", "8.9.4"), gpus=[]),
    ],
    ids=["gpu", "no cuda", "hidden", "another cuda"],
)
def test_prediction_and_observation_agree(snapshot: dict[str, Any]) -> None:
    """A GPU where nothing is wrong, none where a rule says why."""
    assert outcome("KD809", snapshot) == "passed"


def test_a_gpu_that_was_said_to_be_impossible() -> None:
    """TensorFlow uses a GPU although its libraries are of another version: a rule is wrong, and is named."""
    assert "KD202" in message("KD809", tried(system("2.15.1", "11.8", "8.9.4"), gpus=SEEN))


def test_no_gpu_and_no_reason() -> None:
    """Everything fits, and TensorFlow sees none."""
    assert "nothing in the facts prevents it" in message("KD809", tried(working(), gpus=[]))


def test_no_prediction_without_the_facts() -> None:
    """Where a rule lacks a fact, nothing was predicted."""
    assert outcome("KD809", tried(change(working(), {"software.cuda.libraries": Drop}), gpus=[])) == "skipped"


def test_no_gpu_on_a_machine_without_one() -> None:
    """None was predicted, none was seen: they agree."""
    assert outcome("KD809", tried(cpu_only(plain()), gpus=[])) == "passed"


def test_another_version_was_imported() -> None:
    """The files say one version, the import another: another interpreter, or a path before."""
    assert "2.18.0 was imported" in message("KD809", tried(working(), gpus=SEEN, version="2.18.0"))


@pytest.mark.parametrize(("key", "value"), [("signal", "SIGSEGV"), ("error", "ImportError: no module named foo")])
def test_an_import_that_fails_without_a_reason(key: str, value: str) -> None:
    """It died, and no rule said that it would."""
    assert value in message("KD809", tried(working(), **{key: value}))


def test_an_import_that_fails_for_a_known_reason() -> None:
    """NumPy 2 under TensorFlow 2.17: the failure was predicted."""
    snapshot = working()
    rows = [{**p, "version": "2.0.2"} if p["name"] == "numpy" else p for p in snapshot["software"]["packages"]]
    failed = tried(change(snapshot, {"software.packages": rows}), error="ImportError: _ARRAY_API not found")
    assert outcome("KD809", failed) == "passed"


def test_not_tried() -> None:
    """Nobody started TensorFlow."""
    assert outcome("KD809", working()) == "skipped"


def _with_a_warning(error: str) -> dict[str, Any]:
    """Two declared requirements that are not met, neither of them an error; and what happened at the import."""
    snapshot = requiring(replaced(plain("2.18.1"), typing_extensions="4.0.1"), "keras", "typing-extensions>=4.10")
    return tried(requiring(snapshot, "tensorflow", "setuptools", "tensorboard"), error=error)


def test_a_missing_package_was_predicted() -> None:
    """TensorFlow cannot be imported without wrapt: the error of KD309 said so."""
    error = "import tensorflow: ModuleNotFoundError: No module named 'wrapt'"
    assert outcome("KD809", tried(requiring(plain("2.18.1"), "tensorflow", "wrapt"), error=error)) == "passed"


@pytest.mark.parametrize(
    ("error", "named"),
    [
        ("import tensorflow: ModuleNotFoundError: No module named 'distutils'", "setuptools"),
        ("import tensorflow: ModuleNotFoundError: No module named 'tensorboard'", "tensorboard"),
        ("tf.keras: ImportError: cannot import name 'x' from 'typing_extensions' (…)", "typing-extensions"),
    ],
)
def test_a_failure_that_a_warning_explains_names_it(error: str, named: str) -> None:
    """No longer without a reason: the package that the error names, its rule, and its fix."""
    found = compute("KD809", _with_a_warning(error)).findings
    assert len(found) == 1
    assert "the likeliest reason is KD309" in found[0].message
    assert named in found[0].message.rpartition("KD309")[2]
    assert found[0].fix.startswith("pip install ")
    assert named in found[0].fix


def test_nothing_to_import_was_predicted() -> None:
    """TensorFlow is not installed, and could not be imported: they agree."""
    facts = {"present": False, "observed": {"error": "import tensorflow: No module named 'tensorflow'"}}
    assert outcome("KD809", change(plain(), {"software.tensorflow": facts})) == "passed"
