"""The shared corpora, unit by unit: the refs of 400 Dockerfiles, references, words and YAML files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from doctor.images import dockerfile
from doctor.project import collect_project
from tests.conftest import SHARED
from tests.images import adapters

CORPORA = SHARED / "benchmark" / "pinning"
pytestmark = pytest.mark.skipif(not CORPORA.is_dir(), reason="the shared corpora are not beside this checkout")

_RULES = {
    "latest-implicit": "tag-missing",
    "latest": "tag-latest",
    "moving": "tag-latest",
    "tag": "digest-missing",
    "unresolved": "base-unresolvable",
}


def corpus(name: str) -> list[dict[str, Any]]:
    with (CORPORA / name).open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def test_every_use_of_every_dockerfile() -> None:
    """Line, kind, text, resolved name, class and stage are those of BuildKit, in every file that it accepts."""
    different = []
    for case in corpus("from.jsonl"):
        if case["rejected"]:
            continue
        found = dockerfile.parse(case["dockerfile"], build_args=case.get("build_args"))
        assert not found.problems, (case["id"], found.problems)
        want = [
            (r["line"], r["end_line"], r["kind"], r["raw"], r["image"], r["pinned"], r.get("stage"))
            for r in case["refs"]
        ]
        got = [
            (u.line, u.end_line, kind(u.within or u.use), u.raw, u.reference, klass(u.pinned), u.stage)
            for u in found.uses
        ]
        if sorted(map(str, want)) != sorted(map(str, got)):
            different.append(case["id"])
    assert different == []


def kind(use: str) -> str:
    return "base" if use == "from" else use


def klass(pinned: str) -> str:
    return "tag" if pinned == "moving" else pinned


def test_the_text_of_a_use_stands_where_it_is_said_to() -> None:
    """Offsets are those of the text as written."""
    for case in corpus("from.jsonl"):
        for use in dockerfile.parse(case["dockerfile"]).uses:
            if use.span:
                assert case["dockerfile"][slice(*use.span)] == use.raw, case["id"]


def test_files_that_the_builder_refuses_have_problems() -> None:
    """All but a few whose fault is no business of images: flags and numbers of arguments of other instructions."""
    refused = [case for case in corpus("from.jsonl") if case["rejected"]]
    silent = [c["id"] for c in refused if not dockerfile.parse(c["dockerfile"]).problems]
    assert len(silent) <= 5, silent


@pytest.mark.parametrize(
    ("name", "adapter", "expected"), [("ref.jsonl", adapters.parse, None), ("interp.jsonl", adapters.expand, "text")]
)
def test_references_and_words(name: str, adapter: Callable[[dict[str, Any]], Any], expected: str | None) -> None:
    """Every case of the corpora that applies is right."""
    wrong = []
    for case in corpus(name):
        if case.get("api", "parse-normalized") != "parse-normalized":
            continue
        try:
            got = adapter(case)
        except ValueError:
            got = None
        if expected:
            right = (got is None) if case["error"] else got == case["expected"]
        else:
            valid = case.get("valid", not case.get("error"))
            keys = [k for k in ("domain", "path", "tag", "digest", "normalized", "familiar") if k in case]
            right = (got is not None) == valid and (not valid or all(got[k] == case[k] for k in keys))
        if not right:
            wrong.append(case["id"])
    assert wrong == []


def test_yaml_files(tmp_path: Path) -> None:
    """In compose files, manifests, workflows and dev containers every required use is found, and no other."""
    wrong = []
    for case in corpus("yaml.jsonl"):
        folder = tmp_path / case["id"]
        target = folder / case["path"]
        target.parent.mkdir(parents=True)
        target.write_bytes(case["content"].encode())
        rows = collect_project(folder)["images"]
        got = {(row["line"], _RULES[row["pinned"]]) for row in rows if row["pinned"] in _RULES}
        required, optional = case["rules"], case["optional"]
        missed = [e for e in required if not any(covers(e, g) for g in got)]
        extra = [g for g in got if not any(covers(e, g) for e in required + optional)]
        if missed or extra:
            wrong.append((case["id"], missed, extra))
    assert wrong == []


def covers(entry: list[Any], finding: tuple[int, str]) -> bool:
    first, last, rules = entry
    return bool(first <= finding[0] <= last and finding[1] in rules.split("|"))
