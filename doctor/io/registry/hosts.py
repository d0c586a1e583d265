"""Where a registry really listens: Docker Hub's host, mirrors, plain HTTP, private certificate authorities."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DOCKER_HUB = "docker.io"
DOCKER_HUB_HOST = "registry-1.docker.io"
DAEMON_FILES = (Path("/etc/docker/daemon.json"),)
CERTIFICATES = Path("/etc/docker/certs.d")
MAX_FILE = 1 << 20


@dataclass(frozen=True)
class Endpoint:
    """A host that may answer for a domain. ``ca`` and ``client`` are files for TLS; ``plain`` allows http."""

    host: str
    plain: bool = False
    ca: str | None = None
    client: tuple[str, str] | None = None
    mirror: bool = False


def endpoints(
    domain: str, plain_http: tuple[str, ...] = (), daemon_files: tuple[Path, ...] = DAEMON_FILES
) -> list[Endpoint]:
    """The hosts to ask for a domain, mirrors first. Plain HTTP only for loopback or where the user configured it."""
    daemon = _daemon(daemon_files)
    insecure = (*plain_http, *_texts(daemon.get("insecure-registries")))
    found = []
    if domain == DOCKER_HUB:
        for url in _texts(daemon.get("registry-mirrors")):
            scheme, _, rest = url.partition("://")
            host = (rest or scheme).strip("/")
            found.append(_endpoint(host, plain=scheme == "http" and _is_insecure(host, insecure), mirror=True))
    host = DOCKER_HUB_HOST if domain == DOCKER_HUB else domain
    return [*found, _endpoint(host, plain=_is_insecure(host, insecure))]


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    address = _address(host)
    return address.is_loopback if address is not None else _name(host) == "localhost"


def _is_insecure(host: str, insecure: tuple[str, ...]) -> bool:
    """Whether a host may be asked without TLS: this machine, or one that the user names, by its network as well."""
    if is_loopback(host) or host in insecure:
        return True
    address = _address(host)
    return address is not None and any(address in network for word in insecure if (network := _network(word)))


def _name(host: str) -> str:
    """A host without its port."""
    name = host.rsplit(":", 1)[0] if host.count(":") == 1 or host.startswith("[") else host
    return name.strip("[]")


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(_name(host))
    except ValueError:
        return None


def _network(word: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """The network that Docker's ``insecure-registries`` may name (``10.0.0.0/8``)."""
    try:
        return ipaddress.ip_network(word, strict=False) if "/" in word else None
    except ValueError:
        return None


def _endpoint(host: str, *, plain: bool, mirror: bool = False) -> Endpoint:
    folder = CERTIFICATES / host
    ca = next((str(path) for path in sorted(folder.glob("*.crt"))), None) if folder.is_dir() else None
    client = None
    if folder.is_dir():
        for certificate in sorted(folder.glob("*.cert")):
            key = certificate.with_suffix(".key")
            if key.is_file():
                client = (str(certificate), str(key))
    return Endpoint(host, plain, ca, client, mirror)


def _daemon(files: tuple[Path, ...]) -> Mapping[str, Any]:
    for path in files:
        try:
            with path.open("rb") as file:
                document = json.loads(file.read(MAX_FILE))
        except (OSError, ValueError, RecursionError):
            continue
        if isinstance(document, dict):
            return document
    return {}


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()
