"""The reader of logs: any size, any encoding, bounded memory."""

from __future__ import annotations

import io
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doctor import logs
from doctor.errors import TargetError

LINE = "Could not load dynamic library 'libcudnn.so.8'; dlerror: libcudnn.so.8: cannot open shared object file"


def read(data: bytes) -> tuple[str, ...]:
    """The lines that are kept of this log."""
    return logs.read(io.BytesIO(data)).lines


class Endless(io.RawIOBase):
    """A stream of ``size`` bytes that repeats a block, made while it is read."""

    def __init__(self, block: bytes, size: int) -> None:
        self.block = block
        self.left = size

    def read(self, size: int = -1) -> bytes:
        """The next bytes; each time a counter stands in them, so that no two blocks are the same."""
        if self.left <= 0:
            return b""
        self.left -= size
        text = self.block.replace(b"@", chr(97 + self.left % 23).encode() * (self.left % 19))
        return (text * (size // len(text) + 1))[:size]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1"])
def test_encodings(encoding: str) -> None:
    """A message is found in each of them, also between lines that are not ASCII."""
    text = f"Über Epoch 1\n{LINE}\nfertig für heute\n"
    assert read(text.encode(encoding)) == (LINE,)


def test_powershell_writes_utf_16_with_windows_line_ends() -> None:
    """What ``*> log`` makes."""
    assert read(f"a\r\n{LINE}\r\nb\r\n".encode("utf-16")) == (LINE,)


def test_colours_and_nuls_inside_a_message() -> None:
    """Terminal escapes and NULs are taken out before the message is looked for."""
    coloured = LINE.replace("load", "\x1b[1;31mload\x1b[0m").replace(
        "dlerror", "\x1b]8;;http://x\x07dlerror\x1b]8;;\x07"
    )
    assert read(coloured.encode()) == (LINE,)
    assert read(LINE.replace(" ", "\0 \0").encode()) == (LINE,)


def test_secrets_in_a_line_are_left_out() -> None:
    """A log may tell an address with its password; the line is kept without it."""
    assert read(f"{LINE} https://me:p@ss@h/x?token=t0k".encode()) == (f"{LINE} https://***@h/x?token=***",)


def test_progress_bars_end_in_carriage_returns() -> None:
    """A message behind a progress bar is a line of its own."""
    assert read(f"1/10 [>...]\r2/10 [=>..]\r{LINE}\r3/10\n".encode()) == (LINE,)


def test_interleaved_workers() -> None:
    """Prefixes of launchers are no hindrance, and each worker's line is kept."""
    lines = [f"[1,{n}]<stderr>: (worker {n}) {LINE}" for n in range(4)]
    assert read("\nEpoch 1\n".join(lines).encode()) == tuple(lines)


def test_a_message_across_two_chunks_and_without_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the file is cut into chunks does not matter."""
    monkeypatch.setattr(logs, "CHUNK", 16)
    assert read(f"Epoch 1\n{LINE}".encode()) == (LINE,)


def test_one_line_of_megabytes() -> None:
    """A log without line ends is looked through in pieces."""
    kept = read(b"x" * 3_000_000 + b" " + LINE.encode() + b" " + b"y" * 3_000_000)
    assert any(LINE in line for line in kept)
    assert all(len(line) <= logs.MAX_KEPT_LINE for line in kept)


def test_lines_of_one_shape_are_kept_some_times_and_the_first_is_among_them() -> None:
    """A message that a loop repeats does not push others out."""
    flood = [f"{n}: {LINE}" for n in range(10_000)]
    log = logs.read(io.BytesIO("\n".join([*flood, "AttributeError: _ARRAY_API not found"]).encode()))
    assert log.lines[0] == flood[0]
    assert log.lines[-1].startswith("AttributeError")
    assert len(log.lines) == logs.MAX_OF_A_SHAPE + 1
    assert log.full


@pytest.mark.parametrize(
    "block", [f"@ {LINE} @\n".encode(), b"@ a line that matters to nobody @\n", b"no end @", b"\0\xff\x1b[@\n"]
)
def test_memory_stays_bounded(block: bytes) -> None:
    """Sixty-four megabytes need less than twenty, whatever they hold."""
    logs._relevant()
    tracemalloc.start()
    log = logs.read(Endless(block, 64 * 1024 * 1024))  # type: ignore[arg-type]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * 1024 * 1024
    assert len(log.lines) <= logs.MAX_LINES


@given(st.binary(max_size=4000))
def test_nothing_that_a_file_holds_is_an_error(data: bytes) -> None:
    """Any bytes are read."""
    assert isinstance(read(data), tuple)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """One line that names the file."""
    for path in (tmp_path, tmp_path / "absent.log"):
        with pytest.raises(TargetError, match=r"the log cannot be read"):
            logs.read_file(path)
    (tmp_path / "empty").write_bytes(b"")
    assert logs.read_file(tmp_path / "empty").lines == ()


def test_a_remark_shows_that_it_was_cut() -> None:
    """No word ends in the middle without a mark, and the place in TensorFlow's source is left out."""
    line = "I tensorflow/core/util/port.cc:113] oneDNN custom operations are on. " + "different " * 40
    shown = logs._short(line)
    assert shown.startswith("oneDNN")
    assert shown.endswith("…")
    assert len(shown) <= logs.MAX_SHOWN
    assert logs._short("short") == "short"
