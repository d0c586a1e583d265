"""Reports: one file a format, ``render(report, context) -> str``."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from doctor.model.report import Report
    from doctor.report.context import Context

FORMATS = {
    name: f"doctor.report.{name}"
    for name in ("text", "concise", "json", "sarif", "junit", "github", "gitlab", "markdown", "html")
}


def render(name: str, report: Report, context: Context) -> str:
    """The report in the format of this name; ends with a newline, or is empty where there is nothing to say.

    Raises:
        KeyError: no format has this name (settings refuse such a name earlier).
    """
    text: str = importlib.import_module(FORMATS[name]).render(report, context)
    return text
