"""Reading logs: of any size, in bounded memory, whatever their encoding; only lines that may matter are kept."""

from __future__ import annotations

import contextlib
import importlib
import re
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import msgspec

from doctor import catalogue
from doctor.case import Case
from doctor.errors import TargetError
from doctor.model.facts import known
from doctor.model.report import LogRemark
from doctor.model.snapshot import Snapshot
from doctor.model.wire import decode_snapshot

CHUNK = 1024 * 1024
MAX_LINE = 64 * 1024
MAX_KEPT_LINE = 2000
MAX_LINES = 4000
MAX_OF_A_SHAPE = 40
MAX_SHAPES = 100_000
MAX_SHOWN = 160

# Terminal escapes: CSI, OSC and two-character ones. NULs go: text in UTF-16 is its ASCII with NULs between.
_ESCAPES = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]{0,300}(?:\x07|\x1b\\)?|[@-Z\\-_])")
_PREFIX = re.compile(r"^.{0,80}?[\w./-]+\.(?:cc|py|h|cu):\d+\]\s*")
_DIGITS = b"0123456789"
_LETTERS = bytes(ord(chr(n).lower()) if chr(n).isalpha() and n < 128 else 32 for n in range(256))
_ENDS = bytes.maketrans(b"\r\x0b\x0c", b"\n\n\n")


class Log(msgspec.Struct, frozen=True):
    """A log as it was read: the ``lines`` that may matter, in order; how many ``read`` in all; ``full``: whether
    some that may matter were left out."""

    lines: tuple[str, ...] = ()
    read: int = 0
    full: bool = False


def read_file(path: Path) -> Log:
    """The log in a file.

    Raises:
        TargetError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return read(file)
    except OSError as error:
        raise TargetError(f"{path}: the log cannot be read: {error.strerror or error}") from None


def read(file: IO[bytes], echo: Callable[[bytes], None] | None = None) -> Log:
    """The log that a binary stream holds, to its end; memory stays bounded whatever it brings.

    Lines of one shape (the same but for digits) are kept ``MAX_OF_A_SHAPE`` times, all together ``MAX_LINES``.

    Args:
        file: the stream.
        echo: gets each piece unchanged as it comes, before it is looked at.
    """
    from doctor.collect.software import hide_secrets  # noqa: PLC0415 -- only where a log is read

    keeper = _Keeper(_relevant())
    for lines in _lines(file, echo):
        keeper.take(lines)
    return Log(tuple(map(hide_secrets, keeper.kept)), keeper.read, keeper.full)


def read_pipe(file: IO[bytes], echo: IO[bytes] | None = None) -> Log:
    """The log that comes through a pipe; with ``echo`` it is passed on there, byte for byte.

    The first interrupt (Ctrl-C reaches the program before the pipe, too) does not end the reading: what that program
    says last is read until it is gone. A second one does.

    Raises:
        KeyboardInterrupt: at the second interrupt.
    """
    with _patient():
        return read(file, None if echo is None else _Echo(echo))


class _Echo:
    """Passes pieces on until nobody takes them any more."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file: IO[bytes] | None = file

    def __call__(self, piece: bytes) -> None:
        if self.file is None:
            return
        try:
            self.file.write(piece)
            self.file.flush()
        except OSError:  # the reader is gone, or the disk is full: the log is read on
            self.file = None


@contextlib.contextmanager
def _patient() -> Iterator[None]:
    """Within: the first interrupt is passed over. Outside the main thread nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)

    def once(_signal: int, _frame: object) -> None:
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, once)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def joined(snapshot: Snapshot, log: Log) -> Snapshot:
    """The snapshot with this log in place of its own."""
    return msgspec.structs.replace(snapshot, log=log.lines)


def alone(name: str) -> Snapshot:
    """A snapshot of which nothing but its name is known: what a log is joined with to be judged by itself."""
    return decode_snapshot({"subject": {"kind": "host", "name": name}})


def remarks(cases: Iterable[Case]) -> list[LogRemark]:
    """What the logs of judged cases hold that is no finding: each meaning once, with the explanation."""
    found: list[LogRemark] = []
    for case in cases:
        log = known(case.snapshot.log)
        if log:
            heard = _rules("heard")
            found += [LogRemark(_short(text.line), text.row.why, text.row.harmless) for text in heard.remarks(log)]
            found += [LogRemark(_short(line), f"not borne out: {why}", False) for line, why in heard.unheard(case)]
    return list(dict.fromkeys(found))


def _short(line: str) -> str:
    """The message without the time and the place in the source that TensorFlow puts before it."""
    text = _PREFIX.sub("", line)
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1].rstrip() + "…"


def _rules(name: str) -> Any:
    catalogue.mount()
    return importlib.import_module(f"{catalogue.PACKAGE}.{name}")


def _relevant() -> Callable[[bytes], bool]:
    """Whether a line may be one that the table of messages knows: first by single words, then by whole anchors."""
    table = _rules("tables.messages").keywords()
    anchors = {word.encode(): tuple(anchor.encode() for anchor in some) for word, some in table.items()}
    keys = frozenset(anchors)

    def relevant(line: bytes) -> bool:
        words = line.translate(_LETTERS).split()
        if keys.isdisjoint(words):
            return False
        lower = line.lower()
        return any(anchor in lower for word in keys.intersection(words) for anchor in anchors[word])

    return relevant


def _lines(file: IO[bytes], echo: Callable[[bytes], None] | None = None) -> Iterator[list[bytes]]:
    """The lines of a stream, a chunk's worth at a time; a line of more than ``MAX_LINE`` comes in pieces."""
    rest = b""
    take = getattr(file, "read1", file.read)  # what a pipe holds now, not what it will hold in an hour
    while chunk := take(CHUNK):
        if echo is not None:
            echo(chunk)
        text = (rest + chunk).replace(b"\0", b"").replace(b"\r\n", b"\n").translate(_ENDS)
        *lines, rest = text.split(b"\n")
        if len(rest) > MAX_LINE:
            lines.append(rest)
            rest = b""
        yield lines
    yield [rest]


class _Keeper:
    """Keeps the lines that may matter. Most lines of a long log have a shape that was seen before."""

    def __init__(self, relevant: Callable[[bytes], bool]) -> None:
        self.relevant = relevant
        self.kept: dict[str, None] = {}
        self.shapes: dict[int, int] = {}
        self.read = 0
        self.full = False

    def take(self, lines: list[bytes]) -> None:
        """Look at more lines."""
        self.read += len(lines)
        shapes = self.shapes
        for line in lines:
            shape = hash(line.translate(None, _DIGITS))
            seen = shapes.get(shape)
            if seen is None:
                self._new(line, shape)
            elif seen:
                self._again(line, shape, seen)

    def _new(self, line: bytes, shape: int) -> None:
        """A shape that was not seen before: 0 is remembered for one that does not matter, else how often it came."""
        if len(self.shapes) >= MAX_SHAPES:
            self.shapes.clear()
        text = _ESCAPES.sub(b"", line) if b"\x1b" in line else line
        if not self.relevant(text):
            self.shapes[shape] = 0
            return
        self.shapes[shape] = 1
        self._keep(text)

    def _again(self, line: bytes, shape: int, seen: int) -> None:
        if seen >= MAX_OF_A_SHAPE:
            self.full = True
            return
        self.shapes[shape] = seen + 1
        self._keep(_ESCAPES.sub(b"", line))

    def _keep(self, text: bytes) -> None:
        if len(self.kept) >= MAX_LINES:
            self.full = True
            return
        for piece in _pieces(text):
            if len(text) <= MAX_KEPT_LINE or self.relevant(piece):
                self.kept.setdefault(piece.decode("utf-8", "replace").strip())


def _pieces(text: bytes) -> Iterator[bytes]:
    """A long line in pieces that overlap, so that no message is cut in all of them."""
    if len(text) <= MAX_KEPT_LINE:
        yield text
        return
    for start in range(0, len(text), MAX_KEPT_LINE // 2):
        yield text[start : start + MAX_KEPT_LINE]
