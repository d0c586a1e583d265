# ruff: noqa: E501 (whole files, before and after, are read side by side)
"""Every kind of file: the digest stands where the builder, engine or server reads it, and nothing else is changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pin.support import A, B, C, again, pin

FILES = [
    ("Dockerfile", "FROM python:3.12 AS a\nFROM a\nFROM scratch\n", "FROM python:3.12@{A} AS a\nFROM a\nFROM scratch\n"),
    ("Dockerfile", "FROM python", "FROM python@{A}"),
    ("Dockerfile", "from --platform=linux/amd64 python:3.12 as x\n", "from --platform=linux/amd64 python:3.12@{A} as x\n"),
    ("Dockerfile", "FROM \\\n  # why\n  python:3.12 \\\n  AS x\n", "FROM \\\n  # why\n  python:3.12@{A} \\\n  AS x\n"),
    ("Dockerfile", "# escape=`\nFROM `\n  python:3.12\n", "# escape=`\nFROM `\n  python:3.12@{A}\n"),
    ("Dockerfile", 'FROM "python:3.12"\n', 'FROM "python:3.12@{A}"\n'),
    ("Dockerfile", "FROM docker.io/library/python:3.12\n", "FROM docker.io/library/python:3.12@{A}\n"),
    ("Dockerfile", "FROM scratch\nCOPY --from=nginx:1 /a /b\n", "FROM scratch\nCOPY --from=nginx:1@{B} /a /b\n"),
    (
        "Dockerfile",
        "FROM scratch\nRUN --mount=type=bind,from=nginx:1,target=/x --mount=from=busybox:1,target=/y true\n",
        "FROM scratch\nRUN --mount=type=bind,from=nginx:1@{B},target=/x --mount=from=busybox:1@{C},target=/y true\n",
    ),
    (
        "Dockerfile",
        "FROM scratch\nONBUILD COPY --from=nginx:1 /a /b\nONBUILD RUN --mount=from=busybox:1,target=/y true\n",
        "FROM scratch\nONBUILD COPY --from=nginx:1@{B} /a /b\nONBUILD RUN --mount=from=busybox:1@{C},target=/y true\n",
    ),
    ("Dockerfile", "# syntax=busybox:1\nFROM scratch\n", "# syntax=busybox:1@{C}\nFROM scratch\n"),
    ("Dockerfile", "FROM scratch\nRUN <<EOF\nFROM python:3.12\nEOF\n", "FROM scratch\nRUN <<EOF\nFROM python:3.12\nEOF\n"),
    ("images/gpu.Dockerfile", "FROM python:3.12\n", "FROM python:3.12@{A}\n"),
    (
        "compose.yaml",
        "services:\n  a:\n    image: python:3.12 # python:3.12\n  b:\n    image: 'busybox:1'\n    build: .\n  c: {{image: \"nginx:1\"}}\n",
        "services:\n  a:\n    image: python:3.12@{A} # python:3.12\n  b:\n    image: 'busybox:1'\n    build: .\n  c: {{image: \"nginx:1@{B}\"}}\n",
    ),
    (
        "compose.yaml",
        "x-i: &i python:3.12\nservices:\n  a:\n    image: *i\n  b:\n    image: *i\n",
        "x-i: &i python:3.12@{A}\nservices:\n  a:\n    image: *i\n  b:\n    image: *i\n",
    ),
    (
        "compose.yaml",
        "services:\n  a:\n    image: ${{I:-python:3.12}}\n  b:\n    image: python:${{T:-3.12}}\n  c:\n    image: ${{R:-docker.io}}/nginx:1\n",
        "services:\n  a:\n    image: ${{I:-python:3.12@{A}}}\n  b:\n    image: python:${{T:-3.12@{A}}}\n  c:\n    image: ${{R:-docker.io}}/nginx:1@{B}\n",
    ),
    (
        "k8s/pod.yml",
        "apiVersion: v1\nkind: Pod\nspec:\n  initContainers:\n  - image: nginx:1\n  containers:\n  - {{name: x, image: python:3.12}}\n---\n"
        "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - image: \"busybox:1\"\n",
        "apiVersion: v1\nkind: Pod\nspec:\n  initContainers:\n  - image: nginx:1@{B}\n  containers:\n  - {{name: x, image: python:3.12@{A}}}\n---\n"
        "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - image: \"busybox:1@{C}\"\n",
    ),
    (
        ".github/workflows/ci.yml",
        "jobs:\n  t:\n    container: python:3.12\n    services:\n      w:\n        image: nginx:1\n    steps:\n    - uses: docker://busybox:1\n    - uses: actions/checkout@v4\n",
        "jobs:\n  t:\n    container: python:3.12@{A}\n    services:\n      w:\n        image: nginx:1@{B}\n    steps:\n    - uses: docker://busybox:1@{C}\n    - uses: actions/checkout@v4\n",
    ),
    (
        "action.yml",
        "runs:\n  using: docker\n  image: docker://busybox:1\n",
        "runs:\n  using: docker\n  image: docker://busybox:1@{C}\n",
    ),
    (
        ".gitlab-ci.yml",
        "image: python:3.12\nt:\n  image:\n    name: nginx:1\n  services: [busybox:1]\n  script: [echo nginx:1]\n",
        "image: python:3.12@{A}\nt:\n  image:\n    name: nginx:1@{B}\n  services: [busybox:1@{C}]\n  script: [echo nginx:1]\n",
    ),
    (
        ".devcontainer/devcontainer.json",
        '{{ // image: python:3.12\n\t"image": "python:3.12", /* x */\n}}',
        '{{ // image: python:3.12\n\t"image": "python:3.12@{A}", /* x */\n}}',
    ),
    (
        "docker-bake.hcl",
        'target "a" {{\n  # docker-image://python:3.12\n  contexts = {{ base = "docker-image://python:3.12" }}\n}}\n',
        'target "a" {{\n  # docker-image://python:3.12\n  contexts = {{ base = "docker-image://python:3.12@{A}" }}\n}}\n',
    ),
    (
        "docker-bake.json",
        '{{"target": {{"a": {{"contexts": {{"b": "docker-image://nginx:1"}}}}}}}}\n',
        '{{"target": {{"a": {{"contexts": {{"b": "docker-image://nginx:1@{B}"}}}}}}}}\n',
    ),
]  # fmt: skip
DIGESTS = {"python:3.12": A, "python": A, "nginx:1": B, "docker.io/library/busybox:1": C}


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize(("path", "before", "after"), FILES, ids=[f"{i}-{row[0]}" for i, row in enumerate(FILES)])
def test_the_digest_stands_where_it_is_read(
    tmp_path: Path, path: str, before: str, after: str, mark: str, ends: str
) -> None:
    """With and without CRLF and a byte order mark; a second run changes nothing."""
    before, after = ((mark + text.format(A=A, B=B, C=C)).replace("\n", ends) for text in (before, after))
    got, result = pin(tmp_path, path, before, DIGESTS)
    assert got.decode() == after
    assert not result.failed
    assert again(tmp_path, path, DIGESTS)[0] == got


def test_the_first_line_of_a_compose_file_without_a_usual_name(tmp_path: Path) -> None:
    """A file that is named is read by what it holds where its name does not tell."""
    assert pin(tmp_path, "stack.yml", "services:\n  a:\n    image: nginx:1\n", DIGESTS)[0].endswith(
        b"nginx:1@%b\n" % B.encode()
    )
    assert pin(tmp_path, "Docker.base", "ARG X\nFROM nginx:1\n", DIGESTS)[0].endswith(b"nginx:1@%b\n" % B.encode())
    template = "{% if slim %}\nRUN true\n{% endif %}\nFROM nginx:1\n"
    assert pin(tmp_path, "Dockerfile.j2", template, DIGESTS)[0].endswith(b"nginx:1@%b\n" % B.encode())


def test_bytes_that_are_no_text_stay(tmp_path: Path) -> None:
    """Latin-1 in a comment, no line end at the end, form feeds: all as before."""
    before = b"# caf\xe9 \x0c\r\n\r\n  FROM\tpython:3.12\t \r\n# \xff\xfe end"
    assert pin(tmp_path, "Dockerfile", before, DIGESTS)[0] == before.replace(b"3.12", b"3.12@" + A.encode())
