"""A project in a folder, its case and its plan, as the tests of this folder need them."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from doctor import catalogue
from doctor.case import Case
from doctor.engine import judge
from doctor.fix.plan import Plan, plan
from doctor.model.report import Finding, Fix
from doctor.model.wire import decode_snapshot
from doctor.project import collect_project
from doctor.scan import with_project

# What is installed in most tests: a sound TensorFlow 2.16 with Keras 3.
INSTALLED: dict[str, Any] = {
    "python": {"version": "3.11.7", "implementation": "cpython", "environment": "venv", "architecture": "x86_64"},
    "packages": [
        {"name": "tensorflow", "version": "2.16.2", "installer": "pip"},
        {"name": "keras", "version": "3.3.3", "installer": "pip"},
        {"name": "numpy", "version": "1.26.4", "installer": "pip"},
        {"name": "protobuf", "version": "4.25.3", "installer": "pip"},
    ],
    "tensorflow": {"present": True, "version": "2.16.2", "distribution": "tensorflow", "cuda_build": True},
    "keras": {"present": True, "version": "3.3.3", "backend": "tensorflow"},
    "environment": {},
}
MACHINE = {"os": "linux", "architecture": "x86_64", "pci_gpus": [], "gpus": [], "driver": {"present": False}}


OLD: dict[str, Any] = {
    "packages": [
        {"name": "tensorflow", "version": "2.15.1", "installer": "pip"},
        {"name": "keras", "version": "2.15.0", "installer": "pip"},
        {"name": "numpy", "version": "2.1.0", "installer": "pip"},
    ],
    "tensorflow": {"present": True, "version": "2.15.1", "distribution": "tensorflow", "cuda_build": True},
    "keras": {"present": True, "version": "2.15.0"},
}

TRAINING = """\
import numpy as np
import tensorflow as tf
from tensorflow import keras

{seed}assert tf.config.list_physical_devices("GPU")
model = keras.Sequential([keras.layers.Dense(1)])
model.compile({optimizer}, loss="mse")
history = model.fit(np.zeros((4, 1)), np.zeros(4), callbacks=[{callback}])
print(history.history)
"""


def training(
    seed: str = "keras.utils.set_random_seed(1)\n",
    optimizer: str = '"sgd"',
    callback: str = 'keras.callbacks.CSVLogger("log.csv")',
) -> str:
    """A script that trains, with one thing in it as it should not be."""
    return TRAINING.format(seed=seed, optimizer=optimizer, callback=callback)


@dataclass
class Project:
    """A folder with files, beside an environment."""

    folder: Path
    software: dict[str, Any]

    def put(self, path: str, text: str | bytes) -> Project:
        """Write a file."""
        place = self.folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(text.encode() if isinstance(text, str) else text)
        return self

    def read(self, path: str) -> str:
        """A file's text, line ends as they are."""
        return (self.folder / path).read_bytes().decode()

    def case(self) -> Case:
        """The case of the folder as it is now."""
        snapshot = decode_snapshot({"schema": 1, "machine": MACHINE, "software": self.software})
        return Case(with_project(snapshot, collect_project(self.folder)))

    def findings(self, *codes: str) -> list[Finding]:
        """What the rules say of the folder as it is now; only these codes, where any is named."""
        outcome = judge(self.case(), catalogue.rules())
        assert not outcome.failures, outcome.failures
        return [finding for finding in outcome.findings if not codes or finding.code in codes]

    def plan(self, *codes: str) -> Plan:
        """The plan for the findings with these codes, or for all."""
        return plan(self.folder, self.findings(*codes), self.case(), {})

    def refused(self, *codes: str) -> list[Fix]:
        """The edits that are not made, with their reasons."""
        return [row for row in self.plan(*codes).rows if row.kind == "edit" and not row.replacements]


def project(folder: Path, files: dict[str, str], **software: Any) -> Project:
    """A project with these files; ``software``: sections in place of those of ``INSTALLED``."""
    made = Project(folder, {**INSTALLED, **software})
    for path, text in files.items():
        made.put(path, text)
    return made


def applies(folder: Path, diffs: str) -> dict[str, str]:
    """What ``git apply`` makes of a diff, file by file."""
    copy = folder.parent / "copy"
    shutil.copytree(folder, copy, symlinks=True)
    subprocess.run(["git", "apply", "--whitespace=nowarn", "-"], input=diffs.encode(), cwd=copy, check=True)
    return {str(p.relative_to(copy)): p.read_bytes().decode() for p in copy.rglob("*") if p.is_file()}
