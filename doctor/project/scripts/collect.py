"""Finds the scripts of a folder, follows each, and holds those that import one another together."""

from __future__ import annotations

import gc
import io
import os
import posixpath
import time
import tokenize
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from doctor.images import discover
from doctor.images.use import Unreadable
from doctor.project.scripts import source
from doctor.project.scripts.source import NotReadable

if TYPE_CHECKING:
    from doctor.project.scripts.analysis import Script

MOST_SCRIPTS = 5_000
_MOST_ENTRIES = 200_000
_DEEPEST = 40
# Tests train to test: what they do is not how the project trains.
_TEST_FOLDERS = frozenset({"tests", "test", "testing", ".ipynb_checkpoints"})
_TPU = ("TPUClusterResolver", "TPUStrategy")

# What TensorFlow and Keras import at once, beside what every script of theirs imports itself.
_NAMESAKES = frozenset(
    f"{name}.py"
    for name in (
        *("tensorflow", "keras", "numpy", "absl", "astunparse", "flatbuffers", "gast", "google", "h5py", "ml_dtypes"),
        *("opt_einsum", "optree", "packaging", "requests", "rich", "six", "termcolor", "typing_extensions", "wrapt"),
    )
)

Rows = list[dict[str, Any]]


def collect(folder: Path, seconds: float, texts: Mapping[str, str]) -> tuple[Rows, Rows, Rows]:
    """See :func:`doctor.project.scripts.collect_scripts`."""
    from doctor.project.collect import suppressions  # noqa: PLC0415 (it imports this)

    deadline = time.monotonic() + seconds
    scripts: list[Script] = []
    namesakes: list[str] = []
    unreadable: list[Unreadable] = []
    comments: Rows = []
    with _without_collection():
        for count, path in enumerate(_walk(folder)):
            if count >= MOST_SCRIPTS or time.monotonic() > deadline:
                why = f"{MOST_SCRIPTS} scripts" if count >= MOST_SCRIPTS else f"{seconds:g} s"
                unreadable.append(Unreadable(path, None, f"scripts from here on were not looked at: {why} are over"))
                break
            if posixpath.basename(path) in _NAMESAKES:
                namesakes.append(path)
            try:
                data = (
                    texts[path].encode("utf-8", "surrogateescape")
                    if path in texts
                    else _read(folder / path, notebook=path.endswith(".ipynb"))
                )
                if not source.is_of_interest(data):
                    continue
                from doctor.project.scripts.analysis import analyse  # noqa: PLC0415 (most folders hold none)

                text = source.notebook(data, path) if path.endswith(".ipynb") else source.script(data, path)
                if b"kdoctor:" in data:
                    whole = data.decode("utf-8", "replace")
                    lines = None if path.endswith(".ipynb") else _commented(whole)
                    comments += [row for row in suppressions(path, whole) if lines is None or row["line"] in lines]
                scripts.append(analyse(text))
            except NotReadable as error:
                unreadable.append(Unreadable(path, error.line, error.why))
            except OSError as error:
                unreadable.append(Unreadable(path, None, f"cannot be read: {error.strerror or error}"))
            except (RecursionError, MemoryError):
                unreadable.append(Unreadable(path, None, "nested too deep to be read"))
    rows = _rows(scripts)
    _note_namesakes(folder, rows, namesakes)
    return rows, [row.row() for row in unreadable], comments


def _note_namesakes(folder: Path, rows: Rows, namesakes: list[str]) -> None:
    """``beside`` of a script: modules in its folder that are called as what TensorFlow imports, and come first.

    Python puts the folder of the script that it starts in front of all others. The modules of a package are not
    started from its folder.
    """
    for row in rows:
        home = posixpath.dirname(row["path"])
        beside = [path for path in namesakes if posixpath.dirname(path) == home]
        if beside and not (folder / home / "__init__.py").exists():
            row["beside"] = beside


def _commented(text: str) -> frozenset[int] | None:
    """The lines of a script that end in a comment: what looks like one inside a string suppresses nothing."""
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (tokenize.TokenError, SyntaxError):
        return None
    return frozenset(token.start[0] for token in tokens if token.type == tokenize.COMMENT)


@contextmanager
def _without_collection() -> Iterator[None]:
    """Syntax trees are large and have no cycles: the collector would go through them again and again for nothing."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _read(path: Path, *, notebook: bool) -> bytes:
    limit = source.LARGEST_NOTEBOOK if notebook else source.LARGEST_SCRIPT
    with path.open("rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit and source.is_of_interest(data):
        raise NotReadable(f"more than the {limit // 1024 // 1024} MiB that are read")
    return data if len(data) <= limit else b""


def _walk(folder: Path) -> Iterator[str]:
    """Python files and notebooks below a folder, not those of tests, environments and builds; no links."""
    entries = 0
    pending = [("", 0)]
    while pending:
        prefix, depth = pending.pop()
        try:
            with os.scandir(folder / prefix) as listing:
                rows = sorted(listing, key=lambda entry: entry.name)
        except OSError:
            continue  # the walk for images says so already
        entries += len(rows)
        if entries > _MOST_ENTRIES:
            return
        deeper = []
        for entry in rows:
            name = entry.name
            if name.endswith((".py", ".ipynb")):
                if not name.startswith(("test_", "conftest")) and entry.is_file(follow_symlinks=False):
                    yield prefix + name
            elif (
                entry.is_dir(follow_symlinks=False)
                and name.lower() not in _TEST_FOLDERS
                and not discover.is_skipped(entry)
            ):
                deeper.append((f"{prefix}{name}/", depth + 1))
        if depth < _DEEPEST:
            pending += reversed(deeper)


def _rows(scripts: list[Script]) -> Rows:
    modules = {_module(script.path): script for script in scripts}
    return [_row(script, _imported(script, modules)) for script in scripts]


def _module(path: str) -> str:
    name = posixpath.splitext(path)[0].replace("/", ".")
    return name.removesuffix(".__init__")


def _imported(script: Script, modules: dict[str, Script]) -> list[Script]:
    """The scripts of the project that a script imports, directly or not."""
    found: dict[str, Script] = {}
    pending = [script]
    while pending:
        one = pending.pop()
        package = _module(one.path).split(".")[:-1]
        for name, level in one.imports:
            if name.startswith(("tensorflow", "keras.", "numpy")):
                continue
            base = package[: len(package) - level + 1] if level else []
            candidates = [".".join([*base, *name.split(".")]).strip(".")]
            if not level:  # a script's own folder is on the path
                candidates.append(".".join([*package, name]))
                candidates.append("src." + name)
            for candidate in candidates:
                other = modules.get(candidate)
                if other is not None and other is not script and other.path not in found:
                    found[other.path] = other
                    pending.append(other)
    return list(found.values())


def _row(script: Script, imported: list[Script]) -> dict[str, Any]:
    facts = list(script.facts)
    trains = script.trains
    if trains is not None:
        place: dict[str, Any] = {
            key: trains[key] for key in ("line", "column", "cell", "cell_line", "text") if key in trains
        }
        flags = {**{name: row for one in reversed(imported) for name, row in one.flags.items()}}
        flags.update({name: row for name, row in script.flags.items() if not row["unused"]})
        facts.insert(0, {"what": "trains", **place, "how": trains["how"]})
        partial = [n for n in ("numpy", "python", "torch") if f"seed-{n}" in flags]
        _set_or_unset(facts, "seed", flags, place, partial=partial)
        if not str(flags.get("gpu", {}).get("call", "")).endswith(_TPU):  # a TPU adds in one order anyway
            _set_or_unset(facts, "determinism", flags, place)
        if "cpu" in flags or script.environment.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
            facts.append({"what": "cpu-chosen", **place})
        else:
            _set_or_unset(facts, "gpu-check", {"gpu-check": flags["gpu"]} if "gpu" in flags else {}, place)
    row: dict[str, Any] = {
        "path": script.path,
        "kind": "notebook" if script.notebook else "script",
        "trains": trains["how"] if trains is not None else None,
        "keras": script.keras,
        "facts": facts,
    }
    if script.backend:
        row["backend"] = script.backend
    if script.environment.get("TF_USE_LEGACY_KERAS") in ("1", "True", "true"):
        row["legacy_keras"] = True
    return row


def _set_or_unset(
    facts: Rows, name: str, flags: dict[str, dict[str, Any]], place: dict[str, Any], partial: list[str] | None = None
) -> None:
    found = flags.get(name)
    if found is not None:
        facts.append({"what": f"{name}-set", "line": found.get("line"), "call": found.get("call")})
    else:
        facts.append({"what": f"{name}-unset", **place, **({"others": partial} if partial else {})})
