"""A private place for code that runs in a patient's environment, so that nothing outside of it is written.

Each point was a trap: the current folder is an empty one (a project's own ``keras.py`` would be imported instead of
Keras), TMPDIR is private, KERAS_HOME is private and seeded with the user's ``keras.json`` (Keras creates one at import
where there is none), HOME is left as it is: the user's PYTHONPATH and user site are part of the environment.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

KERAS_JSON_LIMIT = 65536


@contextmanager
def private_place(environ: Mapping[str, str]) -> Iterator[tuple[dict[str, str], Path]]:
    """Environment variables and an empty working folder for one start; all of it is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="kdoctor-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        for part in ("work", "tmp", "keras"):
            (folder / part).mkdir()
        seed_keras_home(folder / "keras", environ)
        own = {
            "TMPDIR": str(folder / "tmp"),
            "KERAS_HOME": str(folder / "keras"),
            "PYTHONIOENCODING": "utf-8:backslashreplace",
        }
        yield {**environ, **own}, folder / "work"


def seed_keras_home(folder: Path, environ: Mapping[str, str]) -> None:
    """Copy the user's ``keras.json``, which overrides what is installed; whatever is no small file is left."""
    home = environ.get("KERAS_HOME") or os.path.join(environ.get("HOME", ""), ".keras")  # noqa: PTH118
    source = Path(home) / "keras.json"
    try:
        if stat.S_ISREG(source.stat().st_mode) and source.stat().st_size <= KERAS_JSON_LIMIT:
            (folder / "keras.json").write_bytes(source.read_bytes()[:KERAS_JSON_LIMIT])
    except OSError:
        return  # none, or not ours to read: then Keras cannot read it either
