"""The container engine: which endpoint is chosen, and the real docker SDK and the probe's client on a fake engine."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from doctor.io.engine import DockerEngine, Endpoint, find_endpoint
from doctor.payloads import engine as payload

# What Docker Engine 28.2.2 says, cut to what is read.
VERSION = {
    "Platform": {"Name": "Docker Engine - Community"},
    "Components": [{"Name": "Engine", "Version": "28.2.2"}],
    "Version": "28.2.2",
    "ApiVersion": "1.50",
    "MinAPIVersion": "1.24",
    "Os": "linux",
}
INFO = {
    "Runtimes": {"runc": {"path": "runc"}, "nvidia": {"path": "nvidia-container-runtime"}},
    "DefaultRuntime": "runc",
    "CgroupDriver": "systemd",
    "CDISpecDirs": [],
}


class FakeEngine:
    """An HTTP server on a unix socket that answers /version and /info."""

    def __init__(self, path: Path, version: Any = VERSION, info: Any = INFO, delay: float = 0.0) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                time.sleep(delay)
                data = version if self.path.endswith("/version") else info
                body = data if isinstance(data, bytes) else json.dumps(data).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def address_string(self) -> str:
                return "unix"

            def log_message(self, *args: Any) -> None:
                pass

        class Server(socketserver.ThreadingUnixStreamServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # a client that has given up

        path.parent.mkdir(parents=True, exist_ok=True)
        self.server = Server(str(path), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def engine() -> Iterator[Callable[..., None]]:
    running: list[FakeEngine] = []

    def start(path: Path, **options: Any) -> None:
        running.append(FakeEngine(path, **options))

    yield start
    for server in running:
        server.stop()


def listen(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.close()  # the file stays, and nobody listens


def home_of(environ_home: Path, context: str | None, host: str | None = "unix:///from/context.sock") -> dict[str, str]:
    docker = environ_home / ".docker"
    if context is not None:
        docker.mkdir(parents=True, exist_ok=True)
        (docker / "config.json").write_text(json.dumps({"currentContext": context}))
        key = hashlib.sha256(context.encode()).hexdigest()
        if host is not None:
            meta = docker / "contexts/meta" / key / "meta.json"
            meta.parent.mkdir(parents=True)
            meta.write_text(json.dumps({"Name": context, "Endpoints": {"docker": {"Host": host}}}))
    return {"HOME": str(environ_home)}


class TestEndpoint:
    """DOCKER_HOST, then the current context, then the usual sockets."""

    def test_docker_host_wins(self, tmp_path: Path) -> None:
        """The variable goes before the context and before sockets that exist."""
        environ = {**home_of(tmp_path, "remote"), "DOCKER_HOST": "tcp://10.0.0.1:2375"}
        assert find_endpoint(environ, str(tmp_path)) == Endpoint("tcp://10.0.0.1:2375", "DOCKER_HOST")

    def test_the_current_context(self, tmp_path: Path) -> None:
        """A context is looked up as the docker command stores it; DOCKER_CONTEXT goes before the stored choice."""
        environ = home_of(tmp_path, "remote")
        assert find_endpoint(environ, str(tmp_path)) == Endpoint("unix:///from/context.sock", "context remote")
        environ["DOCKER_CONTEXT"] = "default"
        assert find_endpoint(environ, str(tmp_path / "nothing")) is None

    def test_certificates_of_a_context(self, tmp_path: Path) -> None:
        """A context with certificates carries their folder."""
        environ = home_of(tmp_path, "tls", "tcp://10.0.0.1:2376")
        folder = tmp_path / ".docker/contexts/tls" / hashlib.sha256(b"tls").hexdigest() / "docker"
        folder.mkdir(parents=True)
        (folder / "ca.pem").write_text("x")
        endpoint = find_endpoint(environ, str(tmp_path))
        assert endpoint is not None
        assert endpoint.tls == folder
        assert not endpoint.local

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            ("var/run/docker.sock", "run/user/7/docker.sock"),
            ("run/user/7/docker.sock", "run/podman/podman.sock"),
            ("run/podman/podman.sock", "run/user/7/podman/podman.sock"),
        ],
    )
    def test_sockets_in_their_order(self, tmp_path: Path, first: str, second: str) -> None:
        """Docker, rootless Docker, podman, rootless podman; a plain file is no socket."""
        environ = {"XDG_RUNTIME_DIR": "/run/user/7"}
        listen(tmp_path / second)
        assert find_endpoint(environ, str(tmp_path)) == Endpoint(f"unix://{tmp_path}/{second}", "socket")
        (tmp_path / first).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / first).write_text("")
        assert find_endpoint(environ, str(tmp_path)) == Endpoint(f"unix://{tmp_path}/{second}", "socket")
        (tmp_path / first).unlink()
        listen(tmp_path / first)
        assert find_endpoint(environ, str(tmp_path)) == Endpoint(f"unix://{tmp_path}/{first}", "socket")

    @pytest.mark.parametrize("text", ["", "[]", "{", '{"currentContext": 3}', "[" * 100_000])
    def test_a_broken_configuration_is_passed_over(self, tmp_path: Path, text: str) -> None:
        """Docker's own configuration may be anything; the sockets still count."""
        (tmp_path / ".docker").mkdir()
        (tmp_path / ".docker/config.json").write_text(text)
        listen(tmp_path / "var/run/docker.sock")
        endpoint = find_endpoint({"HOME": str(tmp_path)}, str(tmp_path))
        assert endpoint is not None
        assert endpoint.origin == "socket"


class TestFacts:
    """What an engine says of itself, through the docker SDK."""

    def facts(self, environ: dict[str, str], root: Path, **options: Any) -> dict[str, Any]:
        return DockerEngine(environ, str(root), **options).facts()

    def test_docker(self, tmp_path: Path, engine: Callable[..., None]) -> None:
        """Name, version, runtimes, default runtime, cgroup driver, CDI and the endpoint that answered."""
        engine(tmp_path / "var/run/docker.sock")
        assert self.facts({}, tmp_path) == {
            "present": True,
            "endpoint": f"unix://{tmp_path}/var/run/docker.sock",
            "name": "docker",
            "version": "28.2.2",
            "runtimes": ["nvidia", "runc"],
            "default_runtime": "runc",
            "cgroup_driver": "systemd",
            "cdi_devices": [],
        }

    def test_podman_is_told_apart(self, tmp_path: Path, engine: Callable[..., None]) -> None:
        """podman answers the same questions and names itself in its components."""
        version = {**VERSION, "Version": "5.4.2", "Components": [{"Name": "Podman Engine", "Version": "5.4.2"}]}
        engine(tmp_path / "run/podman/podman.sock", version=version)
        found = self.facts({}, tmp_path)
        assert (found["name"], found["version"]) == ("podman", "5.4.2")

    def test_the_probe_s_own_client_says_the_same(self, tmp_path: Path, engine: Callable[..., None]) -> None:
        """Without the docker SDK the probe reads the same facts, in whatever place the socket is."""
        devices = [{"Source": "cdi", "ID": "nvidia.com/gpu=all"}, {"Source": "cdi", "ID": "nvidia.com/gpu=0"}]
        engine(tmp_path / "docker.sock", info={**INFO, "DiscoveredDevices": devices})
        environ = {"XDG_RUNTIME_DIR": str(tmp_path)}
        if payload.is_socket("/var/run/docker.sock"):
            pytest.skip("this machine has an engine of its own")
        found = payload.ask(environ)
        assert found == DockerEngine(environ).facts()
        assert found["cdi_devices"] == ["nvidia.com/gpu=0", "nvidia.com/gpu=all"]

    @pytest.mark.parametrize("suffix", ["json", "yaml"])
    def test_cdi_devices_of_files(self, tmp_path: Path, engine: Callable[..., None], suffix: str) -> None:
        """An engine that does not list CDI devices itself is helped by the specifications on disk."""
        engine(tmp_path / "var/run/docker.sock", info={**INFO, "CDISpecDirs": ["/etc/cdi", "/none"]})
        specification = {"cdiVersion": "0.5.0", "kind": "nvidia.com/gpu", "devices": [{"name": "0"}, {"name": "all"}]}
        (tmp_path / "etc/cdi").mkdir(parents=True)
        text = (
            json.dumps(specification)
            if suffix == "json"
            else 'kind: nvidia.com/gpu\ndevices:\n- name: "0"\n- name: all\n'
        )
        (tmp_path / f"etc/cdi/nvidia.{suffix}").write_text(text)
        assert self.facts({}, tmp_path)["cdi_devices"] == ["nvidia.com/gpu=0", "nvidia.com/gpu=all"]
        (tmp_path / "etc/cdi/other.json").write_text("{")
        assert "missing" in self.facts({}, tmp_path)["cdi_devices"]

    def test_none(self, tmp_path: Path) -> None:
        """No endpoint is no error: looked, and there is none."""
        assert self.facts({}, tmp_path) == {"present": False}
        assert payload.ask({"XDG_RUNTIME_DIR": str(tmp_path)}) == {"present": False} or payload.is_socket(
            "/var/run/docker.sock"
        )

    @pytest.mark.parametrize("answer", [b"<html>no engine</html>", [], b"{", {"ApiVersion": 3}])
    def test_garbage(self, tmp_path: Path, engine: Callable[..., None], answer: Any) -> None:
        """Something else on the socket is a missing fact with one line of reason."""
        engine(tmp_path / "var/run/docker.sock", version=answer, info=answer)
        found = self.facts({}, tmp_path)
        assert "\n" not in found["missing"]
        assert str(tmp_path / "var/run/docker.sock") in found["missing"]

    def test_nobody_listens(self, tmp_path: Path) -> None:
        """A socket file without an engine behind it is a missing fact, for nobody knows what will be started there."""
        listen(tmp_path / "var/run/docker.sock")
        assert self.facts({}, tmp_path)["missing"].endswith("(socket): nobody is listening")

    def test_a_slow_engine_is_not_waited_for(self, tmp_path: Path, engine: Callable[..., None]) -> None:
        """The time limit holds."""
        engine(tmp_path / "var/run/docker.sock", delay=5.0)
        started = time.monotonic()
        found = self.facts({}, tmp_path, timeout=0.3)
        assert time.monotonic() - started < 3
        assert found["missing"].endswith("no answer in time")

    def test_permission_denied(self, tmp_path: Path) -> None:
        """A socket of another group is said as such."""
        listen(tmp_path / "var/run/docker.sock")
        (tmp_path / "var/run/docker.sock").chmod(0)
        if os.geteuid() == 0:
            pytest.skip("root may open every socket")
        assert self.facts({}, tmp_path)["missing"].endswith("permission denied")

    def test_offline_and_ssh(self, tmp_path: Path) -> None:
        """No network with --offline, and never a login over ssh; a password in the URL is not repeated."""
        tcp = {"DOCKER_HOST": "tcp://user:secret@10.255.255.1:2375"}
        reason = self.facts(tcp, tmp_path, offline=True)["missing"]
        assert "--offline" in reason
        assert "secret" not in reason
        assert "ssh" in self.facts({"DOCKER_HOST": "ssh://root@node"}, tmp_path)["missing"]

    def test_without_an_engine_the_sdk_is_not_imported(self, tmp_path: Path) -> None:
        """The docker SDK costs 87 ms and is imported only where there is an endpoint."""
        code = (
            "import sys; from doctor.io.engine import DockerEngine; DockerEngine({}, sys.argv[1]).facts();"
            "sys.exit('docker' in sys.modules)"
        )
        assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == 0
