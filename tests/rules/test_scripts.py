"""KD701, KD702 and KD710–KD718: each fires, is silent, and is skipped or left."""

from __future__ import annotations

from typing import Any

import pytest

from doctor.catalogue import find
from doctor.project.scripts.watched import ARGUMENTS, FILES, METHODS, NAMES
from tests.rules.machines import fix, message, outcome, reason
from tests.support import compute

CODES = ("KD701", "KD702", "KD710", "KD711", "KD712", "KD713", "KD714", "KD715", "KD716", "KD717", "KD718")
FACTS: dict[str, dict[str, Any]] = {
    "KD701": {"what": "seed-unset"},
    "KD702": {"what": "determinism-unset"},
    "KD710": {"what": "seed-late", "model_line": 3},
    "KD711": {"what": "gpu-check-unset"},
    "KD712": {"what": "loss-activation", "why": "softmax-of-one", "activation": "softmax", "loss": "hinge", "units": 1},
    "KD713": {"what": "changed-after-compile", "change": "trainable"},
    "KD714": {"what": "model-in-loop", "loop_line": 2},
    "KD715": {"what": "api", "name": "keras.utils.np_utils", "keras": "keras"},
    "KD716": {"what": "metrics-unrecorded", "count": 1},
    "KD717": {"what": "call-without-training", "known": True},
    "KD718": {"what": "best-weights-lost"},
}  # fmt: skip


def project(*facts: dict[str, Any], software: dict[str, Any] | None = None, **row: Any) -> dict[str, Any]:
    """A project with one script."""
    place = {"line": 4, "column": 1, "text": "model.fit(x, y)"}
    script = {"path": "train.py", "kind": "script", "trains": "fit", "keras": ["keras"], **row}
    script["facts"] = [{**place, **fact} for fact in facts]
    return {
        "software": software if software is not None else {"keras": {"version": "3.15.1"}},
        "project": {"scripts": [script]},
    }


@pytest.mark.parametrize("code", CODES)
def test_fires_at_the_place_of_the_fact(code: str) -> None:
    """The finding stands at the fact's line, with the line's text, at the severity of the contract."""
    (found,) = compute(code, project(FACTS[code])).findings
    assert found.severity is find(code).severity
    assert found.location is not None
    assert (found.location.path, found.location.line, found.location.column) == ("train.py", 4, 1)
    assert found.location.text == "model.fit(x, y)"
    assert found.message.startswith("train.py")
    assert found.fix
    assert found.effect


@pytest.mark.parametrize("code", CODES)
def test_silent_without_the_fact(code: str) -> None:
    """A script without that fact passes."""
    assert outcome(code, project({"what": "trains", "how": "fit"})) == "passed"


@pytest.mark.parametrize("code", CODES)
def test_skipped_where_nobody_looked(code: str) -> None:
    """Without ``project.scripts`` nothing is concluded."""
    assert outcome(code, {"software": {"keras": {"version": "3.15.1"}}}) == "skipped"


@pytest.mark.parametrize("code", CODES)
def test_left_where_there_is_no_script(code: str) -> None:
    """A project without scripts has nothing to say about training."""
    assert outcome(code, {"project": {"scripts": []}}) == "inapplicable"


@pytest.mark.parametrize("code", ["KD701", "KD702", "KD710", "KD711", "KD716", "KD718"])
def test_left_where_no_script_trains(code: str) -> None:
    """Modules that only define functions are not training scripts."""
    assert outcome(code, project(FACTS[code], trains=None)) == "inapplicable"


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("facts", [None, 7, ["x", None, {"what": 3}, {}], [{"what": "api"}]])
def test_facts_that_make_no_sense(code: str, facts: Any) -> None:
    """Rows of another form are passed over; no rule fails on them."""
    snapshot = {"project": {"scripts": [{"path": "train.py", "facts": facts}, {"facts": []}, {"path": 3}]}}
    assert compute(code, snapshot).failures == []


def test_a_notebook_names_its_cell() -> None:
    """Where the line of the file is not known, cell and line of the cell still are."""
    snapshot = project({**FACTS["KD701"], "line": None, "cell": 3, "cell_line": 2}, path="a.ipynb", kind="notebook")
    (found,) = compute("KD701", snapshot).findings
    assert found.message == "a.ipynb, cell 3, line 2 trains without a seed"
    assert found.location is not None
    assert found.location.line is None


def test_a_seed_for_numpy_alone() -> None:
    """It is said which seed there is, with less confidence."""
    snapshot = project({**FACTS["KD701"], "others": ["numpy"]})
    assert message("KD701", snapshot) == "train.py trains with a seed for NumPy only, none for TensorFlow"


def test_the_fix_fits_the_release() -> None:
    """set_random_seed exists from TensorFlow 2.7 on, op determinism from 2.8 on."""
    old = {"tensorflow": {"version": "2.6.5"}}
    assert "np.random.seed(42)" in fix("KD701", project(FACTS["KD701"], software=old))
    assert fix("KD702", project(FACTS["KD702"], software=old)) == "TF_DETERMINISTIC_OPS=1 in the environment"


@pytest.mark.parametrize("code", ["KD702", "KD711"])
def test_other_backends(code: str) -> None:
    """On JAX or PyTorch there is no TensorFlow to be made deterministic, nor one that should see the GPU."""
    assert outcome(code, project(FACTS[code], backend="jax")) == "inapplicable"
    software = {"keras": {"version": "3.15.1", "backend": "torch"}}
    assert outcome(code, project(FACTS[code], software=software)) == "inapplicable"
    assert outcome(code, project(FACTS[code], software=software, keras=["tf.keras"])) == "info"


def test_determinism_by_the_environment() -> None:
    """The variable in the environment is as good as the call."""
    software = {"environment": {"TF_DETERMINISTIC_OPS": "1"}}
    assert outcome("KD702", project(FACTS["KD702"], software=software)) == "passed"


def test_no_gpu_is_meant() -> None:
    """Who says that no GPU is meant hears nothing of one."""
    snapshot = {**project(FACTS["KD711"]), "expects": {"gpu": False}}
    assert outcome("KD711", snapshot) == "inapplicable"


def api(name: str, home: str | None = "keras") -> dict[str, Any]:
    """The fact that a name is used."""
    return {"what": "api", "name": name, "keras": home}


LEGACY = {"TF_USE_LEGACY_KERAS": "1"}
KERAS2 = {"tensorflow": {"version": "2.15.1"}, "keras": {"version": "2.15.0"}}
KERAS3 = {"tensorflow": {"version": "2.21.0"}, "keras": {"version": "3.15.1"}}


@pytest.mark.parametrize(
    ("fact", "software", "expected"),
    [
        (api("keras.optimizers(lr)"), KERAS3, "warning"),
        (api("keras.optimizers(lr)"), KERAS2, "passed"),  # it warns, and takes it
        (api("keras.optimizers(decay)"), KERAS2, "warning"),
        (api("keras.backend.mean", "keras"), KERAS3, "warning"),
        (api("keras.backend.mean", "tf.keras"), KERAS3, "passed"),  # tf.keras still has it
        (api("keras.utils.np_utils"), {"keras": {"version": "2.12.0"}}, "passed"),
        (api("keras.utils.np_utils"), {"keras": {"version": "2.13.1"}}, "warning"),
        (api(".reset_states", None), KERAS3, "warning"),
        (api(".predict_classes", None), {"tensorflow": {"version": "2.5.0"}}, "passed"),
        (api(".predict_classes", None), {"tensorflow": {"version": "2.8.4"}}, "warning"),
        (api("tensorflow.Session", None), KERAS2, "warning"),
        (api("tensorflow.Session", None), {"tensorflow": {"version": "1.15.0"}}, "passed"),
        (api("tensorflow.estimator", None), KERAS3, "warning"),
        (api("keras.optimizers.legacy", "tf.keras"), {**KERAS3, "environment": LEGACY}, "skipped"),
        (api("keras.optimizers(lr)", "tf_keras"), KERAS3, "skipped"),
        (api("keras.optimizers(lr)"), {}, "skipped"),
        (api("keras.optimizers(lr)"), {"keras": {"version": "nightly"}}, "skipped"),
        (api("keras.optimizers(lr)", "tf.keras"), {"tensorflow": {"version": "2.16.2"}}, "warning"),
    ],
)  # fmt: skip
def test_which_release_has_what(fact: dict[str, Any], software: dict[str, Any], expected: str) -> None:
    """Each name against the home that it is imported from, and the version behind that."""
    homes = [fact["keras"]] if fact["keras"] else ["tf.keras"]
    assert outcome("KD715", project(fact, software=software, keras=homes)) == expected


def test_the_project_pins_decide_where_nothing_is_installed() -> None:
    """An exact requirement or a lock file says which Keras is meant; two that differ say nothing."""
    snapshot = project(api("keras.optimizers(lr)"), software={})
    pin = {"name": "keras", "specifier": "==3.4.1", "exact": True, "path": "requirements.txt", "line": 1}
    snapshot["project"]["requirements"] = [pin]
    assert "Keras 3.4.1" in message("KD715", snapshot)
    snapshot["project"]["lock_files"] = [{"path": "uv.lock", "format": "uv", "packages": {"keras": "2.15.0"}}]
    assert reason("KD715", snapshot) == "software.keras.version: not known, and the project pins none"


def test_one_finding_a_name() -> None:
    """Further places of one name stand in the same finding; another name is another finding."""
    first = api("keras.optimizers(lr)")
    found = compute("KD715", project(first, {**first, "line": 9}, api("keras.utils.np_utils"))).findings
    assert [f.thing for f in found] == ["keras.optimizers(lr)", "keras.utils.np_utils"]
    assert found[0].message == "train.py: lr= of optimizers is not taken by Keras 3.15.1 (also line 9)"


def test_a_script_for_tensorflow_1_gets_one_finding() -> None:
    """Three names of TensorFlow 1 or more are one fault: the script is of another age."""
    names = ("tensorflow.placeholder", "tensorflow.Session", "tensorflow.log", "tensorflow.layers")
    (found,) = compute("KD715", project(*(api(name, None) for name in names), software=KERAS3)).findings
    assert found.message == (
        "train.py is written for TensorFlow 1: tf.placeholder, tf.Session, tf.log and 1 more"
        " are not in TensorFlow 2.21.0"
    )


def test_the_list_of_watched_names_is_that_of_the_table() -> None:
    """What the reader notes is what the table knows: neither has a name that the other lacks."""
    from doctor.rules.tables.keras_api import names

    watched = {*NAMES, *ARGUMENTS, *(f".{name}" for name in METHODS), *(f"{name}:file" for name in FILES)}
    assert watched == {row.name for row in names()}
    assert all(row.source and row.seen and row.gone and row.instead for row in names())


@pytest.mark.parametrize(
    ("why", "activation", "loss", "units", "said", "fixed"),
    [
        ("softmax-of-one", "softmax", "mean_squared_error", 1, "always 1", "sigmoid"),
        ("logits-of-probabilities", "softmax", "categorical_crossentropy", 3, "from_logits=True", "drop the"),
        ("no-probabilities", "linear", "binary_crossentropy", 1, "no activation", 'activation="sigmoid"'),
        ("no-probabilities", "relu", "categorical_crossentropy", 3, "activation relu", 'activation="softmax"'),
        ("sigmoid-with-categorical", "sigmoid", "categorical_crossentropy", 1, "one sigmoid", "binary_crossentropy"),
        ("sigmoid-with-categorical", "sigmoid", "categorical_crossentropy", 9, "on sigmoids", "softmax"),
        ("softmax-with-binary", "softmax", "binary_crossentropy", 2, "on a softmax", "sigmoid"),
    ],
)  # fmt: skip
def test_each_mismatch_is_said_in_its_own_words(
    why: str, activation: str, loss: str, units: int, said: str, fixed: str
) -> None:
    """What does not belong together, and what would."""
    fact = {"what": "loss-activation", "why": why, "activation": activation, "loss": loss, "units": units}
    assert said in message("KD712", project(fact))
    assert fixed in fix("KD712", project(fact))


def test_a_mismatch_in_many_places_of_one_script_is_one_finding() -> None:
    """The same model compiled again and again: one finding, which counts the other places; another loss is another."""
    again = [{**FACTS["KD712"], "line": line} for line in (9, 20, 31)]
    other = {**FACTS["KD712"], "why": "softmax-with-binary", "loss": "binary_crossentropy", "line": 40}
    found = compute("KD712", project(*again, other)).findings
    assert [f.location.line for f in found if f.location] == [9, 40]
    assert "2 more places: line 20, 31" in found[0].message
