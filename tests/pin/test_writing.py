"""Files on disk: links, modes, changes by others, interruptions; and options that make no sense."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from doctor.errors import DocumentError, UsageError
from doctor.pin import changes
from doctor.pin.changes import unified
from doctor.pin.files import File, find
from doctor.pin.run import Request, run
from tests.pin.support import A, B, again, no_registry, pin, reasons

TEXT = "FROM python:3.12\n"
DIGESTS = {"python:3.12": A}


def test_mode_and_links_stay(tmp_path: Path) -> None:
    """The file keeps its mode; a link stays a link to the file that is changed; both are one file."""
    (tmp_path / "sub").mkdir()
    real = tmp_path / "sub" / "Dockerfile"
    real.write_text(TEXT)
    real.chmod(0o640)
    link = tmp_path / "Dockerfile"
    link.symlink_to("sub/Dockerfile")
    _, result = again(tmp_path, "Dockerfile", DIGESTS, names=())
    assert len(result.pinned) == 1
    assert link.is_symlink()
    assert real.read_text() == f"FROM python:3.12@{A}\n"
    assert real.stat().st_mode & 0o777 == 0o640


def test_a_link_out_of_the_project_is_not_followed(tmp_path: Path) -> None:
    """Without a name the run stays in the folder; what it leaves out it says."""
    (tmp_path / "outside").write_text(TEXT)
    project = tmp_path / "project"
    project.mkdir()
    (project / "Dockerfile").symlink_to("../outside")
    result = run(Request(project, write=True, offline=True), no_registry)
    assert (tmp_path / "outside").read_text() == TEXT
    assert [row.why for row in result.problems] == ["a link out of the folder, not followed"]


def test_a_read_only_file_is_left_alone(tmp_path: Path) -> None:
    """One clear line, exit 1; the other files are written."""
    (tmp_path / "a").mkdir()
    other = tmp_path / "a" / "Dockerfile"
    other.write_text(TEXT)
    (tmp_path / "Dockerfile").write_text(TEXT)
    (tmp_path / "Dockerfile").chmod(0o444)
    got, result = again(tmp_path, "Dockerfile", DIGESTS, names=())
    assert got.decode() == TEXT
    assert result.refused == ["Dockerfile: read-only: not touched; chmod u+w Dockerfile first"]
    assert result.exit_code(Request(write=True)) == 1
    assert A in other.read_text()


def test_a_file_that_somebody_else_changed_is_left_alone(tmp_path: Path) -> None:
    """What was saved in an editor between reading and writing is not overwritten."""
    place = tmp_path / "Dockerfile"
    place.write_text(TEXT)
    (file,) = find((place,), tmp_path).files
    place.write_text(TEXT + "RUN true\n")
    with pytest.raises(UsageError, match="changed while kdoctor looked at it"):
        changes.write(file, f"FROM python:3.12@{A}\n")
    assert place.read_text() == TEXT + "RUN true\n"


def test_interrupted_while_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped at the worst moment, the old file is there whole, and nothing beside it."""

    def stop(_handle: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", stop)
    with pytest.raises(KeyboardInterrupt):
        pin(tmp_path, "Dockerfile", TEXT, DIGESTS)
    assert (tmp_path / "Dockerfile").read_text() == TEXT
    assert sorted(p.name for p in tmp_path.iterdir()) == [".digests", "Dockerfile"]


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize("last", ["\n", ""])
def test_the_diff_applies(tmp_path: Path, ends: str, last: str) -> None:
    """What the diff says is what --write does: patch(1) makes the same bytes of the old file."""
    lines = [f"# {i}" for i in range(40)]
    for i in (0, 1, 6, 20, 39):
        lines[i] = "FROM python:3.12"
    text = ends.join(lines) + (ends if last else "")
    (tmp_path / "map").write_text(json.dumps(DIGESTS))
    (tmp_path / "Dockerfile").write_bytes(text.encode())
    result = run(Request(tmp_path, digests=tmp_path / "map"), no_registry)
    assert (tmp_path / "Dockerfile").read_bytes() == text.encode()
    patch = "".join(result.diffs)
    assert patch.count("@@ -") == 3
    subprocess.run(["git", "apply", "-"], input=patch.encode(), cwd=tmp_path, check=True)
    patched = (tmp_path / "Dockerfile").read_bytes()
    assert pin(tmp_path, "Dockerfile", text, DIGESTS)[0] == patched
    assert patched.count(A.encode()) == 5


def test_no_change_no_diff() -> None:
    """Equal texts have no diff."""
    assert unified("a", "x\ny", "x\ny") == ""


def test_a_suppressed_image_is_left_alone(tmp_path: Path) -> None:
    """A comment that lives with KD403 keeps pin from writing, until its date has passed."""
    text = "# kdoctor: ignore[KD403] rebuilt each night\nFROM python:3.12\nFROM python:3.12\n"
    got, result = pin(tmp_path, "Dockerfile", text, DIGESTS)
    assert got.decode() == text.removesuffix("\n") + f"@{A}\n"
    assert len(result.remarks) == 1
    assert result.exit_code(Request(write=True)) == 0
    over = text.replace("night", "night (until 2020-01-01)")
    assert pin(tmp_path, "Dockerfile", over, DIGESTS)[0].count(A.encode()) == 2


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("{", "not JSON"),
        ("[]", "expected a JSON object"),
        ('{"a": 1}', "expected a JSON object"),
        ('{"a": "sha256:12"}', "is no digest"),
        ('{"a": "' + A.upper() + '"}', "is no digest"),
        ('{"a:latest": "' + A + '", "docker.io/library/a": "' + B + '"}', "two digests for docker.io/library/a:latest"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_maps_that_are_none(tmp_path: Path, content: str, why: str) -> None:
    """A map that cannot be used is one line, before anything is looked at."""
    (tmp_path / "map").write_text(content)
    with pytest.raises(UsageError, match=why):
        run(Request(tmp_path, digests=tmp_path / "map"), no_registry)


def test_options_that_contradict(tmp_path: Path) -> None:
    """Each with the way out."""
    for request, why in (
        (Request(tmp_path, write=True, check=True), "choose one"),
        (Request(tmp_path, platform="amd64"), "expected OS/ARCHITECTURE"),
        (Request(tmp_path, platform="linux/amd64", digests=tmp_path), "choose one"),
        (Request(tmp_path, digests=tmp_path / "none"), "cannot be read"),
        (Request(tmp_path, names=(tmp_path / "none",)), "no such file"),
    ):
        with pytest.raises(UsageError, match=why):
            run(request, no_registry)
    (tmp_path / "kdoctor.lock").write_text("{")
    with pytest.raises(DocumentError, match="not JSON"):
        run(Request(tmp_path, lock=True, offline=True), no_registry)


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("notes.txt", b"FORM x\n", "no Dockerfile"),
        ("train.py", b"from tensorflow import keras\nimport numpy as np\n", "no Dockerfile"),
        ("README.md", b"# Setup\n\nTake the image\nfrom python:3.12 on.\n", "no Dockerfile"),
        ("requirements.txt", b"tensorflow\n", "no Dockerfile"),
        ("Dockerfile", b"\0\1\2", "binary data"),
        ("Dockerfile", b"#" * (5 << 20), "more than the 1 MiB"),
    ],
)
def test_files_that_name_no_images(tmp_path: Path, name: str, content: bytes, why: str) -> None:
    """A named file that cannot be pinned is said in one line."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=why):
        run(Request(tmp_path, (tmp_path / name,), offline=True), no_registry)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """A named pipe is no file to pin."""
    os.mkfifo(tmp_path / "Dockerfile")
    with pytest.raises(UsageError, match="not a regular file"):
        run(Request(tmp_path, (tmp_path / "Dockerfile",), offline=True), no_registry)
    assert not run(Request(tmp_path, offline=True), no_registry).diffs


def test_utf_16_is_left_alone(tmp_path: Path) -> None:
    """No builder reads it, and it could not be written back byte for byte."""
    got, result = pin(tmp_path, "Dockerfile", TEXT.encode("utf-16"), DIGESTS)
    assert got == TEXT.encode("utf-16")
    assert "UTF-16" in result.problems[0].why


def test_a_broken_file_hides_no_other(tmp_path: Path) -> None:
    """YAML that is none, JSON that is none and a template: said, and the Dockerfile beside them is pinned."""
    (tmp_path / "compose.yml").write_text("services: [\n")
    (tmp_path / "devcontainer.json").write_text("{")
    (tmp_path / "Dockerfile").write_text(TEXT)
    got, result = again(tmp_path, "Dockerfile", DIGESTS, names=())
    assert A.encode() in got
    assert {row.path for row in result.problems} == {"compose.yml", "devcontainer.json"}


def test_many_images_in_bounded_time(tmp_path: Path) -> None:
    """4,000 images in one file are written in one pass."""
    text = "FROM python:3.12\n" * 4_000
    got, result = pin(tmp_path, "Dockerfile", text, DIGESTS)
    assert got.count(A.encode()) == len(result.pinned) == 4_000


def test_many_images_that_cannot_be_placed_in_bounded_time(tmp_path: Path) -> None:
    """Uses that must be tried one by one are tried up to a limit; the rest is said not to be pinned."""
    text = "ARG V=3.12\n" + "FROM python:$V\nFROM app:$V\nFROM python:3.12\n" * 1000
    got, result = pin(tmp_path, "Dockerfile", text, {**DIGESTS, "app:3.12": B})
    assert got.count(A.encode()) == 1000
    assert len(reasons(result)) == 2000


def test_a_name_of_a_folder(tmp_path: Path) -> None:
    """A folder stands for the files in it; paths are shown from where the run is."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "Dockerfile").write_text(TEXT)
    (tmp_path / "Dockerfile").write_text(TEXT)
    files: list[File] = find((tmp_path / "a",), tmp_path).files
    assert [file.path for file in files] == ["a/Dockerfile"]
