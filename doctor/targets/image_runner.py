"""An image's own Python as a place where a payload (the canary's) is run: in the sandbox, its code on stdin."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Protocol

from doctor.errors import TargetError
from doctor.io.containers import Containers
from doctor.io.process import Result
from doctor.io.sandbox import Limits, run_in_image
from doctor.targets import image
from doctor.targets.image_cache import ImageCache
from doctor.targets.inside_options import Inside

MEMORY = 8 << 30  # bytes; the canary peaks below 1.5 GB
TEMPORARY = 1 << 30
PLACES = {"TMPDIR": "/tmp", "KERAS_HOME": "/tmp/keras", "PYTHONIOENCODING": "utf-8:backslashreplace"}  # noqa: S108


class Job(Protocol):
    """What is to be run: :class:`doctor.canary.start.Job` is one."""

    @property
    def source(self) -> bytes:
        """The code, for stdin."""
        ...

    @property
    def argument(self) -> str:
        """Its one argument."""
        ...

    @property
    def timeout(self) -> float:
        """Seconds."""
        ...

    @property
    def max_output(self) -> int:
        """Bytes."""
        ...


class ImageRunner:
    """Runs payloads in an image of the engine, which is pulled where ``options`` say so.

    The Python is the one that a static look finds, TensorFlow's or Keras' own where there are several. To be closed, or
    used in a ``with``.

    Raises:
        TargetError: the engine does not have the image, or there is no Python in it.
    """

    def __init__(self, word: str, options: Inside, environ: Mapping[str, str], *, gpus: bool = False) -> None:
        engine = image.connection(environ, offline=options.offline)
        if not isinstance(engine, Containers):
            raise TargetError(f"{word}: to run it an engine is needed: {engine}")
        self.engine = engine
        self.gpus = gpus
        self.name = f"image:{word}"
        try:
            found = image.find(word, options.platform, options.pull, engine, None)
            if not isinstance(found, image.EngineImage):
                raise TargetError(f"{word}: is not in the engine; add --pull missing")
            self.image = found
            self.python = _python(found, ImageCache(environ) if options.cache else None)
        except BaseException:
            engine.close()
            raise

    @property
    def image_digest(self) -> str | None:
        """The registry's digest, else the engine's id."""
        return self.image.identity.digest or self.image.identity.id

    def start(self, job: Job, on_stderr: Callable[[bytes], None]) -> Result:
        """Run a payload to its end.

        Raises:
            CannotStart: the Python is none for this machine.
            TargetError: the engine does not do it.
        """
        assert self.image.identity.id is not None
        return run_in_image(
            self.engine,
            self.image.identity.id,
            [self.python, "-B", "-", job.argument],
            stdin=job.source,
            limits=Limits(job.timeout, MEMORY, TEMPORARY, job.max_output, processors=float("inf"), processes=4096),
            environment=PLACES,
            gpus=self.gpus,
            on_stderr=on_stderr,
        )

    def close(self) -> None:
        """Close the connection to the engine."""
        self.engine.close()

    def __enter__(self) -> ImageRunner:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection."""
        self.close()


def _python(found: image.EngineImage, cache: ImageCache | None) -> str:
    """The interpreter that a static look finds."""
    known = cache.get(found.key, "static") if cache is not None else None
    if known is None:
        known = image.read(found, lambda _more: None)
        if cache is not None:
            cache.put(found.key, "static", known)
    python = known.facts.get("python", {}).get("executable")
    if not isinstance(python, str):
        raise TargetError(f"{found.identity.reference}: no Python in it that could be run")
    return python
