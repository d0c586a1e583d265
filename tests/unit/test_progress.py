"""A bar for what takes longer than a second: on a terminal, and only there."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WAIT = "import time; from doctor.progress import Progress\nwith Progress('looking', {}): time.sleep({})"


def on_a_terminal(options: str, seconds: float) -> str:
    """What a wait shows on a terminal."""
    main, side = pty.openpty()
    try:
        env = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "80"}
        command = [sys.executable, "-c", WAIT.format(options, seconds)]
        with subprocess.Popen(command, env=env, stderr=side) as child:
            os.close(side)
            shown = b""
            while True:
                try:
                    part = os.read(main, 65536)
                except OSError:  # the other side is closed
                    break
                if not part:
                    break
                shown += part
            child.wait(30)
        return shown.decode()
    finally:
        os.close(main)


@pytest.mark.parametrize(("options", "counted"), [("None", True), ("counted=False", False)])
def test_a_wait_is_shown_after_a_second(options: str, counted: bool) -> None:
    """With its name; with bytes where bytes are counted, and never "0 bytes" where nothing is."""
    shown = on_a_terminal(options, 2.0)
    assert "looking" in shown
    assert ("bytes" in shown) is counted


def test_what_is_over_at_once_shows_nothing() -> None:
    """No flicker."""
    assert on_a_terminal("None", 0.0) == ""


def test_what_is_no_terminal_sees_nothing() -> None:
    """A log of CI holds no bars."""
    command = [sys.executable, "-c", WAIT.format("None", 1.5)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert subprocess.run(command, env=env, capture_output=True, check=True).stderr == b""
