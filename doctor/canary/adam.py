"""What an optimizer that answers like Adam must have been set to, read off its answers to synthetic gradients.

A configuration says what an optimizer was told; a patched `update_step` says nothing. The payload's optimizer probe
moves a variable by gradients of 1e-12 to 1e3; the same is computed here in float64 for each way in which Adam is known
to be changed, and a way is named only where every answer fits.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import msgspec

Rows = Sequence[Sequence[float | None]]

GRADIENTS = tuple(10.0**size for size in range(-12, 4))  # the positive ones; each stands beside its negative
FACTORS = (1.0, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0)  # of the gradients, one a step
RECORDED = (0, 1, 6, 7)  # the steps that a record keeps; then the late step, then the end of training
LATE = 1000
_FIT = 1e-4  # relative; rounding stays below 7e-6


class Adam(msgspec.Struct, frozen=True):
    """Adam as Keras documents it; ``form`` is where an implementation differs from that."""

    rate: float = 1e-3
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7
    form: str = ""
    late_rate: float | None = None

    def answers(self) -> list[list[float]]:
        """The positions of the moving variable as the probe records them, without the end of training."""
        columns = [list(self._column(gradient)) for gradient in GRADIENTS]
        return [[column[at] for column in columns] for at in (*RECORDED, len(FACTORS))]

    def _column(self, gradient: float) -> Iterator[float]:
        place = first = second = largest = 0.0
        for at, factor in enumerate((*FACTORS, 1.0)):
            late = at == len(FACTORS)
            step = (LATE if late else at) + 1 + (self.form == "counts steps from 2")
            g = gradient * factor
            first += (g - first) * (1.0 - self.beta_1)
            second += (g * g - second) * (1.0 - self.beta_2)
            largest = max(largest, second)
            rate = self.late_rate if late and self.late_rate is not None else self.rate
            yield (place := place - rate * self._direction(g, first, second, largest, step))

    def _direction(self, g: float, first: float, second: float, largest: float, step: int) -> float:
        one, two = 1.0 - self.beta_1**step, 1.0 - self.beta_2**step
        if self.form == "amsgrad":
            second = largest
        if self.form == "Nesterov momentum":
            first = self.beta_1 * first + (1.0 - self.beta_1) * g
        if self.form == "no bias correction":
            one = two = 1.0
        if self.form == "epsilon inside the root":
            return math.sqrt(two) / one * first / math.sqrt(second + self.epsilon)
        if self.form == "epsilon beside the corrected root":
            return first / one / (math.sqrt(second / two) + self.epsilon)
        return math.sqrt(two) / one * first / (math.sqrt(second) + self.epsilon)


FORMS = (
    "amsgrad",
    "Nesterov momentum",
    "no bias correction",
    "epsilon inside the root",
    "epsilon beside the corrected root",
    "counts steps from 2",
)


def setting(rows: Rows) -> tuple[str, str] | None:
    """What is not as Keras documents it, as (what it is documented to be, what it is); None where nothing known fits.

    Both are empty where the answers are those of the documented Adam.
    """
    seen = [_positive(row) for row in rows]
    if len(seen) < 6 or any(row is None for row in seen[:5]):
        return None
    measured = [row for row in seen[:5] if row is not None]
    documented = Adam()
    if _fits(documented, measured):
        averaged = seen[5] is None or not _near(seen[5], measured[4])
        return ("the last weights are kept", "an average replaces them when training ends") if averaged else ("", "")
    if seen[5] is not None and not _near(seen[5], measured[4]):
        return None
    for guess in (_rate, _epsilon, _late):
        told = guess(measured)
        if told is not None:
            return told
    return next((("Adam as documented", f"Adam: {form}") for form in FORMS if _fits(Adam(form=form), measured)), None)


def _rate(measured: list[list[float]]) -> tuple[str, str] | None:
    found = -measured[0][-1]
    return _told("learning_rate", Adam().rate, found) if found > 0 and _fits(Adam(rate=found), measured) else None


def _epsilon(measured: list[list[float]]) -> tuple[str, str] | None:
    usual = Adam()
    moved = -measured[0][0]
    if moved <= 0:
        return None
    found = (usual.rate * GRADIENTS[0] / moved - GRADIENTS[0]) * math.sqrt(1.0 - usual.beta_2)
    if found <= 0 or not _fits(Adam(epsilon=found), measured):
        return None
    before, after = _told("epsilon", usual.epsilon, found)
    # Adam cannot tell the two apart.
    return before, f"{after}, or gradients {usual.epsilon / found:.4g} times as large"


def _late(measured: list[list[float]]) -> tuple[str, str] | None:
    usual = Adam().answers()
    ratio = (measured[4][-1] - measured[3][-1]) / (usual[4][-1] - usual[3][-1])
    if not _fits(Adam(late_rate=Adam().rate * ratio), measured):
        return None
    first, second = _told("learning_rate", Adam().rate, Adam().rate * ratio)
    return f"{first} after {LATE} steps", f"{second} after {LATE} steps"


def _told(name: str, usual: float, found: float) -> tuple[str, str]:
    return f"{name}={usual:.4g}", f"{name}={found:.4g}"


def _fits(adam: Adam, measured: list[list[float]]) -> bool:
    return all(map(_near, adam.answers(), measured))


def _near(first: Sequence[float] | None, second: Sequence[float] | None) -> bool:
    if first is None or second is None or len(first) != len(second):
        return False
    return all(abs(x - y) <= _FIT * max(abs(x), abs(y)) for x, y in zip(first, second, strict=True))


def _positive(row: Sequence[float | None]) -> list[float] | None:
    """The answers to the positive gradients; None where one is missing."""
    if len(row) != 2 * len(GRADIENTS):
        return None
    found = [value for value in row[::2] if value is not None]
    return found if len(found) == len(GRADIENTS) else None
