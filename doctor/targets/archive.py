"""``archive:FILE``: an image out of a ``docker save`` tar, an OCI layout, or a folder with one; nothing is unpacked."""

from __future__ import annotations

import json
import os
import posixpath
import re
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from doctor.errors import TargetError
from doctor.images.content import tar, zstd
from doctor.images.content.blob import Blob, FileBlob, PartBlob, Tell, open_file
from doctor.images.content.inflate import GzipBlob
from doctor.io.registry.interface import INDEX_TYPES, rows_of
from doctor.targets.image_config import Identity, ImageConfig, listed, of_document
from doctor.targets.layers import LayerFileSystem
from doctor.targets.stack import Layer, digest_of, put_together

MAX_DOCUMENT = 8 << 20
MAX_INDEX_DEPTH = 4
_DIGEST = re.compile(r"^sha256:([0-9a-f]{64})$")
_TAG = "org.opencontainers.image.ref.name"
_NAME = "io.containerd.image.name"


class Store(Protocol):
    """The named parts of an archive."""

    def part(self, name: str) -> tuple[Blob, int] | None:
        """The part of that name and its size; None where there is none."""
        ...


@dataclass(frozen=True)
class ArchiveImage:
    """One image of an archive. ``layers`` from the bottom up; ``key`` names its content for a cache."""

    config: ImageConfig
    identity: Identity
    layers: tuple[Layer, ...]
    key: str
    size: int | None = None

    def files(self, stack: ExitStack, tell: Tell) -> LayerFileSystem:
        """The image's file system, which lives as long as ``stack``."""
        return put_together(self.layers, stack, tell)


def open_archive(path: Path, platform: str | None, default_platform: str, stack: ExitStack) -> ArchiveImage:
    """The image in an archive; of several platforms the one asked for, or this machine's.

    Raises:
        TargetError: it is no archive, is damaged, holds several images, or none for the platform.
    """
    name = str(path)
    store: Store = FolderStore(path) if path.is_dir() else TarStore(path, stack)
    mark = _stamp(path)
    if store.part("manifest.json") is not None:
        return _saved(store, name, mark, platform)
    if store.part("index.json") is not None:
        return _layout(store, name, platform, default_platform)
    raise TargetError(f"{name}: neither a docker save archive nor an OCI layout (no manifest.json, no index.json)")


# --- where the parts lie ----------------------------------------------------------------------------------------------


class FolderStore:
    """An OCI layout in a folder; only names that the layout knows are opened."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def part(self, name: str) -> tuple[Blob, int] | None:
        """The file of that name, if it is a regular one."""
        if not re.match(r"^(index\.json|oci-layout|blobs/sha256/[0-9a-f]{64})$", name):
            return None
        path = self.folder / name
        if not path.is_file():
            return None
        return _PathBlob(path), path.stat().st_size


class _PathBlob:
    """A file that is opened for each read: a layout may have hundreds, and only few are read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read_at(self, offset: int, length: int) -> bytes:
        descriptor = open_file(self.path)
        try:
            return FileBlob(descriptor).read_at(offset, length)
        finally:
            os.close(descriptor)


class TarStore:
    """The parts of a tar, plain, in gzip or in zstd; links between parts are followed, as old archives have them."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        if path.exists() and not path.is_file():
            raise TargetError(f"{path}: not a regular file")
        descriptor = open_file(path)
        stack.callback(os.close, descriptor)
        self.name = str(path)
        self.blob: Blob = FileBlob(descriptor)
        if self.blob.read_at(0, 2) == b"\x1f\x8b":
            self.blob = GzipBlob(self.blob, self.name)
        elif zstd.is_zstd(self.blob.read_at(0, 4)):
            self.blob = zstd.unpack(self.blob, self.name, stack)
        self.parts: dict[str, tar.Member] = {}
        for member in tar.members(self.blob, self.name, limit=100_000):
            self.parts[posixpath.normpath(member.name.lstrip("/"))] = member

    def part(self, name: str) -> tuple[Blob, int] | None:
        """The member of that name."""
        for _ in range(8):
            member = self.parts.get(posixpath.normpath(name.lstrip("/")))
            if member is None:
                return None
            if member.kind == tar.FILE:
                whole = self.blob
                if isinstance(whole, FileBlob):
                    return FileBlob(whole.descriptor, member.offset, min(member.size, whole.size - member.offset)), (
                        member.size
                    )
                return PartBlob(whole, member.offset, member.size), member.size
            if member.kind == tar.LINK:
                name = posixpath.join(posixpath.dirname(name), member.link)
            elif member.kind == tar.HARDLINK:
                name = member.link
            else:
                return None
        return None


def _document(store: Store, part: str, name: str, digest: str | None = None) -> tuple[Any, bytes]:
    found = store.part(part)
    if found is None:
        raise TargetError(f"{name}: names {part[:100]}, which is not in it: incomplete")
    blob, size = found
    if size > MAX_DOCUMENT:
        raise TargetError(f"{name}: {part[:100]} has {size} bytes: not looked at")
    data = blob.read_at(0, size)
    if digest is not None and digest_of(data) != digest:
        raise TargetError(
            f"{name}: the bytes of {part[:100]} are those of {digest_of(data)}: damaged, or tampered with"
        )
    try:
        return json.loads(data), data
    except (ValueError, RecursionError):
        raise TargetError(f"{name}: {part[:100]} is not JSON") from None


# --- docker save ------------------------------------------------------------------------------------------------------


def _saved(store: Store, name: str, mark: str, platform: str | None) -> ArchiveImage:
    """The one image of ``manifest.json``. Its layers carry no digest of their own packing, as an engine wrote them."""
    manifest, _ = _document(store, "manifest.json", name)
    rows = [row for row in manifest if isinstance(row, dict)] if isinstance(manifest, list) else []
    if not rows:
        raise TargetError(f"{name}: its manifest.json names no image")
    tags = [str(tag) for row in rows for tag in listed(row.get("RepoTags"))]
    if len(rows) > 1:
        raise TargetError(f"{name}: holds {len(rows)} images ({', '.join(tags)[:200]}): save one at a time")
    row = rows[0]
    part = str(row.get("Config", ""))
    hexadecimal = re.search(r"([0-9a-f]{64})(?:\.json)?$", part)
    told = "sha256:" + hexadecimal.group(1) if hexadecimal else None
    document, data = _document(store, part, name, told)
    config = of_document(document, name)
    parts = row.get("Layers")
    if not isinstance(parts, list) or len(parts) != len(config.layers):
        raise TargetError(f"{name}: its manifest and its configuration name different numbers of layers")
    _check_platform(config, platform, name)
    layers = tuple(_layer(store, str(part), name, _told_digest(str(part), store)) for part in parts)
    identity = Identity(reference=tags[0] if tags else None, id=digest_of(data))
    # nobody checks that the layers are those of the configuration: the file itself is what a cache may go by
    return ArchiveImage(config, identity, layers, f"archive {mark} {digest_of(data)}")


def _told_digest(part: str, store: Store) -> str | None:
    """The digest that a blob's own name promises, where an archive is an OCI layout that was not saved by an engine."""
    found = re.match(r"^blobs/sha256/([0-9a-f]{64})$", part)
    return "sha256:" + found.group(1) if found and store.part("index.json") is not None else None


# --- OCI layout -------------------------------------------------------------------------------------------------------


def _layout(store: Store, name: str, platform: str | None, default_platform: str) -> ArchiveImage:
    """The one image of ``index.json``, each byte of it checked by its digest."""
    index, _ = _document(store, "index.json", name)
    rows = _rows(index)
    tags = [_tag_of(row) for row in rows]
    if len(rows) > 1 and len({_platform_of(row) for row in rows}) < len(rows):
        shown = ", ".join(tag for tag in tags if tag)[:200]
        raise TargetError(f"{name}: holds {len(rows)} images ({shown or 'without names'}): save one at a time")
    row, manifest = _manifest(store, rows, name, platform, default_platform)
    config_digest = _digest_in(manifest.get("config"), name)
    document, _ = _document(store, _blob_name(config_digest), name, config_digest)
    config = of_document(document, name)
    _check_platform(config, platform, name)
    told = manifest.get("layers")
    if not isinstance(told, list) or len(told) != len(config.layers):
        raise TargetError(f"{name}: its manifest and its configuration name different numbers of layers")
    digests = [_digest_in(one, name) for one in told]
    layers = tuple(_layer(store, _blob_name(digest), name, digest) for digest in digests)
    digest = _digest_in(row, name)
    top = _digest_in(rows[0], name) if len(rows) == 1 else digest
    identity = Identity(reference=next((tag for tag in tags if tag), None), id=config_digest, digest=top)
    return ArchiveImage(config, identity, layers, f"manifest {digest}")


def _manifest(
    store: Store, rows: list[dict[str, Any]], name: str, platform: str | None, default: str, depth: int = 0
) -> tuple[dict[str, Any], dict[str, Any]]:
    """(row, manifest) of one platform, through indexes in the index."""
    if not rows or depth > MAX_INDEX_DEPTH:
        raise TargetError(f"{name}: its index names no image")
    row = choose(rows, platform, default, name)
    digest = _digest_in(row, name)
    document, _ = _document(store, _blob_name(digest), name, digest)
    if not isinstance(document, dict):
        raise TargetError(f"{name}: {digest} is no manifest")
    if row.get("mediaType") in INDEX_TYPES or "manifests" in document:
        return _manifest(store, _rows(document), name, platform, default, depth + 1)
    return row, document


def choose(rows: list[dict[str, Any]], platform: str | None, default: str, name: str) -> dict[str, Any]:
    """The row of an index for the platform asked for, else this machine's, else the only one.

    Raises:
        TargetError: there is none for it; the text names those that there are.
    """
    if len(rows) == 1 and (platform is None or _platform_of(rows[0]) is None):
        return rows[0]
    for row in rows:
        if _matches(_platform_of(row), platform or default):
            return row
    there = ", ".join(sorted({_platform_of(row) or "unnamed" for row in rows}))
    raise TargetError(f"{name}: nothing for {platform or default}, only {there[:200]}: choose with --platform")


def _matches(have: str | None, wanted: str) -> bool:
    return have is not None and (have == wanted or have.startswith(wanted + "/"))


def _check_platform(config: ImageConfig, platform: str | None, name: str) -> None:
    if platform is not None and not _matches(config.platform, platform):
        raise TargetError(f"{name}: is for {config.platform or 'an unnamed platform'}, not for {platform}")


def _rows(index: Any) -> list[dict[str, Any]]:
    """The images of an index; attestations and signatures are none."""
    return [row for row in rows_of(index) if (_platform_of(row) or "") != "unknown/unknown"]


def _platform_of(row: dict[str, Any]) -> str | None:
    told = row.get("platform")
    if not isinstance(told, dict):
        return None
    return "/".join(str(told[key]) for key in ("os", "architecture", "variant") if told.get(key)) or None


def _tag_of(row: dict[str, Any]) -> str | None:
    notes = row.get("annotations")
    found = (notes.get(_NAME) or notes.get(_TAG)) if isinstance(notes, dict) else None
    return str(found) if found else None


def _digest_in(row: Any, name: str) -> str:
    digest = row.get("digest") if isinstance(row, dict) else None
    if not isinstance(digest, str) or not _DIGEST.match(digest):
        raise TargetError(f"{name}: names a part by {str(digest)[:80]!r}, which is no SHA-256 digest")
    return digest


def _blob_name(digest: str) -> str:
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"


def _layer(store: Store, part: str, name: str, digest: str | None) -> Layer:
    found = store.part(part)
    if found is None:
        raise TargetError(f"{name}: names the layer {part[:100]}, which is not in it: incomplete")
    blob = found[0]
    return Layer(f"{name}: layer {part[:80]}", lambda: blob, digest)


def _stamp(path: Path) -> str:
    """What tells a file from its later versions."""
    found = path.stat()
    return f"{found.st_dev}:{found.st_ino}:{found.st_size}:{found.st_mtime_ns}"
