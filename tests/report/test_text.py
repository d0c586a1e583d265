"""The screen: what a person reads, and what it never does."""

from __future__ import annotations

import re

import msgspec
import pytest

from doctor.model.report import Evidence, Finding, Location, MachineRow, Note, Report, Severity, SubjectRow, Suppressed
from doctor.report import render
from doctor.report.context import Area, Context

SCREEN = """\
kdoctor 0.1.0  host trainer-03  python .venv (3.12.1)  project .  tables 2026-11-21

  ✓ Driver        NVIDIA 570.133.20, up to CUDA 12.8
  ✗ TensorFlow    2.21.0 for CUDA 12.5 and cuDNN 9.3, which it cannot load
  – Canary        not run: kdoctor canary

error[KD201] TensorFlow cannot load cuDNN
  --> host
   = found     no libcudnn.so.9 in the 14 folders that the loader searches
   = expected  cuDNN 9.3 or a later 9.x
   = effect    TensorFlow trains on the CPU and says so in one log line
   = fix       pip install 'tensorflow[and-cuda]==2.21.0'

warning[KD403] base image is not pinned to a digest
  --> Dockerfile:1:6
    |
  1 | FROM tensorflow/tensorflow:2.21.0-gpu AS build
    |      ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ this tag can move
   = fix       kdoctor pin Dockerfile --write

2 findings: 1 error, 1 warning.
6 rules: 2 passed, 2 failed, 1 skipped (--show-skipped), 1 inapplicable
Gate failed: 1 finding at or above error (--fail-on error)
exit code 1, 0.41 s
"""

HEAD = Context(
    header=("host trainer-03", "python .venv (3.12.1)", "project ."),
    areas=(
        Area("ok", "Driver", "NVIDIA 570.133.20, up to CUDA 12.8"),
        Area("error", "TensorFlow", "2.21.0 for CUDA 12.5 and cuDNN 9.3, which it cannot load"),
        Area("none", "Canary", "not run: kdoctor canary"),
    ),
    seconds=0.41,
)


def text(report: Report, **context: object) -> str:
    return render("text", report, Context(**context))  # type: ignore[arg-type]


def plain(screen: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", screen)


def test_the_screen_reads_as_designed(report: Report) -> None:
    """Header, areas, one block a finding, totals, the gate with its option, exit code and time."""
    assert render("text", report, HEAD) == SCREEN


def test_colour_adds_nothing_but_colour(report: Report) -> None:
    """Without its colours a coloured screen is the plain one: colour never carries meaning alone."""
    coloured = render("text", report, msgspec.structs.replace(HEAD, color=True))
    assert "\x1b[1;31m" in coloured
    assert plain(coloured) == SCREEN


def test_without_utf8_the_screen_is_ascii(report: Report) -> None:
    """The same lines in ASCII; what has no ASCII form is shown as an escape."""
    report = msgspec.structs.replace(report, notes=(Note("naïve", "日本"),))
    screen = render("text", report, msgspec.structs.replace(HEAD, unicode=False))
    assert screen.isascii()
    assert "  + Driver        NVIDIA" in screen
    assert "  x TensorFlow" in screen
    assert r"na\xefve: \u65e5\u672c" in screen


@pytest.mark.parametrize("width", [60, 80, 100])
def test_lines_fit_the_width(report: Report, width: int) -> None:
    """Long sentences wrap under their own text."""
    long = msgspec.structs.replace(report.findings[0], message="word " * 60, effect="effect " * 50, fix="do this " * 30)
    report = msgspec.structs.replace(
        report, findings=(long, report.findings[1]), notes=(Note("x", "y " * 90),), changes=()
    )
    python = "python .venv (3.11.7; kdoctor's own environment, which holds TensorFlow or Keras), not " + "old " * 20
    context = msgspec.structs.replace(HEAD, header=("host x", python), width=width, show_skipped=True, verbose=True)
    screen = render("text", report, context)
    assert max(len(line) for line in screen.splitlines()) <= width
    assert "\n               effect" in screen


def test_a_path_or_command_that_is_too_long_stays_whole(report: Report) -> None:
    """It can still be copied."""
    command = "/very/long" * 20
    finding = msgspec.structs.replace(report.findings[0], fix=f"run {command} now")
    assert command in text(msgspec.structs.replace(report, findings=(finding,)))


def test_quiet_leaves_findings_and_verdict(report: Report) -> None:
    """-q: no header and no areas; findings, totals and gate stay."""
    screen = render("text", report, msgspec.structs.replace(HEAD, quiet=True))
    assert screen.startswith("error[KD201]")
    assert "Driver" not in screen
    assert "Gate failed" in screen


def test_skips_are_listed_with_reason_and_help(report: Report) -> None:
    """--show-skipped says what was not judged, why, and what would help; the hint at it goes away."""
    screen = text(report, show_skipped=True)
    assert "  – KD108 ptx-newer-than-driver: machine.gpus: not known\n      would help: kdoctor snapshot\n" in screen
    assert "(--show-skipped)" not in screen


def test_both_sides_of_one_thing_are_one_line(report: Report) -> None:
    """What a comparison found of a and b stands side by side, and not again where the message lists it."""
    rows = (Evidence("a.software.keras.version", "2.15.0"), Evidence("b.software.keras.version", "3.15.1"))
    finding = msgspec.structs.replace(report.findings[0], evidence=rows)
    shown = text(msgspec.structs.replace(report, findings=(finding,)))
    assert "= found     keras.version 2.15.0 → 3.15.1\n" in shown
    listed = msgspec.structs.replace(finding, message="Keras changed: keras.version 2.15.0 → 3.15.1")
    assert "found" not in text(msgspec.structs.replace(report, findings=(listed,))).split("-->")[1].split("effect")[0]


def test_verbose_shows_all_evidence_and_every_outcome(report: Report) -> None:
    """-v: each fact with its whole path and source, certainty, passed and inapplicable rules."""
    facts = tuple(Evidence(f"machine.fact{n}", n, "nvml") for n in range(8))
    report = msgspec.structs.replace(
        report, findings=(msgspec.structs.replace(report.findings[0], evidence=facts), report.findings[1])
    )
    short, long = text(report), text(report, verbose=True)
    assert "fact5 5 (nvml)" in short
    assert "fact6" not in short
    assert "and 2 more (-v)" in short
    assert "machine.fact5 5 (nvml)" in long
    assert "= certainty high" in long
    assert "Passed: KD101 KD102" in long
    assert "Inapplicable (no WSL): KD105" in long


def test_a_finding_names_what_it_follows_from(report: Report) -> None:
    """The root cause is named with its name."""
    after = msgspec.structs.replace(report.findings[1], caused_by=("KD201",))
    screen = text(msgspec.structs.replace(report, findings=(report.findings[0], after)))
    assert "   = cause     KD201 cuda-library-missing\n" in screen


def test_many_subjects_have_a_line_each_and_equal_findings_one_block(fleet: Report) -> None:
    """A fleet is readable: what is the same on many nodes is said once, with the nodes."""
    screen = text(fleet)
    assert "  ✗ node-a   1 error\n  ✗ node-b   1 error, 1 warning\n" in screen
    assert "  ✓ node-d   nothing found, 1 rule skipped\n" in screen
    assert screen.count("error[KD201]") == 1
    assert "  --> node-a, node-b, node-c\n" in screen
    assert "  --> node-b: Dockerfile:1:6\n" in screen
    assert "3 rules on 4 subjects" not in screen
    assert "4 rules on 4 subjects: 4 passed, 4 failed, 1 skipped" in screen


def test_of_very_many_subjects_those_with_findings_are_listed(fleet: Report) -> None:
    """The rest is counted."""
    rows = tuple(SubjectRow("host", f"ok-{n}") for n in range(500))
    screen = text(msgspec.structs.replace(fleet, subjects=(*fleet.subjects, *rows)))
    assert "node-a" in screen
    assert "ok-7" not in screen
    assert "and 501 more subjects" in screen


def test_a_machine_is_named_beside_its_subject(report: Report) -> None:
    """An image judged for several nodes says for which; with one node the header says it."""
    finding = msgspec.structs.replace(report.findings[0], subject="app", machine="prod-node")
    report = msgspec.structs.replace(report, findings=(finding,), subjects=(SubjectRow("image", "app"),))
    nodes = (MachineRow("prod-node"), MachineRow("test-node"))
    assert "  --> app on prod-node\n" in text(msgspec.structs.replace(report, machines=nodes))
    assert "app on prod-node: error" in render("concise", msgspec.structs.replace(report, machines=nodes), Context())
    assert "  --> app\n" in text(msgspec.structs.replace(report, machines=nodes[:1]))


@pytest.mark.parametrize(
    ("change", "fail_on", "line"),
    [
        ({"findings": (), "verdict": "pass"}, "error", "Gate passed: no finding at or above error (--fail-on error)"),
        ({"verdict": "pass"}, "never", "Gate passed: nothing fails the run (--fail-on never)"),
        (
            {"findings": (), "verdict": "incomplete", "incomplete": True},
            "error",
            "Gate incomplete: no finding at or above error, and not all that was asked for could be looked at",
        ),
        (
            {"incomplete": True},
            "warning",
            "Gate failed: 2 findings at or above warning, and not all that was asked for",
        ),
    ],
)
def test_the_gate_line_says_what_decided(report: Report, change: dict[str, object], fail_on: str, line: str) -> None:
    """The verdict, the level, and the option."""
    screen = text(msgspec.structs.replace(report, **change), fail_on=fail_on, gate=f"--fail-on {fail_on}")
    assert line in screen.replace("\n  ", " ")


def test_no_findings_is_said_and_skips_are_still_counted(report: Report) -> None:
    """A clean run does not hide what was not judged, nor what is suppressed."""
    row = Suppressed("KD403", "host", "soon")
    screen = text(msgspec.structs.replace(report, findings=(), suppressed=(row,), verdict="pass", exit_code=0))
    assert "No findings. 1 suppressed.  5 rules: 2 passed, 0 failed, 1 suppressed, 1 skipped (--show-skipped)" in (
        screen.replace("\n", "  ").replace("    ", "  ")
    )


def test_what_could_not_be_looked_at_is_listed(report: Report) -> None:
    """A named target that could not be had stands before the totals, with its reason."""
    screen = text(msgspec.structs.replace(report, notes=(Note("b.json", "b.json: not JSON"),)))
    assert "Not looked at\n  ! b.json: b.json: not JSON\n" in screen


def test_changes_between_two_environments_are_a_table(report: Report) -> None:
    """One line a change, with both sides; a side that has nothing is a dash; none is said."""
    rows = (
        {"what": "package", "name": "keras", "a": "2.15.0", "b": "3.15.1"},
        {"what": "environment", "name": "TF_ENABLE_ONEDNN_OPTS", "a": None, "b": "0"},
    )
    screen = text(msgspec.structs.replace(report, changes=rows))
    assert "  package      keras                  2.15.0 → 3.15.1\n" in screen
    assert "  environment  TF_ENABLE_ONEDNN_OPTS  – → 0\n" in screen
    assert "Nothing differs" in text(msgspec.structs.replace(report, changes=()))


def test_carets_stand_under_what_is_meant() -> None:
    """Tabs, control characters and a long line do not move them."""
    source = "\t\x1b[31mFROM\t" + "x" * 30 + "python:3.11   # why"
    column = source.index("python") + 1
    finding = Finding(
        "m",
        code="KD403",
        severity=Severity.WARNING,
        subject="host",
        effect="e" * 60,
        location=Location("Dockerfile", 12, column, text=source),
    )
    screen = text(Report(subjects=(SubjectRow("host", "host"),), findings=(finding,)))
    shown, carets = screen.splitlines()[5:7]
    start = carets.index("^")
    assert shown[start : start + carets.count("^")] == "python:3.11"
    assert r"\x1b[31mFROM" in shown
    assert "   = effect    " + "e" * 60 in screen


def test_source_that_is_cut_says_so() -> None:
    """Nobody takes the part that fits for the whole line."""
    line = "model.compile(optimizer=keras.optimizers.Adam(lr=1e-3), loss='mse')"
    finding = Finding("m", code="KD715", subject="host", location=Location("train.py", 3, 1, text=line))
    report = Report(subjects=(SubjectRow("host", "host"),), findings=(finding,))
    shown = next(row for row in text(report, width=60).splitlines() if row.startswith("  3 |"))
    assert (len(shown), shown[-1]) == (60, "…")
    assert f"  3 | {line}\n" in text(report, width=80)


HOSTILE = (
    "\x1b]0;owned\x07\x1b[2J\r\n::error::fake\u202egnp.exe\u200b##[error]fake ##vso[task.setvariable x]\x9b31m\udc80"
)


def test_no_string_from_outside_reaches_the_terminal_raw(report: Report) -> None:
    """Every field of a report may be hostile: no control character, override or workflow command comes out."""
    finding = Finding(
        HOSTILE,
        code="KD403",
        name=HOSTILE,
        severity=Severity.ERROR,
        subject=HOSTILE,
        machine=HOSTILE,
        effect=HOSTILE,
        fix=HOSTILE,
        verify=HOSTILE,
        thing=HOSTILE,
        evidence=(Evidence(HOSTILE, {HOSTILE: [HOSTILE]}, HOSTILE), Evidence("expected", HOSTILE)),
        location=Location(HOSTILE, 1, 1, text=HOSTILE),
        caused_by=("KD403",),
    )
    report = msgspec.structs.replace(
        report,
        tool={"version": "0.1.0", "tables": HOSTILE},
        findings=(finding,),
        subjects=(SubjectRow("host", HOSTILE), SubjectRow("image", HOSTILE + "2")),
        notes=(Note(HOSTILE, HOSTILE),),
        skipped=(msgspec.structs.replace(report.skipped[0], reason=HOSTILE, would_help=HOSTILE, subject=HOSTILE),),
        inapplicable=(msgspec.structs.replace(report.inapplicable[0], reason=HOSTILE),),
        changes=({"what": HOSTILE, "name": HOSTILE, "a": HOSTILE, "b": HOSTILE},),
    )
    context = Context(
        header=(HOSTILE,),
        areas=(Area("ok", HOSTILE, HOSTILE),),
        show_skipped=True,
        verbose=True,
        gate="--fail-on error",
    )
    for name in ("text", "concise"):
        screen = render(name, report, context)
        assert not re.search(
            "[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200b-\u200f\ud800-\udfff]", screen
        )
        assert not re.search(r"^\s*::", screen, re.MULTILINE)
        assert not re.search(r"##\w*\[", screen)
        assert r"\x1b]0;owned" in screen


def _same(code: str, severity: Severity, count: int) -> tuple[Finding, ...]:
    return tuple(
        Finding(
            f"s{n}.py trains without a seed",
            code=code,
            name="seed-unset",
            severity=severity,
            subject="host",
            location=Location(f"s{n}.py", 7, 1),
        )
        for n in range(count)
    )


def test_information_of_many_scripts_does_not_fill_the_screen() -> None:
    """Three are shown in full, the rest with their places in one line; -v shows each; warnings are never folded."""
    report = Report(subjects=(SubjectRow("host", "host"),), findings=_same("KD701", Severity.INFO, 40))
    screen = render("text", report, Context())
    assert screen.count("info[KD701]") == 3
    assert "37 more like it (-v shows each): s3.py:7, s4.py:7" in screen
    assert "and 31 more" in " ".join(screen.split())
    assert "40 findings" in screen
    assert render("text", report, Context(verbose=True)).count("info[KD701]") == 40
    warned = msgspec.structs.replace(report, findings=_same("KD715", Severity.WARNING, 40))
    assert render("text", warned, Context()).count("warning[KD715]") == 40


def test_four_of_a_kind_are_shown() -> None:
    """No line is spent on saying that one more exists."""
    report = Report(subjects=(SubjectRow("host", "host"),), findings=_same("KD701", Severity.INFO, 4))
    assert render("text", report, Context()).count("info[KD701]") == 4
