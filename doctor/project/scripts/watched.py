"""Which names of the API are noted where a script uses them: those that some release added or took away.

Which release that was stands in the rules' tables; a test holds the two lists together.
"""

from __future__ import annotations

import ast

from doctor.project.scripts.names import canonical, flavor
from doctor.project.scripts.state import Run

# Modules, classes and functions, with Keras as ``keras``. A name stands for all that is below it.
NAMES = frozenset(
    f"{section}.{name}"
    for section, names in {
        "keras.backend": (
            "abs argmax binary_crossentropy cast categorical_crossentropy clip concatenate constant dot equal "
            "exp expand_dims flatten function get_session get_value gradients learning_phase log max mean pow "
            "random_normal reshape round set_learning_phase set_session set_value shape sigmoid softmax sqrt "
            "square stop_gradient sum tensorflow_backend variable "
        ),
        "keras.callbacks": "experimental",
        "keras": "engine estimator experimental objectives wrappers",
        "keras.initializers": "normal uniform",
        "keras.layers": (
            "CuDNNGRU CuDNNLSTM LocallyConnected1D LocallyConnected2D Merge ThresholdedReLU "
            "advanced_activations convolutional convolutional_recurrent core embeddings experimental local "
            "merge noise normalization pooling recurrent wrappers "
        ),
        "keras.layers.experimental": "preprocessing",
        "keras.losses": "Reduction cosine_proximity",
        "keras.mixed_precision": "experimental",
        "keras.models": "model_from_yaml",
        "keras.optimizers": "experimental legacy",
        "keras.preprocessing.image": "ImageDataGenerator",
        "keras.preprocessing.sequence": "TimeseriesGenerator",
        "keras.preprocessing": "text",
        "keras.preprocessing.text": "Tokenizer",
        "keras.utils": (
            "data_utils generic_utils io_utils layer_utils multi_gpu_model np_utils training_utils vis_utils "
        ),
        "keras.wrappers": "scikit_learn",
        "tensorflow": (
            "ConfigProto GPUOptions InteractiveSession Session all_variables app assign contrib estimator "
            "flags get_collection get_default_graph get_variable global_variables "
            "global_variables_initializer initialize_all_variables layers log logging mul placeholder "
            "random_normal random_uniform reset_default_graph set_random_seed to_float to_int32 "
            "trainable_variables truncated_normal variable_scope "
        ),
        "tensorflow.examples": "tutorials",
        "tensorflow.losses": "mean_squared_error softmax_cross_entropy sparse_softmax_cross_entropy",
        "tensorflow.nn": "softmax_cross_entropy_with_logits_v2",
        "tensorflow.python": "keras",
        "tensorflow.summary": "FileWriter merge_all",
        "tensorflow.train": (
            "AdagradOptimizer AdamOptimizer GradientDescentOptimizer MomentumOptimizer RMSPropOptimizer Saver "
        ),
    }.items()
    for name in names.split()
)
# Methods of models and layers, by name alone: nothing else in this field has them.
METHODS = frozenset(
    {
        "fit_generator", "evaluate_generator", "predict_generator", "predict_classes", "predict_proba", "reset_states",
        "to_yaml", "make_one_shot_iterator", "make_initializable_iterator",
    }
)  # fmt: skip
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
