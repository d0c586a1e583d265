"""Layers of a registry are fetched once: what was read of them serves every image that is built on them."""

from __future__ import annotations

import gzip
import json
import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from doctor.errors import TargetError
from doctor.targets import image, layer_cache
from doctor.targets.layer_cache import LayerCache
from doctor.targets.remote_image import RemoteImage, open_remote
from tests.targets.tars import entry, layout, tar
from tests.targets.test_archive import LOWER, UPPER, FolderRegistry
from tests.targets.test_layers import tree

TOP = tar(("usr/lib/python3.11/site-packages/six-1.16.0.dist-info/METADATA", b"Name: six\nVersion: 1.16.0\n"))


class Counting(FolderRegistry):
    """A registry that remembers which layers it sent."""

    def __init__(self, place: Path, lie: dict[str, bytes] | None = None) -> None:
        super().__init__(place, lie)
        self.sent: list[str] = []

    def stream(self, reference: Any, name: str) -> Any:
        self.sent.append(name)
        return super().stream(reference, name)


@pytest.fixture
def cache(tmp_path: Path) -> LayerCache:
    return LayerCache({"XDG_CACHE_HOME": str(tmp_path / "cache")})


def opened(registry: FolderRegistry, cache: LayerCache | None) -> RemoteImage:
    return open_remote("127.0.0.1:5000/app:1", None, "linux/amd64", lambda: registry, cache)


def packages(registry: FolderRegistry, cache: LayerCache | None) -> dict[str, str]:
    found = image.read(opened(registry, cache), lambda _more: None).facts.get("packages", ())
    return {one["name"]: one["version"] for one in found}


def test_a_base_is_fetched_once(tmp_path: Path, cache: LayerCache) -> None:
    """Of a second image on the same base only its own layer comes over the network; of the same image nothing does."""
    first = Counting(layout(tmp_path / "a", [LOWER, UPPER]))
    assert packages(first, cache) == {"numpy": "1.26.4", "keras": "3.5.0"}
    assert len(first.sent) == 2
    second = Counting(layout(tmp_path / "b", [LOWER, TOP]))
    assert packages(second, cache) == {"numpy": "1.26.4", "six": "1.16.0"} == packages(second, None)
    assert len(second.sent) == 1 + 2  # the last two for the look without a cache
    again = Counting(layout(tmp_path / "c", [LOWER, UPPER, TOP]))
    assert set(packages(again, cache)) == {"numpy", "keras", "six"}
    assert again.sent == []


def test_known_layers_hide_and_link_as_fresh_ones_do(tmp_path: Path, cache: LayerCache) -> None:
    """Whiteouts, hard links to lower layers and permissions are the same out of the cache."""
    upper = tar(
        ("usr/lib/python3.11/site-packages/.wh.numpy-1.26.4.dist-info", b""),
        entry("etc/again", b"1", "etc/passwd"),
        entry("etc", b"5", mode=0o700),
    )
    place = layout(tmp_path / "a", [LOWER, upper])
    looks = []
    for _ in range(2):
        registry = Counting(place)
        with ExitStack() as stack:
            files = opened(registry, cache).files(stack, lambda _more: None)
            looks.append((tree(files), files.lstat("/etc"), files.read("/etc/again", 0, 4)))
    assert looks[0] == looks[1]
    assert looks[1][2] == b"root"
    assert "/usr/lib/python3.11/site-packages/numpy-1.26.4.dist-info/METADATA" not in looks[1][0]


def test_a_body_that_nobody_read_is_fetched_after_all(tmp_path: Path, cache: LayerCache) -> None:
    """The cache never answers with what it does not have, and knows it from then on."""
    body = os.urandom(200_000)
    place = layout(tmp_path / "a", [LOWER, tar(("opt/data", body))])
    packages(Counting(place), cache)
    for sent in (1, 0):
        registry = Counting(place)
        with ExitStack() as stack:
            files = opened(registry, cache).files(stack, lambda _more: None)
            assert registry.sent == []
            assert files.read("/opt/data", 1000, 50_000) == body[1000:51_000]
            assert files.read("/opt/data", 1000, 10) == body[1000:1010]
            assert len(registry.sent) == sent


def test_a_layer_named_twice_is_fetched_once(tmp_path: Path) -> None:
    """Some builders write the same empty layer many times."""
    registry = Counting(layout(tmp_path / "a", [LOWER, TOP, TOP, TOP]))
    assert set(packages(registry, None)) == {"numpy", "six"}
    assert len(registry.sent) == 2


def test_what_a_registry_lied_about_is_not_kept(tmp_path: Path, cache: LayerCache) -> None:
    """A layer that is cut off or is no tar leaves nothing behind that a later look would believe."""
    place = layout(tmp_path / "a", [LOWER])
    manifest = json.loads((place / "index.json").read_text())["manifests"][0]["digest"]
    layer = json.loads((place / "blobs/sha256" / manifest[7:]).read_bytes())["layers"][0]["digest"]
    for lie in (gzip.compress(LOWER)[:90], b"<html>"):
        with pytest.raises(TargetError):
            packages(Counting(place, {layer: lie}), cache)
        assert not cache.folder.exists()
    assert packages(Counting(place), cache) == {"numpy": "1.26.4"}


@pytest.mark.parametrize("damage", [b"", b"nonsense", None])
def test_a_damaged_entry_is_none(tmp_path: Path, cache: LayerCache, damage: bytes | None) -> None:
    """An entry that is cut off or foreign is fetched again, and replaced."""
    place = layout(tmp_path / "a", [LOWER])
    packages(Counting(place), cache)
    (entry_,) = cache.folder.iterdir()
    assert entry_.stat().st_mode & 0o777 == 0o600
    whole = entry_.read_bytes()
    entry_.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    registry = Counting(place)
    assert packages(registry, cache) == {"numpy": "1.26.4"}
    assert len(registry.sent) == 1
    assert packages(registry, cache) == {"numpy": "1.26.4"}
    assert len(registry.sent) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away")
def test_an_entry_of_somebody_else_is_none(tmp_path: Path, cache: LayerCache) -> None:
    """Another user's file in the folder is not believed."""
    place = layout(tmp_path / "a", [LOWER])
    packages(Counting(place), cache)
    (entry_,) = cache.folder.iterdir()
    os.chown(entry_, 12345, 12345)
    registry = Counting(place)
    packages(registry, cache)
    assert len(registry.sent) == 1


def test_the_cache_stays_small(tmp_path: Path, cache: LayerCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond its size the entries that were used longest ago go; what does not fit at all is not written."""
    monkeypatch.setattr(layer_cache, "MAX_CACHE", 3000)
    for number in range(6):
        place = layout(tmp_path / str(number), [tar((f"usr/{number}/os-release", os.urandom(500).hex().encode()))])
        packages(Counting(place), cache)
    assert 0 < sum(one.stat().st_size for one in cache.folder.iterdir()) <= 3000
    monkeypatch.setattr(layer_cache, "MAX_ENTRY", 10)
    before = sorted(cache.folder.iterdir())
    packages(Counting(layout(tmp_path / "large", [LOWER])), cache)
    assert sorted(cache.folder.iterdir()) == before
