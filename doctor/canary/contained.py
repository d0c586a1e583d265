"""The canary in an image or a container: its own Python runs the payload in the sandbox, with nothing writable.

A container is never entered: the engine copies its files as they are now into an image that carries kdoctor's label,
the sandbox starts from that image, and the image is removed. The container's processes go on meanwhile, its variables
hold in the sandbox, and what is mounted into it is not there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress

import msgspec

from doctor.canary.start import Job
from doctor.collect.software import FileSystem
from doctor.errors import TargetError
from doctor.io import process
from doctor.io.containers import Containers
from doctor.io.sandbox import Limits, run_in_image
from doctor.model.facts import known
from doctor.targets import container, image
from doctor.targets.image_config import home_of
from doctor.targets.inside import look_inside
from doctor.targets.inside_options import Inside
from doctor.targets.overlay import OverlayFileSystem, Redirected, folders_of
from doctor.targets.words import Target

MEMORY = 4 << 30  # bytes; the canary peaks at 1.3 GB of address space
TEMPORARY = 256 << 20  # bytes of /tmp


class _Found(msgspec.Struct, frozen=True):
    """What a sandbox starts from: an image's id, the digest of what it came from, the folder of its keras.json."""

    identifier: str
    digest: str | None
    keras_home: str | None


class SandboxRunner:
    """An image of an engine, had as ``inside`` says, or a container; ``gpus``: the sandbox gets them."""

    def __init__(self, target: Target, environ: Mapping[str, str], inside: Inside, *, gpus: bool = False) -> None:
        self.target = target
        self.environ = dict(environ)
        self.gpus = gpus
        self.image_digest: str | None = None
        self._options = msgspec.structs.replace(
            inside, pull="never" if inside.offline else inside.pull, machine=False, progress=False
        )

    @property
    def name(self) -> str:
        """The target as a person names it."""
        return str(self.target)

    def start(self, job: Job, on_stderr: Callable[[bytes], None]) -> process.Result:
        """Run the payload in a container of its own, which is gone afterwards.

        Raises:
            process.CannotStart: there is no Python in it, or it is none for this machine.
            TargetError: the target cannot be had, or the engine does not start it.
        """
        engine = image.connection(self.environ, offline=self._options.offline)
        if not isinstance(engine, Containers):
            raise TargetError(f"{self.target}: the canary runs in a container, and there is no engine: {engine}")
        had = self._container if self.target.kind == "container" else self._image
        try:
            with had(engine) as found:
                self.image_digest = found.digest
                keras = {"KERAS_HOME": found.keras_home} if found.keras_home is not None else {}
                return run_in_image(
                    engine,
                    found.identifier,
                    [self._python(), "-B", "-", job.argument],
                    stdin=job.source,
                    limits=Limits(seconds=job.timeout, memory=MEMORY, temporary=TEMPORARY, output=job.max_output),
                    environment={"PYTHONIOENCODING": "utf-8:backslashreplace", **keras},
                    platform=self._options.platform,
                    gpus=self.gpus,
                    on_stderr=on_stderr,
                )
        finally:
            engine.close()

    @contextmanager
    def _image(self, engine: Containers) -> Iterator[_Found]:
        found = image.find(self.target.name, self._options.platform, self._options.pull, engine, None)
        if not isinstance(found, image.EngineImage) or found.identity.id is None:
            raise TargetError(f"{self.target}: is not in the container engine; pull it, or allow --pull missing")
        home = None
        if found.folders is not None:
            with ExitStack() as stack, suppress(OSError, Redirected):
                files = found.files(stack, lambda _: None)
                home = _keras_home(files, found.config.environment, found.config.user)
        yield _Found(found.identity.id, found.identity.digest or found.identity.id, home)

    @contextmanager
    def _container(self, engine: Containers) -> Iterator[_Found]:
        found = container.find(self.target.name, engine)
        folders = folders_of(found.inspection) if engine.endpoint.local else None
        home = None
        if folders is not None:
            user = str((found.inspection.get("Config") or {}).get("User") or "")
            home = _keras_home(OverlayFileSystem(folders), found.environment, user)
        origin = found.image.identity if found.image is not None else None
        digest = (origin.digest or origin.id) if origin is not None else None
        with engine.copied(str(found.inspection["Id"])) as identifier:
            yield _Found(identifier, digest, home)

    def _python(self) -> str:
        """The interpreter that a look at the target's files chooses, so that facts and canary speak of the same one."""
        looked = look_inside(self.target, self._options, self.environ)
        executable = known(looked.snapshot.software.python.executable)
        if executable is None:
            mounted = ", or in what is mounted into it" if self.target.kind == "container" else ""
            raise process.CannotStart(f"{self.target}: no Python in it{mounted}")
        return executable


def _keras_home(files: FileSystem, environment: Mapping[str, str], user: str) -> str | None:
    """Keras takes /tmp for its folder where its own cannot be written to, and would miss the target's keras.json."""
    if "KERAS_HOME" in environment:
        return None
    try:
        folder = f"{environment.get('HOME') or home_of(files, user) or ''}/.keras"
        files.lstat(f"{folder}/keras.json")
    except (OSError, Redirected):
        return None
    return folder
