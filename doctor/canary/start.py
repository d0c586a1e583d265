"""Starting the canary's payload somewhere, and reading what comes back.

On a host interpreter it starts in a private place (``doctor.io.private``) with ``python -B -`` and not ``-I``: the
user's PYTHONPATH and user site are part of the environment.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import datetime, timezone
from importlib import resources
from pathlib import Path
from typing import Any, Protocol

import msgspec

from doctor.canary.canonical import canonical_section
from doctor.canary.failure import PROGRESS_MARK, CanaryError, Ending, failure, reported
from doctor.canary.kinship import source_hash
from doctor.canary.record import Record
from doctor.canary.record_file import decode_record, sealed
from doctor.io import process
from doctor.io.private import private_place

BEGIN = b"-----BEGIN KDOCTOR CANARY-----"
END = b"-----END KDOCTOR CANARY-----"
DEFAULT_SEEDS = 16
DEFAULT_TIMEOUT = 300.0  # seconds; the whole canary takes about 10 on one core with `import tensorflow`
MEMORY_LIMIT = 16 << 30  # bytes of address space; the canary peaks at 1.3 GB of it, many cores reserve more
MAX_OUTPUT = 8 << 20  # bytes of stdout and stderr together; a record of 16 seeds has about 180 KB
_LONGEST_LINE = 4096

Progress = Callable[[dict[str, Any]], None]


class Job(msgspec.Struct, frozen=True):
    """What a runner starts: the payload's source for stdin, its one argument, and the limits (seconds, bytes)."""

    source: bytes
    argument: str
    timeout: float = DEFAULT_TIMEOUT
    max_output: int = MAX_OUTPUT


class Runner(Protocol):
    """Where the payload runs: a host interpreter, or later a sandboxed container."""

    @property
    def name(self) -> str:
        """The target as a person names it."""
        ...

    @property
    def image_digest(self) -> str | None:
        """The digest of the image that the code comes from, where there is one."""
        ...

    def start(self, job: Job, on_stderr: Callable[[bytes], None]) -> process.Result:
        """Run the payload to its end within the job's limits; stderr is handed on as it comes.

        Raises:
            process.CannotStart: there is nothing to start.
        """
        ...


class InterpreterRunner:
    """A Python interpreter of this host, with the user's own environment."""

    image_digest: str | None = None

    def __init__(self, python: str | Path, environment: dict[str, str] | None = None) -> None:
        # Not resolved: a virtual environment's interpreter is a link.
        self.python = os.path.abspath(python) if os.sep in str(python) else str(python)  # noqa: PTH100
        self.environment = dict(os.environ if environment is None else environment)

    @property
    def name(self) -> str:
        """The interpreter's path."""
        return self.python

    def start(self, job: Job, on_stderr: Callable[[bytes], None]) -> process.Result:
        """Run the payload in a private place, which is gone afterwards."""
        with private_place(self.environment) as (environment, folder):
            return process.run(
                [self.python, "-B", "-", job.argument],
                input=job.source,
                timeout=job.timeout,
                max_output=job.max_output,
                env=environment,
                cwd=folder,
                on_stderr=on_stderr,
            )


def run_canary(
    target: str | Path | Runner,
    seeds: int = DEFAULT_SEEDS,
    thorough: bool = False,
    device: str | None = None,
    progress: Progress | None = None,
    *,
    deterministic: bool = True,
    timeout: float = DEFAULT_TIMEOUT,
) -> Record:
    """Run the canary in an interpreter (or wherever a runner runs it) and return its record.

    `device` is "cpu" (the default) or "gpu"; `timeout` is in seconds; `progress` is called with what the payload says
    of itself: `stage`, and where known `seed`, `epoch`, `of`.

    Raises:
        CanaryError: there is no record; the text says what happened and, where known, what to do.
    """
    runner = InterpreterRunner(target) if isinstance(target, str | Path) else target
    source = payload_source()
    arguments = {
        "seeds": seeds,
        "thorough": thorough,
        "device": device or "cpu",
        "deterministic": deterministic,
        # CUDA reserves far more address space than it uses.
        "memory": None if device == "gpu" else MEMORY_LIMIT,
        "source_sha256": source_hash(source),
    }
    job = Job(source.encode(), json.dumps(arguments, sort_keys=True), timeout)
    listener = _Listener(progress)
    try:
        result = runner.start(job, listener.hear)
    except process.CannotStart as error:
        raise CanaryError("cannot-start", str(error)) from error
    document = _document(result.stdout)
    if document is None:
        raise failure(runner.name, Ending(result, timeout, listener.last))
    if isinstance(document.get("error"), dict):
        raise reported(runner.name, document["error"])
    return decode_record(_finished(document, runner), runner.name)


def payload_source() -> str:
    """The payload's text."""
    return resources.files("doctor.payloads").joinpath("canary.py").read_text(encoding="utf-8")


def _finished(document: dict[str, Any], runner: Runner) -> dict[str, Any]:
    """The record as it is kept: canonical configurations, where and when it was made, and a checksum."""
    whole = {
        **document,
        "config": canonical_section(document.get("config")),
        "target": runner.name,
        "created_at": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    if runner.image_digest is not None and isinstance(whole.get("environment"), dict):
        whole["environment"] = {**whole["environment"], "image_digest": runner.image_digest}
    return sealed(whole)


def _document(stdout: bytes) -> dict[str, Any] | None:
    """What stands between the sentinels, or is the whole of stdout; None where that is no JSON object."""
    text = stdout
    begin = stdout.rfind(BEGIN)
    if begin >= 0:
        end = stdout.find(END, begin)
        text = stdout[begin + len(BEGIN) : end if end >= 0 else None]
    try:
        document = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


class _Listener:
    """Picks the payload's progress out of stderr and remembers the last of it."""

    def __init__(self, progress: Progress | None) -> None:
        self.progress = progress
        self.last: dict[str, Any] = {}
        self.rest = b""

    def hear(self, piece: bytes) -> None:
        """Take in a piece of stderr of any length."""
        *lines, self.rest = (self.rest + piece).split(b"\n")
        self.rest = self.rest[-_LONGEST_LINE:]
        for line in lines:
            _, mark, told = line.partition(PROGRESS_MARK.encode())
            if mark:
                self._note(told)

    def _note(self, told: bytes) -> None:
        try:
            step = msgspec.json.decode(told)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        if isinstance(step, dict):
            self.last = step
            if self.progress is not None:
                self.progress(step)
