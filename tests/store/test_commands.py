"""kdoctor history on the command line, and --record on the commands that judge."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from doctor.canary.record_file import load_record
from doctor.model.wire import encode_snapshot
from doctor.store import showing
from doctor.store.opening import open_store
from doctor.store.place import Place
from doctor.store.reading import Filter, list_runs
from doctor.store.writing import write_entries
from tests.store import runs

ROOT = Path(__file__).resolve().parents[2]


def kdoctor(*words: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """One command, in a folder."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100", **variables}
    command = [sys.executable, "-m", "doctor", *words]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False, encoding="utf-8")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a saved snapshot, and a policy whose history lies in it."""
    (tmp_path / "kdoctor.toml").write_text('history = ".kdoctor/history.db"\n')
    (tmp_path / "node.json").write_bytes(encode_snapshot(runs.environment()))
    return tmp_path


@pytest.fixture
def year(project: Path) -> Path:
    """The folder with ten canaries, the last four of which lost three percent with a new Keras."""
    with open_store(Place(path=project / ".kdoctor" / "history.db")) as store:
        for day in range(10):
            late = day >= 6
            record = runs.canary(day, shift=-0.03 * late, keras="2.15.1" if late else "2.15.0")
            write_entries(store, [runs.canary_entry(record, tags=("nightly",), verdict="fail" if late else "pass")])
    return project


@pytest.mark.parametrize(
    ("width", "columns"),
    [
        (200, "run date kind subject verdict accuracy tensorflow keras host"),
        (80, "run date kind subject verdict accuracy"),
        (60, "run date subject verdict accuracy"),
    ],
)
def test_the_list_fits_the_terminal(year: Path, width: int, columns: str) -> None:
    """What matters least is left out where it would be broken over two lines; the runs and accuracies stay."""
    with open_store(Place(path=year / ".kdoctor" / "history.db"), write=False) as store:
        rows = [{**row, "subject": "registry.example/team/trainer:1.4@sha256"} for row in list_runs(store, Filter())]
    lines = showing.table(rows, width).splitlines()
    assert lines[0].split() == columns.split()
    assert max(map(len, lines)) <= width
    assert len(lines) == 1 + len(rows)


def test_check_records_where_the_projects_policy_says(project: Path) -> None:
    """--record keeps the run, says so on stderr, and leaves stdout one document."""
    done = kdoctor("check", "node.json", "--record", "--tag", "ci", "--format", "json", cwd=project)
    assert json.loads(done.stdout)["kind"] == "kdoctor/report"
    assert "recorded as run 1" in done.stderr
    listed = json.loads(kdoctor("history", "list", "--format", "json", "--tag", "ci", cwd=project).stdout)
    assert [(run["kind"], run["subject"], run["tensorflow"]) for run in listed["runs"]] == [("check", "node", "2.15.1")]


def test_record_in_the_policy_records_each_run(project: Path) -> None:
    """record = true."""
    (project / "kdoctor.toml").write_text('record = true\nhistory = "h.db"\n')
    kdoctor("check", "node.json", cwd=project)
    assert (project / "h.db").is_file()


def test_without_record_nothing_is_written(project: Path) -> None:
    """And no database library is loaded."""
    kdoctor("check", "node.json", cwd=project)
    assert not (project / ".kdoctor").exists()


@pytest.mark.parametrize(
    "variables",
    [
        {"KDOCTOR_HISTORY": "node.json"},
        {"KDOCTOR_HISTORY": "/proc/none/history.db"},
        {"KDOCTOR_DB_URL": "postgresql://ann:s3cret@127.0.0.1:1/kdoctor"},
        {"KDOCTOR_DB_URL": "mysql://ann:s3cret@127.0.0.1/kdoctor"},
        {"KDOCTOR_DB_URL": "s3cret"},
    ],
)
def test_a_failure_to_record_never_hides_the_verdict(project: Path, variables: dict[str, str]) -> None:
    """The report and the exit code are those without --record; why nothing was recorded is one line, no password."""
    plain = kdoctor("check", "node.json", "--format", "concise", cwd=project)
    done = kdoctor("check", "node.json", "--format", "concise", "--record", cwd=project, **variables)
    assert (done.stdout, done.returncode) == (plain.stdout, plain.returncode)
    assert done.stderr.count("not recorded") == 1
    assert "Traceback" not in done.stderr
    assert "s3cret" not in done.stderr + done.stdout


@pytest.mark.parametrize(
    "text", ['database = "postgresql://a:b@host/x"', 'history = "../elsewhere.db"', 'history = "/x"']
)
def test_a_project_cannot_name_a_database_or_a_place_outside(project: Path, text: str) -> None:
    """It is hostile input: exit code 2, and the key is named."""
    (project / "kdoctor.toml").write_text(text + "\n")
    done = kdoctor("history", "list", cwd=project)
    assert done.returncode == 2
    assert "kdoctor.toml" in done.stderr


def test_a_link_in_the_project_leads_nowhere(project: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A committed link .kdoctor -> elsewhere is outside, too."""
    (project / ".kdoctor").symlink_to(tmp_path_factory.mktemp("elsewhere"))
    assert kdoctor("history", "list", cwd=project).returncode == 2


def test_an_empty_history_is_no_error(project: Path) -> None:
    """list says where it looked, makes no file, and exits with 0; the others say what to do."""
    done = kdoctor("history", "list", cwd=project)
    assert (done.returncode, done.stdout) == (0, "no runs\n")
    assert "--record" in done.stderr
    assert not (project / ".kdoctor").exists()
    for words in (("show",), ("drift",), ("check",), ("plot",), ("prune", "--keep", "1"), ("diff", "1", "2")):
        done = kdoctor("history", *words, cwd=project)
        assert done.returncode in (2, 3), words
        assert "Traceback" not in done.stderr


def test_drift_is_answered_by_one_command(year: Path) -> None:
    """The date, the run before, the difference and the package that changed; exit code 1 while it stands."""
    done = kdoctor("history", "drift", cwd=year)
    assert done.returncode == 1
    assert done.stdout.startswith("2026-01-07T02:10:00Z  canary host (cpu) on trainer-03\n")
    assert "run before    run 6" in done.stdout
    assert "package keras: 2.15.0 → 2.15.1" in done.stdout
    document = json.loads(kdoctor("history", "drift", "--format", "json", cwd=year).stdout)
    assert document["drifts"][0]["first_beyond"]["run"] == 7
    assert kdoctor("history", "drift", "--tolerance", "0.05", cwd=year).returncode == 0


def test_accepting_writes_the_reference_and_ends_the_drift(year: Path) -> None:
    """The committed file holds the very record; who, when and why are remembered."""
    done = kdoctor("history", "accept", "8", "--reason", "new Keras reviewed", "--by", "ann", cwd=year)
    assert done.returncode == 0, done.stderr
    file = year / "kdoctor-reference.json"
    document = json.loads(file.read_text())
    assert (document["kind"], document["accepted_by"]) == ("kdoctor/reference", "ann")
    shown = kdoctor("history", "show", "8", "--record", cwd=year).stdout
    (year / "record.json").write_text(shown)
    assert load_record(file).document == load_record(year / "record.json").document
    assert "by ann: new Keras reviewed" in kdoctor("history", "show", "8", cwd=year).stdout
    assert kdoctor("history", "drift", cwd=year).returncode == 0


def test_accepting_wants_a_reason_and_spares_other_files(year: Path) -> None:
    """No reason, another file in the way, a run that is not there: exit code 2, and nothing changed."""
    (year / "kdoctor-reference.json").write_text("mine")
    for words in (("8", "--reason", " "), ("8", "--reason", "x"), ("99", "--reason", "x"), ("8",)):
        assert kdoctor("history", "accept", *words, cwd=year).returncode == 2
    assert (year / "kdoctor-reference.json").read_text() == "mine"


def test_filters_choose_and_formats_agree(year: Path) -> None:
    """By verdict, date, host, tag; text, JSON and CSV list the same runs."""
    for words, wanted in (
        (("--verdict", "fail"), 4),
        (("--since", "2026-01-09"), 2),
        (("--until", "2026-01-02T00:00"), 1),
        (("--host", "elsewhere"), 0),
        (("--tag", "nightly", "--limit", "3"), 3),
        (("--kind", "scan"), 0),
    ):
        listed = json.loads(kdoctor("history", "list", *words, "--format", "json", cwd=year).stdout)["runs"]
        rows = list(csv.DictReader(io.StringIO(kdoctor("history", "list", *words, "--format", "csv", cwd=year).stdout)))
        assert len(listed) == len(rows) == wanted, words
    assert kdoctor("history", "list", "--verdict", "good", cwd=year).returncode == 2
    assert kdoctor("history", "list", "--since", "yesterday", cwd=year).returncode == 2


def test_a_run_is_named_by_number_uid_or_latest(year: Path) -> None:
    """And an ambiguous or unknown name is refused."""
    latest = json.loads(kdoctor("history", "show", "--format", "json", cwd=year).stdout)["run"]
    assert latest["id"] == 10
    again = json.loads(kdoctor("history", "show", latest["uid"][:12], "--format", "json", cwd=year).stdout)["run"]
    assert again == latest
    for word in ("", "zzz", "99999999999999999999"):
        assert kdoctor("history", "show", word, cwd=year).returncode == 2


def test_two_runs_side_by_side(year: Path) -> None:
    """The versions that differ, and the canaries' verdict."""
    done = kdoctor("history", "diff", "1", "10", cwd=year)
    assert done.returncode == 0
    assert "accuracy drift" in done.stdout
    assert "package keras: 2.15.0 → 2.15.1" in done.stdout


def test_plots_as_svg_png_html_and_in_the_terminal(year: Path) -> None:
    """The drift and what changed are in each; the page loads nothing."""
    for name in ("year.svg", "year.png", "year.html"):
        done = kdoctor("history", "plot", "-o", name, cwd=year)
        assert done.returncode == 0, done.stderr
    svg = (year / "year.svg").read_text()
    ET.fromstring(svg)
    assert "keras 2.15.0" in svg
    assert (year / "year.png").read_bytes().startswith(b"\x89PNG")
    page = (year / "year.html").read_text()
    assert "keras 2.15.0" in page
    assert "<script" not in page
    assert "src=" not in page
    line = kdoctor("history", "plot", cwd=year, PYTHONIOENCODING="utf-8").stdout
    assert "██████▁▁▁▁" in line
    assert kdoctor("history", "plot", "-o", "year.gif", cwd=year).returncode == 2


def test_a_single_run_is_plotted_on_its_day(project: Path) -> None:
    """Its axis tells hours, not the years before and after it; one run is not "1 runs"."""
    with open_store(Place(path=project / ".kdoctor" / "history.db")) as store:
        write_entries(store, [runs.canary_entry(runs.canary(0))])
    assert kdoctor("history", "plot", "-o", "one.svg", cwd=project).returncode == 0
    labels = [text.text for text in ET.parse(project / "one.svg").iter("{http://www.w3.org/2000/svg}text")]
    assert "06:00" in labels
    assert not [label for label in labels if label in map(str, range(2020, 2030))]
    assert ": 1 run, " in kdoctor("history", "plot", cwd=project).stdout


def test_names_in_a_plot_are_text(project: Path) -> None:
    """A model called like markup, or like a formula, is only a name."""
    with open_store(Place(path=project / ".kdoctor" / "history.db")) as store:
        names = "<script>alert(1)</script> $x^2_$"
        write_entries(store, [runs.training_entry(day, 0.9 - day / 10, model=names) for day in range(2)])
    assert kdoctor("history", "plot", "-o", "x.html", cwd=project).returncode == 0
    page = (project / "x.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_export_holds_every_run_whole(year: Path) -> None:
    """JSON Lines, the oldest first, with environment, metrics and tags; CSV with a line a run."""
    lines = kdoctor("history", "export", cwd=year).stdout.splitlines()
    first = json.loads(lines[0])
    assert len(lines) == 10
    assert first["environment"]["keras"] == "2.15.0"
    assert first["tags"] == ["nightly"]
    assert len(first["epochs"]) == 18
    kdoctor("history", "export", "--to", "csv", "-o", "runs.csv", cwd=year)
    assert len(list(csv.DictReader((year / "runs.csv").open()))) == 10


def test_a_spreadsheet_is_given_no_formula(project: Path) -> None:
    """A name that begins with = is text."""
    with open_store(Place(path=project / ".kdoctor" / "history.db")) as store:
        write_entries(store, [runs.training_entry(0, 0.9, model="=HYPERLINK(1)")])
    assert "'=HYPERLINK(1)" in kdoctor("history", "list", "--format", "csv", cwd=project).stdout


def test_a_name_on_the_screen_moves_no_cursor(project: Path) -> None:
    """Control sequences and workflow commands of a model's name are shown, not obeyed."""
    with open_store(Place(path=project / ".kdoctor" / "history.db")) as store:
        write_entries(store, [runs.training_entry(0, 0.9, model="\x1b[2J\n::error::x")])
    for words in (("list",), ("show",), ("plot",)):
        out = kdoctor("history", *words, cwd=project).stdout
        assert "\x1b" not in out
        assert not [line for line in out.splitlines() if line.lstrip().startswith("::")]


def test_pruning_keeps_the_newest_and_the_accepted(year: Path) -> None:
    """What would go is told first; records that nobody needs go with their runs; the rest is whole."""
    kdoctor("history", "accept", "2", "--reason", "base", cwd=year)
    dry = kdoctor("history", "prune", "--keep", "3", "--dry-run", cwd=year)
    assert dry.stdout == "6 runs, 0 environments, 0 records would be forgotten; 1 accepted kept\n"
    done = kdoctor("history", "prune", "--keep", "3", cwd=year)
    assert done.stdout == "6 runs, 0 environments, 0 records forgotten; 1 accepted kept\n"
    listed = json.loads(kdoctor("history", "list", "--format", "json", cwd=year).stdout)["runs"]
    assert [run["id"] for run in listed] == [10, 9, 8, 2]
    assert kdoctor("history", "prune", "--before", "2026-02-01", cwd=year).stdout.startswith("3 runs, 1 env")
    done = kdoctor("history", "check", cwd=year)
    assert (done.returncode, "whole" in done.stdout) == (0, True)
    assert kdoctor("history", "prune", cwd=year).returncode == 2


def test_check_finds_what_was_changed_by_hand(year: Path) -> None:
    """An environment's facts edited after they were recorded: named, exit code 1."""
    import sqlite3

    path = year / ".kdoctor" / "history.db"
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE kdoctor_environments SET snapshot = '{}' WHERE id = 1")
        connection.execute("UPDATE kdoctor_documents SET body = x'00' WHERE rowid = 1")
    connection.close()
    done = kdoctor("history", "check", cwd=year)
    assert done.returncode == 1
    assert "environment 1" in done.stdout
    assert "document" in done.stdout


def test_add_records_a_training_with_a_snapshot(project: Path) -> None:
    """From a CSV log, tied to the environment of a saved snapshot."""
    (project / "log.csv").write_text("epoch,val_accuracy,val_loss\n0,0.8,0.5\n1,0.9,0.4\n")
    (project / "w.h5").write_bytes(b"w")
    words = ["--model", "ctr", "--optimizer", "adam", "--weights", "w.h5", "--param", "lr=0.1"]
    words += ["--target", "snapshot:node.json", "--date", "2026-05-01", "--deployed", "2026-05-02"]
    done = kdoctor("history", "add", "log.csv", *words, cwd=project)
    assert (done.returncode, done.stdout) == (0, "run 1: ctr, val_accuracy 0.9000, after 2 epochs\n"), done.stderr
    run = json.loads(kdoctor("history", "show", "--format", "json", cwd=project).stdout)["run"]
    assert (run["ran_at"], run["deployed_at"]) == ("2026-05-01T00:00:00Z", "2026-05-02T00:00:00Z")
    assert run["environment"]["keras"] == "2.15.0"
    assert run["parameters"] == {"lr": 0.1}
    for words in (
        ("none.csv",),
        ("log.csv", "--param", "x"),
        ("log.csv", "--digest", "abc"),
        ("log.csv", "--data", "no"),
    ):
        assert kdoctor("history", "add", *words, cwd=project).returncode in (2, 3)


@pytest.mark.e2e
def test_the_database_of_the_environment_is_used_and_its_password_is_nowhere(
    project: Path, empty_database: str
) -> None:
    """KDOCTOR_DB_URL wins over the project's file; neither output nor errors hold the password."""
    done = kdoctor("check", "node.json", "--record", cwd=project, KDOCTOR_DB_URL=empty_database)
    listed = kdoctor("history", "list", "--format", "json", cwd=project, KDOCTOR_DB_URL=empty_database)
    wrong = empty_database.replace("s3cret", "wr0ng")
    refused = kdoctor("check", "node.json", "--record", "-v", cwd=project, KDOCTOR_DB_URL=wrong)
    assert "recorded as run 1 in postgresql://doctor@127.0.0.1" in done.stderr
    assert len(json.loads(listed.stdout)["runs"]) == 1
    assert not (project / ".kdoctor").exists()
    assert "not recorded" in refused.stderr
    for one in (done, listed, refused):
        assert "s3cret" not in one.stdout + one.stderr
        assert "wr0ng" not in one.stdout + one.stderr
