"""What a person sees: the head of the screen, and how far a run is."""

from __future__ import annotations

from typing import Any

import pytest

from doctor.canary.alone import run_alone, summary
from doctor.canary.present import Bar, areas, percent, words
from doctor.canary.report import judged
from doctor.canary.runs import snapshot_of
from doctor.canary.verdict import compare_records
from doctor.settings import Settings

from .records import document, record


def lines(*given: Any) -> dict[str, tuple[str, str]]:
    """Name to mark and text."""
    return {area.name: (area.mark, area.text) for area in areas(*given)}


def test_a_run_alone_shows_accuracy_its_spread_hashes_and_time() -> None:
    """And that it was compared with nothing."""
    shown = lines(record(), [], None, None)
    assert shown["Accuracy"] == ("ok", "0.9327, standard deviation 0.0021 between seeds")
    assert "9.0 s, of which 2.0 s beyond the import" in shown["Run"][1]
    assert shown["Against"][0] == "none"


def test_repeats_that_differ_are_marked() -> None:
    """Three runs, two results."""
    other = document()
    other["seeds"][0]["final_sha256"] = "07he4"
    shown = lines(record(), [record(), record(other)], None, None)
    assert shown["Repeats"] == ("warning", "3 runs, 2 different results")
    told = run_alone(record(), [record(), record(other)])["repeats"]
    assert (told["runs"], told["differing"]) == (3, 1)


def test_what_it_was_compared_with_is_named() -> None:
    """Class and label, with the graver mark of the two; the figures stand in the report's part on the drift."""
    drift = compare_records(record(), record())
    assert lines(record(), [], drift, "old.json")["Against"] == (
        "ok",
        "old.json: bit for bit the same; accuracy: equivalent",
    )
    drift["accuracy"]["label"] = "drift"
    assert lines(record(), [], drift, "old.json")["Against"][0] == "error"
    other = document()
    other["data_sha256"] = "07he4"
    told = lines(record(), [], compare_records(record(), record(other)), "old.json")["Against"]
    assert told == ("error", "old.json: the two records must not be compared")


def test_the_report_has_outcomes_drift_changes_and_the_run() -> None:
    """Alone three rules speak, against a reference nine; what cannot be compared makes the report incomplete."""
    alone = judged(record(), [], "env", Settings())
    _, outcome = alone["judged"][0]
    assert {row.code for row in (*outcome.passed, *outcome.skipped)} == {"KD703", "KD805", "KD808"}
    assert alone["canary"] == summary(record())
    other = document()
    other["data_sha256"] = "07he4"
    drift = compare_records(record(), record(other))
    parts = judged(record(other), [], "env", Settings(), reference=record(), drift=drift)
    assert [finding.code for finding in parts["judged"][0][1].findings] == ["KD806"]
    assert parts["unmet"][0].what == "canary"


def test_a_record_knows_its_packages_and_nothing_of_the_machine() -> None:
    """As a snapshot whose list of packages is known to be incomplete."""
    snapshot = snapshot_of(record(), "env")
    assert snapshot.software.tensorflow.version == "2.15.1"
    assert "software.packages" in snapshot.partial


@pytest.mark.parametrize(
    ("step", "text"),
    [
        ({"stage": "seeds", "seed": 3, "of": 16}, "seeds seed 3 of 16"),
        ({"stage": "stages", "arm": "pinned", "epoch": 2, "of": 6}, "stages pinned epoch 2"),
        ({"stage": "import", "of": "tensorflow"}, "import tensorflow"),
        ({"stage": "x\x1b[2J" * 99}, "x[2Jx[2Jx[2Jx[2J"),
        ({}, ""),
    ],
)
def test_progress_is_told_in_words(step: dict[str, Any], text: str) -> None:
    """Stage and seed; nothing that moves a cursor."""
    assert words(step) == text


def test_progress_never_goes_back() -> None:
    """In the order in which the payload tells it; and nonsense is no crash."""
    steps = [
        {"stage": "import"}, {"stage": "data"}, {"stage": "probes"}, {"stage": "stages", "epoch": 3, "of": 6},
        {"stage": "seeds", "seed": 4, "of": 16}, {"stage": "seeds", "seed": 16, "of": 16}, {"stage": "done"},
    ]  # fmt: skip
    shares = [percent(step) for step in steps]
    assert shares == sorted(shares)
    assert shares[-1] == 100
    assert percent({"stage": "seeds", "seed": 99, "of": 0}) <= 100
    assert percent({"stage": 5}) == 0


def test_without_a_terminal_there_is_no_bar(capsys: pytest.CaptureFixture[str]) -> None:
    """Progress is for a person who waits."""
    with Bar("canary") as bar:
        bar({"stage": "seeds"})
    assert capsys.readouterr() == ("", "")
