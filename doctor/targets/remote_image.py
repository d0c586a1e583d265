"""An image out of a registry: manifest, configuration and layers, each byte checked, kept only in temporary files."""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

from doctor.errors import TargetError
from doctor.images.content.blob import Blob, FileBlob, Tell
from doctor.images.reference import InvalidReference, Reference, parse
from doctor.io.registry.interface import Registry, RegistryError, rows_of
from doctor.targets.archive import choose
from doctor.targets.image_config import Identity, ImageConfig, listed, of_document
from doctor.targets.layer_cache import LayerCache
from doctor.targets.layers import LayerFileSystem
from doctor.targets.stack import Layer, put_together

MAX_CONFIG = 8 << 20
MAX_DOWNLOAD = 40 << 30

Connect = Callable[[], Registry]


@dataclass(frozen=True)
class RemoteImage:
    """One platform's image in a registry. ``size``: bytes to fetch."""

    reference: Reference
    config: ImageConfig
    identity: Identity
    key: str
    size: int
    blobs: tuple[tuple[str, int], ...]
    connect: Connect
    cache: LayerCache | None = None

    def files(self, stack: ExitStack, tell: Tell) -> LayerFileSystem:
        """The image's file system; the packed layers lie in private temporary files as long as ``stack``."""
        free = shutil.disk_usage(tempfile.gettempdir()).free
        if self.size > min(MAX_DOWNLOAD, free * 9 // 10):
            raise TargetError(
                f"{self.reference.familiar}: {self.size >> 20} MiB to fetch, {free >> 20} MiB free in "
                f"{tempfile.gettempdir()}: not looked at"
            )
        fetched: dict[str, Callable[[], Blob]] = {}
        layers = []
        for digest, size in self.blobs:
            fetch = fetched.setdefault(digest, _Once(partial(self._fetch, digest, size, stack, tell)))
            remember = (self.cache, digest) if self.cache is not None else None
            layers.append(Layer(f"{self.reference.familiar}: layer {digest}", fetch, None, remember))
        return put_together(layers, stack)

    def _fetch(self, digest: str, size: int, stack: ExitStack, tell: Tell) -> Blob:
        """A layer, once all of it has come and is what its digest says."""
        file = stack.enter_context(tempfile.TemporaryFile(prefix="kdoctor-"))  # noqa: SIM115 -- the stack closes it
        got = 0
        try:
            for piece in self.connect().stream(self.reference, digest):
                got += len(piece)
                if got > size:
                    raise TargetError(f"{self.reference.familiar}: layer {digest} is larger than its manifest says")
                file.write(piece)
                tell(len(piece))
        except RegistryError as error:
            raise TargetError(str(error)) from None
        except OSError as error:
            raise TargetError(f"{tempfile.gettempdir()}: cannot be written: {error.strerror or error}") from None
        file.flush()
        return FileBlob(file.fileno(), 0, got)


class _Once:
    """A layer that is fetched once, however often an image names it; the others wait for the first."""

    def __init__(self, fetch: Callable[[], Blob]) -> None:
        self._fetch = fetch
        self._lock = threading.Lock()
        self._blob: Blob | None = None

    def __call__(self) -> Blob:
        with self._lock:
            if self._blob is None:
                self._blob = self._fetch()
            return self._blob


def open_remote(
    word: str, platform: str | None, default_platform: str, connect: Connect, cache: LayerCache | None = None
) -> RemoteImage:
    """The image that a reference names in its registry, for the platform asked for or this machine's.

    ``cache``: layers that are known from other images are not fetched.

    Raises:
        TargetError: it is no reference, the registry does not have it or does not answer, or there is none for the
            platform.
    """
    try:
        reference = parse(word)
        registry = connect()
        top = registry.manifest(reference)
        document, digest = top.document, top.descriptor.digest
        if "manifests" in document:
            rows = [row for row in rows_of(document) if not _is_attestation(row)]
            if not rows:
                raise TargetError(f"{word}: its index names no image")
            digest = str(choose(rows, platform, default_platform, word).get("digest"))
            document = registry.manifest(_by_digest(reference, digest)).document
        told = document.get("config")
        if not isinstance(told, dict) or not isinstance(told.get("digest"), str):
            raise TargetError(f"{word}: no image: its manifest names no configuration")
        data = registry.blob(reference, told["digest"], MAX_CONFIG)
    except InvalidReference as error:
        raise TargetError(f"{word}: no name of an image: {error}") from None
    except RegistryError as error:
        raise TargetError(str(error)) from None
    try:
        config = of_document(json.loads(data), word)
    except (ValueError, RecursionError):
        raise TargetError(f"{word}: its configuration is not JSON; is it an image?") from None
    if platform is not None and not (config.platform or "").startswith(platform):
        raise TargetError(f"{word}: is for {config.platform or 'an unnamed platform'}, not for {platform}")
    blobs = tuple(_layer(row, word) for row in listed(document.get("layers")))
    if len(blobs) != len(config.layers):
        raise TargetError(f"{word}: its manifest and its configuration name different numbers of layers")
    name = f"{reference.name}@{top.descriptor.digest}"
    identity = Identity(reference.familiar, told["digest"], top.descriptor.digest, (name,))
    size = sum(size for _, size in blobs)
    return RemoteImage(reference, config, identity, f"manifest {digest}", size, blobs, connect, cache)


def _is_attestation(row: dict[str, Any]) -> bool:
    told = row.get("platform")
    return isinstance(told, dict) and told.get("os") == "unknown"


def _by_digest(reference: Reference, digest: str) -> Reference:
    return Reference(reference.domain, reference.path, None, digest)


def _layer(row: Any, word: str) -> tuple[str, int]:
    size = row.get("size") if isinstance(row, dict) else None
    if not isinstance(size, int) or size < 0 or not isinstance(row.get("digest"), str):
        raise TargetError(f"{word}: its manifest names a layer without digest and size")
    if "tar" not in str(row.get("mediaType", "tar")):
        raise TargetError(f"{word}: its layers are {str(row.get('mediaType'))[:80]!r}, not files; is it an image?")
    return row["digest"], row["size"]
