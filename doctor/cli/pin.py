"""``kdoctor pin``: digests into Dockerfiles and every other file that names images."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from doctor.cli.options_inside import PlainHttp

if TYPE_CHECKING:
    from doctor.io.registry.interface import Registry
    from doctor.pin.run import Request, Result


def pin(
    files: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Argument(metavar="[FILE]...", help="Files or folders; none: the whole project.", show_default=False),
    ] = None,
    write: Annotated[bool, typer.Option("--write", help="Write the digests into the files.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 if anything would change.")] = False,
    update: Annotated[bool, typer.Option("--update", help="Follow tags that moved: replace their digests.")] = False,
    lock: Annotated[bool, typer.Option("--lock", help="Write kdoctor.lock: what each tag names now.")] = False,
    digests: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="JSON: reference → digest; no registry is asked.", metavar="MAP.json", show_default=False),
    ] = None,
    platform: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="This platform's digest, not the index's.", metavar="OS/ARCH", show_default=False),
    ] = None,
    build_arg: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="NAME=VALUE, as for the build.", metavar="NAME=VALUE", show_default=False),
    ] = None,
    plain_http: PlainHttp = None,
    offline: Annotated[bool, typer.Option("--offline", help="No network at all.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only what could not be pinned.")] = False,
    progress: Annotated[
        Optional[bool],  # noqa: UP045
        typer.Option("--progress/--no-progress", help="Progress on stderr.", show_default=False),
    ] = None,
) -> None:
    """Pin images to digests: a diff, or with --write the files themselves. Everything else in them stays as it is."""
    from doctor.cli.options import leave
    from doctor.pin.run import Request, run
    from doctor.scan import build_arguments
    from doctor.settings import load_settings

    flags = {"offline": offline, "quiet": quiet, "progress": progress, "plain_http_registries": plain_http}
    settings = load_settings(Path.cwd(), flags, os.environ)
    request = Request(
        names=tuple(files or ()),
        write=write,
        check=check,
        update=update,
        lock=lock,
        offline=settings.offline,
        digests=digests,
        platform=platform,
        build_args=build_arguments(tuple(build_arg or ())),
    )
    with _asking(settings.progress) as told:
        result = run(request, partial(_registry, settings.plain_http_registries), told)
    if not request.write:
        _show(result.diffs, exact=not check)
    _tell(result, request, quiet=settings.quiet)
    leave(result.exit_code(request))


def _registry(plain_http: tuple[str, ...]) -> Registry:
    from doctor.io.registry.client import RegistryClient  # 100 ms: only where one is asked

    return RegistryClient(plain_http=plain_http)


@contextmanager
def _asking(wanted: bool) -> Iterator[Callable[[int, int], None] | None]:
    """A progress bar on stderr while registries are asked; none where that is no terminal."""
    if not wanted or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("asking registries", total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)


def _show(diffs: list[str], *, exact: bool) -> None:
    """The diff: byte for byte where it may become a patch, made harmless where it goes to a screen or a CI log."""
    from doctor.cli.session import emit
    from doctor.pin.files import encode
    from doctor.report.sanitize import screen, source

    text = "".join(diffs)
    if exact and not sys.stdout.isatty():
        sys.stdout.buffer.write(encode(text))
        sys.stdout.buffer.flush()
    elif text:
        emit(screen("".join(source(line) + "\n" for line in text.removesuffix("\n").split("\n"))))


def _tell(result: Result, request: Request, *, quiet: bool) -> None:
    """What happened, on stderr."""
    for problem in () if quiet else result.problems:
        _say(f"{problem.path}{f':{problem.line}' if problem.line else ''}: {problem.why}")
    for note in () if quiet else result.remarks:
        _say(f"{note.path}:{note.line}: {note.image}: {note.text}")
    for note in result.failed:
        _say(f"{note.path}:{note.line}: {note.image}: not pinned: {note.text}")
    for line in result.refused:
        _say(line)
    if quiet:
        return
    done = f"{len(result.pinned)} {'image' if len(result.pinned) == 1 else 'images'}"
    _say(f"{done} {'pinned' if request.write else 'to pin'}, {len(result.failed)} that cannot be")
    if result.locked == 0 and not result.lock_changes:
        why = "no tag could be looked up" if result.failed else "no image is used by tag"
        _say(f"kdoctor.lock: not written: {why}")
    elif result.locked is not None:
        state = ("would change" if request.check else "written") if result.lock_changes else "up to date"
        _say(f"kdoctor.lock: {result.locked} {'image' if result.locked == 1 else 'images'}, {state}")


def _say(text: str) -> None:
    from doctor.report.sanitize import line, screen

    print(screen(line(text)), file=sys.stderr)  # noqa: T201
