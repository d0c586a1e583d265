"""Accuracy over time: the runs, the tolerance band, and the steps with what changed at each; and as a sparkline."""

from __future__ import annotations

import html
import io
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from doctor.report.sanitize import line
from doctor.store.steps import Point, Series, Step

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BARS = "▁▂▃▄▅▆▇█"
_PLAIN_BARS = "_.-=*#%@"
_BLUE, _ORANGE = "#0072b2", "#d55e00"  # told apart by all kinds of colour vision; the marks differ, too
_MOST_SERIES = 12
_MOST_MARKS = 1000
_STYLE = {"svg.fonttype": "none", "font.family": ["DejaVu Sans"], "text.parse_math": False, "path.simplify": True}


def sparkline(points: Sequence[Point], width: int = 60, *, unicode: bool = True) -> str:
    """Accuracies as one line of bars, least to greatest; where there are more runs than columns, each bar is a mean."""
    values = [point.accuracy for point in points]
    if not values:
        return ""
    if len(values) > width:
        edges = [len(values) * n // width for n in range(width + 1)]
        values = [sum(values[a:b]) / (b - a) for a, b in pairwise(edges)]
    low, high = min(values), max(values)
    bars = _BARS if unicode else _PLAIN_BARS
    if high == low:
        return bars[len(bars) // 2] * len(values)
    return "".join(bars[round((value - low) / (high - low) * (len(bars) - 1))] for value in values)


def told_sparklines(series: Sequence[Series], steps: Sequence[Sequence[Step]], *, unicode: bool) -> str:
    """Each series as a name, a sparkline with its range, and the dates of its drifts."""
    lines = []
    for one, drifts in zip(series, steps, strict=True):
        values = [point.accuracy for point in one.points]
        lines.append(f"{line(one.name, 90)}: {len(values)} runs, {min(values):.4f} to {max(values):.4f}")
        lines.append(f"  {sparkline(one.points, unicode=unicode)}")
        lines += [
            f"  {step.after.ran_at:%Y-%m-%d} {step.level.accuracy:.4f} → {step.after.accuracy:.4f}, run {step.after.id}"
            for step in drifts
        ]
    return "\n".join(lines or ["no runs with an accuracy"]) + "\n"


def draw(
    series: Sequence[Series], drifts: Sequence[Sequence[tuple[Step, dict[str, Any]]]], tolerance: float, kind: str
) -> bytes:
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


def _draw_series(axes: Axes, series: Series, drifts: Sequence[tuple[Step, dict[str, Any]]], tolerance: float) -> None:
    points = series.points
    moments: list[Any] = [point.ran_at for point in points]
    mark = "." if len(points) <= _MOST_MARKS else ""  # in SVG each mark is an element of its own
    axes.plot(moments, [p.accuracy for p in points], marker=mark, linewidth=0.8, color=_BLUE, markersize=4)
    for begin, end, level in _levels(series, [step for step, _ in drifts]):
        axes.fill_between([begin, end], level - tolerance, level + tolerance, color=_BLUE, alpha=0.12, linewidth=0)
    for number, (step, _) in enumerate(drifts, 1):
        axes.plot([step.after.ran_at], [step.after.accuracy], "D", color=_ORANGE, markersize=6)
        axes.annotate(
            f"{number}", (step.after.ran_at, step.after.accuracy), xytext=(6, 6), textcoords="offset points", fontsize=9
        )
    text = "\n".join(f"{number}  {_caption(step, told)}" for number, (step, told) in enumerate(drifts[:6], 1))
    axes.set_title(line(series.name, 90), loc="left", fontsize=10)
    axes.set_ylabel("accuracy")
    axes.grid(alpha=0.25)
    if text:
        axes.set_xlabel(text, loc="left", fontsize=8)


def _levels(series: Series, steps: Sequence[Step]) -> list[tuple[Any, Any, float]]:
    """From when to when which accuracy was the level."""
    if not series.points:
        return []
    begin, level = series.points[0].ran_at, series.points[0].accuracy
    found = []
    for step in steps:
        if not step.passing:
            found.append((begin, step.before.ran_at, step.level.accuracy))
            begin, level = step.after.ran_at, step.after.accuracy
    return [*found, (begin, series.points[-1].ran_at, level)]


def _caption(step: Step, told: dict[str, Any]) -> str:
    causes = [f"{c['what']} {c['from']} → {c['to']}" for c in (told["drift"] or {}).get("causes", ())[:1]]
    changed = [f"{c['name']} {_side(c.get('a'))} → {_side(c.get('b'))}" for c in told["changes"][:3]]
    what = "; ".join([*causes, *changed]) or "no recorded difference"
    return line(f"{step.after.ran_at:%Y-%m-%d}  {step.difference:+.4f}  {what}", 150)


def _side(value: Any) -> str:
    return line(", ".join(map(str, value)) if isinstance(value, (list, tuple)) else value or "none", 40)


def _page(svg: str, shown: Sequence[tuple[Series, Any]], total: int) -> bytes:
    """One HTML file that loads nothing."""
    rows = [
        f"<li>{html.escape(_caption(step, told))} (run {step.after.id}, before it run {step.before.id})</li>"
        for _, steps in shown
        for step, told in steps
    ]
    left_out = f"<p>{total - len(shown)} more series are not shown.</p>" if total > len(shown) else ""
    page = (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>kdoctor history</title>'
        "<style>body{font-family:sans-serif;margin:2em;max-width:70em}svg{width:100%;height:auto}</style></head><body>"
        f"<h1>Accuracy over time</h1>{svg[svg.index('<svg') :]}{left_out}<ul>{''.join(rows)}</ul></body></html>\n"
    )
    return page.encode()
