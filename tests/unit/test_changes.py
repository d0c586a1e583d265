"""What differs between two snapshots."""

from __future__ import annotations

from typing import Any

from doctor.changes import changes
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
