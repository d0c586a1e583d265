"""Running code of an image where it can do no harm: no network, nothing writable but /tmp, no capabilities, bounded.

The container is created anew, removed whatever happens, and labelled so that a later run removes what a killed one left
behind. The code comes on stdin: nothing is mounted and nothing is copied in.
"""

from __future__ import annotations

import contextlib
import selectors
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from doctor.errors import TargetError
from doctor.io.containers import Containers, one_line, status_of
from doctor.io.process import CannotStart, Result

_CHUNK = 1 << 16
_END_SECONDS = 10.0
_SIGNALS = {128 + one: one.name for one in signal.Signals}


@dataclass(frozen=True)
class Limits:
    """What a sandboxed process may use: seconds; bytes of memory, of /tmp and of output; processors and processes."""

    seconds: float = 60.0
    memory: int = 2 << 30
    temporary: int = 256 << 20
    output: int = 32 << 20
    processors: float = 2.0
    processes: int = 512


def run_in_image(
    engine: Containers,
    image: str,
    argv: Sequence[str],
    *,
    stdin: bytes = b"",
    limits: Limits = Limits(),
    environment: Mapping[str, str] | None = None,
    platform: str | None = None,
    gpus: bool = False,
    on_stderr: Callable[[bytes], None] | None = None,
) -> Result:
    """Run a program of an image in the sandbox, and say how it ended.

    ``environment`` is added to the image's own; ``gpus`` asks for all GPUs, otherwise the NVIDIA runtime is kept out.
    ``on_stderr`` is handed each piece of stderr as it comes.

    Raises:
        CannotStart: the program is missing in the image, or is none for this machine.
        TargetError: the engine does not do it.
    """
    started = time.monotonic()
    options = _options(engine, argv, limits, environment or {}, gpus)
    with engine.created(image, platform=platform, **options) as container:
        talk = _Talk(engine.attach(container), stdin, started + limits.seconds, limits.output, on_stderr)
        try:
            _start(engine, container, argv[0])
            talk.run()
            talk.close()
            status = None if talk.cut_short else engine.wait(container, _END_SECONDS)
        finally:
            talk.close()
    killed = _SIGNALS.get(status) if status is not None else None
    return Result(
        stdout=bytes(talk.outputs[1]),
        stderr=bytes(talk.outputs[2]),
        returncode=None if killed else status,
        signal=killed,
        timed_out=talk.timed_out,
        truncated=talk.truncated,
        seconds=time.monotonic() - started,
    )


def _options(
    engine: Containers, argv: Sequence[str], limits: Limits, environment: Mapping[str, str], gpus: bool
) -> dict[str, Any]:
    """The engine's own words for the sandbox."""
    variables = {**environment, **({} if gpus else {"NVIDIA_VISIBLE_DEVICES": "void"})}
    host: dict[str, Any] = {
        "NetworkMode": "none",
        "ReadonlyRootfs": True,
        "Tmpfs": {"/tmp": f"rw,nosuid,nodev,noexec,mode=1777,size={limits.temporary}"},  # noqa: S108 -- the container's
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges"],
        "Memory": limits.memory,
        "MemorySwap": limits.memory,
        "NanoCpus": int(min(limits.processors, engine.processors) * 1_000_000_000),
        "PidsLimit": limits.processes,
        "Ulimits": [{"Name": "core", "Soft": 0, "Hard": 0}],
        "LogConfig": {"Type": "none", "Config": {}},
        "RestartPolicy": {"Name": "no"},
    }
    if gpus:
        host["DeviceRequests"] = [{"Driver": "", "Count": -1, "Capabilities": [["gpu", "compute", "utility"]]}]
    elif "runc" in engine.runtimes:
        host["Runtime"] = "runc"
    return {
        "Entrypoint": [argv[0]],
        "Cmd": list(argv[1:]),
        "Env": [f"{name}={value}" for name, value in variables.items()],
        "WorkingDir": "/tmp",  # noqa: S108 -- empty: Python takes modules from the folder that it is started in
        "OpenStdin": True,
        "StdinOnce": True,
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
        "Tty": False,
        "HostConfig": host,
    }


def _start(engine: Containers, container: str, program: str) -> None:
    try:
        engine.api.start(container)
    except Exception as error:
        said = one_line(error)
        if status_of(error) in (400, 404, 500, 127, 126):
            for sign, words in (
                ("executable file not found", "is not in the image"),
                ("no such file or directory", "is not in the image"),
                ("exec format error", "is for another processor than this machine's"),
                ("permission denied", "may not be executed in the image"),
            ):
                if sign in said:
                    raise CannotStart(f"{program}: {words}") from None
        raise TargetError(f"the container engine does not start the sandbox: {said}") from None


class _Talk:
    """Feeds stdin and gathers both outputs of an attached container over its one connection."""

    def __init__(
        self,
        connection: socket.socket,
        data: bytes,
        deadline: float,
        room: int,
        on_stderr: Callable[[bytes], None] | None,
    ) -> None:
        self.connection = connection
        self.pending = memoryview(data)
        self.deadline = deadline
        self.room = room
        self.on_stderr = on_stderr
        self.outputs = {1: bytearray(), 2: bytearray()}
        self.timed_out = False
        self.truncated = False
        self._head = bytearray()
        self._left = 0
        self._stream = 1
        connection.setblocking(False)

    @property
    def cut_short(self) -> bool:
        """Whether a limit was hit; the container is then still running, until it is removed."""
        return self.timed_out or self.truncated

    def run(self) -> None:
        """Exchange data until the container's outputs end or a limit is hit."""
        with selectors.DefaultSelector() as selector:
            both = selectors.EVENT_READ | (selectors.EVENT_WRITE if self.pending else 0)
            selector.register(self.connection, both)
            if not self.pending:
                self._end_input()
            while not self.cut_short:
                left = self.deadline - time.monotonic()
                if left <= 0:
                    self.timed_out = True
                    return
                for _, ready in selector.select(left):
                    if ready & selectors.EVENT_WRITE and not self._write():
                        selector.modify(self.connection, selectors.EVENT_READ)
                    if ready & selectors.EVENT_READ and not self._read():
                        return

    def _write(self) -> bool:
        """Send some of the input; whether there is more."""
        try:
            sent = self.connection.send(self.pending[:_CHUNK])
        except BlockingIOError:
            return True
        except OSError:  # the program ended without reading all of it; its answer counts all the same
            sent = len(self.pending)
        self.pending = self.pending[sent:]
        if not self.pending:
            self._end_input()
        return bool(self.pending)

    def _end_input(self) -> None:
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)

    def _read(self) -> bool:
        """Take what has come; whether more may come."""
        try:
            data = self.connection.recv(_CHUNK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self._split(data)
        return bool(data)

    def _split(self, data: bytes) -> None:
        """Undo the engine's framing: eight bytes (stream, three zeros, length), then so many bytes of that stream."""
        while data and not self.truncated:
            if self._left == 0:
                need = 8 - len(self._head)
                self._head += data[:need]
                data = data[need:]
                if len(self._head) == 8:
                    self._stream = 2 if self._head[0] == 2 else 1
                    self._left = int.from_bytes(self._head[4:], "big")
                    self._head.clear()
                continue
            part = data[: min(self._left, self.room)]
            self.outputs[self._stream] += part
            if self._stream == 2 and self.on_stderr is not None and part:
                self.on_stderr(part)
            self.truncated = self._left > self.room and len(data) > self.room
            self.room -= len(part)
            self._left -= len(part)
            data = data[len(part) :]

    def close(self) -> None:
        """Close the connection, also for the reader of the SDK that shares it: an engine that cannot get rid of the
        output does not remove the container.
        """
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)
        self.connection.close()
