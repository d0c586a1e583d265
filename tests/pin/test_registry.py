"""Pins from a registry on loopback: tags, indexes, one platform, moved tags, the lock, and what is not answered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from doctor.io.registry.client import RegistryClient
from doctor.pin import lock
from doctor.pin.run import Request, Result, run
from doctor.project import collect_project
from tests.pin.support import A, no_registry, reasons
from tests.registry.server import MANIFEST, Fake, digest_of, serve


@pytest.fixture
def registry() -> Iterator[Fake]:
    """A registry with app:1 for two platforms."""
    with serve(Fake()) as fake:
        fake.add("app", "1")
        yield fake


def ask(root: Path, **asked: Any) -> Result:
    """A run on the project in ``root``."""
    return run(Request(**{"folder": root, **asked}), lambda: RegistryClient(5.0, find_credentials=lambda _domain: None))


def dockerfile(root: Path, *images: str) -> Path:
    """A Dockerfile that builds on these images."""
    place = root / "Dockerfile"
    place.write_text("".join(f"FROM {image}\n" for image in images))
    return place


def test_the_index_is_pinned(registry: Fake, tmp_path: Path) -> None:
    """The digest of the index is written, for a FROM with --platform too; each tag is asked about once."""
    image = f"{registry.host}/app:1"
    place = dockerfile(tmp_path, image, f"--platform=linux/arm64 {image}")
    result = ask(tmp_path, write=True)
    index = digest_of(registry.content["app/manifests/1"][1])
    assert place.read_text() == f"FROM {image}@{index}\nFROM --platform=linux/arm64 {image}@{index}\n"
    assert result.exit_code(Request(write=True)) == 0
    assert len(registry.seen) == 1
    before = place.stat()
    assert not ask(tmp_path, write=True).diffs
    assert place.stat() == before


def test_a_platform_only_when_asked_for(registry: Fake, tmp_path: Path) -> None:
    """--platform writes that platform's digest, and says what there is where there is none."""
    place = dockerfile(tmp_path, f"{registry.host}/app:1")
    result = ask(tmp_path, write=True, platform="linux/s390x")
    assert "has no linux/s390x: it has linux/amd64, linux/arm64" in reasons(result)[0]
    ask(tmp_path, write=True, platform="linux/arm64")
    index = json.loads(registry.content["app/manifests/1"][1])
    assert place.read_text() == f"FROM {registry.host}/app:1@{index['manifests'][1]['digest']}\n"


def test_a_tag_without_an_index(registry: Fake, tmp_path: Path) -> None:
    """Where the tag names one manifest its digest is the only one there is; --platform is held against its config."""
    config = json.dumps({"os": "linux", "architecture": "arm64"}).encode()
    registry.content[f"one/blobs/{digest_of(config)}"] = ("application/octet-stream", config)
    manifest = json.dumps({"config": {"digest": digest_of(config)}, "layers": []}).encode()
    registry.put("one", "1", MANIFEST, manifest)
    place = dockerfile(tmp_path, f"{registry.host}/one:1")
    assert "is for linux/arm64, not for linux/amd64" in reasons(ask(tmp_path, write=True, platform="linux/amd64"))[0]
    ask(tmp_path, write=True, lock=True)
    assert place.read_text() == f"FROM {registry.host}/one:1@{digest_of(manifest)}\n"
    assert lock.read(tmp_path / lock.NAME)[f"{registry.host}/one:1"].platforms == ("linux/arm64",)


def test_update_follows_the_tag(registry: Fake, tmp_path: Path) -> None:
    """A digest stays until --update is given; what has no tag cannot follow one."""
    image = f"{registry.host}/app:1"
    bare = f"{registry.host}/app@{A}"
    place = dockerfile(tmp_path, f"{image}@{A}", bare)
    assert not ask(tmp_path, write=True).diffs
    assert not registry.seen
    result = ask(tmp_path, write=True, update=True)
    index = digest_of(registry.content["app/manifests/1"][1])
    assert place.read_text() == f"FROM {image}@{index}\nFROM {bare}\n"
    assert [row.text for row in result.remarks] == ["has no tag that could be followed"]


def test_update_of_a_digest_in_an_argument(registry: Fake, tmp_path: Path) -> None:
    """The digest is replaced where it is written: in the ARG."""
    place = tmp_path / "Dockerfile"
    text = 'ARG H="@%s"\nFROM ' + registry.host + "/app:1${H}\n"
    place.write_text(text % A)
    ask(tmp_path, write=True, update=True)
    assert place.read_text() == text % digest_of(registry.content["app/manifests/1"][1])


@pytest.mark.parametrize(
    ("how", "why", "code"),
    [(404, "has no", 0), (401, "refuses access", 3), (500, "answers 500", 3), ("wrong-digest", "not sha256", 3)],
)
def test_registries_that_give_no_digest(registry: Fake, tmp_path: Path, how: Any, why: str, code: int) -> None:
    """The file stays; the reason is said; --check cannot tell where nobody answered, and --write ends with 1."""
    registry.behaviour["app/manifests/1"] = how
    place = dockerfile(tmp_path, f"{registry.host}/app:1")
    before = place.read_bytes()
    for asked in ({"write": True}, {"check": True}):
        result = ask(tmp_path, **asked)
        assert why in reasons(result)[0]
        assert result.exit_code(Request(**asked)) == (1 if "write" in asked else code)
    assert place.read_bytes() == before


def test_nobody_is_asked_offline_or_with_a_map(tmp_path: Path) -> None:
    """--offline asks nobody, and a map answers alone; both say which image has no digest."""
    dockerfile(tmp_path, "python:3.12")
    result = run(Request(tmp_path, offline=True, check=True), no_registry)
    assert reasons(result) == ["python:3.12 was not asked about: --offline"]
    assert result.exit_code(Request(check=True)) == 3
    (tmp_path / "map.json").write_text("{}")
    result = run(Request(tmp_path, digests=tmp_path / "map.json"), no_registry)
    assert reasons(result) == [f"python:3.12 is not in {tmp_path / 'map.json'}"]


def test_progress_counts_each_reference(registry: Fake, tmp_path: Path) -> None:
    """Progress is told how many of how many references are answered."""
    for tag in ("2", "3"):
        registry.add("app", tag)
    dockerfile(tmp_path, *(f"{registry.host}/app:{tag}" for tag in "1231"))
    told: list[tuple[int, int]] = []
    run(Request(tmp_path), lambda: RegistryClient(5.0), lambda done, of: told.append((done, of)))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_lock_records_what_tags_name(registry: Fake, tmp_path: Path) -> None:
    """Reference → digest, date and platforms; the files stay; a second run changes no byte, dates included."""
    image = f"{registry.host}/app:1"
    place = dockerfile(tmp_path, image)
    before = place.read_bytes()
    result = ask(tmp_path, lock=True)
    document = json.loads((tmp_path / lock.NAME).read_bytes())
    assert (document["kind"], document["schema"]) == ("kdoctor/lock", 1)
    row = document["images"][image]
    assert row["digest"] == digest_of(registry.content["app/manifests/1"][1])
    assert row["platforms"] == ["linux/amd64", "linux/arm64"]
    assert row["date"].endswith("Z")
    assert place.read_bytes() == before
    assert (result.locked, result.lock_changes) == (1, True)
    content = (tmp_path / lock.NAME).read_bytes().replace(row["date"].encode(), b"2020-01-01T00:00:00Z")
    (tmp_path / lock.NAME).write_bytes(content)
    assert not ask(tmp_path, lock=True).lock_changes
    assert (tmp_path / lock.NAME).read_bytes() == content


def test_lock_follows_the_project(registry: Fake, tmp_path: Path) -> None:
    """A row goes when no file of the project names its tag any more; a run on one file keeps the rows of the others."""
    registry.add("app", "2")
    place = dockerfile(tmp_path, f"{registry.host}/app:1")
    ask(tmp_path, lock=True)
    dockerfile(tmp_path, f"{registry.host}/app:2")
    ask(tmp_path, lock=True, names=(place,))
    assert set(lock.read(tmp_path / lock.NAME)) == {f"{registry.host}/app:1", f"{registry.host}/app:2"}
    assert ask(tmp_path, lock=True, check=True).exit_code(Request(lock=True, check=True)) == 1
    ask(tmp_path, lock=True)
    assert set(lock.read(tmp_path / lock.NAME)) == {f"{registry.host}/app:2"}


def test_lock_without_an_answer_keeps_what_it_knew(registry: Fake, tmp_path: Path) -> None:
    """An outage does not empty the lock."""
    dockerfile(tmp_path, f"{registry.host}/app:1")
    ask(tmp_path, lock=True)
    before = (tmp_path / lock.NAME).read_bytes()
    registry.behaviour["app/manifests/1"] = 500
    result = ask(tmp_path, lock=True)
    assert (tmp_path / lock.NAME).read_bytes() == before
    assert result.exit_code(Request(lock=True)) == 1


def test_a_lock_is_a_map_too(registry: Fake, tmp_path: Path) -> None:
    """--digests kdoctor.lock pins what was locked, without asking anybody."""
    place = dockerfile(tmp_path, f"{registry.host}/app:1")
    ask(tmp_path, lock=True)
    run(Request(tmp_path, write=True, digests=tmp_path / lock.NAME), no_registry)
    assert digest_of(registry.content["app/manifests/1"][1]) in place.read_text()


def test_the_lock_is_a_fact_of_the_project(registry: Fake, tmp_path: Path) -> None:
    """An image by tag has what the lock recorded beside it; one with a digest needs none."""
    image = f"{registry.host}/app:1"
    dockerfile(tmp_path, image, f"{image}@{A}")
    ask(tmp_path, lock=True)
    first, second = collect_project(tmp_path)["images"]
    row = lock.read(tmp_path / lock.NAME)[image]
    assert first["recorded"] == {"digest": row.digest, "date": row.date, "source": "kdoctor.lock"}
    assert "recorded" not in second


@pytest.mark.parametrize(
    "content",
    [b"{", b"[]", b'{"kind": "kdoctor/report"}', b'{"kind": "kdoctor/lock", "schema": 2, "images": {}}',
     b'{"kind": "kdoctor/lock", "schema": 1, "images": {"a": 1}}', b"\xff\xfe\x00", b'{"kind": "kdoctor/lock"}'],
)  # fmt: skip
def test_a_lock_that_cannot_be_read(tmp_path: Path, content: bytes) -> None:
    """It is unreadable as any other file of the project; the images are told all the same."""
    dockerfile(tmp_path, "python:3.12")
    (tmp_path / lock.NAME).write_bytes(content)
    section = collect_project(tmp_path)
    assert [row["path"] for row in section["unreadable"]] == [lock.NAME]
    assert str(tmp_path) not in section["unreadable"][0]["why"]
    assert [row["reference"] for row in section["images"]] == ["python:3.12"]
