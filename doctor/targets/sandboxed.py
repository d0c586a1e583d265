"""``--run``: an image's own Python runs the collector, in the sandbox."""

from __future__ import annotations

from doctor.collect import software
from doctor.errors import TargetError
from doctor.io.containers import Containers
from doctor.io.process import CannotStart, Result
from doctor.io.sandbox import Limits, run_in_image
from doctor.targets.image import EngineImage, read
from doctor.targets.software import Collected, collected, document_in, source

LIMITS = Limits(seconds=20.0)
_OTHER = "KDOCTOR-OTHER-PYTHON "
# Which Python is meant is decided as for files at rest; one that is not the running one is started instead.
_START = f"""
def _kdoctor_start():
    fs = HostFileSystem("/")
    view = View(fs)
    python, _ = _choose(view, find_interpreters(view, os.environ), os.environ, None)
    own = normal(sys.executable or "/")
    if python is not None and python.executable != own and {_OTHER!r} not in sys.argv:
        sys.stdout.write("\\n" + {_OTHER!r} + json.dumps(python.executable) + "\\n")
        return 0
    return main([])

raise SystemExit(_kdoctor_start())
"""


def ask(image: EngineImage) -> Collected:
    """What the image's Python says.

    Raises:
        TargetError: there is none, it cannot be started, hangs, dies or answers something else.
    """
    name = image.identity.reference or str(image.identity.id)
    try:
        result = _start(image.engine, image, "python3")
    except CannotStart:
        python = read(image, lambda _more: None).facts.get("python", {}).get("executable")
        if not isinstance(python, str):
            raise TargetError(f"{name}: no Python in it that could be run; look at it without --run") from None
        result = _started(image, python, name)
    other = _other(result)
    if other is not None:
        result = _started(image, other, name)
    document = document_in(result.stdout)
    if document is None:
        why = result.failure(LIMITS.seconds) or "answered something that is not the collector's document"
        last = result.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        said = f": {last[0][:200]}" if last else ""
        raise TargetError(f"{name}: its Python {why}{said}; look at it without --run")
    if "error" in document:
        raise TargetError(f"{name}: the collector failed in it: {str(document['error'])[:300]}")
    found = collected(document, "run")
    # the sandbox adds variables of its own
    found.facts["environment"] = software.describe_environment(
        software.View(software.FileSystem()), image.config.environment
    )
    return found


def _started(image: EngineImage, python: str, name: str) -> Result:
    try:
        return _start(image.engine, image, python, _OTHER)
    except CannotStart as error:
        raise TargetError(f"{name}: {error}; look at it without --run") from None


def _start(engine: Containers, image: EngineImage, python: str, *arguments: str) -> Result:
    argv = [python, "-I", "-S", "-B", "-", *arguments]
    assert image.identity.id is not None
    return run_in_image(engine, image.identity.id, argv, stdin=source() + _START.encode(), limits=LIMITS)


def _other(result: Result) -> str | None:
    """The Python that is meant instead of the one that ran."""
    import json  # noqa: PLC0415

    for line in result.stdout.decode("utf-8", "replace").splitlines():
        if line.startswith(_OTHER):
            try:
                found = json.loads(line[len(_OTHER) :])
            except ValueError:
                return None
            return found if isinstance(found, str) and found.startswith("/") else None
    return None
