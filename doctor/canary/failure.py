"""Why there is no canary record: one line that names the cause, and what to do where that is known."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from doctor.errors import DoctorError
from doctor.io.process import Result

PROGRESS_MARK = "@kdoctor-canary "

_LONGEST = 300
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")

# What a failing import says, and what it means. The first group is the thing to name.
_IMPORT_CAUSES: tuple[tuple[str, str], ...] = (
    (r"undefined symbol: (\S+)", "missing symbol {}: a library of another version is loaded; install TensorFlow again"),
    (r"symbol not found[^\n]*?'?(_Z\w+|\w{4,})'?$", "missing symbol {}: a library of another version is loaded"),
    (r"version `?((?:GLIBC|GLIBCXX|CXXABI)_[\d.]+)'? not found", "the system's C/C++ library is too old: needs {}"),
    (r"(lib[\w.+-]+\.so[\d.]*): cannot open shared object", "missing library {}"),
    (r"invalid ELF header|(wrong ELF class: \w+)", "a library of another architecture is loaded {}"),
    (r"_ARRAY_API not found|numpy\.dtype size changed|compiled using NumPy 1", "NumPy does not fit this TensorFlow{}"),
    (
        r"Descriptors cannot (?:not )?be created directly",
        "protobuf does not fit this TensorFlow: install protobuf<3.21{}",
    ),
    (r"No module named '([\w.]+)'", "the module {} is missing"),
)

_SIGNALS = {
    "SIGILL": "illegal instruction: this TensorFlow needs CPU instructions (such as AVX) that this CPU does not have",
    "SIGSEGV": "segmentation fault",
    "SIGABRT": "it aborted",
    "SIGBUS": "bus error",
    "SIGKILL": "killed, most likely for want of memory",
}


class CanaryError(DoctorError):
    """There is no canary record. ``code`` is for programs (`no-tensorflow`, `crashed`, `timed-out`, …)."""

    def __init__(self, code: str, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.detail = detail


class Ending(msgspec.Struct, frozen=True):
    """How a payload without a document ended; ``last`` is the last progress it made, ``timeout`` is in seconds."""

    result: Result
    timeout: float
    last: dict[str, Any]


def reported(target: str, error: dict[str, Any]) -> CanaryError:
    """The error that the payload itself reports."""
    code, message, detail = (str(error.get(key, "")) for key in ("code", "message", "detail"))
    cause = import_cause(detail) if code in ("import-failed", "keras-unusable") else one_line(detail.partition("\n")[0])
    text = f"{target}: {one_line(message)}" + (f": {cause}" if cause else "")
    return CanaryError(one_line(code), text + _advice(code), detail[:4000])


def failure(target: str, ending: Ending) -> CanaryError:
    """The error of a payload that ended without a word."""
    result, where = ending.result, _where(ending.last)
    said = result.stderr[-20000:].decode("utf-8", "replace").splitlines()
    tail = "\n".join(line for line in said if PROGRESS_MARK not in line)
    if result.timed_out:
        return CanaryError("timed-out", f"{target}: the canary did not finish within {ending.timeout:g} s{where}", tail)
    if result.truncated:
        return CanaryError("too-much-output", f"{target}: the canary wrote more than its output limit{where}", tail)
    if "MemoryError" in tail or "std::bad_alloc" in tail or "Cannot allocate memory" in tail:
        return CanaryError("out-of-memory", f"{target}: the canary ran out of memory{where}", tail)
    if result.signal is not None:
        why = _abort_message(tail) or _SIGNALS.get(result.signal, "")
        what = f"died by {result.signal}" + (f" ({why})" if why else "")
        return CanaryError("crashed", f"{target}: TensorFlow {what}{where}", tail)
    cause = import_cause(tail) or _last_line(tail) or f"exit status {result.returncode}"
    return CanaryError("failed", f"{target}: the canary ended without a record{where}: {cause}", tail)


def import_cause(text: str) -> str:
    """A failed import's message in one line, with the missing symbol, library or module named."""
    for pattern, meaning in _IMPORT_CAUSES:
        found = re.search(pattern, text, re.MULTILINE)
        if found:
            named = next((group for group in found.groups() if group), "")
            return one_line(meaning.format(named)).strip()
    return one_line(_first_sentence(text))


def one_line(text: str) -> str:
    """Foreign text as one bounded line without control characters."""
    return _UNSAFE.sub(" ", text).strip()[:_LONGEST]


def _where(last: dict[str, Any]) -> str:
    """The last step that the payload told, as words in brackets."""
    if not last:
        return " (before it started)"
    words = [one_line(str(last.get("stage", "?")))]
    words += [f"{key} {one_line(str(last[key]))}" for key in ("arm", "seed", "epoch") if key in last]
    if "of" in last:
        words.append(("of " if isinstance(last["of"], int) else "") + one_line(str(last["of"])))
    return f" (at {' '.join(words)})"


def _advice(code: str) -> str:
    return {
        "no-tensorflow": "; name the interpreter that has it with --python or python:PATH",
        "device-unavailable": "; run with --device cpu, or see `kdoctor scan` for why there is none",
        "keras-backend": "; unset KERAS_BACKEND or set it to tensorflow",
    }.get(code, "")


def _abort_message(tail: str) -> str:
    """What TensorFlow itself said before it aborted (a line of level F), if it did."""
    fatal = re.findall(
        r"^(?:\d{4}-\S+ \S+: |)F(?:\d{4} \S+ +\d+ [^\]]*\]| tensorflow\S*\]?) *(.+)$", tail, re.MULTILINE
    )
    return one_line(fatal[-1]) if fatal else ""


def _first_sentence(text: str) -> str:
    return next((line for line in text.splitlines() if line.strip()), "")


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return one_line(lines[-1]) if lines else ""
