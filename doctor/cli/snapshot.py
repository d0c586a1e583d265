"""``kdoctor snapshot``: collect and save; nothing is judged."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Optional

import typer

from doctor.cli.options_inside import Cache, PlainHttp, Platform, Pull, Run, inside


def snapshot(
    target: Annotated[
        str, typer.Argument(help="host, python:PATH, image:REF, container:NAME, archive:FILE, snapshot:FILE.")
    ] = "host",
    output: Annotated[Optional[Path], typer.Option("--output", "-o", help="Write to FILE instead of stdout.")] = None,  # noqa: UP045
    share: Annotated[bool, typer.Option(help="A redacted block for a bug report.")] = False,
    print_probe: Annotated[
        bool, typer.Option(help="Print the one-file collector: | ssh node python3 - > node.json")
    ] = False,
    platform: Platform = None,
    pull: Pull = None,
    run: Run = False,
    cache: Cache = None,
    plain_http: PlainHttp = None,
    offline: Annotated[bool, typer.Option(help="No network at all.")] = False,
) -> None:
    """Collect facts and save them as a snapshot."""
    from doctor.cli.session import emit
    from doctor.io.files import write_atomically
    from doctor.report.sanitize import json_text
    from doctor.scan import Request, look_at
    from doctor.settings import load_settings
    from doctor.share import shared_block

    if print_probe:
        from doctor.collect.bundle import print_probe as probe

        emit(probe())
        return
    flags = {"platform": platform, "pull": pull, "run": run, "cache": cache, "plain_http_registries": plain_http}
    settings = load_settings(Path.cwd(), {**flags, "offline": offline}, os.environ)
    request = Request(python=settings.python if target == "host" else None, targets=(target,), inside=inside(settings))
    looked = look_at(request, offline=settings.offline, strict=True)
    from doctor.model.wire import encode_snapshot

    found = looked.snapshots[0]
    text = json_text((shared_block(found) if share else encode_snapshot(found)).decode())
    if output is not None:
        write_atomically(output, text.encode())
    else:
        emit(text)
