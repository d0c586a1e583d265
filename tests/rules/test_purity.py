"""A rule is a pure function of its case. What it imports is held by import-linter; this is what needs no import."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

RULES = Path(__file__).resolve().parents[2] / "rules"
IMPURE = frozenset({"open", "exec", "eval", "compile", "__import__", "input", "print", "globals"})
CLOCKS = frozenset({"today", "now", "utcnow"})


@pytest.mark.parametrize("file", sorted(RULES.rglob("*.py")), ids=lambda file: file.name)
def test_a_rule_opens_runs_and_prints_nothing(file: Path) -> None:
    """No call of a built-in that reaches outside, and none of a clock: the same case has the same findings for ever."""
    calls = [node.func for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)]
    named = {call.id for call in calls if isinstance(call, ast.Name)}
    asked = {call.attr for call in calls if isinstance(call, ast.Attribute)}
    assert not named & IMPURE
    assert not asked & CLOCKS
