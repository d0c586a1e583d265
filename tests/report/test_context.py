"""What a terminal can show."""

from __future__ import annotations

import io
from typing import Any

import pytest

from doctor.report.context import Context, for_settings, terminal
from doctor.settings import Settings


class Terminal(io.StringIO):
    """A stream that says it is a terminal, of a given encoding."""

    def __init__(self, encoding: str = "utf-8", tty: bool = True) -> None:
        super().__init__()
        self._encoding, self._tty = encoding, tty

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding

    def isatty(self) -> bool:
        return self._tty


@pytest.mark.parametrize(
    ("tty", "option", "environ", "color"),
    [
        (True, "auto", {}, True),
        (False, "auto", {}, False),
        (True, "auto", {"NO_COLOR": "1"}, False),
        (True, "auto", {"TERM": "dumb"}, False),
        (False, "auto", {"FORCE_COLOR": "1"}, True),
        (False, "always", {"NO_COLOR": "1"}, True),
        (True, "never", {"FORCE_COLOR": "1"}, False),
    ],
)
def test_when_there_is_colour(tty: bool, option: str, environ: dict[str, str], color: bool) -> None:
    """The option wins, then NO_COLOR, then FORCE_COLOR, then whether it is a terminal that can."""
    assert terminal(Terminal(tty=tty), option, environ)["color"] is color


@pytest.mark.parametrize(
    ("encoding", "unicode"), [("utf-8", True), ("UTF8", True), ("ascii", False), ("latin-1", False)]
)
def test_signs_beyond_ascii_need_utf8(encoding: str, unicode: bool) -> None:
    """Elsewhere the report is ASCII."""
    assert terminal(Terminal(encoding), environ={})["unicode"] is unicode


def test_what_is_no_terminal_has_a_hundred_columns() -> None:
    """A file reads the same wherever it was written."""
    assert terminal(Terminal(tty=False), environ={})["width"] == 100


def test_settings_become_a_context() -> None:
    """Switches are taken over, and the header is added."""
    settings = Settings(fail_on="warning", quiet=True, verbose=True, show_skipped=True, color="always")
    more: dict[str, Any] = {"header": ("host",), "seconds": 0.5}
    context = for_settings(settings, "--fail-on warning", Terminal(tty=False), **more)
    assert context == Context(
        color=True,
        quiet=True,
        verbose=True,
        show_skipped=True,
        header=("host",),
        seconds=0.5,
        fail_on="warning",
        gate="--fail-on warning",
    )
