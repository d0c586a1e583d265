"""What a rule is: a pure function of a case, with a code, a name and a default severity; its docstring is its page."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import msgspec

from doctor.case import Case, Comparison
from doctor.model.report import Finding, Severity

Check = Callable[[Any], Iterator[Finding]]
F = TypeVar("F", bound=Check)


class Rule(msgspec.Struct, frozen=True):
    """A registered rule.

    ``of``: what it judges, a :class:`Case`, a :class:`Comparison` or another subject; several where it is a tuple.
    ``follows``: codes of findings that, where they stand too, explain this one (root cause first). ``would_help``: a
    command that would bring the facts it needs.
    """

    code: str
    name: str
    severity: Severity
    check: Check
    of: type | tuple[type, ...]
    follows: tuple[str, ...] = ()
    would_help: str | None = None

    def judges(self, kind: type) -> bool:
        """Whether it judges subjects of this kind."""
        return kind in self.of if isinstance(self.of, tuple) else kind is self.of

    @property
    def summary(self) -> str:
        """The first line of the page."""
        return inspect.getdoc(self.check).strip().splitlines()[0]  # type: ignore[union-attr]

    @property
    def page(self) -> str:
        """The whole page, in Markdown."""
        return inspect.getdoc(self.check) or ""


def rule(
    code: str,
    name: str,
    severity: Severity,
    *,
    of: type = Case,
    follows: tuple[str, ...] = (),
    would_help: str | None = None,
) -> Callable[[F], F]:
    """Register the decorated function as a rule.

    The function takes the case and yields findings. It does no I/O. It asks for facts with ``need`` (a missing one
    skips the rule) and leaves with ``applies`` where it has nothing to say.
    """

    def register(check: F) -> F:
        if not (check.__doc__ or "").strip():
            raise TypeError(f"{code}: a rule needs a docstring, it is its page")
        check.rule = Rule(code, name, severity, check, of, follows, would_help)  # type: ignore[attr-defined]
        return check

    return register


__all__ = ["Case", "Check", "Comparison", "Finding", "Rule", "Severity", "rule"]
