"""Canary runs on targets: which runner, how often, and how many seeds until accuracy is settled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from doctor.canary.accuracy import TOLERANCE, next_seeds
from doctor.canary.record import Record
from doctor.canary.start import DEFAULT_SEEDS, DEFAULT_TIMEOUT, InterpreterRunner, Progress, Runner, run_canary
from doctor.canary.verdict import compare_records
from doctor.errors import TargetError
from doctor.model.snapshot import Snapshot
from doctor.model.wire import decode_snapshot
from doctor.targets.inside_options import Inside
from doctor.targets.interpreter import choose
from doctor.targets.words import Target


@dataclass(frozen=True)
class Options:
    """How the canary is run: seeds, repeat runs, device ("cpu" or "gpu"), and the limit of one run in seconds."""

    seeds: int = DEFAULT_SEEDS
    runs: int = 1
    thorough: bool = False
    device: str = "cpu"
    deterministic: bool = True
    timeout: float = DEFAULT_TIMEOUT


def runner_for(
    target: Target,
    environ: Mapping[str, str],
    folder: Path,
    python: str | None = None,
    inside: Inside | None = None,
    *,
    gpus: bool = False,
) -> Runner:
    """What runs the payload on a target.

    `python` is the interpreter named by the user's settings; `folder` the project's. `inside`: how an image is had
    (pulled where it is missing, unless that says otherwise); `gpus`: its container gets them.

    Raises:
        TargetError: there is nothing to run there, or it may not be run unasked.
    """
    if target.kind in ("image", "container"):
        from doctor.canary.contained import SandboxRunner  # noqa: PLC0415 -- the engine, only where one is named

        return SandboxRunner(target, environ, inside or Inside(pull="missing"), gpus=gpus)
    if target.kind not in ("host", "python"):
        raise TargetError(
            f"{target}: the canary runs in an interpreter, an image or a container; run it inside, and compare records"
        )
    chosen = choose(folder, environ, target.name or python).chosen
    if chosen is None:
        raise TargetError("no Python interpreter found; name one: kdoctor canary python:PATH")
    if not chosen.may_run:
        raise TargetError(
            f"{chosen.executable}: lies in the project's folder and is not started unasked; "
            f"kdoctor canary python:{chosen.executable}"
        )
    return InterpreterRunner(chosen.executable, dict(environ))


def run_with(runner: Runner, options: Options, seeds: int | None = None, progress: Progress | None = None) -> Record:
    """One run with these options; `seeds` overrides theirs.

    Raises:
        CanaryError: there is no record.
    """
    return run_canary(
        runner,
        seeds if seeds is not None else options.seeds,
        options.thorough,
        options.device,
        progress,
        deterministic=options.deterministic,
        timeout=options.timeout,
    )


def settle(
    run_a: Callable[[int], Record],
    run_b: Callable[[int], Record],
    seeds: int = DEFAULT_SEEDS,
    most: int | None = None,
    tolerance: float = TOLERANCE,
) -> tuple[Record, Record, dict[str, Any]]:
    """Run two sides with 16, 32, then 64 seeds until accuracy is no longer inconclusive; both records and the drift.

    `most`: no more seeds than these, where one side is a saved record.

    Raises:
        CanaryError: a side has no record.
        DocumentError: a record cannot be read.
    """
    while True:
        a, b = run_a(seeds), run_b(seeds)
        drift = compare_records(a, b, tolerance)
        open_question = drift["accuracy"] is not None and drift["accuracy"]["label"] == "inconclusive"
        more = next_seeds(seeds) if open_question else None
        if more is None or (most is not None and more > most):
            return a, b, drift
        seeds = more


def snapshot_of(record: Record, name: str) -> Snapshot:
    """What a record knows of its environment, as a snapshot: the packages that matter to it, nothing of a machine."""
    environment = record.environment
    software: dict[str, Any] = {
        "packages": [{"name": key, "version": value} for key, value in sorted(environment.packages.items())],
        "environment": dict(environment.variables),
    }
    for section, version in (
        ("python", environment.python),
        ("tensorflow", environment.tensorflow),
        ("keras", environment.keras),
    ):
        if version is not None:
            software[section] = {"version": version}
    return decode_snapshot(
        {
            "subject": {"kind": "interpreter", "name": name, "collected": "run"},
            "software": software,
            "partial": ["software.packages", "software.environment"],
        },
        name,
    )
