"""Dockerfiles within compose and bake files, and contexts that are images."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import dedent

import pytest

from doctor.images import bake, compose
from doctor.images.use import ImageUse
from doctor.images.yaml_nodes import load
from doctor.pin.run import Request, run
from doctor.project import collect_project

A = "sha256:" + "a" * 64

COMPOSE = dedent("""\
    services:
      app:
        build:
          context: .
          dockerfile_inline: |
            # the base
            ARG TAG=3.12
            FROM python:$${TAG} AS base
            RUN echo ${HOME}
            FROM base
            COPY --from=node:${NODE:-20} /x /y
            COPY --from=gone:${UNKNOWN} /x /y
          additional_contexts:
            tools: docker-image://golang:1.22
            source: https://git.example/x.git
            own: service:other
      other:
        build:
          dockerfile_inline: "FROM alpine\\nRUN true"
          additional_contexts:
            - extra=docker-image://busybox:1.36
            - path=./here
      folded:
        build:
          dockerfile_inline: >-
            FROM scratch
""")


def rows(found: tuple[list[ImageUse], object]) -> list[tuple[int, str, str]]:
    return [(use.line, use.reference, use.pinned) for use in found[0] if use.pinned not in ("stage", "scratch")]


def test_compose_builds() -> None:
    """Every image with its own line, compose's variables and Dockerfile's kept apart; what is outside stays open."""
    found = compose.parse(COMPOSE, "compose.yml")
    assert found[1] == []
    assert rows(found) == [
        (8, "python:3.12", "tag"),
        (11, "node:20", "tag"),
        (12, "gone:", "open"),
        (14, "golang:1.22", "tag"),
        (19, "alpine", "latest-implicit"),
        (21, "busybox:1.36", "tag"),
    ]


def test_places_are_those_of_the_file() -> None:
    """The column and the offsets of a literal block's image are where it stands; none where it does not stand so."""
    text = COMPOSE.replace("python:$${TAG}", "python:3.12")
    lines = text.split("\n")
    for use in compose.parse(text, "compose.yml")[0]:
        if use.reference in ("python:3.12", "golang:1.22"):
            assert lines[use.line - 1][use.column - 1 :].removeprefix("docker-image://").startswith(use.reference)
        if use.span is not None:
            assert text[slice(*use.span)] == use.reference


def test_a_dockerfile_within_that_is_none() -> None:
    """What the builder would refuse is said at its line of the outer file; the other services are read."""
    text = (
        "services:\n  a:\n    build:\n      dockerfile_inline: |\n        RUN x\n        FROM b:1\n  c: {image: c:1}\n"
    )
    uses, problems = compose.parse(text, "compose.yml")
    assert [(use.line, use.reference) for use in uses] == [(7, "c:1"), (6, "b:1")]
    assert [(one.line, one.why) for one in problems] == [(5, "RUN stands before the first FROM")]


BAKE = dedent("""\
    variable "TAG" { default = "3.20" }
    variable "OPEN" {}
    target "app" {
      dockerfile-inline = <<EOT
    FROM alpine:${TAG} AS build
    ARG OWN=1
    FROM debian:$${OWN}
    COPY --from=x:${OPEN} / /
    EOT
      contexts = { tools = "docker-image://golang:1.22" }
    }
    target "b" {
      dockerfile-inline = "FROM busybox:1\\nRUN true"
    }
""")


def test_bake_targets() -> None:
    """Heredocs and strings, HCL's variables and the Dockerfile's own."""
    found = bake.parse(BAKE, "docker-bake.hcl")
    assert found[1] == []
    assert sorted(rows(found)) == [
        (5, "alpine:3.20", "tag"),
        (7, "debian:", "unresolved"),  # an ARG behind the first FROM is not seen by FROM
        (8, "x:${OPEN}", "open"),
        (10, "golang:1.22", "tag"),
        (13, "busybox:1", "tag"),
    ]
    document = {"target": {"a": {"dockerfile-inline": "FROM node\nRUN x"}}}
    found = bake.parse(json.dumps(document), "docker-bake.json")
    assert rows(found) == [(1, "node", "latest-implicit")]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_pin_writes_into_them(tmp_path: Path, newline: str) -> None:
    """The digest goes behind the image within the block, and all else of the file stays as it was."""
    text = "services:\n  app:\n    build:\n      dockerfile_inline: |\n        FROM python:3.12 # no\n        RUN x\n"
    text = text.replace(" # no", "").replace("\n", newline)
    file = tmp_path / "compose.yml"
    file.write_bytes(text.encode())
    digests = tmp_path / "map.json"
    digests.write_text(json.dumps({"python:3.12": A}))
    run(Request(names=(file,), write=True, digests=digests, folder=tmp_path, offline=True), lambda: None)  # type: ignore[arg-type,return-value]
    assert file.read_bytes().decode() == text.replace("python:3.12", f"python:3.12@{A}")


def test_blocks_know_their_lines() -> None:
    """A literal block's lines with their numbers and offsets, in the second document of a file as well."""
    text = "a: 1\n---\nb: |\n  one\n\n  two\nc: x\n"
    document = load(text).documents[1]
    block = document.block(document.at(document.root, "b"))
    assert block is not None
    assert [(number, text[offset : offset + len(written)]) for number, offset, written in block] == [
        (4, "  one"),
        (5, ""),
        (6, "  two"),
    ]
    assert document.block(document.at(document.root, "c")) is None


def collected(folder: Path, files: dict[str, str]) -> list[tuple[str, str, str]]:
    """The images of a folder's Dockerfiles."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    rows_ = collect_project(folder)["images"]
    return [(row["path"], row["reference"], row["pinned"]) for row in rows_ if row["use"] in ("from", "copy-from")]


def test_names_of_contexts_are_no_images(tmp_path: Path) -> None:
    """Where the build names a context so, the Dockerfile's bare name is that; in another Dockerfile it is an image."""
    files = {
        "docker-bake.hcl": 'target "app" {\n context = "app"\n contexts = { base = "target:base" }\n}\n'
        'target "base" {\n context = "base"\n}\n',
        "app/Dockerfile": "ARG FROM_=base\nFROM ${FROM_}\nCOPY --from=tools /x /y\n",
        "base/Dockerfile": "FROM debian:12\nCOPY --from=base /x /y\n",
        "web/compose.yml": "services:\n  web:\n    build:\n      context: ./src\n      dockerfile: web.Dockerfile\n"
        "      additional_contexts: [up=service:up, 'python:3.12=docker-image://python:3.13']\n",
        "web/src/web.Dockerfile": "FROM up\nCOPY --from=python:3.12 /x /y\n",
    }
    assert collected(tmp_path, files) == [
        ("app/Dockerfile", "base", "open"),
        ("app/Dockerfile", "tools", "latest-implicit"),
        ("base/Dockerfile", "debian:12", "tag"),
        ("base/Dockerfile", "base", "latest-implicit"),
        ("web/src/web.Dockerfile", "up", "open"),
        ("web/src/web.Dockerfile", "python:3.12", "open"),
    ]


def test_dockerfiles_under_other_names(tmp_path: Path) -> None:
    """A Dockerfile that a build names is one, whatever it is called; once, and never one outside of the folder."""
    (tmp_path.parent / "outside.docker").write_text("FROM outside:1\n")
    files = {
        "compose.yml": dedent("""\
            services:
              a: {build: {dockerfile: images/web.docker}}
              b: {build: {dockerfile: ../outside.docker}}
              c: {build: {context: https://git.example/x, dockerfile: x.docker}}
              d: {build: {dockerfile: '${X}.docker'}}
        """),
        "docker-bake.hcl": 'target "a" {\n dockerfile = "images/bake.docker"\n}\n',
        ".devcontainer/devcontainer.json": '{"build": {"dockerfile": "dev", "context": ".."}} // x\n',
        "images/web.docker": "FROM web:1\n",
        "images/bake.docker": "FROM bake:1\n",
        ".devcontainer/dev": "FROM dev:1\n",
        "Dockerfile": "FROM once:1\n",
    }
    assert sorted(reference for _, reference, _ in collected(tmp_path, files)) == ["bake:1", "dev:1", "once:1", "web:1"]
