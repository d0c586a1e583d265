"""Changes that the rules were not made for, as real runs showed them: named where they can be, else told honestly."""

from __future__ import annotations

from typing import Any

import pytest

from doctor.canary.distance import bitwise_equal

from .records import arm, document, record, seeds, stage
from .test_verdict import Edit, drift, shift, values


def causes(told: dict[str, Any]) -> list[tuple[str, str, str]]:
    """What, from, to."""
    return [(cause["what"], cause["from"], cause["to"]) for cause in told["causes"]]


def drawn(change: Any) -> Edit:
    """An edit that changes what the framework drew, number by number, in ways that no statistic shows."""

    def edit(b: dict[str, Any]) -> None:
        b["stages"]["default"]["init"] = stage([change(value) for value in values(b["stages"]["default"]["init"])])
        b["probes"]["initializer"]["sha256"] = "07he4"
        b["seeds"] = seeds([0.93 + 0.001 * (n % 7) for n in range(16)], "b")

    return edit


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x: x * 1.0005, "1.0005 times as wide"),
        (lambda x: x + 0.001, "shifted by 0.001"),
        (lambda x: round(x * 32) / 32, "changed by 0.017 of their size"),
    ],
)
def test_draws_changed_on_their_way_are_no_other_stream(change: Any, words: str) -> None:
    """They follow from the first ones number by number; the evidence is the initial weights."""
    told = drift(drawn(change))
    assert told["class"] == "default-changed"
    assert causes(told) == [("initializer", "glorot_uniform", f"glorot_uniform, {words}")]
    assert told["causes"][0]["evidence"] == ["stages.default.init"]


def test_a_uniform_distribution_one_percent_narrower_is_told_by_its_limit() -> None:
    """Also where the draws are others: the largest of 15,360 values is within 0.1 % of the limit."""

    def edit(b: dict[str, Any]) -> None:
        b["stages"]["default"] = arm(77)
        b["probes"]["initializer"].update(sha256="07he4", sd=0.0875, max=0.1515)

    assert causes(drift(edit)) == [("initializer", "glorot_uniform", "glorot_uniform, 0.9902 times as wide")]


def test_given_weights_that_come_back_rounded_are_a_matter_of_precision() -> None:
    """Named once, although every draw is rounded too."""

    def edit(b: dict[str, Any]) -> None:
        drawn(lambda x: x * (1 + 2.0**-12))(b)
        given = values(b["stages"]["pinned"]["init"])
        b["stages"]["pinned"]["init"] = stage([x * (1 + (-1) ** n * 2.0**-11.5) for n, x in enumerate(given)])

    told = drift(edit)
    assert causes(told) == [("precision", "weights as given", "weights kept to 11 bits")]
    assert causes(drift(None, edit))[0][0] == "precision"
    assert told["stages"]["pinned"]["init"] > 1e-5


def test_a_layer_that_scales_is_no_matter_of_precision_either_way_round() -> None:
    """Small whole numbers come out scaled too, on whichever side the patch is."""

    def edit(b: dict[str, Any]) -> None:
        b["probes"]["layer"].update(none=[-1.001e4, 5005.25, 3.003, -1.251], identity=[0.001] * 8)

    for told in (drift(edit), drift(None, edit)):
        assert [what for what, _, _ in causes(told)] == ["layer"]


def test_samples_that_lose_bits_on_the_way_in_are_a_matter_of_precision() -> None:
    """TensorFlow's copy is held against what it was given; larger changes are no rounding."""
    told = drift(lambda b: b["probes"].update(data={"samples": 2e-4, "batch": 2e-4}))
    assert causes(told) == [("precision", "samples as given", "samples changed by 0.0002 of their size")]
    worse = drift(lambda b: b["probes"].update(data={"samples": 0.5, "batch": 0.5}))
    assert (worse["class"], worse["causes"]) == ("unexplained", [])
    assert worse["hints"] == ["TensorFlow's copy of the samples is not what it was given"]


def test_another_type_of_output_is_a_changed_precision_however_close_the_numbers_are() -> None:
    """float64 for float32 differs by rounding alone."""

    def edit(b: dict[str, Any]) -> None:
        shift("pinned", "forward", 1e-7)(b)
        b["probes"]["layer"]["output_dtype"] = b["config"]["floatx"] = "float64"

    assert causes(drift(edit)) == [("precision", "float32", "float64")]


def test_other_batches_are_unexplained_and_told() -> None:
    """What training and inference then differ by is no matter of layers."""

    def edit(b: dict[str, Any]) -> None:
        shift("pinned", "forward", 0.4)(b)
        b["probes"]["data"] = {"samples": 0.0, "batch": 1.2}
        b["stages"]["pinned"]["inference"] = 0.4

    told = drift(edit)
    assert (told["class"], told["causes"]) == ("unexplained", [])
    assert "the first batch holds other samples, or in another order" in told["hints"]


def test_a_scaled_gradient_and_missing_steps_are_told_beside_unexplained() -> None:
    """No default is behind either; the numbers help who looks for the patch."""
    assert drift(shift("pinned", "gradient", 0.001))["hints"] == ["the gradient is 1.001 times the other"]

    def edit(b: dict[str, Any]) -> None:
        shift("pinned", "final", 0.02)(b)
        b["stages"]["pinned"]["steps"] = 378

    told = drift(edit, lambda a: a["stages"]["pinned"].update(steps=384))
    assert (told["class"], told["hints"]) == ("unexplained", ["378 optimizer steps for 384"])


def test_layers_in_between_are_named_by_their_weights_or_by_what_only_training_does() -> None:
    """Batch normalisation has weights, dropout has none."""
    six: list[list[int]] = [[20, 64], [64], [64, 32], [32], [32, 10], [10]]

    def normalised(b: dict[str, Any]) -> None:
        shift("pinned", "forward", 0.9)(b)
        b["config"]["weights"] = [*six[:2], [64], [64], *six[2:]]

    told = drift(normalised, lambda a: a["config"].update(weights=six))
    assert causes(told) == [("layer", "a model of 6 weights", "a model of 8 weights, with 64, 64 more")]

    def dropped(b: dict[str, Any]) -> None:
        shift("pinned", "forward", 0.2)(b)
        b["stages"]["pinned"]["inference"] = 0.2

    found = causes(drift(dropped))
    assert found[0][0] == "layer"
    assert found[0][2] == "outputs differ between training and inference by 0.2 of their size"


def test_a_layer_without_bias_is_one_cause() -> None:
    """Not an initializer too: there is nothing to initialise."""

    def edit(b: dict[str, Any]) -> None:
        b["probes"]["layer"]["relu"] = [0.0, 5000.0, 1.0, 0.0]
        b["probes"]["initializer"].update(sha256="07he4", bias=None)
        b["config"]["layer"]["use_bias"] = False

    assert causes(drift(edit, lambda a: a["config"]["layer"].update(use_bias=True))) == [
        ("layer", "use_bias=True", "use_bias=False")
    ]


@pytest.mark.parametrize(
    ("streams", "words"),
    [
        ({"numpy": False, "python": True, "tensorflow": True, "first": True}, " (of NumPy)"),
        ({"numpy": False, "python": False, "tensorflow": True}, " (of NumPy, Python)"),
        ({"first": False}, ""),
    ],
)
def test_a_stream_that_the_seed_does_not_reach_is_an_ignored_seed(streams: dict[str, bool], words: str) -> None:
    """Whatever else is equal."""
    told = drift(lambda b: b["probes"]["seed"].update(streams_repeat=streams))
    assert told["class"] == "seed-ignored"
    assert causes(told) == [("seed", "honoured", f"one seed gives different draws{words}")]


def test_a_thorough_record_is_bitwise_equal_to_a_short_one() -> None:
    """Its seeds went through another loop, which rounds otherwise; that is no difference of environments."""
    long = document()
    long["training"]["by"] = "loop"
    long["thorough"] = {"epochs": [1e-6], "ways": {"fit": 1e-6}}
    for entry in long["seeds"]:
        entry["final_sha256"] += "-looped"
    assert bitwise_equal(record(), record(long))


def test_a_fit_that_trains_otherwise_shows_between_thorough_records() -> None:
    """Shuffled, or for more epochs: no default of the layers, the loss or the optimizer."""

    def thorough(distance: float) -> Edit:
        return lambda b: b.update(thorough={"epochs": [1e-6], "ways": {"fit": distance, "sequential": 1e-6}})

    told = drift(thorough(0.7), thorough(1e-6))
    assert (told["class"], told["exceeded"]) == ("unexplained", ["thorough.fit"])
    assert drift(thorough(2e-6), thorough(1e-6))["class"] == "rounding"


def test_a_class_of_optimizer_says_it_all() -> None:
    """Keys that only one of two classes has are left out."""

    def edit(b: dict[str, Any]) -> None:
        b["probes"]["optimizer"]["response"] = [[-0.002, 0.002]] * 4
        b["config"].update(optimizer_class="Nadam", optimizer={"learning_rate": 0.001, "epsilon": 1e-07, "extra": 3})

    assert causes(drift(edit)) == [("optimizer", "class=Adam", "class=Nadam")]
