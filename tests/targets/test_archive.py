"""Archives: docker save tars and OCI layouts, whole, damaged and hostile."""

from __future__ import annotations

import gzip
import json
import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from doctor.errors import TargetError
from doctor.io.registry.client import RegistryClient
from doctor.io.registry.interface import Descriptor, Manifest, NotFound
from doctor.model.facts import is_known
from doctor.targets import image_cache
from doctor.targets.archive import open_archive
from doctor.targets.container import gpus_requested
from doctor.targets.image import default_platform, find
from doctor.targets.image_config import Identity, ImageConfig, home_of, of_document, section
from doctor.targets.inside import look_inside
from doctor.targets.inside_options import Inside
from doctor.targets.remote_image import open_remote
from doctor.targets.software import Collected
from doctor.targets.words import Target
from tests.targets.tars import config, digest, layout, saved, symlink, tar
from tests.targets.test_layers import tree

PYTHON = (
    ("usr/bin/python3.11", b"no ELF file"),
    symlink("usr/bin/python3", "python3.11"),
    ("usr/lib/python3.11/os.py", b""),
    ("usr/lib/python3.11/site-packages/numpy-1.26.4.dist-info/METADATA", b"Name: numpy\nVersion: 1.26.4\n"),
    ("etc/os-release", b'ID=debian\nVERSION_ID="12"\n'),
    ("etc/passwd", b"root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n"),
)
LOWER = tar(*PYTHON)
UPPER = tar(("usr/lib/python3.11/site-packages/keras-3.5.0.dist-info/METADATA", b"Name: keras\nVersion: 3.5.0\n"))
ENV = ["PATH=/usr/bin", "CUDA_VERSION=12.3.2", "NVIDIA_REQUIRE_CUDA=cuda>=12.3", "TF_API_TOKEN=x", "HOME_PAGE=x"]


def opened(path: Path, platform: str | None = None) -> Any:
    """The archive's configuration, identity, and everything in its files."""
    with ExitStack() as stack:
        found = open_archive(path, platform, "linux/amd64", stack)
        return found.config, found.identity, tree(found.files(stack, lambda _more: None))


def refused(path: Path, words: str, platform: str | None = None) -> None:
    """Opening and reading it ends in one line with these words."""
    with pytest.raises(TargetError, match=words) as caught:
        opened(path, platform)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def make(kind: str, folder: Path) -> Path:
    """The same image as a docker save tar, that in gzip, an OCI layout, or that in a tar."""
    if kind.startswith("saved"):
        path = saved(folder / "image.tar", [LOWER, UPPER], Env=ENV)
        if kind.endswith("gz"):
            path.write_bytes(gzip.compress(path.read_bytes()))
        return path
    place = layout(folder / "layout", [LOWER, UPPER], Env=ENV)
    if kind == "layout":
        return place
    files = [(str(p.relative_to(place)), p.read_bytes()) for p in place.rglob("*") if p.is_file()]
    path = folder / "layout.tar"
    path.write_bytes(tar(*files))
    return path


KINDS = ["saved", "saved.gz", "layout", "layout.tar"]


@pytest.mark.parametrize("kind", KINDS)
def test_all_kinds_hold_the_same_image(kind: str, tmp_path: Path) -> None:
    """The collector finds the same software in each, and the image's own word is kept apart from the environment."""
    options = Inside(cache=False, machine=False)
    snapshot = look_inside(Target("archive", str(make(kind, tmp_path))), options).snapshot
    software = snapshot.software
    assert [(one.name, one.version) for one in software.packages] == [("keras", "3.5.0"), ("numpy", "1.26.4")]
    assert software.python.executable == "/usr/bin/python3"
    assert software.distribution.id == "debian"
    assert software.image.platform == "linux/amd64"
    assert software.image.id == digest(json.dumps(config([LOWER, UPPER], Env=ENV)).encode())
    assert software.image.layers == (digest(LOWER), digest(UPPER))
    assert software.image.environment == {"CUDA_VERSION": "12.3.2", "NVIDIA_REQUIRE_CUDA": "cuda>=12.3"}
    assert software.environment == software.image.environment
    assert (snapshot.subject.kind, snapshot.subject.collected) == ("archive", "static")
    assert is_known(software.image.digest) is kind.startswith("layout")


def test_docker_save_of_old_links_layers(tmp_path: Path) -> None:
    """A layer that appears twice is a link to the other one."""
    path = saved(tmp_path / "image.tar", [LOWER, LOWER])
    document = json.dumps(config([LOWER, LOWER])).encode()
    row = {"Config": "c.json", "RepoTags": None, "Layers": ["0/layer.tar", "1/layer.tar"]}
    path.write_bytes(
        tar(
            ("0/layer.tar", LOWER),
            symlink("1/layer.tar", "../0/layer.tar"),
            ("c.json", document),
            ("manifest.json", json.dumps([row]).encode()),
        )
    )
    assert "/etc/passwd" in opened(path)[2]


def test_archives_that_are_none(tmp_path: Path) -> None:
    """Text, nothing, a tar of something else, a folder of something else, a missing file, a pipe."""
    path = tmp_path / "x.tar"
    for data, words in (
        (b"some text" * 200, "no tar header"),
        (b"", "cut off, or no tar"),
        (tar(("readme", b"x")), "neither a docker save archive nor an OCI layout"),
        (gzip.compress(b"text" * 1000), "no tar header"),
        (b"\x1f\x8b" + b"broken" * 100, "not a gzip stream"),
    ):
        path.write_bytes(data)
        refused(path, words)
    refused(tmp_path, "neither a docker save archive")
    refused(tmp_path / "nothing.tar", "No such file")
    os.mkfifo(tmp_path / "pipe.tar")
    refused(tmp_path / "pipe.tar", "not a regular file")


def test_manifests_that_contradict(tmp_path: Path) -> None:
    """A missing layer, another number of layers, a missing or false configuration, several images."""
    path = tmp_path / "image.tar"
    for changes, words in (
        ({"Layers": ["0/layer.tar", "gone/layer.tar"]}, "names the layer gone/layer.tar, which is not in it"),
        ({"Layers": ["0/layer.tar"]}, "different numbers of layers"),
        ({"Layers": "all"}, "different numbers of layers"),
        ({"Config": "gone.json"}, "names gone.json, which is not in it"),
        ({"Config": "0/layer.tar"}, "is not JSON"),
        ({"Config": "../../etc/passwd"}, "which is not in it"),
    ):
        refused(saved(path, [LOWER, UPPER], changes), words)
    document = json.dumps(config([LOWER])).encode()
    row = {"Config": "0" * 64 + ".json", "Layers": ["l"]}
    files = [("0" * 64 + ".json", document), ("l", LOWER)]
    path.write_bytes(tar(*files, ("manifest.json", json.dumps([row]).encode())))
    refused(path, "the bytes of 0+.json are those of sha256:")
    path.write_bytes(tar(*files, ("manifest.json", json.dumps([row, row]).encode())))
    refused(path, "holds 2 images")
    path.write_bytes(tar(("manifest.json", b"[" * 100_000)))
    refused(path, "not JSON")


def test_layouts_that_contradict(tmp_path: Path) -> None:
    """Every byte of a layout is held against its digest: manifest, configuration and layers."""
    for number, part in enumerate(("manifest", "config", "layer")):
        place = layout(tmp_path / str(number), [LOWER, UPPER])
        index = json.loads((place / "index.json").read_text())
        name = index["manifests"][0]["digest"]
        manifest = json.loads((place / "blobs/sha256" / name[7:]).read_bytes())
        if part != "manifest":
            name = (manifest["config"] if part == "config" else manifest["layers"][0])["digest"]
        file = place / "blobs/sha256" / name[7:]
        data = file.read_bytes()
        file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        refused(place, "bytes|gzip")
        file.unlink()
        refused(place, "which is not in it")


def test_blobs_are_never_taken_from_elsewhere(tmp_path: Path) -> None:
    """A digest that is a path names nothing, wherever it points."""
    place = layout(tmp_path / "layout", [LOWER])
    index = {"manifests": [{"digest": "sha256:../../../../etc/passwd"}]}
    (place / "index.json").write_text(json.dumps(index))
    refused(place, "which is no SHA-256 digest")
    (place / "index.json").write_text(json.dumps({"manifests": []}))
    refused(place, "names no image")


def test_platforms(tmp_path: Path) -> None:
    """The one asked for is taken; where it is not there, the ones that are there are named."""
    place = layout(tmp_path / "layout", [LOWER])
    index = json.loads((place / "index.json").read_text())
    arm = {**index["manifests"][0], "platform": {"os": "linux", "architecture": "arm64", "variant": "v8"}}
    attestation = {**arm, "platform": {"os": "unknown", "architecture": "unknown"}}
    (place / "index.json").write_text(json.dumps({"manifests": [*index["manifests"], arm, attestation]}))
    assert opened(place)[0].platform == "linux/amd64"
    refused(place, "nothing for windows/amd64, only linux/amd64, linux/arm64/v8", "windows/amd64")
    refused(place, "is for linux/amd64, not for linux/arm64", "linux/arm64")  # the index lies about the image
    refused(saved(tmp_path / "image.tar", [LOWER]), "is for linux/amd64", "linux/arm64")


def test_what_looks_like_a_secret_stays_behind() -> None:
    """Variables outside the allow-list, and labels with a secret's name or look, are not in a snapshot."""
    labels = {"org.example.vendor": "me", "api-token": "x", "url": "https://ann:pw@host/x", "revision": "a" * 40}
    facts, gaps = section(ImageConfig({"TF_X": "1", "AWS_KEY": "2"}, labels), Identity("app:1"))
    assert facts["labels"] == {"org.example.vendor": "me", "revision": "a" * 40}
    assert facts["environment"] == {"TF_X": "1"}
    assert {gap["path"] for gap in gaps} == {"software.image.labels.api-token", "software.image.labels.url"}


def test_the_home_of_the_images_user(tmp_path: Path) -> None:
    """By name, by number, root where none is named; unknown where the image does not say."""
    with ExitStack() as stack:
        files = open_archive(saved(tmp_path / "i.tar", [LOWER]), None, "linux/amd64", stack).files(stack, print)
        homes = [home_of(files, user) for user in ("", "ann", "1000:1000", "nobody")]
    assert homes == ["/root", "/home/ann", "/home/ann", None]


@pytest.mark.parametrize("document", [None, [], {}, {"rootfs": {"diff_ids": ["../x"]}}, {"rootfs": {"diff_ids": 7}}])
def test_configurations_that_are_none(document: Any) -> None:
    """An artifact or a damaged document is no image."""
    with pytest.raises(TargetError, match="app:1: "):
        of_document(document, "app:1")


@pytest.mark.parametrize(
    ("host", "environment", "asked"),
    [
        ({}, {}, False),
        ({"DeviceRequests": [{"Driver": "", "Count": -1, "Capabilities": [["gpu"]]}]}, {}, True),
        ({"DeviceRequests": [{"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=all"]}]}, {}, True),
        ({"DeviceRequests": [{"Driver": "cdi", "DeviceIDs": ["vendor.com/net=0"]}]}, {}, False),
        ({"Devices": [{"PathOnHost": "/dev/nvidia0"}]}, {}, True),
        ({"Runtime": "nvidia"}, {"NVIDIA_VISIBLE_DEVICES": "all"}, True),
        ({"Runtime": "nvidia"}, {"NVIDIA_VISIBLE_DEVICES": "void"}, False),
        ({"Runtime": "runc"}, {"NVIDIA_VISIBLE_DEVICES": "all"}, False),
        ({"DeviceRequests": None, "Devices": None}, {}, False),
    ],
)
def test_whether_gpus_were_asked_for(host: dict[str, Any], environment: dict[str, str], asked: bool) -> None:
    """By --gpus, CDI, device nodes or the NVIDIA runtime with its variable."""
    assert gpus_requested(host, environment) is asked


# --- the cache --------------------------------------------------------------------------------------------------------


def test_the_cache_answers_for_the_same_content_only(tmp_path: Path) -> None:
    """Another key, another way of looking, a damaged entry or none: nothing is known."""
    cache = image_cache.ImageCache({"XDG_CACHE_HOME": str(tmp_path)})
    found = Collected({"python": {"version": "3.11.2"}}, ("software.packages",), (), ({"path": "/", "why": "x"},))
    cache.put("manifest sha256:1", "static", found)
    assert cache.get("manifest sha256:1", "static") == found
    assert cache.get("manifest sha256:1", "run") is None
    assert cache.get("manifest sha256:2", "static") is None
    path = cache.path("manifest sha256:1", "static")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    for data in (b"", b"{}", b"[1]", b"\xff", b'{"facts": 1, "partial": 2}'):
        path.write_bytes(data)
        assert cache.get("manifest sha256:1", "static") is None


def test_the_cache_stays_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The entries used longest ago go; an entry that is too large is not kept; no folder, no cache."""
    monkeypatch.setattr(image_cache, "MAX_CACHE", 3000)
    monkeypatch.setattr(image_cache, "MAX_ENTRY", 2500)
    cache = image_cache.ImageCache({"XDG_CACHE_HOME": str(tmp_path)})
    for number in range(4):
        cache.put(f"{number}", "static", Collected({"x": "y" * 1000}))
        os.utime(cache.path(f"{number}", "static"), (number, number))
    cache.put("last", "static", Collected({"x": "y" * 1000}))
    assert cache.get("0", "static") is None
    assert cache.get("last", "static") is not None
    cache.put("huge", "static", Collected({"x": "y" * 5000}))
    assert cache.get("huge", "static") is None
    (tmp_path / "file").write_text("")
    image_cache.ImageCache({"XDG_CACHE_HOME": str(tmp_path / "file")}).put("a", "static", Collected({}))


def test_a_changed_archive_is_read_again(tmp_path: Path) -> None:
    """The entry of an archive is the file's own: what merely claims to be the same image does not use it."""
    env = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "PATH": "/nowhere"}
    path = saved(tmp_path / "image.tar", [LOWER])
    options = Inside(machine=False)
    first = look_inside(Target("archive", str(path)), options, env).snapshot.software.packages
    document = json.dumps(config([LOWER])).encode()
    row = {"Config": digest(document)[7:] + ".json", "Layers": ["l"]}
    other = tar(
        *PYTHON, ("usr/lib/python3.11/site-packages/evil-1.0.dist-info/METADATA", b"Name: evil\nVersion: 1.0\n")
    )
    path.write_bytes(tar((row["Config"], document), ("l", other), ("manifest.json", json.dumps([row]).encode())))
    second = look_inside(Target("archive", str(path)), options, env).snapshot.software.packages
    assert {one.name for one in first} == {"numpy"}
    assert {one.name for one in second} == {"numpy", "evil"}


# --- a registry that is a folder --------------------------------------------------------------------------------------


class FolderRegistry:
    """A registry whose answers are the blobs of an OCI layout; ``lie`` changes a blob on its way."""

    def __init__(self, place: Path, lie: dict[str, bytes] | None = None) -> None:
        self.place = place
        self.lie = lie or {}

    def _read(self, name: str) -> bytes:
        path = self.place / "blobs/sha256" / name.removeprefix("sha256:")
        if not path.is_file():
            raise NotFound(f"127.0.0.1 has no {name}")
        return self.lie.get(name, path.read_bytes())

    def describe(self, reference: Any) -> Descriptor:
        """The first manifest."""
        return self.manifest(reference).descriptor

    def manifest(self, reference: Any) -> Manifest:
        """The index for a tag, a manifest for a digest."""
        data = self._read(reference.digest) if reference.digest else (self.place / "index.json").read_bytes()
        return Manifest(Descriptor(digest(data), ""), json.loads(data))

    def blob(self, _reference: Any, name: str, _limit: int) -> bytes:
        """A small blob."""
        return self._read(name)

    def stream(self, _reference: Any, name: str) -> Any:
        """A layer in small pieces."""
        data = self._read(name)
        return iter([data[at : at + 1000] for at in range(0, len(data), 1000)])


def test_an_image_out_of_a_registry(tmp_path: Path) -> None:
    """Index, manifest, configuration and layers are followed; its digest is that of the index."""
    place = layout(tmp_path / "layout", [LOWER, UPPER])
    with ExitStack() as stack:
        found = open_remote("127.0.0.1:5000/app:1", None, "linux/amd64", lambda: FolderRegistry(place))
        assert "/usr/lib/python3.11/site-packages/keras-3.5.0.dist-info/METADATA" in tree(found.files(stack, print))
    assert found.identity.digest == digest((place / "index.json").read_bytes())
    assert found.identity.repo_digests == (f"127.0.0.1:5000/app@{found.identity.digest}",)


def test_registries_that_lie(tmp_path: Path) -> None:
    """More bytes than promised, a missing layer, no image at all, no platform: one line each."""
    place = layout(tmp_path / "layout", [LOWER])
    manifest = json.loads((place / "index.json").read_text())["manifests"][0]["digest"]
    layer = json.loads((place / "blobs/sha256" / manifest[7:]).read_bytes())["layers"][0]["digest"]

    def refuse(words: str, lie: dict[str, bytes] | None = None, platform: str | None = None) -> None:
        with ExitStack() as stack, pytest.raises(TargetError, match=words):
            open_remote("127.0.0.1/app:1", platform, "linux/amd64", lambda: FolderRegistry(place, lie)).files(
                stack, lambda _more: None
            )

    refuse("larger than its manifest says", {layer: bytes(10_000_000)})
    refuse("ends in the middle", {layer: gzip.compress(LOWER)[:50]})
    refuse("names no configuration", {manifest: b'{"layers": []}'})
    refuse("nothing for linux/arm64|only linux/amd64", platform="linux/arm64")
    (place / "blobs/sha256" / layer[7:]).unlink()
    refuse("has no sha256:")
    with pytest.raises(TargetError, match="no name of an image"):
        open_remote("NOT A NAME", None, "linux/amd64", lambda: FolderRegistry(place))


def test_an_image_that_cannot_be_had_is_named() -> None:
    """Of several the reader must know which: the registry's own words name its host alone."""
    refused = r"^127\.0\.0\.1:9/app:1\.4: 127\.0\.0\.1:9: cannot be reached: .* \(no engine answers\)$"
    with pytest.raises(TargetError, match=refused):
        find("127.0.0.1:9/app:1.4", None, "never", "no engine answers", lambda: RegistryClient(seconds=2.0))


def test_the_machines_platform() -> None:
    """As registries name it."""
    assert default_platform().startswith("linux/")
