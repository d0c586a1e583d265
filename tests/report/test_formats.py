"""All formats together: registered, named in the help, and never broken by what a string holds."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from doctor.cli.options import OPTIONS
from doctor.model.report import Evidence, Location, Note, Report, Skip
from doctor.report import FORMATS, render
from doctor.report.context import Context

# Any character at all, lone surrogates among them, and pieces that mean something to a format.
TEXT = st.lists(
    st.one_of(
        st.text(st.characters(exclude_categories=()), max_size=8),
        st.sampled_from(
            ["</script>", "]]>", "<!--", "-->", "\n::error::", "##[error]", "`", "|", "@a", "%0A", "&lt;", "{{", "](x)"]
        ),
    ),
    max_size=6,
).map("".join)


def test_every_format_is_named_in_the_help() -> None:
    """What can be asked for stands in --help."""
    text = OPTIONS["format"][1].help
    assert all(name in text for name in FORMATS)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("kind", ["report", "fleet", "hostile", "crowd", "compared"])
def test_every_format_says_every_report(
    name: str, kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Something ends with a newline, can be written as UTF-8, and is the same when it is rendered again."""
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    report = request.getfixturevalue(kind)
    text = render(name, report, Context())
    assert text.endswith("\n")
    assert text.encode()
    if kind != "compared":
        assert text == render(name, report, Context())


@given(texts=st.lists(TEXT, min_size=4, max_size=4))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_string_breaks_a_format(report: Report, texts: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Documents stay documents, tags stay closed, and no line becomes a command."""
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    one, two, three, four = texts
    finding = msgspec.structs.replace(
        report.findings[0], message=one, subject=two, effect=three, fix=four, evidence=(Evidence(two, [one]),)
    )
    placed = msgspec.structs.replace(finding, location=Location(three or "x", 2, 1, text=four), thing=four)
    changed = msgspec.structs.replace(
        report,
        findings=(finding, placed),
        skipped=(Skip("KD108", one, two, three, four, one),),
        notes=(Note(three, four),),
        changes=({"what": one, "name": two, "a": three, "b": four},),
        incomplete=True,
    )
    for name in ("json", "sarif", "gitlab"):
        json.loads(render(name, changed, Context()))
    ET.fromstring(render("junit", changed, Context()).encode())
    for line in render("github", changed, Context()).splitlines():
        assert line.startswith(("::error ", "::warning ", "::notice ")) or not line.lstrip().startswith("::")
    page = render("html", changed, Context())
    assert page.count("<article") == 2
    assert "<script" not in page
    comment = render("markdown", changed, Context())
    assert comment.count("<details>") == comment.count("</details>") == 1
    bare = re.sub(r"(?<!\\)(`+).*?(?<!`)\1(?!`)", "", comment)  # in a code span nothing acts
    assert bare.count("<!--") == bare.count("-->")


def test_files_of_others_carry_their_notice() -> None:
    """Each file of tests/data is named in its README, with where it comes from."""
    folder = Path(__file__).resolve().parent.parent / "data"
    told = (folder / "README.md").read_text(encoding="utf-8")
    mine = {"sarif-2.1.0-rtm.5.json", "junit-10.xsd"}
    assert all((folder / name).is_file() and name in told for name in mine)
