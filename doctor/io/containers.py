"""Images and containers of an engine: inspected, exported, created and always removed. Nothing is started here.

Every container and image that kdoctor creates carries the label :data:`LABEL`; the ones that a killed run left behind
are removed when the next run creates its first.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import os
import secrets
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from doctor.errors import TargetError
from doctor.io.engine import Endpoint, EngineError, connect, find_endpoint

LABEL = "kdoctor.run"
SECONDS = 60.0  # for one answer, or between two pieces of one
COPY_SECONDS = 900.0  # for the engine to copy what was written in a container
LEFTOVER_SECONDS = 24 * 3600.0  # how old a container of another host must be to count as left behind
PIECE = 2 << 20
MAX_IMAGES = 300
NO_COMMAND = "/kdoctor-never-started"


class Containers:
    """An engine as a place of images and containers. ``offline``: an engine behind a network is left alone.

    Raises:
        TargetError: no engine is set up, or it does not answer.
    """

    def __init__(self, environ: Mapping[str, str] | None = None, offline: bool = False) -> None:
        endpoint = find_endpoint(os.environ if environ is None else environ)
        if endpoint is None:
            raise TargetError("no container engine was found (DOCKER_HOST, docker context, the usual sockets)")
        if offline and not endpoint.local:
            raise TargetError(f"{endpoint} is not asked with --offline")
        try:
            self.api = connect(endpoint, SECONDS).api
        except EngineError as error:
            raise TargetError(f"the container engine does not answer: {error}") from None
        self.endpoint: Endpoint = endpoint
        self._swept = False
        self._readers: list[Any] = []  # kept, since they close the socket when they go

    def close(self) -> None:
        """Close the connection."""
        self.api.close()

    @functools.cached_property
    def _info(self) -> dict[str, Any]:
        with self._talking("the engine"):
            found = self.api.info()
        return found if isinstance(found, dict) else {}

    @property
    def runtimes(self) -> tuple[str, ...]:
        """The names of the runtimes that may be asked for."""
        found = self._info.get("Runtimes")
        return tuple(str(name) for name in found) if isinstance(found, dict) else ()

    @property
    def processors(self) -> int:
        """How many processors the engine has; more cannot be asked for."""
        found = self._info.get("NCPU")
        return found if isinstance(found, int) and found > 0 else 1

    # --- asking ---------------------------------------------------------------------------------------------------

    def image(self, reference: str) -> dict[str, Any] | None:
        """What the engine says of an image; None where it has none of that name."""
        with self._talking(reference):
            try:
                found = self.api.inspect_image(reference)
            except Exception as error:
                if status_of(error) in (404, 400):
                    return None
                raise
        return found if isinstance(found, dict) else None

    def container(self, name: str) -> dict[str, Any]:
        """What the engine says of a container.

        Raises:
            TargetError: there is none of that name.
        """
        with self._talking(name):
            try:
                found = self.api.inspect_container(name)
            except Exception as error:
                if status_of(error) in (404, 400):
                    raise TargetError(f"container {name}: {self.endpoint.shown} has none of that name") from None
                raise
        if not isinstance(found, dict) or not isinstance(found.get("Id"), str):
            raise TargetError(f"container {name}: {self.endpoint.shown} answers nothing that could be understood")
        return found

    def images(self) -> list[dict[str, Any]]:
        """What the engine says of its tagged images, at most :data:`MAX_IMAGES`."""
        with self._talking("the list of images"):
            rows = self.api.images()
        names = [row.get("Id") for row in rows if isinstance(row, dict) and row.get("RepoTags")][:MAX_IMAGES]
        return [found for name in names if isinstance(name, str) and (found := self.image(name)) is not None]

    def pull(self, reference: str, platform: str | None) -> None:
        """Have the engine pull an image."""
        name, tag = reference, None
        if "@" not in reference:
            head, colon, last = reference.rpartition(":")
            name, tag = (head, last) if colon and "/" not in last else (reference, "latest")
        with self._talking(reference):
            for row in self.api.pull(name, tag=tag, platform=platform, stream=True, decode=True):
                if isinstance(row, dict) and row.get("error"):
                    raise TargetError(f"{reference}: the engine cannot pull it: {str(row['error'])[:200]}")

    # --- reading --------------------------------------------------------------------------------------------------

    def export(self, container: str) -> Iterator[bytes]:
        """A container's files as one tar, piece by piece."""
        socket_file = self.endpoint.socket
        if socket_file is None:
            return self._pieces(container, self.api.export, container, chunk_size=PIECE)
        return self._pieces(container, _export_over, socket_file, self.api.api_version, container)

    def archive(self, container: str, path: str) -> Iterator[bytes]:
        """One file of a container, in a tar; raises OSError where there is none."""
        try:
            stream, _ = self.api.get_archive(container, path, chunk_size=PIECE // 8)
        except Exception as error:
            raise OSError(5, f"the engine does not give it: {one_line(error)}", path) from None
        return self._pieces(path, lambda: stream)

    def _pieces(self, name: str, ask: Any, *arguments: Any, **options: Any) -> Iterator[bytes]:
        with self._talking(name):
            stream = ask(*arguments, **options)
            try:
                yield from stream
            finally:
                with contextlib.suppress(Exception):
                    stream.close()

    # --- talking to a container -----------------------------------------------------------------------------------

    def attach(self, container: str) -> socket.socket:
        """The connection to stdin, stdout and stderr of a container that is not started yet."""
        options = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
        with self._talking(container):
            found = self.api.attach_socket(container, params=options)
        connection = getattr(found, "_sock", found)  # the SDK hands out a reader that hides the socket
        if not hasattr(connection, "shutdown"):
            raise TargetError(f"{self.endpoint.shown}: its connection cannot be used for a sandbox")
        self._readers.append(found)
        return connection  # type: ignore[no-any-return]

    def wait(self, container: str, seconds: float) -> int | None:
        """The exit status of a container whose outputs have ended; None where it does not end."""
        try:
            status = self.api.wait(container, timeout=seconds).get("StatusCode")
        except Exception:  # it is removed by force, whatever it does
            return None
        return status if isinstance(status, int) else None

    # --- creating -------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def created(self, image: str, **options: Any) -> Iterator[str]:
        """The id of a new container of an image, not started; removed whatever happens in the block.

        ``options`` are those of the engine's create call, ``HostConfig`` and its like, by the API's own names.
        """
        self._sweep_once()
        platform = options.pop("platform", None)
        body = {
            "Image": image,
            "Cmd": None,
            "Entrypoint": [NO_COMMAND],
            "NetworkDisabled": True,
            "Healthcheck": {"Test": ["NONE"]},
            "Labels": {LABEL: _own_mark()},
            **options,
        }
        name = "kdoctor-" + secrets.token_hex(8)  # known before the engine answers: an interrupted call leaves nothing
        try:
            with self._talking(image):
                identifier = self._create(name, body, platform)
            yield identifier
        finally:
            self.remove(name)

    def _create(self, name: str, body: dict[str, Any], platform: str | None) -> str:
        # the SDK's own create call knows fewer options than the API and fills in some of its own
        parameters = {"name": name, **({"platform": platform} if platform else {})}
        response = self.api._post_json(self.api._url("/containers/create"), data=body, params=parameters)
        return str(self.api._result(response, True)["Id"])

    @contextlib.contextmanager
    def copied(self, container: str) -> Iterator[str]:
        """The id of a new image of a container's files as they are now; removed whatever happens in the block.

        The container is not stopped, paused or changed. What is mounted into it is not in the image.

        Raises:
            TargetError: the engine does not do it.
        """
        self._sweep_once()
        mark, identifier = _own_mark(), None
        try:
            with self._talking(container):
                parameters = {"container": container, "pause": "0"}
                body = {"Labels": {LABEL: mark}}  # the engine adds the container's own configuration
                url = self.api._url("/commit")
                response = self.api._post_json(url, data=body, params=parameters, timeout=COPY_SECONDS)
                identifier = str(self.api._result(response, True)["Id"])
            yield identifier
        finally:
            # An interrupted call may have made an image whose id was never heard.
            for one in [identifier] if identifier is not None else self._labelled_images(mark):
                self._remove_image(one)

    def _labelled_images(self, mark: str | None = None) -> list[str]:
        """The ids of the images that carry the label, or this very mark, and were left behind (or are this run's)."""
        try:
            rows = self.api.images(filters={"label": LABEL if mark is None else f"{LABEL}={mark}"})
        except Exception:  # they are removed at the next start
            return []
        told = [(str(row.get("Id")), (row.get("Labels") or {}).get(LABEL, ""), row.get("Created")) for row in rows]
        return [one for one, its, created in told if mark is not None or _left_behind(its, float(created or 0))]

    def _remove_image(self, image: str) -> None:
        with contextlib.suppress(Exception):  # what is left is removed by its label at the next start
            self.api.remove_image(image, force=True)

    def remove(self, container: str) -> None:
        """Remove a container with its anonymous volumes, running or not; one that is gone is as good."""
        for attempt in range(3):
            try:
                self.api.remove_container(container, v=True, force=True)
                return
            except Exception as error:  # what is left is removed by its label at the next start
                silent = "timed out" in str(error).lower()  # nobody waits for such an engine three times
                if status_of(error) == 404 or attempt == 2 or silent:
                    return
                time.sleep(0.2)

    def _sweep_once(self) -> None:
        if not self._swept:
            self._swept = True
            self.sweep()

    def sweep(self) -> int:
        """Remove what killed runs left behind; how many containers that were."""
        count = 0
        with self._talking("the list of containers"):
            rows = self.api.containers(all=True, filters={"label": LABEL})
        for row in rows:
            mark = (row.get("Labels") or {}).get(LABEL, "")
            if _left_behind(mark, float(row.get("Created") or 0)):
                self.remove(str(row.get("Id")))
                count += 1
        for one in self._labelled_images():
            self._remove_image(one)
        return count

    @contextlib.contextmanager
    def _talking(self, name: str) -> Iterator[None]:
        """Turn whatever the SDK, requests and urllib3 raise into one line."""
        try:
            yield
        except (TargetError, OSError) as error:
            if isinstance(error, TargetError) or not hasattr(error, "request"):
                raise
            raise TargetError(f"{name}: the container engine broke off: {one_line(error)}") from None
        except Exception as error:
            raise TargetError(f"{name}: the container engine says: {one_line(error)}") from None


class _WideResponse(http.client.HTTPResponse):
    """An answer that is read from its socket a mebibyte at a time: an engine sends an export in 32 KiB chunks."""

    def __init__(self, sock: socket.socket, *arguments: Any, **options: Any) -> None:
        super().__init__(sock, *arguments, **options)
        self.fp.close()
        self.fp = sock.makefile("rb", 1 << 20)  # type: ignore[assignment]


class _SocketConnection(http.client.HTTPConnection):
    response_class = _WideResponse

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=SECONDS)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(SECONDS)
        self.sock.connect(str(self.path))


def _export_over(path: Path, version: str, container: str) -> Iterator[bytes]:
    """A container's export over an engine's socket file, at the speed of the engine (the SDK's is slower)."""
    connection = _SocketConnection(path)
    try:
        connection.request("GET", f"/v{version}/containers/{quote(container, safe='')}/export")
        answer = connection.getresponse()
        if answer.status != 200:
            raise TargetError(f"{container}: the container engine answers {answer.status}: {answer.read(300)!r}")
        while piece := answer.read(PIECE // 4):
            yield piece
        if answer.length:  # chunks tell of their end themselves
            raise TargetError(f"{container}: the container engine broke off: {answer.length} bytes are missing")
    except (http.client.HTTPException, TimeoutError) as error:
        raise TargetError(f"{container}: the container engine broke off: {str(error) or 'no answer'}") from None
    finally:
        connection.close()


def status_of(error: Exception) -> int | None:
    """The HTTP status of an answer that the SDK raised."""
    return getattr(getattr(error, "response", None), "status_code", None)


def one_line(error: Exception) -> str:
    """The engine's own words, short."""
    text = str(getattr(error, "explanation", None) or error)
    return " ".join(text.split())[:300] or type(error).__name__


def _own_mark() -> str:
    """Host, process and its start, so that a later run can tell whether the one that left this behind still lives."""
    return f"{socket.gethostname()}.{os.getpid()}.{_started(os.getpid())}.{secrets.token_hex(4)}"


def _left_behind(mark: str, created: float) -> bool:
    *host, process, started, _ = ["", "", *mark.split(".")]
    if not process.isdigit():
        return True
    if ".".join(host[2:]) != socket.gethostname():
        return time.time() - created > LEFTOVER_SECONDS
    return _started(int(process)) != started


def _started(process: int) -> str:
    """When a process started, in the kernel's ticks; "" where there is none of that number."""
    try:
        text = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return ""
    return text.rpartition(")")[2].split()[19]
