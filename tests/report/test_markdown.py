"""Markdown: a comment that fits, and in which nothing from outside is markup."""

from __future__ import annotations

import re

import msgspec
import pytest

from doctor.model.report import CaseRow, LogRemark, Note, Report, Severity, Skip, SubjectRow
from doctor.report import markdown, render, sanitize
from doctor.report.context import Context

COMMENT = r"""<!-- kdoctor report -->
## kdoctor: failed

**Gate failed: 1 finding at or above error (--fail-on error)**

2 findings: 1 error, 1 warning. 6 rules: 2 passed, 2 failed, 1 skipped, 1 inapplicable.

### Findings

- **error KD201** TensorFlow cannot load cuDNN (`host`)
  - found: no libcudnn.so.9 in the 14 folders that the loader searches
  - expected: cuDNN 9.3 or a later 9.x
  - effect: TensorFlow trains on the CPU and says so in one log line
  - fix: pip install 'tensorflow\[and-cuda\]==2.21.0'
- **warning KD403** base image is not pinned to a digest (`Dockerfile:1:6`)
  - effect: this tag can move
  - fix: kdoctor pin Dockerfile --write

<details><summary>1 rule skipped</summary>

- KD108: machine.gpus: not known. Would help: kdoctor snapshot

</details>
"""


def test_the_comment_reads_as_designed(report: Report) -> None:
    """Verdict, totals, gate, findings with their fixes, skips folded away."""
    assert render("markdown", report, Context()) == COMMENT


def test_drift_and_changes_stand_in_it(compared: Report) -> None:
    """The mechanism, accuracy with its interval, the cause with its suspects, and a table of what differs."""
    text = render("markdown", compared, Context())
    assert "- **Mechanism** default-changed: a framework default changed" in text
    assert "drift: -0.0199 (90 % interval -0.0241 to -0.0157), 0.9290 → 0.9091" in text
    assert r"initializer: glorot\_uniform → he\_normal; suspects: keras 2.15.0 → 2.15.1" in text
    assert "| package | keras | 2.15.0 | 2.15.1 |" in text
    assert r"| environment | TF\_ENABLE\_ONEDNN\_OPTS | – | 0 |" in text


def test_the_sentence_that_matters_opens_it(compared: Report) -> None:
    """What accuracy does, and because of what, stands above the totals and only there."""
    text = render("markdown", compared, Context())
    assert text.splitlines()[3].startswith(r"**accuracy -1.99 % (90 % interval -2.41 % to -1.57 %), because Dense's")
    assert text.count("because Dense") == 1


def test_infos_and_the_log_are_folded_away(report: Report) -> None:
    """They fail nothing; an info that the policy denies is not folded."""
    info = msgspec.structs.replace(report.findings[1], severity=Severity.INFO)
    row = LogRemark("Could not find TensorRT", "TensorRT is optional", True)
    changed = msgspec.structs.replace(report, findings=(report.findings[0], info), log=(row,))
    text = render("markdown", changed, Context())
    assert "<summary>1 info</summary>\n\n- **info KD403**" in text
    assert "- `Could not find TensorRT`: harmless, TensorRT is optional" in text
    denied = render("markdown", msgspec.structs.replace(changed, denied=("KD403",)), Context())
    assert denied.index("**info KD403**") < denied.index("<details>")


def test_skips_are_grouped_by_what_they_lack(report: Report) -> None:
    """One line a reason: which rules, on what, what would help."""
    rows = [Skip(code, "n", on, None, "project.images: not known") for code in ("KD401", "KD402") for on in "ab"]
    subjects = (SubjectRow("host", "a"), SubjectRow("host", "b"))
    text = render("markdown", msgspec.structs.replace(report, skipped=tuple(rows), subjects=subjects), Context())
    assert "<summary>4 rules skipped</summary>\n\n- KD401 KD402 on a, b: project.images: not known.\n\n" in text


@pytest.mark.parametrize("limit", [2_000, 10_000, markdown.MAX_COMMENT])
def test_a_comment_never_exceeds_the_limit_and_counts_what_it_leaves_out(crowd: Report, limit: int) -> None:
    """The errors that stand last in the report are the first in the comment."""
    text = markdown.compose(crowd, Context(), limit)
    assert len(text.encode()) <= limit
    assert "## kdoctor: failed" in text
    found = re.findall(r"^- \*\*(error|warning)", text, re.MULTILINE)
    assert found[0] == "error"
    left_out = re.search(r"… and (\d+) more findings", text)
    assert left_out
    assert int(left_out[1]) + len(found) == 1000
    assert text.count("<details>") == text.count("</details>")


def test_the_gates_verdicts_stand_in_it(report: Report) -> None:
    """One line an image and machine."""
    cases = (CaseRow("app", "node-a", "fail", ("KD102",)), CaseRow("app", "node-b"))
    comment = render("markdown", msgspec.structs.replace(report, cases=cases), Context())
    assert "### Verdicts\n\n- **app** on node-a: fails by KD102\n- **app** on node-b: passes\n" in comment


def test_what_the_policy_denies_comes_first(report: Report) -> None:
    """A warning that fails the gate is not cut off behind infos and other warnings."""
    other = msgspec.structs.replace(report.findings[1], code="KD601", name="dependency-unpinned")
    changed = msgspec.structs.replace(report, findings=(other, report.findings[1]), denied=("KD403",))
    comment = render("markdown", changed, Context())
    assert comment.index("KD403") < comment.index("KD601")


def test_what_could_not_be_looked_at_comes_before_the_findings(report: Report) -> None:
    """A reader must not take the list of findings for everything."""
    text = render("markdown", msgspec.structs.replace(report, notes=(Note("canary", "no interpreter"),)), Context())
    assert text.index("- canary: no interpreter") < text.index("### Findings")


def test_nothing_from_outside_is_markup(hostile: Report) -> None:
    """No HTML, no link, no picture, nobody mentioned, no issue referred to, no second heading."""
    text = render("markdown", hostile, Context())
    bare = re.sub(r"`+[^`]*`+", "", text.replace(r"\`", ""))
    assert "<script" not in bare
    assert "<img" not in bare
    assert not re.search(r"(?<!\\)\]\(", bare)
    assert not re.search(r"[@#]\w", bare)
    assert not re.search(r"(?<!\\):?(?<!\\):\/\/", bare)
    assert not re.search(r"www\.", bare)
    assert set(re.findall(r"^#+ .*", text, re.MULTILINE)) == {
        "## kdoctor: failed",
        "### Not looked at",
        "### Verdicts",
        "### Drift",
        "### Findings",
        "### Changes",
    }


@pytest.mark.parametrize("raw", ["`", "``a`", "a`b", " x ", "", "a|b"])
def test_a_code_span_ends_where_it_should(raw: str) -> None:
    """The fence is longer than any run of backticks inside."""
    span = sanitize.markdown_code(raw)
    fence = re.match("`+", span)
    assert fence
    assert span.endswith(fence[0])
    assert fence[0] not in span[len(fence[0]) : -len(fence[0])]


@pytest.mark.parametrize("raw", ["1. one", "- item", "+ item", "# heading", "=====", "12) x", "> quote", "~~~"])
def test_the_beginning_of_a_line_means_nothing(raw: str) -> None:
    """No list, heading, quote or fence begins with a string from outside."""
    assert re.match(r"\\|&gt;|\d+\\", sanitize.markdown(raw))
