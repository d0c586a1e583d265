"""What an image says of itself: its configuration, as a registry, an archive or an engine has it, and its facts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from doctor.collect import software
from doctor.errors import TargetError

MAX_VARIABLES = 2000
MAX_LABELS = 200
BASE_NAME, BASE_DIGEST = "org.opencontainers.image.base.name", "org.opencontainers.image.base.digest"
_DIGEST = re.compile(r"^sha256:[0-9a-f]{64}$")


@dataclass(frozen=True)
class ImageConfig:
    """The configuration of one platform's image. ``layers`` are the digests of the unpacked layers (diff ids)."""

    environment: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    platform: str | None = None
    layers: tuple[str, ...] = ()
    user: str = ""

    @property
    def architecture(self) -> str | None:
        """The machine as ``uname -m`` says."""
        names = {"amd64": "x86_64", "arm64": "aarch64", "386": "i386"}
        word = (self.platform or "").split("/")[1:2]
        return names.get(word[0], word[0]) if word else None


@dataclass(frozen=True)
class Identity:
    """How an image is called. ``id`` as engines have it, ``digest`` as the registry has it."""

    reference: str | None = None
    id: str | None = None
    digest: str | None = None
    repo_digests: tuple[str, ...] | None = None
    base: tuple[str, str | None] | None = None


def of_document(document: Any, name: str) -> ImageConfig:
    """The configuration out of a registry's or archive's document; ``name`` is what errors call it.

    Raises:
        TargetError: the document is none, or is not for an image with files in it.
    """
    if not isinstance(document, dict) or not isinstance(document.get("rootfs"), dict):
        raise TargetError(f"{name}: no image: its configuration names no layers")
    layers = document["rootfs"].get("diff_ids") or []
    if not isinstance(layers, list) or not all(isinstance(one, str) and _DIGEST.match(one) for one in layers):
        raise TargetError(f"{name}: its configuration names layers by what is no SHA-256 digest")
    inner = document.get("config")
    parts = (document.get("os"), document.get("architecture"), document.get("variant"))
    return _config(inner if isinstance(inner, dict) else {}, parts, layers)


def of_inspection(document: Mapping[str, Any]) -> ImageConfig:
    """The configuration out of what an engine's inspection of an image says."""
    inner = document.get("Config")
    rootfs = document.get("RootFS")
    layers = rootfs.get("Layers") if isinstance(rootfs, dict) else None
    parts = (document.get("Os"), document.get("Architecture"), document.get("Variant"))
    return _config(inner if isinstance(inner, dict) else {}, parts, listed(layers))


def _config(inner: Mapping[str, Any], platform: Iterable[Any], layers: Iterable[Any]) -> ImageConfig:
    labels = inner.get("Labels")
    words = [str(part) for part in platform if part]
    return ImageConfig(
        variables(inner.get("Env")),
        {str(k): str(v) for k, v in list(labels.items())[:MAX_LABELS]} if isinstance(labels, dict) else {},
        "/".join(words)[:100] if len(words) > 1 else None,
        tuple(str(one) for one in layers),
        str(inner.get("User") or ""),
    )


def listed(value: Any) -> list[Any]:
    """A list out of somebody else's document; nothing where it is none."""
    return value if isinstance(value, list) else []


def variables(rows: Any) -> dict[str, str]:
    """``NAME=value`` rows as a mapping; of two rows of a name the later counts."""
    pairs = (str(row).partition("=") for row in listed(rows)[:MAX_VARIABLES])
    return {name: value for name, _, value in pairs if name}


def section(config: ImageConfig, identity: Identity) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """The contract's ``software.image``, and what was left out of it."""
    view = software.View(software.FileSystem())
    labels = {}
    for name, value in config.labels.items():
        if software.FORBIDDEN_NAME.search(name) or software.SECRET_VALUE.search(value):
            view.gap(f"software.image.labels.{name}", "left out: it looks like a secret")
        else:
            labels[name] = value
    facts: dict[str, Any] = {
        "labels": labels,
        "environment": software.describe_environment(view, config.environment),
        "layers": list(config.layers),
    }
    told: tuple[tuple[str, str | None], ...] = (
        ("reference", identity.reference),
        ("id", identity.id),
        ("digest", identity.digest),
        ("platform", config.platform),
    )
    facts.update({key: value for key, value in told if value is not None})
    if identity.repo_digests is not None:
        facts["repo_digests"] = list(identity.repo_digests)
    base = _base(config, identity)
    if base:
        facts["base"] = base
    return software.tidy(facts), view.gaps


def _base(config: ImageConfig, identity: Identity) -> dict[str, str]:
    name, digest = config.labels.get(BASE_NAME), config.labels.get(BASE_DIGEST)
    found = {}
    if name:
        found["name"] = name
    if digest and _DIGEST.match(digest):
        found["digest"] = digest
    if not found and identity.base is not None:
        found["name"] = identity.base[0]
        if identity.base[1]:
            found["digest"] = identity.base[1]
    return found


def home_of(files: software.FileSystem, user: str) -> str | None:
    """The home folder that an engine gives the image's user, by the image's own ``/etc/passwd``; None where unknown."""
    wanted = user.partition(":")[0] or "0"
    text = software.View(files).text("/etc/passwd") or ""
    for line in text.splitlines()[:10000]:
        fields = line.split(":")
        if len(fields) >= 7 and wanted in (fields[0], fields[2]) and fields[5].startswith("/"):
            return fields[5]
    return None
