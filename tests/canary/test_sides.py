"""Two sides' canaries: saved, run, run with more seeds; and held against a reference by the gate."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from doctor.canary import held
from doctor.canary.failure import CanaryError
from doctor.canary.runs import Options
from doctor.canary.sides import Drift, Side, Watch, drift_between, explained
from doctor.canary.start import BEGIN, END, Job
from doctor.io.process import Result
from doctor.settings import Settings

from .records import document, record, seeds


class FakeRunner:
    """Answers with a document of as many seeds as were asked for; ``spread`` is the accuracy's range over seeds."""

    image_digest = None

    def __init__(self, name: str = "fake", spread: float = 0.001, mean: float = 0.93, draws: str = "a") -> None:
        self.name = name
        self.step = 1 if draws == "a" else 3  # other draws, other accuracies
        self.spread, self.mean, self.draws = spread, mean, draws
        self.asked: list[int] = []

    def start(self, job: Job, on_stderr: Callable[[bytes], None]) -> Result:
        count = json.loads(job.argument)["seeds"]
        self.asked.append(count)
        found = document()
        values = [self.mean + self.spread * (n * self.step % 7 - 3) for n in range(count)]
        found["seeds"] = seeds(values, self.draws)
        del found["created_at"]
        said = BEGIN + json.dumps(found).encode() + END
        return Result(said, b"", 0, None, timed_out=False, truncated=False, seconds=1.0)


class Crash(FakeRunner):
    """Dies without a word."""

    def start(self, job: Job, on_stderr: Callable[[bytes], None]) -> Result:
        return Result(b"", b"", None, "SIGSEGV", timed_out=False, truncated=False, seconds=1.0)


def silent(title: str) -> Any:
    """No progress."""
    return nullcontext(lambda step: None)


WATCH: Watch = silent


def test_two_saved_records_run_nothing() -> None:
    """What is saved is compared as it is."""
    found = drift_between(Side("a", record=record()), Side("b", record=record()), Options(), 0.01, WATCH)
    assert found.facts["class"] == "bitwise"


def test_both_sides_get_more_seeds_while_accuracy_is_open() -> None:
    """16, 32, then 64 on both sides; no more."""
    a, b = FakeRunner("a", spread=0.05), FakeRunner("b", spread=0.05, mean=0.936, draws="b")
    found = drift_between(Side("a", runner=a), Side("b", runner=b), Options(), 0.01, WATCH)
    assert a.asked == b.asked
    assert a.asked in ([16, 32], [16, 32, 64])
    assert len(found.a.seeds) == a.asked[-1]


def test_a_saved_side_says_how_many_seeds_there_are() -> None:
    """A record cannot be given more seeds: the other side runs as many, once."""
    runner = FakeRunner("b", spread=0.05, mean=0.936, draws="b")
    found = drift_between(Side("a", record=record()), Side("b", runner=runner), Options(seeds=64), 0.01, WATCH)
    assert runner.asked == [16]
    assert found.facts["accuracy"]["label"] == "inconclusive"


def test_a_side_that_crashes_is_named() -> None:
    """The error says which one it was."""
    with pytest.raises(CanaryError, match=r"the-second.*SIGSEGV"):
        drift_between(Side("a", runner=FakeRunner()), Side("b", runner=Crash("the-second")), Options(), 0.01, WATCH)


def test_a_changed_default_without_suspects_gets_them_from_the_facts() -> None:
    """Where the records name none, what differs between the environments is suspected; hardware never is."""
    cause = {"what": "initializer", "from": "glorot_uniform", "to": "he_normal", "evidence": [], "suspects": []}
    known = {**cause, "suspects": ["keras 2.15.0 → 2.15.1"]}
    rows = [
        {"what": "machine", "name": "kernel", "a": "5.15", "b": "6.1"},
        {"what": "base", "name": "image.digest", "a": "sha256:a", "b": "sha256:b"},
    ]
    found = explained(Drift(record(), record(), {"class": "default-changed", "causes": [cause, known]}), rows)
    assert [one["suspects"] for one in found["causes"]] == [["image.digest sha256:a → sha256:b"], known["suspects"]]


def hold(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, runner: FakeRunner, reference: bool = True) -> held.Held:
    """One environment that this runner stands for, held against the usual record."""
    monkeypatch.setattr(held, "runner_for", lambda *_: runner)
    file = tmp_path / "reference.json"
    file.write_text(json.dumps({"kind": "kdoctor/reference", "schema": 1, "record": record().document}))
    settings = Settings(reference=str(file) if reference else None, canary=True)
    return held.hold([("host", "host")], settings, Options(), held.Where(tmp_path, {}), WATCH)


def test_the_gate_keeps_an_open_accuracy_open(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Inconclusive is no pass: it is unmet, and what would help is said."""
    found = hold(monkeypatch, tmp_path, FakeRunner(spread=0.05, mean=0.936, draws="b"))
    assert found.drifts["host"]["accuracy"]["label"] == "inconclusive"
    assert "--update-reference --seeds 64" in found.unmet[0].why
    assert found.ran


def test_the_gate_without_a_reference_judges_the_run_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """``canary = true`` without a reference: the rules on one environment, no drift."""
    found = hold(monkeypatch, tmp_path, FakeRunner(), reference=False)
    assert (found.drifts, found.unmet, found.ran) == ({}, [], True)
    assert "KD805" in {row.code for outcome in found.outcomes for row in outcome.passed}


def test_the_gate_notes_a_canary_that_died(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No record: unmet under the subject's name, and the requirement that it ran is not met."""
    found = hold(monkeypatch, tmp_path, Crash("host"))
    assert found.unmet[0].what == "canary"
    assert found.unmet[0].why.startswith("host: ")
    assert not found.ran


def test_a_wider_tolerance_is_the_policys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The policy's tolerance reaches the test: what is drift within 1 % is equivalent within 10 %."""
    shifted = FakeRunner(mean=0.90, draws="b")
    assert hold(monkeypatch, tmp_path, shifted).drifts["host"]["accuracy"]["label"] == "drift"
    settings = Settings(reference=str(tmp_path / "reference.json"), tolerance=0.1)
    found = held.hold([("host", "host")], settings, Options(), held.Where(tmp_path, {}), WATCH)
    assert found.drifts["host"]["accuracy"]["label"] == "equivalent"
