"""A file system over the folders in which an engine keeps layers (overlay2), read without a mount.

A character device 0/0 is a whiteout, the extended attribute ``trusted.overlay.opaque`` = y makes a folder opaque.
Source: Documentation/filesystems/overlayfs.rst of the kernel.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from doctor.collect import software

_PREFIXES = ("trusted.overlay.", "user.overlay.")


class Redirected(Exception):
    """A folder was renamed on the overlay: only the kernel's own mount tells where its files are."""


class OverlayFileSystem(software.FileSystem):
    """The folders of the layers, the topmost first, as one tree."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders: dict[str, list[str]] = {"/": [str(folder) for folder in folders]}

    def _stack(self, path: str) -> list[str]:
        """The folders that are merged at ``path``, the topmost first."""
        known = self._folders.get(path)
        if known is None:
            known = self._merge(path)
            if not known:
                raise NotADirectoryError(errno.ENOTDIR, "not a folder", path)
            self._folders[path] = known
        return known

    def _merge(self, path: str) -> list[str]:
        found = []
        for folder in self._stack(software.parent(path)):
            place = folder + "/" + software.base(path)
            try:
                mode = os.lstat(place)
            except FileNotFoundError:
                continue
            if not stat.S_ISDIR(mode.st_mode):
                break  # a whiteout, or a file that lies above a folder
            found.append(place)
            if _attribute(place, "redirect") is not None:
                raise Redirected(path)
            if _attribute(place, "opaque") == b"y":
                break
        return found

    def _place(self, path: str) -> str:
        """Where the entry itself lies: in the topmost layer that has it."""
        if path == "/":
            return self._stack("/")[0]
        for folder in self._stack(software.parent(path)):
            place = folder + "/" + software.base(path)
            try:
                found = os.lstat(place)
            except FileNotFoundError:
                continue
            if _is_whiteout(found):
                break
            return place
        raise FileNotFoundError(errno.ENOENT, "no such file", path)

    def lstat(self, path: str) -> tuple[str, int, int, float]:
        """Kind, size, permission bits and modification time of the entry itself."""
        return _HOST.lstat(self._place(path))

    def listdir(self, path: str) -> list[str]:
        """The names in a folder, of all layers that are merged there."""
        gone: set[str] = set()
        names: dict[str, None] = {}
        for folder in self._stack(path):
            hidden = []
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name in gone or entry.name in names:
                        continue
                    if not entry.is_file(follow_symlinks=False) and _is_whiteout(entry.stat(follow_symlinks=False)):
                        hidden.append(entry.name)
                    else:
                        names[entry.name] = None
                    if len(names) >= software.MAX_NAMES:
                        return list(names)
            gone.update(hidden)
        return list(names)

    def readlink(self, path: str) -> str:
        """Where a link points."""
        return os.readlink(self._place(path))  # noqa: PTH115 -- as written in it

    def read(self, path: str, offset: int, length: int) -> bytes:
        """Bytes of a regular file."""
        return _HOST.read(self._place(path), offset, length)


_HOST = software.HostFileSystem("/")


def _is_whiteout(found: os.stat_result) -> bool:
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0


def _attribute(path: str, name: str) -> bytes | None:
    for prefix in _PREFIXES:
        try:
            return os.getxattr(path, prefix + name, follow_symlinks=False)
        except OSError:
            continue
    return None


def folders_of(inspection: Mapping[str, Any]) -> list[Path] | None:
    """The layer folders that an engine's inspection of an image or container names, the topmost first.

    None where the engine keeps its layers in another way, on another machine, or where we may not read them.
    """
    told = inspection.get("GraphDriver")
    driver = told if isinstance(told, dict) else {}
    data = driver.get("Data")
    if not isinstance(data, dict) or driver.get("Name") not in ("overlay2", "overlay", "fuse-overlayfs"):
        return None
    names = [data.get("UpperDir"), *str(data.get("LowerDir") or "").split(":")]
    folders = [Path(one) for one in names if isinstance(one, str) and one.startswith("/")]
    if not folders or not hasattr(os, "getxattr") or os.geteuid() != 0:
        return None  # trusted attributes are shown to root alone
    return folders if all(folder.is_dir() for folder in folders) else None
