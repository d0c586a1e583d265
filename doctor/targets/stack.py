"""The layers of an image, whichever way they are packed, put together into one file system."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol

from doctor.errors import TargetError
from doctor.images.content import zstd
from doctor.images.content.blob import Blob, Tell, sha256_of, silent
from doctor.images.content.inflate import GzipBlob
from doctor.images.content.tar import Member, members
from doctor.images.content.wanted import Keep
from doctor.targets.layer_cache import LayerCache, RememberedLayer
from doctor.targets.layers import BlobReader, LayerFileSystem

WORKERS = 4
HEAD = 4096  # of objects in compressed layers: what is beyond it is inflated again
MAX_LAYERS = 512
_OTHERS = {b"BZh": "bzip2", b"\xfd7zXZ\0": "xz"}


class Fetch(Protocol):
    """Who brings a layer's bytes; called in a thread of its own."""

    def __call__(self) -> Blob:
        """The layer as it is packed."""
        ...


@dataclass(frozen=True)
class Layer:
    """A layer that can be had. ``digest``: what its packed bytes must hash to; None where nothing promises that.

    ``remember``: where what was read of it is kept, and the digest that ``fetch`` has checked.
    """

    name: str
    fetch: Fetch
    digest: str | None = None
    remember: tuple[LayerCache, str] | None = None


def put_together(layers: Sequence[Layer], stack: ExitStack, tell: Tell = silent) -> LayerFileSystem:
    """The file system of the layers, given from the bottom up; files it needs live as long as ``stack``.

    ``tell`` hears of packed bytes that were gone through.

    Raises:
        TargetError: a layer is missing, cut off, damaged, no tar, or too large.
    """
    if len(layers) > MAX_LAYERS:
        raise TargetError(f"more than {MAX_LAYERS} layers: not looked at")
    files = LayerFileSystem()
    keep = Keep(HEAD)
    with ThreadPoolExecutor(min(WORKERS, max(1, len(layers)))) as pool:
        pending = [pool.submit(_index, layer, stack, keep, tell) for layer in layers]
        try:
            for layer, index in zip(layers, pending, strict=True):
                found, blob = index.result()
                files.add(layer.name, found, BlobReader(blob))
                found.clear()
        except BaseException:
            for index in pending:
                index.cancel()
            raise
    return files


def _index(layer: Layer, stack: ExitStack, keep: Keep, tell: Tell) -> tuple[list[Member], Blob]:
    if layer.remember is None:
        return _read(layer, stack, keep, tell)
    remembered = RememberedLayer(*layer.remember, lambda: _read(layer, stack, keep, tell))
    found = remembered.index()
    stack.callback(remembered.keep)
    return found, remembered


def _read(layer: Layer, stack: ExitStack, keep: Keep, tell: Tell) -> tuple[list[Member], Blob]:
    packed = layer.fetch()
    magic = packed.read_at(0, 6)
    for start, kind in _OTHERS.items():
        if magic.startswith(start):
            raise TargetError(f"{layer.name}: compressed with {kind}, which registries and engines no longer write")
    if magic.startswith(b"\x1f\x8b"):
        inflated = GzipBlob(packed, layer.name, layer.digest, tell)
        found = list(members(inflated, layer.name, keep))
        inflated.finish()
        return found, inflated
    if layer.digest is not None:
        _check(packed, layer, tell)
    blob: Blob = zstd.unpack(packed, layer.name, stack) if zstd.is_zstd(magic) else packed
    if not magic:
        return [], blob  # an empty file: some writers' way to say that a layer changes nothing
    return list(members(blob, layer.name)), blob


def _check(packed: Blob, layer: Layer, tell: Tell) -> None:
    found = sha256_of(packed, tell)
    if found != layer.digest:
        raise TargetError(f"{layer.name}: its bytes are those of {found}: damaged, or tampered with")


def digest_of(data: bytes) -> str:
    """The digest of a small document, as registries write it."""
    return "sha256:" + hashlib.sha256(data).hexdigest()
