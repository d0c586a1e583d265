"""The accuracy label: false alarms, power, and predictions that changed."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from doctor.canary.accuracy import changed_predictions, judge_accuracy, next_seeds

from .records import document, packed, record, seeds

SPREAD = 0.0075  # between seeds, as measured: 0.007 to 0.010


def accuracies(numbers: random.Random, count: int = 16, shift: float = 0.0) -> list[float]:
    """Accuracies of so many seeds, on 2048 test samples."""
    return [round((numbers.gauss(0.9300, SPREAD) + shift) * 2048) / 2048 for _ in range(count)]


def judged(a: list[float], b: list[float], same_draws: bool = False) -> dict[str, object]:
    """The accuracy section on two lists of accuracies."""
    one, other = document(), document()
    one["seeds"], other["seeds"] = seeds(a), seeds(b, "a" if same_draws else "b")
    return judge_accuracy(record(one), record(other), same_draws)


def test_of_200_equal_pairs_at_most_2_are_called_drift() -> None:
    """Two environments with other draws of one distribution; measured here: none of 200."""
    numbers = random.Random(20261121)
    labels = [judged(accuracies(numbers), accuracies(numbers))["label"] for _ in range(200)]
    assert labels.count("drift") <= 2
    assert labels.count("equivalent") >= 180


def test_of_200_equal_pairs_of_real_seeds_at_most_2_are_called_drift() -> None:
    """Any two times 16 of 512 trainings in one environment, no seed on both sides; measured here: none of 200."""
    measured = json.loads((Path(__file__).parent / "hits.json").read_text())["hits"]
    numbers = random.Random(7)
    picks = [[one / 2048 for one in numbers.sample(measured, 32)] for _ in range(200)]
    labels = [judged(pick[:16], pick[16:])["label"] for pick in picks]
    assert labels.count("drift") <= 2
    assert labels.count("equivalent") >= 180


def test_a_loss_of_two_percent_is_found_every_time() -> None:
    """What he_normal for glorot_uniform costs at six epochs."""
    numbers = random.Random(3)
    labels = {judged(accuracies(numbers), accuracies(numbers, shift=-0.0229))["label"] for _ in range(50)}
    assert labels == {"drift"}


def test_a_gain_is_drift_too() -> None:
    """Better accuracy is another model all the same."""
    numbers = random.Random(4)
    assert judged(accuracies(numbers), accuracies(numbers, shift=0.03))["label"] == "drift"


def test_paired_seeds_show_what_unpaired_ones_cannot() -> None:
    """The spread between seeds drops out where both sides start from the same weights."""
    a = accuracies(random.Random(6))
    b = [value - 0.004 for value in a]
    assert judged(a, b, same_draws=True)["label"] == "equivalent"
    assert judged(a, b, same_draws=True)["p"] < 1e-9
    assert judged(a, b)["test"] == "welch-t"


def test_a_wide_interval_is_inconclusive() -> None:
    """Neither drift nor equivalence is claimed."""
    told = judged([0.90, 0.95, 0.92, 0.94], [0.91, 0.93, 0.95, 0.89])
    assert told["label"] == "inconclusive"


def test_the_section_has_the_contracts_keys() -> None:
    """In the contract's names, b minus a."""
    told = judged([0.93] * 16, [0.91] * 16, same_draws=True)
    assert list(told) == ["a", "b", "difference", "interval90", "p", "label", "test", "seeds", "tolerance"]
    assert told["difference"] == pytest.approx(-0.02)
    assert told["label"] == "drift"


@pytest.mark.parametrize(("had", "then"), [(8, 16), (16, 32), (32, 64), (64, None), (100, None)])
def test_seeds_escalate_to_64(had: int, then: int | None) -> None:
    """16, 32, 64, and no further."""
    assert next_seeds(had) == then


def test_changed_predictions_are_counted_by_class() -> None:
    """Twenty samples of ten classes; one sample of class 3 changes in every seed."""
    other = document()
    for entry in other["seeds"]:
        entry["predictions"] = packed(bytes(1 if at == 3 else 0 for at in range(20)))
    told = changed_predictions(record(), record(other))
    assert told is not None
    assert told["changed"] == pytest.approx(1 / 20)
    assert told["classes"][3] == {"class": 3, "changed": 0.5, "a": 1.0, "b": 0.5}
    assert told["between_seeds"] == 0.0


def test_records_with_other_labels_say_nothing_of_predictions() -> None:
    """Unknown is not zero."""
    other = document()
    other["test_labels"] = packed(bytes(20))
    assert changed_predictions(record(), record(other)) is None
