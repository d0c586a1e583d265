"""One run of ``pin``: files to questions, questions to digests, digests to plans, plans to a diff or to the files."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from doctor.case import Case
from doctor.catalogue import matches
from doctor.errors import DoctorError, UsageError
from doctor.images import reference
from doctor.images.reference import InvalidReference, Reference
from doctor.images.use import ImageUse, Unreadable
from doctor.io.files import write_atomically
from doctor.io.registry.interface import Registry
from doctor.model.snapshot import Project, Snapshot
from doctor.pin import changes, lock
from doctor.pin.digests import Answer, DigestMap, ask_all, question
from doctor.pin.files import File, Uses, find, uses_in
from doctor.pin.plan import Plan, Remark, plan, remark
from doctor.project.collect import suppressions
from doctor.suppression import Suppression, from_files

CHANGES, COULD_NOT_LOOK = 1, 3
_PLATFORM = re.compile(r"[a-z0-9]+/[a-z0-9_]+(?:/[a-z0-9]+)?")
_UNPINNED = (("KD401", "tag-missing"), ("KD402", "tag-latest"), ("KD403", "digest-missing"))


@dataclass(frozen=True)
class Request:
    """What the user asked for. ``names``: files or folders; none = all of the project in ``folder``."""

    folder: Path = field(default_factory=Path)
    names: tuple[Path, ...] = ()
    write: bool = False
    check: bool = False
    update: bool = False
    lock: bool = False
    offline: bool = False
    digests: Path | None = None
    platform: str | None = None
    build_args: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Result:
    """What came of it. ``diffs``: one for each file that changes; ``failed``: images without a digest, and why."""

    diffs: list[str] = field(default_factory=list)
    pinned: list[ImageUse] = field(default_factory=list)
    failed: list[Remark] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)
    problems: list[Unreadable] = field(default_factory=list)
    written: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    locked: int | None = None
    lock_changes: bool = False
    unasked: bool = False

    def exit_code(self, request: Request) -> int:
        """1 for --check where something would change, and where something that was to be written was not."""
        if request.check:
            return CHANGES if self.diffs or self.lock_changes else COULD_NOT_LOOK if self.unasked else 0
        if request.write or request.lock:
            return CHANGES if self.failed or self.refused else 0
        return 0


@dataclass(frozen=True)
class _Read:
    file: File
    uses: Uses
    excused: frozenset[int]  # uses that a comment in the file leaves unpinned


def run(
    request: Request, connect: Callable[[], Registry], progress: Callable[[int, int], None] | None = None
) -> Result:
    """Plan, and write where that is asked for.

    Raises:
        UsageError: options or names that are not understood, a map of digests that is none.
        DocumentError: a ``kdoctor.lock`` that cannot be read.
    """
    _check(request)
    given = DigestMap.read(request.digests) if request.digests else None
    old_lock = _old_lock(request) if request.lock else {}
    found = find(request.names, request.folder)
    result = Result(problems=found.problems)
    files = [_read(file, request) for file in found.files]
    for one in files:
        result.problems += one.uses.problems
    answers = _answers(files, request, given, connect, progress)
    for one in files:
        made = _plan(one, request, answers, result)
        diff = changes.unified(made.file.path, made.file.text, made.text)
        result.pinned += made.pinned
        result.failed += made.failed
        result.remarks += made.remarks
        if diff:
            result.diffs.append(diff)
            if request.write:
                _write(made, result)
    if request.lock:
        _lock(files, request, answers, old_lock, result)
    return result


def _check(request: Request) -> None:
    if request.check and request.write:
        raise UsageError("--check and --write: choose one; --check writes nothing")
    if request.platform is not None and not _PLATFORM.fullmatch(request.platform):
        raise UsageError(f"--platform {request.platform!r}: expected OS/ARCHITECTURE, as linux/amd64 or linux/arm/v7")
    if request.platform is not None and request.digests is not None:
        raise UsageError("--platform and --digests: choose one; the map says which digest it is")


def _read(file: File, request: Request) -> _Read:
    uses = uses_in(file, file.text, request.build_args)
    return _Read(file, uses, _excused(file, uses.images))


def _excused(file: File, uses: Sequence[ImageUse]) -> frozenset[int]:
    """The uses that stay unpinned because a comment in the file says so, of today."""
    rows = tuple(suppressions(file.path, file.text)) if "kdoctor:" in file.text else ()
    if not rows:
        return frozenset()
    today = datetime.datetime.now(datetime.timezone.utc).date()
    active = from_files(Case(Snapshot(project=Project(suppressions=rows))), today)
    return frozenset(i for i, use in enumerate(uses) if any(_covers(one, use) for one in active))


def _covers(one: Suppression, use: ImageUse) -> bool:
    lines = range(use.line, max(use.line, use.end_line) + 1)
    return not (one.lines or frozenset()).isdisjoint(lines) and any(matches(*rule, one.codes) for rule in _UNPINNED)


def _reference(use: ImageUse) -> Reference | None:
    """What a use names; None where that is no image of a registry, or cannot be told."""
    if use.pinned in (reference.STAGE, reference.SCRATCH, reference.OPEN, reference.UNRESOLVED) or use.error:
        return None
    try:
        return reference.parse(use.reference)
    except InvalidReference:
        return None


def _answers(
    files: Sequence[_Read],
    request: Request,
    given: DigestMap | None,
    connect: Callable[[], Registry],
    progress: Callable[[int, int], None] | None,
) -> Callable[[ImageUse, Reference], Answer]:
    """Who answers what a tag names: the map, else the registries, which are asked here and now."""
    if given is not None:
        return lambda use, found: given.answer(found, use.raw)
    if request.offline:
        return lambda _use, found: Answer(why=f"{found.familiar} was not asked about: --offline", asked=False)
    wanted = [
        question(found)
        for one in files
        for i, use in enumerate(one.uses.images)
        if (found := _reference(use)) is not None and _is_asked(found, request, excused=i in one.excused)
    ]
    told = ask_all(wanted, connect, request.platform, progress)
    return lambda _use, found: told[question(found)]


def _is_asked(found: Reference, request: Request, *, excused: bool) -> bool:
    """Whether anybody needs to know what the tag names now."""
    if found.digest is not None:
        return request.update and found.tag is not None
    return request.lock or not excused


def _plan(one: _Read, request: Request, answers: Callable[[ImageUse, Reference], Answer], result: Result) -> Plan:
    digests: dict[int, str] = {}
    for i, use in enumerate(one.uses.images):
        if use.pinned in (reference.STAGE, reference.SCRATCH):
            continue
        found = _reference(use)
        if found is None:
            result.failed.append(remark(use, use.error or _open(use)))
        elif i in one.excused and found.digest is None:
            result.remarks.append(remark(use, "left without a digest: a comment in the file says so"))
        elif found.digest is not None and request.update and found.tag is None:
            result.remarks.append(remark(use, "has no tag that could be followed"))
        elif _is_asked(found, request, excused=False) and (found.digest is None or request.update):
            answer = answers(use, found)
            if answer.digest is not None:
                digests[i] = answer.digest
            else:
                result.unasked = result.unasked or not answer.asked
                result.failed.append(remark(use, answer.why))
    return plan(one.file, one.uses, digests, request.build_args)


def _open(use: ImageUse) -> str:
    names = ", ".join(use.unset or use.variables)
    return "chosen outside this file" + (f", by {names}" if names else "")


def _write(made: Plan, result: Result) -> None:
    try:
        changes.write(made.file, made.text)
        result.written.append(made.file.path)
    except DoctorError as error:  # the other files are written all the same
        result.refused.append(str(error))


def _old_lock(request: Request) -> dict[str, lock.Locked]:
    path = request.folder / lock.NAME
    return lock.read(path) if path.exists() else {}


def _lock(
    files: Sequence[_Read],
    request: Request,
    answers: Callable[[ImageUse, Reference], Answer],
    before: Mapping[str, lock.Locked],
    result: Result,
) -> None:
    """Write ``kdoctor.lock``: what each tag names now, or the digest that stands beside it in the file."""
    now: dict[str, lock.Locked] = {}
    named: set[str] = set()
    date = lock.today()
    uses = [(use, found) for one in files for use in one.uses.images if (found := _reference(use)) is not None]
    for use, found in sorted(uses, key=lambda pair: pair[1].digest is None):  # what is used by tag has the last word
        name = question(found).normalized
        if found.tag is None and found.digest is not None:
            continue
        named.add(name)
        if found.digest is not None and not request.update:
            now[name] = lock.Locked(found.digest, date)
            continue
        answer = answers(use, found)
        if answer.digest is not None:
            now[name] = lock.Locked(answer.digest, date, answer.platforms)
    after = lock.renewed(before, now, frozenset(named), whole=not request.names)
    result.locked = len(after)
    result.lock_changes = after != before
    if result.lock_changes and not request.check:
        write_atomically(request.folder / lock.NAME, lock.encode(after))
