"""Strings from outside, made harmless: one function for each place that they go to.

A package's name, an image's label, a path or a log line may hold terminal control sequences, right-to-left overrides
that make a line read differently from what it says, or commands that a CI runner obeys when it sees them in a log.
Nothing is dropped silently: what would act is shown as an escape.
"""

from __future__ import annotations

import re

MAX_TEXT = 2000

# C0, DEL and C1; soft hyphen; Arabic letter mark; zero-width, direction marks and overrides; line and paragraph
# separators; invisible operators; byte-order mark; interlinear marks; what is no character; lone
# surrogates; tag characters. With these shown as escapes a text may stand in XML too.
_DANGEROUS = (
    "\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff\ud800-\udfff"
    "\U000e0000-\U000e007f"
)
_CONTROL = re.compile(f"[{_DANGEROUS}]")
_SURROGATE = re.compile("[\ud800-\udfff]")

# GitHub's and Azure's older form acts anywhere in a line: ##[error], ##vso[task.setvariable]; TeamCity's too.
_ANYWHERE = re.compile(r"##(?=\w*\[)")
# GitHub's present form acts at the start of a line, after blanks: ::error::, ::add-mask::
_AT_START = re.compile(r"^(\s*)::(?=[\w-])", re.MULTILINE)

# What means something to Markdown inside a line, at its beginning, and what makes links of plain words.
_MARKUP = re.compile(r"[\\`*_{}\[\]|~$#]|(?<=www)\.|:(?=//)|^[-+=]", re.IGNORECASE)
_NUMBERED = re.compile(r"^(\d{1,9})(?=[.)](\s|$))")
_REFERENCE = re.compile(r"(?:[@#!~%$]|&amp;)(?=\w)")

_ASCII = str.maketrans(
    {
        "✓": "+",
        "✗": "x",
        "–": "-",
        "—": "-",
        "‑": "-",
        "×": "x",
        "…": "...",
        "→": "->",
        "≥": ">=",
        "≤": "<=",
        "‘": "'",
        "’": "'",
        "“": '"',
        "”": '"',
        "·": "-",
        "§": "section ",
        "\xa0": " ",
    }
)


def line(text: object, limit: int = MAX_TEXT) -> str:
    """``text`` as one line for a terminal or a log: nothing in it moves the cursor, hides, reorders or commands.

    Line breaks and tabs become blanks; everything else that would act is shown as an escape; what is longer than
    ``limit`` characters is cut, and the cut is shown.
    """
    shown = str(text)
    if len(shown) > limit:
        shown = shown[:limit] + "…"
    shown = re.sub(r"[\t\r\n]+", " ", shown)
    return _ANYWHERE.sub(r"#\\#", _CONTROL.sub(_visible, shown))


def source(text: object, limit: int = MAX_TEXT) -> str:
    """Like :func:`line`, for a line of a file: each tab becomes one blank, so that columns stay what they are."""
    return line(re.sub(r"[\t\r\n]", " ", str(text)[: limit + 1]), limit)


def screen(text: str) -> str:
    """A whole rendered screen whose parts went through :func:`line`: no line of it starts a workflow command."""
    return _AT_START.sub(r"\1:\\:", text)


def ascii_only(text: str) -> str:
    """``text`` for a terminal that does not speak UTF-8: our own signs as ASCII, all other characters as escapes."""
    return text.translate(_ASCII).encode("ascii", "backslashreplace").decode("ascii")


def markdown(text: object, limit: int = MAX_TEXT) -> str:
    """``text`` as Markdown that shows it as it is: no markup, no HTML, no link, nobody mentioned, no issue referred to.

    Hosts look for mentions and references in the rendered text, where a backslash no longer helps: an empty comment
    after the sign keeps them apart.
    """
    shown = _MARKUP.sub(r"\\\g<0>", line(text, limit).lstrip())
    shown = _NUMBERED.sub(r"\1\\", shown).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _REFERENCE.sub(r"\g<0><!-- -->", shown)


def markdown_code(text: object, limit: int = MAX_TEXT) -> str:
    """``text`` as a code span. Hosts look for no mentions or references there."""
    shown = line(text, limit).strip() or "(empty)"
    fence = "`" * (max((len(run) for run in re.findall("`+", shown)), default=0) + 1)
    blank = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{fence}{blank}{shown}{blank}{fence}"


def workflow_data(text: object, limit: int = MAX_TEXT) -> str:
    """``text`` as the message of a GitHub workflow command."""
    return line(text, limit).replace("%", "%25")


def workflow_property(text: object, limit: int = MAX_TEXT) -> str:
    """``text`` as a property (file, title) of a GitHub workflow command."""
    return workflow_data(text, limit).replace(":", "%3A").replace(",", "%2C")


def json_text(text: str) -> str:
    """A JSON document whose strings say the same, with everything that could act on a terminal or a runner escaped.

    ``text`` is JSON already: characters below U+0020 are escaped in it, and what is left stands inside strings only
    (or is the document's own line breaks).
    """
    return _ANYWHERE.sub(r"#\\u0023", re.sub(rf"(?![\n])[{_DANGEROUS}]", _json_escape, text))


def no_surrogates(text: str) -> str:
    """``text`` without lone surrogates (file names that are not UTF-8), which no JSON document can hold."""
    return _SURROGATE.sub(_visible, text)


def _visible(match: re.Match[str]) -> str:
    number = ord(match[0])
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def _json_escape(match: re.Match[str]) -> str:
    number = ord(match[0])
    if number < 0x10000:
        return f"\\u{number:04x}"
    number -= 0x10000
    return f"\\u{0xD800 + (number >> 10):04x}\\u{0xDC00 + (number & 0x3FF):04x}"
