"""``image:REF``: from the engine where it is there for this platform, else from its registry; nothing of it is run."""

from __future__ import annotations

import os
import platform as host_platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from typing import Any, Protocol

from doctor.collect import software
from doctor.errors import TargetError
from doctor.images.content.blob import Tell
from doctor.io.containers import Containers
from doctor.targets.exported import exported
from doctor.targets.image_config import Identity, ImageConfig, home_of, of_inspection
from doctor.targets.layer_cache import LayerCache
from doctor.targets.overlay import OverlayFileSystem, Redirected, folders_of
from doctor.targets.remote_image import Connect, open_remote
from doctor.targets.software import Collected, collected

PULL = ("never", "missing", "always")
_ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


class Source(Protocol):
    """An image somewhere. ``key`` names its content for a cache, ``size`` what is to be gone through in bytes."""

    @property
    def config(self) -> ImageConfig:
        """What the image says of itself."""
        ...

    @property
    def identity(self) -> Identity:
        """How it is called."""
        ...

    @property
    def key(self) -> str:
        """The same for the same content, and for nothing else."""
        ...

    @property
    def size(self) -> int | None:
        """Bytes to go through; None where that takes no time."""
        ...

    def files(self, stack: ExitStack, tell: Tell) -> software.FileSystem:
        """Its files, which live as long as ``stack``."""
        ...


@dataclass(frozen=True)
class EngineImage:
    """An image that an engine has. ``folders``: its layers' own folders, where they can be read directly."""

    engine: Containers
    config: ImageConfig
    identity: Identity
    key: str
    size: int | None
    folders: tuple[Any, ...] | None

    def files(self, stack: ExitStack, tell: Tell) -> software.FileSystem:
        """The layer folders; else what the engine exports of a container that is never started."""
        if self.folders is not None:
            return OverlayFileSystem(self.folders)
        assert self.identity.id is not None
        container = stack.enter_context(self.engine.created(self.identity.id))
        return exported(_Told(self.engine, tell), container, self.identity.reference or self.identity.id, stack)


class _Told:
    """An engine whose export says how far it is."""

    def __init__(self, engine: Containers, tell: Tell) -> None:
        self.engine = engine
        self.tell = tell
        self.archive = engine.archive

    def export(self, container: str) -> Iterator[bytes]:
        """The engine's export."""
        with closing(self.engine.export(container)) as pieces:  # type: ignore[type-var]
            for piece in pieces:
                self.tell(len(piece))
                yield piece


def default_platform() -> str:
    """The platform of images that this machine runs."""
    machine = host_platform.machine()
    return f"linux/{_ARCHITECTURES.get(machine, machine)}"


def find(
    word: str,
    wanted: str | None,
    pull: str,
    engine: Containers | str,
    connect: Connect | None,
    cache: LayerCache | None = None,
) -> EngineImage | Source:
    """The image that a word names.

    ``engine`` is one, or why there is none; ``connect`` gives a registry client, None with ``--offline``; ``cache``:
    what is known of layers.

    Raises:
        TargetError: neither has it for the platform; the text says what each of them said.
    """
    why = engine if isinstance(engine, str) else "the engine does not have it"
    if isinstance(engine, Containers):
        if pull == "always":
            engine.pull(word, wanted)
        found = _in_engine(engine, word, wanted)
        if found is None and pull == "missing":
            engine.pull(word, wanted)
            found = _in_engine(engine, word, wanted)
        if found is not None:
            return found
        why += f" for {wanted}" if wanted else ""
    elif pull != "never":
        raise TargetError(f"{word}: cannot be pulled: {why}")
    if connect is None:
        raise TargetError(f"{word}: {why}, and no registry is asked with --offline")
    try:
        return open_remote(word, wanted, default_platform(), connect, cache)
    except TargetError as error:
        said = str(error)
        raise TargetError(f"{said if word in said else f'{word}: {said}'} ({why})") from None


def _in_engine(engine: Containers, word: str, wanted: str | None) -> EngineImage | None:
    inspection = engine.image(word)
    if inspection is None:
        return None
    config = of_inspection(inspection)
    if wanted is not None and wanted != config.platform and not (config.platform or "").startswith(wanted + "/"):
        return None
    return of_engine(engine, inspection, config, word)


def of_engine(engine: Containers, inspection: Mapping[str, Any], config: ImageConfig, word: str) -> EngineImage:
    """The engine's image as it inspects it; ``word`` is how the user names it."""
    told = inspection.get("RepoDigests")
    digests = tuple(str(one) for one in told) if isinstance(told, list) else ()
    identifier = str(inspection.get("Id", ""))
    folders = folders_of(inspection) if engine.endpoint.local else None
    size = inspection.get("Size")
    identity = Identity(word, identifier, _digest_of(word, digests), digests, _base_of(engine, config, identifier))
    return EngineImage(
        engine,
        config,
        identity,
        f"engine {identifier} {config.platform}",
        size if isinstance(size, int) and folders is None else None,
        tuple(folders) if folders is not None else None,
    )


def _digest_of(word: str, digests: Sequence[str]) -> str | None:
    """The registry's digest: of the reference itself, else of the repository that it names, if that is clear."""
    if "@sha256:" in word:
        return word.partition("@")[2]
    from doctor.images.reference import InvalidReference, parse  # noqa: PLC0415 -- 50 ms

    try:
        wanted = parse(word).name
        own = [one for one in digests if parse(one).name == wanted]
    except InvalidReference:
        return None
    found = {one.partition("@")[2] for one in own}
    return found.pop() if len(found) == 1 else None


def _base_of(engine: Containers, config: ImageConfig, identifier: str) -> tuple[str, str | None] | None:
    """The tagged image of the engine whose layers this one continues, the longest of them: (name, digest)."""
    best: tuple[int, str, str | None] | None = None
    for other in engine.images():
        layers = (other.get("RootFS") or {}).get("Layers") or []
        if other.get("Id") == identifier or not 0 < len(layers) < len(config.layers):
            continue
        if tuple(layers) == config.layers[: len(layers)] and (best is None or len(layers) > best[0]):
            digests = other.get("RepoDigests") or [""]
            best = (len(layers), str(other["RepoTags"][0]), str(digests[0]).partition("@")[2] or None)
    return best[1:] if best is not None else None


def read(source: Source, tell: Tell) -> Collected:
    """What the collector finds in an image's files.

    Raises:
        TargetError: the files cannot be had.
    """
    with ExitStack() as stack:
        files = source.files(stack, tell)
        try:
            return _collect(files, source.config)
        except Redirected:
            if not isinstance(source, EngineImage):
                raise
            again = replace(source, folders=None)  # only the engine's own mount tells where the files are
    return read(again, tell)


def _collect(files: software.FileSystem, config: ImageConfig) -> Collected:
    environ = dict(config.environment)
    home = home_of(files, config.user)
    if home is not None:
        environ.setdefault("HOME", home)
    return collected(software.collect(files, None, environ, arch=config.architecture), "static")


def connection(environ: Mapping[str, str] | None = None, *, offline: bool = False) -> Containers | str:
    """The engine, or why there is none."""
    try:
        return Containers(os.environ if environ is None else environ, offline)
    except TargetError as error:
        return str(error)
