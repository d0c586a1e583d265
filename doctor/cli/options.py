"""Options that several commands share, in one place. Their environment variables are read with the settings."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import typer

_TEXT, _WORDS, _FILE, _FLAG = str | None, list[str] | None, Path | None, bool | None


def _option(kind: Any, *names: str, panel: str, text: str, metavar: str | None = None) -> tuple[Any, Any]:
    return kind, typer.Option(None, *names, help=text, rich_help_panel=panel, metavar=metavar, show_default=False)


def _output(kind: Any, *names: str, text: str, metavar: str | None = None) -> tuple[Any, Any]:
    return _option(kind, *names, panel="Output", text=text, metavar=metavar)


def _verdict(kind: Any, *names: str, text: str, metavar: str | None = None) -> tuple[Any, Any]:
    return _option(kind, *names, panel="Rules and verdict", text=text, metavar=metavar)


OPTIONS: dict[str, tuple[Any, Any]] = {
    "format": _output(
        _WORDS,
        "--format",
        text="text, concise, json, sarif, junit, github, gitlab, markdown or html; repeatable; NAME=FILE writes it.",
        metavar="NAME[=FILE]",
    ),
    "output": _output(_FILE, "--output", "-o", text="Write the report to FILE.", metavar="FILE"),
    "quiet": _output(_FLAG, "--quiet", "-q", text="Only findings and the verdict."),
    "verbose": _output(_FLAG, "--verbose", "-v", text="Evidence, and internal errors in full."),
    "show_skipped": _output(_FLAG, "--show-skipped", text="List what could not be judged, and what would help."),
    "color": _output(_TEXT, "--color", text="auto, always or never.", metavar="WHEN"),
    "progress": _output(_FLAG, "--progress/--no-progress", text="Progress on stderr."),
    "select": _verdict(_WORDS, "--select", text="Only these rules: code, name or prefix (KD1).", metavar="RULE,…"),
    "ignore": _verdict(_WORDS, "--ignore", text="Not these rules.", metavar="RULE,…"),
    "fail_on": _verdict(_TEXT, "--fail-on", text="error (default), warning, info or never.", metavar="SEVERITY"),
    "require": _verdict(
        _WORDS, "--require", text="Facts that must be had, else exit 3: gpu, docker, …", metavar="FACT,…"
    ),
    "baseline": _verdict(_FILE, "--baseline", text="Findings in FILE are known and do not count.", metavar="FILE"),
    "write_baseline": _verdict(_FILE, "--write-baseline", text="Write the present findings to FILE.", metavar="FILE"),
    "config": _option(
        _FILE, "--config", panel="Run", text="This configuration file, not the project's.", metavar="FILE"
    ),
    "offline": _option(_FLAG, "--offline", panel="Run", text="No network at all."),
    "record": _option(_FLAG, "--record", panel="History", text="Keep this run in the history."),
    "tag": _option(_WORDS, "--tag", panel="History", text="A label of the recorded run.", metavar="LABEL"),
}

_RECORD = _output(_FILE, "--output", "-o", text="Write the record to FILE: for compare and --against.", metavar="FILE")


class Flags(dict[str, Any]):
    """Shared options as given; None where not. ``config``: the file of ``--config``; ``command``: its name."""

    config: Path | None = None
    command: str = ""


def shared(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command all shared options; it gets them as one :class:`Flags` in its first parameter."""
    own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]
    options = {**OPTIONS, "output": _RECORD} if command.__name__ == "canary" else OPTIONS
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=option, annotation=kind)
        for name, (kind, option) in options.items()
    ]

    @functools.wraps(command)
    def run(**given: Any) -> None:
        flags = Flags({name: given.pop(name) for name in OPTIONS})
        flags.config = flags.pop("config")
        flags.command = command.__name__
        command(flags, **given)

    keyword_only = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
    run.__signature__ = inspect.Signature([*keyword_only, *added])  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in [*keyword_only, *added]}
    del run.__wrapped__  # typer would read the inner signature
    return run


def leave(code: int) -> NoReturn:
    """End the command with this exit code."""
    raise typer.Exit(code)
