"""What the rules would say of the project, did its files read otherwise: a fix counts only where that is better."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from doctor import catalogue
from doctor.case import Case
from doctor.engine import judge
from doctor.model.facts import known
from doctor.model.report import Severity
from doctor.model.snapshot import Snapshot
from doctor.model.wire import decode_snapshot

# Rules that read the project's files. Those on images ask registries too: what pins an image is proven by doctor.pin.
# Those on hashes and lock files speak of files as a whole: a pin without a hash is better than no pin.
_FAMILIES = ("KD3", "KD6", "KD7", "KD9")
_LEFT_OUT = ("KD602", "KD603")


# How often each finding is there: by fingerprint and weight.
State = Counter[tuple[str, int]]


def renewed(snapshot: Snapshot, section: dict[str, Any]) -> Snapshot:
    """The snapshot with the project's facts, and what it requests, in place of those that were read before."""
    read = decode_snapshot({"project": section, "software": {"requested": section.get("requested") or []}})
    software = snapshot.software
    places = {f"{row.get('path')}:{row.get('line')}" for row in known(snapshot.project.requirements) or ()}
    if all(known(row.where) in places for row in known(software.requested) or ()):
        software = msgspec.structs.replace(software, requested=read.software.requested)
    return msgspec.structs.replace(snapshot, project=read.project, software=software)


@dataclass
class Project:
    """A folder, the case that it was judged in, and what its rules said before anything is edited."""

    folder: Path
    case: Case
    build_args: Mapping[str, str]
    _seen: dict[tuple[tuple[str, str], ...], State] = field(default_factory=dict)

    def better(self, before: Mapping[str, str], after: Mapping[str, str], mended: Counter[str], weight: int) -> bool:
        """Whether with the texts ``after`` every mended fingerprint is gone as often as it should, and none is new.

        What weighs less than what is mended may be new: a request that can be installed, and is not exact yet.
        """
        old, new = self._judge(before), self._judge(after)
        gone = all(_count(new, one) <= _count(old, one) - count for one, count in mended.items())
        return gone and all(count <= old[key] or key[1] < weight for key, count in new.items())

    def _judge(self, texts: Mapping[str, str]) -> State:
        key = tuple(sorted(texts.items()))
        if key not in self._seen:
            self._seen[key] = self._look(texts)
        return self._seen[key]

    def _look(self, texts: Mapping[str, str]) -> State:
        from doctor.project import collect_project  # noqa: PLC0415 (only where something is to be mended)

        case = Case(renewed(self.case.snapshot, collect_project(self.folder, self.build_args, texts)))
        rules = [r for r in catalogue.rules() if r.code.startswith(_FAMILIES) and r.code not in _LEFT_OUT]
        findings = judge(case, rules).findings
        return Counter((one.fingerprint, (one.severity or Severity.INFO).weight) for one in findings)


def _count(state: State, fingerprint: str) -> int:
    return sum(count for key, count in state.items() if key[0] == fingerprint)
