"""Changed environments, made on purpose: each patch is a `sitecustomize.py` on the PYTHONPATH of the canary's process.

They stand for what an image patched by hand, a fork of Keras or a careless start-up file does. None of them is known to
have been released by the TensorFlow or Keras projects.
"""

from __future__ import annotations

from pathlib import Path

_HEAD = """
import inspect, os, sys
if sys.argv[:1] == ["-"]:  # the canary's own process only
    import tensorflow as tf
    keras = tf.keras
    def option(owner, **defaults):
        # Keras 3 reads the signature of a layer's __init__, so the new defaults become part of it.
        old = owner.__init__
        names = inspect.signature(old).parameters
        given = ", ".join("%s=defaults[%r]" % (name, name) for name in defaults)
        first = "units, activation=None, " if "units" in names else ""
        passed = "units, activation, " if "units" in names else ""
        named = ", ".join("%s=%s" % (name, name) for name in defaults)
        code = "def init(self, %s%s, **kwargs): old(self, %s%s, **kwargs)" % (first, given, passed, named)
        scope = {"old": old, "defaults": defaults}
        exec(compile(code, __file__, "exec"), scope)
        owner.__init__ = scope["init"]
    def after(owner, name, change):
        old = getattr(owner, name)
        if owner is Dense:
            def patched(self, inputs):
                return change(old(self, inputs))
        else:
            def patched(self, y_true, y_pred):
                return change(old(self, y_true, y_pred))
        setattr(owner, name, patched)
    Dense, Adam = keras.layers.Dense, keras.optimizers.Adam
    Loss = keras.losses.SparseCategoricalCrossentropy
"""

PATCHES = {
    # changes that the thresholds were set on
    "initializer": "option(Dense, kernel_initializer='he_normal')",
    "glorot_normal": "option(Dense, kernel_initializer='glorot_normal')",
    "epsilon": "option(Adam, epsilon=1e-8)",
    "learning_rate": "option(Adam, learning_rate=2e-3)",
    "amsgrad": "option(Adam, amsgrad=True)",
    "loss_sum": "option(Loss, reduction='sum')",
    "bfloat16": "keras.mixed_precision.set_global_policy('mixed_bfloat16')",
    "float16": "keras.mixed_precision.set_global_policy('mixed_float16')",
    "seed_random": (
        "real = keras.utils.set_random_seed\n"
        "keras.utils.set_random_seed = lambda seed: real(int.from_bytes(os.urandom(3), 'little'))"
    ),
    "seed_constant": "real = keras.utils.set_random_seed\nkeras.utils.set_random_seed = lambda seed: real(7)",
    "extra_activation": "after(Dense, 'call', tf.math.tanh)",
    # changes that they were not set on
    "bias_ones": "option(Dense, bias_initializer='ones')",
    "narrow_uniform": (
        "kind = keras.initializers.VarianceScaling\n"
        "option(Dense, kernel_initializer=kind(0.8649, 'fan_avg', 'uniform'))"
    ),
    "narrow_uniform_anew": (
        "kind, old = keras.initializers.VarianceScaling, Dense.__init__\n"
        "def init(self, units, activation=None, **given):\n"
        "    old(self, units, activation, kernel_initializer=kind(0.8649, 'fan_avg', 'uniform'), **given)\n"
        "Dense.__init__ = init"
    ),
    "orthogonal": "option(Dense, kernel_initializer='orthogonal')",
    "beta_2": "option(Adam, beta_2=0.99)",
    "rate_one_percent": "option(Adam, learning_rate=1.01e-3)",
    "clipnorm": "option(Adam, clipnorm=1.0)",
    "weight_decay": "option(Adam, weight_decay=0.01)",
    "layer_one_percent": "after(Dense, 'call', lambda output: output * 1.01)",
    "leaky_relu": (
        "old = Dense.__init__\n"
        "def init(self, units, activation=None, **given):\n"
        "    old(self, units, activation=tf.nn.leaky_relu if activation == 'relu' else activation, **given)\n"
        "Dense.__init__ = init"
    ),
    "default_activation": (
        "old = Dense.__init__\n"
        "def init(self, units, activation=None, **given):\n"
        "    old(self, units, activation=activation or 'tanh', **given)\n"
        "Dense.__init__ = init"
    ),
    "loss_two_percent": "after(Loss, 'call', lambda loss: loss * 1.02)",
    "regularizer": "option(Dense, kernel_regularizer='l2')",
    "floatx": "keras.backend.set_floatx('float16')",
    "scaled_draws": (
        "kind = keras.initializers.GlorotUniform\n"
        "draw = kind.__call__\n"
        "kind.__call__ = lambda self, *given, **more: draw(self, *given, **more) * 1.01"
    ),
    "no_bias": "option(Dense, use_bias=False)",
    "batch_normalization": (
        "kind, old = keras.Sequential, keras.Sequential.__init__\n"
        "def init(self, layers=None, **given):\n"
        "    more = []\n"
        "    for one in layers or ():\n"
        "        inner = isinstance(one, Dense) and one is not layers[-1]\n"
        "        more += [one, keras.layers.BatchNormalization()] if inner else [one]\n"
        "    old(self, more, **given)\n"
        "kind.__init__ = init"
    ),
    "seed_without_tensorflow": (
        "import random, numpy\nkeras.utils.set_random_seed = lambda seed: (random.seed(seed), numpy.random.seed(seed))"
    ),
    "nan": "after(Dense, 'call', lambda output: output + float('nan'))",
    "no_set_random_seed": "del keras.utils.set_random_seed",
    "crash": "import signal\nos.kill(os.getpid(), signal.SIGILL)",
}


def write_patch(folder: Path, name: str) -> Path:
    """Put a patch into a folder that belongs on PYTHONPATH."""
    body = "\n".join(f"    {line}" for line in PATCHES[name].splitlines())
    (folder / "sitecustomize.py").write_text(_HEAD + body + "\n")
    return folder
