"""Credentials as Docker itself finds them: ``config.json``, its credential store and its credential helpers."""

from __future__ import annotations

from typing import Any

from doctor.io.registry.hosts import DOCKER_HUB


def find(domain: str) -> tuple[str, str] | None:
    """User name and password for a registry; None where Docker's configuration holds none.

    A credential helper that fails counts as none: the registry then says what it wants.
    """
    import docker.auth  # noqa: PLC0415 -- 90 ms, and only a registry that asks for credentials needs it
    import docker.errors  # noqa: PLC0415

    try:
        found: Any = docker.auth.load_config().resolve_authconfig("docker.io" if domain == DOCKER_HUB else domain)
    except (docker.errors.DockerException, OSError, ValueError):
        return None
    if not isinstance(found, dict):
        return None
    user, password = found.get("username") or found.get("Username"), found.get("password") or found.get("Password")
    if found.get("IdentityToken") or found.get("identitytoken"):
        return "<token>", str(found.get("IdentityToken") or found.get("identitytoken"))
    return (str(user), str(password)) if user and password else None
