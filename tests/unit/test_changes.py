"""What differs between two snapshots."""

from __future__ import annotations

from typing import Any

from doctor.changes import changes, ranked
from tests.support import case


def found(a: dict[str, Any], b: dict[str, Any]) -> list[tuple[str, str, Any, Any]]:
    """Every change as (what, name, a, b)."""
    return [(c["what"], c["name"], c["a"], c["b"]) for c in changes(case(a), case(b))]


def software(version: str, **packages: str) -> dict[str, Any]:
    """A snapshot with a TensorFlow and some packages."""
    rows = [{"name": name, "version": text} for name, text in packages.items()]
    return {"software": {"tensorflow": {"version": version}, "packages": rows}}


def test_same_snapshot_has_no_changes() -> None:
    """Nothing differs from itself."""
    snapshot = software("2.15.0", numpy="1.26.4")
    assert found(snapshot, snapshot) == []


def test_weightiest_first() -> None:
    """TensorFlow stands before a package; a package that only one side has is a change."""
    rows = found(software("2.15.0", numpy="1.26.4", six="1"), software("2.16.1", numpy="2.0.0", zipp="3"))
    assert rows == [
        ("tensorflow", "tensorflow.version", "2.15.0", "2.16.1"),
        ("package", "numpy", "1.26.4", "2.0.0"),
        ("package", "six", "1", None),
        ("package", "zipp", None, "3"),
    ]


def test_what_only_one_side_knows_is_no_difference() -> None:
    """A missing fact is not another value, and absence from a partial list proves nothing."""
    assert found(software("2.15.0"), {"software": {"packages": []}}) == []
    partial = {"software": {"packages": [{"name": "six", "version": "1"}]}, "partial": ["software.packages"]}
    complete = {"software": {"packages": [{"name": "six", "version": "1"}, {"name": "zipp", "version": "3"}]}}
    assert found(partial, complete) == []


def test_a_variable_that_a_partial_side_does_not_tell_is_no_difference() -> None:
    """A canary's record names the variables that matter to it; one that both tell is compared."""
    partial = {"software": {"environment": {"TF_CPP_MIN_LOG_LEVEL": "1"}}, "partial": ["software.environment"]}
    complete = {"software": {"environment": {"TF_CPP_MIN_LOG_LEVEL": "2", "PYTHONPATH": "/app"}}}
    assert found(partial, complete) == [("environment", "TF_CPP_MIN_LOG_LEVEL", "1", "2")]
    assert found(complete, partial) == [("environment", "TF_CPP_MIN_LOG_LEVEL", "2", "1")]


def test_variables_cpu_flags_and_gpus() -> None:
    """A variable set on one side, CPU instructions that only one has, another GPU."""
    a = {
        "software": {"environment": {"TF_ENABLE_ONEDNN_OPTS": "0"}},
        "machine": {"cpu": {"flags": ["avx2", "fma"]}, "gpus": [{"name": "Tesla T4", "compute_capability": "7.5"}]},
    }
    b = {
        "software": {"environment": {}},
        "machine": {
            "cpu": {"flags": ["avx2", "avx512f"]},
            "gpus": [{"name": "NVIDIA L4", "compute_capability": "8.9"}],
        },
    }
    assert found(a, b) == [
        ("machine", "gpus", ["Tesla T4 (7.5)"], ["NVIDIA L4 (8.9)"]),
        ("machine", "cpu.flags", ["fma"], ["avx512f"]),
        ("environment", "TF_ENABLE_ONEDNN_OPTS", "0", None),
    ]


def test_images_side_by_side() -> None:
    """Platform, digest, how many layers are shared, and labels; nothing where only one side is an image."""
    base = {"labels": {"v": "1", "same": "x"}, "layers": ["sha256:a", "sha256:b"], "platform": "linux/amd64"}
    a = {"software": {"image": {**base, "digest": "sha256:1"}}}
    other = {"labels": {"v": "2", "same": "x"}, "layers": ["sha256:a", "sha256:c", "sha256:d"]}
    b = {"software": {"image": {**other, "platform": "linux/arm64", "digest": "sha256:2"}}}
    assert found(a, b) == [
        ("image", "image.platform", "linux/amd64", "linux/arm64"),
        ("image", "image.digest", "sha256:1", "sha256:2"),
        ("image", "image.layers", "2, the first 1 shared", "3, the first 1 shared"),
        ("image", "label v", "1", "2"),
    ]
    assert found(a, {"software": {}}) == []


def test_what_computes_stands_before_what_does_not() -> None:
    """Packages that take no part in computing are marked and last; everything else keeps its order."""
    rows = changes(case(software("2.15.0", aa="1", numpy="1.26.4")), case(software("2.16.1", aa="2", numpy="2.0.0")))
    assert [(row["name"], row.get("computes")) for row in ranked(rows)] == [
        ("tensorflow.version", None),
        ("numpy", None),
        ("aa", False),
    ]
