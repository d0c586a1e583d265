"""Options on how images, containers and a project are looked at, for the commands that take such targets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from doctor.settings import Settings
    from doctor.targets.inside_options import Inside

_PANEL = "Images and containers"

Platform = Annotated[
    str | None,
    typer.Option("--platform", help="os/architecture, where an image has several.", rich_help_panel=_PANEL),
]
Pull = Annotated[
    str | None,
    typer.Option("--pull", help="never, missing or always: into the engine.", metavar="WHEN", rich_help_panel=_PANEL),
]
Run = Annotated[
    bool,
    typer.Option("--run", help="Have an image's own Python look, in a sandbox.", rich_help_panel=_PANEL),
]
Cache = Annotated[
    bool | None,
    typer.Option(
        "--cache/--no-cache", help="Keep what was read of an image.", show_default=False, rich_help_panel=_PANEL
    ),
]
PlainHttp = Annotated[
    list[str] | None,
    typer.Option(
        "--plain-http-registries",
        help="Registries that may be asked without TLS.",
        metavar="HOST:PORT,…",
        rich_help_panel=_PANEL,
    ),
]

AllDependencies = Annotated[
    bool,
    typer.Option("--all-dependencies", help="Every package must be pinned, not the numeric ones alone."),
]


def inside(settings: Settings, pull: str = "never") -> Inside:
    """How images are looked at by these settings; ``pull``: what the command does where they do not say.

    Raises:
        UsageError: an image is to be pulled always, and without a network.
    """
    from doctor.errors import UsageError
    from doctor.targets.inside_options import Inside

    if settings.pull == "always" and settings.offline:
        raise UsageError(f"{settings.origin('pull')} always cannot be had with {settings.origin('offline')}")
    return Inside(
        platform=settings.platform,
        pull="never" if settings.offline else settings.pull or pull,
        run=settings.run,
        cache=settings.cache,
        offline=settings.offline,
        progress=settings.progress,
        plain_http=settings.plain_http_registries,
    )
