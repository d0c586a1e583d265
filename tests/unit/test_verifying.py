"""The verify command asks the environment that was judged, not the one that happens to be on PATH."""

from __future__ import annotations

import pytest

from doctor.case import Case
from doctor.model.report import Finding
from doctor.model.snapshot import Python, Snapshot, Software, Subject
from doctor.verifying import from_outside, here
from tests.rules.environments import plain, replaced
from tests.rules.machines import change
from tests.support import diagnose


def _case(kind: str, name: str, executable: str | None = "/opt/my envs/bin/python") -> Case:
    python = Python(executable=executable) if executable else Python()
    return Case(Snapshot(subject=Subject(kind=kind, name=name), software=Software(python=python)))


@pytest.mark.parametrize(
    ("kind", "command", "expected"),
    [
        ("host", 'python -c "import tensorflow"', "'/opt/my envs/bin/python' -c \"import tensorflow\""),
        ("interpreter", "python -m pip check", "'/opt/my envs/bin/python' -m pip check"),
        ("interpreter", "pip install --dry-run 'x'", "'/opt/my envs/bin/python' -m pip install --dry-run 'x'"),
        ("interpreter", "LD_DEBUG=libs python -c 'x'", "LD_DEBUG=libs '/opt/my envs/bin/python' -c 'x'"),
        ("interpreter", "nvidia-smi && python -c 'x'", "nvidia-smi && '/opt/my envs/bin/python' -c 'x'"),
        ("image", "python -c 'x'", "python -c 'x'"),
        ("host", "docker run IMAGE python -c 'x'", "docker run IMAGE python -c 'x'"),
        ("host", "kdoctor scan --select KD309", "kdoctor scan --select KD309"),
        ("interpreter", "kdoctor scan --try", "kdoctor scan --python '/opt/my envs/bin/python' --try"),
        ("interpreter", "kdoctor scan", "kdoctor scan --python '/opt/my envs/bin/python'"),
        ("interpreter", "kdoctor scan, in the environment that trains", "kdoctor scan, in the environment that trains"),
        ("image", "kdoctor scan --select KD309", "kdoctor scan --image app:1 --select KD309"),
        ("container", "kdoctor scan --select KD309", "kdoctor scan --target container:app:1 --select KD309"),
    ],
)
def test_a_command_names_what_was_judged(kind: str, command: str, expected: str) -> None:
    """Python commands get the interpreter's path, scans the target; inside a container PATH is its own."""
    assert here(_case(kind, "app:1"), command) == expected


def test_an_interpreter_that_nobody_knows_leaves_the_command_alone() -> None:
    """A snapshot without an executable has nothing to put there."""
    assert here(_case("snapshot", "node", None), "python -m pip check") == "python -m pip check"


def test_findings_of_the_engine_carry_it() -> None:
    """What a report prints under `verify` is the command for that environment."""
    snapshot = change(replaced(plain("2.15.1"), numpy="2.1.3"), {"software.python.executable": "/opt/env/bin/python"})
    found = next(finding for finding in diagnose(snapshot).findings if finding.code == "KD305")
    assert found.verify == '/opt/env/bin/python -c "import tensorflow"'


@pytest.mark.parametrize(
    ("fix", "verify", "expected"),
    [
        (
            "kdoctor pin --write Dockerfile",
            "kdoctor scan --select KD403",
            ("kdoctor pin --write '../my app/Dockerfile'", "kdoctor scan '../my app' --select KD403"),
        ),
        (
            "name a version, then: kdoctor pin --update --write 'k8s/a b.yaml'",
            "kdoctor scan --python /env/bin/python --try",
            (
                "name a version, then: kdoctor pin --update --write '../my app/k8s/a b.yaml'",
                "kdoctor scan '../my app' --python /env/bin/python --try",
            ),
        ),
        (
            "kdoctor pin --lock",
            "kdoctor scan, in the environment that trains",
            ("kdoctor pin --lock", "kdoctor scan, in the environment that trains"),
        ),
    ],
)
def test_commands_name_the_folder_that_was_scanned(fix: str, verify: str, expected: tuple[str, str]) -> None:
    """Where it is another one than that in which they are pasted; words that are no command stay."""
    found = from_outside(Finding("m", code="KD403", fix=fix, verify=verify), "../my app")
    assert (found.fix, found.verify) == expected
