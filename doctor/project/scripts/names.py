"""The names of TensorFlow's and Keras's API: what they are by whatever path a script imports them."""

from __future__ import annotations

import functools

_KERAS_ROOTS = (
    "tensorflow.compat.v1.keras",
    "tensorflow.compat.v2.keras",
    "tensorflow.python.keras",
    "tensorflow.keras",
    "tf_keras",
    "keras",
)
# Sections of Keras whose classes are reached by many paths: keras.layers.core.Dense is keras.layers.Dense.
_FLAT = frozenset({"layers", "optimizers", "losses", "callbacks", "metrics", "activations", "applications", "datasets"})
_MODELS = {"Model": "keras.Model", "Sequential": "keras.Sequential", "Functional": "keras.Model"}
_SECTIONS_OF_TF = {
    "tensorflow.losses.": "keras.losses.",
    "tensorflow.optimizers.": "keras.optimizers.",
    "tensorflow.metrics.": "keras.metrics.",
}

# Layers that behave otherwise in training than in inference.
_TRAINING_LAYERS = frozenset(
    {
        "Dropout", "AlphaDropout", "GaussianDropout", "GaussianNoise", "SpatialDropout1D", "SpatialDropout2D",
        "SpatialDropout3D", "BatchNormalization", "SyncBatchNormalization",
        "SpectralNormalization", "RandomFlip", "RandomRotation", "RandomZoom", "RandomCrop", "RandomContrast",
        "RandomTranslation", "RandomBrightness", "RandomHeight", "RandomWidth",
    }
)  # fmt: skip
# Wrappers and layers of others: nobody knows from here.
_UNKNOWN_LAYERS = frozenset({"Layer", "RNN", "Wrapper", "Lambda", "Bidirectional", "TFSMLayer", "KerasLayer"})
# Layers that hand on what comes in, as far as an activation goes.
PASSING_LAYERS = frozenset({"Flatten", "Reshape", "Permute", "RepeatVector"})
ACTIVATION_LAYERS = {
    "Softmax": "softmax", "ReLU": "relu", "LeakyReLU": "leaky_relu", "ELU": "elu", "PReLU": "relu",
    "ThresholdedReLU": "relu",
}  # fmt: skip
HEAD_LAYERS = frozenset(
    {
        "Dense", "Conv1D", "Conv2D", "Conv3D", "Convolution1D", "Convolution2D", "Conv1DTranspose", "Conv2DTranspose",
        "Conv3DTranspose", "SeparableConv1D", "SeparableConv2D", "EinsumDense",
    }
)  # fmt: skip
# A star import of a section brings these.
STAR_LAYERS = (
    HEAD_LAYERS
    | _TRAINING_LAYERS
    | PASSING_LAYERS
    | frozenset(ACTIVATION_LAYERS)
    | frozenset(
        {
            "Activation", "Input", "InputLayer", "Embedding", "LSTM", "GRU", "SimpleRNN", "Bidirectional", "Add",
            "Concatenate", "MaxPooling2D", "MaxPooling1D", "AveragePooling2D", "GlobalAveragePooling1D", "MaxPool2D",
            "GlobalAveragePooling2D", "GlobalMaxPooling1D", "GlobalMaxPooling2D", "LayerNormalization", "ZeroPadding2D",
            "UpSampling2D", "TimeDistributed", "MultiHeadAttention", "Lambda", "Layer", "DepthwiseConv2D", "CuDNNLSTM",
            "CuDNNGRU", "Multiply", "Average", "Dot", "Attention", "Masking", "Normalization", "Rescaling",
            "TextVectorization", "Cropping2D", "Resizing",
        }
    )
)  # fmt: skip


@functools.lru_cache(maxsize=8192)
def canonical(name: str) -> str:
    """A dotted name with Keras as ``keras``, whichever of its homes it was imported from; others as they are."""
    for root in _KERAS_ROOTS:
        if name == root or name.startswith(root + "."):
            rest = name[len(root) :]
            for inner in (".api", ".src"):
                if rest == inner or rest.startswith(inner + "."):
                    rest = rest[len(inner) :]
            return "keras" + rest
    return name


@functools.lru_cache(maxsize=8192)
def kind(name: str) -> str:
    """The one name of a class or function of Keras: ``keras.layers.core.Dense`` is ``keras.layers.Dense``."""
    for prefix, section in _SECTIONS_OF_TF.items():
        if name.startswith(prefix):
            return section + name.rpartition(".")[2]
    full = canonical(name)
    parts = full.split(".")
    if parts[0] != "keras" or len(parts) == 1:
        return full.replace("tensorflow.compat.v1.", "tensorflow.", 1)
    last = parts[-1]
    if last in _MODELS and parts[1] in (last, "models", "engine"):
        return _MODELS[last]
    if last == "Input":
        return "keras.Input"
    if parts[1] in _FLAT and len(parts) > 2:
        return f"keras.{parts[1]}.{parts[2] if parts[1] == 'datasets' else last}" + (
            "." + last if parts[1] == "datasets" and len(parts) > 3 else ""
        )
    return full


@functools.lru_cache(maxsize=1024)
def flavor(name: str) -> str | None:
    """Which Keras a name belongs to: ``keras``, ``tf.keras``, ``tf_keras``; None where to none."""
    if name == "keras" or name.startswith("keras."):
        return "keras"
    if name == "tf_keras" or name.startswith("tf_keras."):
        return "tf_keras"
    if any(name == root or name.startswith(root + ".") for root in _KERAS_ROOTS):
        return "tf.keras"
    return None


def training_of(layer: str) -> bool | None:
    """Whether a layer of this class behaves differently in training; None where that is not known."""
    if layer in _TRAINING_LAYERS:
        return True
    return None if layer in _UNKNOWN_LAYERS else False


def snake(name: str) -> str:
    """``BinaryCrossentropy`` as ``binary_crossentropy``."""
    result = "".join("_" + c.lower() if c.isupper() else c for c in name).lstrip("_")
    return _SHORT.get(result.lower(), result)


_SHORT = {
    "mse": "mean_squared_error", "m_s_e": "mean_squared_error", "mae": "mean_absolute_error",
    "m_a_e": "mean_absolute_error", "bce": "binary_crossentropy", "binary_cross_entropy": "binary_crossentropy",
}  # fmt: skip
