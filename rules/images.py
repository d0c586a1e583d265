"""Images that the project's files use: pinned how firmly, and what the registry says (KD401–KD408, KD410)."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from msgspec import UNSET, UnsetType

from doctor.images import reference
from doctor.model.facts import Unknown, applies
from doctor.model.report import Change, Evidence
from doctor.rule import Case, Finding, Severity, rule

from .image_rows import INDEX_HELP, Use, chosen, uses

_SINGLE = frozenset(
    {"application/vnd.docker.distribution.manifest.v2+json", "application/vnd.oci.image.manifest.v1+json"}
)
_BY_TAG = (reference.TAG, reference.MOVING, reference.LATEST, reference.LATEST_IMPLICIT)


@rule("KD401", "tag-missing", Severity.WARNING)
def tag_missing(case: Case) -> Iterator[Finding]:
    """An image is used without a tag and without a digest.

    ## Why is this bad?
    Docker then takes `latest`, whatever that is on the day of the build. Two builds of one commit can hold different
    Pythons, CUDA libraries and TensorFlow releases.

    ## Example
    ```dockerfile
    FROM tensorflow/tensorflow
    ```
    Use instead:
    ```dockerfile
    FROM tensorflow/tensorflow:2.21.0-gpu@sha256:…
    ```

    ## How to fix
    Name the version that you mean, then let `kdoctor pin --write` add its digest.

    ## How it is judged
    After the values of ARG, `.env` and defaults. Names of earlier stages, `scratch` and images with a digest are fine;
    an image that only a variable from outside the file decides is not judged. One use gets one of KD401, KD402 and
    KD403. The `# syntax=` image is an info only.
    """
    for use in chosen(case, (reference.LATEST_IMPLICIT,)):
        yield _unpinned(
            use,
            f"{use.short} is used without a tag: that is whatever latest is today",
            "each build may get another image",
            f"name a version, then: kdoctor pin --write {_path(use)}",
        )


@rule("KD402", "tag-latest", Severity.WARNING)
def tag_latest(case: Case) -> Iterator[Finding]:
    """An image is used by a tag that is made to move: `latest`, `nightly`, or a channel such as `stable`.

    ## Why is this bad?
    The publisher points such a tag at a new image with each release. Two builds of one commit can hold different
    Pythons, CUDA libraries and TensorFlow releases, and nothing in the repository says which.

    ## Example
    ```dockerfile
    FROM tensorflow/tensorflow:latest-gpu
    ```
    Use instead:
    ```dockerfile
    FROM tensorflow/tensorflow:2.21.0-gpu@sha256:…
    ```

    ## How to fix
    Name the version that you mean, then let `kdoctor pin --write` add its digest.

    ## How it is judged
    A tag with the part `latest` or `nightly`, or one that is nothing but the name of a channel, and no digest beside
    it.
    """
    for use in chosen(case, (reference.LATEST, reference.MOVING)):
        yield _unpinned(
            use,
            f"{use.short} is used by a tag that is made to move",
            "each build may get another image",
            f"name a version, then: kdoctor pin --write {_path(use)}",
        )


@rule("KD403", "digest-missing", Severity.WARNING)
def digest_missing(case: Case) -> Iterator[Finding]:
    """An image is used by tag, without a digest.

    ## Why is this bad?
    A tag is a name that its owner can point elsewhere: version tags of Python, CUDA and TensorFlow images are rebuilt
    in place for security updates, and some are removed. Only a digest names the same bytes for ever.

    ## Example
    ```dockerfile
    FROM tensorflow/tensorflow:2.21.0-gpu
    ```
    Use instead:
    ```dockerfile
    FROM tensorflow/tensorflow:2.21.0-gpu@sha256:…
    ```

    ## How to fix
    `kdoctor pin --write` adds the digest of the index behind the tag, and `kdoctor pin --update` follows the tag when
    you want to.

    ## References
    Docker documentation, "Pin base image versions"; OCI distribution specification, pulling manifests.
    """
    for use in chosen(case, (reference.TAG,)):
        digest = (use.registry or {}).get("tag_digest")
        change = Change("digest", use.short, digest, "what the tag names now") if isinstance(digest, str) else UNSET
        yield _unpinned(
            use,
            f"{use.short} is not pinned to a digest",
            "this tag can move",
            f"kdoctor pin --write {_path(use)}",
            change,
        )


def _path(use: Use) -> str:
    """The file, as a word of a command."""
    return shlex.quote(str(use.row.get("path")))


def _unpinned(use: Use, message: str, effect: str, fix: str, change: Change | UnsetType = UNSET) -> Finding:
    return Finding(
        message,
        effect=effect,
        fix=fix,
        verify="kdoctor scan --select KD401,KD402,KD403",
        severity=use.severity(Severity.WARNING),
        confidence=use.confidence,
        evidence=use.evidence(),
        location=use.location,
        thing=use.name,
        likely=0.3,
        change=change,
    )


@rule("KD408", "base-unresolvable", Severity.ERROR)
def base_unresolvable(case: Case) -> Iterator[Finding]:
    """An image cannot be told from the file, or its name is invalid.

    ## Why is this bad?
    The build stops here, or works only for those who know which value to pass.

    ## Example
    ```dockerfile
    ARG VERSION
    FROM python:${VERSION}
    ```
    Use instead:
    ```dockerfile
    ARG VERSION=3.11
    FROM python:${VERSION}
    ```

    ## How to fix
    Give the ARG a default before the first FROM, or pass `--build-arg` to kdoctor as to the build. A digest is
    `sha256:` and 64 hexadecimal digits; names are lower case; an alias is used in lower case.

    ## How it is judged
    With the rules of BuildKit: only ARGs before the first FROM are seen by FROM, and `FROM Builder` after
    `AS Builder` is the image `Builder`.
    """
    for use in chosen(case, (reference.UNRESOLVED,)):
        why = str(use.row.get("error") or "not a valid reference")
        unset = [name for name in use.row.get("unset") or () if isinstance(name, str)]
        values = " ".join(f"--build-arg {name}=…" for name in unset[:5])
        yield Finding(
            f"{use.raw!r} names no image: {why}",
            effect="the build stops here",
            fix=f"give {', '.join(unset)} a default before the first FROM, or: kdoctor scan {values}"
            if unset
            else "correct the name of the image",
            verify="docker build --check .",
            evidence=use.evidence(),
            location=use.location,
            thing=use.name,
            severity=use.severity(Severity.ERROR),
        )


@rule("KD404", "digest-mismatch", Severity.INFO, would_help=INDEX_HELP)
def digest_mismatch(case: Case) -> Iterator[Finding]:
    """Tag and digest stand in one reference, and the tag now names another digest.

    ## Why is this bad?
    It is not wrong: Docker uses the digest and ignores the tag. But the tag has been rebuilt since, and what you build
    on lacks what came with it.

    ## How to fix
    `kdoctor pin --update` follows the tag.
    """
    both = [u for u in chosen(case, (reference.DIGEST,)) if u.parsed and u.parsed.tag]
    applies(bool(both), "no image has both a tag and a digest")
    for use in _answered(both, "tag_digest"):
        now = (use.registry or {}).get("tag_digest")
        single = (use.registry or {}).get("tag_lists_digest") is True  # one platform of what the tag names: KD406
        if use.parsed and now != use.parsed.digest and not single:
            yield Finding(
                f"{use.parsed.path}:{use.parsed.tag} has moved on from the digest that stands beside it",
                effect="Docker uses the digest, not the tag",
                fix=f"kdoctor pin --update --write {_path(use)}",
                evidence=use.evidence(**{"project.images.registry.tag_digest": now}),
                location=use.location,
                thing=use.name,
            )


@rule("KD405", "digest-unknown", Severity.ERROR, would_help=INDEX_HELP)
def digest_unknown(case: Case) -> Iterator[Finding]:
    """The registry does not have the digest that an image is pinned to.

    ## Why is this bad?
    Nobody can pull this image: the digest was mistyped or invented, belongs to another repository, or was removed.

    ## How to fix
    `kdoctor pin --update` writes the digest that the tag names now.
    """
    pinned = chosen(case, (reference.DIGEST,))
    applies(bool(pinned), "no image has a digest")
    for use in _answered(pinned, "digest_exists"):
        if (use.registry or {}).get("digest_exists") is False:
            digest = use.parsed.digest if use.parsed else ""
            yield Finding(
                f"the registry has no {str(digest)[:19]}… in {use.name}",
                effect="the image cannot be pulled",
                fix=f"kdoctor pin --update --write {_path(use)}",
                verify=f"docker buildx imagetools inspect {use.short}",
                evidence=use.evidence(**{"project.images.registry.outcome": (use.registry or {}).get("outcome")}),
                location=use.location,
                thing=use.name,
            )


@rule("KD406", "digest-single-platform", Severity.INFO, would_help=INDEX_HELP)
def digest_single_platform(case: Case) -> Iterator[Finding]:
    """An image is pinned to the manifest of one platform, where an index of several exists.

    ## Why is this bad?
    On another platform (an ARM node, an Apple laptop) the build gets an image that does not run there, or fails.

    ## How to fix
    `kdoctor pin --update` writes the digest of the index. Where one platform is meant, say so with `--platform`.
    """
    pinned = [u for u in chosen(case, (reference.DIGEST,)) if not u.row.get("platform")]
    applies(bool(pinned), "no image has a digest for all platforms")
    for use in _answered(pinned, "media_type"):
        registry = use.registry or {}
        platforms = [p for p in registry.get("platforms") or () if isinstance(p, str)]
        if registry.get("media_type") in _SINGLE and len(platforms) > 1:
            yield Finding(
                f"{use.short.split('@')[0]} is pinned to one platform; its tag offers {len(platforms)}",
                effect="builds for other platforms fail",
                fix=f"kdoctor pin --update --write {_path(use)}",
                evidence=use.evidence(**{"project.images.registry.platforms": platforms}),
                location=use.location,
                thing=use.name,
            )


@rule("KD407", "tag-moved", Severity.WARNING, would_help=INDEX_HELP)
def tag_moved(case: Case) -> Iterator[Finding]:
    """The tag of an image without a digest names another image than it did before.

    ## Why is this bad?
    The same Dockerfile builds something else than last time, with another Python, CUDA or TensorFlow in it, and the
    repository does not show it.

    ## How to fix
    Look at what changed (`kdoctor compare`), then pin the digest that you want with `kdoctor pin --write`, or accept
    the new one with `kdoctor pin --lock`.

    ## How it is judged
    Against the digest recorded in `kdoctor.lock`, else what the local engine pulled under that name, else the history.
    The evidence says which.
    """
    unread = next((why for u in chosen(case, _BY_TAG) if (why := _unread(u))), None)
    by_tag = [u for u in chosen(case, _BY_TAG) if _recorded(u)]
    applies(bool(by_tag or unread), "no image used by tag has been recorded before")
    for use in _answered(by_tag, "tag_digest"):
        before, source = _recorded(use) or ("", "")
        now = (use.registry or {}).get("tag_digest")
        if now != before:
            yield Finding(
                f"{use.short} names another image than {source} recorded",
                effect="the same file builds something else",
                fix=f"kdoctor compare image:{use.name}@{before} image:{use.name}@{now}",
                verify="kdoctor scan --select KD407",
                evidence=(
                    *use.evidence(**{"project.images.registry.tag_digest": now}),
                    Evidence("project.images.recorded.digest", before, source),
                ),
                location=use.location,
                thing=use.name,
                likely=0.7,
            )
    if unread is not None:
        raise Unknown("project.images.recorded", unread)


@rule("KD410", "image-not-found", Severity.ERROR, would_help=INDEX_HELP)
def image_not_found(case: Case) -> Iterator[Finding]:
    """The registry has no such repository or tag.

    ## Why is this bad?
    The build stops, or goes on from a copy in a local cache that nobody else has. Publishers remove old tags: NVIDIA
    has removed those of whole CUDA releases.

    ## How to fix
    Choose a tag that exists; `kdoctor suggest` names images that fit your driver.

    ## How it is judged
    A registry that refuses access is no evidence that the image is gone: that is said apart, as a skip.
    """
    by_tag = [u for u in uses(case) if u.pinned in _BY_TAG]
    applies(bool(by_tag), "no image is used by tag")
    for use in _answered(by_tag, "outcome"):
        if (use.registry or {}).get("outcome") == "not-found":
            yield Finding(
                f"the registry has no {use.short}",
                effect="the image cannot be pulled",
                fix="choose a tag that exists",
                verify=f"docker buildx imagetools inspect {use.short}",
                evidence=use.evidence(**{"project.images.registry.outcome": "not-found"}),
                location=use.location,
                thing=use.name,
                severity=use.severity(Severity.ERROR),
            )


def _recorded(use: Use) -> tuple[str, str] | None:
    """The digest that the tag had before, and who recorded it."""
    row = use.row.get("recorded")
    if not isinstance(row, dict) or not isinstance(row.get("digest"), str):
        return None
    return row["digest"], str(row.get("source") or "an earlier run")


def _unread(use: Use) -> str | None:
    """Why nobody could say what the tag named before."""
    row = use.row.get("recorded")
    why = row.get("missing") if isinstance(row, dict) else None
    return why if isinstance(why, str) else None


def _answered(images: list[Use], fact: str) -> Iterator[Use]:
    """The uses about which the registry told ``fact``; the rule is skipped at the end where it did not tell of all.

    Raises:
        Unknown: after the last one, where an answer is missing; the reason is that of the first.
    """
    unknown: str | None = None
    for use in images:
        answer = use.registry or {}
        if answer.get(fact) is not None and (fact != "outcome" or answer[fact] in ("ok", "not-found")):
            yield use
        elif use.registry is None:
            unknown = unknown or "the registry was not asked"
        elif answer.get("outcome") != "not-found":
            why = answer.get("missing") or answer.get("why") or answer.get("outcome") or "no answer"
            unknown = unknown or f"{use.short}: {why}"
    if unknown is not None:
        raise Unknown(f"project.images.registry.{fact}", unknown)
