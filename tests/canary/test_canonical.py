"""The same default in the words of Keras 2 and of Keras 3, as seen in 2.4, 2.12, 2.15, 3.0 and 3.15."""

from __future__ import annotations

import pytest

from doctor.canary.canonical import canonical, canonical_section, changes, snake

ADAM_2_4 = {
    "amsgrad": False, "beta_1": 0.9, "beta_2": 0.999, "decay": 0.0, "epsilon": 1e-07,
    "learning_rate": 0.001, "name": "Adam",
}  # fmt: skip
ADAM_2_15 = {
    "amsgrad": False, "beta_1": 0.9, "beta_2": 0.999, "clipnorm": None, "clipvalue": None, "ema_momentum": 0.99,
    "ema_overwrite_frequency": None, "epsilon": 1e-07, "global_clipnorm": None, "is_legacy_optimizer": False,
    "jit_compile": False, "learning_rate": "0.001", "name": "Adam", "use_ema": False, "weight_decay": None,
}  # fmt: skip
ADAM_3_15 = {
    "amsgrad": False, "beta_1": 0.9, "beta_2": 0.999, "clipnorm": None, "clipvalue": None, "ema_momentum": 0.99,
    "ema_overwrite_frequency": None, "epsilon": 1e-07, "global_clipnorm": None, "gradient_accumulation_steps": None,
    "learning_rate": 0.0010000000474974513, "loss_scale_factor": None, "name": "adam", "use_ema": False,
    "weight_decay": None,
}  # fmt: skip
DENSE_2_4 = {
    "activation": "linear", "activity_regularizer": None, "dtype": "float32", "name": "dense", "trainable": True,
    "bias_initializer": {"class_name": "Zeros", "config": {}},
    "kernel_initializer": {"class_name": "GlorotUniform", "config": {"seed": None}}, "units": 3, "use_bias": True,
}  # fmt: skip
DENSE_3_15 = {
    "activation": "linear", "name": "dense", "trainable": True, "units": 3, "use_bias": True,
    "bias_initializer": {"class_name": "Zeros", "config": {}, "module": "keras.initializers", "registered_name": None},
    "dtype": {"class_name": "DTypePolicy", "config": {"name": "float32"}, "module": "keras", "registered_name": None},
    "kernel_initializer": {
        "class_name": "GlorotUniform", "config": {"input_axes": None, "output_axes": None, "seed": None},
        "module": "keras.initializers", "registered_name": None,
    },
    "quantization_config": None,
}  # fmt: skip
LOSS_2_15 = {"fn": "sparse_categorical_crossentropy", "from_logits": False, "ignore_class": None, "reduction": "auto"}
LOSS_3_15 = {"from_logits": False, "ignore_class": None, "name": "scce", "reduction": "sum_over_batch_size"}


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (ADAM_2_4, ADAM_2_15),
        (ADAM_2_15, ADAM_3_15),
        (ADAM_2_4, ADAM_3_15),
        (DENSE_2_4, DENSE_3_15),
        (LOSS_2_15, LOSS_3_15),
    ],
)
def test_generations_of_keras_say_the_same(a: dict[str, object], b: dict[str, object]) -> None:
    """Other words, other keys, and no difference in either direction."""
    assert changes(a, b) == {}
    assert changes(b, a) == {}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("learning_rate", 0.00101),
        ("epsilon", 1e-8),
        ("amsgrad", True),
        ("clipnorm", 1.0),
        ("weight_decay", 0.004),
        ("use_ema", True),
        ("gradient_accumulation_steps", 4),
    ],
)
def test_a_changed_setting_is_seen_between_any_two_generations(key: str, value: object) -> None:
    """Also where the other generation does not know the key at all."""
    for before in (ADAM_2_4, ADAM_2_15, ADAM_3_15):
        assert list(changes(before, {**ADAM_3_15, key: value})) == [key]


def test_initializers_regularizers_and_policies_become_words() -> None:
    """With the settings that matter, and without seeds."""
    kernel = {"class_name": "VarianceScaling", "config": {"scale": 2.0, "mode": "fan_in", "seed": 3}}
    told = canonical(
        {**DENSE_3_15, "kernel_initializer": kernel, "kernel_regularizer": {"class_name": "L2", "config": {"l2": 0.01}}}
    )
    assert told["kernel_initializer"] == "variance_scaling(mode=fan_in, scale=2.0)"
    assert told["kernel_regularizer"] == "l2(l2=0.01)"
    assert told["dtype"] == "float32"


def test_canonical_form_is_stable() -> None:
    """Canonical configurations stay as they are, so records may be read by any later release."""
    for config in (ADAM_2_15, ADAM_3_15, DENSE_2_4, DENSE_3_15, LOSS_2_15):
        assert canonical(canonical(config)) == canonical(config)
    assert canonical_section({"layer": DENSE_2_4, "policy": "float32"})["policy"] == "float32"


@pytest.mark.parametrize("nothing", [None, 3, "text", [], {"layer": None}])
def test_what_is_no_configuration_changes_nothing(nothing: object) -> None:
    """A record of another make may hold anything here."""
    assert canonical_section(nothing).get("layer", {}) == {}
    assert changes(nothing, ADAM_2_15) == {} or isinstance(nothing, dict)


def test_class_names_in_snake_case() -> None:
    """As Keras writes them in code."""
    assert [snake(name) for name in ("GlorotUniform", "HeNormal", "Zeros")] == ["glorot_uniform", "he_normal", "zeros"]
