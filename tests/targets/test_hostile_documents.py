"""Documents of archives, registries and engines with anything in any place: read, or refused in one line."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from doctor.errors import TargetError
from doctor.io.registry.interface import Descriptor, Manifest
from doctor.model.wire import decode_snapshot
from doctor.targets import image
from doctor.targets.archive import open_archive
from doctor.targets.container import gpus_requested
from doctor.targets.image_config import Identity, of_document, of_inspection, section
from doctor.targets.overlay import folders_of
from doctor.targets.remote_image import open_remote
from tests.targets.fake_engine import IMAGE, LAYER
from tests.targets.tars import config, digest, tar
from tests.targets.test_archive import LOWER

ODD: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    10**30,
    1e308,
    "",
    "x/../y",
    "\ud800",
    "a" * 100_000,
    [],
    {},
    [[]],
    [{}],
    {"": 0},
)


def variants(document: Any) -> Iterator[tuple[str, Any]]:
    """The document with each odd value in each place, one at a time, and without each place."""
    for path in list(_places(document, ())):
        for odd in ODD:
            changed = copy.deepcopy(document)
            if not path:
                yield f"all of it: {odd!r:.40}", odd
                continue
            node = changed
            for step in path[:-1]:
                node = node[step]
            node[path[-1]] = odd
            yield f"{path}: {odd!r:.40}", changed


def _places(node: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _places(value, (*path, key))
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from _places(value, (*path, number))


def survives(what: str, look: Callable[[], Any]) -> None:
    """It works, or ends in one line of ours."""
    said = ""
    try:
        look()
    except TargetError as error:
        said = str(error)
    except Exception as error:
        pytest.fail(f"{what}: {type(error).__name__}: {error}")
    assert "\n" not in said
    assert len(said) < 3000, what


CONFIG = {
    "os": "linux",
    "architecture": "amd64",
    "variant": "v2",
    "rootfs": {"type": "layers", "diff_ids": [digest(LOWER)]},
    "config": {
        "Env": ["PATH=/usr/bin", "CUDA_VERSION=12.3"],
        "Labels": {"org.opencontainers.image.base.name": "x"},
        "User": "1000:1000",
    },
}


def read(source: Any) -> None:
    """Look at all of an image, down to the snapshot."""
    found = image.read(source, lambda _more: None)
    software, _ = section(source.config, source.identity)
    decode_snapshot({"software": {**found.facts, "image": software}})


def archive(path: Path, manifest: Any, document: Any) -> None:
    """Read a ``docker save`` archive with this manifest and configuration."""
    data = json.dumps(document).encode()
    path.write_bytes(tar(("l", LOWER), ("c.json", data), ("manifest.json", json.dumps(manifest).encode())))
    with ExitStack() as stack:
        read(open_archive(path, None, "linux/amd64", stack))


def test_archives(tmp_path: Path) -> None:
    """The manifest and the configuration of ``docker save``."""
    path = tmp_path / "image.tar"
    manifest = [{"Config": "c.json", "RepoTags": ["app:1"], "Layers": ["l"]}]
    archive(path, manifest, CONFIG)
    for what, changed in variants(manifest):
        survives(what, lambda changed=changed: archive(path, changed, CONFIG))
    for what, changed in variants(CONFIG):
        survives(what, lambda changed=changed: archive(path, manifest, changed))


class Liar:
    """A registry with one index, one manifest and one configuration, whatever they say; digests are not checked."""

    def __init__(self, index: Any, manifest: Any, document: Any) -> None:
        self.index, self.told, self.document = index, manifest, document

    def manifest(self, reference: Any) -> Manifest:
        """As the real client: a document without either key never comes so far."""
        found = self.told if reference.digest else self.index
        if not isinstance(found, dict) or not ("manifests" in found or "config" in found):
            raise TargetError("no manifest")
        return Manifest(Descriptor("sha256:" + "0" * 64, ""), found)

    def blob(self, _reference: Any, _name: str, _limit: int) -> bytes:
        return json.dumps(self.document).encode()

    def stream(self, _reference: Any, _name: str) -> Iterator[bytes]:
        return iter([LOWER])

    def describe(self, reference: Any) -> Descriptor:
        return self.manifest(reference).descriptor


MANIFEST = {
    "schemaVersion": 2,
    "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": "sha256:" + "1" * 64, "size": 1},
    "layers": [
        {
            "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
            "digest": "sha256:" + hashlib.sha256(LOWER).hexdigest(),
            "size": len(LOWER),
        }
    ],
}
INDEX = {
    "manifests": [
        {"digest": "sha256:" + "2" * 64, "mediaType": "x", "platform": {"os": "linux", "architecture": "amd64"}},
        {"digest": "sha256:" + "3" * 64, "platform": {"os": "linux", "architecture": "arm64", "variant": "v8"}},
    ]
}


def remote(index: Any, manifest: Any, document: Any) -> None:
    """Read an image of such a registry."""
    registry = Liar(index, manifest, document)
    found = open_remote("127.0.0.1:5000/app:1", None, "linux/amd64", lambda: registry)  # type: ignore[arg-type]
    read(found)


def test_registries() -> None:
    """Index, manifest and configuration, whose digests are right, say what they like."""
    remote(INDEX, MANIFEST, CONFIG)
    for what, changed in variants(INDEX):
        survives(what, lambda changed=changed: remote(changed, MANIFEST, CONFIG))
    for what, changed in variants(MANIFEST):
        survives(what, lambda changed=changed: remote(INDEX, changed, CONFIG))
    for what, changed in variants(CONFIG):
        survives(what, lambda changed=changed: remote(INDEX, MANIFEST, changed))


INSPECTION = {
    "Id": IMAGE,
    "RepoTags": ["app:1"],
    "RepoDigests": [f"app@{IMAGE}"],
    "Architecture": "amd64",
    "Os": "linux",
    "Variant": "",
    "Size": 100,
    "Config": {"Env": ["A=b"], "Labels": {"a": "b"}, "User": "root"},
    "RootFS": {"Type": "layers", "Layers": [LAYER]},
    "GraphDriver": {"Name": "overlay2", "Data": {"UpperDir": "/u", "LowerDir": "/a:/b", "MergedDir": "/m"}},
    "HostConfig": {
        "Runtime": "runc",
        "DeviceRequests": [{"Driver": "", "Count": -1, "Capabilities": [["gpu"]], "DeviceIDs": ["0"]}],
        "Devices": [{"PathOnHost": "/dev/nvidia0"}],
    },
}


class Answers:
    """An engine that has said this, and nothing else."""

    class endpoint:
        local = True

    def images(self) -> list[Any]:
        return [INSPECTION]


def test_engines() -> None:
    """What an engine says of an image or a container."""

    def look(document: Any) -> None:
        if not isinstance(document, dict):
            return  # the connection refuses such an answer
        found = of_inspection(document)
        source = image.of_engine(Answers(), document, found, "app:1")  # type: ignore[arg-type]
        section(found, source.identity)
        folders_of(document)
        host = document.get("HostConfig")
        gpus_requested(host if isinstance(host, dict) else {}, {})

    look(INSPECTION)
    for what, changed in variants(INSPECTION):
        survives(what, lambda changed=changed: look(changed))


def test_a_configuration_is_bounded() -> None:
    """Ten thousand variables and labels, and long ones, cost little and are cut."""
    many = {
        **CONFIG,
        "config": {"Env": [f"V{n}=x" for n in range(10_000)], "Labels": {str(n): "y" for n in range(10_000)}},
    }
    found = of_document(many, "x")
    facts, _ = section(found, Identity())
    assert len(json.dumps(facts)) < 2_000_000
    assert config([LOWER])["os"] == "linux"
