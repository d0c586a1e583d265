"""What was read of images before, by their content: a second look at a digest costs a small file.

A key names content that was proven to be it: a manifest whose bytes and layers were checked, an engine's image id, an
archive's own file. An archive that merely claims an image's configuration never answers for that image.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from doctor import __version__
from doctor.io.files import file_beside
from doctor.targets.software import Collected, source

MAX_ENTRY = 16 << 20
MAX_CACHE = 128 << 20


def folder(environ: Mapping[str, str]) -> Path:
    """Where the entries lie: below XDG_CACHE_HOME or ~/.cache."""
    above = environ.get("XDG_CACHE_HOME") or os.path.join(environ.get("HOME") or "/", ".cache")  # noqa: PTH118
    return Path(above) / "kdoctor" / "images"


class ImageCache:
    """Entries of one user, at most :data:`MAX_CACHE` bytes of them; the ones used longest ago go first.

    A cache that cannot be read or written is as good as none.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.folder = folder(environ)

    def path(self, key: str, mode: str) -> Path:
        """The entry's file: the key, the collector's own text and how it was run decide."""
        collector = hashlib.sha256(source()).hexdigest()
        name = hashlib.sha256("\0".join((key, mode, collector, __version__)).encode()).hexdigest()
        return self.folder / f"{name}.json"

    def get(self, key: str, mode: str) -> Collected | None:
        """What was read before; None where nothing was."""
        path = self.path(key, mode)
        try:
            with path.open("rb") as file:
                if os.fstat(file.fileno()).st_uid != os.geteuid():
                    return None
                data = file.read(MAX_ENTRY + 1)
            found = json.loads(data)
            os.utime(path)
            parts = {name: tuple(found[name]) for name in ("partial", "derived", "gaps", "remarks")}
            return Collected(dict(found["facts"]), how=str(found["how"]), **parts)
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            return None

    def put(self, key: str, mode: str, found: Collected) -> None:
        """Keep what was read, atomically and for this user alone."""
        data = json.dumps(asdict(found)).encode()
        if len(data) > MAX_ENTRY:
            return
        with contextlib.suppress(OSError):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with file_beside(self.path(key, mode)) as file:
                file.write(data)
            trim(self.folder, MAX_CACHE)


def trim(folder: Path, most: int) -> None:
    """Take away the files of a folder that were used longest ago, until at most so many bytes are left."""
    entries = sorted(((p.stat().st_mtime, p.stat().st_size, p) for p in folder.iterdir()), reverse=True)
    total = 0
    for _, size, path in entries:
        total += size
        if total > most:
            path.unlink(missing_ok=True)
