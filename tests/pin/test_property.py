# ruff: noqa: E501 (tables of pieces)
"""Whatever the file holds: outside the digests no byte changes, and what is pinned once is pinned for good."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.pin.support import A, B, again, pin

MAP = {"python:3.12": A, "python:3.12-slim": A, "node": B, "reg.example:5000/a/b:1": B, "python:3": A, "node:20": B}

PIECES = st.sampled_from(
    [
        "FROM ", "from ", "COPY --from=", "RUN --mount=from=", "ONBUILD ", "ARG ", "ARG V=3.12", "ARG I=python:3.12", " AS x",
        "python:3.12", "python:$V", "python:${V}-slim", "${I}", "$I", "node", "node:${N:-20}", "reg.example:5000/a/b:1", "x",
        "scratch", "python:3.12@" + B, "'", '"', "\\", "`", "#", "# escape=`", "# syntax=", "<<EOF", "EOF", ",target=/x",
        " /a /b", "--platform=$V ", "\n", "\n", "\r\n", "\\\n", "\\\r\n", " ", "\t", "\ufeff", "é", "\x0c", "\udcff", "{", "}", "$",
    ]
)  # fmt: skip
LINES = st.sampled_from(
    [
        "services:", "  a:", "    image: ", "apiVersion: v1", "kind: Pod", "spec:", "  containers:", "  - image: ", "jobs:",
        "    container: ", "image: ", "python:3.12", "'python:3.12'", '"node"', "${I:-python:3.12}", "python:${V:-3.12}", "&a ",
        "*a", "node # node", "reg.example:5000/a/b:1", "---", "\n", "\n", "\n", "\r\n", " ", "\t", "|", ">-\n      ", "é", "{", "}", "[", "]",
        ",", ":", "?", "!!str ", "\ufeff", "\x85", "\u2028", "\udcff", "$",
    ]
)  # fmt: skip


def check(path: str, text: str) -> None:
    """Taking the new digests out again gives the old bytes; a second run changes nothing."""
    before = text.encode("utf-8", "surrogateescape")
    with tempfile.TemporaryDirectory() as folder:
        after, result = pin(Path(folder), path, before, MAP)
        assert after.count(b"@sha256:") - before.count(b"@sha256:") <= len(result.pinned)
        assert bool(result.pinned) == (after != before)
        assert without_new(after, before)
        second, other = again(Path(folder), path, MAP)
        assert second == after
        assert not other.pinned


def without_new(after: bytes, before: bytes) -> bool:
    """Whether ``before`` is ``after`` without some of the digests in it."""
    added = ("@" + A).encode(), ("@" + B).encode()
    at = 0
    for byte in range(len(before) + 1):
        while any(after.startswith(digest, at) and not before.startswith(digest, byte) for digest in added):
            at += len(added[0])
        if byte < len(before):
            if after[at : at + 1] != before[byte : byte + 1]:
                return False
            at += 1
    return at == len(after)


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=30).map(lambda parts: "FROM python:3.12\n" + "".join(parts)))
def test_dockerfiles(text: str) -> None:
    """Any Dockerfile, also one that no builder takes."""
    check("Dockerfile", text)


STARTS = {
    "compose.yml": "services:\n  a:\n    image: python:3.12\n",
    "pod.yaml": "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - image: node\n",
    ".gitlab-ci.yml": "image: 'node'\n",
    ".github/workflows/x.yml": "jobs:\n  t:\n    container: python:3.12\n",
    ".devcontainer.json": '{"image": "node",\n',
    "docker-bake.hcl": 'target "a" { contexts = { b = "docker-image://node" } }\n',
}


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(sorted(STARTS)), st.lists(LINES, max_size=30))
def test_other_files(path: str, parts: list[str]) -> None:
    """Any file of another kind, also one that is not what its name says."""
    check(path, STARTS[path] + "".join(parts))
