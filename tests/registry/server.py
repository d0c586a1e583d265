"""A small registry on loopback that can also misbehave: the other end of the client's tests."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def digest_of(data: bytes) -> str:
    """The SHA-256 digest of bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Fake:
    """What the registry holds (path under /v2/ → media type and bytes) and how it behaves.

    ``behaviour`` maps a path to one of: an HTTP status, ``drip``, ``stall`` (all but the end at once), ``short``,
    ``html``, ``wrong-digest``, ``busy-once``, ``busy`` (429, to come again in an hour), ``redirect:URL``. ``auth``:
    None, ``basic`` or ``bearer``. ``seen`` records (path, Authorization).
    """

    def __init__(self) -> None:
        self.content: dict[str, tuple[str, bytes]] = {}
        self.behaviour: dict[str, Any] = {}
        self.auth: str | None = None
        self.seen: list[tuple[str, str | None]] = []
        self.port = 0
        self.address = "127.0.0.1"

    @property
    def host(self) -> str:
        """Host and port, as they stand in a reference."""
        return f"{self.address}:{self.port}"

    def add(self, repository: str, tag: str, *, platforms: tuple[str, ...] = ("linux/amd64", "linux/arm64")) -> str:
        """An index of one-layer images under a tag; returns the index digest."""
        rows = []
        for platform in platforms:
            system, architecture = platform.split("/")
            manifest = json.dumps({"config": {}, "layers": [], "platform": platform}).encode()
            self.put(repository, digest_of(manifest), MANIFEST, manifest)
            told = {"os": system, "architecture": architecture}
            rows.append({"digest": digest_of(manifest), "mediaType": MANIFEST, "platform": told})
        rows.append({"digest": digest_of(b"att"), "mediaType": MANIFEST, "platform": {"os": "unknown"}})
        index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": rows}).encode()
        self.put(repository, tag, INDEX, index)
        self.put(repository, digest_of(index), INDEX, index)
        return digest_of(index)

    def put(self, repository: str, name: str, media_type: str, data: bytes) -> None:
        """A manifest under a tag or digest."""
        self.content[f"{repository}/manifests/{name}"] = (media_type, data)


@contextmanager
def serve(fake: Fake) -> Iterator[Fake]:
    """The registry, listening on a free port of its address (loopback) until the block is left."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _answer(self, fake)

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer((fake.address, 0), Handler)
    server.daemon_threads = True
    fake.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()


def _answer(handler: BaseHTTPRequestHandler, fake: Fake) -> None:
    path = handler.path.partition("?")[0]
    sent = handler.headers.get("Authorization")
    fake.seen.append((handler.path, sent))
    if path == "/token":
        return _send(handler, 200, "application/json", json.dumps({"token": "t0ken"}).encode())
    wanted = {"basic": "Basic dXNlcjpwYXNz", "bearer": "Bearer t0ken"}.get(fake.auth or "")
    if wanted and sent != wanted:
        kind = 'Basic realm="r"' if fake.auth == "basic" else f'Bearer realm="http://{fake.host}/token",service="s"'
        return _send(handler, 401, "application/json", b"{}", {"WWW-Authenticate": kind})
    name = path.removeprefix("/v2/")
    how = fake.behaviour.get(name)
    if how == "busy-once":
        fake.behaviour[name] = None
        return _send(handler, 429, "text/plain", b"", {"Retry-After": "0"})
    if how == "busy":
        return _send(handler, 429, "text/plain", b"", {"Retry-After": "3600"})
    if isinstance(how, int):
        return _send(handler, how, "text/plain", b"")
    if isinstance(how, str) and how.startswith("redirect:"):
        return _send(handler, 307, "text/plain", b"", {"Location": how.removeprefix("redirect:")})
    if how == "html":
        return _send(handler, 200, "text/html", b"<html>welcome to the hotel network</html>")
    if name not in fake.content:
        return _send(handler, 404, "application/json", b'{"errors":[{"code":"MANIFEST_UNKNOWN"}]}')
    media_type, data = fake.content[name]
    digest = digest_of(b"other") if how == "wrong-digest" else digest_of(data)
    if how in ("drip", "stall"):
        return _drip(handler, media_type, data, len(data) - 300 if how == "stall" else 0)
    extra = {"Docker-Content-Digest": digest}
    if how == "short":
        extra["Content-Length"] = str(len(data) + 100)
    _send(handler, 200, media_type, data, extra)
    return None


def _send(
    handler: BaseHTTPRequestHandler, code: int, media_type: str, data: bytes, headers: dict[str, str] | None = None
) -> None:
    headers = {"Content-Length": str(len(data)), "Content-Type": media_type, **(headers or {})}
    handler.send_response(code)
    for key, value in headers.items():
        handler.send_header(key, value)
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(data)
    handler.close_connection = True


def _drip(handler: BaseHTTPRequestHandler, media_type: str, data: bytes, at_once: int = 0) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", media_type)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data[:at_once])
    for byte in data[at_once : at_once + 300]:
        try:
            handler.wfile.write(bytes([byte]))
        except OSError:
            return
        time.sleep(0.05)
