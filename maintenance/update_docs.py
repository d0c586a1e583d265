"""Put what is generated into the documents: the table of rules, between the comments rules:begin and rules:end.

python maintenance/update_docs.py --check | --write [FILE...]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from doctor import catalogue  # noqa: E402 - the checkout beside this script, whether or not kdoctor is installed
from doctor.report.page import rules_table  # noqa: E402

BEGIN, END = "<!-- rules:begin -->", "<!-- rules:end -->"


def updated(text: str, table: str) -> str | None:
    """The document with the table between its markers; None where it has no such pair of markers."""
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        return None
    return f"{head}{BEGIN}\n{table}{END}{tail}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0: current (or written); 1: ``--check`` found a stale document; 2: no markers, or no such file."""
    parser = argparse.ArgumentParser(description=__doc__)
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--check", action="store_true", help="change nothing, name what is stale")
    action.add_argument("--write", action="store_true", help="write the table")
    parser.add_argument("files", nargs="*", type=Path, default=[ROOT / "README.md"], help="default: README.md")
    options = parser.parse_args(arguments)
    table = rules_table(catalogue.rules())
    stale = 0
    for file in options.files:
        try:
            before = file.read_text(encoding="utf-8")
        except OSError as error:
            print(f"{file}: cannot be read: {error.strerror}", file=sys.stderr)
            return 2
        after = updated(before, table)
        if after is None:
            print(f"{file}: has no {BEGIN} … {END}", file=sys.stderr)
            return 2
        if after == before:
            continue
        stale += 1
        if options.write:
            file.write_text(after, encoding="utf-8")
        else:
            print(
                f"{file}: the table of rules is not current: python maintenance/update_docs.py --write", file=sys.stderr
            )
    return 1 if stale and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
