"""``--try``: a child imports TensorFlow and lists its devices, so that prediction can be held against observation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

import doctor.payloads
from doctor.io.private import private_place
from doctor.io.process import CannotStart, Result, Runner, run
from doctor.model.facts import Missing
from doctor.model.snapshot import Observed
from doctor.payloads.try_tensorflow import ANSWER
from doctor.targets.interpreter import Interpreter

SECONDS = 120.0
MAX_OUTPUT = 8 * 1024 * 1024
LOG_LINES = 60
PATH = "software.tensorflow.observed"


def observe(interpreter: Interpreter, environ: Mapping[str, str], runner: Runner = run) -> Observed:
    """What TensorFlow itself says when this interpreter imports it; a start that fails is an observation too."""
    if not interpreter.may_run:
        return _unknown(f"{interpreter.why}: not started; name it with --python to have it run")
    source = (Path(doctor.payloads.__file__).parent / "try_tensorflow.py").read_bytes()
    with private_place(environ) as (env, folder):
        try:
            command = [str(interpreter.executable), "-B", "-"]
            result = runner(command, input=source, timeout=SECONDS, max_output=MAX_OUTPUT, env=env, cwd=folder)
        except CannotStart as error:
            return _unknown(str(error))
    return _observed(result)


def _observed(result: Result) -> Observed:
    log = tuple(result.stderr.decode("utf-8", "replace").splitlines()[-LOG_LINES:])
    for line in result.stdout.decode("utf-8", "replace").splitlines():
        if line.startswith(ANSWER):
            try:
                return msgspec.structs.replace(msgspec.convert(json.loads(line[len(ANSWER) :]), Observed), log=log)
            except (ValueError, RecursionError, msgspec.ValidationError):
                break
    facts: dict[str, Any] = {"error": result.failure(SECONDS) or "ended without an answer", "log": log}
    return Observed(**facts, signal=result.signal)


def _unknown(why: str) -> Observed:
    missing = {name: Missing(f"{PATH}.{name}", why) for name in Observed.__struct_fields__}
    return Observed(**missing)
