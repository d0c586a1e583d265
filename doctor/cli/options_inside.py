"""Options on how images and containers are looked at, for the commands that take such targets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from doctor.targets.inside_options import Inside

_PANEL = "Images and containers"

Platform = Annotated[
    str | None,
    typer.Option("--platform", help="os/architecture, where an image has several.", rich_help_panel=_PANEL),
]
Pull = Annotated[
    str,
    typer.Option("--pull", help="never, missing or always: into the engine.", metavar="WHEN", rich_help_panel=_PANEL),
]
Run = Annotated[
    bool,
    typer.Option("--run", help="Have an image's own Python look, in a sandbox.", rich_help_panel=_PANEL),
]
Cache = Annotated[
    bool,
    typer.Option("--cache/--no-cache", help="Keep what was read of an image.", rich_help_panel=_PANEL),
]


def inside(platform: str | None, pull: str, run: bool, cache: bool, progress: bool) -> Inside:
    """The options as one value.

    Raises:
        UsageError: ``pull`` is none of its words.
    """
    from doctor.errors import UsageError
    from doctor.targets.inside_options import Inside

    if pull not in ("never", "missing", "always"):
        raise UsageError(f"--pull {pull}: never, missing or always")
    return Inside(platform=platform, pull=pull, run=run, cache=cache, progress=progress)
