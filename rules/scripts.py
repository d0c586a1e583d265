"""Training scripts that cannot be repeated, or may train on the CPU unnoticed: seeds, determinism, the GPU."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import UNSET, UnsetType

from doctor.model.facts import applies, known
from doctor.model.report import Change, Confidence
from doctor.rule import Case, Finding, Severity, rule

from .script_rows import SCAN, Row, facts, finding, first, on_tensorflow, training, where
from .tables.versions import at_least


@rule("KD701", "seed-unset", Severity.INFO, would_help=SCAN)
def seed_unset(case: Case) -> Iterator[Finding]:
    """A training script sets no seed.

    ## Why is this bad?
    Initial weights, dropout, shuffling and augmentation are drawn anew on each run. Two runs differ by as much as many
    changes that people make on purpose, and a result cannot be repeated.

    ## Example
    ```python
    model = keras.Sequential([...])
    model.fit(x, y)
    ```
    Use instead:
    ```python
    keras.utils.set_random_seed(42)  # Python's, NumPy's and TensorFlow's
    model = keras.Sequential([...])
    model.fit(x, y)
    ```

    ## How to fix
    `keras.utils.set_random_seed(42)` before anything is drawn (`tf.random.set_seed`, `np.random.seed` and
    `random.seed` before TensorFlow 2.7).

    ## How it is judged
    Scripts that train when they are run, not modules that only define functions. A seed that an imported module of the
    project sets counts, and so does a helper with `seed` in its name. A seed for NumPy or Python alone does not: the
    weights and the shuffling are TensorFlow's.

    ## References
    keras.io, `keras.utils.set_random_seed`; TensorFlow, `tf.random.set_seed`.
    """
    for row in training(case):
        fact = first(row, "seed-unset")
        if fact is None:
            continue
        others = [str(name) for name in fact.get("others") or ()]
        named = {"numpy": "NumPy", "python": "Python", "torch": "PyTorch"}
        some = " and ".join(named.get(name, name) for name in others)
        yield finding(
            row,
            fact,
            f"{where(row, fact)} trains with a seed for {some} only, none for TensorFlow"
            if others
            else f"{where(row, fact)} trains without a seed",
            effect="two runs give two results",
            fix=f"{_seeding(case, row)} before the model is built",
            confidence=Confidence.MEDIUM if others else Confidence.HIGH,
            change=_seed(case),
        )


def _seed(case: Case) -> Change | UnsetType:
    version = known(case.software.tensorflow.version)
    if version is None or not at_least(version, "2.7"):
        return UNSET
    return Change("seed", "keras.utils.set_random_seed", "42", "any number will do, as long as it stays")


def _seeding(case: Case, row: Row) -> str:
    version = known(case.software.tensorflow.version)
    if version is not None and not at_least(version, "2.7"):
        return "random.seed(42), np.random.seed(42) and tf.random.set_seed(42)"
    return ("tf.keras" if "tf.keras" in (row.get("keras") or ()) else "keras") + ".utils.set_random_seed(42)"


@rule("KD702", "op-determinism-off", Severity.INFO, would_help=SCAN)
def op_determinism_off(case: Case) -> Iterator[Finding]:
    """A training script does not ask TensorFlow for deterministic operations.

    ## Why is this bad?
    On a GPU sums are added in an order that changes from run to run, and so do the last bits of gradients; after some
    epochs the weights differ, under one seed too.

    ## Example
    ```python
    keras.utils.set_random_seed(42)
    ```
    Use instead:
    ```python
    keras.utils.set_random_seed(42)
    tf.config.experimental.enable_op_determinism()
    ```

    ## How to fix
    `tf.config.experimental.enable_op_determinism()` at the beginning (TensorFlow 2.8 and later), or
    `TF_DETERMINISTIC_OPS=1` in the environment. It costs speed: use it where results must be repeated.

    ## How it is judged
    Scripts that train on TensorFlow. What an imported module of the project sets counts, and so does the variable in
    the environment that is judged, or in a Dockerfile, a compose file or the `.env` of the project. Scripts for TPUs
    are left alone.

    ## References
    TensorFlow, `tf.config.experimental.enable_op_determinism`; NVIDIA framework-reproducibility.
    """
    rows = [row for row in training(case) if on_tensorflow(case, row)]
    applies(bool(rows), "no script trains on TensorFlow")
    environment = known(case.software.environment) or {}
    said = [environment.get("TF_DETERMINISTIC_OPS"), *_set_in_files(case, "TF_DETERMINISTIC_OPS")]
    if any(str(value or "").lower() in ("1", "true") for value in said):
        return
    version = known(case.software.tensorflow.version)
    old = version is not None and not at_least(version, "2.8")
    for row in rows:
        fact = first(row, "determinism-unset")
        if fact is not None:
            yield finding(
                row,
                fact,
                f"{where(row, fact)} does not ask for deterministic operations",
                effect="on a GPU two runs under one seed differ",
                fix="TF_DETERMINISTIC_OPS=1 in the environment"
                if old
                else "tf.config.experimental.enable_op_determinism() beside the seed",
                likely=0.1,
                change=Change("environment", "TF_DETERMINISTIC_OPS", "1", "deterministic operations, at some speed"),
            )


def _set_in_files(case: Case, name: str) -> list[object]:
    """The values that files of the project give a variable: Dockerfiles, compose files, ``.env``."""
    return [row.get("value") for row in known(case.project.environment) or () if row.get("name") == name]


@rule("KD710", "seed-late", Severity.INFO, follows=(), would_help=SCAN)
def seed_late(case: Case) -> Iterator[Finding]:
    """The seed is set after the model is built.

    ## Why is this bad?
    The initial weights are drawn when the model is built: they are not under the seed, and no two runs begin alike.

    ## Example
    ```python
    model = keras.Sequential([keras.Input((8,)), layers.Dense(1)])
    keras.utils.set_random_seed(42)
    model.fit(x, y)
    ```
    Use instead:
    ```python
    keras.utils.set_random_seed(42)
    model = keras.Sequential([keras.Input((8,)), layers.Dense(1)])
    model.fit(x, y)
    ```

    ## How to fix
    Set the seed first, right after the imports.

    ## How it is judged
    In the order in which the script runs, functions followed where they are called. Ready-made weights that are loaded
    are not drawn.
    """
    for row in training(case):
        for fact in list(facts(row, "seed-late"))[:1]:
            yield finding(
                row,
                fact,
                f"{where(row, fact)} sets the seed after the model is built (line {fact.get('model_line')})",
                effect="the initial weights are not under the seed",
                fix="set the seed before the model is built, right after the imports",
            )


@rule("KD711", "gpu-check-absent", Severity.INFO, would_help=SCAN)
def gpu_check_absent(case: Case) -> Iterator[Finding]:
    """A script trains without checking that TensorFlow sees the GPU.

    ## Why is this bad?
    Where a driver or a CUDA library is missing, TensorFlow logs one line and trains on the CPU. Nobody notices until
    the bill or the deadline.

    ## Example
    ```python
    model.fit(dataset, epochs=50)
    ```
    Use instead:
    ```python
    if not tf.config.list_physical_devices("GPU"):
        raise SystemExit("TensorFlow sees no GPU")
    model.fit(dataset, epochs=50)
    ```

    ## How to fix
    Stop, or at least say so, where `tf.config.list_physical_devices("GPU")` is empty.

    ## How it is judged
    Any call that lists devices, a distribution strategy, `tf.device("/GPU:0")`, or a helper with `gpu` or `device` in
    its name counts as a check. Scripts that choose the CPU are left alone, and so is everything where no GPU is meant
    (`expects.gpu` is false). `nvidia-smi` does not count: it sees the GPU where TensorFlow does not.
    """
    applies(known(case.snapshot.expects.gpu) is not False, "no GPU is meant to be used (expects.gpu)")
    rows = [row for row in training(case) if on_tensorflow(case, row)]
    applies(bool(rows), "no script trains on TensorFlow")
    for row in rows:
        fact = first(row, "gpu-check-unset")
        if fact is not None:
            yield finding(
                row,
                fact,
                f"{where(row, fact)} trains without checking that TensorFlow sees a GPU",
                effect="without one it trains on the CPU, silently",
                fix='stop where tf.config.list_physical_devices("GPU") is empty',
                likely=0.1,
            )
