"""One requirement as pip, conda or apt writes it, and whether it names exactly one version.

Exact, as the contract has it: ``==`` or ``===`` without a wildcard, a direct URL with hash or commit, conda's exact
version, apt's ``=version``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote, urlsplit, urlunsplit

from packaging.requirements import InvalidRequirement
from packaging.requirements import Requirement as Pep508
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from doctor.collect.software import hide_secrets
from doctor.project.found import Requirement

# a requirement is a line that people write; what is longer is data
_LONGEST = 4096
_URL = re.compile(r"(?:[a-z][a-z0-9+.-]*\+)?[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_LOCAL = re.compile(r"(?:\.{0,2}/|[A-Za-z]:[\\/]|file:|~/|\.\.?$|\.\.?\[)|.*\.(?:whl|zip|tar\.gz|tgz|tar\.bz2)$")
_COMMIT = re.compile(
    r"@[0-9a-f]{40}(?:[0-9a-f]{24})?(?:$|#)|/archive/[0-9a-f]{40}\.(?:zip|tar\.gz)(?:$|#)", re.IGNORECASE
)
# what GitHub and its like make of a repository at a commit, a tag or a branch
_ARCHIVE = re.compile(r"/([^/]+)/(?:archive|zipball|tarball)/.")
_URL_HASH = re.compile(r"[#&](?:sha(?:224|256|384|512)|md5|sha1)=[0-9a-f]{32,}", re.IGNORECASE)
_CONDA = re.compile(
    r"""(?:[^\s:]+::)?                       # channel
        (?P<name>[A-Za-z0-9_][A-Za-z0-9._-]*)
        (?:\[(?P<bracket>[^\]]*)\])?
        \s*(?P<rest>.*)$""",
    re.VERBOSE,
)
_BRACKET_VERSION = re.compile(r"version=['\"]?([^,'\"]+)")
_CONDA_FULL = re.compile(r"\d+(?:\.\d+){2,}[A-Za-z0-9._+!-]*$")
_APT = re.compile(r"(?P<name>[a-z0-9][a-z0-9+.-]*)(?::[a-z0-9-]+)?(?:=(?P<version>[^\s/]+)|/(?P<suite>\S+))?$")


class NotARequirement(ValueError):
    """The text names no package; the message says why."""


def pip(
    text: str,
    path: str,
    line: int,
    *,
    installer: str = "pip",
    hashes: Iterable[str] = (),
    kind: str = "requirement",
) -> Requirement | None:
    """A requirement as pip takes it (PEP 508, a URL, a path); None for what lies in the project itself.

    Raises:
        NotARequirement: it is none.
    """
    text = text.strip()
    if not text or len(text) > _LONGEST:
        raise NotARequirement("blank" if not text else f"longer than {_LONGEST} characters")
    if _URL.match(text):
        return _from_url(text, path, line, installer, tuple(hashes), kind)
    if _LOCAL.match(text) and " @ " not in text:
        return None
    try:
        parsed = Pep508(_plain_variables(text))
    except (InvalidRequirement, RecursionError):
        raise NotARequirement(f"not a requirement: {text[:80]}") from None
    url = redacted(parsed.url) if parsed.url else None
    if parsed.url:
        exact = _url_is_exact(parsed.url)
    else:
        exact = any(
            s.operator == "===" or (s.operator == "==" and not s.version.endswith(".*")) for s in parsed.specifier
        )
    return Requirement(
        canonicalize_name(parsed.name), _specifier(text, str(parsed.specifier)), exact, installer, path, line,
        redacted_text(text), tuple(hashes), tuple(sorted(parsed.extras)), str(parsed.marker) if parsed.marker else None,
        url, kind,
    )  # fmt: skip


_VARIABLE = re.compile(r"\$(?:\{[^{}\s]*\}|[A-Za-z_][A-Za-z0-9_]*)")


def _plain_variables(text: str) -> str:
    """``==$VERSION`` with a version in the variable's place, so that the form can be read."""
    if "$" not in text:
        return text
    if _VARIABLE.match(text):
        raise NotARequirement(f"named by a variable: {text[:80]}")
    return _VARIABLE.sub("0", text)


def _specifier(text: str, parsed: str) -> str:
    found = re.search(r"(?:[=<>!~]=|[<>]|===).*", text.split(";", maxsplit=1)[0]) if "$" in text else None
    return found[0].strip() if found else parsed


def _from_url(text: str, path: str, line: int, installer: str, hashes: tuple[str, ...], kind: str) -> Requirement:
    url, _, marker = text.partition(" ;")
    return Requirement(
        _name_in_url(url), "", _url_is_exact(url) or bool(hashes), installer, path, line, redacted_text(text), hashes,
        (), marker.strip() or None, redacted(url), kind,
    )  # fmt: skip


def _name_in_url(url: str) -> str:
    egg = re.search(r"[#&]egg=([A-Za-z0-9._-]+)", url)
    if egg:
        return canonicalize_name(egg[1])
    try:
        path = unquote(urlsplit(url).path).rstrip("/")
    except ValueError:
        raise NotARequirement("not a URL") from None
    archive = _ARCHIVE.search(path)
    if archive:
        return canonicalize_name(archive[1])
    last = path.rsplit("/", 1)[-1]
    try:
        return str(parse_wheel_filename(last)[0])
    except InvalidWheelFilename:
        pass
    name = re.sub(r"@[^@]*$", "", last)
    name = re.sub(r"\.(?:git|zip|tar\.gz|tgz|tar\.bz2)$", "", name)
    name = re.sub(r"-\d[^-]*$", "", name)
    return canonicalize_name(name)


def _url_is_exact(url: str) -> bool:
    return bool(_COMMIT.search(url) or _URL_HASH.search(url))


def redacted(url: str) -> str:
    """A URL without user name and password, tokens and secret parameters."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return hide_secrets(url.rsplit("@", maxsplit=1)[-1])
    plain = urlunsplit(parts._replace(netloc=parts.netloc.rsplit("@", 1)[-1])) if "@" in parts.netloc else url
    return hide_secrets(plain)


def redacted_text(text: str) -> str:
    """A requirement without the user name, the password and the secret parameters of its URL."""
    return hide_secrets(re.sub(r"(://)[^/?#\s]*@", r"\1", text))


def conda(text: str, path: str, line: int, *, installer: str = "conda", kind: str = "requirement") -> Requirement:
    """A match specification of conda (``numpy=1.26.4``, ``conda-forge::numpy 1.26.*``, ``numpy[version='>=1']``).

    ``=1.26.4`` counts as exact where the version is given to its third part, ``=1.26`` (any 1.26.x) does not.

    Raises:
        NotARequirement: it is none.
    """
    match = _CONDA.match(text.strip()) if len(text) <= _LONGEST else None
    if match is None:
        raise NotARequirement(f"not a requirement: {text[:80]}")
    rest = match["rest"].split("#", 1)[0].split("[", 1)[0].strip()
    bracket = _BRACKET_VERSION.search(match["bracket"] or "")
    if not rest and bracket:
        rest = "==" + bracket[1] if bracket[1][0].isdigit() else bracket[1]
    return Requirement(
        canonicalize_name(match["name"]), rest, conda_is_exact(rest), installer, path, line, text.strip(), kind=kind
    )


def conda_is_exact(rest: str) -> bool:
    """Whether the part of a match specification behind the name allows one version only."""
    if not rest or "*" in rest.split("=", maxsplit=1)[0] or any(c in rest for c in "<>|,!~"):
        return False
    if rest.startswith("=="):
        # the build behind the version chooses among packages of one version
        return "*" not in re.split(r"[=\s]", rest[2:].strip(), maxsplit=1)[0]
    if rest.startswith("="):
        version, _, build = rest[1:].replace(" ", "=", 1).partition("=")
        return "*" not in version and (bool(build) or bool(_VARIABLE.fullmatch(version) or _CONDA_FULL.match(version)))
    # "numpy 1.26.4" and "numpy 1.26.4 py311_0": a blank means exactly this version
    return "*" not in rest.split(maxsplit=1)[0]


def apt(text: str, path: str, line: int) -> Requirement:
    """A package as apt takes it (``libcudnn8=8.9.7.29-1+cuda12.2``).

    Raises:
        NotARequirement: it is a file, or no name of a package.
    """
    match = _APT.match(text)
    if match is None:
        raise NotARequirement(f"not a package: {text[:80]}")
    version = match["version"]
    return Requirement(
        match["name"], f"={version}" if version else "", bool(version) and "*" not in version, "apt", path, line, text
    )
