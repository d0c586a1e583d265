"""``kdoctor gate`` as CI meets it: a project, its policy and its nodes in real files; no TensorFlow is started here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import pytest

from tests.registry.server import Fake, serve

ROOT = Path(__file__).resolve().parents[2]
PINNED = "FROM registry.example/app:1@sha256:" + "1" * 64 + "\n"
NODE: dict[str, Any] = {
    "kind": "kdoctor/snapshot",
    "schema": 1,
    "subject": {"kind": "host", "name": "host"},
    "machine": {
        "name": "prod-01",
        "os": "linux",
        "architecture": "x86_64",
        "kernel": "5.15.0-91-generic",
        "cpu": {"flags": ["avx", "avx2", "fma"]},
        "pci_gpus": ["10de:20b0"],
        "gpus": [{"index": 0, "name": "NVIDIA A100-SXM4-40GB", "compute_capability": "8.0", "mig": False}],
        "driver": {"present": True, "version": "535.104.05", "cuda_version": "12.2"},
    },
}
OLD_NODE = {
    **NODE,
    "machine": {
        **NODE["machine"],
        "name": "prod-02",
        "driver": {"present": True, "version": "470.82.01", "cuda_version": "11.4"},
    },
}
IMAGE: dict[str, Any] = {
    "kind": "kdoctor/snapshot",
    "schema": 1,
    "subject": {"kind": "image", "name": "app"},
    "software": {
        "python": {"version": "3.11.7"},
        "tensorflow": {
            "version": "2.15.0",
            "distribution": "tensorflow",
            "cuda_build": True,
            "cuda_version": "12.2",
            "cudnn_version": "8",
        },
        "cuda": {"compat_driver": False},
    },
}


class Project:
    """A folder that the gate judges."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.write("Dockerfile", PINNED)
        self.write("nodes/prod-01.json", NODE)
        self.write("app.json", IMAGE)
        self.write("kdoctor.toml", 'images = ["app.json"]\nmachines = ["nodes/*.json"]\n')

    def write(self, name: str, content: str | dict[str, Any]) -> Path:
        """A file of the project."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    def policy(self, text: str) -> None:
        """Add top-level keys to the policy."""
        path = self.folder / "kdoctor.toml"
        path.write_text(text + "\n" + path.read_text())

    def gate(self, *arguments: str | Path, **env: str) -> tuple[int, dict[str, Any]]:
        """Exit code and report of the gate; offline, so that registries are asked only where a test wants it."""
        run = self.run(*arguments, "--offline", "--format", "json", **env)
        assert run.stdout, run.stderr
        return run.returncode, json.loads(run.stdout)

    def run(self, *arguments: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
        """The gate in a process of its own."""
        command = [sys.executable, "-m", "doctor", "gate", *map(str, arguments)]
        environ = {**os.environ, "PYTHONPATH": str(ROOT), **env}
        return subprocess.run(
            command, cwd=self.folder, env=environ, capture_output=True, text=True, timeout=120, check=False
        )


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project whose gate passes."""
    return Project(tmp_path)


def verdicts(report: dict[str, Any]) -> dict[tuple[str, str | None], str]:
    return {(row["subject"], row["machine"]): row["verdict"] for row in report["cases"]}


def test_a_sound_project_passes(project: Project) -> None:
    """One verdict for the project, one for each image on each machine, and one in all."""
    code, report = project.gate()
    assert (code, report["verdict"], report["incomplete"]) == (0, "pass", False), report["notes"]
    assert verdicts(report) == {("project", None): "pass", ("snapshot:app.json", "prod-01"): "pass"}
    assert [machine["name"] for machine in report["machines"]] == ["prod-01"]


def test_a_missing_digest_is_denied_although_it_is_a_warning(project: Project) -> None:
    """KD403 fails the gate, not the scan; the gate line says that the policy denied it."""
    project.write("Dockerfile", "FROM registry.example/app:1\n")
    code, report = project.gate()
    assert (code, report["verdict"]) == (1, "fail")
    assert (report["findings"][0]["code"], report["findings"][0]["severity"]) == ("KD403", "warning")
    assert verdicts(report)["project", None] == "fail"
    assert verdicts(report)["snapshot:app.json", "prod-01"] == "pass"
    assert "1 denied by the policy (KD403)" in project.run("--offline").stdout


def test_a_required_gpu_is_expected_on_each_machine(project: Project) -> None:
    """require = ["gpu"] fails a machine without a driver, where it would pass as one that has no GPU."""
    bare = {"schema": 1, "machine": {"name": "cpu-01", "pci_gpus": [], "gpus": [], "driver": {"present": False}}}
    project.write("nodes/cpu-01.json", bare)
    assert project.gate()[0] == 0
    project.policy('require = ["gpu"]')
    code, report = project.gate()
    assert (code, verdicts(report)["snapshot:app.json", "cpu-01"]) == (1, "fail")
    assert verdicts(report)["snapshot:app.json", "prod-01"] == "pass"


def test_a_moved_tag_is_denied(project: Project) -> None:
    """The tag names another image than kdoctor.lock: exit 1 by KD407, where KD403 is suppressed with a reason."""
    with serve(Fake()) as registry:
        then = registry.add("app", "1", platforms=("linux/amd64",))
        project.write("Dockerfile", f"FROM {registry.host}/app:1\n")
        project.write(
            "kdoctor.toml",
            (project.folder / "kdoctor.toml").read_text()
            + '[[suppressions]]\ncode = "KD403"\nreason = "the lock file watches the tag"\n',
        )
        pin = [sys.executable, "-m", "doctor", "pin", "--lock"]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        subprocess.run(pin, cwd=project.folder, env=env, check=True, capture_output=True, timeout=60)
        run = project.run("--format", "json")
        assert run.returncode == 0, run.stdout
        now = registry.add("app", "1")
        assert now != then
        run = project.run("--format", "json")
    report = json.loads(run.stdout)
    assert run.returncode == 1
    assert [row["against"] for row in report["cases"]] == [["KD407"], []]


def test_a_denied_rule_that_could_not_look_is_not_green(project: Project) -> None:
    """A tag is recorded, and no registry is asked: whether it moved is not known, exit 3."""
    project.write("Dockerfile", "FROM registry.example/app:1\n")
    lock = {
        "kind": "kdoctor/lock",
        "schema": 1,
        "images": {"registry.example/app:1": {"digest": "sha256:" + "2" * 64, "date": "2026-01-01T00:00:00Z"}},
    }
    project.write("kdoctor.lock", lock)
    project.policy('deny = ["KD407"]')
    code, report = project.gate()
    assert (code, report["verdict"]) == (3, "incomplete"), report["notes"]
    assert any(note["what"].startswith("KD407") for note in report["notes"])


def test_a_driver_too_old_on_one_saved_node(project: Project) -> None:
    """Each machine has its own verdict, decided without a GPU here; what both share is found once."""
    project.write("nodes/prod-02.json", OLD_NODE)
    code, report = project.gate()
    assert code == 1
    assert verdicts(report) == {
        ("project", None): "pass",
        ("snapshot:app.json", "prod-01"): "pass",
        ("snapshot:app.json", "prod-02"): "fail",
    }
    found = [(f["code"], f["machine"]) for f in report["findings"] if f["severity"] == "error"]
    assert ("KD102", "prod-02") in found
    assert {machine for _, machine in found} == {"prod-02"}
    keys = [(f["code"], f["message"], f["machine"]) for f in report["findings"]]
    assert len(keys) == len(set(keys))


def test_an_expired_suppression_fails_by_what_it_suppressed(project: Project) -> None:
    """Until its last day it covers KD403; afterwards KD904 names it and KD403 fails the gate again."""
    project.write("Dockerfile", "FROM registry.example/app:1\n")
    row = '[[suppressions]]\ncode = "KD403"\nreason = "waiting for the base image"\nuntil = {}\n'
    policy = (project.folder / "kdoctor.toml").read_text()
    project.write("kdoctor.toml", policy + row.format("2999-01-01"))
    assert project.gate()[0] == 0
    project.write("kdoctor.toml", policy + row.format("2020-01-01"))
    code, report = project.gate()
    assert code == 1
    assert {"KD403", "KD904"} <= {f["code"] for f in report["findings"]}


def test_a_suppression_in_a_file_needs_a_reason(project: Project) -> None:
    """Without one it does not count in the gate, and a note says where it stands."""
    project.write("Dockerfile", "# kdoctor: ignore[KD403] until the new base is out\nFROM registry.example/app:1\n")
    assert project.gate()[0] == 0
    project.write("Dockerfile", "# kdoctor: ignore[KD403]\nFROM registry.example/app:1\n")
    code, report = project.gate()
    assert code == 1
    assert any(note["what"] == "Dockerfile:1" and "no reason" in note["why"] for note in report["notes"])


def test_a_suppression_in_the_policy_needs_a_reason(project: Project) -> None:
    """Without one the policy is refused: exit 2, one line."""
    policy = (project.folder / "kdoctor.toml").read_text()
    project.write("kdoctor.toml", policy + '[[suppressions]]\ncode = "KD403"\n')
    run = project.run("--offline")
    assert (run.returncode, run.stdout) == (2, "")
    assert "KD403 has no reason" in run.stderr


@pytest.mark.parametrize(
    ("policy", "what"),
    [
        ('images = ["missing.json"]', "snapshot:missing.json"),
        ('machines = ["nodes/none*.json"]', "nodes/none*.json"),
        ('machines = ["app.json"]', "machine app"),
        ('reference = "kdoctor-reference.json"', "canary"),
        ("canary = true", "canary"),
        ('require = ["tensorflow", "docker"]', "--require docker"),
    ],
)
def test_what_could_not_be_looked_at_is_never_green(project: Project, policy: str, what: str) -> None:
    """A lost image, no machine, a machine without its driver, no reference, a canary that cannot run: exit 3 each."""
    key = policy.split(" ", 1)[0]
    kept = [line for line in (project.folder / "kdoctor.toml").read_text().splitlines() if not line.startswith(key)]
    project.write("kdoctor.toml", "\n".join([policy, *kept]))
    code, report = project.gate()
    assert (code, report["verdict"], report["incomplete"]) == (3, "incomplete", True)
    assert any(note["what"].endswith(what) for note in report["notes"]), report["notes"]


def test_what_is_proven_bad_wins_over_what_was_not_seen(project: Project) -> None:
    """1 wins over 3, and the report says that it is incomplete, too."""
    project.write("Dockerfile", "FROM registry.example/app\n")
    project.policy('reference = "kdoctor-reference.json"')
    code, report = project.gate()
    assert (code, report["verdict"], report["incomplete"]) == (1, "fail", True)


def test_without_machines_drivers_are_not_judged(project: Project) -> None:
    """``this`` must be written; a policy without machines says in a note what it does not look at."""
    project.write("kdoctor.toml", 'images = ["app.json"]\n')
    code, report = project.gate()
    assert (code, report["machines"]) == (0, [])
    assert any(note["what"] == "machines" for note in report["notes"])
    project.write("kdoctor.toml", 'images = ["app.json"]\nmachines = ["this"]\n')
    _, report = project.gate()
    assert len(report["machines"]) == 1


def test_the_policy_of_another_branch_decides(project: Project, tmp_path_factory: pytest.TempPathFactory) -> None:
    """--policy FILE: the change cannot switch the gate off, and files beside that policy are the ones that count."""
    base = Project(tmp_path_factory.mktemp("base"))
    project.write("Dockerfile", "FROM registry.example/app:1\n")
    project.write("kdoctor.toml", 'ignore = ["KD"]\ndeny = []\n')
    project.write("nodes/prod-01.json", OLD_NODE)
    assert project.gate("--no-canary")[0] == 0
    code, report = project.gate("--policy", base.folder / "kdoctor.toml")
    assert code == 1
    assert [row["against"] for row in report["cases"]] == [["KD403"], []]
    assert report["machines"][0]["driver"] == "535.104.05"


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ('images = ["python:/usr/bin/python3"]', "an interpreter to run"),
        ('images = ["host"]', "an interpreter to run"),
        ('reference = "../reference.json"', "outside of the policy's folder"),
        ('reference = "/etc/cron.d/job"', "outside of the policy's folder"),
        ('machines = ["/etc/passwd"]', "outside of the policy's folder"),
        ('images = ["snapshot:../x.json"]', "outside of the policy's folder"),
        ("tolerance = 0", "tolerance"),
        ('deny = ["KD999"]', "'KD999' is no code"),
    ],
)
def test_what_a_projects_policy_may_not_say(project: Project, policy: str, words: str) -> None:
    """Interpreters to run, and files that lie elsewhere, are refused in the project's and in --policy's file alike."""
    project.write("kdoctor.toml", policy + "\n")
    for arguments in ((), ("--policy", "kdoctor.toml")):
        run = project.run("--offline", *arguments)
        assert (run.returncode, run.stdout) == (2, "")
        assert words in run.stderr
        assert run.stderr.count("\n") == 1


def test_a_reference_behind_a_link_is_refused(project: Project, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A link in the project would lead --update-reference out of it."""
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "precious"
    (project.folder / "kdoctor-reference.json").symlink_to(elsewhere)
    project.policy('reference = "kdoctor-reference.json"')
    run = project.run("--update-reference", "--reason", "x")
    assert run.returncode == 2
    assert not elsewhere.exists()


def test_a_reference_is_accepted_for_a_reason(project: Project) -> None:
    """--update-reference asks for the reason, and for one target, before anything runs."""
    project.policy('reference = "kdoctor-reference.json"')
    assert "--reason" in project.run("--update-reference").stderr
    project.write("kdoctor.toml", 'reference = "r.json"\nimages = ["app.json", "nodes/prod-01.json"]\n')
    assert "names 2 images" in project.run("--update-reference", "--reason", "x").stderr


def test_fail_on_never_reports_only(project: Project) -> None:
    """With --fail-on never nothing fails the run, denied or not: for the first days of a gate."""
    project.write("Dockerfile", "FROM registry.example/app\n")
    code, report = project.gate("--fail-on", "never")
    assert (code, report["verdict"]) == (0, "pass")
    assert report["findings"]


@pytest.fixture
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter without packages."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder / "env")
    return folder / "env" / "bin" / "python"


@pytest.mark.parametrize(
    ("asks", "code", "verdict"), [("tensorflow==2.21.0\n", 3, "incomplete"), ("six==1.16.0\n", 0, "pass")]
)
def test_an_environment_without_tensorflow_is_said(
    asks: str, code: int, verdict: str, project: Project, bare_python: Path
) -> None:
    """No target is named and the environment has no TensorFlow: not green where the project asks for it."""
    project.write("kdoctor.toml", 'fail-on = "error"\n')
    project.write("requirements.txt", asks)
    got, report = project.gate("--python", bare_python)
    assert (got, report["verdict"]) == (code, verdict), report["notes"]
    assert any("no TensorFlow is found in this environment" in note["why"] for note in report["notes"])


def test_rules_on_the_project_are_not_counted_as_skipped_on_images(project: Project) -> None:
    """The project is judged by itself; on an image its rules do not apply, and what an image lacks is still skipped."""
    _, report = project.gate()
    mine = [row for row in report["skipped"] if row["subject"] == "snapshot:app.json"]
    assert mine
    assert not [row for row in mine if row["reason"].startswith("project.")]
    apart = {row["code"] for row in report["inapplicable"] if row["reason"] == "the project is judged by itself"}
    assert {"KD403", "KD601", "KD701"} <= apart
