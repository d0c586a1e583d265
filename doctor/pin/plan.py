"""What is to be written into one file: every digest at a place that was proven by reading the result again."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from doctor.images import reference
from doctor.images.use import ImageUse
from doctor.pin.files import File, Uses, uses_in
from doctor.pin.names import Names
from doctor.pin.spots import Edit, NoSpot, Spot, spots

# Uses that are placed one by one where all at once does not hold; each costs a reading of the file or more.
MOST_SINGLE = 200
UNPROVEN = "no place for the digest was found at which this file still says what it said"


@dataclass(frozen=True)
class Remark:
    """Something to tell about one use of an image."""

    path: str
    line: int
    image: str
    text: str


@dataclass
class Plan:
    """A file's new text. ``pinned``: the uses that get a digest; ``failed``: those that do not, and why."""

    file: File
    text: str
    pinned: list[ImageUse] = field(default_factory=list)
    failed: list[Remark] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)


def remark(use: ImageUse, text: str) -> Remark:
    """A remark on a use of an image, with its place."""
    return Remark(use.path, use.line, use.raw, text)


def plan(file: File, uses: Uses, digests: Mapping[int, str], build_args: Mapping[str, str]) -> Plan:
    """The file with a digest for each use that ``digests`` names by its index among ``uses.images``."""
    return _Planning(file, uses, digests, build_args).run()


class _Planning:
    def __init__(self, file: File, uses: Uses, digests: Mapping[int, str], build_args: Mapping[str, str]) -> None:
        self._file = file
        self._uses = uses.images
        self._names = Names(file, uses)
        self._build_args = build_args
        self._old = {i: _digest(self._uses[i].reference) for i in digests}
        self._wanted = {i: digest for i, digest in digests.items() if digest != self._old[i]}
        self._plan = Plan(file, file.text)

    def run(self) -> Plan:
        edits: set[Edit] = set()
        remarks: dict[int, str] = {}
        refused: dict[int, str] = {}
        for i in self._wanted:
            first = next(self._spots(i), NoSpot(UNPROVEN))
            if isinstance(first, NoSpot):
                refused[i] = first.why
            else:
                edits.add(first.edit)
                if first.remark:
                    remarks[i] = first.remark
        changed = self._proven(edits)
        if changed is None or changed | refused.keys() != self._wanted.keys():
            edits, changed, refused, remarks = self._one_by_one()
        self._plan.text = applied(self._file.text, edits)
        self._plan.pinned = [self._uses[i] for i in sorted(changed)]
        self._plan.failed = [remark(self._uses[i], why) for i, why in sorted(refused.items()) if i not in changed]
        self._plan.remarks = [remark(self._uses[i], text) for i, text in sorted(remarks.items()) if i in changed]
        return self._plan

    def _spots(self, i: int) -> Iterator[Spot | NoSpot]:
        return spots(self._names, self._uses[i], self._old[i], self._wanted[i])

    def _one_by_one(self) -> tuple[set[Edit], set[int], dict[int, str], dict[int, str]]:
        edits: set[Edit] = set()
        changed: set[int] = set()
        refused: dict[int, str] = {}
        remarks: dict[int, str] = {}
        for count, i in enumerate(self._wanted):
            if i in changed:  # with another use of the same ARG
                continue
            refused[i] = UNPROVEN
            if count >= MOST_SINGLE:
                continue
            for spot in self._spots(i):
                if isinstance(spot, NoSpot):
                    refused[i] = spot.why
                    break
                now = self._proven(edits | {spot.edit})
                if now is not None and i in now and changed <= now:
                    edits, changed = edits | {spot.edit}, now
                    if spot.remark:
                        remarks[i] = spot.remark
                    break
        return edits, changed, refused, remarks

    def _proven(self, edits: set[Edit]) -> set[int] | None:
        """The uses that these edits pin; None where any use becomes something that nobody wanted."""
        if not edits:
            return set()
        if _overlap(edits):
            return None
        text = applied(self._file.text, edits)
        now = uses_in(self._file, text, self._build_args).images
        if len(now) != len(self._uses):
            return None
        changed: set[int] = set()
        for i, (before, after) in enumerate(zip(self._uses, now, strict=True)):
            if after.reference == before.reference and after.pinned == before.pinned:
                continue
            if i not in self._wanted or after.pinned != reference.DIGEST or after.error:
                return None
            if after.reference != before.reference.split("@", 1)[0] + "@" + self._wanted[i]:
                return None
            changed.add(i)
        return changed


def applied(text: str, edits: Iterable[Edit]) -> str:
    """The text after edits that do not overlap; everything outside of them is untouched."""
    parts: list[str] = []
    at = 0
    for edit in sorted(edits):
        parts += [text[at : edit.start], edit.text]
        at = edit.end
    return "".join([*parts, text[at:]])


def _overlap(edits: Iterable[Edit]) -> bool:
    """Whether two edits want the same place, as one ARG for two digests."""
    return any(a.end > b.start or a.start == b.start for a, b in itertools.pairwise(sorted(edits)))


def _digest(text: str) -> str | None:
    return text.partition("@")[2] or None
