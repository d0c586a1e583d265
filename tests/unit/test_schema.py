"""The JSON Schemas: current, true of real documents, and strict enough to find mistakes."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from doctor import gate, schema
from doctor.engine import judge
from doctor.model.wire import encode_snapshot
from doctor.report import render
from doctor.report.context import Context
from doctor.settings import Settings
from tests.support import case


def errors(name: str, document: Any) -> list[str]:
    definition = schema.SCHEMAS[name]()
    jsonschema.Draft202012Validator.check_schema(definition)
    return [error.message for error in jsonschema.Draft202012Validator(definition).iter_errors(document)]


SNAPSHOT = {
    "kind": "kdoctor/snapshot",
    "schema": 1,
    "subject": {"kind": "host", "name": "host"},
    "machine": {"gpus": [{"name": "A100", "mig": False}], "wsl": False, "driver": {"missing": "NVML did not answer"}},
    "software": {
        "packages": [{"name": "numpy", "version": {"missing": "no METADATA"}}],
        "cuda": {"libdevice": False, "ptxas_version": "12.2.140"},
        "environment": {"CUDA_VISIBLE_DEVICES": ""},
    },
    "partial": ["software.packages"],
}


def test_checked_in_schemas_are_current(capsys: pytest.CaptureFixture[str]) -> None:
    """What lies in schemas/ is what the model says."""
    assert schema.main(["--check"]) == 0, capsys.readouterr().err


def test_check_names_what_is_stale_and_write_mends_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--check fails with the file's name, --write makes it pass."""
    assert schema.main(["--check", "--folder", str(tmp_path)]) == 1
    assert "snapshot.json: not current" in capsys.readouterr().err
    assert schema.main(["--write", "--folder", str(tmp_path)]) == 0
    assert schema.main(["--check", "--folder", str(tmp_path)]) == 0


def test_a_snapshot_with_missing_facts_is_valid_as_read_and_as_written() -> None:
    """Absent keys, reasons and unknown keys are all allowed."""
    assert errors("snapshot.json", {**SNAPSHOT, "later": 1}) == []
    assert errors("snapshot.json", json.loads(encode_snapshot(case(SNAPSHOT).snapshot))) == []
    assert errors("snapshot.json", {}) == []


@pytest.mark.parametrize(
    "change",
    [
        {"machine": {"gpus": "none"}},
        {"machine": {"gpus": {"missing": 1}}},
        {"software": {"packages": [{"version": "1"}]}},
        {"kind": "kdoctor/report"},
        {"schema": 2},
        {"partial": "software.packages"},
    ],
)
def test_a_mistake_in_a_snapshot_is_found(change: dict[str, Any]) -> None:
    """Wrong types, an item without its name, another kind or schema."""
    assert errors("snapshot.json", {**SNAPSHOT, **change})


def test_benchmark_snapshots_are_valid(shared: Path) -> None:
    """The schema holds for snapshots that nobody here wrote."""
    validator = jsonschema.Draft202012Validator(schema.snapshot_schema())
    lines = (shared / "benchmark" / "cases.jsonl").read_text().splitlines()[:150]
    snapshots = [s for row in map(json.loads, lines) for s in (row.get("snapshot"), row.get("a"), row.get("b")) if s]
    assert snapshots
    for snapshot in snapshots:
        assert [error.message for error in validator.iter_errors(snapshot)] == []


def report_of(snapshot: dict[str, Any]) -> dict[str, Any]:
    settings = Settings()
    one = case(snapshot)
    outcome = judge(one, gate.select_rules(settings))
    row, machine = gate.subject_row(one), gate.machine_row(one)
    report = gate.build_report([outcome], [row], [machine], settings, today=datetime.date(2026, 11, 21))
    document: dict[str, Any] = json.loads(render("json", report, Context()))
    return document


def test_a_real_report_is_valid_and_a_broken_one_is_not() -> None:
    """Every list of outcomes is there; a verdict or severity outside the contract is found."""
    snapshot = {**SNAPSHOT, "collected_at": "2026-11-21T00:00:00Z"}
    snapshot["project"] = {"suppressions": [{"path": "a", "line": 1, "codes": ["KD403"], "until": "2020-01-01"}]}
    document = report_of(snapshot)
    assert errors("report.json", document) == []
    assert document["findings"]
    assert document["skipped"]
    assert errors("report.json", {**document, "verdict": "maybe"})
    assert errors("report.json", {key: value for key, value in document.items() if key != "skipped"})
    document["findings"][0]["severity"] = None
    assert errors("report.json", document)


def test_a_configuration_is_checked_key_by_key() -> None:
    """Known keys pass, misspelt ones and unknown levels do not."""
    good = {"fail-on": "warning", "select": "KD1", "severity": {"KD403": "info"}, "suppressions": [{"code": "KD403"}]}
    assert errors("configuration.json", good) == []
    assert errors("configuration.json", {"fail-onn": "error"})
    assert errors("configuration.json", {"fail-on": "errors"})
    assert errors("configuration.json", {"suppressions": [{"cod": "KD403"}]})
    assert errors("configuration.json", {"origins": {}})
