"""GitLab Code Quality: issues as its documentation describes them."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema
import msgspec
import pytest

from doctor.model.report import Note, Report
from doctor.report import render
from doctor.report.context import Anchor, Anchors, Context

# The table "Code Quality report format" of GitLab's documentation: all of these fields are required, and the severity
# is one of five. GitLab itself holds each issue against app/validators/json_schemas/codeclimate.json, which asks for
# less (no check_name, any severity, lines without a begin), and drops whatever follows the first issue that does not
# hold to it, and all but the last of those that share a fingerprint; so what holds here holds there.
SCHEMA = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["description", "check_name", "fingerprint", "location", "severity"],
        "properties": {
            "description": {"type": "string", "minLength": 1},
            "check_name": {"type": "string", "minLength": 1},
            "fingerprint": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
            "severity": {"enum": ["info", "minor", "major", "critical", "blocker"]},
            "location": {
                "type": "object",
                "required": ["path", "lines"],
                "properties": {
                    "path": {"type": "string", "pattern": "^(?!\\./|/)"},
                    "lines": {
                        "type": "object",
                        "required": ["begin"],
                        "properties": {"begin": {"type": "integer", "minimum": 1}},
                    },
                },
            },
        },
    },
}


def issues(report: Report, context: Context | None = None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(render("gitlab", report, context or Context()))
    return found


@pytest.mark.parametrize("name", ["report", "fleet", "hostile", "crowd", "compared"])
def test_every_report_is_a_list_of_whole_issues(name: str, request: pytest.FixtureRequest) -> None:
    """All fields that GitLab asks for, paths relative, and no fingerprint twice (GitLab would show one of them)."""
    found = issues(request.getfixturevalue(name))
    jsonschema.validate(found, SCHEMA)
    assert len({issue["fingerprint"] for issue in found}) == len(found)


def test_an_issue_says_what_it_does_and_what_to_do(report: Report) -> None:
    """Message, effect, fix; the subject where there is no file."""
    first, second = issues(report, Context(anchors=Anchors(asks=(Anchor("tensorflow", "requirements.txt", 3),))))
    assert first["severity"] == "critical"
    assert first["description"].endswith("Fix: pip install 'tensorflow[and-cuda]==2.21.0'. On: host")
    assert first["location"] == {"path": "requirements.txt", "lines": {"begin": 3, "end": 3}}
    assert (second["severity"], second["location"]["path"]) == ("minor", "Dockerfile")
    assert "On:" not in second["description"]


def test_what_the_policy_denies_is_critical(report: Report) -> None:
    """A warning that fails the gate is as grave as an error."""
    found = issues(msgspec.structs.replace(report, denied=("KD403",)))
    assert [issue["severity"] for issue in found] == ["critical", "critical"]


def test_a_run_that_could_not_look_shows_that(report: Report) -> None:
    """An empty list would pass for a clean run."""
    changed = msgspec.structs.replace(report, findings=(), incomplete=True, notes=(Note("canary", "no interpreter"),))
    (issue,) = issues(changed)
    assert (issue["check_name"], issue["severity"]) == ("not-looked-at", "critical")
    assert issues(msgspec.structs.replace(changed, incomplete=False)) == []


def test_nothing_hidden_is_left_in_the_strings(hostile: Report) -> None:
    """Controls and overrides are shown, not sent."""
    assert not re.search("[\x00-\x08\x1b\u202e\udc80]", str(issues(hostile)))
