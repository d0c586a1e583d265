"""A zstd blob, unpacked into a private temporary file: that format has no state that could be copied cheaply.

The decompressor is optional: CPython 3.14's own, or the package ``backports.zstd``, which is the same one.
"""

from __future__ import annotations

import importlib
import shutil
import tempfile
from contextlib import ExitStack
from typing import IO, Any

from doctor.errors import TargetError
from doctor.images.content.blob import Blob, FileBlob
from doctor.images.content.inflate import FREE_OUTPUT, INPUT, MAX_OUTPUT, MAX_RATIO

MAGIC = b"\x28\xb5\x2f\xfd"
SKIPPABLE = tuple(bytes([0x50 + n]) + b"\x2a\x4d\x18" for n in range(16))  # zstd:chunked writes its index into these
PIECE = 1 << 20  # bytes that come out at a time, however little went in


def is_zstd(start: bytes) -> bool:
    """Whether a blob begins as a zstd one: with a frame, or with one to be skipped."""
    return start.startswith((MAGIC, *SKIPPABLE))


def unpack(blob: Blob, name: str, stack: ExitStack) -> FileBlob:
    """The bytes that come out of a zstd blob, in an unlinked file that lives as long as ``stack``.

    Raises:
        TargetError: no decompressor is installed, the blob is damaged or cut off, or it inflates beyond all measure.
    """
    library = _library(name)
    folder = tempfile.gettempdir()
    spool = stack.enter_context(tempfile.TemporaryFile(prefix="kdoctor-"))  # noqa: SIM115 -- the stack closes it
    try:
        written = _inflate(blob, name, library, spool, min(MAX_OUTPUT, shutil.disk_usage(folder).free * 9 // 10))
        spool.flush()
    except library.ZstdError as error:
        raise TargetError(f"{name}: not a zstd stream that can be unpacked: {str(error)[:100]}") from None
    except OSError as error:
        raise TargetError(f"{name}: cannot be unpacked into {folder}: {error.strerror}") from None
    return FileBlob(spool.fileno(), 0, written)


def _inflate(blob: Blob, name: str, library: Any, spool: IO[bytes], room: int) -> int:
    """Write out what several frames, one behind the other, hold; how many bytes that is."""
    taken = written = 0
    while head := blob.read_at(taken, INPUT):
        frame = library.ZstdDecompressor()
        piece = head
        taken += len(head)
        while not frame.eof:
            if frame.needs_input and not piece:
                piece = blob.read_at(taken, INPUT)
                taken += len(piece)
                if not piece:
                    raise TargetError(f"{name}: ends in the middle: the download or the file is cut off")
            data = frame.decompress(piece, PIECE)
            piece = b""
            spool.write(data)
            written += len(data)
            if written > room or (written > FREE_OUTPUT and written > MAX_RATIO * taken):
                raise TargetError(f"{name}: {taken} bytes inflate to more than {written}: not looked at")
        taken -= len(frame.unused_data)
    return written


def _library(name: str) -> Any:
    for module in ("compression.zstd", "backports.zstd"):
        try:
            return importlib.import_module(module)
        except ImportError:
            continue
    raise TargetError(
        f"{name}: compressed with zstd, which this Python cannot unpack: pip install 'keras-doctor[zstd]'"
    )
