"""Adapters that the scorer of the shared pinning corpora calls: ``--adapter tests.images.adapters:parse``."""

from __future__ import annotations

from typing import Any

from doctor.images import interpolate, reference


def parse(case: dict[str, Any]) -> dict[str, str | None]:
    """The parts of ``case["ref"]``; raises where it is no reference."""
    found = reference.parse(case["ref"])
    return {
        "domain": found.domain, "path": found.path, "tag": found.tag, "digest": found.digest,
        "normalized": found.normalized, "familiar": found.familiar,
    }  # fmt: skip


def expand(case: dict[str, Any]) -> str | list[str]:
    """``case["input"]`` after expansion in its dialect; raises where that is an error."""
    values, escape = case["env"], case.get("escape") or "\\"
    if case["dialect"] == "compose":
        return interpolate.expand_compose(case["input"], values).text
    if case["dialect"] == "dockerfile-words":
        return interpolate.expand_words(case["input"], values, escape)
    return interpolate.expand_word(case["input"], values, escape).text
