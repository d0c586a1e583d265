"""The head: areas out of facts and findings."""

from __future__ import annotations

from typing import Any

import pytest

from doctor.model.report import Finding, Passed, Report, Severity, Skip
from doctor.report import head
from tests.support import case

NAMES = ["Driver", "GPU", "TensorFlow", "Keras", "Python", "CUDA", "Images", "Determinism", "Canary"]
FULL = {
    "machine": {
        "name": "trainer-03",
        "driver": {"present": True, "version": "570.133.20", "cuda_version": "12.8"},
        "gpus": [{"name": "NVIDIA H200", "memory_mib": 143771, "compute_capability": "9.0"}] * 2,
    },
    "software": {
        "python": {"version": "3.12.1", "environment": "venv", "executable": ".venv/bin/python"},
        "packages": [{"name": "numpy"}, {"name": "keras"}],
        "tensorflow": {
            "present": True,
            "version": "2.21.0",
            "cuda_build": True,
            "cuda_version": "12.5",
            "cudnn_version": "9.3",
        },
        "keras": {"present": True, "version": "3.15.1", "backend": "tensorflow"},
        "cuda": {
            "toolkits": [],
            "libraries": [{"soname": "libcudart.so.12", "origin": "wheel"}] * 3,
            "cudnn_version": "9.3.0",
        },
    },
    "project": {"images": [{"reference": "a"}, {"reference": "b"}], "scripts": [{"path": "train.py", "facts": []}]},
}


def lines(snapshot: dict[str, Any], *findings: Finding, skipped: tuple[Skip, ...] = ()) -> dict[str, tuple[str, str]]:
    return {area.name: (area.mark, area.text) for area in head.areas(case(snapshot), findings, skipped)}


def finding(code: str, severity: Severity = Severity.ERROR) -> Finding:
    return Finding("x", code=code, severity=severity, subject="host")


def test_what_is_known_is_said_in_one_line_an_area() -> None:
    """Driver, GPUs, frameworks, Python, libraries, images and scripts, in the order in which they depend."""
    said = lines(FULL)
    assert list(said) == NAMES
    assert said["Driver"] == ("ok", "NVIDIA 570.133.20, up to CUDA 12.8")
    assert said["GPU"] == ("ok", "2 × NVIDIA H200, 140 GiB, compute capability 9.0")
    assert said["TensorFlow"] == ("ok", "2.21.0 for CUDA 12.5 and cuDNN 9.3")
    assert said["Keras"] == ("ok", "3.15.1 on tensorflow")
    assert said["Python"] == ("ok", "3.12.1 venv, 2 packages")
    assert said["CUDA"] == ("ok", "3 libraries (3 wheel), cuDNN 9.3.0")
    assert said["Images"] == ("ok", "2 uses of images")
    assert said["Determinism"] == ("ok", "looked at train.py")
    assert said["Canary"] == ("none", "not run: kdoctor canary")


def test_what_is_not_known_is_not_well() -> None:
    """Nothing known: no area has a tick, and each says that nobody looked."""
    said = lines({})
    assert {mark for mark, _ in said.values()} == {"none"}
    assert {text for name, (_, text) in said.items() if name != "Canary"} == {"not looked at"}


def test_a_reason_is_shown_where_there_is_one() -> None:
    """Why a fact is missing stands in its line."""
    said = lines({"machine": {"driver": {"missing": "NVML did not answer within 5 s"}}})
    assert said["Driver"] == ("none", "NVML did not answer within 5 s")


@pytest.mark.parametrize(
    ("machine", "mark", "text"),
    [
        ({"driver": {"present": False}, "pci_gpus": []}, "none", "no NVIDIA driver, and no NVIDIA hardware"),
        ({"driver": {"present": False}, "pci_gpus": ["10de:20b0"]}, "ok", "no NVIDIA driver is loaded"),
        ({"driver": {"present": True, "error": "NVML_ERROR_X"}}, "ok", "NVIDIA, version not known: NVML_ERROR_X"),
    ],
)
def test_a_machine_without_a_driver(machine: dict[str, Any], mark: str, text: str) -> None:
    """Without NVIDIA hardware there is nothing to judge; with it the rules judge, not the head."""
    assert lines({"machine": machine})["Driver"] == (mark, text)


def test_the_gravest_finding_of_an_area_is_its_mark() -> None:
    """Warnings give way to errors; other areas keep their own mark."""
    said = lines(FULL, finding("KD102"), finding("KD305", Severity.WARNING), finding("KD601", Severity.INFO))
    assert said["Driver"][0] == "error"
    assert said["Python"][0] == "warning"
    assert said["Keras"][0] == "ok"


def test_a_tensorflow_that_cannot_load_its_libraries_is_not_well() -> None:
    """The finding is about CUDA; TensorFlow's line says what follows."""
    said = lines(FULL, finding("KD201"))
    assert said["TensorFlow"] == ("error", "2.21.0 for CUDA 12.5 and cuDNN 9.3, which it cannot load")
    assert said["CUDA"][0] == "error"


def test_skipped_rules_are_counted_in_a_line_that_looks_well() -> None:
    """A skip is never a pass."""
    skip = Skip("KD106", "gpu-too-old", "host", None, "not known")
    assert lines(FULL, skipped=(skip, skip))["GPU"][1].endswith("; 2 rules skipped")


def test_stages_of_the_same_file_are_no_images() -> None:
    """They could not have a digest: "4 of 5 without one" would say that one of them has."""
    rows = [{"reference": "a:1", "pinned": "tag"}, {"reference": "build", "pinned": "stage"}, {"pinned": "scratch"}]
    assert lines({"project": {"images": rows}})["Images"] == ("ok", "1 use of an image")
    assert lines({"project": {"images": rows[1:]}})["Images"] == ("none", "no image is named in the project")


def test_an_area_whose_rules_were_not_chosen_is_not_called_good() -> None:
    """With --select KD4 nobody asked whether the scripts set a seed."""
    report = Report(passed=(Passed("KD403", "host", None),))
    marks = {area.name: area.mark for area in head.of_report(case(FULL), report, "bitwise")}
    assert {name for name, mark in marks.items() if mark == "ok"} == {"Images"}


@pytest.mark.parametrize(
    ("code", "area"),
    [("KD102", "Driver"), ("KD106", "GPU"), ("KD307", "Keras"), ("KD503", "CUDA"), ("KD801", "Canary"), ("KD904", "")],
)
def test_each_rule_belongs_to_one_area(code: str, area: str) -> None:
    """By the longest prefix of its code; rules on the run itself belong to none."""
    assert head.area_of(code) == area


def test_a_finding_in_an_area_without_facts_is_not_called_unlooked() -> None:
    """The line never says that nobody looked where something was found."""
    assert lines({}, finding("KD403", Severity.WARNING))["Images"] == ("warning", "1 finding")


def test_absence_is_said_as_absence() -> None:
    """Looked, and there is none: of TensorFlow, GPUs, images, scripts, libraries."""
    said = lines(
        {
            "machine": {"gpus": []},
            "software": {
                "tensorflow": {"present": False},
                "keras": {"present": False},
                "cuda": {"toolkits": [], "libraries": [], "cudnn_version": False},
            },
            "project": {"images": [], "scripts": []},
        }
    )
    assert said["GPU"] == ("none", "no NVIDIA GPU")
    assert said["TensorFlow"] == ("none", "not installed")
    assert said["CUDA"] == ("none", "no CUDA libraries")
    assert said["Images"][0] == said["Determinism"][0] == "none"
