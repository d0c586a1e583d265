"""The canary in an image: its own Python runs the payload in the sandbox, with no network and nothing writable."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack

import msgspec

from doctor.canary.start import Job
from doctor.errors import TargetError
from doctor.io import process
from doctor.io.containers import Containers
from doctor.io.sandbox import Limits, run_in_image
from doctor.model.facts import known
from doctor.targets import image
from doctor.targets.image_config import home_of
from doctor.targets.inside import look_inside
from doctor.targets.inside_options import Inside
from doctor.targets.overlay import Redirected
from doctor.targets.words import Target

MEMORY = 4 << 30  # bytes; the canary peaks at 1.3 GB of address space
TEMPORARY = 256 << 20  # bytes of /tmp


class ImageRunner:
    """An image of an engine, had as ``inside`` says; ``gpus``: its container gets them."""

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
            TargetError: the image cannot be had, or the engine does not start it.
        """
        engine = image.connection(self.environ, offline=self._options.offline)
        if not isinstance(engine, Containers):
            raise TargetError(f"{self.target}: the canary runs in a container, and there is no engine: {engine}")
        try:
            found = image.find(self.target.name, self._options.platform, self._options.pull, engine, None)
            if not isinstance(found, image.EngineImage) or found.identity.id is None:
                raise TargetError(f"{self.target}: is not in the container engine; pull it, or allow --pull missing")
            self.image_digest = found.identity.digest or found.identity.id
            return run_in_image(
                engine,
                found.identity.id,
                [self._python(), "-B", "-", job.argument],
                stdin=job.source,
                limits=Limits(seconds=job.timeout, memory=MEMORY, temporary=TEMPORARY, output=job.max_output),
                environment={"PYTHONIOENCODING": "utf-8:backslashreplace", **_keras_home(found)},
                platform=self._options.platform,
                gpus=self.gpus,
                on_stderr=on_stderr,
            )
        finally:
            engine.close()

    def _python(self) -> str:
        """The interpreter that a look at the image's files chooses, so that facts and canary speak of the same one."""
        looked = look_inside(self.target, self._options, self.environ)
        executable = known(looked.snapshot.software.python.executable)
        if executable is None:
            raise process.CannotStart(f"{self.target}: no Python in it")
        return executable


def _keras_home(found: image.EngineImage) -> dict[str, str]:
    """Keras takes /tmp for its folder where its own cannot be written to, and would miss the image's keras.json."""
    if "KERAS_HOME" in found.config.environment or found.folders is None:
        return {}
    try:
        with ExitStack() as stack:
            files = found.files(stack, lambda _: None)
            home = found.config.environment.get("HOME") or home_of(files, found.config.user)
            folder = f"{home or ''}/.keras"
            files.lstat(f"{folder}/keras.json")
    except (OSError, Redirected):
        return {}
    return {"KERAS_HOME": folder}
