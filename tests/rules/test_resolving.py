"""KD311: requirements that can no longer be installed, or contradict each other."""

from __future__ import annotations

import time
from typing import Any

import pytest

from doctor.model.report import Location
from tests.rules.environments import asked, packages
from tests.rules.machines import Drop, change, fix, message, outcome
from tests.support import compute


@pytest.mark.parametrize(
    ("requirement", "python", "machine", "expected"),
    [
        ("tensorflow-gpu==2.12.0", "3.11.9", {}, "error"),
        ("tensorflow-gpu", "3.10.9", {}, "error"),
        ("tensorflow-gpu>=2.4", "3.10.9", {}, "error"),
        ("tensorflow-gpu==2.14", "3.10.9", {}, "error"),
        ("tensorflow-gpu<2.12", "3.10.9", {}, "passed"),
        ("tensorflow-gpu==2.10.1", "3.10.9", {}, "passed"),
        ("tensorflow[and-cuda]==2.15.0", "3.11.9", {}, "error"),
        ("tensorflow[and-cuda]==2.15.0.post1", "3.11.9", {}, "passed"),
        ("tensorflow[and-cuda]==2.15.1", "3.11.9", {}, "passed"),
        ("tensorflow[and-cuda]~=2.15.0", "3.11.9", {}, "passed"),
        ("tensorflow==2.15.0", "3.11.9", {}, "passed"),
        ("tensorflow[and-cuda]==2.14", "3.11.9", {}, "error"),
        ("tensorflow[and-cuda]==2.14.1", "3.11.9", {}, "error"),
        ("tensorflow[and-cuda]==2.14.1", "3.10.9", {}, "passed"),
        ("tensorflow[and_cuda]==2.14.0", "3.11.9", {}, "error"),
        ("tensorflow[and-cuda]>=2.14", "3.11.9", {}, "passed"),
        ("tensorflow[and-cuda]==2.13.1", "3.11.9", {}, "warning"),
        ("tensorflow[and-cuda]==2.21.0", "3.11.9", {"os": "windows"}, "error"),
        ("tensorflow[and-cuda]", "3.11.9", {"os": "darwin", "architecture": "arm64"}, "error"),
        ("tensorflow[and-cuda]==2.21.0", "3.11.9", {"architecture": "aarch64"}, "passed"),
        ("tensorflow==2.14.9", "3.11.9", {}, "error"),
        ("tensorflow==2.15.2", "3.11.9", {}, "error"),
        ("tensorflow-cpu==2.4.5", "3.8.18", {}, "error"),
        ("tensorflow-intel==2.18.1", "3.11.9", {"os": "windows"}, "error"),
        ("tensorflow-macos==2.17.0", "3.11.9", {"os": "darwin"}, "error"),
        ("tensorflow==2.21.9", "3.11.9", {}, "skipped"),
        ("tensorflow==2.20.9", "3.11.9", {}, "skipped"),
        ("tensorflow==2.99.0", "3.11.9", {}, "skipped"),
        ("tensorflow>=2.99", "3.11.9", {}, "skipped"),
        ("tensorflow==2.16.0rc0", "3.11.9", {}, "skipped"),
        ("tensorflow==2.22.0.dev20260530", "3.11.9", {}, "skipped"),
        ("numpy==1.26.4", "3.11.9", {}, "passed"),
    ],
)
def test_one_requirement(requirement: str, python: str, machine: dict[str, Any], expected: str) -> None:
    """Stubs, extras that pin what the index no longer has, releases that were never made; and what only looks so.

    A release that the tables do not know, and that may have been made since, is skipped: no pass, and no fault.
    """
    assert outcome("KD311", asked(requirement, python=python, **machine)) == expected


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("tensorflow==2.15.1", "tensorflow==2.16.1", "error"),
        ("tensorflow==2.15.1", "tensorflow>=2.10", "passed"),
        ("tensorflow<2.10", "tensorflow>=2.12", "error"),
        ("tensorflow==2.17.1", "numpy==2.0.2", "error"),
        ("tensorflow==2.17.1", "numpy==1.26.4", "passed"),
        ("tensorflow==2.17.1", "numpy>=2", "error"),
        ("tensorflow==2.17.1", "numpy<2", "passed"),
        ("tensorflow==2.18.1", "numpy>=2", "passed"),
        ("tensorflow-gpu==2.8.0", "numpy==1.18", "error"),
        ("tensorflow==2.16.1", "keras<3", "error"),
        ("tensorflow==2.16.1", "keras~=3.0", "passed"),
        ("tensorflow==2.16.1", "tensorflow-text==2.15.0", "error"),
        ("tensorflow==2.15.1", "tensorflow-text==2.15.0", "passed"),
        ("tensorflow==2.16.1", "tensorflow-io==0.36.0", "passed"),
        ("tensorflow", "numpy==2.0.2", "passed"),
        ("keras==3.3.3", "tensorflow==2.15.1", "error"),
        ("tensorflow[and-cuda]==2.17.1", "nvidia-cudnn-cu12==9.1.0.70", "error"),
        ("tensorflow==2.17.1", "nvidia-cudnn-cu12==9.1.0.70", "passed"),
    ],
)
def test_two_requirements_of_one_file(first: str, second: str, expected: str) -> None:
    """No version meets both; ranges that leave a way are no contradiction."""
    assert outcome("KD311", asked(first, second)) == expected


def test_the_finding_stands_at_the_line() -> None:
    """A requirement of a file is found there; one of a command line has no place."""
    (finding,) = compute("KD311", asked("numpy", "tensorflow-gpu==2.12.0")).findings
    assert finding.location == Location("requirements.txt", 2)
    line = {"software.requested": [{"requirement": "tensorflow-gpu==2.12.0", "where": "command line"}]}
    (finding,) = compute("KD311", change(asked(), line)).findings
    assert finding.location is None


def test_many_lines_are_compared_in_bounded_time() -> None:
    """A line that is repeated thousands of times is one request, and so is a file of more lines than people write."""
    began = time.monotonic()
    repeated = ["numpy", *["numpy>=1"] * 10_000, "tensorflow<2.10", "tensorflow>=2.12"]
    assert outcome("KD311", asked(*repeated)) == "error"
    outcome("KD311", asked(*(f"numpy>={minor}" for minor in range(3_000))))
    assert time.monotonic() - began < 20


def test_two_files_need_not_agree() -> None:
    """Files of different purposes may pin different versions."""
    rows = [
        {"requirement": "tensorflow==2.15.1", "where": "train/requirements.txt:1"},
        {"requirement": "tensorflow==2.16.1", "where": "serve/requirements.txt:1"},
    ]
    assert outcome("KD311", change(asked(), {"software.requested": rows})) == "passed"


def test_what_is_installed_was_resolved() -> None:
    """A request that the installed packages meet is no question any more."""
    snapshot = change(asked("tensorflow-gpu==2.10.1"), {"software.packages": packages("tensorflow-gpu 2.10.1")})
    assert outcome("KD311", snapshot) == "passed"


def test_nothing_is_known() -> None:
    """Nobody told what was asked for; nothing was asked for; the Python that decides is not known."""
    assert outcome("KD311", change(asked(), {"software.requested": Drop})) == "skipped"
    assert outcome("KD311", asked()) == "inapplicable"
    assert (
        outcome("KD311", change(asked("tensorflow[and-cuda]==2.14.1"), {"software.python.version": Drop})) == "passed"
    )


@pytest.mark.parametrize(
    ("requirement", "python", "words"),
    [
        ("tensorflow-gpu==2.12.0", "3.11.9", "tensorflow[and-cuda]"),
        ("tensorflow[and-cuda]==2.15.0", "3.11.9", "tensorflow[and-cuda]==2.15.1"),
        ("tensorflow[and-cuda]==2.14.1", "3.11.9", "tensorflow[and-cuda]==2.15.1"),
        ("tensorflow==2.14.9", "3.11.9", "tensorflow==2.14.1"),
    ],
)
def test_the_fix_names_what_exists(requirement: str, python: str, words: str) -> None:
    """The nearest request that can be met."""
    assert words in fix("KD311", asked(requirement, python=python))


def test_the_message_names_the_reason() -> None:
    """Not the package that fails somewhere in the resolver, but why."""
    assert "tensorrt-libs==8.6.1" in message("KD311", asked("tensorflow[and-cuda]==2.15.0"))


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("tensorflow[and-cuda]==2.15.1", "torch==2.4.1", "error"),
        ("tensorflow[and-cuda]==2.18.0", "torch==2.6.0", "error"),
        ("tensorflow[and-cuda]==2.20.0", "torch==2.10.0", "passed"),  # ranges
        ("tensorflow[and-cuda]==2.21.0", "torch==2.10.0", "error"),  # ranges, and an NCCL below them
        ("tensorflow==2.15.1", "torch==2.4.1", "passed"),  # no CUDA wheels asked for
        ("tensorflow[and-cuda]==2.15.1", "torch", "passed"),  # an older one may do
        ("tensorflow[and-cuda]>=2.15.1", "torch==2.10.0", "passed"),  # a later one does
        ("tensorflow[and-cuda]==2.15.1", "torch==2.4.1+cpu", "passed"),
        ("tensorflow[and-cuda]==2.15.1", "torch==2.0.1", "passed"),  # wheels of CUDA 11
        ("tensorflow[and-cuda]==2.15.1", "scipy==1.13.0", "passed"),
    ],
)
def test_frameworks_whose_cuda_wheels_are_pinned_apart(first: str, second: str, expected: str) -> None:
    """Exact pins of nvidia-* wheels that no release of the two brings together."""
    assert outcome("KD311", asked(first, second)) == expected


def test_pinned_apart_is_said_with_the_wheel_and_a_way_out() -> None:
    """cuDNN is named, with what either requires, and the TensorFlow from which on ranges are pinned."""
    snapshot = asked("tensorflow[and-cuda]==2.15.1", "torch==2.4.1")
    assert "torch==2.4.1 requires nvidia-cudnn-cu12==9.1.0.70" in message("KD311", snapshot)
    assert "tensorflow 2.15.1 nvidia-cudnn-cu12==8.9.4.25" in message("KD311", snapshot)
    assert "tensorflow[and-cuda]>=2.20" in fix("KD311", snapshot)


def test_frameworks_that_are_installed_side_by_side_are_no_contradiction() -> None:
    """They got there somehow: KD208 says what that means."""
    snapshot = asked("tensorflow[and-cuda]==2.15.1", "torch==2.4.1")
    both = change(snapshot, {"software.packages": packages(tensorflow="2.15.1", torch="2.4.1")})
    assert outcome("KD311", both) == "passed"


def test_the_same_pair_in_two_files_is_said_of_each() -> None:
    """A Dockerfile and a requirements file with one contradiction: mending one leaves the other."""
    snapshot = asked("tensorflow==2.15.1", "numpy==2.1.3", "tensorflow==2.15.1", "numpy>=2")
    places = ("requirements.txt:1", "requirements.txt:2", "Dockerfile:2", "Dockerfile:2")
    for row, place in zip(snapshot["software"]["requested"], places, strict=True):
        row["where"] = place
    found = compute("KD311", snapshot).findings
    assert [finding.location.path for finding in found if finding.location] == ["requirements.txt", "Dockerfile"]
