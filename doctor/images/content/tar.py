"""The members of a tar, header by header: no body is read but the long names in extended headers.

ustar, PAX (path, linkpath, size, mtime) and GNU (long names, sparse files) headers are understood. `tarfile` of the
standard library does the same, six times slower, and keeps more of each member than is needed here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from doctor.errors import TargetError
from doctor.images.content.blob import Blob

FILE, FOLDER, LINK, HARDLINK, OTHER, SPARSE = "file", "dir", "link", "hardlink", "other", "sparse"
MAX_MEMBERS = 500_000
MAX_NAME = 4096
MAX_EXTENDED = 1 << 20
MAX_SIZE = 1 << 46
_EXTENDED = (b"x", b"g", b"L", b"K")
_BLOCK = 512
_KINDS = {
    b"0": FILE, b"\0": FILE, b"7": FILE, b"5": FOLDER, b"2": LINK, b"1": HARDLINK, b"S": SPARSE,
    b"3": OTHER, b"4": OTHER, b"6": OTHER,
}  # fmt: skip


class Member(NamedTuple):
    """One member: ``name`` and ``link`` as written, ``offset`` and ``size`` of the body, ``kept`` its start."""

    name: str
    kind: str
    size: int
    mode: int
    mtime: float
    offset: int
    link: str
    kept: bytes


Keep = Callable[[str, int], int]


def members(
    blob: Blob, name: str, keep: Keep | None = None, limit: int = MAX_MEMBERS, *, marked: bool = False
) -> Iterator[Member]:
    """The members of the tar in a blob; ``name`` is what errors call it.

    ``keep`` says of a file's name and size how many bytes of its start are to come along (for what cannot be read
    again cheaply). ``marked``: its end must be marked by zeros, as a stream may be cut off between two members.

    Raises:
        TargetError: it is no tar, is cut off, or has more than ``limit`` members.
    """
    at = 0
    last = 0  # a byte that must be there if nothing was cut off
    count = 0
    extended: dict[str, str] = {}
    read_at = blob.read_at
    while True:
        head = read_at(at, _BLOCK)
        if len(head) < _BLOCK:
            if marked and not head:
                raise TargetError(f"{name}: stops without the mark of its end: cut off")
            if not head and at and read_at(last, 1):
                return  # some writers leave the two blocks of zeros out
            raise TargetError(f"{name}: ends in the middle of a header: cut off, or no tar")
        if head.count(0) == _BLOCK:
            return
        if not _checksum_fits(head):
            raise TargetError(f"{name}: no tar header at byte {at}: damaged, or no tar")
        size = _number(head[124:136], name)
        flag = head[156:157]
        body = at + _BLOCK
        count += 1
        if count > limit:
            raise TargetError(f"{name}: more than {limit} members: not looked at")
        if flag in _EXTENDED:
            if size > MAX_EXTENDED:
                raise TargetError(f"{name}: an extended header of {size} bytes: not looked at")
            data = read_at(body, size)
            if len(data) < size:
                raise TargetError(f"{name}: ends in the middle of a header: cut off")
            extended.update(_extension(flag, data))
            at = _after(body, size)
            continue
        if flag == b"S":
            body = _after_sparse_map(blob, head, body)
        kind = _KINDS.get(flag, OTHER)
        title = extended.get("path") or _title(head)
        link = extended.get("linkpath") or (_text(head[157:257]) if kind in (LINK, HARDLINK) else "")
        if len(title) > MAX_NAME or len(link) > MAX_NAME:
            raise TargetError(f"{name}: a name of more than {MAX_NAME} characters: not looked at")
        if "size" in extended:
            size = _decimal(extended["size"], name)
        at, last = _after(body, size), body + size - 1
        if kind == FILE:
            if title.endswith("/"):
                kind = FOLDER  # as tars older than ustar write folders
            elif any(key.startswith("GNU.sparse") for key in extended):
                kind = SPARSE
        length = size if kind in (FILE, SPARSE) else 0
        wanted = min(keep(title, size), size) if keep is not None and kind == FILE else 0
        kept = read_at(body, wanted) if wanted else b""
        mtime = _time(extended["mtime"]) if "mtime" in extended else float(_number(head[136:148], name))
        yield Member(title, kind, length, _number(head[100:108], name) & 0o7777, mtime, body, link, kept)
        extended = {}


def _after(body: int, size: int) -> int:
    """Where the next header stands."""
    return body + (size + _BLOCK - 1) // _BLOCK * _BLOCK


def _after_sparse_map(blob: Blob, head: bytes, body: int) -> int:
    """Where the data of a GNU sparse file begins: behind the blocks that continue the map in its header."""
    more = head[482:483] == b"\1"
    while more:
        block = blob.read_at(body, _BLOCK)
        body += _BLOCK
        more = block[504:505] == b"\1"
    return body


def _title(head: bytes) -> str:
    title = _text(head[:100])
    if head[345] and head[257:263] == b"ustar\0":
        return _text(head[345:500]) + "/" + title
    return title


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")


def _checksum_fits(head: bytes) -> bool:
    try:
        told = int(head[148:156].split(b"\0", 1)[0].strip() or b"x", 8)
    except ValueError:
        return False
    return told == sum(head) - sum(head[148:156]) + 8 * 32


def _number(field: bytes, name: str) -> int:
    """An octal number, or a binary one as GNU tar writes those that are too large for that."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big", signed=False) & ((1 << (8 * len(field) - 1)) - 1)
        if field[0] & 0x40:
            return 0  # a negative time; sizes are never negative
        if value > MAX_SIZE:
            raise TargetError(f"{name}: a size of {value} bytes in a header: damaged")
        return value
    text = field.split(b"\0", 1)[0].strip()
    try:
        return int(text, 8) if text else 0
    except ValueError:
        raise TargetError(f"{name}: a header with the number {text[:20]!r}: damaged, or no tar") from None


def _decimal(text: str, name: str) -> int:
    if not text.isdecimal() or len(text) > 18:
        raise TargetError(f"{name}: an extended header with the size {text[:20]!r}: damaged")
    return int(text)


def _time(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _extension(flag: bytes, data: bytes) -> dict[str, str]:
    """What an extended header says of the member behind it; a global one (``g``) is passed over, as engines do."""
    if flag == b"L":
        return {"path": _text(data)}
    if flag == b"K":
        return {"linkpath": _text(data)}
    return _pax(data) if flag == b"x" else {}


def _pax(data: bytes) -> dict[str, str]:
    """The records of a PAX header, each ``LENGTH KEY=VALUE\\n``; of a damaged one those before the damage."""
    found = {}
    at = 0
    while at < len(data):
        digits, space, _ = data[at : at + 20].partition(b" ")
        if not space or not digits.isdigit() or int(digits) <= len(digits) + 1:
            break
        record = data[at + len(digits) + 1 : at + int(digits) - 1]
        key, _, value = record.partition(b"=")
        found[key.decode("utf-8", "replace")] = value.decode("utf-8", "surrogateescape")
        at += int(digits)
    return found
