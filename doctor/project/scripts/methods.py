"""Methods of models and of things around them: add, compile, fit, and what records their results."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from doctor.project.scripts import library, loops, losses, watched
from doctor.project.scripts.graph import differs_in_training
from doctor.project.scripts.state import Fit, Run
from doctor.project.scripts.values import (
    UNKNOWN,
    Layers,
    Method,
    Model,
    Sequence,
    Tensor,
    Thing,
    Value,
    constant,
)

if TYPE_CHECKING:
    from doctor.project.scripts.calls import Arguments

_FITS = frozenset({"fit", "fit_generator"})
_STEPS = frozenset({"train_on_batch"})
_APPLIES = frozenset({"apply_gradients", "minimize", "apply"})
_FIT_WORDS = frozenset({"epochs", "validation_data", "validation_split", "callbacks", "steps_per_epoch", "nb_epoch"})
_RECORDING = frozenset(
    {"keras.callbacks.CSVLogger", "keras.callbacks.TensorBoard", "keras.callbacks.RemoteMonitor",
     "keras.callbacks.History"}
)  # fmt: skip
_SILENT = frozenset(
    {
        "keras.callbacks.EarlyStopping", "keras.callbacks.ModelCheckpoint", "keras.callbacks.ReduceLROnPlateau",
        "keras.callbacks.LearningRateScheduler", "keras.callbacks.TerminateOnNaN", "keras.callbacks.BackupAndRestore",
        "keras.callbacks.ProgbarLogger", "keras.callbacks.SwapEMAWeights", "keras.callbacks.BaseLogger",
    }
)  # fmt: skip
_WRITING = frozenset(
    {"to_csv", "to_json", "to_excel", "to_parquet", "to_pickle", "write_text", "write", "writerow", "writerows",
     "log_metric", "log_metrics", "add_scalar", "info", "debug", "log", "scalar", "insert", "commit", "to_sql"}
)  # fmt: skip


def call(run: Run, node: ast.Call, callee: Method, arguments: Arguments) -> Value:
    """A method of something that the script did not define is called."""
    owner, name = callee.owner, callee.name
    if isinstance(owner, Model):
        return _of_model(run, node, owner, name, arguments)
    if isinstance(owner, Sequence) and name in ("append", "extend", "insert"):
        return _grow(owner, name, arguments)
    if isinstance(owner, Layers):
        return UNKNOWN if name != "get_layer" else owner
    if name in _FITS and isinstance(node.func, ast.Attribute):
        if name == "fit_generator" or (arguments.named.keys() & _FIT_WORDS):
            _fit(run, node, owner, arguments)
    elif name in _STEPS:
        _step(run, node, owner)
    elif name == "gradient" and isinstance(owner, Thing):
        _gradient(run, node, owner)
    elif name in _APPLIES:
        _applied(run, node, name, owner)
    elif name in _WRITING:
        run.wrote = run.tick()
    elif name == "search" and "epochs" in arguments.named:
        _searched(run, node)
    if name in watched.METHODS:
        _watched_method(run, node, owner, name)
    if name in ("run", "experimental_run_v2") and arguments.positional:
        return UNKNOWN
    for value in arguments.positional:
        if isinstance(value, Model) and name == "append":
            value.kept = True
    if run.tapes and isinstance(node.func, ast.Attribute):
        _under_tape(run, node, name, owner, arguments)
    library.by_name(run, node, name, name) if not isinstance(owner, Thing) else None
    tensors = tuple(value for value in arguments.positional if isinstance(value, Tensor))
    if isinstance(owner, Tensor):
        return Tensor(UNKNOWN, (owner, *tensors))
    return Tensor(UNKNOWN, tensors) if tensors else UNKNOWN


def _watched_method(run: Run, node: ast.Call, owner: Value, name: str) -> None:
    if isinstance(owner, Model) and owner.of is not None and owner.of.method(name) is not None:
        return
    if any(name in one.methods for one in run.classes):
        return
    if name in ("predict_proba", "reset_states", "to_yaml") and not isinstance(owner, Model):
        receiver = ast.unparse(node.func.value) if isinstance(node.func, ast.Attribute) else ""
        layer_or_metric = isinstance(owner, Thing) and owner.kind.startswith("keras.metrics.")
        keras_name = name == "reset_states" and any(w in receiver.lower() for w in ("model", "metric", "loss", "acc"))
        if not (layer_or_metric or keras_name):
            return
    watched.note_method(run, name, node)


def _grow(owner: Sequence, name: str, arguments: Arguments) -> Value:
    for value in arguments.positional:
        if isinstance(value, Model):
            value.kept = True
    if name == "append" and len(arguments.positional) == 1:
        owner.items.append(arguments.positional[0])
    elif name == "extend" and len(arguments.positional) == 1 and isinstance(arguments.positional[0], Sequence):
        owner.items += arguments.positional[0].items
    else:
        owner.complete = False
    return UNKNOWN


def _of_model(run: Run, node: ast.Call, model: Model, name: str, arguments: Arguments) -> Value:
    if name in ("fit", "predict", "evaluate", "save", "compile"):
        watched.note_arguments(run, f"keras.Model.{name}", _refused(node.keywords), None)
    if name in ("save", "save_weights"):
        path = constant(arguments.get("filepath", 0))
        watched.note_file(run, f"keras.Model.{name}", path, node, None)
    if name in watched.METHODS:
        _watched_method(run, node, model, name)
    if name == "add":
        if run.branch > model.branch:
            model.certain = False
        model.layers += arguments.positional[:1]
        for part in arguments.positional[:1]:
            if isinstance(part, Model):
                part.used_in += 1
        loops.restructured(run, model, node, "add")
    elif name == "pop":
        if model.layers:
            model.layers.pop()
        loops.restructured(run, model, node, "pop")
    elif name == "compile":
        _compile(run, node, model, arguments)
    elif name in _FITS:
        return _fit(run, node, model, arguments)
    elif name in _STEPS:
        _step(run, node, model)
    elif name == "get_layer":
        return Layers(model)
    elif name == "call":
        if run.tapes and not arguments.says_training():
            run.tapes[-1].append((node, model))
        return Tensor(model)
    elif name == "load_weights":
        pass
    return UNKNOWN


def _refused(keywords: list[ast.keyword]) -> list[ast.keyword]:
    """The arguments without ``save_format="h5"``, which is still taken."""
    return [k for k in keywords if k.arg != "save_format" or not _is_h5(k.value)]


def _is_h5(node: ast.expr) -> bool:
    return not isinstance(node, ast.Constant) or node.value in ("h5", "keras", "hdf5")


def _compile(run: Run, node: ast.Call, model: Model, arguments: Arguments) -> None:
    model.compiled = True
    model.change = None
    model.loss = arguments.get("loss", 1) or UNKNOWN
    if arguments.complete or "loss" in arguments.named:
        losses.check_compile(run, model, model.loss, node)


def _fit(run: Run, node: ast.Call, model: Value, arguments: Arguments) -> Value:
    callbacks = arguments.get("callbacks", 5)
    known, complete = _callbacks(callbacks, arguments)
    kept = not complete or any(cb.kind in _RECORDING or cb.kind not in _SILENT for cb in known)
    run.flag("trains", node, how="fit", order=run.tick())
    if run.reached:
        run.fits.append(Fit(node, arguments.discarded, arguments.name, kept, run.tick()))
    checkpoint = not complete or any(
        cb.kind not in _SILENT | _RECORDING or cb.kind.endswith("ModelCheckpoint") for cb in known
    )
    for cb in known:
        if cb.kind == "keras.callbacks.EarlyStopping":
            run.early_stops.append((cb, checkpoint))
    if isinstance(model, Model):
        losses.check_labels(run, model, arguments.get("y", 1), node)
    loops.trained(run, model)
    return UNKNOWN


def _callbacks(value: Value | None, arguments: Arguments) -> tuple[list[Thing], bool]:
    """The callbacks of a fit, and whether these are all."""
    if value is None or (constant(value) is None and type(value).__name__ == "Const"):
        return [], arguments.complete
    if isinstance(value, Thing):
        return [value], True
    if isinstance(value, Sequence):
        known = [item for item in value.items if isinstance(item, Thing)]
        return known, value.complete and len(known) == len(value.items)
    return [], False


def _step(run: Run, node: ast.Call, model: Value) -> None:
    run.flag("trains", node, how="train_on_batch", order=run.tick())
    loops.trained(run, model)


def _searched(run: Run, node: ast.Call) -> None:
    """A tuner trains, and keeps what it measured in its own folder."""
    run.flag("trains", node, how="search", order=run.tick())


def _applied(run: Run, node: ast.Call, name: str, owner: Value) -> None:
    """Gradients are applied: what was called under the tapes that gave them was called to train."""
    receiver = ast.unparse(node.func.value) if isinstance(node.func, ast.Attribute) else ""
    optimizer = isinstance(owner, Thing) and owner.kind.startswith("keras.optimizers.")
    if name != "apply_gradients" and not optimizer and "opt" not in receiver.lower():
        return
    run.flag("trains", node, how="gradient-tape", order=run.tick())
    if any(keyword.arg == "tape" for keyword in node.keywords):
        run.graded += [one for calls in run.under_tape.values() for one in calls]
    calls, run.graded = run.graded, []
    for place, model in calls:
        differs = differs_in_training(model)
        if differs is None and type(model) is Value and not _called_like_a_model(place):
            continue
        if differs or (differs is None and (_is_foreign(model) or run.has_training_layer)):
            run.note("call-without-training", place, known=bool(differs))
        loops.trained(run, model)


def _gradient(run: Run, node: ast.Call, tape: Thing) -> None:
    """Gradients are taken: with respect to weights, the calls under that tape may have been made to train."""
    wanted = node.args[1] if len(node.args) > 1 else None
    wanted = next((keyword.value for keyword in node.keywords if keyword.arg == "sources"), wanted)
    text = ast.unparse(wanted).lower() if wanted is not None else ""
    if any(word in text for word in ("variable", "weight", "param", "vars")):
        run.graded += run.under_tape.pop(id(tape), [])


def _is_foreign(model: Value) -> bool:
    """Whether a model comes from a file or from a module elsewhere: it may have layers of any kind."""
    return isinstance(model, Model) and model.of is None and not model.layers and not model.outputs


def _called_like_a_model(node: ast.Call) -> bool:
    """Whether what is called and nobody knows has a model's name."""
    name = ast.unparse(node.func).rpartition(".")[2].lower()
    return any(
        word in name for word in ("model", "net", "discriminator", "generator", "classifier", "encoder", "decoder")
    )


def _under_tape(run: Run, node: ast.Call, name: str, owner: Value, arguments: Arguments) -> None:
    """A method of something unknown called under a tape (``self.model(x)``)."""
    if type(owner) is Value and not arguments.says_training():
        run.tapes[-1].append((node, UNKNOWN))
