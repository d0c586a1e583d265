"""What --write never does: leave the folder, follow a link, overwrite what somebody else changed, half a file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from doctor.fix.diff import unified
from doctor.fix.plan import plan
from doctor.fix.text import Text, load, refusal
from doctor.fix.write import write
from doctor.model.report import Change, Finding, Location
from tests.fix.support import project

BEFORE, AFTER = "numpy>=1.22\n", "numpy==1.26.4\n"


def test_a_file_that_changed_meanwhile_is_left_alone(tmp_path: Path) -> None:
    """Between plan and write somebody saves the file: theirs stays, and the fix says so."""
    here = project(tmp_path / "p", {"requirements.txt": BEFORE, "b/requirements.txt": BEFORE})
    made = here.plan("KD601")
    here.put("requirements.txt", "numpy>=1.23\n")
    fixes = {file.path: file for file in made.write().files}
    assert "changed while" in (fixes["requirements.txt"].refused or "")
    assert here.read("requirements.txt") == "numpy>=1.23\n"
    assert fixes["b/requirements.txt"].written
    assert here.read("b/requirements.txt") == AFTER


def test_a_file_that_became_a_link_is_left_alone(tmp_path: Path) -> None:
    """A link in place of the file leads elsewhere: what it names is not written to."""
    here = project(tmp_path / "p", {"requirements.txt": BEFORE})
    made = here.plan("KD601")
    outside = tmp_path / "outside.txt"
    outside.write_text(BEFORE)
    (here.folder / "requirements.txt").unlink()
    (here.folder / "requirements.txt").symlink_to(outside)
    assert [file.refused for file in made.write().files] == ["a symbolic link: not edited"]
    assert outside.read_text() == BEFORE


def test_a_link_within_the_folder_is_not_edited(tmp_path: Path) -> None:
    """Nor a file below a folder that is a link; the reason is told."""
    here = project(tmp_path / "p", {"real.txt": BEFORE})
    (here.folder / "requirements.txt").symlink_to("real.txt")
    assert [row.reason for row in here.refused("KD601")] == ["a symbolic link: not edited"]
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/x.txt").write_text(BEFORE)
    (here.folder / "sub").symlink_to(tmp_path / "elsewhere")
    assert refusal(here.folder, "sub/x.txt") == "a symbolic link: not edited"


@pytest.mark.parametrize("path", ["../x.txt", "/etc/hosts", "a/../../x.txt", "", "."])
def test_paths_that_lead_out_are_refused(path: str, tmp_path: Path) -> None:
    """A path out of the folder, or the folder itself, is no file to edit."""
    (tmp_path / "p").mkdir()
    (tmp_path / "x.txt").write_text(BEFORE)
    assert refusal(tmp_path / "p", path)


@pytest.mark.parametrize("path", ["../outside.txt", "/tmp/outside.txt"])
def test_a_hostile_finding_moves_nothing(path: str, tmp_path: Path) -> None:
    """A finding that names a path outside (a crafted snapshot) gives no edit."""
    here = project(tmp_path / "p", {"requirements.txt": BEFORE})
    (tmp_path / "outside.txt").write_text(BEFORE)
    finding = Finding("x", code="KD718", location=Location(path, 1, 1), change=Change("keyword", "a", "1"))
    made = plan(here.folder, [finding], here.case(), {})
    assert not made.files
    assert [row.safety for row in made.rows] == ["manual"]


def test_a_read_only_file_is_left_alone(tmp_path: Path) -> None:
    """Who took the right to write away meant it, also where root could."""
    here = project(tmp_path / "p", {"requirements.txt": BEFORE})
    (here.folder / "requirements.txt").chmod(0o444)
    assert "read-only" in (here.plan("KD601").write().files[0].refused or "")
    assert here.read("requirements.txt") == BEFORE


def test_the_mode_stays_and_nothing_is_left_beside(tmp_path: Path) -> None:
    """A file keeps its mode; no temporary file stays."""
    here = project(tmp_path / "p", {"train.py": "import keras\nm = keras.metrics.Mean()\nm.reset_states()\n"})
    (here.folder / "train.py").chmod(0o755)
    here.plan("KD715").write()
    assert os.stat(here.folder / "train.py").st_mode & 0o777 == 0o755
    assert [path.name for path in here.folder.iterdir()] == ["train.py"]
    assert here.read("train.py").endswith("m.reset_state()\n")


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full: the file is as it was, and the reason is one line."""
    here = project(tmp_path / "p", {"requirements.txt": BEFORE})
    made = here.plan("KD601")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    fixes = made.write()
    assert "No space left" in (fixes.files[0].refused or "")
    assert here.read("requirements.txt") == BEFORE
    assert [path.name for path in here.folder.iterdir()] == ["requirements.txt"]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ("numpy\n".encode("utf-16"), "UTF-16"),
        (b"numpy\0\n", "binary"),
        (b"x" * (4 * 1024 * 1024 + 1), "4 MiB"),
    ],
)
def test_what_is_no_plain_text_is_not_edited(data: bytes, why: str, tmp_path: Path) -> None:
    """UTF-16, binary data and huge files are refused with the reason."""
    (tmp_path / "requirements.txt").write_bytes(data)
    found = load(tmp_path, "requirements.txt")
    assert isinstance(found, str)
    assert why in found


def test_bytes_that_are_no_utf8_stay_as_they_are(tmp_path: Path) -> None:
    """A comment in Latin-1 and a byte order mark come through."""
    here = project(tmp_path / "p", {})
    here.put("requirements.txt", b"\xef\xbb\xbf# caf\xe9\nnumpy\n")
    here.plan("KD601").write()
    assert (here.folder / "requirements.txt").read_bytes() == b"\xef\xbb\xbf# caf\xe9\nnumpy==1.26.4\n"


def test_a_script_in_another_encoding_is_left_alone(tmp_path: Path) -> None:
    """Columns of a syntax tree count bytes of UTF-8: a Latin-1 script is not edited."""
    here = project(tmp_path / "p", {})
    here.put("t.py", b"# -*- coding: latin-1 -*-\nimport keras\nm = keras.metrics.Mean('\xe9')\nm.reset_states()\n")
    assert here.findings("KD715")
    assert [row.reason for row in here.refused("KD715")] == ["not UTF-8, or no Python that can be parsed: not edited"]


def test_columns_behind_letters_of_several_bytes(tmp_path: Path) -> None:
    """The edit stands where the word stands, whatever is before it on the line."""
    text = "import keras\né = keras.metrics.Mean('日本😀'); é.reset_states(); s = '😀'\n"
    here = project(tmp_path / "p", {"t.py": text})
    here.plan("KD715").write()
    assert here.read("t.py") == text.replace("reset_states", "reset_state")


def test_writing_tells_why_it_did_not(tmp_path: Path) -> None:
    """A file that is gone is a reason, not an error."""
    file = Text("gone.txt", tmp_path / "gone.txt", "a\n")
    assert "No such file" in (write(tmp_path, file, "b\n") or "")


@pytest.mark.parametrize(
    ("before", "after"),
    [("a\nb\n", "a\nc\n"), ("a", "b"), ("a\n", "a\nb"), ("a\r\nb\r\n", "a\r\nx\r\nb\r\n"), ("", "a\n"), ("\n\n", "\n")],
)
def test_a_diff_says_all(before: str, after: str, tmp_path: Path) -> None:
    """Any two texts: git makes the second of the first."""
    import subprocess

    (tmp_path / "f").write_bytes(before.encode())
    command = ["git", "apply", "--whitespace=nowarn", "-"]
    subprocess.run(command, input=unified("f", before, after).encode(), cwd=tmp_path, check=True)
    assert (tmp_path / "f").read_bytes().decode() == after


def test_the_same_text_has_no_diff() -> None:
    """Nothing to change, nothing to show."""
    assert unified("f", "a\n", "a\n") == ""
