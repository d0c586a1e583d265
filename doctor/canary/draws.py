"""Initial weights that are another environment's draws, changed: scaled, shifted, rounded or masked.

Other draws of the same family look alike in every statistic; draws that follow from the first ones number by number do
not come from another stream, so something changed them on their way.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

_ALIKE = 0.9  # correlation; that of two streams stays below 0.1, of one stream that shifts between layers below 0.8
_EXACT = 1e-5  # L2-relative, the threshold of equal draws
_ROUNDED = 2.0**-4  # largest relative error of one number that still counts as rounding


def changed_how(first: Sequence[float], second: Sequence[float]) -> str | None:
    """How the second draws follow from the first: `1.01 times as wide`; None where they are others, or the same."""
    pairs = [(x, y) for x, y in zip(first, second, strict=False) if x != 0.0 or y != 0.0]
    if len(pairs) < 2 or len(first) != len(second) or not all(math.isfinite(x + y) for x, y in pairs):
        return None
    size, apart = _length(x for x, _ in pairs), _length(y - x for x, y in pairs)
    if not size or not _length(y for _, y in pairs) or apart <= _EXACT * size or _correlation(pairs) < _ALIKE:
        return None
    scale = math.fsum(x * y for x, y in pairs) / (size * size)
    if _length(y - scale * x for x, y in pairs) <= _EXACT * size:
        return f"{scale:.6g} times as wide"
    shift = math.fsum(y - x for x, y in pairs) / len(pairs)
    if _length(y - x - shift for x, y in pairs) <= _EXACT * size:
        return f"shifted by {shift:.3g}"
    bits = kept_to(first, second)
    if bits is None:
        return f"changed by {apart / size:.2g} of their size"
    return f"kept to {bits} bits" if bits_used(second) <= bits_used(first) else f"no longer kept to {bits} bits"


def kept_to(first: Sequence[float], second: Sequence[float]) -> int | None:
    """How many bits of the first numbers the second ones keep; None where more than rounding happened, or nothing."""
    if any(x == 0.0 and y != 0.0 for x, y in zip(first, second, strict=False)):
        return None
    worst = max((abs(y - x) / abs(x) for x, y in zip(first, second, strict=False) if x != 0.0), default=0.0)
    return math.floor(-math.log2(worst)) if 0.0 < worst <= _ROUNDED else None


def bits_used(values: Sequence[float]) -> int:
    """How many bits the longest significand among these numbers has; rounded numbers are short."""
    return max((_bits(value) for value in values if value and math.isfinite(value)), default=0)


def _bits(value: float) -> int:
    significand = int(math.frexp(value)[0] * 2.0**53)
    return 53 - ((significand & -significand).bit_length() - 1)


def _length(values: Iterable[float]) -> float:
    return math.sqrt(math.fsum(value * value for value in values))


def _correlation(pairs: Sequence[tuple[float, float]]) -> float:
    middle = [math.fsum(pair[side] for pair in pairs) / len(pairs) for side in (0, 1)]
    centred = [(x - middle[0], y - middle[1]) for x, y in pairs]
    sizes = _length(x for x, _ in centred) * _length(y for _, y in centred)
    return math.fsum(x * y for x, y in centred) / sizes if sizes else 0.0
