"""Where findings without a file are shown."""

from __future__ import annotations

import msgspec
import pytest

from doctor.model.report import Finding, Location, Report
from doctor.model.wire import decode_snapshot
from doctor.report import place
from doctor.report.context import Anchor, Anchors

SNAPSHOT = decode_snapshot(
    {
        "kind": "kdoctor/snapshot",
        "schema": 1,
        "subject": {"kind": "host", "name": "host", "collected": "static"},
        "software": {"requested": [{"requirement": "Numpy<2", "where": "requirements.txt:9"}]},
        "project": {
            "images": [
                {"reference": "python:3.11", "raw": "python:3.11", "path": "Dockerfile", "line": 3, "column": 6},
                {"reference": "../x", "path": "/etc/passwd", "line": 1},
            ],
            "requirements": [{"name": "tensorflow", "specifier": "==2.15.0", "path": "requirements.txt", "line": 4}],
        },
    },
    "test",
)


def found(finding: Finding, anchors: Anchors) -> tuple[str, int]:
    where = place.place_of(finding, anchors)
    return where.path, where.line


@pytest.mark.parametrize(
    ("finding", "expected"),
    [
        (Finding("m", subject="image:docker.io/library/python:3.11"), ("app/Dockerfile", 3)),
        (Finding("m", subject="host", thing="numpy"), ("app/requirements.txt", 9)),
        (Finding("m", subject="host", thing="cuDNN"), ("app/requirements.txt", 4)),
        (Finding("m", subject="host", location=Location("sub/../train.py", 7)), ("app/train.py", 7)),
        (Finding("m", subject="host", location=Location("lib/libcudnn.so")), ("app/lib/libcudnn.so", 1)),
    ],
)
def test_a_finding_stands_where_the_thing_is_asked_for(finding: Finding, expected: tuple[str, int]) -> None:
    """Its own file; else the image's or package's line; else the one that asks for TensorFlow."""
    assert found(finding, place.anchors([SNAPSHOT], {}, "app")) == expected


def test_the_policy_comes_first_and_its_path_is_not_moved() -> None:
    """The first line of the project's configuration; never the user's own file, nor a variable."""
    origins = {
        "fail_on": "kdoctor.toml:12",
        "select": "kdoctor.toml:3",
        "color": "/home/user/.config/kdoctor/config.toml:1",
        "python": "../other/kdoctor.toml:1",
        "quiet": "environment: KDOCTOR_QUIET",
    }
    anchors = place.anchors([SNAPSHOT], origins, "app")
    assert anchors.policy == Anchor("policy", "kdoctor.toml", 3)
    assert found(Finding("m", subject="host"), anchors) == ("kdoctor.toml", 3)


def test_the_last_resort_is_the_first_line_of_pyproject() -> None:
    """With the subject as what is really meant."""
    assert place.place_of(Finding("m", subject="node-a"), Anchors()) == place.Place("pyproject.toml", logical="node-a")


def test_paths_that_leave_the_project_are_no_anchors() -> None:
    """Neither absolute nor upward."""
    assert {anchor.path for anchor in place.anchors([SNAPSHOT], {}).asks} == {"Dockerfile", "requirements.txt"}


def test_identities_stay_apart_and_the_same_in_another_order_of_others(report: Report) -> None:
    """A finding that goes away changes no identity of those that are not its equals."""
    first, second = report.findings
    twin = msgspec.structs.replace(first, machine="node")
    three = place.distinct_identities([first, twin, second])
    assert len(set(three)) == 3
    assert place.distinct_identities([second, twin]) == [three[2], three[1]]
