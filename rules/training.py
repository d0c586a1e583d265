"""Mistakes in how a script trains: loss and activation, changes after compile, models in loops, lost results."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.model.report import Change, Confidence
from doctor.rule import Case, Finding, Severity, rule

from .script_rows import SCAN, Row, facts, finding, more_places, scripts, training, where

_PROBABILITIES = "the loss is computed from what are no probabilities"


@rule("KD712", "loss-activation-mismatch", Severity.WARNING, would_help=SCAN)
def loss_activation_mismatch(case: Case) -> Iterator[Finding]:
    """The output's activation and the loss do not belong together.

    ## Why is this bad?
    The script runs, the loss falls, and the model learns something else, or less: sigmoids are normalised as if they
    were one distribution, a softmax is taken twice, a logarithm is taken of numbers that are no probabilities.

    ## Example
    ```python
    layers.Dense(10, activation="sigmoid")
    model.compile(loss="categorical_crossentropy")
    ```
    Use instead:
    ```python
    layers.Dense(10, activation="softmax")
    model.compile(loss="categorical_crossentropy")
    ```

    ## How to fix
    One class of many: `softmax` with (sparse) categorical cross-entropy. Two classes, or several labels at once:
    `sigmoid` with binary cross-entropy. No activation at all: the same losses with `from_logits=True`.

    ## How it is judged
    Only where the last layer, its activation and the loss are all certain: sigmoid with categorical cross-entropy,
    softmax with binary cross-entropy, a softmax of one unit, a loss with `from_logits=True` on sigmoid or softmax, a
    loss without it on an output without activation (or relu, tanh); and one-hot labels with a sparse loss, or integer
    labels with a categorical one. The same in many places of one script is one finding.

    ## References
    keras.io, Probabilistic losses.
    """
    for row in scripts(case):
        for same in _alike(facts(row, "loss-activation")):
            fact = same[0]
            what, fix = _mismatch(fact)
            yield finding(
                row,
                fact,
                f"{where(row, fact)}: {what}{more_places(same)}",
                effect=_PROBABILITIES if fact.get("why") == "no-probabilities" else "the model learns something else",
                fix=fix,
                thing=f"{fact.get('activation')}+{fact.get('loss')}",
                likely=0.5,
            )
        for fact in facts(row, "loss-labels"):
            onehot = fact.get("labels") == "onehot"
            yield finding(
                row,
                fact,
                f"{where(row, fact)}: {fact.get('loss')} with labels that are {'one-hot' if onehot else 'integers'}",
                effect="training fails, or compares unlike things",
                fix="loss='categorical_crossentropy'" if onehot else "loss='sparse_categorical_crossentropy'",
                thing=f"labels+{fact.get('loss')}",
                likely=0.5,
            )


def _alike(found: Iterator[Row]) -> Iterator[list[Row]]:
    """Facts of one script that say the same of several places, together."""
    groups: dict[tuple[object, ...], list[Row]] = {}
    for fact in found:
        key = tuple(fact.get(name) for name in ("activation", "loss", "why", "units"))
        groups.setdefault(key, []).append(fact)
    yield from groups.values()


def _mismatch(fact: Row) -> tuple[str, str]:
    """What does not belong together, and what would."""
    activation, loss, units = fact.get("activation"), fact.get("loss"), fact.get("units")
    shown = "no activation" if activation == "linear" else f"activation {activation}"
    if fact.get("why") == "softmax-of-one":
        return "a softmax of one unit is always 1", 'activation="sigmoid" for one unit, with binary cross-entropy'
    if fact.get("why") == "logits-of-probabilities":
        return f"{loss} with from_logits=True on an output with {shown}", "drop the activation, or from_logits=True"
    if fact.get("why") == "no-probabilities":
        fitting = "sigmoid" if loss == "binary_crossentropy" else "softmax"
        return f"{loss} on an output with {shown}", f'from_logits=True in the loss, or activation="{fitting}"'
    if fact.get("why") == "sigmoid-with-categorical":
        if units == 1:
            return f"{loss} on one sigmoid", 'loss="binary_crossentropy"'
        return f"{loss} on sigmoids", 'activation="softmax", or loss="binary_crossentropy" for several labels at once'
    return f"{loss} on a softmax", 'activation="sigmoid", or categorical cross-entropy for one class of many'


@rule("KD713", "changed-after-compile", Severity.INFO, would_help=SCAN)
def changed_after_compile(case: Case) -> Iterator[Finding]:
    """A model is changed after `compile`, trained, and not compiled again.

    ## Why is this bad?
    What `trainable` says is taken over when the model is compiled: layers that were frozen or thawed later may go on
    as before, without a word.

    ## Example
    ```python
    model.compile(optimizer="adam", loss="mse")
    base.trainable = True
    model.fit(x, y)
    ```
    Use instead:
    ```python
    base.trainable = True
    model.compile(optimizer=keras.optimizers.Adam(1e-5), loss="mse")
    model.fit(x, y)
    ```

    ## How to fix
    Call `compile` again after the change.

    ## How it is judged
    Changes of `trainable` and of layers between `compile` and a later `fit` of the same model. The discriminator of a
    GAN, which is frozen inside another model on purpose, is left alone.

    ## References
    keras.io, Transfer learning and fine-tuning.
    """
    for row in scripts(case):
        found = list(facts(row, "changed-after-compile"))
        for fact in found[:1]:
            change = fact.get("change")
            what = f"{change} is set" if change not in ("add", "pop") else f"{change}() is called"
            yield finding(
                row,
                fact,
                f"{where(row, fact)}: {what} after compile, and the model is trained without another compile"
                + more_places(found),
                effect="the change may not take effect",
                fix="call compile again after the change, before fit",
                thing=str(change),
            )


@rule("KD714", "session-not-cleared", Severity.INFO, would_help=SCAN)
def session_not_cleared(case: Case) -> Iterator[Finding]:
    """Models are built and trained in a loop without `clear_session`.

    ## Why is this bad?
    Keras keeps state of every model that was built: memory grows with each turn until a long search or
    cross-validation is killed, and the names of layers count on, so that weights saved by name do not fit.

    ## Example
    ```python
    for train, test in folds:
        model = build_model()
        model.fit(x[train], y[train])
    ```
    Use instead:
    ```python
    for train, test in folds:
        keras.backend.clear_session()
        model = build_model()
        model.fit(x[train], y[train])
    ```

    ## How to fix
    `keras.backend.clear_session()` at the beginning of the loop's body.

    ## How it is judged
    Loops in which a model is both built and trained; not where the models are kept in a list, as for an ensemble, nor
    where the session is cleared after the loop.
    """
    for row in scripts(case):
        for fact in list(facts(row, "model-in-loop"))[:1]:
            yield finding(
                row,
                fact,
                f"{where(row, fact)} builds a model in each turn of a loop and never clears the session",
                effect="memory grows with each turn",
                fix="keras.backend.clear_session() at the beginning of the loop's body",
            )


@rule("KD716", "metrics-unrecorded", Severity.INFO, would_help=SCAN)
def metrics_unrecorded(case: Case) -> Iterator[Finding]:
    """Training whose metrics are kept nowhere.

    ## Why is this bad?
    What `fit` measured is on the screen and then gone: nobody can say later how this model was trained, or when it
    began to overfit, and no two runs can be compared.

    ## Example
    ```python
    model.fit(x, y, epochs=50)
    ```
    Use instead:
    ```python
    model.fit(x, y, epochs=50, callbacks=[keras.callbacks.CSVLogger("history.csv")])
    ```

    ## How to fix
    A `CSVLogger` or `TensorBoard` callback, an experiment tracker, or keep what `fit` returns and write it to a file.

    ## How it is judged
    Where the result of every `fit` is thrown away, no callback could record it, no tracker is in use, and nothing is
    written after training.
    """
    for row in training(case):
        for fact in list(facts(row, "metrics-unrecorded"))[:1]:
            unused = fact.get("assigned")
            yield finding(
                row,
                fact,
                f"{where(row, fact)}: what fit measures is kept nowhere"
                + (f" ({unused} is never used)" if unused else ""),
                effect="runs cannot be compared later",
                fix='callbacks=[keras.callbacks.CSVLogger("history.csv")]',
                confidence=Confidence.MEDIUM,
                likely=0.1,
            )


@rule("KD717", "training-flag-missing", Severity.INFO, would_help=SCAN)
def training_flag_missing(case: Case) -> Iterator[Finding]:
    """A custom training loop calls the model without `training=True`.

    ## Why is this bad?
    Called like this, a model is in inference mode: dropout drops nothing, and batch normalisation neither uses the
    batch's statistics nor learns its own.

    ## Example
    ```python
    with tf.GradientTape() as tape:
        predictions = model(images)
    ```
    Use instead:
    ```python
    with tf.GradientTape() as tape:
        predictions = model(images, training=True)
    ```

    ## How to fix
    Pass `training=True` in the step that trains, `training=False` in the one that tests.

    ## How it is judged
    Calls under a tape whose gradients are applied, of models that have such layers, or of which that is not known.
    Models known to have none are left alone.

    ## References
    keras.io, Writing a training loop from scratch.
    """
    for row in scripts(case):
        found = list(facts(row, "call-without-training"))
        for fact in found[:1]:
            sure = fact.get("known") is True
            yield finding(
                row,
                fact,
                f"{where(row, fact)}: the model is called without training=True in a loop that trains it"
                + more_places(found),
                effect="dropout and batch normalisation are off" if sure else "dropout and the like would be off",
                fix="pass training=True in the training step",
                confidence=Confidence.HIGH if sure else Confidence.MEDIUM,
            )


@rule("KD718", "best-weights-lost", Severity.INFO, would_help=SCAN)
def best_weights_lost(case: Case) -> Iterator[Finding]:
    """Early stopping keeps the last weights, not the best, and no checkpoint has them either.

    ## Why is this bad?
    Training stops `patience` epochs after the best one: the model that is left is that many epochs past it.

    ## Example
    ```python
    keras.callbacks.EarlyStopping(patience=10)
    ```
    Use instead:
    ```python
    keras.callbacks.EarlyStopping(patience=10, restore_best_weights=True)
    ```

    ## How to fix
    `restore_best_weights=True`, or a `ModelCheckpoint` with `save_best_only=True` beside it.

    ## How it is judged
    Where all callbacks of the `fit` are known.
    """
    for row in training(case):
        for fact in facts(row, "best-weights-lost"):
            yield finding(
                row,
                fact,
                f"{where(row, fact)}: early stopping without restore_best_weights, and no checkpoint",
                effect="the model is that of the last epoch, not of the best",
                fix="restore_best_weights=True",
                change=Change("keyword", "restore_best_weights", "True", "the weights of the best epoch"),
            )
