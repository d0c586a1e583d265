"""What calls of TensorFlow, Keras and others do, as far as a fact hangs on it."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from doctor.project.scripts import loops, losses, watched
from doctor.project.scripts.building import layer_from, model_from
from doctor.project.scripts.names import flavor, kind
from doctor.project.scripts.state import Run
from doctor.project.scripts.values import (
    OPERATION,
    UNKNOWN,
    Const,
    Labels,
    Mapping,
    Model,
    Sequence,
    Tensor,
    Thing,
    Value,
    constant,
)

if TYPE_CHECKING:
    from doctor.project.scripts.calls import Arguments

_SEEDS = {
    "tensorflow.random.set_seed": "tensorflow",
    "tensorflow.set_random_seed": "tensorflow",
    "tensorflow.random.set_random_seed": "tensorflow",
    "tensorflow.compat.v1.set_random_seed": "tensorflow",
    "tensorflow.compat.v1.random.set_random_seed": "tensorflow",
    "keras.utils.set_random_seed": "tensorflow",
    "numpy.random.seed": "numpy",
    "random.seed": "python",
    "torch.manual_seed": "torch",
}
_GPU_CHECKS = (
    "list_physical_devices", "list_logical_devices", "is_gpu_available", "gpu_device_name", "list_local_devices",
    "get_visible_devices", "is_built_with_cuda", "num_gpus", "list_devices", "get_device_details", "list_gpus",
    "device_count", "TPUClusterResolver",
)  # fmt: skip
_TRACKERS = frozenset(
    {
        "wandb", "mlflow", "neptune", "comet_ml", "clearml", "aim", "sacred", "tensorboardX", "dvclive", "azureml",
        "trains", "guild", "polyaxon", "optuna", "ray", "keras_tuner", "kerastuner", "swanlab", "trackio",
    }
)  # fmt: skip
_WRITERS = frozenset(
    {
        "json.dump", "pickle.dump", "joblib.dump", "csv.writer", "csv.DictWriter", "numpy.save", "numpy.savez",
        "numpy.savetxt", "yaml.dump", "yaml.safe_dump", "tensorflow.summary.scalar", "logging.info", "logging.warning",
        "logging.FileHandler", "torch.save", "tensorflow.io.gfile.GFile", "tensorflow.io.write_file",
        "numpy.savez_compressed",
    }
)  # fmt: skip
_PLACE_OF_RESTORE = 6  # among the positional arguments of EarlyStopping
_STRATEGIES = ("MirroredStrategy", "TPUStrategy", "MultiWorkerMirroredStrategy")


def call(run: Run, node: ast.Call, name: str, arguments: Arguments) -> Value:
    """A call of something imported, by its dotted name as written."""
    what = kind(name)
    top = name.partition(".")[0]
    seed = _SEEDS.get(what) or _SEEDS.get(name)
    if seed is not None:
        _seeded(run, node, seed, what)
        return UNKNOWN
    if top in ("tensorflow", "keras", "tf_keras"):
        return _call_keras(run, node, name, what, arguments)
    _call_other(run, node, name, arguments)
    return UNKNOWN


def _seeded(run: Run, node: ast.Call, of: str, name: str) -> None:
    order = run.tick()
    if of == "tensorflow" and run.reached and "seed" not in run.flags and run.first_model is not None:
        run.late.append((node, {"call": name, "model_line": run.place(run.first_model[1])["line"]}, order))
    run.flag("seed" if of == "tensorflow" else f"seed-{of}", node, call=name, order=order)


def _call_keras(run: Run, node: ast.Call, name: str, what: str, arguments: Arguments) -> Value:
    last = what.rpartition(".")[2]
    if what.startswith("keras.layers."):
        watched.note_arguments(run, what, node.keywords, flavor(name))
        return layer_from(run, node, last, arguments)
    if what in ("keras.Model", "keras.Sequential") or what.startswith("keras.applications."):
        watched.note_arguments(run, what, node.keywords, flavor(name))
        return model_from(run, node, what, arguments)
    if what == "keras.Input":
        return layer_input()
    if what.startswith("keras.optimizers.") and last[:1].isupper():
        watched.note_arguments(run, "keras.optimizers", node.keywords, flavor(name))
        return Thing("keras.optimizers." + last, dict(arguments.named), node)
    if what.startswith("keras.callbacks."):
        watched.note_arguments(run, what, node.keywords, flavor(name))
        if last == "ModelCheckpoint":
            weights = arguments.get("save_weights_only")
            if weights is None or isinstance(constant(weights), bool):
                path = constant(arguments.get("filepath", 0))
                watched.note_file(run, what, path, node, flavor(name), weights=bool(constant(weights)))
        options = dict(arguments.named)
        restore = arguments.get("restore_best_weights", _PLACE_OF_RESTORE)
        if last == "EarlyStopping" and restore is not None:
            options["restore_best_weights"] = restore
        return Thing(what, options, node, arguments.complete)
    if what.startswith("keras.losses."):
        return losses.loss_from(run, node, last, arguments)
    if what.startswith("keras.metrics."):
        return Thing(what, dict(arguments.named), node)
    if last == "clear_session" or name.endswith("reset_default_graph"):
        loops.cleared(run)
        return UNKNOWN
    if what.startswith("keras.models."):
        if last == "load_model":
            path = constant(arguments.get("filepath", 0))
            watched.note_file(run, "keras.models.load_model", path, node, flavor(name))
        return _models_section(last, run, node)
    if what.startswith("keras.datasets.") and last == "load_data":
        return Sequence([Sequence([UNKNOWN, Labels("integers")]), Sequence([UNKNOWN, Labels("integers")])])
    if last in ("to_categorical", "one_hot"):
        return Labels("onehot")
    return _call_tensorflow(run, node, what, last, arguments)


def layer_input() -> Tensor:
    """The beginning of a functional model."""
    return Tensor(OPERATION)


def _models_section(last: str, run: Run, node: ast.Call) -> Value:
    model = Model(last, certain=False, compiled=last == "load_model")
    if last in ("load_model", "clone_model", "model_from_json", "model_from_config"):
        loops.built(run, model, node, random=False)
        return model
    return UNKNOWN


def _call_tensorflow(run: Run, node: ast.Call, what: str, last: str, arguments: Arguments) -> Value:
    if last == "enable_op_determinism":
        run.flag("determinism", node, call=what)
    elif last in _GPU_CHECKS or last in _STRATEGIES:
        run.flag("gpu", node, call=what)
    elif last == "set_visible_devices":
        devices = arguments.get("devices", 0)
        if isinstance(devices, Sequence) and not devices.items:
            run.flag("cpu", node, call=what)
        run.flag("gpu", node, call=what)
    elif what == "tensorflow.device":
        device = constant(arguments.get("device_name", 0))
        if isinstance(device, str) and "gpu" in device.lower():
            run.flag("gpu", node, call=what)
        elif isinstance(device, str) and "cpu" in device.lower():
            run.flag("cpu", node, call=what)
    elif last == "GradientTape":
        return Thing("tensorflow.GradientTape", dict(arguments.named), node)
    elif what == "tensorflow.function":
        return arguments.positional[0] if arguments.positional else UNKNOWN
    elif what in _WRITERS or what.startswith("tensorflow.summary."):
        run.wrote = run.tick()
    if what.startswith("tensorflow.nn.") and last.endswith("_with_logits"):
        losses.check_logits_function(run, node, last, arguments)
    activation = losses.activation_of_name(what)
    tensors = tuple(value for value in arguments.all() if isinstance(value, Tensor))
    if activation is not None and tensors:
        return Tensor(losses.activation_layer(activation, node), tensors[:1])
    return Tensor(OPERATION, tensors) if tensors else UNKNOWN


def _call_other(run: Run, node: ast.Call, name: str, arguments: Arguments) -> None:
    """A call of something that is not TensorFlow's: its name may say what it is for."""
    last = name.rpartition(".")[2].lower()
    top = name.lstrip(".").partition(".")[0]
    if top in _TRACKERS:
        run.flag("tracker", node, call=name)
    if name in _WRITERS:
        run.wrote = run.tick()
    if name.startswith("os.environ") or name == "os.putenv":
        _environment(run, node, last, arguments)
        return
    if top in ("numpy", "pandas", "sklearn", "random", "torch", "scipy", "cv2", "PIL", "matplotlib", "os"):
        return
    by_name(run, node, last, name)


def by_name(run: Run, node: ast.Call, last: str, name: str) -> None:
    """What a helper from elsewhere does, told by its name alone."""
    last = last.lower()
    if "seed" in last or "reproducib" in last or "determinis" in last:
        order = run.tick()
        if "seed" in last or "determinis" in last or "reproducib" in last:
            run.flag("seed", node, call=name, order=order, helper=True)
        if "determinis" in last or "reproducib" in last:
            run.flag("determinism", node, call=name, helper=True)
    if any(word in last for word in ("gpu", "device", "strategy", "hardware", "cuda", "accelerator")):
        run.flag("gpu", node, call=name, helper=True)


def _environment(run: Run, node: ast.Call, last: str, arguments: Arguments) -> None:
    from doctor.project.scripts.expressions import set_environment  # noqa: PLC0415 (they call each other)

    if last in ("setdefault", "putenv") and len(arguments.positional) > 1:
        set_environment(run, arguments.positional[0], arguments.positional[1], node)
    elif last == "update":
        for key, value in arguments.named.items():
            set_environment(run, Const(key), value, node)
        first = arguments.get("", 0)
        if isinstance(first, Mapping):
            for name, value in first.items.items():
                set_environment(run, Const(name), value, node)


def call_thing(run: Run, node: ast.Call, thing: Thing, arguments: Arguments) -> Value:
    """An object of the library is called: a loss of its labels and predictions."""
    if thing.kind.startswith("keras.losses."):
        losses.check_call(run, node, thing, arguments)
    return UNKNOWN
