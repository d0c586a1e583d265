"""GitHub: annotations that cannot be forged, within the limits, and the step's summary."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from doctor.model.report import Note, Report
from doctor.report import github, render
from doctor.report.context import Anchor, Anchors, Context

COMMAND = re.compile(r"^::(error|warning|notice)( [^:]*)?::(.*)$")


@pytest.fixture(autouse=True)
def _no_summary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)


def commands(report: Report, context: Context | None = None) -> list[str]:
    return [line for line in render("github", report, context or Context()).splitlines() if line.startswith("::")]


def test_an_annotation_stands_at_its_line(report: Report) -> None:
    """File, line, column, the end of what is meant, and the rule as title; the details are lines of the message."""
    assert commands(report)[1] == (
        "::warning file=Dockerfile,line=1,col=6,endColumn=37,title=KD403 digest-missing::"
        "base image is not pinned to a digest%0Aeffect: this tag can move%0Afix: kdoctor pin Dockerfile --write"
    )


def test_a_finding_without_a_file_stands_where_the_thing_is_asked_for(report: Report) -> None:
    """cuDNN is missing on the host: the line that asks for TensorFlow shows it."""
    anchors = Anchors(root="services/app", asks=(Anchor("tensorflow", "requirements.txt", 3),))
    first = commands(report, Context(anchors=anchors))[0]
    assert first.startswith("::error file=services/app/requirements.txt,line=3,title=KD201 cuda-library-missing::")
    assert "%0Aon: host%0A" in first


def test_what_the_policy_denies_is_an_error(report: Report) -> None:
    """A warning that fails the gate is annotated as an error."""
    found = commands(msgspec.structs.replace(report, denied=("KD403",)))
    assert [line.split(" ", 1)[0] for line in found] == ["::error", "::error"]


def test_only_so_many_of_a_level_and_the_gravest_first(crowd: Report) -> None:
    """Ten annotations a level; the last of them counts the rest."""
    found = commands(crowd)
    for level, total in (("error", 20), ("warning", 980)):
        mine = [line for line in found if line.startswith(f"::{level}")]
        assert len(mine) == 10
        assert f"{total - 9} more {level}s" in mine[-1]


def test_what_could_not_be_looked_at_is_an_error(report: Report) -> None:
    """Where it was asked for; it is not pushed out by findings."""
    changed = msgspec.structs.replace(report, incomplete=True, notes=(Note("canary", "no interpreter"),))
    assert commands(changed)[0] == "::error title=kdoctor%3A not looked at::canary: no interpreter"
    assert not any("canary" in line for line in commands(msgspec.structs.replace(changed, incomplete=False)))


def test_nothing_from_outside_forges_a_command(hostile: Report) -> None:
    """Every line is one of our own commands or says nothing to the runner; a percent sign stays one."""
    for line in render("github", hostile, Context()).splitlines():
        match = COMMAND.match(line)
        assert match or "::" not in line[:3], line
        assert "##[" not in line
        if match:
            assert "%250A::warning" in line or "%0A::" not in line
            assert not re.search(r"%0A\s*::", line)


def test_the_summary_is_appended_and_stays_below_the_limit(
    crowd: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the step wrote before stays and counts; the file never exceeds 1 MiB."""
    file = tmp_path / "summary.md"
    before = "x" * (github.MAX_SUMMARY - 20_000) + "\n"
    file.write_text(before)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(file))
    render("github", crowd, Context())
    written = file.read_bytes()
    assert written.startswith(before.encode())
    assert b"## kdoctor: failed" in written
    assert b"more findings" in written
    assert len(written) <= github.MAX_SUMMARY
    file.write_text("x" * github.MAX_SUMMARY)
    assert any("summary is full" in line for line in commands(crowd))


def test_a_summary_that_cannot_be_written_is_said(
    report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The annotations stand all the same."""
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path))
    found = commands(report)
    assert found[-1].startswith("::warning title=kdoctor::the step summary could not be written: ")
    assert len(found) == 3
