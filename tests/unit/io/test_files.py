"""Files are written whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from doctor.errors import UsageError
from doctor.io.files import file_beside, write_atomically


def test_writes_and_replaces_and_leaves_nothing_beside(tmp_path: Path) -> None:
    """The new content takes the place of the old; the file keeps its mode."""
    file = tmp_path / "report.json"
    write_atomically(file, b"one")
    file.chmod(0o640)
    write_atomically(file, b"two")
    assert file.read_bytes() == b"two"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert os.listdir(tmp_path) == ["report.json"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """What the link names is replaced."""
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    write_atomically(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


def test_a_failure_on_the_way_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk at the last moment: the old file is whole, and no other is left."""
    file = tmp_path / "report.json"
    file.write_text("old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UsageError, match="cannot be written: No space left"):
        write_atomically(file, b"new")
    assert file.read_text() == "old"
    assert os.listdir(tmp_path) == ["report.json"]


def test_a_place_that_is_not_there_is_named(tmp_path: Path) -> None:
    """One line with the path."""
    with pytest.raises(UsageError, match=r"absent/report\.json: cannot be written: No such file"):
        write_atomically(tmp_path / "absent" / "report.json", b"x")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away")
def test_an_existing_file_keeps_its_owner_and_group(tmp_path: Path) -> None:
    """kdoctor run by root on a checkout of somebody else leaves the files to them."""
    file = tmp_path / "Dockerfile"
    file.write_bytes(b"one")
    os.chown(file, 1234, 2345)
    file.chmod(0o640)
    write_atomically(file, b"two")
    found = file.stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (1234, 2345, 0o640)
    assert file.read_bytes() == b"two"


def test_a_group_of_ones_own_is_kept(tmp_path: Path) -> None:
    """Who may not give a file to its owner gives it at least to its group; that neither is allowed is no error."""
    file = tmp_path / "shared"
    file.write_bytes(b"one")
    group = next((group for group in os.getgroups() if group != os.getegid()), os.getegid())
    os.chown(file, -1, group)
    write_atomically(file, b"two")
    assert file.stat().st_gid == group


def test_an_interruption_leaves_nothing_beside(tmp_path: Path) -> None:
    """Whatever ends the writing of a new file, Ctrl-C included: the old one stands, whole and alone."""
    file = tmp_path / "entry"
    file.write_text("old")

    def interrupted() -> None:
        with file_beside(file) as new:
            new.write(b"half")
            assert len(os.listdir(tmp_path)) == 2
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert file.read_text() == "old"
    assert os.listdir(tmp_path) == ["entry"]


def test_a_file_beside_is_for_this_user_alone(tmp_path: Path) -> None:
    """Whatever the umask says."""
    before = os.umask(0)
    try:
        with file_beside(tmp_path / "entry") as new:
            new.write(b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "entry").stat().st_mode) == 0o600
