"""Images whose names come from variables: rewritten where that is right for everyone, else left alone and said."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pin.support import A, B, again, pin, reasons

DIGESTS = {"python:3.12": A, "python:3.12-slim": A, "node:20": B, "app:3.12": B, "docker.io/library/ubuntu:22.04": B}

WRITTEN = {
    "the whole name": ("ARG BASE=python:3.12\nFROM ${BASE}\n", "ARG BASE=python:3.12@{A}\nFROM ${BASE}\n"),
    "the tag": ("ARG V=3.12\nFROM python:$V AS x\n", "ARG V=3.12@{A}\nFROM python:$V AS x\n"),
    "in quotes": ("ARG V='3.12'\nFROM python:${V}\n", "ARG V='3.12@{A}'\nFROM python:${V}\n"),
    "quoted in FROM": ('ARG V="3.12"\nFROM "python:${V}"\n', 'ARG V="3.12@{A}"\nFROM "python:${V}"\n'),
    "two in one ARG": ("ARG X=1 V=3.12\nFROM python:${V}\n", "ARG X=1 V=3.12@{A}\nFROM python:${V}\n"),
    "over two lines": ("ARG \\\n  V=3.12\nFROM python:${V}\n", "ARG \\\n  V=3.12@{A}\nFROM python:${V}\n"),
    "a default of its own": (
        "ARG I=${I:-python:3.12}\nFROM ${I}\n",
        "ARG I=${I:-python:3.12@{A}}\nFROM ${I}\n",
    ),
    "a chain": ("ARG V=3.12\nARG I=python:$V\nFROM $I\n", "ARG V=3.12@{A}\nARG I=python:$V\nFROM $I\n"),
    "twice the same image": (
        "ARG I=python:3.12\nFROM $I AS a\nARG I=node:20\nFROM $I\n",
        "ARG I=python:3.12@{A}\nFROM $I AS a\nARG I=node:20\nFROM $I\n",
    ),
    "defined twice": ("ARG V=1\nARG V=3.12\nFROM python:$V\n", "ARG V=1\nARG V=3.12@{A}\nFROM python:$V\n"),
    "in the middle": ("ARG V=3.12\nFROM python:${V}-slim\n", "ARG V=3.12\nFROM python:${V}-slim@{A}\n"),
    "a prefix for two": (
        "ARG R=docker.io\nFROM $R/library/python:3.12\nFROM $R/library/node:20\n",
        "ARG R=docker.io\nFROM $R/library/python:3.12@{A}\nFROM $R/library/node:20@{B}\n",
    ),
    "a prefix given to the build": (
        "ARG R\nFROM ${R:-docker.io}/library/python:3.12\n",
        "ARG R\nFROM ${R:-docker.io}/library/python:3.12@{A}\n",
    ),
    "a default in FROM": ("ARG V\nFROM python:${V:-3.12}\n", "ARG V\nFROM python:${V:-3.12@{A}}\n"),
    "taken over by a stage": (
        "ARG V=3.12\nFROM python:$V\nARG V\nRUN echo $V\n",
        "ARG V=3.12\nFROM python:$V@{A}\nARG V\nRUN echo $V\n",
    ),
    "CRLF": ("ARG V=22.04\r\n# x\r\nFROM ubuntu:$V\r\n", "ARG V=22.04@{B}\r\n# x\r\nFROM ubuntu:$V\r\n"),
}


@pytest.mark.parametrize("case", WRITTEN)
def test_written(tmp_path: Path, case: str) -> None:
    """The digest goes into the ARG that only this image uses, else behind the name; a second run changes nothing."""
    before, after = (text.replace("{A}", A).replace("{B}", B) for text in WRITTEN[case])
    got, result = pin(tmp_path, "Dockerfile", before, DIGESTS)
    assert got.decode() == after
    assert not result.failed
    assert again(tmp_path, "Dockerfile", DIGESTS)[0] == got


REPORTED = {
    "a tag shared by two": ("ARG V=3.12\nFROM python:$V\nFROM app:$V\n", "V decides the tag of another image"),
    "a tag shared in parts": ("ARG V=3.12\nFROM python:$V\nFROM python:$V-slim\n", "V decides the tag of another"),
    "a name shared by two": ("ARG I=python:3.12\nFROM $I\nFROM ${I}-slim\n", "I decides the tag of another image"),
    "no default": ("ARG V\nFROM python:3.12$V\n", "V has no default"),
    "no value": ("ARG V\nFROM python:$V\n", "V"),
    "by platform": ("FROM python:3.12-${TARGETARCH}\n", "TARGETARCH differs by platform"),
    "split over lines": ("FROM pyth\\\non:3.12\n", "not written in one piece"),
}
REPORTED_DIGESTS = {**DIGESTS, "python:3.12-amd64": A}


@pytest.mark.parametrize("case", REPORTED)
def test_reported(tmp_path: Path, case: str) -> None:
    """What cannot be written rightly is left as it is, with the reason; --write then ends with 1."""
    before, why = REPORTED[case]
    got, result = pin(tmp_path, "Dockerfile", before, REPORTED_DIGESTS)
    assert got.decode() == before
    assert any(why in reason for reason in reasons(result)), result.failed


def test_a_value_of_the_command_line_is_never_written(tmp_path: Path) -> None:
    """--build-arg names another image than the file: neither its ARG nor its FROM gets that image's digest."""
    before = "ARG V=3.12\nFROM python:$V\n"
    got, result = pin(tmp_path, "Dockerfile", before, {"python:3.13": A}, build_args={"V": "3.13"})
    assert got.decode() == before
    assert reasons(result) == ["V is given by --build-arg: the file does not say which image this is"]


def test_a_remark_where_a_variable_loses_its_say(tmp_path: Path) -> None:
    """Behind a name with a variable in its tag the digest wins over any other value: that is said."""
    _, result = pin(tmp_path, "Dockerfile", "ARG V=3.12\nFROM python:${V}-slim\n", DIGESTS)
    assert [row.text for row in result.remarks] == [
        "the digest decides from now on: another value of V changes nothing"
    ]


def test_a_tag_from_the_env_file_is_reported(tmp_path: Path) -> None:
    """What .env sets is not this file's to pin; a registry from there leaves the digest right."""
    (tmp_path / ".env").write_text("T=3.12\nR=docker.io\n")
    before = "services:\n  a:\n    image: python:${T}\n  b:\n    image: $R/node:20\n"
    got, result = pin(tmp_path, "compose.yml", before, DIGESTS)
    assert got.decode() == before.replace("node:20", f"node:20@{B}")
    assert reasons(result) == ["T is set in .env, not in this file"]


@pytest.mark.parametrize(
    ("path", "text", "why"),
    [
        ("compose.yml", "services:\n  a:\n    image: ${IMAGE}\n", "chosen outside this file, by IMAGE"),
        (".gitlab-ci.yml", "image: $CI_REGISTRY/x:1\n", "chosen outside this file, by CI_REGISTRY"),
        (".github/workflows/a.yml", "jobs:\n  a:\n    container: ${{ matrix.i }}\n", "chosen outside this file"),
    ],
)
def test_an_image_that_is_chosen_elsewhere_is_reported(tmp_path: Path, path: str, text: str, why: str) -> None:
    """No digest can be told for it, and the variable that chooses it is named."""
    got, result = pin(tmp_path, path, text, {})
    assert got.decode() == text
    assert reasons(result) == [why]


def test_variables_of_a_gitlab_file(tmp_path: Path) -> None:
    """Variables that the file itself sets: behind the name, unless two images share them."""
    before = "variables: {V: '3.12'}\na:\n  image: python:$V\n"
    assert pin(tmp_path, ".gitlab-ci.yml", before, DIGESTS)[0].decode() == before.replace("python:$V", f"python:$V@{A}")
    shared = before + "b:\n  image: app:$V\n"
    got, result = pin(tmp_path, ".gitlab-ci.yml", shared, DIGESTS)
    assert got.decode() == shared
    assert len(result.failed) == 2
