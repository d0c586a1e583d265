"""KD703, KD801 to KD808 and KD810: each fires, is silent, and is skipped."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from doctor import catalogue
from doctor.canary.record import SeedProbe
from doctor.case import CanaryRun
from doctor.engine import judge
from doctor.model.report import Finding, Severity
from tests.support import compute_pair

SIDE: dict[str, Any] = {"subject": {"kind": "interpreter", "name": "env"}}
ACCURACY = {
    "a": 0.932, "b": 0.9091, "difference": -0.0229, "interval90": [-0.029, -0.017], "p": 1.4e-6, "label": "drift",
    "test": "welch-t", "seeds": 16, "tolerance": 0.01,
}  # fmt: skip


def verdict(name: str = "bitwise", label: str = "equivalent", **more: Any) -> dict[str, Any]:
    """A drift section."""
    return {
        "class": name,
        "accuracy": {**ACCURACY, "label": label},
        "first_divergence": {"arm": "default", "stage": "init", "epoch": None},
        "causes": [],
        "stages": {"pinned": {"final": 1.9e-7}, "default": {"init": 1.41}},
        **more,
    }


def cause(what: str, before: str, after: str) -> dict[str, Any]:
    """A cause with one suspect."""
    return {
        "what": what,
        "from": before,
        "to": after,
        "evidence": [f"probes.{what}"],
        "suspects": ["keras 2.15.0 → 3.0.5"],
    }


def findings(code: str, drift: dict[str, Any] | None) -> tuple[Finding, ...]:
    """What a rule says of a pair with this drift."""
    return tuple(compute_pair(code, SIDE, SIDE, drift).findings)


def alone(code: str, **facts: Any) -> Any:
    """What a rule says of one run with these facts over sound ones."""
    sound: dict[str, Any] = {
        "determinism": "enable_op_determinism",
        "policy": "float32",
        "seed": {"repeats": True, "varies": True, "stream_varies": True, "fault": None},
        "deviations": [{"what": "forward", "value": 1e-7, "threshold": 1e-5, "exceeded": False}],
        "not_finite": [],
        "repeats": {"runs": 3, "differing": 0},
    }
    outcome = judge(CanaryRun("env", {**sound, **facts}), [catalogue.find(code)])
    assert not outcome.failures
    return outcome


@pytest.mark.parametrize("code", ["KD801", "KD802", "KD803", "KD804", "KD806", "KD807", "KD810"])
def test_without_a_canary_each_rule_is_skipped(code: str) -> None:
    """A comparison of facts alone says nothing of drift."""
    outcome = compute_pair(code, SIDE, SIDE)
    assert [skip.reason for skip in outcome.skipped] == ["drift: the canary was not run"]
    assert not outcome.findings


@pytest.mark.parametrize("code", ["KD801", "KD802", "KD803", "KD804", "KD806", "KD807", "KD810"])
def test_equal_records_are_silent(code: str) -> None:
    """Bitwise equal and equivalent: every rule passes."""
    assert [row.code for row in compute_pair(code, SIDE, SIDE, verdict()).passed] == [code]


@pytest.mark.parametrize("label", ["equivalent", "drift", "inconclusive"])
@pytest.mark.parametrize("name", ["bitwise", "default-changed", "seed-ignored", "unexplained"])
def test_accuracy_drift_stands_exactly_where_the_label_says_so(name: str, label: str) -> None:
    """Whatever the class is; likewise inconclusive."""
    assert len(findings("KD801", verdict(name, label))) == (label == "drift")
    assert len(findings("KD807", verdict(name, label))) == (label == "inconclusive")


def test_every_changed_default_is_a_finding_of_its_own() -> None:
    """Named from what to what, with its suspects; other causes are none of this rule."""
    drift = verdict("default-changed", causes=[
        cause("initializer", "glorot_uniform", "he_normal"), cause("precision", "float32", "mixed_bfloat16"),
        cause("seed", "honoured", "ignored"),
    ])  # fmt: skip
    found = findings("KD802", drift)
    assert [finding.thing for finding in found] == ["initializer", "precision"]
    assert "from glorot_uniform to he_normal (suspects: keras 2.15.0 → 3.0.5)" in found[0].message
    assert found[0].severity is Severity.ERROR
    assert found[0].fingerprint != found[1].fingerprint


def test_an_unexplained_difference_is_not_passed_over() -> None:
    """With the first stage beyond rounding and what was seen of it; it is an error, and no changed default."""
    drift = verdict("unexplained", exceeded=["stages.pinned.gradient"], fired=[], hints=["the gradient is 1.001 times"])
    found = findings("KD810", drift)
    assert "first in pinned.gradient (the gradient is 1.001 times)" in found[0].message
    assert found[0].severity is Severity.ERROR
    assert not findings("KD802", drift)


def test_evidence_of_a_changed_default_has_its_values() -> None:
    """How far the two sides are apart where that is a number, else from what to what; never nothing."""
    changed = {**cause("layer", "relu", "gelu"), "evidence": ["probes.layer.relu", "stages.pinned.forward", "config.x"]}
    drift = verdict("default-changed", causes=[changed], probes={"layer.relu": None})
    drift["stages"]["pinned"]["forward"] = 0.5
    values = [(one.fact, one.value) for one in findings("KD802", drift)[0].evidence]
    assert values == [
        ("canary.probes.layer.relu", "not finite"),
        ("canary.stages.pinned.forward", 0.5),
        ("canary.config.x", "relu → gelu"),
    ]


def test_other_draws_and_rounding_have_their_own_rules() -> None:
    """A warning and an info."""
    stream = findings("KD803", verdict("random-stream", causes=[cause("random-stream", "one", "another")]))
    assert (stream[0].severity, "keras 2.15.0" in stream[0].message) == (Severity.WARNING, True)
    rounding = findings("KD804", verdict("rounding"))
    assert (rounding[0].severity, "first in init of the default arm" in rounding[0].message) == (Severity.INFO, True)


def test_records_that_cannot_be_compared_say_why() -> None:
    """And accuracy is inapplicable, not passed."""
    drift = {**verdict("not-comparable", reason="different data"), "accuracy": None}
    assert "different data" in findings("KD806", drift)[0].message
    assert compute_pair("KD801", SIDE, SIDE, drift).inapplicable
    assert compute_pair("KD807", SIDE, SIDE, drift).inapplicable


def test_inconclusive_asks_for_more_seeds_up_to_64() -> None:
    """Then it says that more will not help."""
    assert "--seeds 32" in findings("KD807", verdict(label="inconclusive"))[0].fix
    many = verdict(label="inconclusive")
    many["accuracy"]["seeds"] = 64
    assert "--seeds" not in findings("KD807", many)[0].fix


def test_nondeterminism_needs_two_runs() -> None:
    """Skipped with one, silent where they agree, a finding where they do not."""
    assert alone("KD703", repeats={"runs": 1, "differing": 0}).skipped
    assert alone("KD703").passed
    varying = {
        "runs": 5, "differing": 2, "final": 1e-6, "accuracy_range": [0.929, 0.931],
        "first_divergence": {"arm": "pinned", "stage": "gradient", "epoch": None},
    }  # fmt: skip
    message = alone("KD703", repeats=varying, determinism="off").findings[0].message
    assert (
        message
        == "2 of 5 runs differ from the first, first in gradient of the pinned arm (op determinism was switched off)"
    )


@pytest.mark.parametrize(
    ("seed", "words"),
    [
        (SeedProbe(True, True, True, {"numpy": True}), None),
        (SeedProbe(True, False, True), None),
        (SeedProbe(False, True, True), "one seed gives different draws"),
        (SeedProbe(True, False, False), "different seeds give the same draws"),
        (SeedProbe(True, True, True, {"numpy": False, "first": True}), "one seed gives different draws (of NumPy)"),
        (SeedProbe(True, True, True, {"first": False}), "one seed gives different draws"),
    ],
)
def test_a_seed_is_ignored_where_draws_do_not_follow_it(seed: SeedProbe, words: str | None) -> None:
    """An initializer with a seed of its own is another matter; a stream that is left out is named."""
    found = alone("KD805", seed={**msgspec.to_builtins(seed), "fault": seed.fault}).findings
    assert [finding.message for finding in found] == ([f"{words}: the seed is ignored"] if words else [])


def test_the_reference_is_left_by_distance_or_by_nan() -> None:
    """Silent within rounding; NaN names where."""
    assert alone("KD808").passed
    far = [{"what": "update", "value": 0.01, "threshold": 1e-3, "exceeded": True}]
    assert "update is 1.0e-02 from the float64 reference" in alone("KD808", deviations=far).findings[0].message
    lost = [{"arm": None, "seed": 3, "stage": "epoch", "epoch": 2}]
    assert (
        "stop being finite (NaN or infinity) in epoch 2 of seed 3"
        in alone("KD808", not_finite=lost).findings[0].message
    )
