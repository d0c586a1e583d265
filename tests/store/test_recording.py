"""What is recorded comes back, is kept once where it is equal, and all of it or nothing."""

from __future__ import annotations

import datetime
import math

import pytest
import sqlalchemy as sa

from doctor.canary.record_file import encode_record
from doctor.canary.runs import snapshot_of
from doctor.case import Case
from doctor.changes import changes
from doctor.model.report import CaseRow
from doctor.store import tables
from doctor.store.entry import Metric, bare_name, content_hash, environment_document
from doctor.store.opening import Store, open_store
from doctor.store.place import Place, StoreError, check_library
from doctor.store.reading import load_record_of, load_run, load_snapshot_of
from doctor.store.recording import record_canary, record_report, report_entries
from doctor.store.upkeep import check, counts
from doctor.store.writing import write_entries
from tests.canary import records
from tests.store import runs


def test_a_report_comes_back_with_its_findings_and_environment(place: Place) -> None:
    """Verdict, exit code, findings in their order, the host, the labels, and every fact of the environment."""
    snapshot = runs.environment()
    report = runs.report("host", findings=(runs.finding(), runs.finding(code="KD201")))
    numbers = record_report(place, "scan", report, [snapshot], tags=("nightly", "nightly"))
    with open_store(place) as store:
        run = load_run(store, numbers[0])
        again = load_snapshot_of(store, run["environment_id"])
    assert (run["kind"], run["verdict"], run["exit_code"], run["host"]) == ("scan", "fail", 1, "trainer-03")
    assert [one["code"] for one in run["findings"]] == ["KD102", "KD201"]
    assert run["findings"][0]["fingerprint"] == runs.finding().identity()
    assert (run["findings"][0]["path"], run["findings"][0]["line"]) == ("Dockerfile", 3)
    assert run["tags"] == ["nightly"]
    assert run["environment"]["tensorflow"] == "2.15.1"
    assert run["environment"]["driver"] == "535.104.05"
    assert not changes(Case(snapshot), Case(again))


def test_each_subject_is_a_run_with_its_own_verdict(place: Place) -> None:
    """Two subjects, one of them failing: two runs, and each has its own findings."""
    report = runs.report("a", "b", findings=(runs.finding("b"),))
    numbers = record_report(place, "scan", report, [runs.environment("a"), runs.environment("b")])
    with open_store(place) as store:
        told = [(run["subject"], run["verdict"], len(run["findings"])) for run in (load_run(store, n) for n in numbers)]
    assert told == [("a", "pass", 0), ("b", "fail", 1)]


def test_a_comparison_is_one_run_with_both_environments(place: Place) -> None:
    """The drift is kept with it, and the other side's environment."""
    drift = {"class": "rounding", "accuracy": {"label": "equivalent", "difference": -0.001}}
    sides = [runs.environment("a"), runs.environment("b", keras="3.15.1")]
    numbers = record_report(place, "compare", runs.report("a", "b", drift=drift), sides)
    with open_store(place) as store:
        run = load_run(store, numbers[0])
        other = load_snapshot_of(store, run["compared_with_id"])
    assert len(numbers) == 1
    assert (run["drift_class"], run["drift_label"], run["drift_difference"]) == ("rounding", "equivalent", -0.001)
    assert run["environment"]["keras"] == "3.15.1"
    assert other.software.keras.version == "2.15.0"


def test_a_canary_comes_back_as_the_very_record(place: Place) -> None:
    """Accuracy and loss are means over the seeds, and the record's checksum still holds."""
    record = runs.canary()
    number = record_canary(place, record, snapshot_of(record, "host"), ("nightly",))
    with open_store(place) as store:
        run = load_run(store, number)
        again = load_record_of(store, run)
    accuracies = [seed.accuracy for seed in record.seeds]
    assert run["accuracy"] == pytest.approx(math.fsum(accuracies) / 16, abs=1e-6)
    assert run["loss"] == pytest.approx(0.2)
    assert run["seeds"]["3"] == record.seeds[2].accuracy
    assert run["ran_at"] == runs.START
    assert len(run["epochs"]) == 6 * 3
    assert (run["optimizer"], run["data_sha256"]) == ("Adam", "da7a")
    assert again is not None
    assert encode_record(again) == encode_record(record)


def test_equal_runs_share_environment_and_record(place: Place) -> None:
    """Thirty nights that compute the same are thirty runs, one environment, one stored record."""
    with open_store(place) as store:
        write_entries(store, [runs.canary_entry(runs.canary(day)) for day in range(30)])
        assert counts(store) == {"runs": 30, "environments": 1, "documents": 1, "references": 0}
        assert check(store) == []


def test_a_run_that_cannot_be_written_leaves_nothing(store: Store) -> None:
    """Two metrics of one name in one epoch are refused by the database: neither run of that call is there."""
    twice = runs.training_entry(1, 0.9, metrics=(Metric(1, "loss", 0.1), Metric(1, "loss", 0.2)))
    with pytest.raises(StoreError):
        write_entries(store, [runs.training_entry(0, 0.9), twice])
    assert counts(store)["runs"] == 0


def test_texts_that_a_database_cannot_hold_are_made_harmless(store: Store) -> None:
    """NUL bytes and lone surrogates in what was collected lose no run."""
    snapshot = runs.environment("ho\x00st\udcff", weird="1\x00\udc80")
    entry = runs.training_entry(0, 0.9, environment=snapshot, tags=("a\x00b",), parameters={"x\x00": float("nan")})
    run = load_run(store, write_entries(store, [entry])[0])
    assert run["tags"] == ["a\ufffdb"]
    assert run["parameters"] == {"x\ufffd": None}


def test_an_infinite_loss_is_kept_as_not_known(store: Store) -> None:
    """Both databases say NULL: a metric that was no number."""
    entry = runs.training_entry(0, 0.9, metrics=(Metric(1, "loss", None), Metric(2, "loss", 0.5)))
    run = load_run(store, write_entries(store, [entry])[0])
    assert [row["value"] for row in run["epochs"]] == [None, 0.5]


def test_moments_come_back_in_utc(store: Store) -> None:
    """A run recorded in another time zone is the same moment."""
    zone = datetime.timezone(datetime.timedelta(hours=9))
    moment = datetime.datetime(2026, 11, 21, 3, 0, tzinfo=zone)
    entry = runs.training_entry(0, 0.9, deployed_at=moment)
    run = load_run(store, write_entries(store, [entry])[0])
    assert run["deployed_at"] == moment
    assert run["deployed_at"].utcoffset() == datetime.timedelta(0)


def test_host_name_and_observation_make_no_other_environment() -> None:
    """What names the host, or changes between two looks, is not part of the hash; a version is."""
    one = environment_document(runs.environment())
    assert "trainer-03" not in str(one)
    assert content_hash(one) == content_hash(environment_document(runs.environment("other")))
    assert content_hash(one) != content_hash(environment_document(runs.environment(numpy="2.0.0")))


@pytest.mark.parametrize(
    ("subject", "name"),
    [
        ("registry.example:5000/app:1.2", "registry.example:5000/app"),
        ("app@sha256:00", "app"),
        ("registry.example:5000/app", "registry.example:5000/app"),
        ("image:app:1", "image:app"),
        ("python:/opt/venv/bin/python", "python:/opt/venv/bin/python"),
        ("host", "host"),
    ],
)
def test_a_series_is_named_without_tag_and_digest(subject: str, name: str) -> None:
    """An image that moves on stays in its series."""
    assert bare_name(subject) == name


def test_findings_of_no_subject_are_not_lost() -> None:
    """A finding on a pair, or on the policy, stands with the first run."""
    report = runs.report("a", findings=(runs.finding("policy"),))
    entries = report_entries("scan", report, [runs.environment("a")], {})
    assert [one.code for one in entries[0].findings] == ["KD102"]


def test_tables_hold_what_a_tool_can_query(store: Store) -> None:
    """The views answer: a run's versions and errors, accuracy against the run before, since when a finding is there."""
    report = runs.report("host", findings=(runs.finding(),))
    for day in (0, 1):
        entries = report_entries("scan", report, [runs.environment()], {})
        write_entries(store, entries)
        write_entries(store, [runs.training_entry(day, 0.9 + day / 100)])
    with store.reading() as connection:
        summary = connection.execute(sa.text("SELECT keras, errors FROM kdoctor_run_summary WHERE kind = 'scan'")).all()
        accuracy = connection.execute(
            sa.text("SELECT difference FROM kdoctor_accuracy WHERE model = 'ctr' ORDER BY ran_at")
        ).all()
        history = connection.execute(sa.text("SELECT code, runs FROM kdoctor_finding_history")).all()
    assert [tuple(row) for row in summary] == [("2.15.0", 1)] * 2
    assert accuracy[0][0] is None
    assert accuracy[1][0] == pytest.approx(0.01)
    assert [tuple(row) for row in history] == [("KD102", 2)]
    assert set(tables.metadata.tables) == {
        f"kdoctor_{name}" for name in ("environments", "documents", "runs", "epochs", "findings", "tags", "references")
    }


def test_the_gate_keeps_each_subjects_own_drift_and_record(place: Place) -> None:
    """Two images, one of which drifts: each run has its own record and verdict on accuracy."""
    cases = (CaseRow("a", drift="bitwise", accuracy="equivalent"), CaseRow("b", drift="unexplained", accuracy="drift"))
    report = runs.report("a", "b", cases=cases, drift={"class": "unexplained", "accuracy": {"label": "drift"}})
    canaries = {"a": runs.canary(0), "b": runs.canary(0, shift=-0.1)}
    numbers = record_report(place, "gate", report, [runs.environment("a"), runs.environment("b")], canaries)
    with open_store(place) as store:
        told = [load_run(store, number) for number in numbers]
    assert [run["drift_label"] for run in told] == ["equivalent", "drift"]
    assert told[0]["accuracy"] - told[1]["accuracy"] == pytest.approx(0.1)


def test_the_digest_of_the_image_that_a_canary_ran_in_is_kept(place: Place) -> None:
    """Where only the record knows it."""
    raw = records.document()
    raw["environment"]["image_digest"] = runs.DIGEST
    record = runs.canary(document=raw)
    number = record_canary(place, record, snapshot_of(record, "image:app"))
    with open_store(place) as store:
        assert load_run(store, number)["environment"]["image_digest"] == runs.DIGEST


def test_a_library_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that installs it."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(StoreError, match="pip install"):
        check_library()
