"""What every judging command does around its work: settings, rules, report, files and exit code."""

from __future__ import annotations

import datetime
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

from doctor import baseline, catalogue, gate, logs, requirements, suppression
from doctor.case import CanaryRun, Case
from doctor.cli.options import Flags, leave
from doctor.cli.recording import keep
from doctor.diagnosis import expecting, machine_name
from doctor.engine import Outcome, judge, without_project
from doctor.errors import UsageError
from doctor.io.files import write_atomically
from doctor.model.report import Finding, Fixes, MachineRow, Note, Report
from doctor.model.snapshot import Snapshot
from doctor.report import render
from doctor.report.context import WIDTH, Anchors, Area, for_settings
from doctor.report.head import of_report
from doctor.report.place import anchors
from doctor.report.sanitize import line
from doctor.report.totals import gate_line
from doctor.settings import Settings, load_settings
from doctor.suppression import Suppression
from doctor.verifying import from_outside

if TYPE_CHECKING:
    from doctor.canary.record import Record
    from doctor.comparison import Compared
    from doctor.store.place import Place

Head = Sequence[Area] | Callable[[Report], Sequence[Area]]


class Session:
    """One run of a command: its settings, and when it began."""

    def __init__(self, settings: Settings, command: str = "", folder: Path | None = None) -> None:
        self.settings = settings
        self.folder = folder or Path.cwd()
        self.command = command
        self.canaries: dict[str, Record] = {}  # by subject: for the history
        self.started = time.monotonic()
        self.today = datetime.datetime.now(datetime.timezone.utc).date()
        self.header: tuple[str, ...] = ()

    @classmethod
    def open(cls, flags: Flags, folder: Path | None = None, *, policy: Path | None = None) -> Session:
        """The session of a command on ``folder``; ``policy``: the project's, from elsewhere.

        Raises:
            UsageError: a setting that is not understood.
        """
        settings = load_settings(folder or Path.cwd(), dict(flags), os.environ, flags.config, policy=policy)
        return cls(settings, flags.command, folder)

    def judge(self, snapshots: Iterable[Snapshot]) -> list[tuple[Case, Outcome]]:
        """Each snapshot's case and what the chosen rules say of it."""
        rules = gate.select_rules(self.settings)
        cases = [Case(expecting(snapshot, self.settings.require)) for snapshot in snapshots]
        return self.placed([(case, judge(case, rules, machine=machine_name(case.snapshot))) for case in cases])

    def placed(self, judged: list[tuple[Case, Outcome]]) -> list[tuple[Case, Outcome]]:
        """The same, where another folder than the working one was looked at with commands that can be pasted here."""
        folder = os.path.relpath(self.folder)
        if folder != os.curdir:
            for _, outcome in judged:
                outcome.findings = [from_outside(finding, folder) for finding in outcome.findings]
        return judged

    def standing(self, judged: Sequence[tuple[Case, Outcome]]) -> tuple[Finding, ...]:
        """The findings that suppressions and the baseline leave."""
        cases = [case for case, _ in judged]
        report = gate.build_report(
            [outcome for _, outcome in judged],
            [gate.subject_row(case) for case in cases],
            (),
            self.settings,
            today=self.today,
            suppressions=[s for case in cases for s in suppression.from_files(case, self.today)],
            known_findings=baseline.read(Path(self.settings.baseline)) if self.settings.baseline else None,
        )
        return report.findings

    def finish(
        self,
        judged: Sequence[tuple[Case, Outcome]],
        *,
        unmet: Sequence[Note] = (),
        notes: Sequence[Note] = (),
        extra: Sequence[Outcome] = (),
        head: Head | None = None,
        had: Sequence[str] = (),
        machines: Sequence[MachineRow] | None = None,
        suppressions: Sequence[Suppression] | None = None,
        fixes: Fixes | None = None,
        **report_parts: Any,
    ) -> NoReturn:
        """Build the report, write it wherever it was asked for, and end with its exit code.

        ``unmet``: named targets that could not be looked at; ``notes``: other remarks for the reader;
        ``head``: the lines that open the screen, where they are not those of the case; ``had``: runs that took place.
        ``machines`` and ``suppressions``: where they are not simply those of the cases (and ``unmet`` is complete).
        ``fixes``: what was offered or written; a file that could not be written ends the command with 1.
        """
        cases = [case for case, _ in judged]
        lacking: list[Note] = []
        if suppressions is None:
            suppressions = [s for case in cases for s in suppression.from_files(case, self.today)]
            lacking = [note for case in cases for note in requirements.unmet(case, self.settings.require, had)]
        if machines is None:
            machines = [gate.machine_row(case, machine_name(case.snapshot)) for case in cases]
        report = gate.build_report(
            [*(outcome for _, outcome in judged), *extra],
            [gate.subject_row(case) for case in cases],
            machines,
            self.settings,
            today=self.today,
            suppressions=suppressions,
            known_findings=baseline.read(Path(self.settings.baseline)) if self.settings.baseline else None,
            unmet=[*unmet, *lacking],
            notes=notes,
            log=logs.remarks(cases),
            tables=catalogue.tables_date(),
            **report_parts,
        )
        if fixes is not None:
            refused = any(file.refused for file in fixes.files)
            code = gate.FAILED if refused and report.exit_code == gate.PASSED else report.exit_code
            report = msgspec.structs.replace(report, fixes=fixes, exit_code=code)
        if self.settings.write_baseline:
            baseline.write(Path(self.settings.write_baseline), report.findings)
        case = cases[0] if len(cases) == 1 else None
        if head is None:
            head = of_report(case, report) if case is not None else ()
        places = anchors([case.snapshot for case in cases], self.settings.origins, os.path.relpath(self.folder))
        self._write(report, head(report) if callable(head) else head, places)
        if self.settings.record:
            self._record(report, cases)
        leave(report.exit_code)

    def compared(self, found: Compared) -> NoReturn:
        """Judge both sides, their canaries and the pair, and finish."""
        rules = gate.select_rules(self.settings)
        sides = (found.pair.a, found.pair.b)
        judged = [(case, without_project(outcome)) for case, outcome in self.judge([c.snapshot for c in found.judged])]
        facts = dict(zip(map(id, found.judged), judged, strict=True))
        extra = [judge(found.pair, rules)]
        parts: dict[str, Any] = {"changes": found.changes, "drift": found.pair.drift}
        if found.drift is not None:
            from doctor.canary.alone import run_alone, summary

            records = (found.drift.a, found.drift.b)
            self.canaries = {found.pair.b.subject.name: found.drift.b}
            for case, record in zip(sides, records, strict=True):
                extra.append(judge(CanaryRun(case.subject.name, run_alone(record)), rules))
            parts["canary"] = {"a": summary(records[0]), "b": summary(records[1])}
        self.header = self.header or tuple(
            f"{side} {case.subject.name}" for side, case in zip("ab", sides, strict=True)
        )
        self.finish(
            [facts.get(id(case), (case, Outcome())) for case in sides],
            unmet=found.unmet,
            notes=found.notes,
            extra=extra,
            had=("canary",) if found.drift is not None else (),
            **parts,
        )

    def history(self) -> Place | None:
        """Where runs are recorded; None where there is no home to keep a file in.

        Raises:
            UsageError: the address of a database that is none.
        """
        from doctor.store.place import known_place

        return known_place(self.settings, os.environ)

    def _record(self, report: Report, cases: Sequence[Case]) -> None:
        def write(place: Place) -> Sequence[int]:
            from doctor.store.recording import record_report

            snapshots = [case.snapshot for case in cases]
            return record_report(place, self.command, report, snapshots, self.canaries, self.settings.tag)

        keep(self.settings, write)

    def _write(self, report: Report, head: Sequence[Area], places: Anchors) -> None:
        written = []
        for item in self.settings.format:
            name, _, file = item.partition("=")
            target = file or (self.settings.output if len(self.settings.format) == 1 else None)
            context = for_settings(
                self.settings,
                gate.deciding_option(self.settings),
                header=self.header,
                areas=tuple(head),
                anchors=places,
                seconds=time.monotonic() - self.started,
            )
            if target:
                context = msgspec.structs.replace(context, color=False, unicode=True, width=WIDTH)
                write_atomically(Path(target), render(name, report, context).encode())
                written.append(target)
            else:
                emit(render(name, report, context))
        if len(written) == len(self.settings.format) and not self.settings.quiet:
            # whoever reads the job's log sees no report: it should not end without a word
            said = f"{gate_line(report, context)}; written: {', '.join(map(str, written))}"
            print(f"kdoctor: {line(said, 1000)}", file=sys.stderr)  # noqa: T201


def emit(text: str) -> None:
    """Write to stdout in its own encoding; what that cannot show is escaped, never an error.

    A reader that has gone away (``kdoctor gate | head``) wants no more, and changes no exit code.

    Raises:
        UsageError: the output cannot be written, as on a full disk.
    """
    encoding = sys.stdout.encoding or "ascii"
    try:
        sys.stdout.buffer.write(text.encode(encoding, "backslashreplace"))
        sys.stdout.buffer.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is still buffered must not fail again
        if not isinstance(error, BrokenPipeError):
            raise UsageError(f"standard output: cannot be written: {error.strerror or error}") from None
