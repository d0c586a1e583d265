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
        "keras": "engine estimator experimental objectives",
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
        "tensorflow.losses": "softmax_cross_entropy sparse_softmax_cross_entropy",
        "tensorflow.nn": "softmax_cross_entropy_with_logits_v2",
        "tensorflow.summary": "FileWriter merge_all",
        "tensorflow.train": (
            "AdagradOptimizer AdamOptimizer GradientDescentOptimizer MomentumOptimizer RMSPropOptimizer Saver "
        ),
    }.items()
    for name in names.split()
)
# Methods of models, layers and data sets.
METHODS = frozenset(
    {
        "fit_generator", "evaluate_generator", "predict_generator", "predict_classes", "predict_proba",
        "reset_states", "to_yaml", "make_one_shot_iterator", "make_initializable_iterator",
    }
)  # fmt: skip
# Arguments of classes and methods, as ``keras.optimizers(lr)``.
ARGUMENTS = frozenset(
    f"{owner}({name})"
    for owner, names in {
        "keras.optimizers": "lr decay",
        "keras.Model.fit": "workers use_multiprocessing max_queue_size nb_epoch",
        "keras.Model.predict": "workers use_multiprocessing max_queue_size",
        "keras.Model.evaluate": "workers use_multiprocessing max_queue_size",
        "keras.Model.save": "save_format",
        "keras.Model.compile": "sample_weight_mode",
        "keras.layers.Dense": "output_dim init",
        "keras.layers.BatchNormalization": "mode fused",
        "keras.layers.Conv2D": "border_mode subsample",
        "keras.layers.LSTM": "time_major batch_input_shape",
        "keras.layers.GRU": "time_major batch_input_shape",
        "keras.callbacks.ModelCheckpoint": "period",
        "keras.callbacks.TensorBoard": "write_grads batch_size",
        "keras.Model": "input output",
    }.items()
    for name in names.split()
)


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
        if keyword.arg is not None and f"{owner}({keyword.arg})" in ARGUMENTS:
            run.note("api", keyword, name=f"{owner}({keyword.arg})", keras=found, imported=False)


# Files whose names a later Keras refuses, by what writes or reads them: what such a name may end in.
FILES = {
    "keras.Model.save": (".keras", ".h5", ".hdf5"),
    "keras.Model.save_weights": (".weights.h5", ".weights.json"),
    "keras.models.load_model": (".keras", ".h5", ".hdf5"),
    "keras.callbacks.ModelCheckpoint": (".keras", ".h5"),
}


def note_file(run: Run, owner: str, name: object, node: ast.AST, found: str | None, *, weights: bool = False) -> None:
    """Note a file whose name, a constant, has an ending that a later Keras refuses."""
    endings = FILES["keras.Model.save_weights" if weights else owner]
    remote = isinstance(name, str) and "://" in name
    if isinstance(name, str) and not run.guarded and not name.endswith(endings) and not remote:
        run.note("api", node, name=f"{owner}:file", keras=found, imported=False)
