"""What a renderer needs to know besides the report: the terminal, and the summary that opens a screen."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import IO, TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from doctor.settings import Settings

WIDTH = 100


class Area(msgspec.Struct, frozen=True):
    """One line of the head. ``mark``: ok, warning, error, or none (not judged, and ``text`` says why)."""

    mark: str
    name: str
    text: str


class Anchor(msgspec.Struct, frozen=True):
    """A line of a project's file that stands for something: ``what`` is an image's reference or a package's name."""

    what: str
    path: str
    line: int | None = None


class Anchors(msgspec.Struct, frozen=True):
    """Where formats for code review show what has no file of its own (``place.anchors`` fills it).

    ``root``: the scanned folder, as seen from where such reports' paths begin. ``policy``: the line of the policy, its
    path as seen from there too. ``asks``: the lines that ask for images and packages, relative to ``root``.
    """

    root: str = ""
    policy: Anchor | None = None
    asks: tuple[Anchor, ...] = ()


class Context(msgspec.Struct, frozen=True):
    """How to render.

    ``header``: the parts of the first line. ``areas``: the head of a single subject. ``fail_on``: the level that
    fails the run; ``gate``: the option that says so. ``seconds``: wall time of the run, left out where None.
    ``anchors``: where findings without a file are shown.
    """

    width: int = WIDTH
    color: bool = False
    unicode: bool = True
    quiet: bool = False
    verbose: bool = False
    show_skipped: bool = False
    header: tuple[str, ...] = ()
    areas: tuple[Area, ...] = ()
    fail_on: str = "error"
    gate: str = "--fail-on error"
    seconds: float | None = None
    anchors: Anchors = Anchors()


def for_settings(settings: Settings, gate: str, stream: IO[Any] | None = None, **more: Any) -> Context:
    """The context of a run with these settings, written to ``stream`` (standard output where None).

    ``gate``: as ``gate.deciding_option`` says; ``more``: header, areas, seconds, anchors.
    """
    return Context(
        **terminal(stream, settings.color),
        quiet=settings.quiet,
        verbose=settings.verbose,
        show_skipped=settings.show_skipped,
        fail_on=settings.fail_on,
        gate=gate,
        **more,
    )


def terminal(
    stream: IO[Any] | None = None, color: str = "auto", environ: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """``width``, ``color`` and ``unicode`` as fields for a Context, from a stream and the environment.

    Never wider than 100 columns. NO_COLOR and TERM=dumb switch colour off, FORCE_COLOR on, where ``color`` is "auto".
    """
    stream = sys.stdout if stream is None else stream
    environ = os.environ if environ is None else environ
    tty = bool(getattr(stream, "isatty", lambda: False)())
    wanted = tty and environ.get("TERM") != "dumb"
    if environ.get("FORCE_COLOR"):
        wanted = True
    if environ.get("NO_COLOR"):
        wanted = False
    width = WIDTH
    if tty:
        try:
            width = min(WIDTH, max(40, os.get_terminal_size(stream.fileno()).columns or WIDTH))
        except (OSError, ValueError):
            width = WIDTH
    encoding = str(getattr(stream, "encoding", None) or "ascii").lower().replace("-", "").replace("_", "")
    return {
        "width": width,
        "color": wanted if color == "auto" else color == "always",
        "unicode": encoding in ("utf8", "utf8sig", "cp65001"),
    }
