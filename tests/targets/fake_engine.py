"""A container engine on a socket of its own, with one image, whose export goes wrong in the way a test wants."""

from __future__ import annotations

import json
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

IMAGE = "sha256:" + "1" * 64
LAYER = "sha256:" + "2" * 64


class FakeEngine:
    """``export``: the tar; ``how``: what becomes of it.

    ``whole``; ``drop``: half of it, then the connection is gone; ``short``: half of a length that was promised;
    ``clean``: half of it, as if that were all; ``message``: half of it, then the engine's words, as a real one sends;
    ``garbage``: no tar at all; ``stall``: half of it, then nothing; ``refuse``: an error; ``nothing``: no answer.
    ``cut``: where half is.
    """

    def __init__(self, export: bytes, how: str = "whole", cut: int | None = None) -> None:
        self.data = export
        self.how = how
        self.cut = len(export) // 2 if cut is None else cut
        self.containers: set[str] = set()
        self.asked: list[str] = []

    def reply(self, handler: BaseHTTPRequestHandler, method: str) -> None:
        """Answer one request."""
        path = handler.path.partition("?")[0]
        path = path[path.index("/", 1) :] if path.startswith("/v1.") else path
        self.asked.append(f"{method} {path}")
        if method == "DELETE":
            self.containers.discard(path.rpartition("/")[2])
            _send(handler, 204, None)
        elif path == "/version":
            _send(handler, 200, {"ApiVersion": "1.45", "MinAPIVersion": "1.24", "Version": "26.1.5", "Os": "linux"})
        elif path == "/containers/create":
            name = handler.path.partition("name=")[2].partition("&")[0]
            self.containers.add(name)
            handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
            _send(handler, 201, {"Id": name, "Warnings": []})
        elif path in ("/containers/json", "/images/json"):
            _send(handler, 200, [])
        elif path == "/images/app:1/json":
            _send(handler, 200, _inspection(len(self.data)))
        elif path.endswith("/export"):
            self._export(handler)
        else:
            _send(handler, 404, {"message": f"no such thing: {path}"})

    def _export(self, handler: BaseHTTPRequestHandler) -> None:
        if self.how == "refuse":
            return _send(handler, 500, {"message": "layer does not exist"})
        if self.how == "nothing":
            return None
        handler.send_response(200)
        handler.send_header("Content-Type", "application/octet-stream")
        if self.how == "short":
            handler.send_header("Content-Length", str(len(self.data)))
            handler.end_headers()
            handler.wfile.write(self.data[: self.cut])
            return None
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        if self.how == "garbage":
            _chunks(handler, b"<html>" + bytes(range(1, 256)) * 8)
        else:
            _chunks(handler, self.data if self.how == "whole" else self.data[: self.cut])
        if self.how == "message":
            _chunks(handler, b'{"message":"unexpected EOF"}\n')
        if self.how == "stall":
            time.sleep(30)
        elif self.how != "drop":
            handler.wfile.write(b"0\r\n\r\n")
        return None


def _inspection(size: int) -> dict[str, Any]:
    return {
        "Id": IMAGE,
        "RepoTags": ["app:1"],
        "RepoDigests": [],
        "Architecture": "amd64",
        "Os": "linux",
        "Size": size,
        "Config": {"Env": ["PATH=/usr/bin:/bin"], "Labels": {}},
        "RootFS": {"Type": "layers", "Layers": [LAYER]},
    }


def _chunks(handler: BaseHTTPRequestHandler, data: bytes) -> None:
    for start in range(0, len(data), 32 << 10):
        piece = data[start : start + (32 << 10)]
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))


def _send(handler: BaseHTTPRequestHandler, code: int, document: Any) -> None:
    body = b"" if document is None else json.dumps(document).encode()
    handler.send_response(code)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


@contextmanager
def serve(engine: FakeEngine, path: Path) -> Iterator[str]:
    """The engine, listening at a socket until the block is left; what DOCKER_HOST must say to find it."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self) -> None:
            super().handle_one_request()
            self.close_connection = True

        def do_GET(self) -> None:
            engine.reply(self, self.command)

        do_POST = do_DELETE = do_GET

        def address_string(self) -> str:
            return "unix"

        def log_message(self, *_: Any) -> None:
            pass

    class Server(socketserver.ThreadingUnixStreamServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass  # a client that has given up

    server = Server(str(path), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"unix://{path}"
    finally:
        server.shutdown()
        server.server_close()
