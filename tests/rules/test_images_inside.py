"""KD409: an image whose own parts do not fit together."""

from __future__ import annotations

from typing import Any

import pytest

from tests.rules.environments import library, packages, plain, system, wheels, without
from tests.rules.machines import Drop, change, fix, message, outcome
from tests.support import compute, diagnose


def image(snapshot: dict[str, Any], reference: str = "tensorflow/tensorflow:2.17.0-gpu", **more: Any) -> dict[str, Any]:
    """The same software as an image, with no machine."""
    facts = {"subject": {"kind": "image", "name": "image"}, "machine": {}, "software.image": {"reference": reference}}
    return change(snapshot, {**facts, **more})


@pytest.mark.parametrize(
    ("snapshot", "words"),
    [
        (system("2.18.1", "12.3", "8.9.6"), "opens cuDNN 9, and the image holds cuDNN 8.9.6"),
        (system("2.12.1", "12.1", "8.9.6"), "opens CUDA 11.8, and the image holds CUDA 12.1"),
        (system("2.12.1", "11.8", "8.5.0"), "needs cuDNN 8.6 or later"),
        (without(wheels("2.17.1"), "libcufft.so.11"), "libcufft.so.11 is not in the image"),
        (system("2.17.1", "12.3", "8.9.6", loadable=False), "cannot be loaded"),
        (plain("2.17.1"), "are not in the image"),
    ],
    ids=["cudnn", "cuda", "old cudnn", "missing", "unloadable", "nothing"],
)
def test_what_does_not_fit(snapshot: dict[str, Any], words: str) -> None:
    """Each way in which an image made for a GPU cannot use one, whatever the machine."""
    assert words in message("KD409", image(snapshot))


@pytest.mark.parametrize("snapshot", [system("2.17.1", "12.3", "8.9.6"), wheels("2.21.0")], ids=["system", "wheels"])
def test_what_fits_passes(snapshot: dict[str, Any]) -> None:
    """A system CUDA that fits, and the wheels of the extra."""
    assert outcome("KD409", image(snapshot)) == "passed"


def test_it_comes_before_its_details() -> None:
    """The image is the root; the library in it is what follows."""
    found = diagnose(image(system("2.18.1", "12.3", "8.9.6"))).findings
    assert [(f.code, f.caused_by) for f in found if f.code in ("KD409", "KD203")] == [
        ("KD409", ()),
        ("KD203", ("KD409",)),
    ]


def test_only_images() -> None:
    """A host has its own rules."""
    assert outcome("KD409", system("2.18.1", "12.3", "8.9.6")) == "inapplicable"


def test_an_image_that_is_not_made_for_a_gpu() -> None:
    """Plain TensorFlow on a slim Python image promises no GPU."""
    assert outcome("KD409", image(plain(), "python:3.11-slim")) == "inapplicable"


def test_an_image_with_a_cpu_build() -> None:
    """A CPU build in a CUDA image opens nothing."""
    assert outcome("KD409", image(change(plain(), {"software.tensorflow.cuda_build": False}))) == "inapplicable"


def test_an_image_without_tensorflow() -> None:
    """A CUDA image for something else."""
    other = change(plain(), {"software.tensorflow": {}, "software.packages": packages("torch 2.4.1")})
    assert outcome("KD409", image(other, "nvidia/cuda:12.3.2-runtime-ubuntu22.04")) == "inapplicable"


def test_an_incomplete_look() -> None:
    """What was not looked for is not missing."""
    assert outcome("KD409", image(plain(), "registry.example/train:1-gpu", **{"software.cuda": {}})) == "skipped"
    assert outcome("KD409", image(plain(), partial=["software.cuda.libraries"])) == "skipped"


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("tensorflow/tensorflow:2.18.0-gpu", "error"),
        ("docker.io/tensorflow/tensorflow:2.19.0-gpu-jupyter", "error"),
        ("tensorflow/tensorflow:2.17.0-gpu", "skipped"),
        ("tensorflow/tensorflow:2.18.0", "inapplicable"),
    ],
)
def test_official_images_that_are_known(reference: str, expected: str) -> None:
    """Of an official image nothing but the name is known: the tables say which are broken."""
    named = {"subject": {"kind": "image", "name": "image"}, "software": {"image": {"reference": reference}}}
    assert outcome("KD409", named) == expected


def test_what_is_in_the_image_decides_over_its_name() -> None:
    """The same tag with the right cuDNN added to it is fine."""
    mended = system("2.18.1", "12.3", "8.9.6")
    rows = [*mended["software"]["cuda"]["libraries"], library("libcudnn.so.9", "9.3.0.75", "wheel")]
    snapshot = image(change(mended, {"software.cuda.libraries": rows}), "tensorflow/tensorflow:2.18.0-gpu")
    assert outcome("KD409", snapshot) == "passed"


def test_the_fix_is_a_line_of_the_dockerfile() -> None:
    """A release with the extra gets it; an older one another base image."""
    assert "RUN pip install 'tensorflow[and-cuda]==2.18.1'" in fix("KD409", image(system("2.18.1", "12.3", "8.9.6")))
    assert "base image with CUDA 11.8" in fix("KD409", image(system("2.12.1", "12.1", "8.9.6")))


def test_an_unknown_build_is_skipped() -> None:
    """A nightly in a GPU image, of which nothing was read."""
    nightly = {"software.tensorflow": {"version": "2.22.0.dev1"}, "software.packages": Drop}
    assert compute("KD409", image(change(plain(), nightly))).skipped
