"""What follows from a case: findings, skips, and the report that carries them (contract, section 5)."""

from __future__ import annotations

import enum
import hashlib
import json
from typing import Any

import msgspec

from doctor.model.snapshot import SCHEMA

# Codes of findings that fail no run: that nothing could be compared proves nothing bad, and ends with exit code 3.
PROVES_NOTHING = ("KD806",)
# The source of evidence that is a row of the tables of changes between versions, not a fact of either side.
KNOWN_CHANGE = "known change"


class Severity(str, enum.Enum):
    """How grave a finding is."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"

    @property
    def weight(self) -> int:
        """2 for an error, 1 for a warning, 0 for an info: heavier findings come first."""
        return {"error": 2, "warning": 1, "info": 0}[self.value]


class Confidence(str, enum.Enum):
    """How sure the rule is, given the facts."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Row(msgspec.Struct, frozen=True):
    """Base of a report's rows."""


class Evidence(Row, frozen=True):
    """A fact that a finding rests on: its path in the snapshot, its value, and where it was read."""

    fact: str
    value: Any = None
    source: str = "snapshot"


class Location(Row, frozen=True, omit_defaults=True):
    """A place in a file of the project: path relative to the folder scanned, line and column from 1."""

    path: str
    line: int | None = None
    column: int | None = None
    end_line: int | None = None
    text: str | None = None


class Change(Row, frozen=True, omit_defaults=True):
    """What would mend a finding mechanically, as a rule can say it: without the bytes of a file.

    ``kind`` and what the others then mean: ``requirement`` (the request for ``name`` at the finding's location gets
    the specifier ``value``, or makes room for a whole requirement), ``bound`` (every request for ``name`` that allows
    the installed version gets the specifier ``value``), ``argument`` (calls that the script passes ``name``, as KD715
    names it, pass ``value``), ``method`` (the same of a method), ``keyword`` (the call at the location gets
    ``name=value``), ``seed`` (the script sets it before it builds anything), ``environment`` (the variable ``name`` is
    set to ``value`` where the project configures TensorFlow), ``digest`` (the image ``name`` gets this digest).
    ``why``: where the value comes from. ``mends`` False: the finding stays until a command is run as well.
    """

    kind: str
    name: str
    value: str
    why: str = ""
    mends: bool = True


class Finding(Row, frozen=True):
    """One thing that is wrong.

    A rule fills in what it knows (``message`` first); the engine adds code, name, severity, subject and machine.
    ``severity`` set by a rule may only be lower than the rule's default. ``thing``: what is concerned (an image, a
    package, a soname); it enters the fingerprint. ``likely``: how likely this is the root cause, 0 to 1. ``change``:
    what would mend it, where that is mechanical; a key that is absent where it is not.
    """

    message: str
    code: str = ""
    name: str = ""
    severity: Severity | None = None
    confidence: Confidence = Confidence.HIGH
    subject: str = ""
    machine: str | None = None
    effect: str = ""
    fix: str = ""
    verify: str = ""
    evidence: tuple[Evidence, ...] = ()
    location: Location | None = None
    fingerprint: str = ""
    caused_by: tuple[str, ...] = ()
    likely: float = 0.5
    thing: str = ""
    change: Change | msgspec.UnsetType = msgspec.UNSET

    def identity(self) -> str:
        """SHA-256 over what stays the same between two runs: never a line, a version, the message or a digest."""
        subject = self.subject.split("@", 1)[0]
        head, _, tail = subject.rpartition(":")
        if head and "/" not in tail:
            subject = head
        parts = [self.code, subject, self.location.path if self.location else "", self.thing]
        parts += sorted({e.fact for e in self.evidence})
        return "v1:" + hashlib.sha256(json.dumps(parts).encode()).hexdigest()


class Skip(Row, frozen=True):
    """A rule that could not be judged, and what would help."""

    code: str
    name: str
    subject: str
    machine: str | None
    reason: str
    would_help: str | None = None


class NotApplied(Row, frozen=True):
    """A rule that has nothing to say of this case."""

    code: str
    subject: str
    machine: str | None
    reason: str


class Passed(Row, frozen=True):
    """A rule that looked and found nothing."""

    code: str
    subject: str
    machine: str | None


class Suppressed(Row, frozen=True):
    """A finding that somebody chose to live with."""

    code: str
    subject: str
    reason: str | None = None
    until: str | None = None
    fingerprint: str = ""


class SubjectRow(Row, frozen=True):
    """A subject of the report and its own verdict."""

    kind: str
    name: str
    digest: str | None = None
    verdict: str = "pass"


class MachineRow(Row, frozen=True):
    """A machine that the subjects were judged on."""

    name: str
    driver: str | None = None
    gpus: tuple[str, ...] = ()


class CaseRow(Row, frozen=True):
    """The gate's verdict on one subject on one machine.

    ``against``: codes of the findings that fail it. ``drift`` and ``accuracy``: what its canary came to.
    """

    subject: str
    machine: str | None = None
    verdict: str = "pass"
    against: tuple[str, ...] = ()
    drift: str | None = None
    accuracy: str | None = None


class Note(Row, frozen=True):
    """Something that could not be looked at: what, and why."""

    what: str
    why: str


class LogRemark(Row, frozen=True):
    """A line of the log that is no finding, and what it means; ``harmless``: nothing needs to be done."""

    line: str
    meaning: str
    harmless: bool


class Replacement(Row, frozen=True):
    """``text`` in place of what stands from ``line``, ``column`` to before ``end_line``, ``end_column``; all from 1."""

    line: int
    column: int
    end_line: int
    end_column: int
    text: str


class Fix(Row, frozen=True):
    """A finding's fix: an edit of a file of the project, or a command.

    ``kind``: edit or command. ``safety``: ``safe`` (``--write`` applies it) or ``manual`` (somebody has to decide or to
    act), with its ``reason``. An edit that is not made is manual and has no replacements.
    """

    code: str
    fingerprint: str
    subject: str
    kind: str
    safety: str
    reason: str
    path: str | None = None
    line: int | None = None
    replacements: tuple[Replacement, ...] = ()
    command: str | None = None
    written: bool = False


class FileFix(Row, frozen=True):
    """All safe edits of one file as a unified diff; ``refused``: why they were not written though that was asked."""

    path: str
    diff: str
    written: bool = False
    refused: str | None = None


class Fixes(Row, frozen=True):
    """What ``scan --fix`` offers, or did: a row for each fix, and the files that the safe edits change."""

    rows: tuple[Fix, ...] = ()
    files: tuple[FileFix, ...] = ()


class Report(Row, frozen=True):
    """One document of kind ``kdoctor/report``.

    ``cases``: the gate's verdicts, one for each subject on each machine. ``denied``: codes of the rules whose findings
    fail the run whatever their severity. ``fixes``: only where they were asked for; else the key is absent.
    """

    kind: str = "kdoctor/report"
    schema: int = SCHEMA
    tool: dict[str, str] = {}
    subjects: tuple[SubjectRow, ...] = ()
    machines: tuple[MachineRow, ...] = ()
    findings: tuple[Finding, ...] = ()
    skipped: tuple[Skip, ...] = ()
    inapplicable: tuple[NotApplied, ...] = ()
    passed: tuple[Passed, ...] = ()
    suppressed: tuple[Suppressed, ...] = ()
    notes: tuple[Note, ...] = ()
    log: tuple[LogRemark, ...] = ()
    canary: dict[str, Any] | None = None
    drift: dict[str, Any] | None = None
    changes: tuple[dict[str, Any], ...] | None = None
    cases: tuple[CaseRow, ...] = ()
    denied: tuple[str, ...] = ()
    summary: dict[str, int] = {}
    verdict: str = "pass"
    incomplete: bool = False
    exit_code: int = 0
    fixes: Fixes | msgspec.UnsetType = msgspec.UNSET
