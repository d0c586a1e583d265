"""The verdict's rules, one after the other, on records made by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from doctor.canary.causes import initializer_name, kept_bits
from doctor.canary.record import InitializerProbe
from doctor.canary.verdict import compare_changes, compare_records

from .records import arm, document, record, seeds, stage

Edit = Callable[[dict[str, Any]], None]


def drift(edit: Edit | None = None, first: Edit | None = None) -> dict[str, Any]:
    """The verdict on a sound record and an edited one."""
    a, b = document(), document()
    if first is not None:
        first(a)
    if edit is not None:
        edit(b)
    return compare_records(record(a), record(b))


def values(entry: dict[str, Any]) -> list[float]:
    """A stage's values as a list."""
    from doctor.canary.record import Stage

    return list(Stage(tuple(entry["sha256"]), entry["raw"]).values())


def shift(arm_name: str, stage_name: str, share: float) -> Edit:
    """An edit that moves a stage by a share of its length."""

    def edit(b: dict[str, Any]) -> None:
        there = b["stages"][arm_name]
        there[stage_name] = stage([value * (1 + share) for value in values(there[stage_name])])

    return edit


def other_draws(b: dict[str, Any]) -> None:
    """Another stream of draws from the same distribution."""
    b["stages"]["default"] = arm(77)
    b["probes"]["initializer"]["sha256"] = "07he4"
    b["seeds"] = seeds([0.93 + 0.001 * (n % 7) for n in range(16)], "b")


def test_equal_records_are_bitwise() -> None:
    """No divergence, no cause, accuracy equivalent."""
    told = drift()
    assert told["class"] == "bitwise"
    assert told["first_divergence"] is None
    assert told["causes"] == []
    assert told["accuracy"]["label"] == "equivalent"
    assert set(told["stages"]["pinned"].values()) == {0.0}


def test_the_keys_are_the_contracts() -> None:
    """In the contract's names."""
    assert list(drift())[:5] == ["class", "accuracy", "first_divergence", "causes", "stages"]


@pytest.mark.parametrize(("stage_name", "below", "above"), [
    ("forward", 9e-6, 2e-5), ("gradient", 9e-6, 2e-5), ("update", 4e-7, 2e-3), ("final", 1e-7, 2e-3),
])  # fmt: skip
def test_each_stage_has_its_threshold(stage_name: str, below: float, above: float) -> None:
    """Below it rounding, above it unexplained while no default is found to have changed."""
    under = drift(shift("pinned", stage_name, below))
    assert under["class"] == "rounding"
    assert under["first_divergence"] == {"arm": "pinned", "stage": stage_name, "epoch": None}
    over = drift(shift("pinned", stage_name, above))
    assert over["class"] == "unexplained"
    assert over["exceeded"] == [f"stages.pinned.{stage_name}"]
    assert over["causes"] == []


def test_a_stage_is_named_by_a_configuration_that_differs_there() -> None:
    """No probe sees a regularizer; the gradient and the layer's configuration do."""

    def edit(b: dict[str, Any]) -> None:
        shift("pinned", "gradient", 0.2)(b)
        b["config"]["layer"]["kernel_regularizer"] = "l2(l2=0.01)"

    told = drift(edit)
    assert told["class"] == "default-changed"
    assert told["causes"][0]["what"] == "layer"
    assert told["causes"][0]["to"] == "kernel_regularizer=l2(l2=0.01)"
    assert told["causes"][0]["evidence"] == ["stages.pinned.gradient", "config.layer"]


def test_words_that_change_no_number_count_within_one_version_only() -> None:
    """A constraint that does not bind here may elsewhere; another version of Keras writes other words for the same."""

    def edit(b: dict[str, Any]) -> None:
        b["config"]["layer"].update(kernel_constraint="max_norm(max_value=9.0)")

    told = drift(edit)
    assert told["class"] == "default-changed"
    assert [cause["evidence"] for cause in told["causes"]] == [["config.layer"]]

    def newer(b: dict[str, Any]) -> None:
        edit(b)
        b["environment"]["keras"] = "2.16.0"

    assert drift(newer)["class"] == "bitwise"


def test_other_draws_of_one_family_are_a_random_stream() -> None:
    """With Welch's test, since nothing is paired, and the default arm beyond init left out."""
    told = drift(other_draws)
    assert told["class"] == "random-stream"
    assert told["first_divergence"] == {"arm": "default", "stage": "init", "epoch": None}
    assert told["accuracy"]["test"] == "welch-t"
    assert list(told["stages"]["default"]) == ["init"]
    assert [cause["what"] for cause in told["causes"]] == ["random-stream"]


def test_draws_that_differ_by_rounding_are_the_same_draws() -> None:
    """Another CPU may round a truncated normal otherwise."""
    told = drift(shift("default", "init", 1e-7))
    assert told["class"] == "rounding"
    assert told["accuracy"]["test"] == "paired-t"


@pytest.mark.parametrize(
    ("edit", "what", "before", "after"),
    [
        (
            lambda b: b["probes"]["initializer"].update(sha256="x", sd=0.1118, kurtosis=2.38, max=0.256),
            "initializer", "glorot_uniform", "he_normal",
        ),
        (
            lambda b: b["probes"]["initializer"].update(sha256="x", sd=0.0822, max=0.1423),
            "initializer", "glorot_uniform", "glorot_uniform, 0.93 times as wide",
        ),
        (
            lambda b: (b["probes"]["initializer"].update(sha256="x", bias=[1.0, 1.0]),
                       b["config"]["layer"].update(bias_initializer="ones")),
            "initializer", "zeros", "ones",
        ),
        (
            lambda b: (b["probes"]["optimizer"].update(response=[[-0.001, 0.002]] * 4),
                       b["config"]["optimizer"].update(epsilon=1e-8)),
            "optimizer", "epsilon=1e-07", "epsilon=1e-08",
        ),
        (
            lambda b: b["probes"]["optimizer"].update(resting=[0.999] * 4),
            "optimizer", "1 where nothing pulls", "0.999 where nothing pulls",
        ),
        (
            lambda b: (b["probes"].update(loss=[18.8, 0.72, 0.0, 16.1, 0.9]),
                       b["config"]["loss"].update(reduction="sum")),
            "loss", "reduction=sum_over_batch_size", "reduction=sum",
        ),
        (
            lambda b: b["probes"]["layer"].update(relu=[0.0, 5050.0, 1.01, 0.0]),
            "layer", "Dense(activation=relu) gives 5000.25", "Dense(activation=relu) gives 5050",
        ),
        (
            lambda b: (b["probes"]["layer"].update(none=[-1e4, 4992.0, 3.0, -1.25], identity=[0.0031] * 8),
                       b["config"].update(policy="mixed_bfloat16")),
            "precision", "float32", "mixed_bfloat16",
        ),
    ],
)  # fmt: skip
def test_each_changed_default_is_named(edit: Edit, what: str, before: str, after: str) -> None:
    """From what to what: by the configuration where it tells, else by what was measured."""
    told = drift(edit)
    assert told["class"] == "default-changed"
    assert [(cause["what"], cause["from"], cause["to"]) for cause in told["causes"]] == [(what, before, after)]


def test_lost_bits_without_a_policy_are_a_matter_of_precision() -> None:
    """TensorFloat-32 and the like: small whole numbers pass unharmed, other numbers lose bits."""
    told = drift(lambda b: b["probes"]["layer"].update(identity=[2.0**-11.5, -(2.0**-12)] * 4))
    assert [(cause["what"], cause["from"], cause["to"]) for cause in told["causes"]] == [
        ("precision", "24 bits", "11 bits")
    ]


def test_a_seed_that_is_ignored_comes_before_everything_else() -> None:
    """Whatever else differs, nothing seeded can be compared."""
    told = drift(lambda b: (other_draws(b), b["probes"]["seed"].update(repeats=False)))
    assert told["class"] == "seed-ignored"
    assert [cause["what"] for cause in told["causes"]] == ["seed"]


def test_an_initializer_with_a_seed_of_its_own_is_no_ignored_seed() -> None:
    """TensorFlow's own numbers still follow the seed."""
    told = drift(lambda b: (other_draws(b), b["probes"]["seed"].update(varies=False)))
    assert told["class"] == "default-changed"
    assert told["causes"][0]["to"] == "glorot_uniform with a seed of its own"


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda b: b.update(data_sha256="07he4"), "different data"),
        (lambda b: b["canary"].update(version=2), "canary versions 1 and 2"),
        (lambda b: b["canary"].update(sha256="07he4"), "different canary code"),
    ],
)
def test_what_must_not_be_compared_is_not(edit: Edit, words: str) -> None:
    """No accuracy, no stages, and the reason."""
    told = drift(edit)
    assert told["class"] == "not-comparable"
    assert words in told["reason"]
    assert told["accuracy"] is None


def test_the_class_does_not_depend_on_accuracy_nor_accuracy_on_the_class() -> None:
    """A drift of accuracy under bitwise equal stages stays both."""
    told = drift(lambda b: b.update(seeds=seeds([0.80] * 16)))
    assert told["accuracy"]["label"] == "drift"
    assert told["class"] == "rounding"


def test_numbers_that_are_none_are_infinitely_far() -> None:
    """NaN in one record is told, never compared by accident; JSON stays valid."""

    def edit(b: dict[str, Any]) -> None:
        b["stages"]["pinned"]["forward"] = stage([float("nan")] * 12)
        b["probes"]["layer"]["relu"] = [None] * 4
        b["non_finite"] = [{"arm": "pinned", "stage": "forward"}]

    told = drift(edit)
    assert told["class"] == "default-changed"
    assert told["stages"]["pinned"]["forward"] is None
    assert told["not_finite"]["b"][0]["stage"] == "forward"


def test_suspects_are_what_changed_and_hardware_only_where_nothing_else_did() -> None:
    """Versions first; other CPU flags are a cause only with equal versions."""

    def other_cpu(b: dict[str, Any]) -> None:
        shift("pinned", "forward", 1e-7)(b)
        b["environment"]["cpu"]["flags"] = ["avx", "avx2"]

    def other_keras_too(b: dict[str, Any]) -> None:
        other_cpu(b)
        b["environment"]["keras"] = b["environment"]["packages"]["keras"] = "3.0.5"

    assert [cause["what"] for cause in drift(other_cpu)["causes"]] == ["hardware"]
    told = drift(other_keras_too)["causes"]
    assert [cause["what"] for cause in told] == ["library"]
    assert told[0]["suspects"][0] == "keras 2.15.0 → 3.0.5"


def test_a_function_replaced_at_run_time_is_the_first_suspect() -> None:
    """With the file that it comes from; and a switched variable is told."""

    def edit(b: dict[str, Any]) -> None:
        b["probes"]["optimizer"]["resting"] = [0.9] * 4
        b["environment"]["replaced"] = ["Adam.__init__ (sitecustomize.py)"]
        b["environment"]["variables"] = {"TF_USE_LEGACY_KERAS": "1"}
        b["environment"]["keras"] = "2.15.1"

    suspects = drift(edit)["causes"][0]["suspects"]
    assert suspects[0] == "Adam.__init__ (sitecustomize.py), replaced at run time in b"
    assert "TF_USE_LEGACY_KERAS unset → 1" in suspects


def test_changes_are_listed_as_the_contract_says() -> None:
    """What, name, a, b; packages first; an absent package is null."""
    b = document()
    b["environment"]["packages"] = {"keras": "3.15.1", "tensorflow-cpu": "2.15.1", "ml-dtypes": "0.3"}
    rows = compare_changes(record(), record(b))
    assert rows[0] == {"what": "package", "name": "keras", "a": "2.15.0", "b": "3.15.1"}
    assert {"what": "package", "name": "numpy", "a": "1.26.4", "b": None} in rows


@pytest.mark.parametrize(
    ("sd", "kurtosis", "name"),
    [
        (0.0884, 1.80, "glorot_uniform"), (0.0884, 2.38, "glorot_normal"), (0.1118, 2.38, "he_normal"),
        (0.0791, 1.80, "lecun_uniform"), (0.0791, 3.0, "lecun_untruncated_normal"), (0.0, None, "constant 0.5"),
    ],
)  # fmt: skip
def test_families_are_told_by_their_statistics(sd: float, kurtosis: float | None, name: str) -> None:
    """One layer of 160 by 96 weights."""
    probe = InitializerProbe(shape=(160, 96), sha256="x", sd=sd, kurtosis=kurtosis, max=0.2, mean=0.5)
    assert initializer_name(probe) == name


@pytest.mark.parametrize(("worst", "bits"), [(0.0, 24), (6e-8, 23), (2.0**-11.6, 11), (2.0**-8.6, 8)])
def test_bits_kept_follow_from_the_worst_error(worst: float, bits: int) -> None:
    """24 in float32, 11 in float16 and TF32, 8 in bfloat16."""
    b = document()
    b["probes"]["layer"]["identity"] = [0.0] * 7 + [worst]
    assert kept_bits(record(b)) in (bits, bits + 1)


def test_stages_of_other_sizes_are_refused() -> None:
    """A record made by hand must not pass for zero distance."""
    from doctor.errors import DocumentError

    with pytest.raises(DocumentError, match="different sizes"):
        drift(lambda b: b["stages"]["pinned"].update(final=stage([1.0])))
