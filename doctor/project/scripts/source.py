"""The Python text of a script or notebook, and its syntax tree: bounded, and never executed."""

from __future__ import annotations

import ast
import json
import re
import sys
import tokenize
import warnings
from dataclasses import dataclass
from io import BytesIO

LARGEST_SCRIPT = 1024 * 1024
LARGEST_NOTEBOOK = 16 * 1024 * 1024  # pictures that a notebook holds are most of it
_LARGEST_CODE = LARGEST_SCRIPT
_LARGE = 20_000  # CPython 3.10 ends the process on trees nested as deep as a file of this size can be
_IMPORTS = re.compile(rb"\b(?:tensorflow|keras|tf_keras)\b")
_MAGIC = re.compile(r"^(\s*)(?:[%!?]|get_ipython\(\)\.)")
_ASSIGNED_MAGIC = re.compile(r"^(\s*[A-Za-z_]\w*\s*=\s*)[%!].*$")
_CELL_OF_PYTHON = re.compile(r"^%%(?:time|timeit|capture|prun|memit|mprun)\b")
_PYTHON_2 = re.compile(
    r"^\s*(?:print\s+[^\s(=]|exec\s+['\"]|except\s+[\w.]+\s*,\s*\w+\s*:|raise\s+\w+\s*,)", re.MULTILINE
)


class NotReadable(Exception):
    """A script that cannot be read: the reason, and the line where there is one."""

    def __init__(self, why: str, line: int | None = None) -> None:
        super().__init__(why)
        self.why = why
        self.line = line


@dataclass(frozen=True)
class Source:
    """Python text. ``lines``: its lines; ``places``: for a notebook, of each line (cell, line in it, line of the file).

    Cells are counted from 1 over all cells of the notebook; a line of the file is None where it was not found.
    """

    path: str
    text: str
    lines: list[str]
    places: list[tuple[int, int, int | None]] | None = None

    def line(self, number: int) -> str:
        """A line of the text, counted from 1; empty where there is none."""
        return self.lines[number - 1] if 0 < number <= len(self.lines) else ""


def is_of_interest(data: bytes) -> bool:
    """Whether a file speaks of TensorFlow or Keras at all: most files end here."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        data = data.replace(b"\0", b"")
    return _IMPORTS.search(data) is not None


def script(data: bytes, path: str) -> Source:
    """The text of a Python file, decoded as Python would (byte order mark, PEP 263), UTF-16 too.

    Raises:
        NotReadable: binary data.
    """
    text = _decoded(data)
    return Source(path, text, text.split("\n"))


def _decoded(data: bytes) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        try:
            text = data.decode("utf-16")
        except UnicodeDecodeError:
            raise NotReadable("binary data, not text") from None
    else:
        try:
            encoding, _ = tokenize.detect_encoding(BytesIO(data[:400]).readline)
            text = data.decode(encoding, "replace")
        except (SyntaxError, LookupError, ValueError):
            text = data.decode("utf-8", "replace")
    if "\0" in text:
        raise NotReadable("binary data, not text")
    return text.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n").replace("\f", " ")


def notebook(data: bytes, path: str) -> Source:
    """The code cells of a notebook in their order; magics and shell lines become empty statements.

    Raises:
        NotReadable: not JSON, or not a notebook.
    """
    raw = _decoded(data)
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", None)
        raise NotReadable("a notebook that is not JSON", line if isinstance(line, int) else None) from None
    cells = _cells(document)
    if cells is None:
        raise NotReadable("JSON, but not a notebook")
    finder = _Finder(raw)
    lines: list[str] = []
    places: list[tuple[int, int, int | None]] = []
    for number, cell in enumerate(cells, 1):
        if not isinstance(cell, dict) or cell.get("cell_type") != "code":
            continue
        source = cell.get("source", cell.get("input", ""))
        text = "".join(map(str, source)) if isinstance(source, list) else str(source)
        written = text.replace("\r\n", "\n").split("\n")
        code = _without_magics(written)
        for index, line in enumerate(code):
            places.append((number, index + 1, finder.find(written[index])))
            lines.append(line)
    text = "\n".join(lines)
    if len(text) > _LARGEST_CODE:
        raise NotReadable("more than 1 MiB of code")
    return Source(path, text, lines, places)


def _cells(document: object) -> list[object] | None:
    if not isinstance(document, dict):
        return None
    cells = document.get("cells")
    if not isinstance(cells, list):
        sheets = document.get("worksheets")  # notebooks of format 3
        first = sheets[0] if isinstance(sheets, list) and sheets else None
        cells = first.get("cells") if isinstance(first, dict) else None
    return cells if isinstance(cells, list) else None


class _Finder:
    """Lines of cells in the raw file: Jupyter writes each on a line of its own, in order."""

    def __init__(self, raw: str) -> None:
        self._raw = raw
        self._from = 0
        self._line = 1

    def find(self, line: str) -> int | None:
        """The line of the file that holds this line of a cell, looked for after the one found last."""
        if not line.strip():
            return None
        for ascii_only in (False, True):
            written = json.dumps(line, ensure_ascii=ascii_only)[1:-1]
            at = self._raw.find('"' + written, self._from)
            if at >= 0:
                self._line += self._raw.count("\n", self._from, at)
                self._from = at
                return self._line
        return None


def _without_magics(lines: list[str]) -> list[str]:
    first = next((index for index, line in enumerate(lines) if line.strip()), 0)
    if lines and lines[first].startswith("%%") and not _CELL_OF_PYTHON.match(lines[first]):
        return ["" for _ in lines]  # a cell in another language
    result = []
    continued = False
    for line in lines:
        if continued or _MAGIC.match(line) or line.rstrip().endswith("?"):
            continued = line.rstrip().endswith("\\")
            indent = line[: len(line) - len(line.lstrip())]
            result.append(indent + "pass" if not line.lstrip().startswith("#") else line)
        else:
            result.append(_ASSIGNED_MAGIC.sub(r"\1None", line))
    return result


def parse(source: Source) -> ast.Module:
    """The syntax tree; of a notebook with a broken cell that of the others.

    Raises:
        NotReadable: no Python that this interpreter can read, Python 2, or nested too deep.
    """
    try:
        return _parse(source.text)
    except NotReadable as error:
        if source.places is not None:
            return _cell_by_cell(source, error)
        if any(_MAGIC.match(line) for line in source.lines):  # a notebook saved as a script
            return _parse("\n".join(_without_magics(source.lines)))
        raise


def _parse(text: str) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes are the author's, not the reader's, business
            if sys.version_info < (3, 11) and len(text) > _LARGE:
                compile(text, "script", "exec", dont_inherit=True)  # refuses what is nested too deep; runs nothing
            return ast.parse(text)
    except SyntaxError as error:
        if _PYTHON_2.search(text):
            raise NotReadable("Python 2, which is not looked at", error.lineno) from None
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        raise NotReadable(f"not Python {version}: {str(error.msg)[:100]}", error.lineno) from None
    except (RecursionError, MemoryError):
        raise NotReadable("nested too deep to be read") from None
    except ValueError as error:
        raise NotReadable(f"not Python: {str(error)[:100]}") from None


def _cell_by_cell(source: Source, error: NotReadable) -> ast.Module:
    """The cells that parse alone, each moved to its line."""
    places = source.places or []
    body: list[ast.stmt] = []
    start = 0
    while start < len(places):
        end = start
        while end < len(places) and places[end][0] == places[start][0]:
            end += 1
        try:
            tree = _parse("\n" * start + "\n".join(source.lines[start:end]))
            body += tree.body
        except NotReadable:
            pass
        start = end
    if not body:
        raise error
    return ast.Module(body=body, type_ignores=[])
