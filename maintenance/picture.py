"""Draw the picture of the README: a command is run, and what it wrote on its terminal becomes an SVG.

    python maintenance/picture.py docs/scan.svg --title "kdoctor scan" -- kdoctor scan --color always

The command's own output is drawn, nothing is added; the exit code says nothing here (findings make it 1).
"""

from __future__ import annotations

import argparse
import io
import re
import subprocess
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text


def draw(output: str, title: str, lines: int) -> str:
    """The first lines of a terminal's output as SVG; fonts are the reader's own, nothing is fetched."""
    console = Console(record=True, width=102, file=io.StringIO())
    console.print(Text.from_ansi("\n".join(output.splitlines()[:lines])))
    svg = console.export_svg(title=title, theme=MONOKAI)
    return re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)


def main() -> None:
    """Run the command and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--title", default="")
    parser.add_argument("--lines", type=int, default=60)
    parser.add_argument("command", nargs="+")
    args = parser.parse_args()
    run = subprocess.run(args.command, capture_output=True, text=True, check=False)
    args.out.write_text(draw(run.stdout, args.title, args.lines))


if __name__ == "__main__":
    main()
