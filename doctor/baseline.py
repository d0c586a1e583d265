"""The baseline: findings that were there when a project began to use kdoctor, and do not count until they change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from doctor.errors import DocumentError, UsageError
from doctor.io.files import write_atomically
from doctor.model.report import Finding, Suppressed
from doctor.model.snapshot import SCHEMA
from doctor.model.wire import read_document
from doctor.suppression import row_of

KIND = "kdoctor/baseline"
REASON = "in the baseline"


class Baseline(msgspec.Struct, frozen=True):
    """How often each fingerprint may stand without counting: one more use of the same image is a new finding."""

    counts: dict[str, int] = {}


def read(path: Path) -> Baseline:
    """The baseline in a file.

    Raises:
        UsageError: unreadable, of another kind or of a newer schema.
    """
    try:
        raw = read_document(path, expected="baseline")
    except DocumentError as error:
        told = str(error)
        raise UsageError(told if "--write-baseline" in told else f"{told}; write one with --write-baseline") from None
    if raw.get("kind") != KIND:
        raise UsageError(f"{path}: not a kdoctor document; expected {KIND}; write one with --write-baseline")
    rows: Any = raw.get("findings")
    if not isinstance(rows, list):
        raise UsageError(f"{path}: findings: expected a list")
    counts: Counter[str] = Counter()
    for number, row in enumerate(rows):
        mark, count = (row.get("fingerprint"), row.get("count", 1)) if isinstance(row, dict) else (None, 1)
        if not isinstance(mark, str) or not isinstance(count, int) or isinstance(count, bool) or count < 1:
            raise UsageError(f"{path}: findings[{number}]: expected an object with a fingerprint and a count from 1")
        counts[mark] += count
    return Baseline(dict(counts))


def encode(findings: Iterable[Finding]) -> bytes:
    """The findings as a baseline document: one row a fingerprint, in the order of codes."""
    counts = Counter(f.fingerprint for f in findings_list) if (findings_list := list(findings)) else Counter()
    first = {f.fingerprint: f for f in reversed(findings_list)}
    rows = [
        {
            "fingerprint": mark,
            "code": first[mark].code,
            "subject": first[mark].subject,
            "path": place.path if (place := first[mark].location) else None,
            "count": count,
        }
        for mark, count in sorted(counts.items(), key=lambda item: (first[item[0]].code, item[0]))
    ]
    document = {"kind": KIND, "schema": SCHEMA, "findings": rows}
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def write(path: Path, findings: Iterable[Finding]) -> None:
    """Write the findings as a baseline, at once or not at all.

    Raises:
        UsageError: the file cannot be written.
    """
    write_atomically(path, encode(findings))


def apply(
    findings: Sequence[Finding], baseline: Baseline | None
) -> tuple[list[Finding], list[tuple[Finding, Suppressed]]]:
    """The findings that stand, and those that the baseline covers."""
    if baseline is None:
        return list(findings), []
    left = dict(baseline.counts)
    standing: list[Finding] = []
    covered: list[tuple[Finding, Suppressed]] = []
    for finding in findings:
        if left.get(finding.fingerprint, 0) > 0:
            left[finding.fingerprint] -= 1
            covered.append((finding, row_of(finding, REASON)))
        else:
            standing.append(finding)
    return standing, covered
