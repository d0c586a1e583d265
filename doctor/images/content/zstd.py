"""A zstd blob, unpacked into a private temporary file: that format has no state that could be copied cheaply.

The decompressor is optional: CPython 3.14's own, or the packages ``backports.zstd`` or ``zstandard``.
"""

from __future__ import annotations

import importlib
import tempfile
from contextlib import ExitStack
from typing import Any

from doctor.errors import TargetError
from doctor.images.content.blob import Blob, FileBlob
from doctor.images.content.inflate import FREE_OUTPUT, INPUT, MAX_OUTPUT, MAX_RATIO

MAGIC = b"\x28\xb5\x2f\xfd"


def unpack(blob: Blob, name: str, stack: ExitStack) -> FileBlob:
    """The bytes that come out of a zstd blob, in an unlinked file that lives as long as ``stack``.

    Raises:
        TargetError: no decompressor is installed, the blob is damaged, or it inflates beyond all measure.
    """
    new, failures = _decompressor(name)
    spool = stack.enter_context(tempfile.TemporaryFile(prefix="kdoctor-"))  # noqa: SIM115 -- the stack closes it
    engine = new()
    at = written = 0
    try:
        while piece := blob.read_at(at, INPUT):
            at += len(piece)
            while piece:
                data = engine.decompress(piece)
                spool.write(data)
                written += len(data)
                if written > MAX_OUTPUT or (written > FREE_OUTPUT and written > MAX_RATIO * at):
                    raise TargetError(f"{name}: {at} bytes inflate to more than {written}: not looked at")
                piece = engine.unused_data if engine.eof else b""
                if engine.eof:
                    engine = new()
    except failures as error:
        raise TargetError(f"{name}: not a zstd stream that can be unpacked: {str(error)[:100]}") from None
    except OSError as error:
        raise TargetError(f"{name}: cannot be unpacked into {tempfile.gettempdir()}: {error.strerror}") from None
    spool.flush()
    return FileBlob(spool.fileno(), 0, written)


def _decompressor(name: str) -> tuple[Any, tuple[type[Exception], ...]]:
    for module in ("compression.zstd", "backports.zstd"):
        try:
            found = importlib.import_module(module)
        except ImportError:
            continue
        return found.ZstdDecompressor, (found.ZstdError, EOFError)
    try:
        found = importlib.import_module("zstandard")
    except ImportError:
        raise TargetError(
            f"{name}: compressed with zstd, which this Python cannot unpack: install backports.zstd beside kdoctor"
        ) from None
    return lambda: found.ZstdDecompressor().decompressobj(), (found.ZstdError,)
