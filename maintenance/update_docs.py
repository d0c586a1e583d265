"""Write what is generated out of the rules: a page a rule (docs/rules), and the table of rules.

python maintenance/update_docs.py --check | --write [FILE...]

The table stands between the comments rules:begin and rules:end of README.md, and of docs/rules/README.md; with FILE, of
these files alone.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from doctor import catalogue  # noqa: E402 - the checkout beside this script, whether or not kdoctor is installed
from doctor.report.page import rule_markdown, rules_table  # noqa: E402

PAGES = ROOT / "docs" / "rules"
BEGIN, END = "<!-- rules:begin -->", "<!-- rules:end -->"


def with_table(file: Path) -> str:
    """The document with the current table between its markers.

    Raises:
        ValueError: It has no such pair of markers.
        OSError: It cannot be read.
    """
    head, begin, rest = file.read_text(encoding="utf-8").partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{file}: has no {BEGIN} … {END}")
    folder = os.path.relpath(PAGES, file.resolve().parent).replace(os.sep, "/")
    return f"{head}{BEGIN}\n{rules_table(catalogue.rules(), '' if folder == '.' else folder + '/')}{END}{tail}"


def generated(files: Iterable[Path]) -> dict[Path, str | None]:
    """What each document should hold; None: a page of a rule that is no more."""
    documents: dict[Path, str | None] = {file: with_table(file) for file in files}
    if not documents:
        documents = {file: with_table(file) for file in (ROOT / "README.md", PAGES / "README.md")}
        pages = {PAGES / f"{rule.code}.md": rule_markdown(rule) for rule in catalogue.rules()}
        documents |= dict.fromkeys(PAGES.glob("KD*.md")) | pages
    return documents


def current(file: Path) -> str | None:
    """What the document holds; None where there is none."""
    return file.read_text(encoding="utf-8") if file.exists() else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0: current (or written); 1: ``--check`` found a stale document; 2: no markers, or no such file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--check", action="store_true", help="change nothing, name what is stale")
    action.add_argument("--write", action="store_true", help="write what is stale")
    parser.add_argument("files", nargs="*", type=Path, help="put the table into these alone")
    options = parser.parse_args(arguments)
    try:
        documents = generated(options.files)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    stale = {file: text for file, text in documents.items() if current(file) != text}
    for file, text in stale.items():
        if options.check:
            print(f"{file}: is not current: python maintenance/update_docs.py --write", file=sys.stderr)
        elif text is None:
            file.unlink()
        else:
            file.write_text(text, encoding="utf-8")
    return 1 if stale and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
