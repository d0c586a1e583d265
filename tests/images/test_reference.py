"""Image references: what they parse to, what is none, and how firmly each is pinned."""

from __future__ import annotations

import pytest

from doctor.images import reference

DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "normalized", "familiar"),
    [
        ("node", "docker.io/library/node", "node"),
        ("bitnami/redis:7", "docker.io/bitnami/redis:7", "bitnami/redis:7"),
        ("index.docker.io/library/node:20", "docker.io/library/node:20", "node:20"),
        ("localhost/node", "localhost/node", "localhost/node"),
        ("reg.example:5000/a/b:1", "reg.example:5000/a/b:1", "reg.example:5000/a/b:1"),
        ("my_reg.io/node:20", "my_reg.io/node:20", "my_reg.io/node:20"),
        (f"node:20@{DIGEST}", f"docker.io/library/node:20@{DIGEST}", f"node:20@{DIGEST}"),
    ],
)
def test_names_are_completed_and_shortened(text: str, normalized: str, familiar: str) -> None:
    """Docker Hub's domain and library/ are added to the full form and left out of the short one."""
    found = reference.parse(text)
    assert (found.normalized, found.familiar) == (normalized, familiar)


@pytest.mark.parametrize(
    "text",
    ["", "Node", "a//b", "node:", "node:a b", "node@sha256:abc", "node@sha256:" + "g" * 64, "-a", "a" * 5000, "nöde"],
)
def test_what_is_no_reference_is_refused(text: str) -> None:
    """Blank, upper case, a digest that is too short, what no name can be: one kind of error."""
    with pytest.raises(reference.InvalidReference):
        reference.parse(text)


@pytest.mark.parametrize(
    ("text", "pinned"),
    [
        ("node", "latest-implicit"),
        ("node:latest", "latest"),
        ("tensorflow/tensorflow:latest-gpu", "moving"),
        ("tensorflow/tensorflow:nightly-jupyter", "moving"),
        ("busybox:stable", "moving"),
        ("node:lts", "moving"),
        ("busybox:stable-musl", "tag"),
        ("node:20", "tag"),
        ("acme/latestnews:1", "tag"),
        (f"node:latest@{DIGEST}", "digest"),
        (f"node@{DIGEST}", "digest"),
    ],
)
def test_how_firmly_an_image_is_pinned(text: str, pinned: str) -> None:
    """A digest wins over any tag; a tag moves where a part of it says latest or nightly, or all of it is a channel."""
    assert reference.parse(text).pinned == pinned


def test_what_stands_in_a_hosts_place_may_be_none() -> None:
    """The grammar lets an underscore in the host's place pass, as a part of the path; no host is left to ask."""
    found = reference.parse("my_reg.io/node:20")
    assert (found.domain, found.path, found.name) == ("", "my_reg.io/node", "my_reg.io/node")
