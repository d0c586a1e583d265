"""The container engine: which one answers, and what it can do. For more of it there are `find_endpoint`, `connect`."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from doctor.payloads.engine import MAX_LIST, describe, is_socket, usual_sockets

SECONDS = 1.0
MAX_FILE = 1 << 20
CDI_FOLDERS = ("/etc/cdi", "/var/run/cdi")


class EngineError(Exception):
    """No engine could be asked; the text says which endpoint and why, in one line."""


@dataclass(frozen=True)
class Endpoint:
    """Where an engine listens.

    `url` is a URL of the docker SDK; `origin` says who named it ("DOCKER_HOST", "context x", "socket"); `tls` is the
    folder with ca.pem, cert.pem and key.pem where the endpoint wants them.
    """

    url: str
    origin: str
    tls: Path | None = None

    def __str__(self) -> str:
        """For a person: without a user's name or password, with who named it."""
        return f"{self.shown} ({self.origin})"

    @property
    def shown(self) -> str:
        """The URL without a user's name or password."""
        return re.sub(r"//[^/@]*@", "//", self.url)

    @property
    def local(self) -> bool:
        """Whether it is a socket file of this machine, which is no network."""
        return self.url.startswith(("unix://", "npipe://"))

    @property
    def socket(self) -> Path | None:
        """The socket file of a `unix://` endpoint."""
        return Path(urlsplit(self.url).path) if self.url.startswith("unix://") else None


class Engine(Protocol):
    """Who can be asked about the container engine."""

    def facts(self) -> dict[str, Any]:
        """The contract's `machine.engine`; never raises."""
        ...


class DockerEngine:
    """The real one, over the docker SDK, which is imported only where there is an endpoint to ask.

    `timeout` is in seconds and holds for each of the two questions. `offline` leaves an engine behind a network alone.
    """

    def __init__(
        self,
        environ: Mapping[str, str] | None = None,
        root: str = "/",
        timeout: float = SECONDS,
        offline: bool = False,
    ) -> None:
        self.environ = os.environ if environ is None else environ
        self.root = root
        self.timeout = timeout
        self.offline = offline

    def facts(self) -> dict[str, Any]:
        """Name, version, runtimes, CDI devices and cgroup driver; `{"present": False}` where no engine is set up."""
        endpoint = find_endpoint(self.environ, self.root)
        if endpoint is None:
            return {"present": False}
        if self.offline and not endpoint.local:
            return {"missing": f"{endpoint} is not asked with --offline"}
        try:
            client = connect(endpoint, self.timeout)
        except EngineError as error:
            return {"missing": str(error)}
        try:
            version, info = client.version(), client.info()
        except Exception as error:  # the SDK lets through what requests, urllib3 and json raise
            return {"missing": f"{endpoint}: {_one_line(error)}"}
        finally:
            client.close()
        if not isinstance(version, dict) or not isinstance(info, dict):
            return {"missing": f"{endpoint}: the answer is not the Docker API's"}
        result = {"present": True, "endpoint": endpoint.shown, **describe(version, info)}
        if endpoint.local:
            result.setdefault("cdi_devices", cdi_of_files(info, self.root))
        return result


def find_endpoint(environ: Mapping[str, str], root: str = "/") -> Endpoint | None:
    """The endpoint: DOCKER_HOST, else the current `docker context`, else the first usual socket that exists, else None.

    Reads files only, and connects to nothing. `root` is the folder that stands for "/".
    """
    if host := environ.get("DOCKER_HOST"):
        certificates = environ.get("DOCKER_CERT_PATH")
        tls = Path(certificates) if certificates and environ.get("DOCKER_TLS_VERIFY") else None
        return Endpoint(host, "DOCKER_HOST", tls)
    configuration = _configuration_folder(environ)
    context = environ.get("DOCKER_CONTEXT") or _json(configuration / "config.json").get("currentContext")
    if isinstance(context, str) and context not in ("", "default"):
        return _context(configuration, context)
    for path in usual_sockets(environ):
        if is_socket(place := str(Path(root, path.lstrip("/")))):
            return Endpoint("unix://" + place, "socket")
    return None


def connect(endpoint: Endpoint, timeout: float = SECONDS) -> Any:
    """A docker SDK client for the endpoint, not yet spoken to. `timeout` in seconds. Raises `EngineError`."""
    if endpoint.url.startswith("ssh://"):
        raise EngineError(f"{endpoint}: an engine behind ssh is not asked")
    socket = endpoint.socket
    if socket is not None and not os.access(socket, os.R_OK | os.W_OK):
        reason = "permission denied" if socket.exists() else "there is no such socket"
        raise EngineError(f"{endpoint}: {reason}")
    import docker  # noqa: PLC0415 -- 87 ms

    tls: Any = False
    try:
        if endpoint.tls is not None:
            tls = docker.tls.TLSConfig(
                client_cert=(str(endpoint.tls / "cert.pem"), str(endpoint.tls / "key.pem")),
                ca_cert=str(endpoint.tls / "ca.pem"),
                verify=True,
            )
        # a fixed API version would be refused by engines that are older or newer; the SDK asks once
        return docker.DockerClient(base_url=endpoint.url, timeout=timeout, tls=tls, version="auto")
    except Exception as error:
        raise EngineError(f"{endpoint}: {_one_line(error)}") from error


def cdi_of_files(info: Mapping[str, Any], root: str = "/") -> list[str] | dict[str, str]:
    """CDI devices ("nvidia.com/gpu=0") as the specifications on disk have them, for engines that do not list them."""
    told = info.get("CDISpecDirs")
    folders = [f for f in told if isinstance(f, str)] if isinstance(told, list) and told else list(CDI_FOLDERS)
    found: set[str] = set()
    for folder in folders:
        for path in sorted(Path(root, folder.lstrip("/")).glob("*"))[:MAX_LIST]:
            if path.suffix not in (".json", ".yaml", ".yml"):
                continue
            specification = _specification(path)
            if specification is None:
                return {"missing": f"{path}: not a CDI specification that can be read"}
            found |= specification
    return sorted(found)[:MAX_LIST]


def _specification(path: Path) -> set[str] | None:
    try:
        with path.open("rb") as file:
            text = file.read(MAX_FILE).decode("utf-8")
        if path.suffix == ".json":
            data = json.loads(text)
        else:
            from ruamel.yaml import YAML  # noqa: PLC0415 -- only where there is such a file

            data = YAML(typ="safe", pure=True).load(text)
        return {f"{data['kind']}={device['name']}" for device in data["devices"]}
    except Exception:  # a hostile or foreign file; which way it is broken does not matter here
        return None


def _configuration_folder(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("DOCKER_CONFIG") or Path(environ.get("HOME") or "/", ".docker"))


def _context(configuration: Path, name: str) -> Endpoint | None:
    """The endpoint of a named context: contexts/meta/<sha256 of the name>/meta.json, as the docker CLI stores it."""
    key = hashlib.sha256(name.encode()).hexdigest()
    endpoints = _json(configuration / "contexts" / "meta" / key / "meta.json").get("Endpoints")
    docker = endpoints.get("docker") if isinstance(endpoints, dict) else None
    host = docker.get("Host") if isinstance(docker, dict) else None
    if not isinstance(host, str) or not host:
        return None
    tls = configuration / "contexts" / "tls" / key / "docker"
    return Endpoint(host, f"context {name}", tls if (tls / "ca.pem").is_file() else None)


def _json(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            data = json.loads(file.read(MAX_FILE))
    except (OSError, ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def _one_line(error: Exception) -> str:
    text = str(error)
    if "timed out" in text.lower() or "timeout" in type(error).__name__.lower():
        return "no answer in time"
    for sign, words in (
        ("Permission denied", "permission denied"),
        ("Connection refused", "nobody is listening"),
        ("No such file", "there is no such socket"),
    ):
        if sign in text:
            return words
    return re.sub(r"\s+", " ", text)[:200] or type(error).__name__
