"""A target is a word: what each word names."""

from __future__ import annotations

from pathlib import Path

import pytest

from doctor.errors import UsageError
from doctor.targets.words import parse

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("word", "kind", "name"),
    [
        ("host", "host", ""),
        ("", "host", ""),
        ("image:ubuntu", "image", "ubuntu"),
        ("container:web-1", "container", "web-1"),
        ("archive:saved.bin", "archive", "saved.bin"),
        ("snapshot:node", "snapshot", "node"),
        ("python:/usr/bin/python3", "python", "/usr/bin/python3"),
        ("python:.venv", "python", ".venv"),
        ("python:python3.12", "python", "python3.12"),
        (f"app@{DIGEST}", "image", f"app@{DIGEST}"),
        (f"registry.example:5000/team/app:1@{DIGEST}", "image", f"registry.example:5000/team/app:1@{DIGEST}"),
        ("tensorflow/tensorflow:2.15.0-gpu", "image", "tensorflow/tensorflow:2.15.0-gpu"),
        ("python:3.12", "image", "python:3.12"),
        ("python:3.12.1-slim-bookworm", "image", "python:3.12.1-slim-bookworm"),
        ("node.json", "snapshot", "node.json"),
        ("image.tar", "archive", "image.tar"),
        ("image.tar.zst", "archive", "image.tar.zst"),
        ("/usr/bin/python3", "python", "/usr/bin/python3"),
        ("./venv", "python", "./venv"),
    ],
)
def test_words(word: str, kind: str, name: str) -> None:
    """The contract's words, and the short forms that it names; python:3.12 is the image of that name."""
    found = parse(word)
    assert (found.kind, found.name) == (kind, name)


def test_an_environment_may_be_called_like_a_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is there comes before what may be in a registry."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "3.12").mkdir()
    assert parse("python:3.12").kind == "python"


@pytest.mark.parametrize("word", ["ubuntu", "image:", "container:", "app@sha256:abc", "a b:1", "python:"])
def test_words_that_name_nothing(word: str) -> None:
    """A bare name could be anything; a digest that is none is no image."""
    with pytest.raises(UsageError):
        parse(word)
