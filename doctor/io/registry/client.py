"""The real registry: token and basic authentication, bounded answers, retries, and every byte checked by its digest."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

import requests
import urllib3.exceptions

from doctor.images.reference import Reference
from doctor.io.registry import credentials
from doctor.io.registry.hosts import Endpoint, endpoints, is_loopback
from doctor.io.registry.interface import (
    ACCEPT,
    INDEX_TYPES,
    MANIFEST_TYPES,
    Descriptor,
    Manifest,
    NoAccess,
    NoAnswer,
    NotFound,
    RegistryError,
    Untrustworthy,
)

MAX_MANIFEST = 4 * 1024 * 1024
MAX_TOKEN = 256 * 1024
MAX_REDIRECTS = 5
CHUNK = 64 * 1024
SLOW = 64 * 1024  # bytes a second: what comes slower than that when its time is over is given up
RETRIES = 3
BUSY = (429, 500, 502, 503, 504)
_CHALLENGE = re.compile(r'([a-zA-Z_]+)="([^"]*)"')
_DIGEST = re.compile(r"^sha256:[0-9a-f]{64}$")

Credentials = Callable[[str], "tuple[str, str] | None"]


class RegistryClient:
    """A :class:`doctor.io.registry.interface.Registry` over HTTP.

    ``seconds`` bounds each question as a whole, its retries, tokens and redirects included; ``plain_http`` names hosts
    for which the user allows http. Not safe for use by several threads at once: each takes a client of its own.
    """

    def __init__(
        self, seconds: float = 10.0, plain_http: tuple[str, ...] = (), find_credentials: Credentials = credentials.find
    ) -> None:
        self.seconds = seconds
        self.plain_http = plain_http
        self.find_credentials = find_credentials
        self.session = requests.Session()
        self._authorization: dict[tuple[str, str], str] = {}

    def describe(self, reference: Reference) -> Descriptor:
        """What the tag, or the digest where there is one, names now."""
        response = self._ask("HEAD", reference, f"manifests/{reference.digest or reference.tag or 'latest'}")
        with response:
            media_type = response.headers.get("Content-Type", "").split(";")[0].strip()
            digest = response.headers.get("Docker-Content-Digest", "")
            length = response.headers.get("Content-Length", "")
        if media_type not in (*INDEX_TYPES, *MANIFEST_TYPES) or not _DIGEST.match(digest):
            return self.manifest(reference).descriptor  # an old registry, or none: its bytes will tell
        if reference.digest and digest != reference.digest:
            raise Untrustworthy(f"{reference.domain} answered {digest} when asked for {reference.digest}")
        return Descriptor(digest, media_type, int(length) if length.isdigit() else None)

    def manifest(self, reference: Reference) -> Manifest:
        """The manifest or index, checked against the digest asked for and the one that the registry named."""
        response = self._ask("GET", reference, f"manifests/{reference.digest or reference.tag or 'latest'}")
        with response:
            body = self._body(response, MAX_MANIFEST)
            named = response.headers.get("Docker-Content-Digest")
            media_type = response.headers.get("Content-Type", "").split(";")[0].strip()
        digest = "sha256:" + hashlib.sha256(body).hexdigest()
        for claimed in (reference.digest, named):
            if claimed and claimed.startswith("sha256:") and claimed != digest:
                raise Untrustworthy(
                    f"{reference.domain}: the manifest of {reference.familiar} is {digest}, not {claimed}"
                )
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict) or not ("manifests" in document or "config" in document):
            raise Untrustworthy(
                f"{reference.domain}: no manifest was answered for {reference.familiar}; is it a registry?"
            )
        if media_type not in (*INDEX_TYPES, *MANIFEST_TYPES):
            media_type = str(
                document.get("mediaType") or (INDEX_TYPES if "manifests" in document else MANIFEST_TYPES)[0]
            )
        return Manifest(Descriptor(digest, media_type, len(body)), document)

    def blob(self, reference: Reference, digest: str, limit: int) -> bytes:
        """A small blob, checked; at most ``limit`` bytes."""
        data = bytearray()
        for piece in self.stream(reference, digest):
            data += piece
            if len(data) > limit:
                raise Untrustworthy(f"{reference.domain}: blob {digest} is larger than {limit} bytes")
        return bytes(data)

    def stream(self, reference: Reference, digest: str) -> Iterator[bytes]:
        """A blob piece by piece; raises ``Untrustworthy`` at the end where its bytes are not those of the digest."""
        if not _DIGEST.match(digest):
            raise Untrustworthy(f"{reference.domain}: {digest[:80]!r} is no SHA-256 digest")
        seen = hashlib.sha256()
        with self._ask("GET", reference, f"blobs/{digest}") as response:
            for piece in self._pieces(response):
                seen.update(piece)
                yield piece
        if "sha256:" + seen.hexdigest() != digest:
            raise Untrustworthy(f"{reference.domain}: the bytes of blob {digest} are others")

    # --- one question ---------------------------------------------------------------------------------------------

    def _ask(self, method: str, reference: Reference, what: str) -> requests.Response:
        deadline = time.monotonic() + self.seconds
        if not reference.domain:
            raise NoAnswer(
                f"{reference.path.partition('/')[0]!r} is no name of a host: {reference.familiar} is nowhere"
            )
        failure: RegistryError = NoAnswer(f"{reference.domain}: not asked")
        for endpoint in endpoints(reference.domain, self.plain_http):
            try:
                return self._ask_endpoint(endpoint, method, reference, what, deadline)
            except RegistryError as error:
                failure = error
                if not endpoint.mirror:
                    raise
        raise failure

    def _ask_endpoint(
        self, endpoint: Endpoint, method: str, reference: Reference, what: str, deadline: float
    ) -> requests.Response:
        schemes = ("https", "http") if endpoint.plain else ("https",)
        for scheme in schemes:
            url = f"{scheme}://{endpoint.host}/v2/{reference.path}/{what}"
            try:
                return self._ask_url(endpoint, method, url, reference, deadline)
            except requests.exceptions.SSLError as error:
                if scheme == schemes[-1]:
                    raise NoAnswer(f"{endpoint.host}: TLS failed: {_short_tls(error)}") from None
            except requests.exceptions.ConnectionError as error:
                if scheme == schemes[-1]:
                    raise NoAnswer(f"{endpoint.host}: cannot be reached: {_short(error)}") from None
            except requests.exceptions.Timeout:
                raise NoAnswer(f"{endpoint.host}: no answer within {self.seconds:g} s") from None
            except (requests.exceptions.RequestException, ValueError) as error:
                raise NoAnswer(f"{endpoint.host}: {_short(error)}") from None
        raise NoAnswer(f"{endpoint.host}: not asked")

    def _ask_url(
        self, endpoint: Endpoint, method: str, url: str, reference: Reference, deadline: float
    ) -> requests.Response:
        scope = f"repository:{reference.path}:pull"
        pause, asked_again = 0.2, False
        for attempt in range(RETRIES):
            response = self._send(endpoint, method, url, self._authorization.get((endpoint.host, scope)), deadline)
            if response.status_code == 401 and not asked_again:
                asked_again = True
                challenge = response.headers.get("WWW-Authenticate", "")
                response.close()
                self._authorize(endpoint, challenge, reference, scope, deadline)
                response = self._send(endpoint, method, url, self._authorization.get((endpoint.host, scope)), deadline)
            if response.status_code not in BUSY or attempt == RETRIES - 1:
                break
            wait = _retry_after(response) or pause
            response.close()
            if time.monotonic() + wait >= deadline:
                break
            time.sleep(wait)
            pause *= 2
        _check_status(response, endpoint.host, reference)
        return response

    def _send(
        self, endpoint: Endpoint, method: str, url: str, authorization: str | None, deadline: float
    ) -> requests.Response:
        """One request with its redirects; the authorization goes to the registry's own host only."""
        host = urlsplit(url).netloc
        for _ in range(MAX_REDIRECTS):
            left = deadline - time.monotonic()
            if left <= 0:
                raise requests.exceptions.Timeout
            headers = {"Accept": ACCEPT if "/manifests/" in url else "*/*", "Accept-Encoding": "identity"}
            if authorization and urlsplit(url).netloc == host:
                headers["Authorization"] = authorization
            response = self.session.request(
                method,
                url,
                headers=headers,
                timeout=(min(left, 5.0), min(left, 10.0)),
                stream=True,
                allow_redirects=False,
                verify=endpoint.ca or True,
                cert=endpoint.client,
                auth=_no_auth,
            )
            response.deadline = deadline  # type: ignore[attr-defined]
            target = response.headers.get("Location")
            if response.status_code not in (301, 302, 303, 307, 308) or not target:
                return response
            response.close()
            following = urljoin(url, target)
            scheme, where = urlsplit(following).scheme, urlsplit(following).hostname or ""
            if scheme != "https" and not (scheme == "http" and url.startswith("http:") and is_loopback(where)):
                raise Untrustworthy(f"{host}: redirects to {scheme}://{where}, which is not followed")
            url = following
        raise Untrustworthy(f"{host}: more than {MAX_REDIRECTS} redirects")

    # --- authentication -------------------------------------------------------------------------------------------

    def _authorize(self, endpoint: Endpoint, challenge: str, reference: Reference, scope: str, deadline: float) -> None:
        """Take the registry at its word: Basic with Docker's credentials, or a token from the place that it names."""
        found = self.find_credentials(reference.domain)
        kind = challenge.split(" ", 1)[0].lower()
        if kind == "basic":
            if found is None:
                raise NoAccess(f"{endpoint.host} wants a user name and password: docker login {reference.domain}")
            self._authorization[endpoint.host, scope] = _basic(found)
            return
        told = dict(_CHALLENGE.findall(challenge))
        realm = told.get("realm", "")
        parts = urlsplit(realm)
        if kind != "bearer" or not (parts.scheme == "https" or (parts.scheme == "http" and endpoint.plain)):
            raise NoAccess(f"{endpoint.host} refuses access, and says of authentication only {challenge[:80]!r}")
        if not parts.hostname:
            raise NoAccess(f"{endpoint.host} names no place for tokens")
        query = urlencode({"service": told.get("service", ""), "scope": told.get("scope") or scope})
        response = self._send(
            Endpoint(parts.netloc, endpoint.plain, endpoint.ca, endpoint.client),
            "GET",
            f"{realm}{'&' if parts.query else '?'}{query}",
            _basic(found) if found and found[0] != "<token>" else None,
            deadline,
        )
        with response:
            if response.status_code in (401, 403):
                raise NoAccess(
                    f"{parts.hostname} refuses a token for {reference.familiar}: docker login {reference.domain}"
                )
            _check_status(response, parts.netloc, reference)
            try:
                document = json.loads(self._body(response, MAX_TOKEN))
                token = document.get("token") or document["access_token"]
            except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
                raise NoAccess(f"{parts.hostname} answered no token") from None
        self._authorization[endpoint.host, scope] = f"Bearer {token}"

    # --- bounded reading ------------------------------------------------------------------------------------------

    def _body(self, response: requests.Response, limit: int) -> bytes:
        data = bytearray()
        for piece in self._pieces(response):
            data += piece
            if len(data) > limit:
                raise Untrustworthy(f"{urlsplit(response.url).netloc}: the answer is larger than {limit} bytes")
        return bytes(data)

    def _pieces(self, response: requests.Response) -> Iterator[bytes]:
        """The body in pieces, until its deadline: a server that drips bytes does not hold us up."""
        host = urlsplit(response.url).netloc
        promised = response.headers.get("Content-Length", "")
        deadline = getattr(response, "deadline", time.monotonic() + self.seconds)
        got = 0
        try:
            while piece := response.raw.read1(CHUNK):
                got += len(piece)
                yield piece
                now = time.monotonic()
                taken = now - deadline + self.seconds  # since the question, what reading it took us included
                if now > deadline and got < SLOW * taken:
                    raise NoAnswer(f"{host}: too slow: {got} bytes within {taken:.0f} s")
        except urllib3.exceptions.HTTPError as error:
            raise NoAnswer(f"{host}: broke off after {got} bytes: {_short(error)}") from None
        if promised.isdigit() and got != int(promised) and response.request.method != "HEAD":
            raise Untrustworthy(f"{host}: {got} bytes came, {promised} were promised")


def _check_status(response: requests.Response, host: str, reference: Reference) -> None:
    code = response.status_code
    if code < 300:
        return
    response.close()
    if code == 404:
        raise NotFound(f"{host} has no {reference.familiar}")
    if code in (401, 403):
        raise NoAccess(
            f"{host} refuses access to {reference.familiar}, or it does not exist: docker login {reference.domain}"
        )
    raise NoAnswer(f"{host} answers {code} for {reference.familiar}")


def _basic(found: tuple[str, str]) -> str:
    import base64  # noqa: PLC0415

    return "Basic " + base64.b64encode(f"{found[0]}:{found[1]}".encode()).decode()


def _no_auth(request: Any) -> Any:
    """Keep requests from taking credentials out of ~/.netrc: only Docker's own are sent."""
    return request


def _retry_after(response: requests.Response) -> float | None:
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isdigit() else None


def _short_tls(error: Exception) -> str:
    """OpenSSL's own words, without the three libraries' that wrap them; what to do where there is no TLS at all."""
    text = str(error)
    if "WRONG_VERSION_NUMBER" in text or "HTTP_REQUEST" in text or "record layer failure" in text:
        return "it speaks plain HTTP; if that is meant: --plain-http-registries"
    found = re.search(r"\[SSL[^\]]*\] ([^()\"']{1,160})", text)
    return found[1].strip() if found else _short(error)


def _short(error: Exception) -> str:
    """The innermost cause in plain words, without the names of the objects that carried it."""
    outer = error.args[0] if error.args and isinstance(error.args[0], Exception) else error
    text = str(getattr(outer, "reason", None) or outer)
    if "Failed to resolve" in text or "Name or service not known" in text:
        return "its name cannot be resolved"
    if "connect to proxy" in text:
        return "the proxy of the environment (HTTPS_PROXY, NO_PROXY) cannot be reached"
    text = re.sub(r"<[^>]*object at 0x[0-9a-f]+>:? ?|HTTPS?Connection(?:Pool)?\([^)]*\): ?", "", text)
    return re.sub(r"^.*\[Errno -?\d+\] ", "", text, flags=re.DOTALL)[:160]
