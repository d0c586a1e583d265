"""What a scan looks at: targets to snapshots, with everything that could not be had said."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from doctor.diagnosis import join, machine_name
from doctor.errors import DoctorError, TargetError, UsageError
from doctor.logs import Log, joined, read_file
from doctor.model.facts import Missing
from doctor.model.report import Note
from doctor.model.snapshot import Python, Snapshot
from doctor.model.wire import decode_snapshot, load_snapshot
from doctor.targets.host import Look, document, look
from doctor.targets.inside_options import Inside
from doctor.targets.machine import collect_machine
from doctor.targets.software import Collected
from doctor.targets.words import Target, parse

if TYPE_CHECKING:
    from doctor.store.place import Place

MAX_NOTES = 5


@dataclass(frozen=True)
class Request:
    """What the user asked to be looked at. ``history``: finds where runs were recorded, for what tags named before.

    ``all_dependencies``: each package that the project asks for counts, whatever it does.
    """

    folder: Path = field(default_factory=Path)
    python: str | None = None
    targets: tuple[str, ...] = ()
    machine: Path | None = None
    log: Path | Log | None = None
    try_tensorflow: bool = False
    build_args: tuple[str, ...] = ()
    with_project: bool = False
    inside: Inside | None = None
    history: Callable[[], Place | None] = lambda: None
    all_dependencies: bool = False


@dataclass(frozen=True)
class Looked:
    """The snapshots to judge; ``unmet`` are named targets that could not be looked at, ``notes`` other remarks.

    ``blind``: no target could be looked at; the one snapshot holds only what else there was (machine, project).
    """

    snapshots: tuple[Snapshot, ...]
    unmet: tuple[Note, ...] = ()
    notes: tuple[Note, ...] = ()
    header: tuple[str, ...] = ()
    blind: bool = False


def look_at(request: Request, *, offline: bool = False, strict: bool = False) -> Looked:
    """Look at every target of a request.

    With ``strict`` the first target that cannot be looked at is an error; otherwise it is noted, and the others are
    looked at, with machine and project in any case.

    Raises:
        UsageError: the folder is none, a target is not understood.
        TargetError: see ``strict``.
    """
    if not request.folder.is_dir():
        raise UsageError(f"{request.folder}: no such folder; name the project's folder")
    targets = [parse(word) for word in request.targets] or [Target("host")]
    if request.python is not None:
        targets = [Target("python", request.python), *(t for t in targets if t.kind != "host")]
    remarks: list[str] = []
    machine = load_snapshot(request.machine, remarks) if request.machine else None
    pool = ThreadPoolExecutor(1)
    project = pool.submit(project_facts, request, offline=offline) if request.with_project else None
    pool.shutdown(wait=False)
    looks: list[Look] = []
    unmet: list[Note] = []
    for target in targets:
        try:
            looks.append(_look(target, request, offline, with_machine=machine is None))
        except (TargetError, DoctorError) as error:
            if strict or (len(targets) == 1 and isinstance(error, UsageError)):
                raise
            unmet.append(Note(str(target), str(error)))
    blind = not looks
    if blind:
        looks = [_without_software(targets[0], offline, with_machine=machine is None)]
    notes = [Note("machine", remark) for remark in remarks]
    notes += [Note("software", remark) for one in looks for remark in one.remarks]
    notes += _gap_notes([gap for one in looks for gap in one.gaps])
    snapshots = [one.snapshot for one in looks]
    if machine is not None:
        snapshots = [join(snapshot, machine) for snapshot in snapshots]
    if project is not None and snapshots:  # once in a run: its findings are the folder's, whatever else is looked at
        snapshots[0] = with_project(snapshots[0], project.result())
    if request.log is not None:
        try:
            log = request.log if isinstance(request.log, Log) else read_file(request.log)
            snapshots = [joined(snapshot, log) for snapshot in snapshots]
        except TargetError as error:
            if strict:
                raise
            unmet.append(Note("log", str(error)))
    return Looked(tuple(snapshots), tuple(unmet), tuple(notes), _header(request, looks, machine), blind)


def _without_software(target: Target, offline: bool, *, with_machine: bool) -> Look:
    """What is left to be judged where a target cannot be looked at: for an interpreter the machine that it runs on."""
    here = target.kind in ("host", "python")
    half = collect_machine(offline=offline) if here and with_machine else {}
    kind = {"python": "interpreter", "snapshot": "host"}.get(target.kind, target.kind)
    raw = document(kind, target.name or "host", Collected({"missing": "it could not be looked at"}), half)
    return Look(decode_snapshot(raw), gaps=tuple(half.get("gaps", ())))


def _look(target: Target, request: Request, offline: bool, *, with_machine: bool) -> Look:
    options = request.inside or Inside()
    if target.kind == "snapshot":
        remarks: list[str] = []
        return Look(load_snapshot(Path(target.name), remarks), remarks=tuple(remarks))
    if target.kind in ("host", "python"):
        python = target.name or None
        found = look(request.folder, python=python, machine=with_machine, offline=offline)
        return _tried(found, progress=options.progress) if request.try_tensorflow else found
    from doctor.targets.inside import look_inside  # noqa: PLC0415 -- only where an image or container is named

    return look_inside(target, msgspec.structs.replace(options, offline=offline, machine=with_machine))


def project_facts(request: Request, *, offline: bool) -> dict[str, Any]:
    """The ``project`` section of the folder, with what the registries say of its images unless ``offline``."""
    from doctor.project import collect_project  # noqa: PLC0415 -- only where a folder is scanned

    section = collect_project(request.folder, build_arguments(request.build_args))
    if request.all_dependencies:
        section["requirements"] = [{**row, "counts": True} for row in section["requirements"]]
    if not offline and section.get("images"):
        from doctor.images.lookup import SECONDS, look_up  # noqa: PLC0415
        from doctor.io.registry.client import RegistryClient  # noqa: PLC0415
        from doctor.project.recorded import with_engine, with_history  # noqa: PLC0415

        plain_http = request.inside.plain_http if request.inside else ()
        rows = look_up(section["images"], lambda: RegistryClient(SECONDS, plain_http))
        section["images"] = with_history(with_engine(rows, os.environ), request.history)
    return section


def build_arguments(words: tuple[str, ...]) -> dict[str, str]:
    """``NAME=VALUE`` words as a mapping; a bare NAME takes its value from the environment.

    Raises:
        UsageError: a bare NAME that the environment does not hold.
    """
    found = {}
    for word in words:
        name, separator, value = word.partition("=")
        if not separator:
            if name not in os.environ:
                raise UsageError(f"--build-arg {name}: write NAME=VALUE, or set {name} in the environment")
            value = os.environ[name]
        found[name] = value
    return found


def with_project(snapshot: Snapshot, section: dict[str, Any]) -> Snapshot:
    """The snapshot with a project's facts; what the project requests counts as requested of the software."""
    read = decode_snapshot({"project": section, "software": {"requested": section.get("requested") or []}})
    software = snapshot.software
    if isinstance(software.requested, Missing):
        software = msgspec.structs.replace(software, requested=read.software.requested)
    return msgspec.structs.replace(snapshot, project=read.project, software=software)


def _tried(found: Look, *, progress: bool) -> Look:
    """The same look with what TensorFlow itself says under ``software.tensorflow.observed``."""
    from doctor.progress import Progress  # noqa: PLC0415 -- only with --try
    from doctor.targets.attempt import observe  # noqa: PLC0415

    if found.choice is None or found.choice.chosen is None:
        return found
    software = found.snapshot.software
    with Progress("importing TensorFlow", wanted=progress, counted=False):
        observed = observe(found.choice.chosen, os.environ)
    tensorflow = msgspec.structs.replace(software.tensorflow, observed=observed)
    software = msgspec.structs.replace(software, tensorflow=tensorflow)
    return Look(msgspec.structs.replace(found.snapshot, software=software), found.choice, found.gaps, found.remarks)


def _gap_notes(gaps: Sequence[dict[str, str]]) -> list[Note]:
    """What could not be read of the software, the first few of it; a machine's gaps stand in its own facts."""
    told = [gap for gap in gaps if not gap.get("path", "").startswith("machine.")]
    notes = [Note(gap.get("path", "?"), gap.get("why", "?")) for gap in told[:MAX_NOTES]]
    if len(told) > MAX_NOTES:
        notes.append(Note("software", f"{len(told) - MAX_NOTES} more things could not be read"))
    return notes


def _header(request: Request, looks: Sequence[Look], machine: Snapshot | None) -> tuple[str, ...]:
    parts = []
    for found in looks[:1]:
        if machine is not None:
            parts.append(f"machine {machine_name(machine, str(request.machine))}")
        else:
            parts.append(f"host {machine_name(found.snapshot, found.snapshot.subject.name)}")
        if found.snapshot.subject.kind in ("image", "archive", "container"):
            parts.append(f"{found.snapshot.subject.kind} {found.snapshot.subject.name}")
        if found.choice is not None:
            parts.append(_interpreter(found, request.folder))
    parts.append(f"project {request.folder}")
    return tuple(parts)


def _interpreter(found: Look, folder: Path) -> str:
    facts = found.snapshot.software.python
    executable = Path(facts.executable) if isinstance(facts.executable, str) else None
    if found.choice is None or found.choice.chosen is None:
        if executable is None:
            return "no python found"
        return f"python {executable.parent.parent} ({_version(facts)}; none on PATH, this one is in a usual place)"
    chosen = found.choice.chosen
    # what stands on PATH may be a shim that starts another one
    prefix = chosen.prefix if executable is None else executable.parent.parent
    shown = os.path.relpath(prefix, folder) if prefix.is_relative_to(folder.resolve()) else str(prefix)
    text = f"python {shown} ({_version(facts)}; {chosen.why})"
    others = [str(other.prefix) for other in found.choice.passed_over]
    return text + (f", not {', '.join(others)}" if others else "")


def _version(python: Python) -> str:
    return python.version if isinstance(python.version, str) else "version not known"
