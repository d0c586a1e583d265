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
from doctor.images.content.wanted import Keep
from doctor.targets.layers import LayerFileSystem, Node

MAX_ASIDE = 4 << 30  # bytes on disk, and never more than half of what is free there
COPY = 1 << 20


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
        self.aside: dict[int, int] = {}  # place in the export → place in the spool
        room = min(MAX_ASIDE, shutil.disk_usage(tempfile.gettempdir()).free // 2)
        self.keep = Keep(MAX_ASIDE, room)

    def put_aside(self, stream: StreamBlob, name: str) -> Iterator[Member]:
        """The members of the export, while the wanted ones are copied."""
        for member in members(stream, name):
            if member.kind == FILE and self.keep(member.name, member.size):
                self._copy(stream, member)
            yield member

    def _copy(self, stream: StreamBlob, member: Member) -> None:
        self.aside[member.offset] = self.size
        at, end = member.offset, member.offset + min(member.size, MAX_ASIDE)
        while at < end:
            piece = stream.read_at(at, min(COPY, end - at))
            if not piece:
                break  # the next header will say that the stream is cut off
            try:
                self.spool.write(piece)
            except OSError as error:
                raise TargetError(f"{tempfile.gettempdir()}: cannot be written: {error.strerror}") from None
            at += len(piece)
            self.size += len(piece)

    def read(self, path: str, node: Node, offset: int, length: int) -> bytes:
        """At most ``length`` bytes of the file at ``path``."""
        length = min(length, node.size - offset)
        if length <= 0:
            return b""
        if node.offset in self.aside:
            self.spool.flush()
            return FileBlob(self.spool.fileno()).read_at(self.aside[node.offset] + offset, length)
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
