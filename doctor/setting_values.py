"""Values of settings that have a form of their own: suppressions, severities, formats, hosts."""

from __future__ import annotations

import datetime
import difflib
import re
from typing import Any

import msgspec

from doctor.configuration import ConfigFile
from doctor.errors import UsageError
from doctor.model.report import Severity
from doctor.report import FORMATS

_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?")


class PolicySuppression(msgspec.Struct, frozen=True, rename="kebab", forbid_unknown_fields=True):
    """A finding that the policy lives with: by code, and pattern of path or subject; with a reason and a last day."""

    code: str
    path: str | None = None
    subject: str | None = None
    reason: str = ""
    until: datetime.date | None = None


def severities(value: dict[str, Any], file: ConfigFile) -> dict[str, Severity]:
    """A rule's severity by its code or name.

    Raises:
        UsageError: a severity that there is not.
    """
    levels = [severity.value for severity in Severity]
    for rule, level in value.items():
        if level not in levels:
            near = difflib.get_close_matches(str(level), levels, 1)
            advice = f"; did you mean {near[0]!r}?" if near else ""
            said = f"severity of {rule} is {str(level)[:40]!r}, expected {', '.join(levels)}"
            raise UsageError(f"{file.origin('severity', rule)}: {said}{advice}")
    return {rule: Severity(level) for rule, level in value.items()}


def suppressions(value: Any, origin: str, file: ConfigFile) -> tuple[PolicySuppression, ...]:
    """The tables of suppressions.

    Raises:
        UsageError: no list of tables, an unknown key, a value of a wrong type.
    """
    if not isinstance(value, list):
        raise UsageError(f"{origin}: suppressions: expected a list of tables")
    rows = []
    known = PolicySuppression.__struct_fields__
    for number, row in enumerate(value):
        place = file.origin("suppressions", number)
        for key in row if isinstance(row, dict) else ():
            if key not in known:
                near = difflib.get_close_matches(key, known, 1, 0.6)
                advice = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}"
                raise UsageError(f"{place}: suppressions: unknown key {key!r}; {advice}")
        try:
            rows.append(msgspec.convert(row, PolicySuppression))
        except msgspec.ValidationError as error:
            raise UsageError(f"{place}: suppressions: {plain(error)}") from None
    return tuple(rows)


def check_format(item: str, origin: str) -> None:
    """Refuse a format that there is not.

    Raises:
        UsageError: names those that there are.
    """
    name, separator, file = item.partition("=")
    if name not in FORMATS:
        near = difflib.get_close_matches(name, FORMATS, 1)
        advice = f"; did you mean {near[0]!r}?" if near else ""
        raise UsageError(f"{origin}: no format is called {name!r}; there are {', '.join(FORMATS)}{advice}")
    if separator and not file:
        raise UsageError(f"{origin}: format {item!r} names no file after '='")


def check_host(host: str, origin: str) -> None:
    """Refuse what is no host, as a URL or a repository, which no registry would match.

    Raises:
        UsageError: says what to write.
    """
    if not _HOST.fullmatch(host):
        raise UsageError(f"{origin}: plain-http-registries: {host[:80]!r}: write a registry's HOST or HOST:PORT")


def plain(error: msgspec.ValidationError) -> str:
    """What msgspec says of a value, in the words of whoever wrote it."""
    text = str(error).replace(" - at `$", " (at `").replace("`object`", "a table").replace("`array`", "a list")
    text = text.replace("`str`", "text").replace("`int`", "a number").replace("`bool`", "true or false")
    return text[0].lower() + text[1:] + (")" if " (at `" in text else "")
