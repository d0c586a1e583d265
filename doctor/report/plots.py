"""The plots of a drift as SVG inside a page: scales with it, takes its colour of text, names no font file."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SIZE = (4.7, 3.0)  # inches: at the width of a phone, letters of 10 points stay readable
_ROOM = (0.17, 0.17, 0.81, 0.71)  # left, bottom, width, height; a layout engine would draw everything twice
_A, _B = "#1f83c4", "#d55e00"  # told apart by all kinds of colour vision, on light and on dark; the marks differ too
_INK = "#010203"  # stands for the page's own colour of text
_STAGES = ("init", "forward", "gradient", "update", "final")
_ARMS = {"default": "own weights", "pinned": "given weights"}
_FLOOR = 1e-9

_STYLE = {
    "svg.fonttype": "none",
    "font.size": 10,
    "font.family": ["DejaVu Sans"],
    "text.color": _INK,
    "text.parse_math": False,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.2,
    "grid.color": _INK,
    "legend.frameon": False,
}


class Plot(msgspec.Struct, frozen=True):
    """One plot: its title, what it shows in words, and the SVG element."""

    title: str
    words: str
    svg: str


def plots(drift: Mapping[str, Any]) -> list[Plot]:
    """The plots that this drift has numbers for.

    Raises:
        ImportError: the plotting library is not installed.
    """
    import matplotlib  # noqa: PLC0415 - only a report with a drift needs it

    with matplotlib.rc_context(_STYLE):  # type: ignore[arg-type]
        return [
            Plot(title, words, _svg(draw, f"plot{number}"))
            for number, (title, words, draw) in enumerate(_wanted(drift), 1)
        ]


def _wanted(drift: Mapping[str, Any]) -> Iterator[tuple[str, str, Callable[[Axes], None]]]:
    series = _table(drift.get("series"))
    accuracy = {side: _rows(_table(series.get("accuracy")).get(side), 2) for side in ("a", "b")}
    if accuracy["a"] and accuracy["b"]:
        band = _numbers([_table(drift.get("accuracy")).get(key) for key in ("a", "tolerance")])
        words = "A round mark a seed in A, a square in B; lines are the means."
        if len(band) == 2:
            words += f" The band is A's mean ± the tolerance {band[1]:g}."
        yield "Accuracy by seed", words, lambda axes: _accuracy(axes, accuracy, band)
    loss = {side: _rows(_table(series.get("loss")).get(side), 3) for side in ("a", "b")}
    if loss["a"] or loss["b"]:
        words = "Mean over the seeds, after each epoch; the area reaches from the least to the greatest."
        yield "Training loss", words, lambda axes: _loss(axes, loss)
    stages = {arm: _stages(_table(drift.get("stages")).get(arm)) for arm in _ARMS}
    if any(stages.values()):
        words = (
            "L2 distance of B from A, relative to A, trained from the framework's own initial weights and from given "
        )
        words += "ones; a bar that stays at the bottom is bit for bit the same."
        yield "Divergence by stage", words, lambda axes: _divergence(axes, stages)
    weights = _table(series.get("weights"))
    edges, counts = _numbers(weights.get("edges")), {side: _numbers(weights.get(side)) for side in ("a", "b")}
    if edges and all(len(side) == len(edges) - 1 for side in counts.values()):
        words = "How many of the first seed's initial weights have which value; zeros (biases) are left out."
        yield "Initial weights", words, lambda axes: _weights(axes, edges, counts)


def _accuracy(axes: Axes, sides: Mapping[str, list[list[float]]], band: Sequence[float]) -> None:
    if len(band) == 2:
        axes.axhspan(band[0] - band[1], band[0] + band[1], color=_A, alpha=0.15, linewidth=0)
    for side, color, mark, line in (("a", _A, "o", "-"), ("b", _B, "s", "--")):
        points = sides[side]
        axes.plot([p[0] for p in points], [p[1] for p in points], mark, color=color, label=side.upper(), markersize=5)
        axes.axhline(sum(p[1] for p in points) / len(points), color=color, linestyle=line, linewidth=1.2)
    axes.set_xlabel("seed")
    axes.set_ylabel("accuracy")
    axes.locator_params(axis="x", integer=True)
    _legend(axes)


def _loss(axes: Axes, sides: Mapping[str, list[list[float]]]) -> None:
    for side, color, mark, line in (("a", _A, "o", "-"), ("b", _B, "s", "--")):
        rows = sides[side]
        epochs = list(range(1, len(rows) + 1))
        axes.fill_between(epochs, [r[1] for r in rows], [r[2] for r in rows], color=color, alpha=0.15, linewidth=0)
        style = {"color": color, "marker": mark, "markersize": 4, "linestyle": line}
        axes.plot(epochs, [r[0] for r in rows], label=side.upper(), **style)  # type: ignore[arg-type]
    axes.set_xlabel("epoch")
    axes.set_ylabel("loss")
    axes.locator_params(axis="x", integer=True)
    _legend(axes)


def _divergence(axes: Axes, arms: Mapping[str, Mapping[str, float]]) -> None:
    shown = [stage for stage in _STAGES if any(stage in stages for stages in arms.values())]
    for shift, (arm, color, hatch) in zip((-0.2, 0.2), (("default", _A, ""), ("pinned", _B, "//")), strict=True):
        places = [n for n, stage in enumerate(shown) if stage in arms[arm]]
        heights = [max(_FLOOR * 1.3, arms[arm][shown[n]]) for n in places]
        bars = [n + shift for n in places]
        axes.bar(
            bars, heights, 0.38, bottom=0, color=color, hatch=hatch, edgecolor=_INK, linewidth=0.4, label=_ARMS[arm]
        )
    axes.set_yscale("log")
    axes.set_ylim(_FLOOR, 10 * max(1.0, *(value for stages in arms.values() for value in stages.values())))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0e}")
    axes.set_xticks(range(len(shown)), shown)
    axes.set_ylabel("relative distance")
    _legend(axes)


def _weights(axes: Axes, edges: Sequence[float], counts: Mapping[str, Sequence[float]]) -> None:
    axes.stairs(counts["a"], edges, color=_A, fill=True, alpha=0.35, label="A")
    axes.stairs(counts["b"], edges, color=_B, linewidth=1.6, label="B")
    axes.set_xlabel("weight")
    axes.set_ylabel("weights")
    _legend(axes)


def _legend(axes: Axes) -> None:
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)


def _svg(draw: Callable[[Axes], None], name: str) -> str:
    """The SVG element: without sizes, prolog and metadata, its identifiers unlike those of other plots."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG  # noqa: PLC0415 - see plots
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=_SIZE)
    FigureCanvasSVG(figure)
    figure.patch.set_alpha(0)
    axes = figure.add_axes(_ROOM)
    axes.patch.set_alpha(0)
    draw(axes)
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = out.getvalue()
    text = text[text.index("<svg") :].strip()
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'^<svg [^>]*?(viewBox="[^"]*")[^>]*>', rf'<svg {_NAMESPACES} \1 role="img">', text)
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\1{name}-", text)
    return text.replace(_INK, "currentColor")


_NAMESPACES = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _numbers(value: Any) -> list[float]:
    """A list of finite numbers; empty where something in it is none."""
    if not isinstance(value, (list, tuple)):
        return []
    good = all(isinstance(v, (int, float)) and not isinstance(v, bool) and math.isfinite(v) for v in value)
    return [float(v) for v in value] if good else []


def _rows(value: Any, width: int) -> list[list[float]]:
    rows = [_numbers(row) for row in value] if isinstance(value, (list, tuple)) else []
    return [row for row in rows if len(row) == width]


def _stages(value: Any) -> dict[str, float]:
    return {stage: numbers[0] for stage in _STAGES if (numbers := _numbers([_table(value).get(stage)]))}
