"""The baseline: known findings, by fingerprint and number."""

from __future__ import annotations

from pathlib import Path

import pytest

from doctor import baseline
from doctor.errors import UsageError
from doctor.model.report import Finding


def finding(mark: str, code: str = "KD403") -> Finding:
    return Finding("x", code=code, name="n", subject="host", fingerprint=mark)


def test_what_is_written_covers_the_same_findings(tmp_path: Path) -> None:
    """A second run with the baseline of the first has nothing left."""
    file = tmp_path / "known.json"
    findings = [finding("v1:a"), finding("v1:b"), finding("v1:a")]
    baseline.write(file, findings)
    standing, covered = baseline.apply(findings, baseline.read(file))
    assert standing == []
    assert [row.reason for _, row in covered] == ["in the baseline"] * 3


def test_one_more_of_the_same_is_new(tmp_path: Path) -> None:
    """A fingerprint covers as many findings as there were, not any number."""
    file = tmp_path / "known.json"
    baseline.write(file, [finding("v1:a")])
    standing, covered = baseline.apply([finding("v1:a"), finding("v1:a"), finding("v1:b")], baseline.read(file))
    assert [f.fingerprint for f in standing] == ["v1:a", "v1:b"]
    assert len(covered) == 1


def test_the_file_is_the_same_whatever_the_order(tmp_path: Path) -> None:
    """A baseline is kept in a repository: its diff shows what changed only."""
    one, two = [finding("v1:b", "KD9"), finding("v1:a", "KD1")], [finding("v1:a", "KD1"), finding("v1:b", "KD9")]
    assert baseline.encode(one) == baseline.encode(two)


def test_without_a_baseline_all_stands() -> None:
    """None means that nobody asked for one."""
    assert baseline.apply([finding("v1:a")], None) == ([finding("v1:a")], [])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not JSON"),
        ("{}", "a kdoctor/snapshot document"),
        ('{"kind": "kdoctor/report"}', "a kdoctor/report document"),
        ('{"kind": "kdoctor/baseline", "schema": 2, "findings": []}', "update kdoctor"),
        ('{"kind": "kdoctor/baseline"}', "findings: expected a list"),
        ('{"kind": "kdoctor/baseline", "findings": [{}]}', r"findings\[0\]"),
        ('{"kind": "kdoctor/baseline", "findings": [{"fingerprint": "a", "count": 0}]}', "a count from 1"),
    ],
)
def test_an_unusable_baseline_is_a_usage_error(tmp_path: Path, text: str, words: str) -> None:
    """Exit code 2: a gate must not pass, or fail, for a file that it could not read."""
    file = tmp_path / "known.json"
    file.write_text(text)
    with pytest.raises(UsageError, match=words) as caught:
        baseline.read(file)
    assert str(caught.value).startswith(str(file))
