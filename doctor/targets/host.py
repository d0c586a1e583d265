"""A snapshot of this host: its machine and one environment, looked at at the same time."""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from doctor import __version__
from doctor.model.snapshot import Snapshot
from doctor.model.wire import decode_snapshot
from doctor.targets.interpreter import Choice, choose
from doctor.targets.machine import collect_machine
from doctor.targets.software import Collected, collect


@dataclass(frozen=True)
class Look:
    """A snapshot, the interpreter it speaks of, and what could not be read on the way."""

    snapshot: Snapshot
    choice: Choice | None = None
    gaps: tuple[dict[str, str], ...] = ()
    remarks: tuple[str, ...] = ()


def look(
    project: Path,
    *,
    environ: Mapping[str, str] | None = None,
    python: str | None = None,
    machine: bool = True,
    offline: bool = False,
    subject: str = "host",
) -> Look:
    """This host, with the interpreter that the contract's order chooses or that ``python`` names.

    Raises:
        TargetError: a named interpreter cannot be looked at.
    """
    env = os.environ if environ is None else environ
    choice = choose(project, env, python)
    with ThreadPoolExecutor(1) as pool:
        hardware = pool.submit(collect_machine, environ=env, offline=offline) if machine else None
        software = collect(choice.chosen)
        half = hardware.result() if hardware else {}
    kind = "interpreter" if python is not None else "host"
    name = subject if python is None else str(choice.chosen.executable) if choice.chosen else python
    raw = document(kind, name, software, half)
    remarks = (*choice.remarks, *software.remarks)
    gaps = (*software.gaps, *half.get("gaps", ()))
    return Look(decode_snapshot(raw), choice, gaps, remarks)


def document(kind: str, name: str, software: Collected, machine: Mapping[str, Any]) -> dict[str, Any]:
    """A snapshot as plain data, out of its two halves."""
    now = datetime.datetime.now(datetime.timezone.utc)
    return {
        "kind": "kdoctor/snapshot",
        "schema": 1,
        "tool": {"name": "kdoctor", "version": __version__},
        "subject": {"kind": kind, "name": name, "collected": software.how},
        "collected_at": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "machine": machine.get("machine", {}),
        "software": software.facts,
        "partial": [*software.partial, *machine.get("partial", ())],
        "derived": [*software.derived, *machine.get("derived", ())],
    }
