"""Accuracy over time: the runs, the tolerance band, and the steps with what changed at each; and as a sparkline."""

from __future__ import annotations

import datetime
import html
import io
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from doctor.report.sanitize import line
from doctor.report.totals import count
from doctor.store.steps import Point, Series, Step, find_levels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BARS = "▁▂▃▄▅▆▇█"
_PLAIN_BARS = "_.-=*#%@"
_BLUE, _ORANGE = "#0072b2", "#d55e00"  # told apart by all kinds of colour vision; the marks differ, too
_MOST_SERIES = 12
_MOST_MARKS = 1000
_FEW = 50
_MOST_CAPTIONS = 6
_MOST_PASSING = 20
_HALF_A_DAY: Any = datetime.timedelta(hours=12)
Drifts = Sequence[tuple[Step, dict[str, Any]]]
_PAGE_STYLE = (
    "body{font-family:sans-serif;margin:2em auto;max-width:70em;padding:0 1em}svg{width:100%;height:auto}"
    "h2{font-size:1.1em}@media (prefers-color-scheme:dark){body{background:#111;color:#ddd}"
    "svg{filter:invert(.93) hue-rotate(180deg)}}"
)
_STYLE = {"svg.fonttype": "none", "font.family": ["DejaVu Sans"], "text.parse_math": False, "path.simplify": True}


def sparkline(points: Sequence[Point], width: int = 60, *, unicode: bool = True, span: float = 0.0) -> str:
    """Accuracies as one line of bars, least to greatest; where there are more runs than columns, each bar is a mean.

    ``span``: the bars' whole height is at least so much accuracy, so that noise looks like noise.
    """
    values = [point.accuracy for point in points]
    if not values:
        return ""
    if len(values) > width:
        edges = [len(values) * n // width for n in range(width + 1)]
        values = [sum(values[a:b]) / (b - a) for a, b in pairwise(edges)]
    low, high = min(values), max(values)
    if high - low < span:
        low, high = (low + high - span) / 2, (low + high + span) / 2
    bars = _BARS if unicode else _PLAIN_BARS
    if high == low:
        return bars[len(bars) // 2] * len(values)
    return "".join(bars[round((value - low) / (high - low) * (len(bars) - 1))] for value in values)


def told_sparklines(
    series: Sequence[Series], steps: Sequence[Sequence[Step]], tolerance: float, *, unicode: bool
) -> str:
    """Each series as a name, a sparkline with its range, and the dates of its drifts."""
    lines = []
    for one, drifts in zip(series, steps, strict=True):
        values = [point.accuracy for point in one.points]
        lines.append(f"{line(one.name, 90)}: {count(len(values), 'run')}, {min(values):.4f} to {max(values):.4f}")
        lines.append(f"  {sparkline(one.points, unicode=unicode, span=2 * tolerance)}")
        lines += [
            f"  {step.after.ran_at:%Y-%m-%d} {step.level.accuracy:.4f} → {step.after.accuracy:.4f}, run {step.after.id}"
            for step in drifts
            if not step.passing
        ]
    return "\n".join(lines or ["no runs with an accuracy"]) + "\n"


def draw(series: Sequence[Series], drifts: Sequence[Drifts], tolerance: float, kind: str) -> bytes:
    """The plot of these series as ``svg``, ``png`` or ``html``; ``drifts``: each series' steps with what explains them.

    Raises:
        ImportError: matplotlib is not installed.
    """
    import matplotlib  # noqa: PLC0415 -- 200 ms, only for this command
    from matplotlib.figure import Figure  # noqa: PLC0415

    shown = list(zip(series, drifts, strict=True))[:_MOST_SERIES]
    with matplotlib.rc_context(_STYLE):  # type: ignore[arg-type]
        figure = Figure(figsize=(10, 0.6 + 3.2 * max(1, len(shown))), layout="constrained")
        grid = figure.subplots(max(1, len(shown)), 1, squeeze=False)
        for axes, (one, steps) in zip(grid[:, 0], shown, strict=False):
            _draw_series(axes, one, steps, tolerance)
        out = io.BytesIO()
        if kind == "png":
            figure.savefig(out, format="png", dpi=120)
            return out.getvalue()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    svg = out.getvalue()
    return svg if kind == "svg" else _page(svg.decode(), shown, len(series))


def _draw_series(axes: Axes, series: Series, drifts: Drifts, tolerance: float) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter  # noqa: PLC0415 -- as above

    points = series.points
    moments: list[Any] = [point.ran_at for point in points]
    mark = "." if len(points) <= _MOST_MARKS else ""  # in SVG each mark is an element of its own
    axes.plot(
        moments,
        [p.accuracy for p in points],
        marker=mark,
        linewidth=0.8,
        color=_BLUE,
        markersize=9 if len(points) <= _FEW else 4,
    )
    if moments and min(moments) == max(moments):  # one moment has no span of its own: years would be drawn
        axes.set_xlim(moments[0] - _HALF_A_DAY, moments[0] + _HALF_A_DAY)
    levels = find_levels(series, tolerance)
    ends = [level.point.ran_at for level in levels[1:]] + moments[-1:]
    for level, end in zip(levels, ends, strict=True):
        low, high = level.accuracy - tolerance, level.accuracy + tolerance
        axes.fill_between([level.point.ran_at, end], low, high, color=_BLUE, alpha=0.12, linewidth=0)
    lasting, passing = _kinds(drifts)
    for number, (step, _) in enumerate(lasting, 1):
        axes.axvline(step.after.ran_at, color=_ORANGE, linewidth=1, linestyle="--")
        axes.plot([step.after.ran_at], [step.after.accuracy], "D", color=_ORANGE, markersize=6)
        place: Any = (step.after.ran_at, 1.0)
        axes.annotate(
            f"{number}",
            place,
            xycoords=("data", "axes fraction"),
            xytext=(0, 2),
            textcoords="offset points",
            ha="center",
            fontsize=9,
            color=_ORANGE,
        )
    for step, _ in passing:
        axes.plot([step.after.ran_at], [step.after.accuracy], "D", color=_ORANGE, markersize=6, fillstyle="none")
    notes = [f"{number}  {_caption(step, told)}" for number, (step, told) in enumerate(lasting[:_MOST_CAPTIONS], 1)]
    if len(lasting) > _MOST_CAPTIONS:
        notes.append(f"and {len(lasting) - _MOST_CAPTIONS} more: kdoctor history drift")
    if passing:
        notes.append(f"◇  {len(passing)} passing")
    axes.set_title(line(series.name, 90), loc="left", fontsize=11, pad=14)
    axes.set_ylabel("accuracy")
    axes.grid(alpha=0.25)
    locator = AutoDateLocator()  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    if notes:
        axes.set_xlabel("\n".join(notes), loc="left", fontsize=9)


def _kinds(drifts: Drifts) -> tuple[Drifts, Drifts]:
    """Those that last, and those that passed."""
    return [one for one in drifts if not one[0].passing], [one for one in drifts if one[0].passing]


def _caption(step: Step, told: dict[str, Any]) -> str:
    causes = [f"{c['what']} {c['from']} → {c['to']}" for c in (told["drift"] or {}).get("causes", ())[:1]]
    changed: dict[str, str] = {}
    for one in told["changes"]:  # a library's own version and its package's are one change to a reader
        changed.setdefault(str(one["name"]).removesuffix(".version"), f"{_side(one.get('a'))} → {_side(one.get('b'))}")
    names = [f"{name} {sides}" for name, sides in list(changed.items())[:3]]
    what = "; ".join([*causes, *names]) or "no recorded difference"
    return line(f"{step.after.ran_at:%Y-%m-%d}  {step.difference:+.4f}  {what}", 150)


def _side(value: Any) -> str:
    return line(", ".join(map(str, value)) if isinstance(value, (list, tuple)) else value or "none", 40)


def _page(svg: str, shown: Sequence[tuple[Series, Drifts]], total: int) -> bytes:
    """One HTML file that loads nothing."""
    left_out = f"<p>{total - len(shown)} more series are not shown.</p>" if total > len(shown) else ""
    page = (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>kdoctor history</title>'
        f"<style>{_PAGE_STYLE}</style></head><body><h1>Accuracy over time</h1>{svg[svg.index('<svg') :]}"
        f"{left_out}{''.join(_told(one, drifts) for one, drifts in shown)}</body></html>\n"
    )
    return page.encode()


def _told(series: Series, drifts: Drifts) -> str:
    """The drifts of a series as a list with the numbers of the plot."""
    lasting, passing = _kinds(drifts)
    lists = [f"<h2>{html.escape(line(series.name, 90))}</h2>"]
    for tag, some, head in (
        ("ol", lasting, "" if lasting else "<p>No drift.</p>"),
        ("ul", passing[-_MOST_PASSING:], "<p>Passing:</p>"),
    ):
        items = "".join(
            f"<li>{html.escape(_caption(step, told))} (run {step.after.id}, before it run {step.before.id})</li>"
            for step, told in some
        )
        lists.append(f"{head}<{tag}>{items}</{tag}>" if some else head if tag == "ol" else "")
    return "".join(lists)
