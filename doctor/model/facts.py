"""Known and missing facts.

A field of a snapshot is ``Maybe[T]``: either a ``T`` or a :class:`Missing` that says which fact it is and why it is not
known.
``false``, an empty list and an empty text are knowledge ("looked, and there is none"), never a missing fact.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, Union

import msgspec

T = TypeVar("T")

NOT_KNOWN = "not known"


class Missing:
    """A fact that is not known.

    ``path`` is its place in a snapshot (``machine.driver.version``), ``why`` the reason in words for a person.
    It has no truth value on purpose: ``if fact:`` would take "not known" for "no".
    """

    __slots__ = ("path", "why")

    def __init__(self, path: str, why: str = NOT_KNOWN) -> None:
        self.path = path
        self.why = why

    def __bool__(self) -> NoReturn:
        raise TypeError(f"{self.path} is {self.why}: ask need(), known() or isinstance(fact, Missing)")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Missing) and (self.path, self.why) == (other.path, other.why)

    def __hash__(self) -> int:
        return hash((self.path, self.why))

    def __repr__(self) -> str:
        return f"Missing({self.path!r}, {self.why!r})"

    def __str__(self) -> str:
        return f"{self.path}: {self.why}"


if TYPE_CHECKING:
    Maybe = Union[T, Missing]  # noqa: UP007 -- a generic alias
else:

    class Maybe:
        """On the wire a missing fact is taken out before decoding, so a field is decoded as its plain type."""

        def __class_getitem__(cls, item: Any) -> Any:
            return item


def unknown(path: str) -> Any:
    """The default of a field: nobody looked, or nobody said."""
    return Missing(path)


class Facts(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=False):
    """Base of everything that is collected: immutable; what is not known is left out when written."""


class Unknown(Exception):
    """A rule needs a fact that is not known: the rule is skipped, with this reason."""

    def __init__(self, path: str, why: str = NOT_KNOWN) -> None:
        super().__init__(f"{path}: {why}")
        self.path = path
        self.why = why


class Inapplicable(Exception):
    """A rule has nothing to say about this case, for the reason given (``no NVIDIA hardware``)."""


def need(fact: T | Missing) -> T:
    """The fact itself.

    Raises:
        Unknown: the fact is missing; the engine turns that into a skip of the rule.
    """
    if isinstance(fact, Missing):
        raise Unknown(fact.path, fact.why)
    return fact


def known(fact: T | Missing) -> T | None:
    """The fact, or None where it is missing: only for what a rule can do without."""
    return None if isinstance(fact, Missing) else fact


def is_known(fact: object) -> bool:
    """Whether somebody looked."""
    return not isinstance(fact, Missing)


def applies(condition: bool, otherwise: str) -> None:
    """Leave the rule as inapplicable, with the reason ``otherwise``, unless ``condition`` holds.

    Raises:
        Inapplicable: the condition does not hold.
    """
    if not condition:
        raise Inapplicable(otherwise)
