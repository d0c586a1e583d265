"""What tags named before: from the engine's RepoDigests, where no lock tells; and how a look-up tells one platform."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from doctor.images.lookup import look_up
from doctor.io.registry.client import RegistryClient
from doctor.project.recorded import with_engine, with_repo_digests
from tests.pin.support import A, B, C
from tests.registry.server import Fake, serve


def row(text: str, pinned: str = "tag", **more: Any) -> dict[str, Any]:
    """A row of ``project.images`` about which the registry has answered."""
    return {"reference": text, "pinned": pinned, "registry": {"tag_digest": A}, **more}


IMAGES = [
    {"RepoTags": ["python:3.12", "other:1"], "RepoDigests": [f"python@{B}", f"mirror.example/python@{C}"]},
    {"RepoTags": ["node:latest"], "RepoDigests": [f"node@{B}", f"node@{A}"]},
    {"RepoTags": None, "RepoDigests": None},
    {"RepoTags": ["<none>:<none>"], "RepoDigests": ["<none>@<none>"]},
    {"RepoTags": ["built:1"], "RepoDigests": []},
    "not an image",
]


def test_the_engine_tells_what_it_pulled() -> None:
    """The digest under which the same repository was pulled, under any spelling of its name."""
    (found,) = with_repo_digests([row("docker.io/library/python:3.12")], IMAGES)
    assert found["recorded"] == {"digest": B, "source": "the local engine"}


def test_one_of_several_digests_is_what_the_tag_names_now() -> None:
    """An image that was pulled before and after a move of the tag that changed nothing has not moved."""
    (found,) = with_repo_digests([row("node", "latest-implicit")], IMAGES)
    assert found["recorded"]["digest"] == A


def test_what_the_engine_cannot_tell() -> None:
    """Images that were built here, that are not there, that have a digest, or of which the lock or nobody knows."""
    rows = [
        row("built:1"),
        row("absent:1"),
        row(f"python:3.12@{A}", "digest"),
        row("python:3.12", recorded={"digest": C, "source": "kdoctor.lock"}),
        {"reference": "python:3.12", "pinned": "tag", "registry": {"missing": "late"}},
        {"reference": "python:3.12", "pinned": "tag"},
    ]
    assert with_repo_digests(rows, IMAGES) == rows


def test_without_an_engine_nothing_is_recorded(tmp_path: Path) -> None:
    """No engine, one behind a network, one that does not answer: the rows stay as they are."""
    rows = [row("python:3.12")]
    for host in ("tcp://127.0.0.1:1", f"unix://{tmp_path}/none.sock"):
        assert with_engine(rows, {"DOCKER_HOST": host}) == rows


def test_the_digest_of_one_platform_is_told_from_that_of_another_index() -> None:
    """For a pinned manifest the look-up says what the tag's index offers, and whether it lists that manifest."""
    with serve(Fake()) as registry:
        old = registry.add("app", "1", platforms=("linux/riscv64", "linux/s390x"))
        registry.add("app", "1")
        single, stranger = (
            next(name for name, (kind, data) in registry.content.items() if "manifest.v1" in kind and mark in data)
            for mark in (b"linux/amd64", b"linux/riscv64")
        )
        digests = [name.rpartition("/")[2] for name in (single, stranger)]
        rows = [{"reference": f"{registry.host}/app:1@{d}", "pinned": "digest"} for d in (*digests, old)]
        first, second, third = (r["registry"] for r in look_up(rows, lambda: RegistryClient(5.0), 10))
    assert (first["platforms"], first["tag_lists_digest"]) == (["linux/amd64", "linux/arm64"], True)
    assert second["tag_lists_digest"] is False
    assert "platforms" not in third
