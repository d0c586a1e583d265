"""Bytes that are read by their place, whatever holds them: a file, a part of one, a stream that passes by once."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from doctor.errors import TargetError

PIECE = 1 << 20


class Blob(Protocol):
    """Random access for whoever reads; what cannot go back says so with a TargetError."""

    def read_at(self, offset: int, length: int) -> bytes:
        """At most ``length`` bytes from ``offset``; fewer at the end."""
        ...


class FileBlob:
    """A part of an open file; ``size`` bytes from ``start``. The descriptor belongs to whoever opened it."""

    def __init__(self, descriptor: int, start: int = 0, size: int | None = None) -> None:
        self.descriptor = descriptor
        self.start = start
        self.size = os.fstat(descriptor).st_size - start if size is None else size

    def read_at(self, offset: int, length: int) -> bytes:
        """At most ``length`` bytes from ``offset``."""
        length = min(length, self.size - offset)
        if length <= 0:
            return b""
        data = os.pread(self.descriptor, length, self.start + offset)
        while len(data) < length:
            more = os.pread(self.descriptor, length - len(data), self.start + offset + len(data))
            if not more:
                break
            data += more
        return data


class PartBlob:
    """A part of any other blob."""

    def __init__(self, whole: Blob, start: int, size: int) -> None:
        self.whole = whole
        self.start = start
        self.size = size

    def read_at(self, offset: int, length: int) -> bytes:
        """At most ``length`` bytes from ``offset``."""
        length = min(length, self.size - offset)
        return self.whole.read_at(self.start + offset, length) if length > 0 else b""


class StreamBlob:
    """A stream that passes by once, as an engine's export: it is read forwards, what was skipped is gone."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._piece = b""
        self._start = 0  # where the piece at hand begins in the stream

    def read_at(self, offset: int, length: int) -> bytes:
        """At most ``length`` bytes from ``offset``, which must not lie before what was read already."""
        while offset >= self._start + len(self._piece):
            if not self._next():
                return b""
        found = bytearray()
        while length > 0:
            at = offset - self._start
            if at < 0:
                raise TargetError("an engine's stream cannot be read twice")
            part = self._piece[at : at + length]
            found += part
            offset += len(part)
            length -= len(part)
            if length > 0 and not self._next():
                break
        return bytes(found)

    def _next(self) -> bool:
        self._start += len(self._piece)
        self._piece = next(self._pieces, b"")
        return bool(self._piece)


Tell = Callable[[int], None]
"""Hears how many more bytes of something long are done; called by several threads."""


def silent(_bytes: int) -> None:
    """A :data:`Tell` for whoever does not want to know."""


def sha256_of(blob: Blob, tell: Tell = silent) -> str:
    """The digest of all bytes of a blob, as registries write it (``sha256:…``)."""
    seen = hashlib.sha256()
    offset = 0
    while piece := blob.read_at(offset, PIECE):
        seen.update(piece)
        offset += len(piece)
        tell(len(piece))
    return "sha256:" + seen.hexdigest()


def open_file(path: Path) -> int:
    """A descriptor for reading a file; a named pipe does not hold it up.

    Raises:
        TargetError: it is not there, or may not be read.
    """
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise TargetError(f"{path}: cannot be read: {error.strerror or error}") from None
