"""KD401–KD408 and KD410: images that the project's files use."""

from __future__ import annotations

import textwrap
from typing import Any

import pytest

from doctor.images import dockerfile
from doctor.model.report import Confidence, Severity
from tests.support import compute

A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64
INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def project(text: str, *registry: dict[str, Any] | None, **more: Any) -> dict[str, Any]:
    rows = [use.row() for use in dockerfile.parse(textwrap.dedent(text)).uses]
    for row, answer in zip(rows, registry, strict=False):
        if answer is not None:
            row["registry"] = {"outcome": "ok", **answer}
        row.update(more)
    return {"project": {"images": rows}}


PINS = """\
    FROM python AS a
    FROM python:latest
    FROM busybox:stable
    FROM python:3.11
    FROM python:latest@{A}
    FROM scratch
    FROM a
    FROM $UNSET
""".replace("{A}", A)


@pytest.mark.parametrize(("code", "lines"), [("KD401", [1]), ("KD402", [2, 3]), ("KD403", [4]), ("KD408", [8])])
def test_each_use_has_the_one_rule_that_fits(code: str, lines: list[int]) -> None:
    """No two rules speak of one use; digests, scratch and stages are fine."""
    found = compute(code, project(PINS)).findings
    assert [f.location.line for f in found if f.location] == lines


@pytest.mark.parametrize("code", ["KD401", "KD402", "KD403", "KD408"])
def test_pinned_images_pass(code: str) -> None:
    """A file whose images all have digests is clean."""
    assert [p.code for p in compute(code, project(f"FROM a:1@{A}\n")).passed] == [code]


@pytest.mark.parametrize("code", ["KD401", "KD402", "KD403", "KD404", "KD405", "KD406", "KD407", "KD408", "KD410"])
def test_without_images_or_without_looking(code: str) -> None:
    """No image: inapplicable. Nobody looked: skipped."""
    assert compute(code, {"project": {"images": []}}).inapplicable
    assert compute(code, {}).skipped[0].reason.startswith("project.images")


def test_places_and_identity() -> None:
    """The location has line, column and the line's text; the fingerprint is the same under another tag."""
    one = compute("KD403", project("FROM --platform=linux/amd64 python:3.11\n")).findings[0]
    other = compute("KD403", project("# moved\nFROM python:3.12\n")).findings[0]
    assert one.location is not None
    assert (one.location.path, one.location.line, one.location.column) == ("Dockerfile", 1, 29)
    assert one.fingerprint == other.fingerprint


def test_the_syntax_image_is_a_note() -> None:
    """It is no part of what is built."""
    (finding,) = compute("KD403", project(f"# syntax=docker/dockerfile:1\nFROM a@{A}\n")).findings
    assert finding.severity == Severity.INFO


def test_a_bare_name_in_onbuild_may_be_a_stage() -> None:
    """The stages of the child are not known here."""
    (finding,) = compute("KD401", project(f"FROM a@{A}\nONBUILD COPY --from=tools a b\n")).findings
    assert finding.confidence == Confidence.LOW


def test_an_unresolvable_image_names_the_variable() -> None:
    """And the option that gives it a value."""
    (finding,) = compute("KD408", project("ARG TAG\nFROM python:$TAG\n")).findings
    assert "--build-arg TAG=" in finding.fix
    assert finding.severity == Severity.ERROR


def test_an_image_chosen_outside_the_file_is_not_judged() -> None:
    """Its class is open."""
    row = {"reference": "x:", "raw": "x:${T}", "pinned": "open", "path": "c.yml", "line": 1, "use": "compose"}
    for code in ("KD401", "KD402", "KD403", "KD408"):
        assert not compute(code, {"project": {"images": [row]}}).findings


def test_rows_of_others_are_classed_by_their_reference() -> None:
    """A snapshot that another program wrote may lack ``pinned``, and everything else."""
    rows = [{"reference": "python:3.11"}, {"reference": "Python"}, {"raw": 1}, {"reference": "a", "line": "x"}]
    snapshot = {"project": {"images": rows}}
    assert [len(compute(code, snapshot).findings) for code in ("KD401", "KD403", "KD408")] == [1, 1, 1]


def test_a_tag_that_moved_on_from_its_digest() -> None:
    """KD404 where the tag names another digest now; silent where it is the same; skipped where nobody asked."""
    text = f"FROM python:3.11@{A}\n"
    assert compute("KD404", project(text, {"tag_digest": B})).findings[0].severity == Severity.INFO
    assert compute("KD404", project(text, {"tag_digest": A})).passed
    assert compute("KD404", project(text)).skipped[0].would_help
    assert compute("KD404", project(f"FROM python@{A}\n")).inapplicable


def test_a_digest_that_the_registry_does_not_have() -> None:
    """KD405, an error; no access is no evidence."""
    text = f"FROM python@{A}\n"
    assert compute("KD405", project(text, {"digest_exists": False, "outcome": "not-found"})).findings
    assert compute("KD405", project(text, {"digest_exists": True})).passed
    refused = compute("KD405", project(text, {"outcome": "no-access"}))
    assert "no-access" in refused.skipped[0].reason
    late = compute("KD405", project(text, {"outcome": "no-network", "why": "no answer within 2 s in all"}))
    assert late.skipped[0].reason.endswith("no answer within 2 s in all")


def test_a_digest_of_one_platform() -> None:
    """KD406 where the tag offers several; an index, one platform in all, and a platform that is meant are fine."""
    text = f"FROM python:3.11@{A}\n"
    many = {"platforms": ["linux/amd64", "linux/arm64"]}
    (finding,) = compute("KD406", project(text, {"media_type": MANIFEST, **many})).findings
    assert "python:3.11 is pinned to one platform; its tag offers 2" in finding.message
    assert compute("KD406", project(text, {"media_type": INDEX, **many})).passed
    assert compute("KD406", project(text, {"media_type": MANIFEST, "platforms": ["linux/amd64"]})).passed
    assert compute(
        "KD406", project(f"FROM --platform=linux/amd64 python:3.11@{A}\n", {"media_type": MANIFEST})
    ).inapplicable
    assert compute("KD406", project(text)).skipped


def test_a_tag_that_moved() -> None:
    """KD407 against what was recorded before; the evidence says by whom; unrecorded images are inapplicable."""
    recorded = {"digest": A, "source": "kdoctor.lock"}
    (finding,) = compute("KD407", project("FROM python:3.11\n", {"tag_digest": B}, recorded=recorded)).findings
    assert "kdoctor.lock" in finding.message
    assert compute("KD407", project("FROM python:3.11\n", {"tag_digest": A}, recorded=recorded)).passed
    assert compute("KD407", project("FROM python:3.11\n", {"tag_digest": A})).inapplicable
    assert compute("KD407", project("FROM python:3.11\n", None, recorded=recorded)).skipped


def test_an_image_that_is_gone() -> None:
    """KD410 where the registry has no such tag; no access is said apart."""
    text = "FROM python:0.1\n"
    assert compute("KD410", project(text, {"outcome": "not-found"})).findings[0].severity == Severity.ERROR
    assert compute("KD410", project(text, {"outcome": "ok"})).passed
    assert compute("KD410", project(text, {"outcome": "no-network"})).skipped
