"""Steps in a series of accuracies: where it left its level, and whether it stayed away."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from itertools import takewhile
from typing import Any

import msgspec

from doctor.canary.accuracy import TOLERANCE

_FEW = 5  # runs that make a level, and that say whether one is left for good: one odd run does neither


class Point(msgspec.Struct, frozen=True):
    """One run in a series: only what finding a step needs."""

    id: int
    ran_at: Any
    accuracy: float
    accepted: bool
    environment_id: int
    comparable: tuple[Any, ...]


class Series(msgspec.Struct, frozen=True):
    """Runs that are held against each other, in order of time: one kind, subject, model, device and (mostly) host."""

    key: tuple[Any, ...]
    points: tuple[Point, ...]

    @property
    def name(self) -> str:
        """The series for a person."""
        kind, subject, model, host, device = self.key
        what = f"training {model}" if kind == "training" else f"canary {subject}"
        return what + (f" ({device})" if device else "") + (f" on {host}" if host else "")


class Level(msgspec.Struct, frozen=True):
    """What runs are held against: an accuracy, and the run with which it began."""

    point: Point
    accuracy: float

    def left_by(self, point: Point, tolerance: float) -> int:
        """See ``side``, of a run."""
        return self.side(point.accuracy, tolerance)

    def side(self, accuracy: float, tolerance: float) -> int:
        """1 where an accuracy is beyond tolerance above, -1 where it is below, 0 where it is within."""
        difference = accuracy - self.accuracy
        if abs(difference) <= tolerance + 1e-9:
            return 0
        return 1 if difference > 0 else -1


class Step(msgspec.Struct, frozen=True):
    """A drift: the first run beyond tolerance, the run before, and the level that was left.

    ``lasted``: how many runs, this one included, until the next drift or until somebody accepted one. ``passing``: so
    few were beyond that the level is still the old one. ``ended``: it is no longer what the newest runs show, or
    accuracy is back where the series began or was accepted.
    """

    series: Series
    level: Level
    before: Point
    after: Point
    lasted: int
    passing: bool = False
    ended: bool = False

    @property
    def difference(self) -> float:
        """Accuracy of the first run beyond, minus the level's."""
        return self.after.accuracy - self.level.accuracy


def find_steps(series: Series, tolerance: float = TOLERANCE) -> list[Step]:
    """Every drift of a series.

    A level is the median of its first runs (trainings vary from run to run); an accepted run's accuracy is one by
    itself. It is left where most of the next runs are beyond tolerance on the same side, and the next level begins
    there. A slow slide is found where it has added up to more than the tolerance.
    """
    return _walk(series, tolerance).steps()


def find_levels(series: Series, tolerance: float = TOLERANCE) -> list[Level]:
    """The levels of a series, in order of time: each holds from its run to the next one's."""
    return _walk(series, tolerance).levels


def _walk(series: Series, tolerance: float) -> _Finding:
    found = _Finding(series, tolerance)
    for index in range(len(series.points)):
        found.look_at(index)
    return found


class _Finding:
    """One walk through a series: the level, and the drift that lasts."""

    def __init__(self, series: Series, tolerance: float) -> None:
        self._series, self._points, self._tolerance = series, series.points, tolerance
        self.levels: list[Level] = []
        self._found: list[Step] = []
        self._agreed: Level | None = None  # of the first runs, or of an accepted one
        self._lasting: tuple[int, Step] | None = None
        self._passing_until = 0

    @property
    def _level(self) -> Level | None:
        return self.levels[-1] if self.levels else None

    def steps(self) -> list[Step]:
        """What was found, in order of time."""
        self._close(len(self._points), ended=False)
        return sorted(self._found, key=lambda step: (step.after.ran_at, step.after.id))

    def look_at(self, index: int) -> None:
        """The next run: one of the level, the first beyond it, or one that sets another."""
        point, level = self._points[index], self._level
        if level is None or point.comparable != level.point.comparable:
            self._close(index)
            self.levels.append(_level(self._points, index, self._tolerance))
            self._agreed = self._level
        elif index >= self._passing_until and level.left_by(point, self._tolerance):
            self._leave(index, level)
        if point.accepted:
            self._close(index + 1)
            self.levels.append(Level(point, point.accuracy))
            self._agreed = self._level

    def _leave(self, index: int, level: Level) -> None:
        side = level.left_by(self._points[index], self._tolerance)
        beyond = [level.left_by(one, self._tolerance) == side for one in _next_few(self._points, index)]
        step = Step(self._series, level, self._points[index - 1], self._points[index], 1)
        if 2 * sum(beyond) > len(beyond):
            self._close(index)
            self._lasting = (index, step)
            self.levels.append(_level(self._points, index, self._tolerance))
        else:
            lasted = beyond.index(False)
            self._passing_until = index + lasted
            self._found.append(msgspec.structs.replace(step, lasted=lasted, passing=True, ended=True))

    def _close(self, end: int, *, ended: bool = True) -> None:
        """The drift that lasts has lasted until here."""
        if self._lasting is None:
            return
        begin, step = self._lasting
        level, agreed = self._level, self._agreed
        back = level is not None and agreed is not None and agreed.side(level.accuracy, self._tolerance) == 0
        self._found.append(msgspec.structs.replace(step, lasted=end - begin, ended=ended or back))
        self._lasting = None


def _level(points: Sequence[Point], index: int, tolerance: float) -> Level:
    """The level that begins with a run: the median of it and the next few that agree with it."""
    first = Level(points[index], points[index].accuracy)
    few = [one.accuracy for one in _next_few(points, index) if not first.left_by(one, tolerance)]
    return Level(first.point, statistics.median(few))


def _next_few(points: Sequence[Point], index: int) -> list[Point]:
    """A run and the next ones that are held against the same level: until one was accepted, or is not comparable."""
    first, *rest = points[index : index + _FEW]
    return [first, *takewhile(lambda one: one.comparable == first.comparable and not one.accepted, rest)]
