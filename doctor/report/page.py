"""What a rule means: its page for ``kdoctor rule CODE``, the list of all rules, and the table for the documentation."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from typing import Any

from doctor.report import sanitize
from doctor.report.context import Context, terminal
from doctor.rule import Rule

_NAME_WIDTH = 30
_SEVERITY_WIDTH = 9


def rule_page(rule: Rule, context: Context | None = None) -> str:
    """A rule's whole page: code, name and default severity, then its text, headings bold where colours are wanted."""
    context = context or Context(**terminal())
    lines = [f"{_bold(rule.code, context)} {rule.name} ({rule.severity.value})", ""]
    for block in _blocks(rule.page):
        heading = block[0].removeprefix("## ")
        if heading != block[0]:
            lines.append(_bold(heading, context))
        elif len(block[0]) > context.width or len(block) > 1:
            lines += textwrap.wrap(" ".join(block), context.width, break_long_words=False, break_on_hyphens=False)
        else:
            lines += block
    if rule.follows:
        lines += ["", f"Follows from: {', '.join(rule.follows)}"]
    if rule.would_help:
        helps = f"Where it is skipped, this helps: {rule.would_help}"
        lines += ["", *textwrap.wrap(helps, context.width, break_long_words=False, break_on_hyphens=False)]
    return _finish(lines, context)


def rule_list(rules: Iterable[Rule], context: Context | None = None) -> str:
    """All rules, one a line: code, name, default severity, summary."""
    context = context or Context(**terminal())
    lines = []
    for rule in rules:
        head = f"{rule.code}  {rule.name:{_NAME_WIDTH}}{rule.severity.value:{_SEVERITY_WIDTH}}"
        wrapped = textwrap.wrap(rule.summary, context.width, initial_indent=head, subsequent_indent=" " * len(head))
        wrapped[0] = wrapped[0].replace(rule.code, _bold(rule.code, context), 1)
        lines += wrapped
    return _finish(lines, context)


def rule_data(rule: Rule) -> dict[str, Any]:
    """A rule as plain data, for ``kdoctor rule --format json``."""
    return {
        "code": rule.code,
        "name": rule.name,
        "severity": rule.severity.value,
        "summary": rule.summary,
        "follows": list(rule.follows),
        "would_help": rule.would_help,
        "page": rule.page,
    }


def rules_table(rules: Iterable[Rule], pages: str = "") -> str:
    """The rules as a Markdown table, each code a link into the folder ``pages``; ends with a newline."""
    rows = ["| code | name | default | finds |", "| --- | --- | --- | --- |"]
    for rule in rules:
        summary = rule.summary.removesuffix(".").replace("|", "\\|")
        rows.append(f"| [{rule.code}]({pages}{rule.code}.md) | {rule.name} | {rule.severity.value} | {summary} |")
    return "\n".join(rows) + "\n"


def rule_markdown(rule: Rule) -> str:
    """A rule's page as a Markdown file of its own, beside those of the rules that it follows from."""
    parts = [f"# {rule.code} {rule.name}", f"Default severity: {rule.severity.value}.", rule.page.strip()]
    if rule.follows:
        parts.append("Follows from: " + ", ".join(f"[{code}]({code}.md)" for code in rule.follows))
    if rule.would_help:
        parts.append(f"Where it is skipped, this helps: {rule.would_help}")
    return "\n\n".join(parts) + "\n"


def _blocks(page: str) -> Iterator[list[str]]:
    """The page in pieces: a heading, a line that keeps its form, a fenced example, or a paragraph to be wrapped."""
    paragraph: list[str] = []
    fenced = False
    for line in page.splitlines():
        fence = line.startswith("```")
        if fenced or fence or not line or line.startswith("## ") or _is_verbatim(line):
            if paragraph:
                yield paragraph
                paragraph = []
            yield [line]
            fenced ^= fence
        else:
            paragraph.append(line)
    if paragraph:
        yield paragraph


def _is_verbatim(line: str) -> bool:
    """A list item, a table row or an indented line keeps its own line."""
    return line.startswith(("- ", "* ", "|", " "))


def _bold(text: str, context: Context) -> str:
    return f"\x1b[1m{text}\x1b[0m" if context.color else text


def _finish(lines: list[str], context: Context) -> str:
    text = "\n".join(lines) + "\n"
    return text if context.unicode else sanitize.ascii_only(text)
