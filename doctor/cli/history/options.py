"""Options that the history's commands share, and how they become a place and a filter."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

if TYPE_CHECKING:
    from doctor.settings import Settings
    from doctor.store.place import Place
    from doctor.store.reading import Filter

_FILTERS = "Which runs"


def _filter(text: str, metavar: str) -> typer.models.OptionInfo:
    return typer.Option(help=text, metavar=metavar, rich_help_panel=_FILTERS)  # type: ignore[no-any-return]


# typer reads these annotations at run time
Config = Annotated[Optional[Path], typer.Option("--config", help="This configuration file.", metavar="FILE")]  # noqa: UP045
Where = Annotated[Optional[Path], typer.Option("--history", help="This SQLite file.", metavar="FILE")]  # noqa: UP045
Format = Annotated[str, typer.Option("--format", help="text, json or csv.")]
TwoFormats = Annotated[str, typer.Option("--format", help="text or json.")]
Kind = Annotated[Optional[str], _filter("scan, canary, compare, gate or training.", "KIND")]  # noqa: UP045
Image = Annotated[Optional[str], _filter("Text in the image's reference.", "TEXT")]  # noqa: UP045
Digest = Annotated[Optional[str], _filter("The image's digest, or its beginning.", "DIGEST")]  # noqa: UP045
Host = Annotated[Optional[str], _filter("Recorded on this host.", "NAME")]  # noqa: UP045
Tag = Annotated[Optional[str], _filter("A label given with --tag, or the image's tag.", "TAG")]  # noqa: UP045
Model = Annotated[Optional[str], _filter("Trainings of this model.", "NAME")]  # noqa: UP045
Verdict = Annotated[Optional[str], _filter("pass, fail or incomplete.", "VERDICT")]  # noqa: UP045
Since = Annotated[Optional[str], _filter("From this day or moment (UTC) on: 2026-11-21.", "DATE")]  # noqa: UP045
Until = Annotated[Optional[str], _filter("Before this day or moment.", "DATE")]  # noqa: UP045


def find(config: Path | None, where: Path | None) -> tuple[Settings, Place]:
    """The settings of this folder, and where its history is.

    Raises:
        UsageError: a setting that is not understood.
    """
    import os

    from doctor.settings import load_settings
    from doctor.store.place import Place, find_place

    settings = load_settings(Path.cwd(), {}, os.environ, config)
    return settings, Place(path=where) if where is not None else find_place(settings, os.environ)


def make_filter(
    kind: str | None = None,
    image: str | None = None,
    digest: str | None = None,
    host: str | None = None,
    tag: str | None = None,
    model: str | None = None,
    verdict: str | None = None,
    since: str | None = None,
    until: str | None = None,
    limit: int | None = None,
) -> Filter:
    """The filter that these options name.

    Raises:
        UsageError: a word or a date that is none.
    """
    from doctor.errors import UsageError
    from doctor.store.reading import Filter

    for option, value, words in (
        ("--kind", kind, ("scan", "check", "canary", "compare", "gate", "training")),
        ("--verdict", verdict, ("pass", "fail", "incomplete")),
    ):
        if value is not None and value not in words:
            raise UsageError(f"{option} {value!r}: expected {', '.join(words)}")
    return Filter(
        kind=kind,
        image=image,
        digest=digest,
        host=host,
        tag=tag,
        model=model,
        verdict=verdict,
        since=moment(since, "--since"),
        until=moment(until, "--until"),
        limit=limit,
    )


def moment(text: str | None, option: str) -> datetime.datetime | None:
    """A day or moment as it was written, UTC where it says nothing else.

    Raises:
        UsageError: it is none.
    """
    from doctor.errors import UsageError

    if text is None:
        return None
    try:
        found = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise UsageError(f"{option} {text!r}: not a date; write 2026-11-21 or 2026-11-21T02:10") from None
    return found if found.tzinfo is not None else found.replace(tzinfo=datetime.timezone.utc)


def check_format(word: str, words: tuple[str, ...]) -> None:
    """Refuse a format that this command does not write.

    Raises:
        UsageError: with those that it writes.
    """
    from doctor.errors import UsageError

    if word not in words:
        raise UsageError(f"--format {word!r}: expected {', '.join(words)}")
