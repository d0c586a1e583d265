"""The software half: the collector over files, or started by the environment's own interpreter."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import doctor.collect
from doctor.errors import TargetError
from doctor.io.process import CannotStart, Runner, run
from doctor.targets.interpreter import Interpreter

SECONDS = 20.0
MAX_OUTPUT = 32 * 1024 * 1024
_START = "\nraise SystemExit(main([]))\n"


@dataclass(frozen=True)
class Collected:
    """One half of a snapshot as plain data, with the lists that are incomplete and the gaps that were met."""

    facts: dict[str, Any]
    partial: tuple[str, ...] = ()
    derived: tuple[str, ...] = ()
    gaps: tuple[dict[str, str], ...] = ()
    how: str = "static"
    remarks: tuple[str, ...] = field(default=())


def source() -> bytes:
    """The collector as it is sent to an interpreter."""
    return (Path(doctor.collect.__file__).parent / "software.py").read_bytes()


def read(interpreter: Interpreter | None) -> Collected:
    """What the environment's files say; nothing of it is started."""
    from doctor.collect import software  # noqa: PLC0415 -- only where it runs in this process

    name = str(interpreter.executable) if interpreter else None
    document = software.collect(software.HostFileSystem("/"), name, dict(os.environ))
    return collected(document, "static")


def ask(interpreter: Interpreter, runner: Runner = run, seconds: float = SECONDS) -> Collected:
    """What the environment says when its own interpreter runs the collector.

    Raises:
        TargetError: the interpreter cannot be started, hangs, dies, or answers something else.
    """
    name = str(interpreter.executable)
    command = [name, "-I", "-S", "-B", "-"]
    try:
        result = runner(command, input=source() + _START.encode(), timeout=seconds, max_output=MAX_OUTPUT)
    except CannotStart as error:
        raise TargetError(str(error)) from None
    document = document_in(result.stdout)
    if document is None or not isinstance(document.get("software", document.get("error")), (dict, str)):
        why = result.failure(seconds) or "answered something that is not the collector's document"
        last = result.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        said = f": {last[0][:200]}" if last else ""
        raise TargetError(f"{name}: {why}{said}; is it a Python interpreter?")
    if "error" in document:
        raise TargetError(f"{name}: the collector failed in it: {document['error']}")
    return collected(document, "run")


def collect(interpreter: Interpreter | None, runner: Runner = run) -> Collected:
    """The software half of an interpreter, by the way that the contract names for it.

    An interpreter that nobody named and that does not answer is read as files instead, and that is said.

    Raises:
        TargetError: an interpreter that was named cannot be looked at.
    """
    if interpreter is None or not interpreter.may_run:
        return read(interpreter)
    try:
        return ask(interpreter, runner)
    except TargetError as error:
        if interpreter.why.startswith("named"):
            raise
        found = read(interpreter)
        return replace(found, remarks=(*found.remarks, f"{error}; its files were read instead"))


def document_in(output: bytes) -> dict[str, Any] | None:
    """The collector's document in what a child wrote; None where there is none."""
    begin, end = b"----- BEGIN KDOCTOR SOFTWARE -----\n", b"\n----- END KDOCTOR SOFTWARE -----"
    start = output.find(begin)
    stop = output.find(end, start)
    if start < 0 or stop < 0:
        return None
    try:
        document = json.loads(output[start + len(begin) : stop])
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def collected(document: dict[str, Any], how: str) -> Collected:
    """The half of a snapshot that a collector's document holds."""
    software = document.get("software")
    return Collected(
        software if isinstance(software, dict) else {},
        _texts(document.get("partial")),
        _texts(document.get("derived")),
        tuple(gap for gap in _listed(document.get("gaps")) if isinstance(gap, dict) and {"path", "why"} <= set(gap)),
        how,
    )


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(item for item in _listed(value) if isinstance(item, str))


def _listed(value: Any) -> list[Any]:
    """A list out of a document that an interpreter of somebody else's wrote; nothing where it is none."""
    return value if isinstance(value, list) else []
