"""Layers in zstd: read as the others are, refused where they are damaged or made to burst, and never passed over."""

from __future__ import annotations

import gzip
import os
import resource
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest

from doctor.errors import TargetError
from doctor.images.content import zstd
from doctor.images.content.blob import FileBlob
from doctor.targets.archive import open_archive
from doctor.targets.inside import look_inside
from doctor.targets.inside_options import Inside
from doctor.targets.words import Target
from tests.conftest import ROOT
from tests.targets.tars import layout, saved, tar
from tests.targets.test_archive import LOWER, UPPER
from tests.targets.test_layers import tree

library = pytest.importorskip("backports.zstd", reason="backports.zstd is not installed (keras-doctor[zstd])")
SKIPPED = b"\x5d\x2a\x4d\x18" + (9).to_bytes(4, "little") + b"an index!"  # a frame that holds no data


def packed(data: bytes) -> bytes:
    return library.compress(data)  # type: ignore[no-any-return]


def in_pieces(data: bytes) -> bytes:
    """As zstd:chunked writes it: several frames, and one at the end that is to be skipped."""
    return b"".join(packed(data[at : at + 1000]) for at in range(0, len(data), 1000)) + SKIPPED


def unpacked(data: bytes, folder: Path) -> bytes:
    path = folder / "blob"
    path.write_bytes(data)
    with ExitStack() as stack, path.open("rb") as file:
        found = zstd.unpack(FileBlob(file.fileno()), "layer", stack)
        return found.read_at(0, found.size)


@pytest.mark.parametrize("pack", [packed, in_pieces, lambda data: SKIPPED + packed(data)])
def test_an_image_in_zstd(pack: object, tmp_path: Path) -> None:
    """Whole, in frames, with frames to be skipped at either end: the collector finds the software in it."""
    assert callable(pack)
    place = layout(tmp_path / "layout", [LOWER, UPPER], [pack(LOWER), pack(UPPER)])
    found = look_inside(Target("archive", str(place)), Inside(cache=False, machine=False)).snapshot
    assert [(one.name, one.version) for one in found.software.packages] == [("keras", "3.5.0"), ("numpy", "1.26.4")]


def test_an_archive_in_zstd(tmp_path: Path) -> None:
    """``docker save | zstd``."""
    path = saved(tmp_path / "image.tar", [LOWER, UPPER])
    whole = tmp_path / "image.tar.zst"
    whole.write_bytes(packed(path.read_bytes()))
    trees = []
    for one in (path, whole):
        with ExitStack() as stack:
            found = open_archive(one, None, "linux/amd64", stack)
            trees.append(tree(found.files(stack, lambda _more: None)))
    assert trees[0] == trees[1]


def test_large_output_comes_in_small_pieces(tmp_path: Path) -> None:
    """A hundred million bytes out of a few thousand are all there, whichever way they fall into pieces."""
    data = os.urandom(1000) + bytes(100_000_000) + b"end"
    assert unpacked(packed(data), tmp_path) == data


@pytest.mark.parametrize("where", [0.2, 0.6, 0.999])
def test_a_stream_that_is_cut_off(where: float, tmp_path: Path) -> None:
    """Also where nothing promises a digest, half a layer is not taken for a whole one."""
    data = packed(tar(("a", os.urandom(300_000))))
    with pytest.raises(TargetError, match="ends in the middle"):
        unpacked(data[: int(len(data) * where)], tmp_path)


def test_damaged_streams(tmp_path: Path) -> None:
    """What is no zstd any more ends in one line."""
    data = bytearray(packed(os.urandom(300_000)))
    data[5:60] = bytes(55)
    with pytest.raises(TargetError, match="not a zstd stream") as caught:
        unpacked(bytes(data), tmp_path)
    assert "\n" not in str(caught.value)
    with pytest.raises(TargetError, match="not a zstd stream"):
        unpacked(packed(b"x") + b"and then something else", tmp_path)


def test_what_inflates_beyond_measure_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousandfold layer is given up soon, and its temporary file is gone."""
    monkeypatch.setattr(zstd, "FREE_OUTPUT", 1 << 20)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(TargetError, match="inflate to more than"):
        unpacked(packed(bytes(50_000_000)), tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == ["blob"]


def gzipped(data: bytes) -> bytes:
    return gzip.compress(data, 1)


@pytest.mark.parametrize("pack", [packed, gzipped])
def test_a_bomb_costs_little_memory(tmp_path: Path, pack: object) -> None:
    """A few kilobytes that stand for a gigabyte are refused in bounded memory."""
    assert callable(pack)
    place = layout(tmp_path / "layout", [LOWER], [pack(bytes(64 << 20)) * 20])
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "doctor", "snapshot", f"archive:{place}", "--no-cache"]
    limit = 700 << 20  # of address space; the interpreter and four threads take 350 of it

    def bounded() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    run = subprocess.run(command, env=env, capture_output=True, text=True, preexec_fn=bounded, check=False)
    assert run.returncode == 3, run.stderr
    assert "inflate to more than" in run.stderr


def test_without_the_library_it_is_said(tmp_path: Path) -> None:
    """No snapshot and no all-clear: exit code 3, and what to install."""
    place = layout(tmp_path / "layout", [LOWER], [packed(LOWER)])
    code = "import sys\nsys.modules['backports.zstd'] = sys.modules['compression.zstd'] = None\n"
    code += "from doctor.cli import main\nmain(sys.argv[1:])"
    for words in (("snapshot", f"archive:{place}"), ("scan", "--offline", "--target", f"archive:{place}")):
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        run = subprocess.run(
            [sys.executable, "-c", code, *words], env=env, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert run.returncode == 3
        said = run.stderr if words[0] == "snapshot" else run.stdout  # a scan's report says what it could not look at
        assert "pip install 'keras-doctor[zstd]'" in " ".join(said.split())
        assert "Gate passed" not in run.stdout
