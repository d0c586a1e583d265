"""Random access to a gzip blob: inflated once from front to back, with marks from which it can be inflated again.

A mark is a copy of the inflater's state (about 42 KB) at a multiple of :data:`BLOCK` bytes of output. Nothing is
written to disk, and memory stays bounded: beyond :data:`MAX_MARKS` every second mark is dropped.
"""

from __future__ import annotations

import hashlib
import zlib
from collections import OrderedDict
from typing import Any

from doctor.errors import TargetError
from doctor.images.content.blob import Blob, Tell, silent

BLOCK = 2 << 20
MAX_MARKS = 256
KEPT_BLOCKS = 8
INPUT = 1 << 18
MAX_OUTPUT = 64 << 30  # bytes; the largest images of this field unpack to about 30 GB
FREE_OUTPUT = 1 << 30  # bytes that may come out of anything; beyond it the ratio counts
MAX_RATIO = 200  # layers of real images inflate about threefold
_GZIP = 16 + zlib.MAX_WBITS


class GzipBlob:
    """A gzip blob (several members may follow each other) as the bytes that come out of it.

    ``name`` is what errors call it, ``digest`` what the compressed bytes must hash to (checked by :meth:`finish`);
    ``tell`` hears of compressed bytes as they are taken.
    """

    def __init__(self, compressed: Blob, name: str, digest: str | None = None, tell: Tell = silent) -> None:
        self.compressed = compressed
        self.name = name
        self.digest = digest
        self.tell = tell
        self.size: int | None = None
        self._hash = hashlib.sha256() if digest else None
        self._state: Any = zlib.decompressobj(_GZIP)
        self._consumed = 0  # compressed bytes that the inflater has taken
        self._hashed = 0
        self._blocks = 0  # blocks inflated so far
        self._step = 1  # a mark stands at every so many blocks
        self._marks: dict[int, tuple[int, Any]] = {0: (0, self._state.copy())}
        self._recent: OrderedDict[int, bytes] = OrderedDict()

    def read_at(self, offset: int, length: int) -> bytes:
        """At most ``length`` bytes of the output from ``offset``; inflates on where nobody was yet."""
        found = []
        while length > 0:
            block = self._block(offset // BLOCK)
            part = block[offset % BLOCK : offset % BLOCK + length]
            if not part:
                break
            found.append(part)
            offset += len(part)
            length -= len(part)
        return found[0] if len(found) == 1 else b"".join(found)

    def finish(self) -> None:
        """Inflate to the end, and hold the digest against the compressed bytes.

        Raises:
            TargetError: the bytes are not those of the digest.
        """
        while self.size is None:
            self._forward()
        if self._hash is None:
            return
        while piece := self.compressed.read_at(self._hashed, INPUT):
            self._hash.update(piece)
            self._hashed += len(piece)
        found = "sha256:" + self._hash.hexdigest()
        if found != self.digest:
            raise TargetError(f"{self.name}: its bytes are those of {found}: damaged, or tampered with")

    def _block(self, index: int) -> bytes:
        while index >= self._blocks and self.size is None:
            self._forward()
        if index >= self._blocks:
            return b""
        known = self._recent.get(index)
        if known is not None:
            self._recent.move_to_end(index)
            return known
        mark = max(at for at in range(index - index % self._step, -1, -self._step) if at in self._marks)
        consumed, state = self._marks[mark]
        state = state.copy()
        for at in range(mark, index + 1):
            data, consumed, state = self._inflate(consumed, state)
            self._keep(at, data)
        return self._recent[index]

    def _forward(self) -> None:
        """Inflate the next block that nobody has seen."""
        before = self._consumed
        data, self._consumed, self._state = self._inflate(self._consumed, self._state, first=True)
        if len(data) < BLOCK:
            self.size = self._blocks * BLOCK + len(data)
        if data:
            self._keep(self._blocks, data)
            self._blocks += 1
        self.tell(self._consumed - before)
        output = self._blocks * BLOCK
        if output > MAX_OUTPUT or (output > FREE_OUTPUT and output > MAX_RATIO * self._consumed):
            raise TargetError(f"{self.name}: {self._consumed} bytes inflate to more than {output}: not looked at")
        if self.size is None and self._blocks % self._step == 0:
            self._marks[self._blocks] = (self._consumed, self._state.copy())
            if len(self._marks) > MAX_MARKS:
                self._step *= 2
                self._marks = {at: mark for at, mark in self._marks.items() if at % self._step == 0}

    def _keep(self, index: int, data: bytes) -> None:
        self._recent[index] = data
        self._recent.move_to_end(index)
        if len(self._recent) > KEPT_BLOCKS:
            self._recent.popitem(last=False)

    def _inflate(self, consumed: int, state: Any, first: bool = False) -> tuple[bytes, int, Any]:
        """(one block, or less at the end; compressed bytes consumed; state), from a place and its state."""
        parts = []
        room = BLOCK
        try:
            while room > 0:
                if state.eof:
                    if not self.compressed.read_at(consumed, 2).startswith(b"\x1f\x8b"):
                        break
                    state = zlib.decompressobj(_GZIP)
                piece = self.compressed.read_at(consumed, INPUT)
                if first and self._hash is not None and consumed + len(piece) > self._hashed:
                    self._hash.update(piece[self._hashed - consumed :])
                    self._hashed = consumed + len(piece)
                data = state.decompress(piece, room)
                # at a member's end zlib gives what is left of the input in one place, and may do so in both
                consumed += len(piece) - len(state.unused_data if state.eof else state.unconsumed_tail)
                if not data and not piece and not state.eof:
                    raise TargetError(f"{self.name}: ends in the middle: the download or the file is cut off")
                if data:
                    parts.append(data)
                    room -= len(data)
        except zlib.error as error:
            raise TargetError(f"{self.name}: not a gzip stream that can be inflated: {error}") from None
        return b"".join(parts), consumed, state
