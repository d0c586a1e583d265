"""Commands fit the tool and the place, and can be pasted: what a shell makes of them is what was meant."""

from __future__ import annotations

import re
import shlex
import subprocess
from typing import Any

import pytest
from packaging.requirements import Requirement

from doctor.fix.commands import command_of
from doctor.model.report import Finding
from tests.rules.environments import change, plain
from tests.support import diagnose

EXECUTABLE = "software.python.executable"


def packages(installer: str | None) -> list[dict[str, Any]]:
    """TensorFlow 2.15 and a NumPy that it cannot import, both by one tool."""
    rows: list[dict[str, Any]] = [
        {"name": "tensorflow", "version": "2.15.1"},
        {"name": "numpy", "version": "2.1.0"},
    ]
    return [{**row, "installer": installer} if installer else row for row in rows]


PLACES: dict[str, tuple[dict[str, Any], str]] = {
    "pip, nobody tells where": (
        {"software.packages": packages("pip")},
        "pip install 'numpy>=1.23.5,<2.0.0'",
    ),
    "pip in a venv": (
        {"software.packages": packages("pip"), EXECUTABLE: "/home/me/my env/bin/python"},
        "'/home/me/my env/bin/python' -m pip install 'numpy>=1.23.5,<2.0.0'",
    ),
    "uv": (
        {"software.packages": packages("uv"), EXECUTABLE: "/e/bin/python"},
        "uv pip install --python /e/bin/python 'numpy>=1.23.5,<2.0.0'",
    ),
    "no pip in the venv": (
        {"software.packages": packages(None), "software.python.environment": "venv", EXECUTABLE: "/e/bin/python"},
        "uv pip install --python /e/bin/python 'numpy>=1.23.5,<2.0.0'",
    ),
    "conda": (
        {
            "software.packages": packages("conda"),
            "software.python.environment": "conda",
            EXECUTABLE: "/opt/conda/envs/tf/bin/python",
        },
        "conda install -p /opt/conda/envs/tf 'numpy<2'",
    ),
    "pip inside conda": (
        {
            "software.packages": packages("pip"),
            "software.python.environment": "conda",
            EXECUTABLE: "/opt/conda/envs/tf/bin/python",
        },
        "/opt/conda/envs/tf/bin/python -m pip install 'numpy>=1.23.5,<2.0.0'",
    ),
    "a guarded system": (
        {
            "software.packages": packages("pip"),
            "software.python.environment": "system",
            "software.python.externally_managed": True,
            EXECUTABLE: "/usr/bin/python3",
        },
        "/usr/bin/python3 -m venv .venv && .venv/bin/python -m pip install 'tensorflow==2.15.1' 'numpy>=1.23.5,<2.0.0'",
    ),
    "an image": (
        {"software.packages": packages("pip"), "subject.kind": "image", EXECUTABLE: "/usr/local/bin/python3"},
        "RUN /usr/local/bin/python3 -m pip install 'numpy>=1.23.5,<2.0.0'",
    ),
    "a guarded image": (
        {
            "software.packages": packages("pip"),
            "subject.kind": "image",
            "software.python.environment": "system",
            "software.python.externally_managed": True,
            EXECUTABLE: "/usr/bin/python3",
        },
        "RUN /usr/bin/python3 -m pip install --break-system-packages 'numpy>=1.23.5,<2.0.0'",
    ),
    "conda in an image": (
        {
            "software.packages": packages("conda"),
            "subject.kind": "image",
            "software.python.environment": "conda",
            EXECUTABLE: "/opt/conda/bin/python",
        },
        "RUN conda install -p /opt/conda -y 'numpy<2'",
    ),
}


@pytest.mark.parametrize(("more", "command"), PLACES.values(), ids=PLACES)
def test_the_command_fits_the_place(more: dict[str, Any], command: str) -> None:
    """pip, uv and conda, an interpreter by its path, PEP 668, a line of a Dockerfile."""
    found = [f for f in diagnose(change(plain("2.15.1"), more)).findings if f.code == "KD305"]
    assert [finding.fix for finding in found] == [command]


BOTH = [
    {"name": "tensorflow", "version": "2.15.1"},
    {"name": "tensorflow-cpu", "version": "2.15.1"},
    {"name": "numpy", "version": "1.26.4"},
]


@pytest.mark.parametrize(
    ("tool", "subject", "command"),
    [
        ("pip", "host", "/e/bin/python -m pip uninstall -y {} && /e/bin/python -m pip install 'tensorflow==2.15.1'"),
        ("uv", "host", "uv pip uninstall --python /e/bin/python {} && "
         "uv pip install --python /e/bin/python 'tensorflow==2.15.1'"),
        ("pip", "image", "RUN /e/bin/python -m pip uninstall -y {} && "
         "/e/bin/python -m pip install 'tensorflow==2.15.1'"),
    ],
)  # fmt: skip
def test_two_distributions_are_removed_and_one_installed(tool: str, subject: str, command: str) -> None:
    """One line that can be pasted, asks nothing, and is one instruction of a Dockerfile."""
    rows = [{**row, "installer": tool} for row in BOTH]
    more = {"software.packages": rows, EXECUTABLE: "/e/bin/python", "subject.kind": subject}
    found = [f for f in diagnose(change(plain("2.15.1"), more)).findings if f.code == "KD303"]
    assert [finding.fix for finding in found] == [command.format("tensorflow tensorflow-cpu")]


def judged(shared: Any) -> list[Finding]:
    """Every finding on the cases of the benchmark."""
    import json

    found: list[Finding] = []
    for name in ("cases.jsonl", "table_cases.jsonl"):
        for line in (shared / "benchmark" / name).read_text().splitlines():
            if (snapshot := json.loads(line).get("snapshot")) is not None:  # others are pairs
                found += diagnose(snapshot).findings
    return found


def test_a_fix_that_begins_as_a_command_is_one(shared: Any) -> None:
    """Of all fixes of the benchmark: a shell can parse them, and what is to be installed is a requirement."""
    commands = {command for finding in judged(shared) if (command := command_of(finding)) is not None}
    assert len(commands) > 20
    for command in commands:
        text = command.removeprefix("RUN ")
        subprocess.run(["bash", "-n", "-c", text], check=True)
        for part in re.split(r" && ", text.split("  # ")[0]):
            words = shlex.split(part)
            if "install" in words and "pip" in words:
                wanted = [word for word in words[words.index("install") + 1 :] if not word.startswith("-")]
                assert wanted
                assert all(Requirement(word) for word in wanted if "/" not in word), command
