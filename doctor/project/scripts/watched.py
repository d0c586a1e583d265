"""Which names of the API are noted where a script uses them: those that some release added or took away.

Which release that was stands in the rules' tables; a test holds the two lists together.
"""

from __future__ import annotations

import ast

from doctor.project.scripts.names import canonical, flavor
from doctor.project.scripts.state import Run

# Modules, classes and functions, with Keras as ``keras``. A name stands for all that is below it.
NAMES = frozenset(
    [
        "keras.backend.tensorflow_backend",
        "keras.backend.get_session",
        "keras.backend.set_session",
        "keras.backend.set_learning_phase",
        "keras.backend.learning_phase",
        "keras.backend.mean",
        "keras.backend.sum",
        "keras.backend.square",
        "keras.backend.abs",
        "keras.backend.max",
        "keras.backend.flatten",
        "keras.backend.exp",
        "keras.backend.log",
        "keras.backend.sqrt",
        "keras.backend.dot",
        "keras.backend.pow",
        "keras.backend.clip",
        "keras.backend.cast",
        "keras.backend.concatenate",
        "keras.backend.reshape",
        "keras.backend.shape",
        "keras.backend.function",
        "keras.backend.gradients",
        "keras.backend.get_value",
        "keras.backend.set_value",
        "keras.backend.random_normal",
        "keras.backend.expand_dims",
        "keras.backend.sigmoid",
        "keras.backend.softmax",
        "keras.backend.binary_crossentropy",
        "keras.backend.categorical_crossentropy",
        "keras.backend.variable",
        "keras.backend.constant",
        "keras.backend.argmax",
        "keras.backend.round",
        "keras.backend.equal",
        "keras.backend.stop_gradient",
        "keras.callbacks.experimental",
        "keras.engine",
        "keras.estimator",
        "keras.experimental",
        "keras.initializers.normal",
        "keras.initializers.uniform",
        "keras.layers.advanced_activations",
        "keras.layers.convolutional",
        "keras.layers.convolutional_recurrent",
        "keras.layers.core",
        "keras.layers.CuDNNGRU",
        "keras.layers.CuDNNLSTM",
        "keras.layers.embeddings",
        "keras.layers.experimental",
        "keras.layers.experimental.preprocessing",
        "keras.layers.local",
        "keras.layers.LocallyConnected1D",
        "keras.layers.LocallyConnected2D",
        "keras.layers.merge",
        "keras.layers.Merge",
        "keras.layers.noise",
        "keras.layers.normalization",
        "keras.layers.pooling",
        "keras.layers.recurrent",
        "keras.layers.ThresholdedReLU",
        "keras.layers.wrappers",
        "keras.legacy",
        "keras.losses.Reduction",
        "keras.losses.cosine_proximity",
        "keras.mixed_precision.experimental",
        "keras.models.model_from_config",
        "keras.models.model_from_yaml",
        "keras.objectives",
        "keras.optimizers.experimental",
        "keras.optimizers.legacy",
        "keras.optimizers.schedules",
        "keras.preprocessing.image.ImageDataGenerator",
        "keras.preprocessing.text.Tokenizer",
        "keras.preprocessing.text",
        "keras.preprocessing.sequence.TimeseriesGenerator",
        "keras.utils.data_utils",
        "keras.utils.generic_utils",
        "keras.utils.io_utils",
        "keras.utils.layer_utils",
        "keras.utils.multi_gpu_model",
        "keras.utils.np_utils",
        "keras.utils.training_utils",
        "keras.utils.vis_utils",
        "keras.wrappers.scikit_learn",
        "keras.wrappers",
        "tensorflow.ConfigProto",
        "tensorflow.GPUOptions",
        "tensorflow.Session",
        "tensorflow.InteractiveSession",
        "tensorflow.all_variables",
        "tensorflow.app",
        "tensorflow.assign",
        "tensorflow.contrib",
        "tensorflow.estimator",
        "tensorflow.examples.tutorials",
        "tensorflow.flags",
        "tensorflow.get_default_graph",
        "tensorflow.get_variable",
        "tensorflow.global_variables_initializer",
        "tensorflow.initialize_all_variables",
        "tensorflow.layers",
        "tensorflow.log",
        "tensorflow.logging",
        "tensorflow.mul",
        "tensorflow.placeholder",
        "tensorflow.random_normal",
        "tensorflow.random_uniform",
        "tensorflow.reset_default_graph",
        "tensorflow.set_random_seed",
        "tensorflow.summary.FileWriter",
        "tensorflow.summary.merge_all",
        "tensorflow.to_float",
        "tensorflow.to_int32",
        "tensorflow.train.AdamOptimizer",
        "tensorflow.train.GradientDescentOptimizer",
        "tensorflow.train.MomentumOptimizer",
        "tensorflow.train.RMSPropOptimizer",
        "tensorflow.train.AdagradOptimizer",
        "tensorflow.train.Saver",
        "tensorflow.trainable_variables",
        "tensorflow.truncated_normal",
        "tensorflow.variable_scope",
        "tensorflow.losses.softmax_cross_entropy",
        "tensorflow.losses.sparse_softmax_cross_entropy",
        "tensorflow.losses.mean_squared_error",
        "tensorflow.nn.softmax_cross_entropy_with_logits_v2",
        "tensorflow.get_collection",
        "tensorflow.global_variables",
        "tensorflow.python.keras",
    ]
)
# Methods of models and layers, by name alone: nothing else in this field has them.
METHODS = frozenset({"fit_generator", "evaluate_generator", "predict_generator", "predict_classes", "predict_proba", "reset_states", "to_yaml", "make_one_shot_iterator", "make_initializable_iterator"})  # fmt: skip
# Arguments: (class or method, name).
ARGUMENTS = frozenset(
    {
        ("keras.optimizers", "lr"), ("keras.optimizers", "decay"),
        ("keras.Model.fit", "workers"), ("keras.Model.fit", "use_multiprocessing"),
        ("keras.Model.fit", "max_queue_size"), ("keras.Model.fit", "nb_epoch"),
        ("keras.Model.predict", "workers"), ("keras.Model.predict", "use_multiprocessing"),
        ("keras.Model.predict", "max_queue_size"), ("keras.Model.evaluate", "workers"),
        ("keras.Model.evaluate", "use_multiprocessing"), ("keras.Model.evaluate", "max_queue_size"),
        ("keras.Model.save", "save_format"), ("keras.Model.compile", "sample_weight_mode"),
        ("keras.layers.Dense", "output_dim"), ("keras.layers.Dense", "init"),
        ("keras.layers.BatchNormalization", "fused"), ("keras.layers.BatchNormalization", "renorm"),
        ("keras.layers.BatchNormalization", "mode"),
        ("keras.layers.Conv2D", "border_mode"), ("keras.layers.Conv2D", "subsample"),
        ("keras.layers.LSTM", "time_major"), ("keras.layers.GRU", "time_major"),
        ("keras.callbacks.ModelCheckpoint", "period"), ("keras.callbacks.EarlyStopping", "epsilon"),
        ("keras.callbacks.ReduceLROnPlateau", "epsilon"), ("keras.callbacks.TensorBoard", "write_grads"),
        ("keras.callbacks.TensorBoard", "batch_size"),
        ("keras.Model", "input"), ("keras.Model", "output"),
    }
)  # fmt: skip
# Values that a release refuses: what a file to be saved or loaded is called.
FILES = frozenset({"keras.Model.save", "keras.Model.save_weights", "keras.models.load_model", "keras.callbacks.ModelCheckpoint"})  # fmt: skip


def note_use(run: Run, name: str, node: ast.AST, *, imported: bool = False) -> None:
    """Note the use of a watched name, unless it stands where a script is prepared for its absence."""
    if run.guarded or not name.startswith(("tensorflow", "keras", "tf_keras")):
        return
    found = flavor(name)
    if imported and found is not None:
        run.flavors.add(found)
    if name.startswith(("tensorflow.compat.v1", "tensorflow.python")) and not name.startswith(
        "tensorflow.python.keras"
    ):
        return
    if name.startswith("tensorflow.python.keras"):
        run.note("api", node, name="tensorflow.python.keras", keras=found, imported=imported)
        return
    full = canonical(name)
    while full not in NAMES:
        full = full.rpartition(".")[0]
        if not full:
            return
    run.note("api", node, name=full, keras=found, imported=imported)


def note_method(run: Run, name: str, node: ast.AST) -> None:
    """Note the use of a watched method."""
    if name in METHODS and not run.guarded:
        run.note("api", node, name=f".{name}", keras=None, imported=False)


def note_arguments(run: Run, owner: str, keywords: list[ast.keyword], found: str | None) -> None:
    """Note watched arguments of a call."""
    if run.guarded:
        return
    for keyword in keywords:
        if keyword.arg is not None and (owner, keyword.arg) in ARGUMENTS:
            run.note("api", keyword, name=f"{owner}({keyword.arg})", keras=found, imported=False)
