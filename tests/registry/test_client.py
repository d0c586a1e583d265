"""The registry client against a registry on loopback that answers rightly, wrongly, slowly or not at all."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from doctor.images.lookup import look_up
from doctor.images.reference import parse
from doctor.io.registry import hosts
from doctor.io.registry.client import RegistryClient
from doctor.io.registry.interface import NoAccess, NoAnswer, NotFound, RegistryError, Untrustworthy
from tests.registry.server import Fake, digest_of, serve


@pytest.fixture
def registry() -> Iterator[Fake]:
    """A registry with one image of two platforms, app:1."""
    with serve(Fake()) as fake:
        fake.add("app", "1")
        yield fake


def client(seconds: float = 5.0, user: tuple[str, str] | None = None) -> RegistryClient:
    """A client that finds these credentials and no others."""
    return RegistryClient(seconds, find_credentials=lambda _domain: user)


def test_tag_names_the_index_and_its_platforms(registry: Fake) -> None:
    """A tag is answered with the digest of the index, never of one platform; attestations are no platforms."""
    reference = parse(f"{registry.host}/app:1")
    expected = digest_of(registry.content["app/manifests/1"][1])
    assert client().describe(reference).digest == expected
    assert client().describe(reference).is_index
    manifest = client().manifest(reference)
    assert manifest.descriptor.digest == expected
    assert manifest.platforms == ("linux/amd64", "linux/arm64")
    assert manifest.of_platform("linux/arm64") != manifest.of_platform("linux/amd64")
    assert manifest.of_platform("linux/s390x") is None


@pytest.mark.parametrize(("auth", "user"), [("basic", ("user", "pass")), ("bearer", None)])
def test_authentication(registry: Fake, auth: str, user: tuple[str, str] | None) -> None:
    """Basic with Docker's credentials; a token, also an anonymous one, from the place that the registry names."""
    registry.auth = auth
    assert client(user=user).describe(parse(f"{registry.host}/app:1")).is_index


def test_no_credentials_is_no_access(registry: Fake) -> None:
    """Without credentials the outcome is no access, and the line says how to log in."""
    registry.auth = "basic"
    with pytest.raises(NoAccess, match="docker login"):
        client().describe(parse(f"{registry.host}/app:1"))


@pytest.mark.parametrize(
    ("how", "error", "words"),
    [
        (404, NotFound, "has no"),
        (403, NoAccess, "refuses access"),
        (500, NoAnswer, "answers 500"),
        ("html", Untrustworthy, "is it a registry"),
        ("wrong-digest", Untrustworthy, "not sha256:"),
        ("short", NoAnswer, "broke off"),
        ("redirect:http://169.254.169.254/latest", Untrustworthy, "not followed"),
        ("redirect:ftp://127.0.0.1/x", Untrustworthy, "not followed"),
        ("drip", NoAnswer, "too slow"),
        (401, NoAccess, "says of authentication only"),
        (429, NoAnswer, "answers 429"),
        ("busy", NoAnswer, "answers 429"),
    ],
)
def test_each_misbehaviour_has_its_own_outcome(
    registry: Fake, how: object, error: type[RegistryError], words: str
) -> None:
    """Wrong, refusing, lying, dripping and redirecting registries: one clear line, within the limit of time."""
    registry.behaviour["app/manifests/1"] = how
    started = time.monotonic()
    with pytest.raises(error, match=words):
        client(seconds=1.0).manifest(parse(f"{registry.host}/app:1"))
    assert time.monotonic() - started < 4


def test_a_layer_that_drips_after_a_fast_start_is_given_up(registry: Fake) -> None:
    """However much came at once: who then sends a byte now and then does not hold us up until the last one."""
    data = bytes(200_000)
    registry.content[f"app/blobs/{digest_of(data)}"] = ("application/octet-stream", data)
    registry.behaviour[f"app/blobs/{digest_of(data)}"] = "stall"
    started = time.monotonic()
    with pytest.raises(NoAnswer, match=r"too slow: [0-9]+ bytes"):
        list(client(seconds=1.0).stream(parse(f"{registry.host}/app:1"), digest_of(data)))
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b'{"config": {}, "x": "' + b"x" * 5_000_000 + b'"}', "larger than"),
        (b'{"config":' * 100_000, "no manifest was answered"),
        (b"[]", "no manifest was answered"),
        (b"\xff\xfe", "no manifest was answered"),
        (b"", "no manifest was answered"),
    ],
)
def test_manifests_that_are_none(registry: Fake, data: bytes, words: str) -> None:
    """Too large, nested too deep, of another form, no text, nothing."""
    registry.put("app", "odd", "application/vnd.oci.image.index.v1+json", data)
    with pytest.raises(Untrustworthy, match=words):
        client().manifest(parse(f"{registry.host}/app:odd"))


def test_endless_redirects_end(registry: Fake) -> None:
    """A registry that redirects to itself is given up."""
    registry.behaviour["app/manifests/1"] = f"redirect:http://{registry.host}/v2/app/manifests/1"
    with pytest.raises(Untrustworthy, match="redirects"):
        client().manifest(parse(f"{registry.host}/app:1"))


def test_credentials_do_not_follow_a_redirect_elsewhere(registry: Fake) -> None:
    """The authorization is sent to the registry's own host only."""
    with serve(Fake()) as other:
        registry.auth = "basic"
        other.content["app/manifests/1"] = registry.content["app/manifests/1"]
        registry.behaviour["app/manifests/1"] = f"redirect:http://{other.host}/v2/app/manifests/1"
        client(user=("user", "pass")).manifest(parse(f"{registry.host}/app:1"))
        assert [sent for _, sent in other.seen] == [None]


def test_busy_registry_is_asked_again(registry: Fake) -> None:
    """429 once, then the answer."""
    registry.behaviour["app/manifests/1"] = "busy-once"
    assert client().describe(parse(f"{registry.host}/app:1")).is_index


def test_nobody_listens() -> None:
    """No registry at that address is no answer, not no access."""
    with pytest.raises(NoAnswer, match=r"^127\.0\.0\.1:9: cannot be reached: Connection refused$"):
        client(seconds=2.0).describe(parse("127.0.0.1:9/app:1"))


@pytest.mark.parametrize(
    ("name", "proxy", "words"),
    [
        ("registry.invalid", None, "its name cannot be resolved"),
        ("registry.example", "http://127.0.0.1:9", "the proxy of"),
    ],
)
def test_why_a_registry_cannot_be_reached_is_said_plainly(
    monkeypatch: pytest.MonkeyPatch, name: str, proxy: str | None, words: str
) -> None:
    """One cause in words, no names of Python objects."""
    for variable in ("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(variable, raising=False)
    if proxy is not None:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(NoAnswer) as caught:
        client(seconds=5.0).describe(parse(f"{name}/app:1"))
    assert words in str(caught.value)
    assert "Connection(" not in str(caught.value)


def test_blob_is_checked_and_bounded(registry: Fake) -> None:
    """A blob's bytes are those of its digest, and no more than was asked for."""
    data = b"x" * 1000
    registry.content[f"app/blobs/{digest_of(data)}"] = ("application/octet-stream", data)
    reference = parse(f"{registry.host}/app:1")
    assert client().blob(reference, digest_of(data), 1000) == data
    with pytest.raises(Untrustworthy, match="larger than"):
        client().blob(reference, digest_of(data), 999)
    registry.content[f"app/blobs/{digest_of(data)}"] = ("application/octet-stream", b"y" * 1000)
    with pytest.raises(Untrustworthy, match="bytes of blob"):
        client().blob(reference, digest_of(data), 1000)


def test_plain_http_only_for_loopback_or_where_configured() -> None:
    """A registry on another host is asked over TLS alone, unless the user configured it."""
    assert [e.plain for e in hosts.endpoints("registry.example:5000")] == [False]
    assert [e.plain for e in hosts.endpoints("registry.example:5000", ("registry.example:5000",))] == [True]
    assert [e.plain for e in hosts.endpoints("localhost:5000")] == [True]
    assert [e.plain for e in hosts.endpoints("127.0.0.1.example:5000")] == [False]


@pytest.mark.parametrize(
    ("host", "plain"),
    [
        ("10.1.2.3:5000", True),
        ("11.1.2.3:5000", False),
        ("10.example:5000", False),
        ("reg.example:5000", True),
        ("reg.example:5001", False),
        ("[fd00::7]:5000", True),
    ],
)
def test_dockers_own_list_of_registries_without_tls(tmp_path: Path, host: str, plain: bool) -> None:
    """``insecure-registries`` of the engine's configuration: hosts, and networks of addresses; nonsense is none."""
    file = tmp_path / "daemon.json"
    words = ["10.0.0.1/8", "reg.example:5000", "fd00::/16", "x/y", 5]
    file.write_text(json.dumps({"insecure-registries": words}))
    assert [e.plain for e in hosts.endpoints(host, daemon_files=(file,))] == [plain]


def test_look_up_tells_the_outcomes_apart(registry: Fake) -> None:
    """A tag, a digest that exists, one that does not, no such tag, nobody there; stages are not asked about."""
    digest = digest_of(registry.content["app/manifests/1"][1])
    gone = "sha256:" + "0" * 64
    texts = ["app:1", f"app:1@{digest}", f"app@{gone}", "app:2"]
    rows = [{"reference": f"{registry.host}/{text}", "pinned": "tag"} for text in texts]
    rows += [{"reference": "127.0.0.1:9/app:1", "pinned": "tag"}, {"reference": "build", "pinned": "stage"}]
    answers = [row.get("registry") for row in look_up(rows, client)]
    assert [a and a.get("outcome") for a in answers] == ["ok", "ok", "not-found", "not-found", "no-network", None]
    assert answers[0]["tag_digest"] == digest
    assert answers[1]["digest_exists"] is True
    assert answers[2]["digest_exists"] is False


def test_look_up_is_over_in_time(registry: Fake) -> None:
    """Forty references, one of them dripping: the whole look-up ends in time, each with an answer or a reason."""
    for n in range(40):
        registry.add("app", f"v{n}")
        registry.behaviour[f"app/manifests/v{n}"] = "html"
    registry.behaviour["app/manifests/v0"] = "drip"
    rows = [{"reference": f"{registry.host}/app:v{n}", "pinned": "tag"} for n in range(40)]
    started = time.monotonic()
    found = look_up(rows, lambda: client(seconds=30), seconds=1.0)
    assert time.monotonic() - started < 5.0  # the limit is 1 s; the rest is for a busy machine; the drip lasts 30 s
    assert len(found) == 40
    assert all("registry" in row for row in found)
