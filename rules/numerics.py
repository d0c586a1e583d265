"""Two environments side by side: why their numbers will differ although nothing is wrong with either."""

from __future__ import annotations

import re
from collections.abc import Iterator

from doctor.case import Case, Comparison
from doctor.model.facts import applies, known, need
from doctor.model.report import KNOWN_CHANGE, Confidence, Evidence
from doctor.rule import Finding, Severity, rule

from . import requirements as reqs
from .tables.gpus import architecture, compute_capability_of
from .tables.packages import BehaviourChange, behaviour_changes
from .tables.tensorflow import newest_release, tensorflow_release
from .tables.versions import at_least
from .tables.versions import version as version_of

_TF32_SINCE = (2, 4)
_ONEDNN_SINCE, _ONEDNN_DEFAULT = (2, 5), (2, 9)
_ONEDNN_SWITCH = "TF_ENABLE_ONEDNN_OPTS"
_MEASURED_SINCE = (2, 4)
_VECTOR = re.compile(r"^(avx|avx2|fma|avx512\w*|avx_vnni|amx_\w+|sse4_2|asimd\w*|sve\w*)$")
Versions = tuple[str | None, str | None]
_NOTHING_COMPUTES = "neither side has TensorFlow or Keras"
_TRUE = frozenset({"1", "true", "t", "yes", "y", "on"})


@rule(
    "KD704",
    "numerics-hardware",
    Severity.INFO,
    of=Comparison,
    would_help="kdoctor compare A B --machine NODE.json",
)
def numerics_hardware(pair: Comparison) -> Iterator[Finding]:
    """Results will differ by hardware: another GPU, TensorFloat-32, other CPU instructions, oneDNN.

    Floating-point sums depend on their order, and the order on the hardware: another GPU model or number of GPUs takes
    other kernels, GPUs from Ampere on compute float32 products in TensorFloat-32 (10 bits of mantissa), oneDNN and
    wider vector units add in another order.

    ## Why is this bad?
    It is not, but two runs under one seed are not bit-identical then, and a difference of 1e-3 (TF32) may be taken for
    a regression.

    ## How to fix
    Compare on one kind of hardware; or make both sides alike: `NVIDIA_TF32_OVERRIDE=0`, `TF_ENABLE_ONEDNN_OPTS=0`.

    ## References
    NVIDIA framework-reproducibility; TensorFlow, `core/util/port.cc` (oneDNN) and tf.config.experimental
    (enable_tensor_float_32_execution).
    """
    applies(not _without_tensorflow(pair), _NOTHING_COMPUTES)
    found = [f for f in (_gpus(pair), _tf32(pair), _onednn_hardware(pair), _cpu(pair)) if f is not None]
    yield from found
    if not found and known(pair.a.machine.gpus) is None and known(pair.a.machine.cpu.flags) is None:
        need(pair.a.machine.gpus)
    if not found and known(pair.b.machine.gpus) is None and known(pair.b.machine.cpu.flags) is None:
        need(pair.b.machine.gpus)


def _sides(pair: Comparison, *paths: str) -> tuple[Evidence, ...]:
    """The facts of both sides: paths begin with ``a.`` or ``b.``."""
    rows = []
    for side, case in (("a", pair.a), ("b", pair.b)):
        rows += [Evidence(f"{side}.{e.fact}", e.value, e.source) for e in case.evidence(*paths)]
    return tuple(rows)


def _difference(what: str, fix: str, thing: str, evidence: tuple[Evidence, ...], likely: float) -> Finding:
    return Finding(
        what,
        confidence=Confidence.HIGH,
        effect="the same code and seed give results that are not bit-identical",
        fix=fix,
        verify="kdoctor compare A B",
        evidence=evidence,
        likely=likely,
        thing=thing,
    )


def _models(case: Case) -> tuple[str, ...] | None:
    """The GPUs as their kernels see them: product names without maker and memory size; None where not known."""
    gpus = known(case.machine.gpus)
    if gpus is None:
        return None
    out = []
    for gpu in gpus:
        words = re.sub(r"\b\d+ ?gb\b|\bnvidia\b", " ", (known(gpu.name) or "").lower().replace("-", " "))
        out.append(" ".join(words.split()) or f"compute capability {known(gpu.compute_capability)}")
    return tuple(sorted(out))


def _gpus(pair: Comparison) -> Finding | None:
    a, b = _models(pair.a), _models(pair.b)
    if a is None or b is None or a == b:
        return None
    names = [_names(pair.a), _names(pair.b)]
    what = "the number of GPUs differs" if set(a) == set(b) else "the GPUs differ"
    return _difference(
        f"{what}: {names[0]} and {names[1]}",
        "compare on GPUs of one model and number",
        "gpu",
        _sides(pair, "machine.gpus.0.name", "machine.gpus.0.compute_capability", "machine.gpus.1.name"),
        0.9,
    )


def _names(case: Case) -> str:
    gpus = known(case.machine.gpus) or ()
    labels = [known(g.name) or f"compute capability {known(g.compute_capability)}" for g in gpus]
    counted = [f"{labels.count(n)} × {n}" if labels.count(n) > 1 else n for n in dict.fromkeys(labels)]
    return ", ".join(counted) or "none"


def tf32(case: Case) -> bool | None:
    """Whether float32 products on this GPU are computed in TensorFloat-32; None where that is not known."""
    gpus = known(case.machine.gpus)
    tensorflow = version_of(reqs.tensorflow_version(case))
    if gpus is None:
        return None
    if tensorflow is not None and tensorflow.release[:2] < _TF32_SINCE:
        return False
    capabilities = [known(g.compute_capability) or compute_capability_of(known(g.name)) for g in gpus]
    if any(c is None for c in capabilities):
        return None
    capable = any(c is not None and architecture(c) is not None and at_least(c, "8.0") for c in capabilities)
    environment = known(case.software.environment)
    return capable and (environment or {}).get("NVIDIA_TF32_OVERRIDE") != "0"


def _tf32(pair: Comparison) -> Finding | None:
    a, b = tf32(pair.a), tf32(pair.b)
    if a is None or b is None or a == b:
        return None
    return _difference(
        f"TensorFloat-32 is used on {'the first' if a else 'the second'} side only: products differ by about 1e-3",
        "export NVIDIA_TF32_OVERRIDE=0  # on both sides",
        "tf32",
        _sides(pair, "machine.gpus.0.compute_capability", "software.environment.NVIDIA_TF32_OVERRIDE"),
        0.8,
    )


def _onednn_by_default(case: Case) -> bool | None:
    """Whether this CPU has what oneDNN is switched on for; None where its flags are not known."""
    flags = known(case.machine.cpu.flags)
    if flags is None:
        return None
    row = next((r for r in behaviour_changes("tensorflow", "2.8", "2.9") if r.switch == _ONEDNN_SWITCH), None)
    return bool(set(row.cpu_flags) & set(flags)) if row is not None else None


def onednn(case: Case) -> bool | None:
    """Whether TensorFlow's oneDNN paths are in use; None where that is not known (other systems than Linux too)."""
    tensorflow = version_of(reqs.tensorflow_version(case))
    if tensorflow is None:
        return None
    minor = tensorflow.release[:2]
    if minor < _ONEDNN_SINCE:
        return False
    switch = (known(case.software.environment) or {}).get(_ONEDNN_SWITCH)
    if switch is not None:
        return switch.strip().lower() in _TRUE
    if minor < _ONEDNN_DEFAULT:
        return False
    if reqs.system(case) not in (None, "linux") or reqs.chip(case) not in (None, "x86_64"):
        return None
    return _onednn_by_default(case)


def onednn_by_version(pair: Comparison) -> bool:
    """Whether oneDNN is used on one side only because the TensorFlow versions have other defaults."""
    a, b = onednn(pair.a), onednn(pair.b)
    switches = [(known(c.software.environment) or {}).get(_ONEDNN_SWITCH) for c in (pair.a, pair.b)]
    if a is None or b is None or a == b or switches[0] != switches[1]:
        return False
    cpus = _onednn_by_default(pair.a), _onednn_by_default(pair.b)
    return switches[0] is not None or cpus[0] == cpus[1]


def _onednn_hardware(pair: Comparison) -> Finding | None:
    a, b = onednn(pair.a), onednn(pair.b)
    if a is None or b is None or a == b or onednn_by_version(pair):
        return None
    return _difference(
        f"oneDNN is used on {'the first' if a else 'the second'} side only: float32 products differ in the last bits",
        "export TF_ENABLE_ONEDNN_OPTS=0  # on both sides",
        "onednn",
        _sides(pair, "machine.cpu.model", "machine.cpu.flags", "software.environment.TF_ENABLE_ONEDNN_OPTS"),
        0.7,
    )


def _cpu(pair: Comparison) -> Finding | None:
    a, b = known(pair.a.machine.cpu.flags), known(pair.b.machine.cpu.flags)
    models = known(pair.a.machine.cpu.model), known(pair.b.machine.cpu.model)
    chips = reqs.chip(pair.a), reqs.chip(pair.b)
    if chips[0] is not None and chips[1] is not None and chips[0] != chips[1]:
        what = f"{chips[0]} on one side, {chips[1]} on the other"
    elif a is not None and b is not None:
        one, other = ({f for f in flags if _VECTOR.match(f)} for flags in (a, b))
        if one == other:
            return None
        what = ", ".join(sorted(one ^ other)[:6]) + " on one side only"
    elif models[0] and models[1] and models[0] != models[1]:
        what = f"{models[0]} on one side, {models[1]} on the other"
    else:
        return None
    return _difference(
        f"the CPUs compute with other instructions: {what}",
        "compare on one kind of CPU",
        "cpu",
        _sides(pair, "machine.cpu.model", "machine.cpu.flags", "machine.architecture"),
        0.6,
    )


@rule("KD705", "numerics-version", Severity.INFO, of=Comparison, would_help="kdoctor snapshot TARGET -o FILE")
def numerics_version(pair: Comparison) -> Iterator[Finding]:
    """A version in use is known to change results against the other one.

    Between two versions of Keras or TensorFlow lies a change that makes a seeded run differ: initializers with a seed
    of their own (Keras 2.7), initial weights (2.10), the optimizers (2.11), Keras 3 and its XLA-compiled steps, the
    loss reduction (3.7), shuffling (3.8), oneDNN by default (TensorFlow 2.9). Pairs with no such change between them
    are not named.

    Of minor versions that nobody measured (before 2.4, or newer than the tables) it is said, with low confidence, that
    TensorFlow promises no equal numbers between them.

    ## Why is this bad?
    Comparing results across that boundary measures the framework's change, not yours.

    ## How to fix
    Compare with one version on both sides, or accept new reference results after the step.

    ## References
    Keras and TensorFlow sources and release notes; seeded training runs of TensorFlow 2.4 to 2.21.
    tensorflow.org/guide/versions, what is not covered: random numbers, numerical details.
    """
    applies(not _without_tensorflow(pair), _NOTHING_COMPUTES)
    texts = reqs.tensorflow_version(pair.a), reqs.tensorflow_version(pair.b)
    keras = effective_keras(pair.a), effective_keras(pair.b)
    found = _crossed(pair, texts, keras)
    for package, versions in (("keras", keras), ("tensorflow", texts)):
        rows = [row for row in found if row.package == package]
        if rows:
            yield _changed(pair, rows, versions)
    if not found and _unmeasured(texts):
        yield _unpromised(pair, texts)
    for case, text, own in zip((pair.a, pair.b), texts, keras, strict=True):
        if not found and text is None and own is None:
            need(case.software.tensorflow.version)


def _without_tensorflow(pair: Comparison) -> bool:
    """Whether neither side has TensorFlow or Keras: nothing that these rules know computes there."""
    return all(
        known(section.present) is False
        for case in (pair.a, pair.b)
        for section in (case.software.tensorflow, case.software.keras)
    )


def _unmeasured(texts: Versions) -> bool:
    """Whether the two are different minor versions, one of which no seeded run was made with."""
    pair = [version.release[:2] for text in texts if (version := version_of(text)) is not None]
    newest = tuple(int(part) for part in newest_release().version.split(".")[:2])
    return len(pair) == 2 and pair[0] != pair[1] and any(not _MEASURED_SINCE <= minor <= newest for minor in pair)


def _unpromised(pair: Comparison, texts: Versions) -> Finding:
    return Finding(
        f"TensorFlow {texts[0]} → {texts[1]}: equal numbers under one seed are not promised between minor versions, "
        "and these were not measured",
        confidence=Confidence.LOW,
        effect="a run with the same code and seed may give other numbers",
        fix="compare with one TensorFlow on both sides; to be sure, run: kdoctor compare A B",
        verify="kdoctor compare A B",
        evidence=_sides(pair, "software.tensorflow.version"),
        likely=0.6,
        thing="tensorflow",
    )


def known_changes(pair: Comparison, package: str) -> int:
    """How many known changes of results lie between the two versions of ``keras`` or ``tensorflow``."""
    texts = reqs.tensorflow_version(pair.a), reqs.tensorflow_version(pair.b)
    keras = effective_keras(pair.a), effective_keras(pair.b)
    return sum(row.package == package for row in _crossed(pair, texts, keras))


def _crossed(pair: Comparison, texts: Versions, keras: Versions) -> list[BehaviourChange]:
    rows: list[BehaviourChange] = []
    if keras[0] and keras[1]:
        rows += [row for row in behaviour_changes("keras", keras[0], keras[1]) if row.affects_same_seed]
    if texts[0] and texts[1]:
        rows += [
            row for row in behaviour_changes("tensorflow", texts[0], texts[1]) if _tensorflow_change(pair, row, keras)
        ]
    return rows


def effective_keras(case: Case) -> str | None:
    """The Keras that ``tf.keras`` is: tf-keras under the legacy switch, the installed one, or TensorFlow's own."""
    legacy = case.package("tf-keras")
    if known(case.software.keras.legacy) and legacy is not None:
        return known(legacy.version)
    package = case.package("keras")
    release = tensorflow_release(reqs.tensorflow_version(case))
    if release is not None and release.keras.kind == "bundled-in-tensorflow":
        return release.version
    told = (known(package.version) if package else None) or known(case.software.keras.version)
    if told is None and release is not None and release.keras.major == 2:
        return release.version
    return told


def _tensorflow_change(pair: Comparison, row: BehaviourChange, keras: Versions) -> bool:
    if row.id == "op-determinism":
        # It concerned kernels for GPUs.
        return not (known(pair.a.machine.gpus) == () and known(pair.b.machine.gpus) == ())
    if not row.affects_same_seed:
        return False
    if row.switch == _ONEDNN_SWITCH:
        told = onednn(pair.a) is not None and onednn(pair.b) is not None
        return onednn_by_version(pair) if told else _switch_is_free(pair)
    if row.id.startswith("keras3"):
        # Who stays on Keras 2 by way of tf-keras, or on Keras 3, does not cross this line.
        majors = {text.partition(".")[0] for text in keras if text is not None}
        return len(majors) > 1 or None in keras
    return True


def _switch_is_free(pair: Comparison) -> bool:
    return not any(_ONEDNN_SWITCH in (known(c.software.environment) or {}) for c in (pair.a, pair.b))


def _changed(pair: Comparison, rows: list[BehaviourChange], versions: Versions) -> Finding:
    name = "Keras" if rows[0].package == "keras" else "TensorFlow"
    number = "a change" if len(rows) == 1 else f"{len(rows)} changes"
    effect = "a run with the same code and seed gives other numbers where it uses what changed"
    if pair.drift is not None and pair.drift["class"] == "bitwise":
        effect += "; the canary, a Dense training, does not"
    return Finding(
        f"{name} {versions[0]} → {versions[1]} crosses {number} known to alter a seeded run",
        effect=effect,
        fix=f"compare with one {name} on both sides, or take new reference results",
        verify="kdoctor compare A B",
        evidence=(
            *(Evidence(f"{name} {row.after} ({row.id})", row.effect, KNOWN_CHANGE) for row in rows),
            *_sides(pair, f"software.{rows[0].package}.version"),
        ),
        likely=0.8,
        thing=rows[0].package,
    )
