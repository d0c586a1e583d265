"""KD811 to KD817: what changed between two environments."""

from __future__ import annotations

from typing import Any

import pytest

from tests.rules.environments import replaced, system, wheels
from tests.rules.machines import Drop, change
from tests.support import compute_pair

CODES = [f"KD81{n}" for n in range(1, 8)]
A = wheels("2.17.1")


@pytest.mark.parametrize("code", CODES)
class TestEach:
    def test_nothing_changed(self, code: str) -> None:
        """An environment against itself: passed."""
        assert compute_pair(code, A, A).passed

    def test_nothing_is_known(self, code: str) -> None:
        """Two empty snapshots: skipped, never passed."""
        empty = {"subject": {"kind": "host", "name": "host"}}
        assert compute_pair(code, empty, empty).skipped

    def test_it_is_an_info_with_both_sides(self, code: str) -> None:
        """A change is no fault; the evidence names what was and what is."""
        (found,) = compute_pair(code, A, CHANGED[code]).findings
        assert found.severity
        assert found.severity.value == "info"
        assert {e.fact[:2] for e in found.evidence} == {"a.", "b."}


CHANGED: dict[str, dict[str, Any]] = {
    "KD811": change(A, {"software.tensorflow.version": "2.18.1"}),
    "KD812": replaced(A, keras="3.8.0"),
    "KD813": system("2.17.1", "12.3", "8.9.6"),
    "KD814": change(A, {"software.libc.version": "2.39"}),
    "KD815": replaced(A, numpy="1.24.4"),
    "KD816": change(A, {"software.environment": {"TF_DETERMINISTIC_OPS": "1"}}),
    "KD817": change(A, {"software.python.version": "3.12.1"}),
}


@pytest.mark.parametrize(
    ("b", "codes"),
    [
        (CHANGED["KD811"], {"KD811"}),
        (replaced(A, keras="3.8.0"), {"KD812"}),
        (replaced(A, numpy="1.24.4", scipy="1.11.0"), {"KD815"}),
        (replaced(A, nvidia_cudnn_cu12="8.9.2.26"), {"KD813"}),
        (replaced(A, nvidia_ml_py="12.560.30"), {"KD815"}),
        (change(A, {"machine.driver.version": "580.65.06"}), {"KD813"}),
        (CHANGED["KD814"], {"KD814"}),
        (CHANGED["KD816"], {"KD816"}),
        (CHANGED["KD817"], {"KD817"}),
    ],
    ids=["tensorflow", "keras", "packages", "wheel", "binding", "driver", "libc", "variable", "python"],
)
def test_each_thing_has_one_rule(b: dict[str, Any], codes: set[str]) -> None:
    """A change is told once, by the rule of its kind."""
    assert {code for code in CODES if compute_pair(code, A, b).findings} == codes


def test_what_decides_numbers_comes_first() -> None:
    """NumPy before an alphabetically earlier package that decides none; many are counted, not listed."""
    b = replaced(A, numpy="1.24.4", **{f"aa{n}": "1.0" for n in range(9)})
    (found,) = compute_pair("KD815", A, b).findings
    assert found.message.startswith("packages changed: numpy 1.26.4 → 1.24.4, aa0 (none) → 1.0")
    assert found.message.endswith("and 4 more")
    assert len(found.evidence) == 20


@pytest.mark.parametrize(
    ("code", "b", "effect"),
    [
        ("KD811", {"tensorflow": "2.17.0"}, "no change between the two is known to alter a seeded run; speed"),
        ("KD812", {"keras": "3.6.0"}, "2 known changes of results lie between the two (KD705)"),
        ("KD815", {"numpy": "1.24.4", "aa": "1"}, "numpy takes part in computing: results may differ; the other 1"),
        ("KD815", {"aa": "1"}, "none of them takes part in computing"),
    ],
)
def test_the_effect_says_what_a_change_means_for_results(code: str, b: dict[str, str], effect: str) -> None:
    """Known changes of results, or none; packages that compute apart from those that do not."""
    a = replaced(A, keras="3.7.0")
    other = replaced(a, **b)
    if "tensorflow" in b:
        other = change(other, {"software.tensorflow.version": b["tensorflow"]})
    (found,) = compute_pair(code, a, other).findings
    assert found.effect.startswith(effect), found.effect


def test_another_digest_alone_is_no_other_base() -> None:
    """Two builds of one image: the digest stands in the list of changes, and no system library changed."""
    a, b = (change(A, {"software.image": {"digest": "sha256:" + figure * 64}}) for figure in "12")
    assert not compute_pair("KD814", a, b).findings


def test_an_incomplete_list_proves_no_removal() -> None:
    """A package that is missing from a list known to be incomplete is not gone."""
    b = change(A, {"software.packages": A["software"]["packages"][:2], "partial": ["software.packages"]})
    assert not compute_pair("KD815", A, b).findings


def test_keras_is_concluded_where_nothing_names_it() -> None:
    """Up to TensorFlow 2.15 the version of Keras follows from TensorFlow's."""
    a, b = ({"software": {"tensorflow": {"version": v}}} for v in ("2.9.3", "2.10.1"))
    (found,) = compute_pair("KD812", a, b).findings
    assert "2.9" in found.message


def test_one_side_unknown_is_no_change() -> None:
    """What only one side knows is not told as a difference."""
    b = change(
        A, {"software.python": {}, "software.libc": {}, "software.distribution": {}, "software.environment": Drop}
    )
    for code in ("KD814", "KD816", "KD817"):
        assert compute_pair(code, A, b).skipped
