"""The one door to other processes: a bounded child in its own process group, never through a shell.

Whatever is started here may be broken or hostile (a patient's interpreter, NVML under a hung driver), so each run has a
limit of time and of output, and a child that cannot even be killed (stuck in the kernel) does not hold up the doctor.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

_CHUNK = 65536
_EXIT_POLL_SECONDS = 0.1
_REAP_SECONDS = 0.5


class CannotStart(Exception):
    """The program could not be started at all; the text says which one and why, in one line."""


@dataclass(frozen=True)
class Result:
    """How a child ended.

    `returncode` is None where a signal ended it, or where it was still there after the kill; `signal` is that signal's
    name ("SIGSEGV"). `timed_out` and `truncated` say that a limit was hit and that the process group was killed for it.
    """

    stdout: bytes
    stderr: bytes
    returncode: int | None
    signal: str | None
    timed_out: bool
    truncated: bool
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether the child ended by itself with exit status 0 and within its limits."""
        return self.returncode == 0 and not self.timed_out and not self.truncated

    def failure(self, limit: float) -> str | None:
        """What went wrong, as words that follow the program's name; None where nothing did. `limit` is in seconds."""
        if self.timed_out:
            return f"did not answer within {limit:g} s"
        if self.truncated:
            return "wrote more than the output limit"
        if self.signal is not None:
            return f"died by {self.signal}"
        if self.returncode != 0:
            return f"ended with exit status {self.returncode}"
        return None


class Runner(Protocol):
    """What callers need of this module; tests hand in a fake, everything else `run`."""

    def __call__(
        self,
        argv: Sequence[str],
        *,
        input: bytes = b"",  # noqa: A002
        timeout: float,
        max_output: int = ...,
        env: Mapping[str, str] | None = None,
        cwd: str | Path | None = None,
    ) -> Result:
        """Run `argv` and return how it ended."""
        ...


def run(
    argv: Sequence[str],
    *,
    input: bytes = b"",  # noqa: A002 -- the name that subprocess.run taught everybody
    timeout: float,
    max_output: int = 32 * 1024 * 1024,
    env: Mapping[str, str] | None = None,
    cwd: str | Path | None = None,
    on_stderr: Callable[[bytes], None] | None = None,
) -> Result:
    """Run a program to its end and return what it wrote.

    `timeout` is in seconds, `max_output` in bytes for stdout and stderr together. `env` replaces the environment (None
    inherits it). `on_stderr` is handed each piece of stderr as it comes, of any length. However it ends, also by an
    exception in the caller (Ctrl-C), what is left of the process group is killed. Raises `CannotStart` where the
    program is missing, not executable or no program.
    """
    started = time.monotonic()
    try:
        child = subprocess.Popen(  # noqa: S603 -- argv is a list and no shell is involved
            list(argv),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=None if env is None else dict(env),
            cwd=cwd,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise CannotStart(f"{argv[0]}: cannot be started: {reason}") from error
    exchange = _Exchange(child, input, started + timeout, max_output, on_stderr)
    try:
        exchange.talk()
        finished = not exchange.over_limit and _ended(child, exchange.deadline - time.monotonic())
    finally:
        # Also after a normal end: a descendant must not outlive the question that it was started for. The child is not
        # reaped before, so its number cannot have passed to somebody else's process group.
        _kill_group(child)
        exchange.close()
    status = child.wait() if _ended(child, _REAP_SECONDS) else None
    return Result(
        stdout=bytes(exchange.stdout),
        stderr=bytes(exchange.stderr),
        returncode=status if status is not None and status >= 0 else None,
        signal=_signal_name(-status) if status is not None and status < 0 else None,
        timed_out=not finished and not exchange.truncated,
        truncated=exchange.truncated,
        seconds=time.monotonic() - started,
    )


class _Exchange:
    """Feeds stdin and gathers both outputs at once, so that no pipe can fill up and block the other side."""

    def __init__(
        self,
        child: subprocess.Popen[bytes],
        data: bytes,
        deadline: float,
        max_output: int,
        on_stderr: Callable[[bytes], None] | None,
    ) -> None:
        self.child = child
        self.on_stderr = on_stderr
        self.pending = memoryview(data)
        self.deadline = deadline
        self.room = max_output
        self.stdout = bytearray()
        self.stderr = bytearray()
        self.truncated = False
        self.over_limit = False
        self.selector = selectors.DefaultSelector()
        assert child.stdin is not None and child.stdout is not None and child.stderr is not None  # noqa: PT018 -- for the type checker
        for stream, sink in ((child.stdout, self.stdout), (child.stderr, self.stderr)):
            self.selector.register(stream, selectors.EVENT_READ, sink)
        if data:
            os.set_blocking(child.stdin.fileno(), False)
            self.selector.register(child.stdin, selectors.EVENT_WRITE)
        else:
            child.stdin.close()

    def talk(self) -> None:
        """Exchange data until both outputs are closed, the child has ended, or a limit is hit."""
        ended = False
        while self.selector.get_map():
            left = self.deadline - time.monotonic()
            if left <= 0:
                self.over_limit = True
                return
            ready = self.selector.select(0 if ended else min(left, _EXIT_POLL_SECONDS))
            if not ready:
                if ended:
                    return  # a descendant still holds the pipes; what it may say later is not the answer
                # What the child wrote between the last look at the pipes and its end is still in them.
                ended = _ended(self.child, 0)
            for key, _ in ready:
                if key.data is None:
                    self._write()
                else:
                    self._read(key.fd, key.fileobj, key.data)
                if self.truncated:
                    self.over_limit = True
                    return

    def _write(self) -> None:
        stdin = self.child.stdin
        assert stdin is not None
        try:
            written = os.write(stdin.fileno(), self.pending[:_CHUNK])
        except BlockingIOError:
            return
        except OSError:  # the child does not want to read it; its answer counts all the same
            written = len(self.pending)
        self.pending = self.pending[written:]
        if not self.pending:
            self.selector.unregister(stdin)
            with contextlib.suppress(OSError):
                stdin.close()

    def _read(self, fd: int, stream: object, sink: bytearray) -> None:
        data = os.read(fd, _CHUNK)
        if not data:
            self.selector.unregister(stream)  # type: ignore[arg-type]
            return
        sink += data[: self.room]
        if sink is self.stderr and self.on_stderr is not None:
            self.on_stderr(data[: self.room])
        self.truncated = len(data) > self.room
        self.room -= min(len(data), self.room)

    def close(self) -> None:
        """Close our ends of the pipes and the selector."""
        self.selector.close()
        for stream in (self.child.stdin, self.child.stdout, self.child.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()


def _ended(child: subprocess.Popen[bytes], seconds: float) -> bool:
    """Whether the child ends within so many seconds; it stays a zombie, so that its number is not given away."""
    deadline, pause = time.monotonic() + seconds, 0.0005
    while os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(pause, left))
        pause = min(pause * 2, 0.02)
    return True


def _kill_group(child: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(OSError):
        os.killpg(child.pid, signal.SIGKILL)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
