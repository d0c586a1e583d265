"""What a Python package index says of a project, and the few bytes of a wheel that are worth reading.

The index is the one that pip uses here; no host is named in this repository. A wheel of 600 MB is never downloaded:
its central directory and the wanted members are read by HTTP range requests, with a limit on the bytes in all.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from html.parser import HTMLParser
from urllib.error import URLError
from urllib.parse import unquote, urldefrag, urljoin, urlsplit
from urllib.request import Request, urlopen

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version
from remote_wheel import RemoteWheel

MAX_PAGE_BYTES = 64 * 1024 * 1024
ACCEPT = "application/vnd.pypi.simple.v1+json, text/html;q=0.5"
TIMEOUT_SECONDS = 60


class PackageIndexError(Exception):
    """The index could not be asked, or what it answered cannot be used; the text says which and where."""


@dataclass(frozen=True)
class Wheel:
    """One wheel file of one release, as the index lists it."""

    filename: str
    url: str
    version: Version
    python: str
    platforms: tuple[str, ...]
    requires_python: str | None
    yanked: bool
    has_metadata: bool


def configured_index() -> str:
    """The index address that pip would use: PIP_INDEX_URL, pip's configuration, else pip's own default."""
    if url := os.environ.get("PIP_INDEX_URL"):
        return url
    got = _pip("config", "get", "global.index-url")
    if got.returncode == 0 and got.stdout.strip():
        return got.stdout.strip()
    described = re.search(r"--index-url.*?\(default\s+(\S+?)\)", _pip("install", "--help").stdout, re.DOTALL)
    if described is None:
        raise PackageIndexError("pip names no package index: set PIP_INDEX_URL or give --index-url")
    return described.group(1)


def _pip(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pip", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT_SECONDS)


def get(url: str, headers: dict[str, str] | None = None, limit: int = MAX_PAGE_BYTES) -> bytes:
    """The body of one page, at most `limit` bytes; raises PackageIndexError with the address and the reason."""
    if urlsplit(url).scheme not in {"http", "https"}:
        raise PackageIndexError(f"{url}: not an http(s) address")
    try:
        with urlopen(Request(url, headers=headers or {}), timeout=TIMEOUT_SECONDS) as answer:
            body: bytes = answer.read(limit + 1)
    except (URLError, OSError) as error:
        raise PackageIndexError(f"{url}: {error}") from error
    if len(body) > limit:
        raise PackageIndexError(f"{url}: more than {limit} bytes")
    return body


def wheels(index: str, project: str) -> list[Wheel]:
    """All wheels of a project in the order of the index; files that are not valid wheels are left out."""
    page = f"{index.rstrip('/')}/{canonicalize_name(project)}/"
    body = get(page, {"Accept": ACCEPT})
    entries = _entries_of_json(body, page) if body.lstrip().startswith(b"{") else _entries_of_html(body)
    found = (_wheel(page, entry) for entry in entries)
    return [wheel for wheel in found if wheel is not None]


def _entries_of_json(body: bytes, page: str) -> list[dict[str, str | None]]:
    """The files of a PEP 691 page, in the words of PEP 503."""
    try:
        files = json.loads(body)["files"]
        return [
            {
                "filename": str(file["filename"]),
                "href": str(file["url"]),
                "data-requires-python": file.get("requires-python"),
                "data-yanked": "" if file.get("yanked") else None,
                "data-core-metadata": "true" if file.get("core-metadata") else None,
            }
            for file in files
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PackageIndexError(f"{page}: not a page of PEP 691: {error}") from error


class _Links(HTMLParser):
    """Collects the anchors of a PEP 503 page."""

    def __init__(self) -> None:
        super().__init__()
        self.entries: list[dict[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "a" and (href := found.get("href")):
            yanked = (found["data-yanked"] or "") if "data-yanked" in found else None
            filename = unquote(urlsplit(href).path.rpartition("/")[2])
            self.entries.append({**found, "filename": filename, "data-yanked": yanked})


def _entries_of_html(body: bytes) -> list[dict[str, str | None]]:
    links = _Links()
    links.feed(body.decode("utf-8", "replace"))
    return links.entries


def _wheel(page: str, entry: dict[str, str | None]) -> Wheel | None:
    filename = entry["filename"] or ""
    try:
        _, version, _, tags = parse_wheel_filename(filename)
    except (InvalidWheelFilename, InvalidVersion):
        return None
    return Wheel(
        filename=filename,
        url=urldefrag(urljoin(page, entry["href"] or "")).url,
        version=version,
        python=sorted({tag.interpreter for tag in tags})[0],
        platforms=tuple(sorted({tag.platform for tag in tags})),
        requires_python=entry.get("data-requires-python") or None,
        yanked=entry.get("data-yanked") is not None,
        has_metadata=entry.get("data-core-metadata") not in (None, "false"),
    )


def metadata(wheel: Wheel) -> str:
    """The METADATA text of a wheel: the file that the index keeps beside it (PEP 658), else out of the wheel.

    Pages of PEP 503 do not always announce that file, so it is asked for in any case.
    """
    try:
        return get(wheel.url + ".metadata").decode("utf-8", "replace")
    except PackageIndexError:
        if wheel.has_metadata:
            raise
    name, version, *_ = wheel.filename.split("-")
    return RemoteWheel(wheel.url).text(f"{name}-{version}.dist-info/METADATA")
