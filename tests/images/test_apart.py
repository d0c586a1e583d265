"""Images written in parts: kustomizations and charts' values, found, judged and pinned; and what is no image."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import dedent

import pytest

from doctor.images import apart
from doctor.images.use import ImageUse
from doctor.pin.run import Request, run
from doctor.project import collect_project

A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64

KUSTOMIZATION = dedent(f"""\
    apiVersion: kustomize.config.k8s.io/v1beta1
    kind: Kustomization
    resources: [deployment.yaml]
    images:
      - name: nginx
        newTag: 1.25.1
      - name: app
        newName: registry.example/team/app
        newTag: "2"   # ours
      - name: moved
        newName: registry.example/moved
      - name: pinned
        digest: {A}
      - {{name: flow, newTag: latest}}
      - name: both
        newTag: v1
        digest: {A}
      - name: placeholder
        newTag: ${{TAG}}
      - nonsense
    """)

VALUES = dedent("""\
    image:
      repository: nginx
      tag: 1.25.1
      pullPolicy: Always
    metricsImage:
      registry: quay.io
      repository: prom/exporter
      tag: "v0.1"
    own:
      image: {repository: registry.example/own, tag: ""}
    digested:
      image:
        repository: redis
        tag: "7"
        digest: sha256:%s
    git:
      repository: https://git.example/x
      tag: v1
    text: {image: nginx:1}
    """) % ("c" * 64)


def rows(found: tuple[list[ImageUse], object]) -> list[tuple[int, str, str]]:
    return [(use.line, use.reference.partition("@")[0], use.pinned) for use in found[0]]


def test_a_kustomization() -> None:
    """A tag or digest makes an image; a new name alone does not, and a placeholder leaves it open."""
    assert rows(apart.parse_kustomization(KUSTOMIZATION, "kustomization.yaml")) == [
        (6, "nginx:1.25.1", "tag"),
        (9, "registry.example/team/app:2", "tag"),
        (13, "pinned", "digest"),
        (14, "flow:latest", "latest"),
        (17, "both:v1", "digest"),
        (19, "placeholder:${TAG}", "open"),
    ]
    assert apart.parse_kustomization("images: [\n", "k")[1]
    assert apart.parse_kustomization("resources: []\n", "k") == ([], [])


def test_values_of_a_chart() -> None:
    """Registry, repository and tag are one image; the chart's own version, a git repository and plain text are none."""
    assert rows(apart.parse_values(VALUES, "values.yaml")) == [
        (3, "nginx:1.25.1", "tag"),
        (8, "quay.io/prom/exporter:v0.1", "tag"),
        (15, "redis:7", "digest"),
    ]


def test_values_are_a_charts_only_beside_one(tmp_path: Path) -> None:
    """Without a Chart.yaml in the folder they may be anything."""
    (tmp_path / "values.yaml").write_text(VALUES)
    assert collect_project(tmp_path)["images"] == []
    (tmp_path / "Chart.yaml").write_text("apiVersion: v2\nname: x\nversion: 1.0.0\n")
    found = collect_project(tmp_path)["images"]
    assert [(row["use"], row["line"], row["column"]) for row in found] == [
        ("helm", 3, 8),
        ("helm", 8, 9),
        ("helm", 15, 13),
    ]


def pinned(file: Path, text: str, digests: dict[str, str]) -> str:
    """What ``pin --write`` makes of a file."""
    file.write_bytes(text.encode())
    table = file.parent / "map.json"
    table.write_text(json.dumps(digests))
    request = Request(names=(file,), write=True, digests=table, folder=file.parent, offline=True)
    for _ in range(2):  # a second run changes nothing
        run(request, lambda: None)  # type: ignore[arg-type,return-value]
    return file.read_bytes().decode()


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_pin_writes_behind_a_kustomizations_tag(tmp_path: Path, newline: str) -> None:
    """Behind the tag, within its quotes, as kustomize passes it on; all else stays as it was."""
    text = KUSTOMIZATION.replace("\n", newline)
    digests = {"nginx:1.25.1": B, "registry.example/team/app:2": B, "flow:latest": B}
    expected = text.replace("newTag: 1.25.1", f"newTag: 1.25.1@{B}").replace('newTag: "2"', f'newTag: "2@{B}"')
    expected = expected.replace("newTag: latest}", f"newTag: latest@{B}}}")
    assert pinned(tmp_path / "kustomization.yaml", text, digests) == expected


def test_pin_writes_behind_a_charts_tag(tmp_path: Path) -> None:
    """Templates put the tag behind the repository and a colon: a digest may follow there, within the quotes."""
    (tmp_path / "Chart.yaml").write_text("name: x\n")
    digests = {"nginx:1.25.1": B, "quay.io/prom/exporter:v0.1": B}
    expected = VALUES.replace("tag: 1.25.1", f"tag: 1.25.1@{B}").replace('tag: "v0.1"', f'tag: "v0.1@{B}"')
    assert pinned(tmp_path / "values.yaml", VALUES, digests) == expected
