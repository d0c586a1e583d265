"""The canary: a small seeded Dense training that tells two environments apart, and lets one alone be judged.

This one file is sent to an interpreter on stdin (`python -B - ARGUMENTS < canary.py`) and needs the TensorFlow, Keras
and NumPy that are there: TensorFlow 2.4 and later with Keras 2, tf-keras or Keras 3, CPython 3.6 and later. ARGUMENTS
is one JSON object (see DEFAULTS). It writes one JSON document between two sentinel lines on stdout, the record or the
reason why there is none, and progress on stderr: lines of `@kdoctor-canary ` and a JSON object with `stage` and, among
many, `seed` and `of`.

What is measured, and why so:
- Data, batches and the weights of the pinned arm come from an integer generator: nobody's random numbers are involved.
- The pinned arm shows changes of arithmetic, the default arm changes of initialization; neither hides the other.
- Probes look at each default on its own; stages follow one seed through init, forward, gradient, update and training.
- Accuracy comes from many seeds trained at once with stacked weights. That by-passes Dense.call, the dtype policy and
  the loss reduction, so one seed is held against the real training loop, which takes over where the two disagree.

No function here is left to AutoGraph: it cannot see the source of code that came on stdin (loops are tf.while_loop).
"""

# ruff: noqa: B905, E402, RUF007 -- zip(strict=) and itertools.pairwise are younger than CPython 3.6; sys.path comes first

import sys

# A project's own keras.py in the current folder would be imported instead of Keras.
sys.path[:] = [_entry for _entry in sys.path if _entry != ""]

import base64
import hashlib
import importlib
import json
import math
import os
import platform
import random
import time
import zlib
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

PROTOCOL = 1  # the canary's version: raised when a record could no longer be compared with an earlier one
BEGIN = "-----BEGIN KDOCTOR CANARY-----"
END = "-----END KDOCTOR CANARY-----"
PROGRESS = "@kdoctor-canary "

DEFAULTS = {
    "seeds": 16,  # how many trainings the accuracy is taken from
    "thorough": False,  # ways of building a model, `fit`, the reference over whole epochs, all by the real loop
    "device": "cpu",  # "cpu" hides every GPU, "gpu" demands one
    "deterministic": True,  # op determinism
    "threads": 1,
    "memory": None,  # bytes of address space that the process may use
    "source_sha256": None,  # the hash of this file's code, told by whoever sends it
}

FEATURES, CLASSES, CLUSTERS = 20, 10, 3
HIDDEN = (64, 32)
TRAIN, TEST, BATCH, EPOCHS = 2048, 2048, 32, 6
STEPS = TRAIN // BATCH
SPREAD = 320  # of the cluster centres, in 1/256 of the unit cube
FIRST_SEED = 1
LARGEST_SEED_COUNT = 512

# The loop and the stacked training differ by the rounding of a batched product: 4e-6 is the largest seen.
STACKED_TOLERANCE = 1e-4

# Keras' documented defaults, which the float64 reference computes with.
LEARNING_RATE, BETA_1, BETA_2, EPSILON = 1e-3, 0.9, 0.999, 1e-7

GOLDEN = 0x9E3779B97F4A7C15
WORD = 2**64 - 1

np = None  # type: Any  # imported in main(), where its absence can be told


class Stop(Exception):
    """The canary cannot be run here. `code` is for programs, the text for people, `detail` holds a foreign message."""

    def __init__(self, code: str, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.detail = detail


# ---------------------------------------------------------------------------------------------------- output


def progress(stage: str, **more: Any) -> None:
    """Say on stderr where the canary is, in one write, so that TensorFlow's own lines are not cut into."""
    line = PROGRESS + json.dumps(dict(more, stage=stage), sort_keys=True) + "\n"
    try:
        os.write(2, line.encode("ascii"))
    except OSError:
        pass  # nobody reads: the record counts


def take_stdout() -> Any:
    """Keep stdout for the one document; whatever else is printed from now on goes to stderr."""
    sys.stdout.flush()
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return channel


def number(value: Any) -> Optional[float]:
    """A float for JSON: None where it is not finite."""
    value = float(value)
    return value if math.isfinite(value) else None


def numbers(values: Any) -> List[Optional[float]]:
    """A flat list of floats for JSON."""
    return [number(value) for value in np.asarray(values, dtype=np.float64).ravel()]


def as_float32(array: Any) -> Any:
    """Any tensor or variable as a little-endian float32 array."""
    return np.ascontiguousarray(np.asarray(array), dtype="<f4")


def digest(*arrays: Any) -> str:
    """SHA-256 over the types, shapes and bytes of arrays."""
    state = hashlib.sha256()
    for array in arrays:
        whole = np.ascontiguousarray(array)
        state.update((whole.dtype.str + str(whole.shape)).encode("ascii"))
        state.update(whole.tobytes())
    return state.hexdigest()


def stage_entry(arrays: Sequence[Any]) -> Dict[str, Any]:
    """One stage of one arm: a hash an array, and the raw float32 values of all of them."""
    arrays = [as_float32(array) for array in arrays]
    return {
        "sha256": [digest(array) for array in arrays],
        "raw": packed(b"".join(array.tobytes() for array in arrays)),
        "finite": bool(all(np.isfinite(array).all() for array in arrays)),
    }


def packed(data: bytes) -> str:
    """Bytes for JSON."""
    return base64.b64encode(zlib.compress(data, 9)).decode("ascii")


def relative(measured: Any, expected: Any) -> Optional[float]:
    """The L2 distance to what is expected, relative to it, over lists of arrays; None where it is not finite."""
    first = np.concatenate([np.asarray(array, dtype=np.float64).ravel() for array in measured])
    second = np.concatenate([np.asarray(array, dtype=np.float64).ravel() for array in expected])
    size = math.sqrt(float(np.sum(second * second)))
    distance = math.sqrt(float(np.sum((first - second) ** 2)))
    return number(distance / size if size else distance)


def differences(later: Sequence[Any], earlier: Sequence[Any]) -> List[Any]:
    """What was added between two lists of weights, in float64."""
    return [np.asarray(b, dtype=np.float64) - np.asarray(a, dtype=np.float64) for b, a in zip(later, earlier)]


# ---------------------------------------------------------------------------------------------------- data


def words(seed: int, count: int, stream: int) -> Any:
    """`count` words of SplitMix64: arithmetic in uint64 alone, the same on every machine."""
    u64 = np.uint64
    base = np.array([(seed * GOLDEN + stream * 0xD1B54A32D192ED03) & WORD], dtype=u64)
    z = base + np.arange(1, count + 1, dtype=u64) * np.array([GOLDEN], dtype=u64)
    z = (z ^ (z >> u64(30))) * np.array([0xBF58476D1CE4E5B9], dtype=u64)
    z = (z ^ (z >> u64(27))) * np.array([0x94D049BB133111EB], dtype=u64)
    return z ^ (z >> u64(31))


class Data(object):
    """The training and test samples and the order of the batches of each epoch."""

    def __init__(self) -> None:
        self.train_x, self.train_y = self._samples(TRAIN, 10)
        self.test_x, self.test_y = self._samples(TEST, 20)
        self.order = np.stack([np.argsort(words(80, TRAIN, 100 + epoch), kind="stable") for epoch in range(EPOCHS)])
        self.order = self.order[:, : STEPS * BATCH].astype(np.int32)
        self.sha256 = digest(self.train_x, self.train_y, self.test_x, self.test_y, self.order)

    @staticmethod
    def _samples(count: int, stream: int) -> Tuple[Any, Any]:
        """Each class is a union of clusters; features are integers times 2**-15, exact in float32."""
        mask = np.uint64(0xFFFF)
        centres = (words(77, CLASSES * CLUSTERS * FEATURES, 1) & mask).astype(np.int64) - 32768
        centres = (centres * SPREAD >> 8).reshape(CLASSES * CLUSTERS, FEATURES)
        choice = words(78, count, stream)
        label = ((choice >> np.uint64(8)) % np.uint64(CLASSES)).astype(np.int64)
        cluster = ((choice >> np.uint64(40)) % np.uint64(CLUSTERS)).astype(np.int64)
        bits = words(79, count * FEATURES, stream + 1000)
        noise = sum(((bits >> np.uint64(shift)) & mask).astype(np.int64) for shift in (0, 16, 32, 48)) - 131070
        features = centres[label * CLUSTERS + cluster] + (noise.reshape(count, FEATURES) >> 1)
        return features.astype(np.float32) * np.float32(2.0**-15), label.astype(np.int32)

    def first_batch(self) -> Tuple[Any, Any]:
        """Features and labels of the first batch of the first epoch."""
        chosen = self.order[0][:BATCH]
        return self.train_x[chosen], self.train_y[chosen]


def shapes() -> List[Tuple[int, ...]]:
    """The shapes of the model's weights, kernel and bias by turns."""
    sizes = (FEATURES, *HIDDEN, CLASSES)
    found = []  # type: List[Tuple[int, ...]]
    for fan_in, fan_out in zip(sizes, sizes[1:]):
        found += [(fan_in, fan_out), (fan_out,)]
    return found


def places(found: Sequence[Any]) -> List[Optional[int]]:
    """Where each of the model's expected weights stands among those found, in order; None for a bias that is not there.

    Patched environments leave biases out or put layers in between; what is not expected is left as it is created.
    """
    wanted, there = shapes(), [tuple(int(size) for size in array.shape) for array in found]
    chosen = []  # type: List[Optional[int]]
    start = 0
    for shape in wanted:
        at = next((at for at in range(start, len(there)) if there[at] == shape), None)
        if at is None and len(shape) > 1:
            raise Stop("model-differs", "Dense creates no kernel of the shape that the model needs", str(there))
        chosen.append(at)
        start = start if at is None else at + 1
    return chosen


def aligned(found: Sequence[Any], chosen: Sequence[Optional[int]]) -> List[Any]:
    """The expected weights out of those found; a bias that is not there is zero."""
    return [np.zeros(shape, np.float32) if at is None else np.asarray(found[at]) for at, shape in zip(chosen, shapes())]


def pinned_weights(seed: int) -> List[Any]:
    """Weights like Glorot's uniform ones, but from the integer generator."""
    weights = []
    for index, shape in enumerate(shapes()):
        if len(shape) == 1:
            weights.append(np.zeros(shape, np.float32))
            continue
        unit = (words(seed, shape[0] * shape[1], 5000 + index) >> np.uint64(11)).astype(np.float64) * 2.0**-53
        limit = math.sqrt(6.0 / (shape[0] + shape[1]))
        weights.append(((unit * 2.0 - 1.0) * limit).astype(np.float32).reshape(shape))
    return weights


# ---------------------------------------------------------------------------------------------------- frameworks


class Framework(object):
    """TensorFlow and the Keras it uses, set up for the canary; what differs between their releases ends here."""

    def __init__(self, arguments: Dict[str, Any], import_seconds: Dict[str, float]) -> None:
        global np  # noqa: PLW0603 -- NumPy may be absent, which only the record can say
        if arguments["device"] == "cpu":
            os.environ["CUDA_VISIBLE_DEVICES"] = os.environ["HIP_VISIBLE_DEVICES"] = "-1"
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        progress("import", of="numpy")
        np = _timed_import("numpy", import_seconds)
        progress("import", of="tensorflow")
        self.tf = _timed_import("tensorflow", import_seconds)
        progress("import", of="keras")
        start = time.perf_counter()
        self.keras = self._keras()
        import_seconds["keras"] = time.perf_counter() - start
        self.device = self._choose_device(arguments["device"])
        self.threads = self._set_threads(arguments["threads"])
        self.determinism = self._set_determinism() if arguments["deterministic"] else "off"
        # Under op determinism a draw without any seed is an error; a seeding that forgets TensorFlow is to be measured.
        self.tf.random.set_seed(0)
        self.specimen = self.optimizer()  # to be looked at, never to train with: making one takes time
        self.seeding = "keras.utils.set_random_seed" if self._set_random_seed() else "random, numpy and tensorflow"

    def _keras(self) -> Any:
        tf = self.tf
        if not hasattr(tf, "__version__"):
            raise Stop("tensorflow-incomplete", "a folder called tensorflow is importable, but TensorFlow is not in it")
        try:
            keras = tf.keras
            importlib.import_module(keras.layers.Dense.__module__)  # tf.keras is lazy: this makes the import happen
            backend = str(keras.backend.backend()) if hasattr(keras.backend, "backend") else "tensorflow"
        except Exception as error:
            raise Stop("keras-unusable", "TensorFlow's Keras cannot be imported", describe(error)) from error
        if backend != "tensorflow":
            raise Stop("keras-backend", "Keras is set to the backend %s; the canary measures TensorFlow" % backend)
        return keras

    def _choose_device(self, device: str) -> str:
        config = self.tf.config
        try:
            gpus = config.list_physical_devices("GPU")
            if device != "gpu":
                if gpus:
                    config.set_visible_devices([], "GPU")
                return "cpu"
            if not gpus:
                raise Stop("device-unavailable", "a GPU was asked for, and TensorFlow sees none")
            config.set_visible_devices(gpus[:1], "GPU")
            config.experimental.set_memory_growth(gpus[0], True)
        except RuntimeError as error:  # something in the environment started TensorFlow before the canary
            message = "TensorFlow was started before the device could be chosen"
            raise Stop("device-unavailable", message, describe(error)) from error
        return "gpu"

    def _set_threads(self, threads: int) -> Dict[str, int]:
        threading = self.tf.config.threading
        try:
            threading.set_intra_op_parallelism_threads(threads)
            threading.set_inter_op_parallelism_threads(threads)
        except RuntimeError:
            pass  # already running; what holds is recorded
        return {
            "intra": int(threading.get_intra_op_parallelism_threads()),
            "inter": int(threading.get_inter_op_parallelism_threads()),
        }

    def _set_determinism(self) -> str:
        enable = getattr(self.tf.config.experimental, "enable_op_determinism", None)
        if enable is None:  # before TensorFlow 2.8
            os.environ["TF_DETERMINISTIC_OPS"] = "1"
            return "TF_DETERMINISTIC_OPS"
        enable()
        holds = guarded(self._is_deterministic)
        return "off" if holds is False else "enable_op_determinism"

    @staticmethod
    def _is_deterministic() -> bool:
        return bool(importlib.import_module("tensorflow.python.framework.config").is_op_determinism_enabled())

    def _set_random_seed(self) -> Any:
        return getattr(getattr(self.keras, "utils", None), "set_random_seed", None)

    def seed(self, value: int) -> None:
        """Seed everything, the way that the framework documents, or by hand before TensorFlow 2.7."""
        known = self._set_random_seed()
        if known is not None:
            known(value)
            return
        random.seed(value)
        np.random.seed(value)
        self.tf.random.set_seed(value)

    def optimizer(self) -> Any:
        """The optimizer that `compile("adam")` would use."""
        return self.keras.optimizers.get("adam")

    def loss(self) -> Any:
        """The loss that `compile(loss="sparse_categorical_crossentropy")` would use, with its default reduction."""
        return self.keras.losses.SparseCategoricalCrossentropy()

    def dense_layers(self) -> List[Any]:
        """The model's layers with every default left as it is."""
        dense = self.keras.layers.Dense
        return [dense(units, activation="relu") for units in HIDDEN] + [dense(CLASSES, activation="softmax")]

    def model(self) -> Any:
        """The canary's model, built the usual way."""
        keras = self.keras
        return keras.Sequential([keras.Input(shape=(FEATURES,)), *self.dense_layers()])

    def drawn_weights(self, seed: int) -> List[Any]:
        """What the framework's default initializers draw under a seed, layer by layer as a Sequential model does."""
        self.seed(seed)
        weights = []
        fan_in = FEATURES
        for layer in self.dense_layers():
            layer.build((None, fan_in))
            weights += [np.asarray(weight) for weight in layer.get_weights()]
            fan_in = layer.units
        return aligned(weights, places(weights))

    def variable(self, value: Any, name: str) -> Any:
        """A variable that this Keras' optimizers accept."""
        if hasattr(self.keras, "Variable"):
            return self.keras.Variable(value, name=name)
        return self.tf.Variable(value, name=name)

    def build_optimizer(self, optimizer: Any, variables: Sequence[Any]) -> List[Any]:
        """Create an optimizer's state now, and return its variables."""
        if not hasattr(optimizer, "build"):  # Keras before 2.11
            optimizer._create_all_weights(variables)
            return list(optimizer.variables())
        optimizer.build(variables)
        return list(optimizer.variables)

    def function(self, python: Callable[..., Any]) -> Any:
        """A graph of a function, without AutoGraph."""
        return self.tf.function(python, autograph=False)


def _timed_import(name: str, seconds: Dict[str, float]) -> Any:
    """Import a framework, or say why it cannot be; a missing module inside it is not taken for its own absence."""
    start = time.perf_counter()
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and error.name == name:
            raise Stop("no-" + name, "%s is not installed there" % name) from error
        raise Stop("import-failed", "%s cannot be imported" % name, describe(error)) from error
    except (Exception, SystemExit) as error:
        raise Stop("import-failed", "%s cannot be imported" % name, describe(error)) from error
    seconds[name] = time.perf_counter() - start
    return module


def describe(error: BaseException) -> str:
    """A foreign exception in bounded words."""
    return ("%s: %s" % (type(error).__name__, error))[:2000]


# ---------------------------------------------------------------------------------------------------- probes


def moments(array: Any) -> Dict[str, Any]:
    """What tells an initializer's family: spread, shape and reach of its values (exactly rounded sums)."""
    values = np.asarray(array, dtype=np.float64).ravel()
    count = values.size
    mean = math.fsum(values.tolist()) / count
    centred = values - mean
    variance = math.fsum((centred * centred).tolist()) / count
    kurtosis = math.fsum((centred**4).tolist()) / count / (variance * variance) if variance > 0 else None
    return {
        "shape": list(np.shape(array)),
        "mean": number(mean),
        "sd": number(math.sqrt(variance)),
        "kurtosis": None if kurtosis is None else number(kurtosis),
        "max": number(np.abs(values).max()),
        "zeros": int((values == 0).sum()),
    }


class Probes(object):
    """Each default of the framework looked at on its own, in about a fifth of a second."""

    LATE = 1000  # steps
    WIDTH = 64  # of the layer that passes its input on: wide enough for the kernels that real products use
    PRECISION = (1.0 / 3, 0.1, 3.14159265, 2.71828183, -1.41421356, 0.57721566, 1.61803399, -0.69314718)

    def __init__(self, framework: Framework) -> None:
        self.framework = framework
        self.drawn = []  # type: List[Any]  # the first of the seed probe's layers, which the initializer's looks at

    def run(self) -> Dict[str, Any]:
        """All probes, by name."""
        return {
            "optimizer": self.optimizer(),
            "loss": self.loss(),
            "layer": self.layer(),
            "seed": self.seed(),
            "initializer": self.initializer(),
        }

    def optimizer(self) -> Dict[str, Any]:
        """The response to gradients of every size, and to zero gradients (moments that decay; weight decay)."""
        fw = self.framework
        optimizer = fw.optimizer()
        gradient = np.array([sign * 10.0**size for size in range(-12, 4) for sign in (1, -1)], np.float32)
        moving = fw.variable(np.zeros_like(gradient), "canary_moving")
        resting = fw.variable(np.ones(4, np.float32), "canary_resting")
        after = []
        for factor in (1.0, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0):
            scaled = fw.tf.constant(gradient * np.float32(factor))
            optimizer.apply_gradients([(scaled, moving), (fw.tf.constant(np.zeros(4, np.float32)), resting)])
            after.append(numbers(moving.numpy()))
        # A schedule that begins late, and an average that replaces the weights when training ends.
        optimizer.iterations.assign(self.LATE)
        optimizer.apply_gradients([(fw.tf.constant(gradient), moving), (fw.tf.zeros([4]), resting)])
        after.append(numbers(moving.numpy()))
        if hasattr(optimizer, "finalize_variable_values"):
            optimizer.finalize_variable_values([moving, resting])
        after.append(numbers(moving.numpy()))
        return {"response": [after[step] for step in (0, 1, 6, 7, 8, 9)], "resting": numbers(resting.numpy())}

    def loss(self) -> List[Optional[float]]:
        """The default loss on fixed predictions: reduction, clipping of 0 and 1, handling of unnormalised ones."""
        loss = self.framework.loss()
        certain = [[1, 0, 0], [0, 1, 0]]
        likely = [[0.7, 0.2, 0.1], [0.1, 0.2, 0.7]]
        cases = [certain + likely, likely, certain[:1], certain[1:], [[1.4, 0.4, 0.2]]]  # type: List[Any]
        found = []
        for case in cases:
            found.append(number(loss(np.zeros(len(case), np.int32), np.array(case, np.float32))))
        return found

    def layer(self) -> Dict[str, Any]:
        """A real Dense with known weights, for each activation; its types; how many bits it keeps of its input."""
        points = np.array([-1e4, -50.0, -3.0, -1.0, -1e-3, 0.0, 1e-3, 1.0, 3.0, 50.0], np.float32)[:, None]
        found = {}  # type: Dict[str, Any]
        for activation in ("relu", "softmax", None):
            found[str(activation).lower()] = numbers(as_float32(self._dense(activation)(points)))
        found["identity"], found["output_dtype"] = self.identity()
        return found

    def identity(self) -> Tuple[List[Optional[float]], str]:
        """What a model of one Dense with the unit matrix loses of its input; every sum has one term."""
        keras = self.framework.keras
        layer = keras.layers.Dense(self.WIDTH)
        model = keras.Sequential([keras.Input(shape=(self.WIDTH,)), layer])
        weights = layer.get_weights()  # of another width where a patched environment puts layers in between
        unit = [np.eye(*weights[0].shape, dtype=np.float32), np.zeros(self.WIDTH, np.float32)]
        layer.set_weights(unit[: len(weights)])
        precise = np.zeros((BATCH, self.WIDTH), np.float32)
        for row in range(BATCH):
            precise[row, row % self.WIDTH] = self.PRECISION[row % len(self.PRECISION)]
        output = model(precise)
        diagonal = as_float32(output)[range(BATCH), range(BATCH)] / precise[range(BATCH), range(BATCH)] - 1.0
        count = len(self.PRECISION)
        worst = [diagonal[at::count][np.abs(diagonal[at::count]).argmax()] for at in range(count)]
        return numbers(worst), getattr(output.dtype, "name", str(output.dtype))

    def _dense(self, activation: Optional[str]) -> Any:
        self.framework.seed(1)
        layer = self.framework.keras.layers.Dense(2, activation=activation)
        layer.build((None, 1))
        weights = [np.array([[1.0, -0.5]], np.float32), np.array([0.0, 0.25], np.float32)]
        layer.set_weights(weights[: len(layer.get_weights())])
        return layer

    def initializer(self) -> Dict[str, Any]:
        """The statistics of one larger layer, and the range of its bias."""
        weights = self.drawn
        found = moments(weights[0])
        found["bias"] = [number(weights[1].min()), number(weights[1].max())] if len(weights) > 1 else None
        found["sha256"] = digest(*[as_float32(weight) for weight in weights])
        return found

    def seed(self) -> Dict[str, Any]:
        """One seed drawn twice, and another one; whether they reach the plain numbers of TensorFlow, NumPy, Python."""
        tf, draws = self.framework.tf, []
        others = []  # type: List[Dict[str, Any]]
        for value in (12345, 12345, 54321):
            self.framework.seed(value)
            others.append({"numpy": float(np.random.random()), "python": random.random()})  # noqa: S311 -- a test of it
            self.framework.seed(value)
            larger = self._larger()
            self.drawn = self.drawn or larger
            draws.append(digest(*[as_float32(weight) for weight in larger]))
            others[-1]["tensorflow"] = digest(tf.random.uniform([16]).numpy())
        return {
            "repeats": draws[0] == draws[1],
            "varies": draws[1] != draws[2],
            "stream_varies": others[1]["tensorflow"] != others[2]["tensorflow"],
            "streams_repeat": {name: others[0][name] == others[1][name] for name in sorted(others[0])},
        }

    def _larger(self) -> List[Any]:
        layer = self.framework.keras.layers.Dense(96)
        layer.build((None, 160))
        return [np.asarray(weight) for weight in layer.get_weights()]


# ---------------------------------------------------------------------------------------------------- reference


class Reference(object):
    """The same model and training in float64 NumPy, with Keras' documented defaults."""

    def __init__(self, weights: Sequence[Any]) -> None:
        self.weights = [np.asarray(weight, dtype=np.float64) for weight in weights]
        self.first = [np.zeros_like(weight) for weight in self.weights]
        self.second = [np.zeros_like(weight) for weight in self.weights]
        self.steps = 0

    def gradient(self, x: Any, y: Any) -> Tuple[Any, float, List[Any]]:
        """Class probabilities, mean loss and gradients of one batch."""
        w = self.weights
        below = [np.asarray(x, dtype=np.float64)]
        for layer in range(len(HIDDEN)):
            below.append(np.maximum(below[-1] @ w[2 * layer] + w[2 * layer + 1], 0.0))
        logits = below[-1] @ w[-2] + w[-1]
        logits = logits - logits.max(axis=1, keepdims=True)
        probabilities = np.exp(logits)
        probabilities /= probabilities.sum(axis=1, keepdims=True)
        rows = np.arange(len(y))
        loss = float(-np.log(probabilities[rows, y]).mean())
        error = probabilities.copy()
        error[rows, y] -= 1.0
        error /= len(y)
        found = []  # type: List[Any]
        for layer in range(len(HIDDEN), -1, -1):
            found[:0] = [below[layer].T @ error, error.sum(axis=0)]
            error = (error @ w[2 * layer].T) * (below[layer] > 0)
        return probabilities, loss, found

    def step(self, gradients: Sequence[Any]) -> None:
        """One update by Adam, in Keras' form (the bias corrections are part of the step's length)."""
        self.steps += 1
        length = LEARNING_RATE * math.sqrt(1.0 - BETA_2**self.steps) / (1.0 - BETA_1**self.steps)
        for index, gradient in enumerate(gradients):
            self.first[index] += (gradient - self.first[index]) * (1.0 - BETA_1)
            self.second[index] += (gradient * gradient - self.second[index]) * (1.0 - BETA_2)
            self.weights[index] = self.weights[index] - length * self.first[index] / (
                np.sqrt(self.second[index]) + EPSILON
            )

    def epoch(self, data: Data, epoch: int) -> None:
        """One epoch over the canary's batches."""
        for step in range(STEPS):
            chosen = data.order[epoch][step * BATCH : (step + 1) * BATCH]
            self.step(self.gradient(data.train_x[chosen], data.train_y[chosen])[2])


# ---------------------------------------------------------------------------------------------------- training


class Loop(object):
    """The real thing for one seed at a time: the model, the loss, a GradientTape, the optimizer."""

    def __init__(self, framework: Framework, data: Data, model: Any) -> None:
        self.framework, self.data, self.model = framework, data, model
        tf = framework.tf
        self.optimizer, self.loss = framework.optimizer(), framework.loss()
        self.variables = model.trainable_variables
        self.initial = model.get_weights()
        self.places, self.trained = places(self.initial), places(self.variables)
        self.state = framework.build_optimizer(self.optimizer, self.variables)
        self.initial_state = [np.asarray(variable.numpy()) for variable in self.state]
        self.train_x, self.train_y = tf.constant(data.train_x), tf.constant(data.train_y)
        self.test_x = tf.constant(data.test_x)
        self.order = tf.constant(data.order)
        self.first = framework.function(self._first)
        self.apply = framework.function(self._apply)
        self.epoch = framework.function(self._epoch)
        self.predict = framework.function(self._predict)

    def reset(self, weights: Sequence[Any]) -> None:
        """Start over from these weights with a fresh optimizer."""
        whole = list(self.initial)
        for at, weight in zip(self.places, weights):
            if at is not None:
                whole[at] = weight
        self.model.set_weights(whole)
        for variable, value in zip(self.state, self.initial_state):
            variable.assign(value)

    def data_kept(self) -> Dict[str, Any]:
        """How far TensorFlow's copy of the samples, and the first batch taken from it, are from what was given."""
        batch = self.framework.tf.gather(self.train_x, self.order[0][:BATCH])
        return {
            "samples": relative([as_float32(self.train_x)], [self.data.train_x]),
            "batch": relative([as_float32(batch)], [self.data.first_batch()[0]]),
        }

    def weights(self) -> List[Any]:
        """The model's weights now."""
        return aligned(self.model.get_weights(), self.places)

    def gradients(self, found: Sequence[Any]) -> List[Any]:
        """The gradients of the expected weights, as arrays."""
        return aligned(found, self.trained)

    def _gradients(self, batch: Any) -> Tuple[Any, Any, Any, Any]:
        tf = self.framework.tf
        labels = tf.gather(self.train_y, batch)
        with tf.GradientTape() as tape:
            output = self.model(tf.gather(self.train_x, batch), training=True)
            loss = self.loss(labels, output)
            for penalty in self.model.losses:
                loss += tf.cast(penalty, loss.dtype)
        zero = tf.UnconnectedGradients.ZERO  # of what a patched environment adds and does not use
        return labels, output, loss, tape.gradient(loss, self.variables, unconnected_gradients=zero)

    def _first(self) -> Tuple[Any, Any, Any]:
        _, output, loss, gradients = self._gradients(self.order[0][:BATCH])
        return output, loss, gradients

    def _apply(self, gradients: Any) -> None:
        self.optimizer.apply_gradients(zip(gradients, self.variables))

    def _epoch(self, epoch: Any) -> Tuple[Any, Any]:
        tf = self.framework.tf
        order = self.order[epoch]

        def body(step: Any, total: Any, hits: Any) -> Tuple[Any, Any, Any]:
            labels, output, loss, gradients = self._gradients(order[step * BATCH : (step + 1) * BATCH])
            self.optimizer.apply_gradients(zip(gradients, self.variables))
            right = tf.equal(tf.argmax(output, -1, output_type=tf.int32), labels)
            return step + 1, total + tf.cast(loss, tf.float32), hits + tf.reduce_sum(tf.cast(right, tf.int32))

        start = (tf.constant(0), tf.constant(0.0), tf.constant(0))
        _, total, hits = tf.while_loop(lambda step, *_: step < STEPS, body, start, parallel_iterations=1)
        return total / float(STEPS), hits

    def _predict(self) -> Any:
        return self.framework.tf.cast(self.model(self.test_x, training=False), self.framework.tf.float32)

    def arm(self, name: str, weights: Sequence[Any]) -> Dict[str, Any]:
        """The stages of one arm: from the first weights through all epochs."""
        tf = self.framework.tf
        progress("stages", arm=name)
        self.reset(weights)
        kept = self.weights()
        output, loss, gradients = self.first()
        self.apply(gradients)
        found = {
            "seed": FIRST_SEED,
            "init": stage_entry(kept),
            "forward": stage_entry([output]),
            "loss": number(loss),
            "gradient": stage_entry(self.gradients(gradients)),
            "update": stage_entry(self.weights()),
        }  # type: Dict[str, Any]
        self.reset(weights)
        if name == "pinned":
            inference = self.model(self.data.first_batch()[0], training=False)
            found["inference"] = relative([as_float32(inference)], [as_float32(output)])
        epochs = []
        for epoch in range(EPOCHS):
            training_loss, hits = self.epoch(tf.constant(epoch))
            progress("stages", arm=name, epoch=epoch + 1, of=EPOCHS)
            row = score(self.predict().numpy(), self.data.test_y)
            row.update(
                loss=number(training_loss),
                training_accuracy=int(hits) / float(TRAIN),
                weights_sha256=digest(*[as_float32(weight) for weight in self.weights()]),
            )
            epochs.append(row)
        found["epochs"] = epochs
        found["steps"] = int(self.optimizer.iterations.numpy())
        found["final"] = stage_entry(self.weights())
        return found

    def seed(self, seed: int, weights: Sequence[Any]) -> Dict[str, Any]:
        """Accuracy and predictions of one seed."""
        self.reset(weights)
        rows = []
        for epoch in range(EPOCHS):
            loss, _ = self.epoch(self.framework.tf.constant(epoch))
            output = self.predict().numpy()
            rows.append(dict(score(output, self.data.test_y), loss=number(loss)))
        return seed_entry(seed, weights, rows, output, self.weights(), self.data.test_y)


class Stack(object):
    """All seeds at once: weights stacked to [seed, in, out], the real initializers and the real optimizer."""

    def __init__(self, framework: Framework, data: Data, drawn: Sequence[Sequence[Any]]) -> None:
        self.framework, self.data, self.drawn = framework, data, drawn
        tf = framework.tf
        stacked = []
        for index, shape in enumerate(shapes()):
            block = np.stack([as_float32(weights[index]) for weights in drawn])
            stacked.append(block if len(shape) == 2 else block[:, None, :])
        self.stacked = [framework.variable(block, "canary_stack_%d" % at) for at, block in enumerate(stacked)]
        self.optimizer = framework.optimizer()
        framework.build_optimizer(self.optimizer, self.stacked)
        self.loss = framework.keras.losses.SparseCategoricalCrossentropy(reduction="none")
        self.train_x, self.train_y = tf.constant(data.train_x), tf.constant(data.train_y)
        self.test_x = tf.constant(data.test_x)
        self.order = tf.constant(data.order)
        self.epoch = framework.function(self._epoch)
        self.predict = framework.function(lambda: self._forward(self.test_x))

    def _forward(self, x: Any) -> Any:
        tf, w = self.framework.tf, self.stacked
        values = tf.broadcast_to(x, [len(self.drawn), x.shape[0], FEATURES])
        for layer in range(len(HIDDEN)):
            values = tf.nn.relu(tf.matmul(values, w[2 * layer]) + w[2 * layer + 1])
        return tf.nn.softmax(tf.matmul(values, w[-2]) + w[-1])

    def _epoch(self, epoch: Any) -> Any:
        tf, count = self.framework.tf, len(self.drawn)
        order = self.order[epoch]

        def body(step: Any, total: Any) -> Tuple[Any, Any]:
            batch = order[step * BATCH : (step + 1) * BATCH]
            batch.set_shape([BATCH])
            labels = tf.broadcast_to(tf.gather(self.train_y, batch), [count, BATCH])
            with tf.GradientTape() as tape:
                losses = self.loss(labels, self._forward(tf.gather(self.train_x, batch)))
                losses = tf.reduce_mean(tf.cast(losses, tf.float32), axis=-1)
                loss = tf.reduce_sum(losses)
            gradients = tape.gradient(loss, self.stacked)
            self.optimizer.apply_gradients(zip(gradients, self.stacked))
            return step + 1, total + losses

        start = (tf.constant(0), tf.zeros([count]))
        return tf.while_loop(lambda step, *_: step < STEPS, body, start, parallel_iterations=1)[1] / float(STEPS)

    def run(self) -> List[Dict[str, Any]]:
        """Train all seeds, and return their entries."""
        rows = [[] for _ in self.drawn]  # type: List[List[Dict[str, Any]]]
        for epoch in range(EPOCHS):
            losses = self.epoch(self.framework.tf.constant(epoch)).numpy()
            outputs = self.predict().numpy()
            for at, output in enumerate(outputs):
                rows[at].append(dict(score(output, self.data.test_y), loss=number(losses[at])))
            progress("seeds", epoch=epoch + 1, seed=len(self.drawn), of=EPOCHS)
        finals = [np.asarray(variable.numpy()) for variable in self.stacked]
        entries = []
        for at, weights in enumerate(self.drawn):
            final = [block[at].reshape(shape) for block, shape in zip(finals, shapes())]
            entry = seed_entry(FIRST_SEED + at, weights, rows[at], outputs[at], final, self.data.test_y)
            entries.append(entry)
        self.first_final = [block[0].reshape(shape) for block, shape in zip(finals, shapes())]
        return entries


def score(probabilities: Any, labels: Any) -> Dict[str, Any]:
    """Accuracy and mean negative log-likelihood of predictions."""
    likelihood = np.asarray(probabilities, dtype=np.float64)[np.arange(len(labels)), labels]
    nll = number(-np.log(np.maximum(likelihood, 1e-30)).mean()) if np.isfinite(likelihood).all() else None
    return {"accuracy": float((probabilities.argmax(-1) == labels).mean()), "nll": nll}


def seed_entry(seed: int, initial: Any, rows: Any, output: Any, final: Any, labels: Any) -> Dict[str, Any]:
    """What the record keeps of one seed; predictions are kept as their distance to the label, which packs well."""
    predicted = output.argmax(-1).astype(np.int64)
    return {
        "seed": seed,
        "accuracy": rows[-1]["accuracy"],
        "nll": rows[-1]["nll"],
        "epochs": [{key: row[key] for key in ("accuracy", "nll", "loss")} for row in rows],
        "initial_sha256": digest(*[as_float32(weight) for weight in initial]),
        "final_sha256": digest(*[as_float32(weight) for weight in final]),
        "predictions": packed(((predicted - labels) % CLASSES).astype(np.uint8).tobytes()),
    }


# ---------------------------------------------------------------------------------------------------- thorough


def other_models(framework: Framework) -> Dict[str, Any]:
    """The same model built in Keras' three ways."""
    keras = framework.keras
    layers = framework.dense_layers()
    tensor = given = keras.Input(shape=(FEATURES,))
    for layer in layers:
        tensor = layer(tensor)

    class Subclassed(keras.Model):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super(Subclassed, self).__init__()
            self.first, self.second, self.third = framework.dense_layers()

        @framework.tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
        def call(self, inputs: Any, training: Any = None) -> Any:
            return self.third(self.second(self.first(inputs)))

    subclassed = Subclassed()
    subclassed(framework.tf.zeros([1, FEATURES]))
    return {"sequential": framework.model(), "functional": keras.Model(given, tensor), "subclassed": subclassed}


def thorough(framework: Framework, data: Data, loop: Loop) -> Dict[str, Any]:
    """How far each way of training one seed is from the float64 reference: per epoch, per way of building, by `fit`."""
    weights = pinned_weights(FIRST_SEED)
    reference = Reference(weights)
    loop.reset(weights)
    epochs = []
    expected = []  # type: List[Any]
    for epoch in range(EPOCHS):
        progress("thorough", what="reference", epoch=epoch + 1, of=EPOCHS)
        loop.epoch(framework.tf.constant(epoch))
        reference.epoch(data, epoch)
        moved = differences(reference.weights, weights)
        expected = expected or moved
        epochs.append(relative(differences(loop.weights(), weights), moved))
    ways = {}  # type: Dict[str, Any]
    for name, model in sorted(other_models(framework).items()):
        progress("thorough", what=name)
        other = Loop(framework, data, model)
        other.reset(weights)
        other.epoch(framework.tf.constant(0))
        ways[name] = relative(differences(other.weights(), weights), expected)
    progress("thorough", what="fit")
    ways["fit"] = relative(differences(fitted(framework, data, weights), weights), expected)
    return {"epochs": epochs, "ways": ways}


def fitted(framework: Framework, data: Data, weights: Sequence[Any]) -> List[Any]:
    """The weights after one epoch of `Model.fit` over the canary's batches."""
    model = framework.model()
    model.set_weights(weights)
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
    order = data.order[0]
    model.fit(data.train_x[order], data.train_y[order], batch_size=BATCH, epochs=1, shuffle=False, verbose=0)
    return [np.asarray(weight) for weight in model.get_weights()]


# ---------------------------------------------------------------------------------------------------- environment

VARIABLES = (
    "TF_ENABLE_ONEDNN_OPTS ONEDNN_MAX_CPU_ISA DNNL_MAX_CPU_ISA ONEDNN_DEFAULT_FPMATH_MODE TF_DISABLE_MKL TF_XLA_FLAGS"
    " XLA_FLAGS TF_DETERMINISTIC_OPS TF_CUDNN_DETERMINISTIC TF_CUDNN_USE_FRONTEND NVIDIA_TF32_OVERRIDE TF_GPU_ALLOCATOR"
    " TF_USE_LEGACY_KERAS KERAS_BACKEND TF_KERAS CUDA_VISIBLE_DEVICES HIP_VISIBLE_DEVICES"
    " OMP_NUM_THREADS MKL_NUM_THREADS"
    " TF_NUM_INTRAOP_THREADS TF_NUM_INTEROP_THREADS PYTHONHASHSEED GLIBC_TUNABLES"
).split()
PACKAGES = (
    "tensorflow tensorflow-cpu tensorflow-intel tensorflow-gpu tf-nightly keras tf-keras keras-nightly numpy ml-dtypes"
    " scipy h5py protobuf absl-py opt-einsum optree jax jaxlib tensorflow-addons tensorflow-probability"
    " intel-extension-for-tensorflow"
).split()
FLAGS = ("avx", "fma", "amx", "sse4", "asimd", "sve", "bf16", "i8mm")


def packages() -> Dict[str, str]:
    """The versions of the distributions that have a say in the numbers."""
    try:
        from importlib.metadata import PackageNotFoundError, version
    except ImportError:  # CPython before 3.8
        names = ("tensorflow", "keras", "numpy")
        loaded = {name: getattr(sys.modules.get(name), "__version__", None) for name in names}
        return {name: str(found)[:100] for name, found in loaded.items() if found}
    known = {}
    for name in PACKAGES:
        try:
            known[name] = str(version(name))[:100]
        except PackageNotFoundError:
            continue
        except Exception:  # a damaged distribution is no reason to stop
            known[name] = "unreadable"
    return known


def processor() -> Dict[str, Any]:
    """The model and the vector instructions of the CPU (Linux)."""
    found = {"machine": platform.machine(), "model": None, "flags": None}  # type: Dict[str, Any]
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
            for line in lines:
                key, _, value = line.partition(":")
                key, value = key.strip(), value.strip()
                if key == "model name" and found["model"] is None:
                    found["model"] = value[:200]
                if key in ("flags", "Features"):
                    found["flags"] = sorted(flag for flag in value.split() if flag.startswith(FLAGS))
                    break
    except OSError:
        pass
    return found


def replaced(framework: Framework) -> List[str]:
    """Which functions of TensorFlow and Keras come from a file outside of both: patched at run time."""
    keras, tf, found = framework.keras, framework.tf, []
    homes = tuple(
        os.path.dirname(os.path.abspath(str(sys.modules[name].__file__))) + os.sep
        for name in ("tensorflow", keras.layers.Dense.__module__.partition(".")[0])
    )
    looked = [
        (keras.layers.Dense, "Dense", "__init__ build call __call__ add_weight set_weights"),
        (type(framework.specimen), "Adam", "__init__ build apply_gradients apply update_step _resource_apply_dense"),
        (type(framework.loss()), "SparseCategoricalCrossentropy", "__init__ call __call__"),
        (keras.Sequential, "Sequential", "__init__ call __call__ set_weights fit train_step"),
        (keras.utils, "utils", "set_random_seed"),
        (keras.optimizers, "optimizers", "get"),
        (keras.initializers.GlorotUniform, "GlorotUniform", "__init__ __call__"),
        (keras.activations, "activations", "relu softmax linear"),
        (tf.GradientTape, "GradientTape", "gradient"),
        (tf.random, "random", "set_seed uniform"),
        (tf.config.experimental, "config.experimental", "enable_op_determinism"),
        (tf, "tf", "matmul gather while_loop function constant"),
        (tf.nn, "nn", "relu softmax sparse_softmax_cross_entropy_with_logits"),
    ]
    for owner, label, names in looked:
        for name in names.split():
            code = getattr(getattr(owner, name, None), "__code__", None)
            if code is not None and not os.path.abspath(code.co_filename).startswith(homes):
                found.append("%s.%s (%s)" % (label, name, os.path.basename(code.co_filename)[:100]))
    return found


def sources(framework: Framework) -> Dict[str, str]:
    """Hashes of the files that define what the canary uses: same version, other hash means a patched installation."""
    import inspect

    keras, found = framework.keras, {}
    for label, thing in (
        ("dense", keras.layers.Dense),
        ("optimizer", type(framework.specimen)),
        ("loss", type(framework.loss())),
        ("initializers", keras.initializers.GlorotUniform),
        ("activations", keras.activations.relu),
    ):
        try:
            path = inspect.getsourcefile(inspect.unwrap(thing))
            with open(str(path), "rb") as stream:
                found[label] = hashlib.sha256(stream.read(4000000)).hexdigest()
        except Exception:  # no source installed, or patched by something without a file
            continue
    return found


def guarded(question: Callable[[], Any]) -> Any:
    """An answer for the record, or None where this release cannot give it."""
    try:
        return question()
    except Exception:
        return None


def environment(framework: Framework, device_before: Optional[str]) -> Dict[str, Any]:
    """What a later reader needs to know about where the numbers come from."""
    tf, keras = framework.tf, framework.keras
    variables = {name: os.environ[name][:200] for name in VARIABLES if name in os.environ}
    variables.pop("CUDA_VISIBLE_DEVICES", None)
    variables.pop("HIP_VISIBLE_DEVICES", None)
    if device_before is not None:
        variables["CUDA_VISIBLE_DEVICES"] = device_before[:200]
    if framework.determinism == "TF_DETERMINISTIC_OPS":
        variables.pop("TF_DETERMINISTIC_OPS", None)
    build = guarded(tf.sysconfig.get_build_info) or {}
    return {
        "python": platform.python_version(),
        "packages": packages(),
        "tensorflow": str(tf.__version__),
        "tensorflow_git": guarded(lambda: str(tf.version.GIT_VERSION)),
        "tensorflow_compiler": guarded(lambda: str(tf.version.COMPILER_VERSION)[:100]),
        "tensorflow_build": {str(key): str(build[key])[:200] for key in sorted(build, key=str)},
        "keras": guarded(lambda: keras_version(keras)),
        "numpy": str(np.__version__),
        "libc": " ".join(platform.libc_ver()),
        "system": platform.system(),
        "cpu": processor(),
        "device": framework.device,
        "gpus": guarded(lambda: [gpu_name(tf, gpu) for gpu in tf.config.get_visible_devices("GPU")]) or [],
        "threads": framework.threads,
        "determinism": framework.determinism,
        "seeding": framework.seeding,
        "tensor_float_32": guarded(lambda: bool(tf.config.experimental.tensor_float_32_execution_enabled())),
        "xla": guarded(lambda: str(tf.config.optimizer.get_jit())),
        "variables": variables,
        "keras_json": keras_json(),
        "replaced": guarded(lambda: replaced(framework)) or [],
        "sources": guarded(lambda: sources(framework)) or {},
    }


def keras_version(keras: Any) -> str:
    """The version of the Keras behind tf.keras, which does not always tell it itself."""
    package = sys.modules[keras.layers.Dense.__module__.partition(".")[0]]
    if package.__name__ == "tensorflow":  # Keras inside TensorFlow, before 2.6
        package = keras
    return str(package.__version__)


def gpu_name(tf: Any, gpu: Any) -> str:
    """A GPU's name and compute capability."""
    details = guarded(lambda: tf.config.experimental.get_device_details(gpu)) or {}
    capability = details.get("compute_capability")
    name = str(details.get("device_name", gpu.name))
    return name + (" (%s)" % ".".join(str(part) for part in capability) if capability else "")


def keras_json() -> Optional[Dict[str, str]]:
    """What the user's keras.json sets, which overrides the installed files."""
    folder = os.environ.get("KERAS_HOME") or os.path.join(os.path.expanduser("~"), ".keras")
    try:
        with open(os.path.join(folder, "keras.json"), encoding="utf-8") as stream:
            read = json.loads(stream.read(65536))
        return {str(key)[:50]: str(read[key])[:100] for key in sorted(read)[:20]}
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def configuration(framework: Framework) -> Dict[str, Any]:
    """What the framework says that its defaults are."""
    keras = framework.keras
    layer = keras.layers.Dense(4)
    layer.build((None, 3))
    policy = guarded(lambda: keras.mixed_precision.global_policy().name)
    if policy is None:  # Keras 3.0 to 3.3 call it a dtype policy
        policy = guarded(lambda: keras.config.dtype_policy().name)
    return {
        "layer": plain(guarded(layer.get_config)),
        "optimizer": plain(guarded(framework.specimen.get_config)),
        "optimizer_class": type(framework.specimen).__name__,
        "loss": plain(guarded(framework.loss().get_config)),
        "policy": None if policy is None else str(policy),
        "floatx": str(keras.backend.floatx()),
        "epsilon": number(keras.backend.epsilon()),
    }


def plain(value: Any, depth: int = 6) -> Any:
    """A configuration as bounded JSON."""
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, str):
        return value[:200]
    if isinstance(value, dict) and depth:
        return {str(key)[:100]: plain(value[key], depth - 1) for key in sorted(value, key=str)[:100]}
    if isinstance(value, (list, tuple)) and depth:
        return [plain(item, depth - 1) for item in value[:100]]
    try:
        return number(value)
    except (TypeError, ValueError):
        return str(value)[:200]


# ---------------------------------------------------------------------------------------------------- main


def not_finite(record: Dict[str, Any]) -> List[Dict[str, Any]]:
    """Where a number stopped being one: the first stage of each arm and the first epoch of each seed."""
    found = []  # type: List[Dict[str, Any]]
    for name in ("default", "pinned"):
        arm = record["stages"][name]
        stages = [stage for stage in ("init", "forward", "gradient", "update") if not arm[stage]["finite"]]
        epochs = [at + 1 for at, row in enumerate(arm["epochs"]) if row["loss"] is None or row["nll"] is None]
        if stages:
            found.append({"arm": name, "stage": stages[0]})
        elif epochs:
            found.append({"arm": name, "stage": "epoch", "epoch": epochs[0]})
        elif not arm["final"]["finite"]:
            found.append({"arm": name, "stage": "final"})
    for entry in record["seeds"]:
        epochs = [at + 1 for at, row in enumerate(entry["epochs"]) if row["loss"] is None or row["nll"] is None]
        if epochs:
            found.append({"seed": entry["seed"], "stage": "epoch", "epoch": epochs[0]})
    return found


def reference_step(loop: Loop, data: Data) -> Dict[str, Any]:
    """How far the first forward, loss, gradient and update of the pinned arm are from the float64 reference."""
    weights = pinned_weights(FIRST_SEED)
    reference = Reference(weights)
    probabilities, loss, gradients = reference.gradient(*data.first_batch())
    reference.step(gradients)
    loop.reset(weights)
    output, measured_loss, measured = loop.first()
    loop.apply(measured)
    return {
        "forward": relative([output], [probabilities]),
        "loss": relative([measured_loss], [loss]),
        "gradient": relative(loop.gradients(measured), gradients),
        "update": relative(differences(loop.weights(), weights), differences(reference.weights, weights)),
    }


def train_seeds(loop: Loop, data: Data, stages: Dict[str, Any], drawn: List[Any], force_loop: bool) -> Tuple[Any, Any]:
    """The accuracy of every seed, by the stacked training where it agrees with the real loop, else by that loop."""
    training = {"by": "stacked"}  # type: Dict[str, Any]
    try:
        entries = stacked_seeds(loop, data, stages["default"], drawn, training)
        faithful = training["same_hits"] and training["apart"] is not None and training["apart"] <= STACKED_TOLERANCE
    except Exception as error:  # an environment changed in a way that the short cut cannot follow
        faithful = False
        training["stacked_error"] = describe(error)[:300]
    if faithful and not force_loop:
        return entries, training
    training["by"] = "loop"
    looped_entries = []
    for at, weights in enumerate(drawn):
        progress("seeds", seed=at + 1, of=len(drawn), by="loop")
        looped_entries.append(loop.seed(FIRST_SEED + at, weights))
    return looped_entries, training


def stacked_seeds(loop: Loop, data: Data, arm: Any, drawn: List[Any], training: Dict[str, Any]) -> Any:
    """All seeds by the stacked training; how far its first one is from the real loop's goes into `training`."""
    stack = Stack(loop.framework, data, drawn)
    entries = stack.run()
    looped = np.frombuffer(zlib.decompress(base64.b64decode(arm["final"]["raw"])), "<f4")
    initial = np.concatenate([as_float32(weight).ravel() for weight in drawn[0]])
    stacked = np.concatenate([as_float32(weight).ravel() for weight in stack.first_final])
    training["apart"] = relative([stacked.astype(np.float64) - initial], [looped.astype(np.float64) - initial])
    # A sample on the boundary of two classes may fall to either side by rounding alone.
    training["same_hits"] = all(
        abs(one["accuracy"] - other["accuracy"]) * TEST <= 2 for one, other in zip(entries[0]["epochs"], arm["epochs"])
    )
    return entries


def measure(arguments: Dict[str, Any]) -> Dict[str, Any]:
    """Run the canary and return its record."""
    started = time.perf_counter()
    timings = {}  # type: Dict[str, Any]
    device_before = os.environ.get("CUDA_VISIBLE_DEVICES")
    timings["import"] = {}
    framework = Framework(arguments, timings["import"])
    begun, begun_cpu = time.perf_counter(), time.process_time()

    def lap(name: str) -> None:
        timings[name] = time.perf_counter() - lap.last  # type: ignore[attr-defined]
        lap.last = time.perf_counter()  # type: ignore[attr-defined]

    lap.last = begun  # type: ignore[attr-defined]
    progress("data")
    data = Data()
    lap("data")
    progress("probes")
    record = {
        "kind": "kdoctor/canary",
        "schema": 1,
        "canary": {"version": PROTOCOL, "sha256": arguments["source_sha256"]},
        "arguments": {key: arguments[key] for key in ("seeds", "thorough", "device", "deterministic", "threads")},
        "data_sha256": data.sha256,
        "test_labels": packed(data.test_y.astype(np.uint8).tobytes()),
        "probes": Probes(framework).run(),
    }  # type: Dict[str, Any]
    lap("probes")
    framework.seed(FIRST_SEED)
    model = framework.model()
    loop = Loop(framework, data, model)
    record["probes"]["data"] = loop.data_kept()
    arms = {"default": loop.weights(), "pinned": pinned_weights(FIRST_SEED)}
    record["stages"] = {name: loop.arm(name, arms[name]) for name in sorted(arms)}
    lap("stages")
    progress("reference")
    record["reference"] = reference_step(loop, data)
    lap("reference")
    progress("seeds", seed=0, of=arguments["seeds"])
    drawn = [framework.drawn_weights(FIRST_SEED + at) for at in range(arguments["seeds"])]
    if [weight.shape for weight in loop.initial] == shapes():  # else layers in between draw too
        same = digest(*arms["default"]) == digest(*drawn[0])
        record["probes"]["seed"]["streams_repeat"]["first"] = same
    lap("draws")
    record["seeds"], record["training"] = train_seeds(loop, data, record["stages"], drawn, arguments["thorough"])
    lap("seeds")
    if arguments["thorough"]:
        record["thorough"] = thorough(framework, data, loop)
        lap("thorough")
    record["config"] = dict(configuration(framework), weights=[list(weight.shape) for weight in loop.initial])
    record["environment"] = environment(framework, device_before)
    record["non_finite"] = not_finite(record)
    lap("environment")
    timings["beyond_import"] = time.perf_counter() - begun
    timings["beyond_import_cpu"] = time.process_time() - begun_cpu  # what other load on the machine does not change
    timings["total"] = time.perf_counter() - started
    record["timings"] = rounded(timings)
    record["peak_memory_bytes"] = peak_memory()
    return record


def rounded(value: Any) -> Any:
    """Seconds to the microsecond."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return round(value, 6)


def peak_memory() -> Optional[int]:
    """The largest resident size so far, in bytes (Linux counts in kibibytes, macOS in bytes)."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak) if sys.platform == "darwin" else int(peak) * 1024


def read_arguments(texts: Sequence[str]) -> Dict[str, Any]:
    """The JSON object on the command line over the defaults; raises Stop where it makes no sense."""
    arguments = dict(DEFAULTS)  # type: Dict[str, Any]
    try:
        given = json.loads(texts[0]) if texts else {}
        unknown = sorted(set(given) - set(arguments))
        arguments.update(given)
        seeds = int(arguments["seeds"])
    except (ValueError, TypeError) as error:
        raise Stop("bad-arguments", "the canary's arguments are no JSON object", describe(error)) from error
    if unknown or not 2 <= seeds <= LARGEST_SEED_COUNT or arguments["device"] not in ("cpu", "gpu"):
        told = json.dumps(given, sort_keys=True)[:200]
        raise Stop("bad-arguments", "the canary does not know these arguments: %s" % told)
    return arguments


def limit_memory(limit: Optional[int]) -> None:
    """Bound the address space, so that a runaway training ends instead of taking the machine with it."""
    if not limit:
        return
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    except (ImportError, ValueError, OSError):
        pass  # the platform has no such limit, or a lower one holds already


def answer(texts: Sequence[str]) -> Dict[str, Any]:
    """The record, or a document of the same kind with the reason why there is none."""
    import faulthandler

    try:
        faulthandler.enable()
        arguments = read_arguments(texts)
        limit_memory(arguments["memory"])
        return measure(arguments)
    except Stop as stop:
        error = {"code": stop.code, "message": str(stop), "detail": stop.detail}
    except MemoryError:
        error = {"code": "out-of-memory", "message": "the canary ran out of memory", "detail": ""}
    except Exception as exception:
        import traceback

        trace = traceback.extract_tb(exception.__traceback__)
        where = ["%s:%s in %s" % (os.path.basename(frame[0]), frame[1], frame[2]) for frame in list(trace)[-6:]]
        detail = describe(exception) + "\n" + "\n".join(where)
        error = {"code": "failed", "message": "the canary's training failed in this environment", "detail": detail}
    return {"kind": "kdoctor/canary", "schema": 1, "canary": {"version": PROTOCOL}, "error": error}


def main() -> int:
    """Answer on stdout; the exit status says whether there is a record."""
    channel = take_stdout()
    document = answer(sys.argv[1:])
    progress("done")
    channel.write("\n%s\n%s\n%s\n" % (BEGIN, json.dumps(document, sort_keys=True, separators=(",", ":")), END))
    channel.flush()
    return 1 if "error" in document else 0


if __name__ == "__main__":
    _status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(_status)  # TensorFlow's exit handlers have nothing to add, and have been seen to crash
