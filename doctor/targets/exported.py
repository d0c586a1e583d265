"""A file system out of an engine's export: a tar that passes by once.

What the collector is likely to read is put aside in a private temporary file while it passes; anything else is asked of
the engine by its path when it is wanted.
"""

from __future__ import annotations

import errno
import itertools
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any, Protocol

from doctor.errors import TargetError
from doctor.images.content.blob import FileBlob, StreamBlob
from doctor.images.content.tar import FILE, Member, members
from doctor.images.content.wanted import Keep, parts_of
from doctor.targets.layers import LayerFileSystem, Node

MAX_ASIDE = 4 << 30  # bytes on disk, and never more than half of what is free there
COPY = 1 << 20
ELF_HEAD = 4096


class Exporter(Protocol):
    """What is needed of an engine; :class:`doctor.io.containers.Containers` is the real one."""

    def export(self, container: str) -> Iterator[bytes]:
        """All files as one tar."""
        ...

    def archive(self, container: str, path: str) -> Iterator[bytes]:
        """One file, in a tar."""
        ...


def exported(engine: Exporter, container: str, name: str, stack: ExitStack) -> LayerFileSystem:
    """The files of a container, which must be there as long as the file system is used.

    Raises:
        TargetError: the export breaks off, or is none.
    """
    spool = stack.enter_context(tempfile.TemporaryFile(prefix="kdoctor-"))  # noqa: SIM115 -- the stack closes it
    reader = _Reader(engine, container, spool)
    files = LayerFileSystem()
    pieces = engine.export(container)
    with closing(pieces):  # type: ignore[type-var]
        files.add(name, reader.put_aside(StreamBlob(pieces), name), reader)
    return files


class _Reader:
    """Bodies from what was put aside, else from the engine."""

    def __init__(self, engine: Exporter, container: str, spool: Any) -> None:
        self.engine = engine
        self.container = container
        self.spool = spool
        self.size = 0
        # place of a file in the export → (start, end) of parts of it, and where they are in the spool
        self.aside: dict[int, list[tuple[int, int, int]]] = {}
        room = min(MAX_ASIDE, shutil.disk_usage(tempfile.gettempdir()).free // 2)
        self.keep = Keep(MAX_ASIDE, room)

    def put_aside(self, stream: StreamBlob, name: str) -> Iterator[Member]:
        """The members of the export, while the wanted ones are copied."""
        for member in members(stream, name, marked=True):
            if member.kind == FILE and self.keep(member.name, member.size):
                self._copy(stream, member)
            yield member

    def _copy(self, stream: StreamBlob, member: Member) -> None:
        head = stream.read_at(member.offset, min(ELF_HEAD, member.size))
        for start, end in parts_of(member.name, member.size, head):
            self.aside.setdefault(member.offset, []).append((start, end, self.size))
            for piece in self._pieces(stream, member.offset, head, start, end):
                try:
                    self.spool.write(piece)
                except OSError as error:
                    raise TargetError(f"{tempfile.gettempdir()}: cannot be written: {error.strerror}") from None
                self.size += len(piece)

    @staticmethod
    def _pieces(stream: StreamBlob, body: int, head: bytes, start: int, end: int) -> Iterator[bytes]:
        """A part of a body whose head was read already; shorter where the stream is cut off."""
        if start < len(head):
            yield head[start:end]
            start = min(len(head), end)
        while start < end and (piece := stream.read_at(body + start, min(COPY, end - start))):
            yield piece
            start += len(piece)

    def read(self, path: str, node: Node, offset: int, length: int) -> bytes:
        """At most ``length`` bytes of the file at ``path``."""
        length = min(length, node.size - offset)
        if length <= 0:
            return b""
        for start, end, place in self.aside.get(node.offset, ()):
            if start <= offset and offset + length <= end:
                self.spool.flush()
                return FileBlob(self.spool.fileno()).read_at(place + offset - start, length)
        return self._ask(path, offset, length)

    def _ask(self, path: str, offset: int, length: int) -> bytes:
        pieces = self.engine.archive(self.container, path)
        with closing(pieces):  # type: ignore[type-var]
            stream = StreamBlob(pieces)
            try:
                found = next(itertools.islice(members(stream, path), 1), None)
                if found is None or found.kind != FILE:
                    raise OSError(errno.ENOENT, "the engine has no such file", path)
                return stream.read_at(found.offset + offset, min(length, found.size - offset))
            except TargetError as error:
                raise OSError(errno.EIO, str(error), path) from None
