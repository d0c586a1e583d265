"""From snapshots to outcomes: joins a machine half with a software half and lets the rules judge each pair."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import msgspec

from doctor.errors import DocumentError
from doctor.model.facts import Missing
from doctor.model.report import Note
from doctor.model.snapshot import Snapshot
from doctor.model.wire import load_snapshot


def join(software: Snapshot, machine: Snapshot) -> Snapshot:
    """The software half of one snapshot on the machine half of another; the project stays with the software."""
    derived = tuple(p for p in software.derived if not p.startswith("machine.")) + tuple(
        p for p in machine.derived if p.startswith("machine.")
    )
    partial = tuple(p for p in software.partial if not p.startswith("machine.")) + tuple(
        p for p in machine.partial if p.startswith("machine.")
    )
    return msgspec.structs.replace(software, machine=machine.machine, derived=derived, partial=partial)


def machine_name(snapshot: Snapshot, fallback: str = "this machine") -> str:
    """The name of a snapshot's machine."""
    name = snapshot.machine.name
    return name if isinstance(name, str) else fallback


def named(snapshot: Snapshot, name: str) -> Snapshot:
    """The same snapshot under another subject name."""
    return msgspec.structs.replace(snapshot, subject=msgspec.structs.replace(snapshot.subject, name=name))


def expecting(snapshot: Snapshot, required: Collection[str]) -> Snapshot:
    """The same snapshot, in which a GPU is meant to be used where ``--require gpu`` says so and it says nothing."""
    if "gpu" not in required or not isinstance(snapshot.expects.gpu, Missing):
        return snapshot
    return msgspec.structs.replace(snapshot, expects=msgspec.structs.replace(snapshot.expects, gpu=True))


class Loaded(msgspec.Struct, frozen=True):
    """Snapshots out of files; ``unmet``: files that are none; ``notes``: what in the others is not understood."""

    snapshots: list[Snapshot]
    unmet: list[Note]
    notes: list[Note]


def load_subjects(files: list[Path]) -> Loaded:
    """The snapshots in these files, each named by its file's stem; what cannot be read is noted and left out.

    Two files of one stem are told apart by their paths.
    """
    stems = [file.stem for file in files]
    found = Loaded([], [], [])
    for file in files:
        name = file.stem if stems.count(file.stem) == 1 else str(file)
        remarks: list[str] = []
        try:
            found.snapshots.append(named(load_snapshot(file, remarks), name))
        except DocumentError as error:
            found.unmet.append(Note(name, str(error)))
        found.notes.extend(Note(name, remark) for remark in remarks)
    return found


def pair(subjects: list[Snapshot], *, machine: Path | None = None, software: Path | None = None) -> list[Snapshot]:
    """The subjects with another snapshot's machine, or with another's software, in place of their own.

    Raises:
        DocumentError: the other snapshot cannot be read.
    """
    if machine is not None:
        other = load_snapshot(machine)
        return [join(subject, other) for subject in subjects]
    if software is not None:
        other = load_snapshot(software)
        return [named(join(other, subject), subject.subject.name) for subject in subjects]
    return subjects
