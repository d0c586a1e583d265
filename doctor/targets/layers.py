"""A file system over a stack of layers: what a container of the image would see, with nothing unpacked.

Whiteouts (``.wh.name``) and opaque folders (``.wh..wh..opq``) hide what lower layers hold; hard links reach members of
their own and of lower layers; an entry that is no folder takes the place of a folder, and the other way round.
Source: OCI image specification, layer.md.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Sequence
from typing import Protocol

from doctor.collect import software
from doctor.errors import TargetError
from doctor.images.content import tar
from doctor.images.content.blob import Blob
from doctor.images.content.tar import Member

MAX_DEPTH = 256
WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"
_KINDS = {
    tar.FILE: software.FILE,
    tar.SPARSE: software.FILE,
    tar.FOLDER: software.FOLDER,
    tar.LINK: software.LINK,
    tar.OTHER: software.OTHER,
}


class Reader(Protocol):
    """Who reads the body of a file of a layer."""

    def read(self, path: str, node: Node, offset: int, length: int) -> bytes:
        """At most ``length`` bytes from ``offset`` of the file that stands at ``path``; raises OSError."""
        ...


class BlobReader:
    """Bodies out of a layer whose bytes can be read by their place."""

    def __init__(self, blob: Blob) -> None:
        self.blob = blob

    def read(self, path: str, node: Node, offset: int, length: int) -> bytes:
        """At most ``length`` bytes from ``offset`` of the file's body."""
        length = min(length, node.size - offset)
        if length <= 0:
            return b""
        try:
            data = self.blob.read_at(node.offset + offset, length)
        except TargetError as error:
            raise OSError(errno.EIO, str(error), path) from None
        if len(data) < length:
            raise OSError(errno.EIO, "the layer ends in the middle of it", path)
        return data


class Node:
    """One entry of the tree; ``layer`` counts from the bottom, ``reader`` has its body, ``kept`` the body's start."""

    __slots__ = ("children", "kept", "kind", "layer", "link", "mode", "mtime", "offset", "reader", "size", "sparse")

    def __init__(self, kind: str, layer: int, mode: int = 0o755) -> None:
        self.kind = kind
        self.layer = layer
        self.mode = mode
        self.size = 0
        self.mtime = 0.0
        self.offset = 0
        self.link = ""
        self.kept = b""
        self.sparse = False
        self.reader: Reader | None = None
        self.children: dict[str, Node] | None = {} if kind == software.FOLDER else None


class LayerFileSystem(software.FileSystem):
    """The merged layers of an image. Layers are put on from the bottom up with :meth:`add`."""

    def __init__(self) -> None:
        self.root = Node(software.FOLDER, 0)
        self.layers = 0
        self.entries = 0

    # --- building -------------------------------------------------------------------------------------------------

    def add(self, name: str, found: Iterable[Member], reader: Reader) -> None:
        """Put a layer on top; ``name`` is what errors call it.

        Raises:
            TargetError: a member's name leaves the root, is nested too deep, or there are too many entries.
        """
        self.layers += 1
        parts: tuple[str, ...] | list[str] = ()
        before, folder = "", self.root
        for member in found:
            above, _, last = member.name.rstrip("/").rpartition("/")
            if last in ("", ".") and not above.strip("./"):
                continue  # the root itself
            if last in ("", ".", "..") or above != before or folder is self.root:
                parts = _parts(member.name, name)
                if not parts:
                    continue
                folder, before, last = self._folder(parts[:-1]), above, parts[-1]
            self._put(folder, last, member, name, reader)

    def _put(self, folder: Node, last: str, member: Member, name: str, reader: Reader) -> None:
        children = folder.children
        assert children is not None
        if last.startswith(WHITEOUT):
            if last == OPAQUE:
                self._hide_lower(folder)
            elif not last.startswith(".wh..wh."):  # AUFS' own notes
                hidden = children.get(last[len(WHITEOUT) :])
                if hidden is not None and not self._hide_lower(hidden):
                    del children[last[len(WHITEOUT) :]]
            return
        self.entries += 1
        if self.entries > tar.MAX_MEMBERS:
            raise TargetError(f"{name}: more than {tar.MAX_MEMBERS} entries in all layers: not looked at")
        known = children.get(last)
        if member.kind == tar.FOLDER and known is not None and known.children is not None:
            known.layer, known.mode, known.mtime = self.layers, member.mode, member.mtime
            return
        if member.kind == tar.HARDLINK:
            target = self._find(_parts(member.link, name))
            if target is None or target.children is not None:
                raise TargetError(f"{name}: {member.name[:200]!r} is a hard link to nothing")
            children[last] = self._copy(target)
            return
        node = Node(_KINDS[member.kind], self.layers, member.mode)
        node.size, node.mtime, node.offset = member.size, member.mtime, member.offset
        node.link, node.kept, node.reader = member.link, member.kept, reader
        node.sparse = member.kind == tar.SPARSE
        children[last] = node

    def _copy(self, target: Node) -> Node:
        node = Node(target.kind, self.layers, target.mode)
        for key in ("size", "mtime", "offset", "link", "kept", "reader", "sparse"):
            setattr(node, key, getattr(target, key))
        return node

    def _folder(self, parts: Sequence[str]) -> Node:
        """The folder at a place; made where there is none, also in place of a file of a lower layer."""
        node = self.root
        for part in parts:
            children = node.children
            assert children is not None
            child = children.get(part)
            if child is None or child.children is None:
                child = children[part] = Node(software.FOLDER, self.layers)
            node = child
        return node

    def _find(self, parts: Sequence[str]) -> Node | None:
        node: Node | None = self.root
        for part in parts:
            if node is None or node.children is None:
                return None
            node = node.children.get(part)
        return node

    def _hide_lower(self, node: Node) -> bool:
        """Take out what lower layers hold below a folder; whether anything of this layer is left of the node."""
        if node.children is None:
            return node.layer == self.layers
        order = [node]
        for one in order:
            order.extend(child for child in (one.children or {}).values() if child.children is not None)
        for one in reversed(order):  # the deepest first
            assert one.children is not None
            one.children = {
                name: child for name, child in one.children.items() if child.layer == self.layers or child.children
            }
        return node.layer == self.layers or bool(node.children)

    # --- reading --------------------------------------------------------------------------------------------------

    def _node(self, path: str) -> Node:
        node = self._find([part for part in path.split("/") if part])
        if node is None:
            raise FileNotFoundError(errno.ENOENT, "no such file", path)
        return node

    def lstat(self, path: str) -> tuple[str, int, int, float]:
        """Kind, size, permission bits and modification time of the entry itself."""
        node = self._node(path)
        return node.kind, node.size, node.mode, node.mtime

    def listdir(self, path: str) -> list[str]:
        """The names in a folder."""
        node = self._node(path)
        if node.children is None:
            raise NotADirectoryError(errno.ENOTDIR, "not a folder", path)
        return list(node.children)

    def readlink(self, path: str) -> str:
        """Where a link points."""
        node = self._node(path)
        if node.kind != software.LINK:
            raise OSError(errno.EINVAL, "not a link", path)
        return node.link

    def read(self, path: str, offset: int, length: int) -> bytes:
        """Bytes of a file, from the layer that has it."""
        node = self._node(path)
        if node.kind != software.FILE or node.reader is None:
            raise OSError(errno.EINVAL, "not a regular file", path)
        if node.sparse:
            raise OSError(errno.ENOTSUP, "a sparse file in a layer is not read", path)
        end = min(offset + length, node.size)
        if end <= len(node.kept):
            return node.kept[offset:end]
        return node.reader.read(path, node, offset, length)


def _parts(name: str, layer: str) -> list[str]:
    """The parts of a member's name within the root.

    Raises:
        TargetError: it leaves the root or is nested too deep; engines refuse such an image too.
    """
    parts: list[str] = []
    for part in name.split("/"):
        if part == "..":
            if not parts:
                raise TargetError(f"{layer}: the member {name[:200]!r} leaves the image's root: refused")
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    if len(parts) > MAX_DEPTH:
        raise TargetError(f"{layer}: {name[:100]!r}…: nested deeper than {MAX_DEPTH} folders: refused")
    return parts
