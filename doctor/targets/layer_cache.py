"""What was read of a registry's layers before, by the digest of their packed bytes: images that share a base share it.

Which layers of an image matter is written nowhere: what a layer holds, hides and replaces stands in the tar itself,
behind its compression, and a configuration's history only tells commands. So a layer that nobody has read is fetched
whole, the first time; its members and whatever was read of their bodies are kept. Where a later look wants a body that
was never read, the layer is fetched after all: the cache saves time and decides no fact.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from doctor.images.content.blob import Blob
from doctor.images.content.tar import Member
from doctor.io.files import file_beside
from doctor.targets.image_cache import trim

FORMAT = 1
MAX_ENTRY = 96 << 20  # bytes, unpacked
MAX_READS = 24 << 20  # bytes of bodies kept of one layer beside the starts that come with its members
MAX_CACHE = 256 << 20


class KnownLayer(msgspec.Struct, frozen=True):
    """A layer's members, packed (as objects 100,000 of them take 50 MB), and parts of its unpacked bytes by place."""

    packed: bytes
    reads: dict[int, bytes]

    def members(self) -> list[Member]:
        """The members.

        Raises:
            ValueError: they are damaged.
        """
        return msgspec.msgpack.decode(_unpacked(self.packed), type=list[Member])


def _packed(members: list[Member]) -> bytes:
    return zlib.compress(msgspec.msgpack.encode(members), 1)


def _unpacked(data: bytes) -> bytes:
    unpacker = zlib.decompressobj()
    try:
        found = unpacker.decompress(data, MAX_ENTRY)
    except zlib.error as error:
        raise ValueError(str(error)) from None
    if not unpacker.eof:
        raise ValueError("cut off, or larger than any entry")
    return found


def folder(environ: Mapping[str, str]) -> Path:
    """Where the entries lie: below XDG_CACHE_HOME or ~/.cache."""
    above = environ.get("XDG_CACHE_HOME") or os.path.join(environ.get("HOME") or "/", ".cache")  # noqa: PTH118
    return Path(above) / "kdoctor" / "layers"


class LayerCache:
    """Entries of one user, at most :data:`MAX_CACHE` bytes of them; the ones used longest ago go first.

    Only layers whose digest was checked are put in. A cache that cannot be read or written is as good as none.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.folder = folder(environ)

    def path(self, digest: str) -> Path:
        """The entry's file."""
        return self.folder / hashlib.sha256(f"{FORMAT}\0{digest}".encode()).hexdigest()

    def get(self, digest: str) -> tuple[list[Member], dict[int, bytes]] | None:
        """Members and parts of the bytes that were read before; None where nothing was."""
        path = self.path(digest)
        try:
            with path.open("rb") as file:
                if os.fstat(file.fileno()).st_uid != os.geteuid():
                    return None
                data = file.read(MAX_ENTRY + 1)
            found = msgspec.msgpack.decode(_unpacked(data), type=KnownLayer)
            members = found.members()
            os.utime(path)
        except (OSError, ValueError, RecursionError):  # msgspec's own errors are ValueErrors
            return None
        return members, found.reads

    def put(self, digest: str, found: KnownLayer) -> None:
        """Keep what was read, atomically and for this user alone."""
        data = msgspec.msgpack.encode(found)
        if len(data) > MAX_ENTRY:
            return
        with contextlib.suppress(OSError):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with file_beside(self.path(digest)) as file:
                file.write(zlib.compress(data, 1))
            trim(self.folder, MAX_CACHE)


class RememberedLayer:
    """A layer as a :class:`doctor.images.content.blob.Blob`, fetched only where the cache does not know what is asked.

    ``open_`` fetches and reads it: its members, and the blob of its unpacked bytes.
    """

    def __init__(self, cache: LayerCache, digest: str, open_: Callable[[], tuple[list[Member], Blob]]) -> None:
        self._cache = cache
        self._digest = digest
        self._open = open_
        self._blob: Blob | None = None
        self._packed: bytes | None = None
        self._reads: dict[int, bytes] = {}
        self._room = MAX_READS

    def index(self) -> list[Member]:
        """The layer's members."""
        known = self._cache.get(self._digest)
        if known is None:
            return self._fetched()
        found, self._reads = known
        self._room -= sum(map(len, self._reads.values()))
        return found

    def read_at(self, offset: int, length: int) -> bytes:
        """At most ``length`` of the unpacked bytes from ``offset``."""
        known = self._reads.get(offset, b"")
        if len(known) >= length:
            return known[:length]
        if self._blob is None:
            self._fetched()
        assert self._blob is not None
        data = self._blob.read_at(offset, length)
        if len(data) - len(known) <= self._room:
            self._room -= len(data) - len(known)
            self._reads[offset] = data
        return data

    def keep(self) -> None:
        """Put what was read into the cache, where there is something new."""
        if self._packed is not None:
            self._cache.put(self._digest, KnownLayer(self._packed, self._reads))

    def _fetched(self) -> list[Member]:
        found, self._blob = self._open()
        self._packed = _packed(found)
        return found
