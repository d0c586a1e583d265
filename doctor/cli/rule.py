"""``kdoctor rule``: what a rule means, why it matters, how to fix it."""

from __future__ import annotations

from typing import Annotated

import typer


def rule(
    code: Annotated[
        str | None, typer.Argument(help="A code or name; without it, all rules.", show_default=False)
    ] = None,
) -> None:
    """Explain a rule, or list all of them."""
    from doctor import catalogue
    from doctor.cli.session import emit
    from doctor.report.page import rule_list, rule_page

    emit(rule_page(catalogue.find(code)) if code else rule_list(catalogue.rules()))
