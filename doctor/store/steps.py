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
        """1 where a run is beyond tolerance above, -1 where it is below, 0 where it is within."""
        difference = point.accuracy - self.accuracy
        if abs(difference) <= tolerance + 1e-9:
            return 0
        return 1 if difference > 0 else -1


class Step(msgspec.Struct, frozen=True):
    """A drift: the first run beyond tolerance, the run before, and the level that was left.

    ``lasted``: how many runs, this one included, until most are within tolerance again. ``passing``: it was that after
    so few runs that the level is still the old one. ``ended``: it is over, by that, because accuracy is back where the
    series began, or because somebody accepted this run or a later one.
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
    points = series.points
    steps: list[Step] = []
    level: Level | None = None
    accepted_or_first = Level(points[0], points[0].accuracy) if points else None
    passing_until = 0
    for index, point in enumerate(points):
        if level is None or point.comparable != level.point.comparable:
            level = accepted_or_first = _level(points, index, tolerance)
        elif index >= passing_until and level.left_by(point, tolerance):
            step = _step(series, index, level, tolerance)
            if step.passing:
                passing_until = index + step.lasted
            else:
                level = _level(points, index, tolerance)
                back = accepted_or_first is not None and not accepted_or_first.left_by(level.point, tolerance)
                step = msgspec.structs.replace(step, ended=step.ended or back)
            steps.append(step)
        if point.accepted:
            level = accepted_or_first = Level(point, point.accuracy)
    return steps


def _level(points: Sequence[Point], index: int, tolerance: float) -> Level:
    """The level that begins with a run: the median of it and the next few that agree with it."""
    first = Level(points[index], points[index].accuracy)
    few = [one.accuracy for one in _next_few(points, index) if not first.left_by(one, tolerance)]
    return Level(first.point, statistics.median(few))


def _next_few(points: Sequence[Point], index: int) -> list[Point]:
    """A run and the next ones that are held against the same level: until one was accepted, or is not comparable."""
    first, *rest = points[index : index + _FEW]
    return [first, *takewhile(lambda one: one.comparable == first.comparable and not one.accepted, rest)]


def _step(series: Series, index: int, level: Level, tolerance: float) -> Step:
    points = series.points
    side = level.left_by(points[index], tolerance)

    def away(at: int) -> bool:
        few = _next_few(points, at)
        return 2 * sum(level.left_by(one, tolerance) == side for one in few) > len(few)

    def beyond(at: int) -> bool:
        return level.left_by(points[at], tolerance) == side

    passing = not away(index) and not points[index].accepted
    end = index + 1
    while end < len(points) and points[end].comparable == level.point.comparable:
        if not (beyond(end) if passing else beyond(end) or away(end)):
            break
        end += 1
    later = points[index:]
    ended = end < len(points) or any(one.accepted for one in later)
    return Step(series, level, points[index - 1], points[index], end - index, passing, ended)
