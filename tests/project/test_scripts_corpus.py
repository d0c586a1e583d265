"""Precision and recall of the rules on training scripts, on scripts after the patterns of the public Keras examples.

Each script says in its first line which findings an expert would sign (``# expect: KD701 KD712``, or ``nothing``), and
in a second one, where it matters, which releases are in use (``# with: tensorflow==2.12.1 keras==2.12.0``).
"""

from __future__ import annotations

import functools
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from doctor.case import Case
from doctor.catalogue import rules
from doctor.engine import judge
from doctor.model.wire import decode_snapshot
from doctor.project.scripts import collect_scripts

CORPUS = Path(__file__).parent / "scripts_corpus"
CODES = ("KD701", "KD702", "KD71")
NEWEST = "tensorflow==2.21.0 keras==3.15.1"


def expected(path: Path) -> set[str]:
    """The codes that a script's first line names."""
    text = path.read_text(encoding="utf-8")
    found = re.search(r"# expect: ([^\n\"\\]*)", text)
    assert found is not None, f"{path.name} says nothing of what is expected"
    return {word for word in found[1].split() if word != "nothing"}


def releases(path: Path) -> str:
    """The releases in use."""
    found = re.search(r"# with: ([^\n\"\\]*)", path.read_text(encoding="utf-8"))
    return found[1] if found is not None else NEWEST


@functools.cache
def rows() -> dict[str, dict[str, Any]]:
    """The rows of ``project.scripts`` by path; each script is a project of its own."""
    found, unreadable, _ = collect_scripts(CORPUS)
    assert not unreadable
    return {row["path"]: row for row in found}


def codes(path: Path) -> list[str]:
    """What the rules say of one script."""
    versions = dict(word.split("==") for word in releases(path).split())
    snapshot = {
        "software": {
            "tensorflow": {"present": True, "version": versions["tensorflow"]},
            "keras": {"present": True, "version": versions["keras"]},
        },
        "project": {"scripts": [rows()[path.name]]},
    }
    case = Case(decode_snapshot(json.loads(json.dumps(snapshot))))
    outcome = judge(case, [rule for rule in rules() if rule.code.startswith(CODES) and rule.of is Case])
    assert not outcome.failures
    return [finding.code for finding in outcome.findings]


SCRIPTS = sorted(path for path in CORPUS.iterdir() if path.suffix in (".py", ".ipynb"))


def test_the_corpus_is_large_enough() -> None:
    """At least a hundred scripts, and each rule is expected in three of them or more."""
    assert len(SCRIPTS) >= 100
    counts = [
        sum(code in expected(path) for path in SCRIPTS)
        for code in ("KD701", "KD702", "KD710", "KD711", "KD712", "KD713", "KD714", "KD715", "KD716", "KD717", "KD718")
    ]
    assert min(counts) >= 3


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_script(path: Path) -> None:
    """The findings are those that the script's first line names, no more and no fewer."""
    assert set(codes(path)) == expected(path)


def test_precision_and_recall() -> None:
    """At most 2 % of all findings are wrong, at least 95 % of those expected are there."""
    right = wrong = missed = 0
    for path in SCRIPTS:
        found, wanted = set(codes(path)), expected(path)
        right += len(found & wanted)
        wrong += len(found - wanted)
        missed += len(wanted - found)
    assert wrong <= 0.02 * (right + wrong)
    assert missed <= 0.05 * (right + missed)


def test_a_copy_elsewhere_says_the_same(tmp_path: Path) -> None:
    """What is found does not hang on the folder that a script lies in."""
    shutil.copy(SCRIPTS[0], tmp_path / "train.py")
    found, _, _ = collect_scripts(tmp_path)
    assert found[0]["facts"] == rows()[SCRIPTS[0].name]["facts"]
