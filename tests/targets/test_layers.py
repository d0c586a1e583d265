"""Layers on top of each other show what a container would see; hostile ones end in one clear line."""

from __future__ import annotations

import gzip
import io
import os
import random
import tarfile
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from doctor.collect import software
from doctor.collect.software import View
from doctor.errors import TargetError
from doctor.images.content import tar as tar_module
from doctor.images.content.blob import StreamBlob
from doctor.images.content.inflate import BLOCK, GzipBlob
from doctor.images.content.tar import members
from doctor.targets.layers import LayerFileSystem
from doctor.targets.stack import Layer, digest_of, put_together
from tests.targets.tars import entry, folder, hardlink, symlink, tar


class Bytes:
    """A blob in memory."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def read_at(self, offset: int, length: int) -> bytes:
        """A slice."""
        return self.data[offset : offset + length]


def stacked(*layers: bytes, digest: str | None = None) -> LayerFileSystem:
    """The file system of layers given from the bottom up."""
    blobs = [Bytes(layer) for layer in layers]
    return put_together(
        [Layer(f"layer {n}", lambda blob=blob: blob, digest) for n, blob in enumerate(blobs)], ExitStack()
    )


def tree(files: LayerFileSystem, path: str = "/") -> dict[str, str]:
    """Every path below a folder, with its content, its link, or its kind."""
    found = {}
    for name in files.listdir(path):
        place = software.join(path, name)
        kind, size, _, _ = files.lstat(place)
        if kind == software.FOLDER:
            found.update(tree(files, place) or {place: "empty"})
        elif kind == software.LINK:
            found[place] = "-> " + files.readlink(place)
        else:
            found[place] = files.read(place, 0, size).decode() if kind == software.FILE else kind
    return found


def test_upper_layers_hide_and_replace() -> None:
    """Whiteouts, opaque folders, a file in place of a folder and a folder in place of a file."""
    lower = tar(("a/one", b"1"), ("a/two", b"2"), ("b/deep/three", b"3"), ("b/four", b"4"), ("c", b"5"), ("d/x", b"6"))
    upper = tar(
        ("a/.wh.one", b""), ("a/five", b"new"), ("b/.wh..wh..opq", b""), ("b/six", b"s"), ("c/inside", b"i"),
        ("d", b"file"), (".wh..wh.plnk", b""),
    )  # fmt: skip
    assert tree(stacked(lower, upper)) == {
        "/a/two": "2", "/a/five": "new", "/b/six": "s", "/c/inside": "i", "/d": "file",
    }  # fmt: skip


def test_a_whiteout_hides_only_what_lies_below() -> None:
    """An entry of the same layer stays, whichever of the two comes first in the tar."""
    lower = tar(("a/old", b"old"), ("b/old", b"old"))
    first = tar((".wh.a", b""), ("a/new", b"new"), ("b/new", b"new"), ("b/.wh..wh..opq", b""))
    last = tar(("a/new", b"new"), (".wh.a", b""), ("b/.wh..wh..opq", b""), ("b/new", b"new"))
    expected = {"/a/new": "new", "/b/new": "new"}
    assert tree(stacked(lower, first)) == tree(stacked(lower, last)) == expected


def test_a_whiteout_for_nothing_is_harmless() -> None:
    """Hiding what is not there changes nothing."""
    assert tree(stacked(tar((".wh.nothing", b""), ("x/.wh.none", b""), ("y", b"1")))) == {"/x": "empty", "/y": "1"}


def test_hard_links_reach_their_own_and_lower_layers() -> None:
    """The link has the content even where its target is hidden or replaced further up."""
    lower = tar(("lib/real", b"content"), hardlink("lib/same", "lib/real"))
    upper = tar(hardlink("copy", "lib/real"), ("lib/.wh.real", b""))
    top = tar(("lib/same", b"other"))
    assert tree(stacked(lower, upper, top)) == {"/lib/same": "other", "/copy": "content"}


def test_links_stay_inside_and_circles_end() -> None:
    """An absolute link means the image's root; a circle is an error of the collector's view, not a hang."""
    files = stacked(tar(symlink("etc/passwd", "/../../../etc/shadow"), symlink("a", "b"), symlink("b", "/a")))
    view = View(files)
    assert view.text("/etc/passwd") is None
    assert view.text("/a") is None
    assert files.readlink("/a") == "b"


@pytest.mark.parametrize("format_", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_long_names(format_: int) -> None:
    """PAX and GNU long names and links, and the prefix of ustar, are put together again."""
    deep = "/".join(["folder-with-a-name"] * 7)
    long = deep + "/" + "n" * (90 if format_ == tarfile.USTAR_FORMAT else 200)
    entries: list[tar_module.Member] = []
    target = long if format_ != tarfile.USTAR_FORMAT else "short"
    data = tar((long, b"content"), symlink("ä-link", target), format=format_)
    files = stacked(data)
    assert files.read("/" + long, 0, 100) == b"content"
    assert files.readlink("/ä-link") == target
    assert not entries


NAMES = st.text(st.sampled_from("abcXYZ._-ä"), min_size=1, max_size=8).filter(lambda n: n.strip(".") != "")
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(PATHS, st.binary(max_size=2000), max_size=8), st.sampled_from([0, 1, 2]))
def test_members_are_those_of_tarfile(content: dict[str, bytes], format_: int) -> None:
    """Names, sizes, times and places of bodies are what the standard library reads."""
    data = tar(*content.items(), format=format_)
    with tarfile.open(fileobj=io.BytesIO(data)) as known:
        expected = [(m.name, m.size, m.mode, m.mtime, m.offset_data) for m in known]
    found = [(m.name, m.size, m.mode, m.mtime, m.offset) for m in members(Bytes(data), "tar")]
    assert found == expected


def test_bodies_that_were_skipped_are_gone_from_a_stream() -> None:
    """A stream is read forwards: headers and the kept starts of bodies come in one pass over pieces of any size."""
    data = tar(("a", b"x" * 5000), ("b", b"y" * 3000), ("c", b"z"))
    for size in (1, 7, 512, 100_000):
        pieces = iter([data[at : at + size] for at in range(0, len(data), size)])
        found = list(members(StreamBlob(pieces), "stream", lambda name, _size: 10 if name == "b" else 0))
        assert [(m.name, m.size, m.kept) for m in found] == [("a", 5000, b""), ("b", 3000, b"y" * 10), ("c", 1, b"")]


# --- gzip -------------------------------------------------------------------------------------------------------------


def test_gzip_is_read_at_any_place() -> None:
    """Whatever was read before, in one member or several, the bytes at a place are the bytes at that place."""
    chance = random.Random(7)
    plain = b"".join(chance.randbytes(1000) * chance.randrange(1, 300) for _ in range(120))
    half = len(plain) // 2
    assert len(plain) > 5 * BLOCK
    for packed in (gzip.compress(plain, 1), gzip.compress(plain[:half], 1) + gzip.compress(plain[half:], 1)):
        blob = GzipBlob(Bytes(packed), "layer", digest_of(packed))
        for _ in range(60):
            at, length = chance.randrange(len(plain) + 10), chance.randrange(1, 100_000)
            assert blob.read_at(at, length) == plain[at : at + length]
        blob.finish()
        assert blob.size == len(plain)


def test_marks_are_thinned_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory stays bounded for large layers, and places between marks are still found."""
    monkeypatch.setattr("doctor.images.content.inflate.MAX_MARKS", 4)
    plain = os.urandom(1 << 20) * 2 * 25
    blob = GzipBlob(Bytes(gzip.compress(plain, 1)), "layer")
    blob.finish()
    assert len(blob._marks) <= 5
    for at in (0, 13 * BLOCK + 5, 24 * BLOCK, 3 * BLOCK - 1):
        assert blob.read_at(at, 50) == plain[at : at + 50]


def test_what_inflates_beyond_measure_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A layer that inflates a thousandfold ends early, by its ratio, with little memory."""
    monkeypatch.setattr("doctor.images.content.inflate.FREE_OUTPUT", 32 << 20)
    bomb = gzip.compress(tar(("zeros", bytes(100 << 20))), 9)
    assert len(bomb) < 200_000
    tracemalloc.start()
    with pytest.raises(TargetError, match="inflate to more than"):
        stacked(bomb)
    assert tracemalloc.get_traced_memory()[1] < 60 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("where", [0.13, 0.47, 0.99])
def test_a_layer_that_is_cut_off(where: float) -> None:
    """Packed or not, a layer that ends early is an error that says so."""
    plain = tar(*((f"file-{n}", os.urandom(3000)) for n in range(20)))
    packed = gzip.compress(plain)
    for layer in (plain[: int((len(plain) - 10_240) * where)], packed[: int(len(packed) * where)]):
        with pytest.raises(TargetError, match=r"layer 0: ends in the middle|cut off"):
            stacked(layer)


def test_wrong_digests() -> None:
    """A layer whose bytes are not those of its digest is refused, packed or not."""
    plain = tar(("a", b"1"))
    assert tree(stacked(plain, digest=digest_of(plain))) == {"/a": "1"}
    for layer in (plain, gzip.compress(plain), gzip.compress(plain) + b"tail"):
        with pytest.raises(TargetError, match="layer 0: its bytes are those of sha256:"):
            stacked(layer, digest=digest_of(b"other"))


# --- hostile tars -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../escape", "a/../../escape", "/../etc/passwd", "a/b/../../../x"])
def test_names_that_leave_the_root_are_refused(name: str) -> None:
    """Engines refuse such an image too."""
    with pytest.raises(TargetError, match="leaves the image's root"):
        stacked(tar((name, b"x")))
    with pytest.raises(TargetError, match="leaves the image's root"):
        stacked(tar(("a", b"x"), hardlink("link", name)))


def test_absolute_names_mean_the_images_root() -> None:
    """``/etc/x`` is the image's own."""
    assert tree(stacked(tar(("/etc/x", b"1"), ("./etc/./y", b"2"), ("etc//z", b"3")))) == {
        "/etc/x": "1", "/etc/y": "2", "/etc/z": "3",
    }  # fmt: skip


def test_devices_and_pipes_are_never_read() -> None:
    """They are there, and they are no files."""
    layer = tar(entry("zero", tarfile.CHRTYPE), entry("disk", tarfile.BLKTYPE), entry("pipe", tarfile.FIFOTYPE))
    files = stacked(layer)
    assert {files.lstat("/" + name)[0] for name in ("zero", "disk", "pipe")} == {software.OTHER}
    with pytest.raises(OSError, match="not a regular file"):
        files.read("/zero", 0, 10)


def test_a_hundred_thousand_members_take_seconds() -> None:
    """Many members are many, and not a reason to give up."""
    head = bytearray(tar(("x", b""))[:512])

    def headers() -> Iterator[bytes]:
        for number in range(100_000):
            head[:100] = f"folder-{number % 300}/file-{number}".encode().ljust(100, b"\0")
            head[148:156] = b" " * 8
            head[148:156] = f"{sum(head):06o}\0 ".encode()
            yield bytes(head)
        yield bytes(1024)

    start = time.monotonic()
    files = stacked(b"".join(headers()))
    assert files.entries == 100_000
    assert time.monotonic() - start < 20


def test_more_members_than_any_image_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond a bound the image is not looked at, whether in one layer or in all."""
    monkeypatch.setattr("doctor.images.content.tar.MAX_MEMBERS", 10)
    with pytest.raises(TargetError, match="more than 10 members"):
        list(members(Bytes(tar(*((f"f{n}", b"") for n in range(11)))), "tar", limit=10))
    with pytest.raises(TargetError, match="more than 10 entries"):
        stacked(tar(*((f"f{n}", b"") for n in range(6))), tar(*((f"g{n}", b"") for n in range(6))))


def test_deep_paths_and_long_names() -> None:
    """A path of a thousand folders and a name of a hundred thousand characters are refused, not followed."""
    with pytest.raises(TargetError, match="nested deeper"):
        stacked(tar(("/".join("d" * 1000), b"")))
    with pytest.raises(TargetError, match="a name of more than"):
        stacked(tar(("n" * 100_000, b"")))


def test_damaged_headers() -> None:
    """A flipped byte, a size that is no number, a size beyond all disks: one line each."""
    good = tar(("a", b"1" * 600), ("b", b"2"))
    flipped = bytearray(good)
    flipped[1536 + 3] ^= 0xFF
    with pytest.raises(TargetError, match="no tar header at byte 1536"):
        stacked(bytes(flipped))
    for size in (b"77777777777\0", b"zzzzzzzzzzz\0", b"\x80" + b"\xff" * 11):
        head = bytearray(good)
        head[124:136] = size
        head[148:156] = b" " * 8
        head[148:156] = f"{sum(head[:512]):06o}\0 ".encode()
        with pytest.raises(TargetError, match="layer 0: "):
            stacked(bytes(head))
    with pytest.raises(TargetError, match="no tar"):
        stacked(b"<html>no layer at all</html>" * 100)


def test_sparse_files_are_said_to_be_unread() -> None:
    """A GNU sparse member does not shift what follows; its own bytes are not guessed at."""
    head = bytearray(tar(("sparse", b""), format=tarfile.GNU_FORMAT)[:512])
    head[156:157] = b"S"
    head[124:136] = f"{512:011o}\0".encode()
    head[482:483] = b"\1"
    head[148:156] = b" " * 8
    head[148:156] = f"{sum(head):06o}\0 ".encode()
    files = stacked(bytes(head) + bytes(512) + b"d" * 512 + tar(("next", b"n")))
    assert files.read("/next", 0, 5) == b"n"
    with pytest.raises(OSError, match="sparse"):
        files.read("/sparse", 0, 5)


@pytest.mark.parametrize(("start", "word"), [(b"BZh91AY", "bzip2"), (b"\xfd7zXZ\0\0", "xz")])
def test_packings_that_are_not_read(start: bytes, word: str) -> None:
    """Old compressions are named."""
    with pytest.raises(TargetError, match=f"compressed with {word}"):
        stacked(start + bytes(1000))


def test_folders_that_were_given_twice_keep_their_files() -> None:
    """An upper layer repeats the folders above its files, with other permissions."""
    files = stacked(tar(folder("a"), ("a/x", b"1")), tar(entry("a", tarfile.DIRTYPE, mode=0o700), ("a/y", b"2")))
    assert tree(files) == {"/a/x": "1", "/a/y": "2"}
    assert files.lstat("/a")[2] == 0o700
