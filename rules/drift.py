"""What the canary's verdict means: two records side by side, and one environment alone.

The class speaks of the mechanism and the accuracy label is independent of it, so a changed default and a drift of
accuracy are two findings, each of which can stand without the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from doctor.case import CanaryRun, Comparison
from doctor.model.facts import Inapplicable, Unknown
from doctor.model.report import Evidence, Finding, Severity
from doctor.rule import rule

RUN = "kdoctor canary -o record.json"
COMPARE = "kdoctor canary --against record.json"
_DEFAULTS = ("initializer", "optimizer", "loss", "layer", "precision")
_MOST_SUSPECTS = 3


@rule("KD703", "nondeterminism", Severity.WARNING, of=CanaryRun, would_help="kdoctor canary --runs 5")
def nondeterminism(run: CanaryRun) -> Iterator[Finding]:
    """Results vary from run to run within one environment, with everything seeded.

    ## Why is this bad?
    No change of environment, code or data can be told from noise, and no result can be reproduced.

    ## How to fix
    `tf.config.experimental.enable_op_determinism()`, one seed set by `keras.utils.set_random_seed`, no environment
    variables that switch determinism off. With op determinism on, the canary's runs were identical in 10 of 10.

    ## References
    TensorFlow, tf.config.experimental.enable_op_determinism.
    """
    repeats = run.facts["repeats"]
    if repeats["runs"] < 2:
        raise Unknown("canary.repeats", "one run only")
    if not repeats["differing"]:
        return
    place = repeats.get("first_divergence")
    where = f", first in {_place(place)}" if place else ""
    low, high = repeats["accuracy_range"]
    off = run.facts["determinism"] == "off"
    yield Finding(
        f"{repeats['differing']} of {repeats['runs']} runs differ from the first{where}"
        + (" (op determinism was switched off)" if off else ""),
        effect=f"the same training ends elsewhere each time: mean accuracy {low:.4f} to {high:.4f}",
        fix="tf.config.experimental.enable_op_determinism(), before any model is built",
        verify="kdoctor canary --runs 5",
        evidence=(Evidence("canary.repeats.differing", repeats["differing"], "canary"),),
        likely=0.8,
        thing="runs",
    )


@rule("KD801", "accuracy-drift", Severity.ERROR, of=Comparison, would_help=COMPARE)
def accuracy_drift(pair: Comparison) -> Iterator[Finding]:
    """The canary's accuracy differs beyond the tolerance, and the statistical test says that it is real.

    Accuracy comes from 16 or more seeded trainings a side; they are paired where both sides start from the same
    weights, else Welch's test is used. Drift needs a difference above the tolerance (1 %) with p below 1 %.

    ## Why is this bad?
    A model trained there will not be the model that was trained here, although code and data are the same.

    ## How to fix
    Look at KD802, which names the changed default; pin the versions of the environment that is right.
    """
    accuracy = _drift(pair)["accuracy"]
    if accuracy is None:
        raise Inapplicable("the records cannot be compared")
    if accuracy["label"] != "drift":
        return
    low, high = accuracy["interval90"]
    yield Finding(
        f"accuracy moved from {accuracy['a']:.4f} to {accuracy['b']:.4f} ({accuracy['difference']:+.4f}, "
        f"90 % interval {low:+.4f} to {high:+.4f}, p = {accuracy['p']:.2g}, {accuracy['seeds']} seeds)",
        effect="a model trained there is not as good, or not the same, as one trained here",
        fix="go back to the versions of the environment that is right, or set the changed default explicitly",
        verify="kdoctor compare A B",
        evidence=(Evidence("drift.accuracy.difference", accuracy["difference"], "canary"),),
        likely=0.4,
        thing="accuracy",
    )


@rule("KD802", "default-changed", Severity.ERROR, of=Comparison, would_help=COMPARE)
def default_changed(pair: Comparison) -> Iterator[Finding]:
    """A default of the framework changed: initializer, optimizer, loss, layer or precision.

    The finding names which, from what to what, whatever accuracy does: an Adam epsilon of 1e-8 for 1e-7, bfloat16 or
    amsgrad cannot be seen in the accuracy of a small model at any feasible number of seeds, and can in a large one.
    A difference that no default explains is KD810.

    ## Why is this bad?
    Code that relies on the default trains another model, with no error and no message.

    ## How to fix
    Write the value into the code (`Dense(…, kernel_initializer="glorot_uniform")`, `Adam(epsilon=1e-7)`), or pin the
    versions.
    """
    drift = _drift(pair)
    for cause in drift["causes"]:
        if cause["what"] in _DEFAULTS:
            yield _changed(cause, drift)


@rule("KD803", "random-stream-changed", Severity.WARNING, of=Comparison, would_help=COMPARE)
def random_stream_changed(pair: Comparison) -> Iterator[Finding]:
    """One seed gives other random draws, from the same distribution.

    ## Why is this bad?
    A run cannot be repeated by its seed. Accuracy is equivalent on average, single runs are not the same.

    ## How to fix
    Keep TensorFlow and Keras at the versions that a run was made with, or save initial weights with it.

    ## References
    TensorFlow's version guide: random numbers may change at any time.
    """
    drift = _drift(pair)
    if drift["class"] != "random-stream":
        return
    suspects = [name for cause in drift["causes"] for name in cause["suspects"]]
    yield Finding(
        "the same seed draws other initial weights from the same distribution" + _blame(suspects),
        effect=f"single runs cannot be repeated by their seed; mean accuracy is {drift['accuracy']['label']}",
        fix="pin TensorFlow and Keras to the versions of the run to be repeated",
        verify="kdoctor compare A B",
        evidence=(Evidence("drift.stages.default.init", drift["stages"]["default"]["init"], "canary"),),
        likely=0.6,
        thing="random stream",
    )


@rule("KD804", "rounding-differs", Severity.INFO, of=Comparison, would_help=COMPARE)
def rounding_differs(pair: Comparison) -> Iterator[Finding]:
    """Results differ by rounding only: the same draws, and every stage and probe below its threshold.

    ## Why is this bad?
    It is not, but results are no longer bit-identical. Other hardware, oneDNN switched off, Keras 3.0 to 3.6 against
    other releases all do this.

    ## How to fix
    Nothing, unless bit-identical results are required: then the same versions on the same kind of hardware.
    """
    drift = _drift(pair)
    if drift["class"] != "rounding":
        return
    final = drift["stages"]["pinned"]["final"]
    suspects = [name for cause in drift["causes"] for name in cause["suspects"]]
    place = f", first in {_place(drift['first_divergence'])}" if drift["first_divergence"] else ""
    yield Finding(
        f"results differ by rounding only{place}" + _blame(suspects),
        effect=f"after 384 steps the weights differ by {final:.1e} of the way that they went",
        fix="none needed, unless results must be bit-identical",
        verify="kdoctor compare A B",
        evidence=(Evidence("drift.stages.pinned.final", final, "canary"),),
        likely=0.2,
        thing="rounding",
    )


@rule("KD805", "seed-ignored", Severity.ERROR, of=CanaryRun, would_help=RUN)
def seed_ignored(run: CanaryRun) -> Iterator[Finding]:
    """Two draws under one seed differ within one environment, or every seed gives the same draws.

    ## Why is this bad?
    Nothing that is seeded there can be repeated, and a comparison of runs compares noise.

    ## How to fix
    Look for a patched `keras.utils.set_random_seed`, a `sitecustomize.py`, or a fork of Keras.
    """
    seed = run.facts["seed"]
    if seed["fault"] is None:
        return
    yield Finding(
        f"{seed['fault']}: the seed is ignored",
        effect="no training there can be repeated by its seed",
        fix="restore keras.utils.set_random_seed: look for a patch, a sitecustomize.py or a fork of Keras",
        verify="kdoctor canary",
        evidence=(Evidence("canary.probes.seed.repeats", seed["repeats"], "canary"),),
        likely=0.9,
        thing="seed",
    )


@rule("KD806", "not-comparable", Severity.ERROR, of=Comparison, would_help=COMPARE)
def not_comparable(pair: Comparison) -> Iterator[Finding]:
    """Two canary records that must not be compared: measured on other data, or by another canary.

    ## Why is this bad?
    Any number computed from them would mean nothing.

    ## How to fix
    Run the canary in both environments with one version of kdoctor.
    """
    drift = _drift(pair)
    if drift["class"] != "not-comparable":
        return
    yield Finding(
        f"the two records must not be compared: {drift['reason']}",
        effect="nothing can be said of drift",
        fix="kdoctor canary -o record.json  # in both environments, with one kdoctor",
        verify=COMPARE,
        evidence=(Evidence("drift.reason", drift["reason"], "canary"),),
        likely=0.9,
        thing="record",
    )


@rule("KD807", "accuracy-inconclusive", Severity.WARNING, of=Comparison, would_help=COMPARE)
def accuracy_inconclusive(pair: Comparison) -> Iterator[Finding]:
    """Neither drift nor equivalence of accuracy can be claimed with the seeds that were run.

    ## Why is this bad?
    "No difference found" is not "no difference": the interval still holds differences beyond the tolerance.

    ## How to fix
    More seeds: `--seeds 32`, then 64. Saved records cannot be given more seeds; run them again.
    """
    accuracy = _drift(pair)["accuracy"]
    if accuracy is None:
        raise Inapplicable("the records cannot be compared")
    if accuracy["label"] != "inconclusive":
        return
    low, high = accuracy["interval90"]
    more = next((seeds for seeds in (32, 64) if seeds > accuracy["seeds"]), None)
    yield Finding(
        f"accuracy differs by {accuracy['difference']:+.4f} (90 % interval {low:+.4f} to {high:+.4f}) with "
        f"{accuracy['seeds']} seeds: neither drift nor equivalence within ±{accuracy['tolerance']:g}",
        effect="a drift of this size can neither be claimed nor ruled out",
        fix=f"run both sides with --seeds {more}" if more else "widen the tolerance, or accept the doubt",
        verify="kdoctor compare A B",
        evidence=(Evidence("drift.accuracy.interval90", accuracy["interval90"], "canary"),),
        likely=0.3,
        thing="accuracy",
    )


@rule("KD808", "reference-deviation", Severity.WARNING, of=CanaryRun, would_help=RUN)
def reference_deviation(run: CanaryRun) -> Iterator[Finding]:
    """One environment's arithmetic is further from the float64 reference than rounding explains.

    The canary computes the first forward pass, loss, gradient and Adam update a second time in float64 with Keras'
    documented defaults (whole epochs with `--thorough`). Float32 rounding stays below 1e-5 (update: 1e-3).

    ## Why is this bad?
    The environment computes in lower precision, with other defaults than documented, or wrongly: that is known without
    any second environment.

    ## How to fix
    Look at the dtype policy, `keras.json`, TensorFloat-32, and at patches of Keras.
    """
    lost = run.facts["not_finite"]
    over = [row for row in run.facts["deviations"] if row["exceeded"]]
    if not lost and not over:
        return
    policy = run.facts["policy"]
    yield Finding(
        _lost(lost) if lost else _far(over[0]),
        effect="the environment does not compute what Keras documents"
        + (f" (policy {policy})" if policy not in (None, "float32") else ""),
        fix="look at the dtype policy, keras.json, TensorFloat-32 and patches of Keras",
        verify="kdoctor canary --thorough",
        evidence=tuple(Evidence(f"canary.reference.{row['what']}", _short(row["value"]), "canary") for row in over[:4]),
        likely=0.6,
        thing="reference",
    )


@rule("KD810", "drift-unexplained", Severity.ERROR, of=Comparison, would_help=COMPARE)
def drift_unexplained(pair: Comparison) -> Iterator[Finding]:
    """Training differs by more than rounding, and no known default explains it.

    A stage of the training with given initial weights, or a probe, is beyond what rounding does, and neither a probe
    nor a configuration names a default. What was seen of it (a factor, missing steps, other batches) is told.

    ## Why is this bad?
    The same code trains another model there, and nobody knows why.

    ## How to fix
    Look at what differs between the two: patches, start-up files and forks of Keras first.
    """
    drift = _drift(pair)
    if drift["class"] != "unexplained":
        return
    seen = [name.partition(".")[2] for name in (*drift.get("exceeded", ()), *drift.get("fired", ()))]
    hints = f" ({'; '.join(drift['hints'])})" if drift.get("hints") else ""
    yield Finding(
        f"training differs by more than rounding, first in {(seen or ['training'])[0]}{hints}, and no known default "
        "explains it",
        effect="the same code trains another model",
        fix="look at what differs between the two: patches, start-up files and forks of Keras first",
        verify="kdoctor compare A B",
        evidence=tuple(Evidence(f"drift.{kind}", value, "canary") for kind, value in _outliers(drift)),
        likely=0.7,
        thing="unexplained",
    )


def _drift(pair: Comparison) -> dict[str, Any]:
    if pair.drift is None:
        raise Unknown("drift", "the canary was not run")
    return pair.drift


def _changed(cause: dict[str, Any], drift: dict[str, Any]) -> Finding:
    what, before, after = cause["what"], cause["from"], cause["to"]
    subject = "the precision of computation" if what == "precision" else f"the default {what}"
    return Finding(
        f"{subject} changed from {before} to {after}" + _blame(cause["suspects"]),
        effect="code that relies on the default trains another model, without any message",
        fix=f"set it in the code ({before}), or pin the versions of the environment that is right",
        verify="kdoctor compare A B",
        evidence=tuple(
            Evidence(f"canary.{name}", _seen(name, cause, drift), "canary") for name in cause["evidence"][:4]
        ),
        likely=0.9,
        thing=what,
    )


def _seen(name: str, cause: dict[str, Any], drift: dict[str, Any]) -> Any:
    """What a piece of evidence says: how far the two sides are apart there, else from what to what."""
    kind, _, rest = name.partition(".")
    arm, _, stage = rest.partition(".")
    section = drift.get("probes", {}) if kind == "probes" else drift["stages"].get(arm, {}) if kind == "stages" else {}
    key = rest if kind == "probes" else stage
    if key not in section:
        return f"{cause['from']} → {cause['to']}"
    return "not finite" if section[key] is None else section[key]


def _outliers(drift: dict[str, Any]) -> list[tuple[str, Any]]:
    return [(kind, drift[kind][:4]) for kind in ("exceeded", "fired") if drift.get(kind)]


def _blame(suspects: list[str]) -> str:
    if not suspects:
        return ""
    rest = len(suspects) - _MOST_SUSPECTS
    return f" (suspects: {'; '.join(suspects[:_MOST_SUSPECTS])}" + (f" and {rest} more)" if rest > 0 else ")")


def _place(place: dict[str, Any]) -> str:
    epoch = f" {place['epoch']}" if place.get("epoch") is not None else ""
    return f"{place['stage']}{epoch} of the {place['arm']} arm"


def _lost(lost: list[dict[str, Any]]) -> str:
    first = lost[0]
    place = f"the {first['arm']} arm" if first.get("arm") else f"seed {first.get('seed')}"
    epoch = f" {first['epoch']}" if first.get("epoch") is not None else ""
    return f"numbers stop being finite (NaN or infinity) in {first['stage']}{epoch} of {place}"


def _short(value: float | None) -> Any:
    return "not finite" if value is None else float(f"{value:.3g}")


def _far(row: dict[str, Any]) -> str:
    value = "not finite" if row["value"] is None else f"{row['value']:.1e}"
    return f"{row['what']} is {value} from the float64 reference, where rounding explains {row['threshold']:.0e}"
