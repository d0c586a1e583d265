"""Tars, layers and archives made for a test: small, exact, and as wrong as the test wants them."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Entry = tarfile.TarInfo | tuple[str, bytes]


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", mode: int = 0o755) -> tarfile.TarInfo:
    """A member without content: a folder, a link, a device."""
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.mode = kind, link, mode
    return member


def folder(name: str) -> tarfile.TarInfo:
    """A folder."""
    return entry(name, tarfile.DIRTYPE)


def symlink(name: str, target: str) -> tarfile.TarInfo:
    """A symbolic link."""
    return entry(name, tarfile.SYMTYPE, target)


def hardlink(name: str, target: str) -> tarfile.TarInfo:
    """A hard link."""
    return entry(name, tarfile.LNKTYPE, target)


def tar(*entries: Entry, format: int = tarfile.PAX_FORMAT) -> bytes:  # noqa: A002
    """A tar of these members, in their order; ``(name, content)`` is a file."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=format) as out:
        for one in entries:
            if isinstance(one, tarfile.TarInfo):
                out.addfile(one)
            else:
                member = tarfile.TarInfo(one[0])
                member.size = len(one[1])
                out.addfile(member, io.BytesIO(one[1]))
    return data.getvalue()


def digest(data: bytes) -> str:
    """As registries write it."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def config(layers: Sequence[bytes], **more: Any) -> dict[str, Any]:
    """The configuration of an image with these unpacked layers."""
    rootfs = {"type": "layers", "diff_ids": [digest(layer) for layer in layers]}
    return {"os": "linux", "architecture": "amd64", "rootfs": rootfs, "config": more}


def saved(path: Path, layers: Sequence[bytes], changes: dict[str, Any] | None = None, **more: Any) -> Path:
    """A ``docker save`` archive; ``changes`` replace keys of its manifest's only row."""
    document = json.dumps(config(layers, **more)).encode()
    name = hashlib.sha256(document).hexdigest() + ".json"
    row = {"Config": name, "RepoTags": ["app:1"], "Layers": [f"{n}/layer.tar" for n in range(len(layers))]}
    row.update(changes or {})
    files: list[Entry] = [(f"{n}/layer.tar", layer) for n, layer in enumerate(layers)]
    path.write_bytes(tar(*files, (name, document), ("manifest.json", json.dumps([row]).encode())))
    return path


def layout(path: Path, layers: Sequence[bytes], packed: Sequence[bytes] | None = None, **more: Any) -> Path:
    """An OCI layout in a folder; the layers packed with gzip unless given otherwise."""
    blobs = path / "blobs/sha256"
    blobs.mkdir(parents=True)
    packed = [gzip.compress(layer, mtime=0) for layer in layers] if packed is None else packed

    def put(data: bytes, kind: str) -> dict[str, Any]:
        (blobs / hashlib.sha256(data).hexdigest()).write_bytes(data)
        return {"mediaType": kind, "digest": digest(data), "size": len(data)}

    manifest = {
        "schemaVersion": 2,
        "config": put(json.dumps(config(layers, **more)).encode(), "application/vnd.oci.image.config.v1+json"),
        "layers": [put(layer, "application/vnd.oci.image.layer.v1.tar+gzip") for layer in packed],
    }
    row = put(json.dumps(manifest).encode(), "application/vnd.oci.image.manifest.v1+json")
    row["platform"] = {"os": "linux", "architecture": "amd64"}
    (path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [row]}))
    (path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return path
