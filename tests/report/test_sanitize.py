"""Strings from outside, made harmless for each place that they go to."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doctor.report import sanitize


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain é 日本 😀", "plain é 日本 😀"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("bell\x07 back\x08 del\x7f", r"bell\x07 back\x08 del\x7f"),
        ("\x9b31m", r"\x9b31m"),
        ("two\r\nlines\tand a tab", "two lines and a tab"),
        ("gnp\u202eexe", r"gnp\u202eexe"),
        ("zero\u200bwidth\ufeff", r"zero\u200bwidth\ufeff"),
        ("tag\U000e0041", r"tag\U000e0041"),
        ("name\udc80", r"name\udc80"),
        ("##[error]x", r"#\#[error]x"),
        ("a ##vso[task.complete]", r"a #\#vso[task.complete]"),
        ("## heading", "## heading"),
    ],
)
def test_a_line_shows_what_would_act(raw: str, shown: str) -> None:
    """Controls, overrides, invisible characters and runner commands become visible; the rest stays."""
    assert sanitize.line(raw) == shown


def test_a_very_long_string_is_cut_and_the_cut_is_shown() -> None:
    """A megabyte in a label does not fill the screen."""
    assert sanitize.line("x" * 1_000_000) == "x" * sanitize.MAX_TEXT + "…"


@given(st.text())
def test_no_line_acts_whatever_is_in_it(text: str) -> None:
    """For any text at all: one line, printable or blank, no command, and the same when done twice."""
    line = sanitize.line(text)
    assert "\n" not in line
    assert "\x1b" not in line
    assert not any(0x7F <= ord(c) < 0xA0 or ord(c) < 0x20 or 0xD800 <= ord(c) < 0xE000 for c in line)
    assert sanitize.line(line) == line
    line.encode()


@given(st.text())
def test_json_says_the_same_after_escaping(text: str) -> None:
    """For any text that JSON can hold, reading the escaped document gives the text."""
    assert json.loads(sanitize.json_text(json.dumps({"a": text}, ensure_ascii=False))) == {"a": text}


@pytest.mark.parametrize("start", ["", "  ", "     "])
def test_no_line_of_a_screen_starts_a_workflow_command(start: str) -> None:
    """Runners trim a line before they look at it, so blanks do not help."""
    assert sanitize.screen(f"one\n{start}::error::x\n").splitlines()[1] == f"{start}:\\:error::x"
    assert sanitize.screen("a::b\n") == "a::b\n"


def test_ascii_keeps_our_own_signs_readable() -> None:
    """Marks and dashes have an ASCII form; other characters are escapes."""
    assert sanitize.ascii_only("✓ ✗ – × … → ≥ ñ") == r"+ x - x ... -> >= \xf1"


def test_a_source_line_keeps_its_columns() -> None:
    """Each tab is one blank."""
    assert sanitize.source("\tFROM\t\tx") == " FROM  x"
