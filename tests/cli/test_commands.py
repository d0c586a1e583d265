"""The commands as a user meets them: real processes, real files."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

HEALTHY: dict[str, Any] = {
    "schema": 1,
    "subject": {"kind": "host", "name": "host"},
    "machine": {"os": "linux", "architecture": "x86_64", "gpus": [], "pci_gpus": [], "driver": {"present": False}},
    "software": {"python": {"version": "3.11.7", "environment": "venv"}, "packages": []},
}
MISMATCH = {
    **HEALTHY,
    "machine": {
        "os": "linux",
        "gpus": [{"name": "Tesla T4", "compute_capability": "7.5"}],
        "pci_gpus": ["10de:1eb8"],
        "driver": {
            "present": True,
            "version": "535.104.05",
            "kernel_module_version": "535.104.05",
            "libcuda_version": "550.54.15",
            "error": "NVML_ERROR_LIB_RM_VERSION_MISMATCH",
        },
    },
}


def kdoctor(*arguments: str | Path, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    command = [sys.executable, "-m", "doctor", *map(str, arguments)]
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2]), **env}
    return subprocess.run(command, cwd=cwd, env=environ, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """A healthy snapshot, one with a driver mismatch, and an unreadable one."""
    found = {}
    for name, content in {"fine": json.dumps(HEALTHY), "broken": json.dumps(MISMATCH), "garbage": "{"}.items():
        found[name] = tmp_path / f"{name}.json"
        found[name].write_text(content)
    return found


def test_version() -> None:
    """--version prints the version and nothing else."""
    from doctor import __version__

    assert kdoctor("--version").stdout == f"kdoctor {__version__}\n"


@pytest.mark.parametrize("group", [(), ("history",)])
def test_no_command_shows_the_help_as_it_is(group: tuple[str, ...]) -> None:
    """The same lines as --help, on stderr since it is a wrong call; no command's summary is cut at 80 columns."""
    bare, asked = kdoctor(*group, COLUMNS="80"), kdoctor(*group, "--help", COLUMNS="80")
    assert (bare.returncode, bare.stdout) == (2, "")
    assert bare.stderr.rstrip("\n") == asked.stdout.rstrip("\n")
    assert "\nCommands:\n" in asked.stdout
    assert "...\n" not in asked.stdout.partition("\nCommands:\n")[2]


def test_output_of_the_canary_is_its_record() -> None:
    """Of the other commands it is the report."""
    assert "Write the record to FILE" in kdoctor("canary", "--help").stdout
    assert "Write the report to FILE." in kdoctor("scan", "--help").stdout


def test_commands_of_another_folder_can_be_pasted(tmp_path: Path) -> None:
    """A fix that a scan of a folder below proposes does what it says from where the scan was started."""
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "Dockerfile").write_text("FROM python:3.12\n")
    scan = ("--offline", "--select", "KD403", "--format", "json")
    (found,) = json.loads(kdoctor("scan", "app", *scan, cwd=tmp_path).stdout)["findings"]
    assert (found["fix"], found["location"]["path"]) == ("kdoctor pin --write app/Dockerfile", "Dockerfile")
    assert found["verify"].startswith("kdoctor scan app --")
    (found,) = json.loads(kdoctor("scan", *scan, cwd=tmp_path / "app").stdout)["findings"]
    assert found["fix"] == "kdoctor pin --write Dockerfile"


def test_check_exit_codes(files: dict[str, Path]) -> None:
    """0 for nothing, 1 for an error, 3 for a file that could not be read, and 1 wins over 3."""
    assert kdoctor("check", files["fine"]).returncode == 0
    assert kdoctor("check", files["broken"]).returncode == 1
    assert kdoctor("check", files["fine"], files["garbage"]).returncode == 3
    assert kdoctor("check", files["broken"], files["garbage"]).returncode == 1
    assert kdoctor("check", files["broken"], "--fail-on", "never").returncode == 0


def test_require_gpu_means_that_one_is_expected(files: dict[str, Path]) -> None:
    """A machine that has none fails then, and only then; a snapshot that says that none is meant has the last word."""
    run = kdoctor("check", files["fine"], "--require", "gpu", "--format", "json")
    assert (run.returncode, [f["code"] for f in json.loads(run.stdout)["findings"]]) == (1, ["KD101"])
    assert kdoctor("check", files["fine"], "--require", "driver").returncode == 0
    files["fine"].write_text(json.dumps({**HEALTHY, "expects": {"gpu": False}}))
    assert kdoctor("check", files["fine"], "--require", "gpu").returncode == 0


def test_check_names_each_subject_by_its_stem(files: dict[str, Path]) -> None:
    """Many files in one run: each finding belongs to the file whose stem is its subject, others are still judged."""
    run = kdoctor("check", files["fine"], files["garbage"], files["broken"], "--format", "json")
    report = json.loads(run.stdout)
    assert [s["name"] for s in report["subjects"]] == ["fine", "broken"]
    assert {f["subject"] for f in report["findings"]} == {"broken"}
    assert report["findings"][0]["code"] == "KD103"
    assert (report["verdict"], report["incomplete"], report["exit_code"]) == ("fail", True, 1)
    assert any("garbage.json: not JSON" in note["why"] for note in report["notes"])


def test_check_on_another_machine(files: dict[str, Path]) -> None:
    """--machine takes the machine half of another snapshot, --software the other half."""
    assert kdoctor("check", files["fine"], "--machine", files["broken"]).returncode == 1
    assert kdoctor("check", files["broken"], "--software", files["fine"]).returncode == 1
    assert kdoctor("check", files["broken"], "--machine", files["fine"]).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("scn",), 2, "scn"),
        (("scan", "--fail-on", "fatal"), 2, "expected error, warning, info, never"),
        (("scan", "--select", "KD999"), 2, "KD999"),
        (("scan", "/no/such/folder"), 2, "no such folder"),
        (("scan", "--target", "image:"), 2, "a name is missing"),
        (("snapshot", "snapshot:/no/such.json"), 3, "cannot be read"),
        (("rule", "KD999"), 2, "no rule is called"),
        (("compare", "/no/a.json", "/no/b.json"), 3, "cannot be read"),
    ],
)
def test_bad_input_is_one_clear_line(tmp_path: Path, arguments: tuple[str, ...], code: int, words: str) -> None:
    """Bad input ends with its exit code and one line on stderr, nothing on stdout, no traceback."""
    run = kdoctor(*arguments, cwd=tmp_path)
    assert (run.returncode, run.stdout) == (code, "")
    assert words in run.stderr
    assert run.stderr.startswith("kdoctor: ")
    assert run.stderr.count("\n") == 1


def test_misspelt_key_names_key_and_file(tmp_path: Path) -> None:
    """A misspelt key of the configuration is named with its file and the nearest key."""
    (tmp_path / "kdoctor.toml").write_text('fail_onn = "error"\n')
    run = kdoctor("scan", cwd=tmp_path)
    assert run.returncode == 2
    assert "kdoctor.toml:1" in run.stderr
    assert "fail-on" in run.stderr


def test_report_goes_to_a_file(files: dict[str, Path], tmp_path: Path) -> None:
    """--format json=FILE writes the file and leaves the text on stdout."""
    out = tmp_path / "report.json"
    run = kdoctor("check", files["broken"], "--format", "text", "--format", f"json={out}")
    assert json.loads(out.read_text())["exit_code"] == 1
    assert "KD103" in run.stdout


def test_unwritable_output_is_one_line(files: dict[str, Path]) -> None:
    """An output that cannot be written is a usage error, not a traceback."""
    run = kdoctor("check", files["fine"], "-o", "/no/such/folder/report.txt")
    assert run.returncode == 2
    assert "Traceback" not in run.stderr


def test_control_characters_never_reach_the_terminal(tmp_path: Path) -> None:
    """A hostile string in a snapshot neither moves the cursor nor starts a workflow command."""
    hostile = json.loads(json.dumps(MISMATCH))
    hostile["machine"]["driver"]["libcuda_version"] = "\x1b[2J\x1b]0;owned\x07550.1\n::error::owned\u202e"
    hostile["machine"]["driver"]["error"] = "\x1b[31mNVML_ERROR_LIB_RM_VERSION_MISMATCH"
    file = tmp_path / "hostile.json"
    file.write_text(json.dumps(hostile))
    for form in ("text", "concise", "json"):
        run = kdoctor("check", file, "--format", form, "-v")
        assert run.returncode in (0, 1)
        assert not {c for c in run.stdout if ord(c) < 32 and c != "\n"} | ({"\u202e"} & set(run.stdout))
        assert not [line for line in run.stdout.splitlines() if line.startswith("::")]


@pytest.mark.parametrize(
    "command", [("suggest", "--machine"), ("suggest", "--format", "json", "--machine"), ("snapshot",)]
)
def test_what_a_snapshot_says_acts_on_no_terminal(tmp_path: Path, command: tuple[str, ...]) -> None:
    """Control characters and direction marks of a snapshot come out as escapes, whatever prints them."""
    file = tmp_path / "node.json"
    hostile = "3.11\x1b[31m\x9b\u202e\r\n::error::x"
    file.write_text(json.dumps({"software": {"python": {"version": hostile}}, "machine": {"os": "linux", "gpus": []}}))
    run = kdoctor(*command, file, cwd=tmp_path)
    assert "3.11" in run.stdout
    assert not set(run.stdout) & set("\x1b\x9b\u202e\r")
    assert "\n::error" not in run.stdout


def test_baseline_keeps_known_findings_quiet(files: dict[str, Path], tmp_path: Path) -> None:
    """What a baseline holds does not count any more, and is counted as suppressed."""
    baseline = tmp_path / "known.json"
    kdoctor("check", files["broken"], "--write-baseline", baseline)
    run = kdoctor("check", files["broken"], "--baseline", baseline, "--format", "json")
    assert run.returncode == 0
    assert json.loads(run.stdout)["summary"]["suppressed"] >= 1


def test_require_ends_with_3_where_a_fact_is_not_had(tmp_path: Path) -> None:
    """A required fact that nobody knows makes the run incomplete."""
    file = tmp_path / "empty.json"
    file.write_text('{"schema": 1}')
    assert kdoctor("check", file).returncode == 0
    assert kdoctor("check", file, "--require", "gpu").returncode == 3


def test_interrupt_ends_with_130(tmp_path: Path) -> None:
    """Ctrl-C while an interpreter hangs: exit code 130, the interpreter is gone, no traceback."""
    slow = tmp_path / "python"
    slow.write_text("#!/bin/sh\necho $$ > " + str(tmp_path / "pid") + "\nsleep 60\n")
    slow.chmod(0o755)
    command = [sys.executable, "-m", "doctor", "scan", "--python", str(slow)]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    child = subprocess.Popen(
        command,
        env=env,
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 -- else a background job's way
    )
    for _ in range(100):
        if (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip():
            break
        time.sleep(0.1)
    child.send_signal(signal.SIGINT)
    _, stderr = child.communicate(timeout=30)
    assert child.returncode == 130
    assert "Traceback" not in stderr
    stat = Path("/proc", (tmp_path / "pid").read_text().strip(), "stat")
    for _ in range(50):  # killed at once; whoever adopts it takes a moment to reap it
        with contextlib.suppress(OSError):
            if stat.read_text().rpartition(")")[2].split()[0] != "Z":
                time.sleep(0.1)
                continue
        break
    else:
        pytest.fail("the interpreter is still running")


def test_rule_prints_the_page() -> None:
    """``kdoctor rule`` prints the docstring of the rule, by code or by name."""
    by_code, by_name = kdoctor("rule", "KD103"), kdoctor("rule", "driver-library-mismatch")
    assert by_code.stdout == by_name.stdout
    assert "How to fix" in by_code.stdout


def test_rule_lists_all_rules() -> None:
    """Without an argument every rule stands in the list."""
    from doctor import catalogue

    listed = kdoctor("rule").stdout
    assert all(rule.code in listed and rule.name in listed for rule in catalogue.rules())
