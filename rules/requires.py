"""NVIDIA_REQUIRE_* expressions, evaluated as the container runtime does. Registers no rule.

A space stands between alternatives, a comma between conditions that must all hold; several variables must all hold.
Properties are cuda, driver, arch and brand; versions are compared number by number, missing ones are zero.
Source: NVIDIA/libnvidia-container src/cli/dsl.c, NVIDIA/nvidia-container-toolkit internal/config/image/cuda_image.go.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

_TERM = re.compile(r"(?P<name>[A-Za-z]+)(?P<operator>!=|<=|>=|=|<|>)(?P<value>[^=<>!]+)")
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})  # Go's strconv.ParseBool
_PREFIX, _JETPACK = "NVIDIA_REQUIRE_", "NVIDIA_REQUIRE_JETPACK"


class Here(msgspec.Struct, frozen=True):
    """What a machine offers one GPU; None where it is not known. ``brands``: those that the GPU may be of."""

    cuda: str | None
    driver: str | None
    arch: str | None = None
    brands: frozenset[str] | None = None
    any_gpu: bool = True


def requirements(environment: Mapping[str, str]) -> dict[str, str]:
    """The expressions in force, by variable; CUDA_VERSION alone stands for ``cuda>=MAJOR.MINOR`` (a legacy image)."""
    found = {
        name: value
        for name, value in sorted(environment.items())
        if name.startswith(_PREFIX) and not name.startswith(_JETPACK) and value.strip()
    }
    version = re.match(r"\d+\.\d+", environment.get("CUDA_VERSION", ""))
    if version and not environment.get("NVIDIA_REQUIRE_CUDA"):
        found["CUDA_VERSION"] = f"cuda>={version[0]}"
    return found


def disabled(environment: Mapping[str, str]) -> bool:
    """Whether NVIDIA_DISABLE_REQUIRE turns the check off: only what Go reads as true does (``yes`` does not)."""
    return environment.get("NVIDIA_DISABLE_REQUIRE", "") in _TRUE


def holds(expression: str, here: Here) -> bool | None:
    """Whether one alternative is met; None where that hangs on a fact that is not known.

    Read from left to right up to the first alternative that is met; a malformed condition on the way is an error of
    the runtime's, and the container does not start. An empty expression is met.
    """
    if here.brands is not None and len(here.brands) > 1:
        verdicts = {holds(expression, msgspec.structs.replace(here, brands=frozenset({b}))) for b in here.brands}
        return verdicts.pop() if len(verdicts) == 1 else None
    unsure = False
    alternatives = expression.split()
    for alternative in alternatives:
        try:
            met = _all(alternative.split(","), here)
        except _MalformedError:
            return None if unsure else False
        if met:
            return True
        unsure = unsure or met is None
    return None if unsure else not alternatives


class _MalformedError(ValueError):
    """A condition that the runtime cannot read."""


def _all(conditions: list[str], here: Here) -> bool | None:
    sure = True
    for condition in filter(None, conditions):
        met = _condition(condition, here)
        if met is False:
            return False
        sure = sure and met is not None
    return True if sure else None


def _condition(text: str, here: Here) -> bool | None:
    term = _TERM.fullmatch(text)
    if term is None:
        raise _MalformedError(text)
    name, operator, value = term["name"].lower(), term["operator"], term["value"]
    if name == "brand":
        return _brand(operator, value, here)
    if name not in ("cuda", "driver", "arch") or not re.fullmatch(r"[0-9.]+", value):
        raise _MalformedError(text)
    if name == "arch" and not here.any_gpu:
        return True
    have = {"cuda": here.cuda, "driver": here.driver, "arch": here.arch}[name]
    return None if have is None else _compare(have, operator, value)


def _brand(operator: str, value: str, here: Here) -> bool | None:
    if operator not in ("=", "!="):
        raise _MalformedError(f"brand{operator}{value}")
    if not here.any_gpu:
        return True
    return None if here.brands is None else (value.lower() in here.brands) == (operator == "=")


def _compare(have: str, operator: str, value: str) -> bool:
    mine, other = _padded(have), _padded(value)
    return {
        "=": mine == other,
        "!=": mine != other,
        "<": mine < other,
        "<=": mine <= other,
        ">": mine > other,
        ">=": mine >= other,
    }[operator]


def _padded(version: str) -> tuple[int, ...]:
    parts = [int(part) for part in re.findall(r"\d+", version)[:4]]
    return tuple(parts + [0] * (4 - len(parts)))


def brands_of(name: str) -> frozenset[str] | None:
    """The NVML brands that a product may be of; drivers have named newer brands only since about R450."""
    words = name.lower().replace("nvidia ", "").split()
    if not words:
        return None
    first, rtx = words[0], "rtx" in words[1:2]
    if first in ("geforce", "quadro", "titan"):
        return frozenset({first, f"{first}rtx"}) if rtx else frozenset({first})
    if first == "tesla":
        return frozenset({"tesla", "nvidia"}) if words[1:2] == ["t4"] else frozenset({"tesla"})
    if first == "rtx":
        return frozenset({"nvidiartx", "quadrortx"})
    if first == "grid":
        return frozenset({"grid"})
    if re.fullmatch(r"(a|h|l|b|gh|gb)\d+[a-z]*(-.*)?", first):
        return frozenset({"nvidia", "tesla"})
    return None


def lowest_cuda(expression: str) -> str | None:
    """The least CUDA version that an alternative of its own asks for (``cuda>=12.8 brand=…``)."""
    found = [match[1] for match in re.finditer(r"(?:^|\s)cuda>=(\d+\.\d+)\S*", expression)]
    return min(found, key=_padded) if found else None
