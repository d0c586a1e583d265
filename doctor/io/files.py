"""Writing files so that an interruption at any moment leaves either the old or the new one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from doctor.errors import UsageError


def write_atomically(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path``, through a file beside it that takes its place.

    An existing file keeps its mode, and its owner and group where this process may give files away (root may).

    A path that is no regular file (``/dev/stdout``, a named pipe) is written to as it is.

    Raises:
        UsageError: the place cannot be written to.
    """
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(data)
            return
        target = path.resolve()  # a link stays a link: what it names is replaced
        before = target.stat() if target.exists() else None
        mode = before.st_mode & 0o777 if before is not None else 0o666 & ~_umask()
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror or error}") from None
    try:
        with file_beside(target) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            if before is not None:
                _give_to(Path(file.name), before)
            Path(file.name).chmod(mode)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror or error}") from None


@contextlib.contextmanager
def file_beside(target: Path) -> Iterator[BinaryIO]:
    """A new file for this user alone, which takes the place of ``target`` when the block ends well; else it is gone.

    Raises:
        OSError: the folder cannot be written to, or what the block raised.
    """
    # Named before it is made: an interruption between the two could not remove what it knows no name of.
    beside = target.with_name(f".{target.name[:100]}.{os.urandom(8).hex()}")
    try:
        with open(beside, "xb", opener=_for_this_user_alone) as file:
            yield file
        beside.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise


def _for_this_user_alone(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _give_to(path: Path, owner: os.stat_result) -> None:
    """Owner and group of another file; the group alone where only that is allowed."""
    if not hasattr(os, "chown"):
        return
    for user in (owner.st_uid, -1):
        with contextlib.suppress(OSError):
            os.chown(path, user, owner.st_gid)
            return


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def write_new(path: Path, data: bytes) -> bool:
    """Write a file that is not there yet, with the folders above it; False, and nothing is done, where it is.

    Raises:
        UsageError: the place cannot be written to.
    """
    if path.exists() or path.is_symlink():
        return False
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror or error}") from None
    write_atomically(path, data)
    return True
