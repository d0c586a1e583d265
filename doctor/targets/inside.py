"""What is inside an image, an archive or a container, as one snapshot with the machine that it would run on."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from doctor.errors import TargetError, UsageError
from doctor.io.containers import Containers
from doctor.io.registry.interface import Registry
from doctor.model.wire import decode_snapshot
from doctor.progress import Progress
from doctor.targets import container, image
from doctor.targets.archive import open_archive
from doctor.targets.host import Look, document
from doctor.targets.image import EngineImage, Source
from doctor.targets.image_cache import ImageCache
from doctor.targets.image_config import section
from doctor.targets.inside_options import Inside
from doctor.targets.layer_cache import LayerCache
from doctor.targets.machine import collect_machine
from doctor.targets.software import Collected
from doctor.targets.words import Target


def look_inside(target: Target, options: Inside, environ: Mapping[str, str] | None = None) -> Look:
    """The snapshot of an ``image:``, ``archive:`` or ``container:`` target.

    Raises:
        UsageError: an option that cannot be had with this target.
        TargetError: it cannot be looked at; the text says why.
    """
    env = os.environ if environ is None else environ
    if options.run and target.kind != "image":
        raise UsageError(f"{target}: --run is for images of an engine: image:REF")
    with ExitStack() as stack:
        if target.kind == "archive":
            path = Path(target.name).expanduser()
            source: Source = open_archive(path, options.platform, image.default_platform(), stack)
            return _snapshot(target, source, _read(source, options, env), options, env)
        engine = image.connection(env, offline=options.offline)
        if isinstance(engine, Containers):
            stack.callback(engine.close)
        if target.kind == "container":
            return _of_container(container.find(target.name, engine), target, options, env)
        connect = None if options.offline else partial(_registry, options.plain_http)
        cache = LayerCache(env) if options.cache else None
        source = image.find(target.name, options.platform, options.pull, engine, connect, cache)
        return _snapshot(target, source, _read(source, options, env), options, env)


def _registry(plain_http: tuple[str, ...]) -> Registry:
    from doctor.io.registry.client import RegistryClient  # noqa: PLC0415 -- only where a registry is asked

    return RegistryClient(plain_http=plain_http)


def _read(source: Source, options: Inside, env: Mapping[str, str]) -> Collected:
    """The software, from the cache where it was read before."""
    mode = "run" if options.run else "static"
    cache = ImageCache(env) if options.cache else None
    known = cache.get(source.key, mode) if cache is not None else None
    if known is not None:
        return known
    if options.run:
        found = _run(source)
    else:
        with Progress(f"reading {source.identity.reference or 'the image'}", source.size, options.progress) as tell:
            found = image.read(source, tell)
    if cache is not None:
        cache.put(source.key, mode, found)
    return found


def _run(source: Source) -> Collected:
    from doctor.targets.sandboxed import ask  # noqa: PLC0415 -- only with --run

    if not isinstance(source, EngineImage):
        raise TargetError(
            f"{source.identity.reference}: --run needs the image in an engine: add --pull missing, or pull it yourself"
        )
    return ask(source)


def _of_container(found: container.Container, target: Target, options: Inside, env: Mapping[str, str]) -> Look:
    with Progress(f"reading {found.name}", None, options.progress) as tell:
        software = found.read(tell)
    software = replace(software, gaps=(*software.gaps, *found.mounts()))
    return _snapshot(target, found.image, software, options, env, {"container": found.section()})


def _snapshot(
    target: Target,
    source: Source | None,
    software: Collected,
    options: Inside,
    env: Mapping[str, str],
    more: Mapping[str, Any] | None = None,
) -> Look:
    facts, gaps = dict(software.facts), list(software.gaps)
    if source is not None:
        facts["image"], left_out = section(source.config, source.identity)
        gaps += left_out
    half = collect_machine(environ=env, offline=options.offline) if options.machine else {}
    raw = {**document(target.kind, target.name, replace(software, facts=facts), half), **(more or {})}
    return Look(decode_snapshot(raw), None, (*gaps, *half.get("gaps", ())), software.remarks)
