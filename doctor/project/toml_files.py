"""TOML with a way back to the lines: the standard parser tells no places, so a value is looked for in the text."""

from __future__ import annotations

import re
import sys
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found,unused-ignore]

_LINE = re.compile(r"at line (\d+)")


class NotToml(ValueError):
    """The file is no TOML. ``line``: where the parser stopped, if it said so."""

    def __init__(self, line: int | None, why: str) -> None:
        super().__init__(why)
        self.line = line
        self.why = why


def loads(text: str) -> dict[str, Any]:
    """The document.

    Raises:
        NotToml: it is none, or is nested too deep.
    """
    try:
        root: dict[str, Any] = tomllib.loads(text.removeprefix("\ufeff").replace("\r\n", "\n"))
        return root
    except tomllib.TOMLDecodeError as error:
        place = _LINE.search(str(error))
        raise NotToml(int(place[1]) if place else None, f"not TOML: {error}"[:200]) from None
    except RecursionError:
        raise NotToml(None, "nested too deep to be read") from None


class Places:
    """Where strings and keys stand in a TOML text; asked in the order of the file, it finds repeated ones in turn."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at: dict[str, int] = {}

    def string(self, value: str) -> int:
        """The line of the next string literal that reads ``value``; 1 where it is not found as such."""
        start = self._at.get(value, 0)
        found = [at for quote in "\"'" if (at := self._text.find(f"{quote}{value}{quote}", start)) >= 0]
        if not found:
            return 1
        self._at[value] = min(found) + len(value)
        return self._text.count("\n", 0, min(found)) + 1

    def key(self, name: str) -> int:
        """The line of the next ``name =``, quoted or bare; 1 where it is not found as such."""
        pattern = re.compile(rf"^[ \t]*[\"']?{re.escape(name)}[\"']?[ \t]*=", re.MULTILINE)
        found = pattern.search(self._text, self._at.get("=" + name, 0))
        if found is None:
            return 1
        self._at["=" + name] = found.end()
        return self._text.count("\n", 0, found.start()) + 1
