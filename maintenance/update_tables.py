"""Adds new TensorFlow and Keras releases to the compatibility tables, out of the package index in use.

    python maintenance/update_tables.py                    what would change
    python maintenance/update_tables.py --write            change it
    python maintenance/update_tables.py --check 2.21.0     read a release again and hold it against its row

Only METADATA and build_info.py are read, by range requests of at most 2 MB a wheel. Rows that are there stay as they
are, with their `source` and `seen`; a new row gets today's date. What no wheel tells (the machine code in it, the cuDNN
that it was compiled with) stays empty in a new row until somebody has read it elsewhere.
"""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from datetime import datetime, timezone
from pathlib import Path

from package_index import PackageIndexError, configured_index
from packaging.version import Version
from releases import Row, keras_pin, keras_row, new_releases, release, tensorflow_row
from remote_wheel import RemoteWheelError
from table_files import Table, read, text

TABLES = Path(__file__).resolve().parent.parent / "rules" / "tables"
# What a wheel does not tell: a row that was read again has none of it.
NOT_IN_WHEELS = ("source", "seen", "note", "gpu_code", "min_glibc_of_python", "legacy")


def main(arguments: list[str] | None = None) -> int:
    """Run the script: 0 nothing to change or written, 1 something would change, 2 the index cannot be used."""
    options = _parser().parse_args(arguments)
    try:
        index = options.index_url or configured_index()
        if options.check:
            return _check(options.tables, index, options.check)
        return _update(options.tables, index, write=options.write)
    except (PackageIndexError, RemoteWheelError, OSError, ValueError) as error:
        print(f"update_tables: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--index-url", help="the package index (default: the one that pip uses)")
    parser.add_argument("--tables", type=Path, default=TABLES, help="folder of the tables")
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--write", action="store_true", help="write the new rows")
    group.add_argument("--check", metavar="VERSION", help="read one TensorFlow release again and compare it")
    return parser


def _update(folder: Path, index: str, *, write: bool) -> int:
    today = datetime.now(timezone.utc).date().isoformat()
    changed = False
    for table in (_with_new_tensorflow(folder, index, today), _with_new_keras(folder, index, today)):
        path = folder / f"{table['table']}.json"
        before, after = path.read_text("utf-8"), text(table)
        if before == after:
            continue
        changed = True
        names = (f"a/{path.name}", f"b/{path.name}")
        sys.stdout.writelines(difflib.unified_diff(before.splitlines(True), after.splitlines(True), *names, n=1))
        if write:
            path.write_text(after, "utf-8")
    if not changed:
        print("no new releases")
    return int(changed and not write)


def _with_new_tensorflow(folder: Path, index: str, today: str) -> Table:
    table = read(folder / "tensorflow.json")
    known = {row["version"] for row in table["releases"]}
    rows = [tensorflow_row(found, today) for found in new_releases(index, "tensorflow", known)]
    return _grown(table, "releases", rows, today)


def _with_new_keras(folder: Path, index: str, today: str) -> Table:
    table = read(folder / "keras.json")
    for name in ("keras", "tf-keras"):
        known = {row["version"] for row in table["releases"] if row["name"] == name}
        rows = [keras_row(name, found, today) for found in new_releases(index, name, known)]
        table = _grown(table, "releases", rows, today)
    pinned = {row["tensorflow"] for row in table["pins"]}
    pins = [keras_pin(found, today) for found in new_releases(index, "tensorflow", pinned)]
    return _grown(table, "pins", pins, today)


def _grown(table: Table, section: str, rows: list[Row], today: str) -> Table:
    """The table with rows added to a section: by name where rows have one, then in the order of versions."""
    if not rows:
        return table
    names = list(dict.fromkeys(row.get("name") for row in table[section]))

    def place(row: Row) -> tuple[int, Version]:
        return names.index(row.get("name")), Version(row.get("version") or row["tensorflow"])

    return {**table, "seen": today, section: sorted([*table[section], *rows], key=place)}


def _check(folder: Path, index: str, version: str) -> int:
    """Hold the row of a release against what its wheels say today."""
    row = next((r for r in read(folder / "tensorflow.json")["releases"] if r["version"] == version), None)
    if row is None:
        raise ValueError(f"the table has no TensorFlow {version}")
    found = release(index, "tensorflow", version)
    if not found:
        raise ValueError(f"the index has no wheels of TensorFlow {version}")
    again = tensorflow_row(found, row["seen"])
    differences = list(_differences(_comparable(row), _comparable(again)))
    print("\n".join(differences) or f"TensorFlow {version}: the row says what its wheels say")
    return int(bool(differences))


def _comparable(row: Row) -> Row:
    kept = {key: value for key, value in row.items() if key not in NOT_IN_WHEELS}
    if kept.get("cuda"):
        kept["cuda"] = {key: value for key, value in kept["cuda"].items() if key != "cudnn_compiled"}
    return kept


def _differences(row: Row, again: Row) -> list[str]:
    keys = sorted({*row, *again})
    return [
        f"{key}: table {json.dumps(row.get(key))}, wheels {json.dumps(again.get(key))}"
        for key in keys
        if row.get(key) != again.get(key)
    ]


if __name__ == "__main__":
    sys.exit(main())
