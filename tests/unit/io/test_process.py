"""The door to other processes, tried with real children that hang, flood, die and leave descendants behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from doctor.io import process
from doctor.io.process import CannotStart, Result, run


def python(code: str, *, timeout: float = 10.0, data: bytes = b"", **options: object) -> Result:
    return run([sys.executable, "-I", "-S", "-c", code], timeout=timeout, input=data, **options)  # type: ignore[arg-type]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] != "Z"


def test_both_outputs_and_the_exit_status_are_returned() -> None:
    """A normal child's stdout, stderr and status arrive, and a status other than 0 is a failure in words."""
    result = python("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)")
    assert (result.stdout, result.stderr, result.returncode) == (b"out\n", b"err\n", 3)
    assert not result.ok
    assert result.failure(10) == "ended with exit status 3"


def test_a_large_input_is_echoed_without_a_deadlock() -> None:
    """Ten megabytes in and out at once do not block on full pipes."""
    data = os.urandom(10_000_000)
    result = python("import sys; sys.stdout.buffer.write(sys.stdin.buffer.read())", data=data)
    assert result.ok
    assert result.stdout == data


def test_a_child_that_never_reads_its_input_still_answers() -> None:
    """A closed stdin is the child's affair."""
    result = python("import os; os.close(0); print('here')", data=b"x" * 1_000_000)
    assert result.stdout == b"here\n"
    assert result.ok


def test_a_hanging_child_is_killed_at_the_limit() -> None:
    """The limit holds, what was said before it is kept, and the words name the limit."""
    result = python("import time; print('begun', flush=True); time.sleep(60)", timeout=0.5)
    assert result.timed_out
    assert result.stdout == b"begun\n"
    assert 0.4 < result.seconds < 3
    assert result.failure(0.5) == "did not answer within 0.5 s"


def test_a_child_that_closes_its_outputs_and_hangs_is_killed_too() -> None:
    """End of file on both pipes is not the end of the process."""
    result = python("import os, time; os.close(1); os.close(2); time.sleep(60)", timeout=0.5)
    assert result.timed_out
    assert result.seconds < 3


def test_descendants_do_not_outlive_the_run(tmp_path: Path) -> None:
    """A grandchild that holds the pipes is killed, and its parent's answer is not waited for until the time limit."""
    note = tmp_path / "pid"
    code = (
        "import subprocess, sys\n"
        "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"open({str(note)!r}, 'w').write(str(p.pid)); print('done')"
    )
    result = python(code, timeout=20)
    assert result.ok
    assert result.stdout == b"done\n"
    assert result.seconds < 10
    deadline = time.monotonic() + 5
    while is_alive(int(note.read_text())) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_alive(int(note.read_text()))


def test_output_is_bounded() -> None:
    """A child that prints for ever is stopped at the limit and keeps no more than that in memory."""
    result = python("while True: print('x' * 1000)", max_output=50_000)
    assert result.truncated
    assert not result.timed_out
    assert len(result.stdout) + len(result.stderr) == 50_000
    assert result.failure(10) == "wrote more than the output limit"


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT", "SIGKILL", "SIGILL"])
def test_death_by_a_signal_has_its_name(name: str) -> None:
    """A child that a signal ends has no exit status but the signal's name."""
    result = python(f"import os, signal; os.kill(os.getpid(), signal.{name})")
    assert (result.returncode, result.signal) == (None, name)
    assert result.failure(1) == f"died by {name}"


@pytest.mark.parametrize("kind", ["missing", "not executable", "a folder", "not a program"])
def test_what_cannot_be_started_is_one_clear_line(tmp_path: Path, kind: str) -> None:
    """A program that is missing or none is named together with the reason."""
    path = tmp_path / "python3"
    if kind == "a folder":
        path.mkdir()
    elif kind != "missing":
        path.write_bytes(b"\x00\x01\x02 garbage")
        path.chmod(0o755 if kind == "not a program" else 0o644)
    if kind == "not executable" and os.access(path, os.X_OK):
        pytest.skip("this user may execute everything")
    with pytest.raises(CannotStart, match=r"python3: cannot be started: ") as caught:
        run([str(path)], timeout=1)
    assert "\n" not in str(caught.value)


def test_environment_and_folder_are_the_given_ones(tmp_path: Path) -> None:
    """`env` replaces the environment, and `cwd` is where the child runs."""
    result = python("import os; print(sorted(os.environ), os.getcwd())", env={"KEPT": "1"}, cwd=tmp_path)
    assert b"KEPT" in result.stdout
    assert b"HOME" not in result.stdout
    assert str(tmp_path).encode() in result.stdout


def test_stderr_is_handed_on_while_the_child_still_runs() -> None:
    """What a child says on stderr is seen before it ends, and stays in the result."""
    heard: list[tuple[bytes, float]] = []
    code = "import sys, time; sys.stderr.write('first\\n'); sys.stderr.flush(); time.sleep(0.6)"
    begun = time.monotonic()
    result = python(code, on_stderr=lambda piece: heard.append((piece, time.monotonic() - begun)))
    assert b"".join(piece for piece, _ in heard) == result.stderr == b"first\n"
    assert heard[0][1] < result.seconds - 0.4


def test_what_is_written_just_before_the_end_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine: between a look at the pipes that found nothing and the look at the child, it answers and ends."""
    real = process._ended

    def late(child: subprocess.Popen[bytes], seconds: float) -> bool:
        return real(child, 5.0) if seconds == 0 else real(child, seconds)

    monkeypatch.setattr(process, "_ended", late)
    result = run([sys.executable, "-c", "import time; time.sleep(0.4); print('answer')"], timeout=20)
    assert (result.stdout, result.returncode) == (b"answer\n", 0)
