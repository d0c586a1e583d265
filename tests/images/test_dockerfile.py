"""Images that a Dockerfile uses, point by point of BuildKit's grammar."""

from __future__ import annotations

import textwrap

from doctor.images import dockerfile
from doctor.images.use import ImageUse

DIGEST = "sha256:" + "ab" * 32


def uses(text: str, **build_args: str) -> list[ImageUse]:
    return dockerfile.parse(textwrap.dedent(text), build_args=build_args).uses


def seen(text: str, **build_args: str) -> list[tuple[int, str, str, str]]:
    return [(u.line, u.use, u.reference, u.pinned) for u in uses(text, **build_args)]


def problems(text: str) -> list[tuple[int | None, str]]:
    return [(p.line, p.why) for p in dockerfile.parse(textwrap.dedent(text)).problems]


def test_from_with_platform_alias_and_digest() -> None:
    """Flags are no part of the image, the alias is stored in lower case, the platform is expanded."""
    (use,) = uses(f"FROM --platform=$BUILDPLATFORM python:3.11@{DIGEST} AS Build\n")
    assert (use.reference, use.stage, use.platform, use.pinned) == (
        f"python:3.11@{DIGEST}",
        "build",
        "linux/amd64",
        "digest",
    )
    assert use.column == 32


def test_stages_are_no_images() -> None:
    """An alias, a number and an alias in other case behind --from name stages; FROM wants the alias as stored."""
    text = """\
        FROM a:1 AS Builder
        FROM builder
        COPY --from=BUILDER x y
        COPY --from=0 x y
        FROM Builder
    """
    assert [(line, pinned) for line, _, _, pinned in seen(text)] == [
        (1, "tag"),
        (2, "stage"),
        (3, "stage"),
        (4, "stage"),
        (5, "unresolved"),
    ]


def test_a_stage_cannot_be_used_before_it_is_there() -> None:
    """A later stage is an image to FROM; --from says that it is not defined yet."""
    found = uses("FROM later\nCOPY --from=later a b\nFROM x:1 AS later\n")
    assert [(u.pinned, u.error) for u in found[:2]] == [
        ("latest-implicit", None),
        ("stage", "stage not defined before use"),
    ]


def test_arguments_before_the_first_from() -> None:
    """Defaults, one ARG with several names, references between them, and operators are followed."""
    text = """\
        ARG REGISTRY=reg.example NAME=python
        ARG VERSION=3.11.7
        ARG IMAGE=$REGISTRY/$NAME
        FROM ${IMAGE}:${VERSION%.*}
        ARG VERSION=2
        FROM ${IMAGE}:${VERSION}
    """
    assert [row[2] for row in seen(text)] == ["reg.example/python:3.11", "reg.example/python:3.11.7"]


def test_an_argument_without_a_value_leaves_the_image_unresolved() -> None:
    """The error names the variable; a build argument gives it a value."""
    text = "ARG VERSION\nFROM python:${VERSION}\n"
    (use,) = uses(text)
    assert (use.pinned, use.unset) == ("unresolved", ("VERSION",))
    assert "no value: VERSION" in (use.error or "")
    assert seen(text, VERSION="3.11")[0][2:] == ("python:3.11", "tag")


def test_a_blank_name_is_unresolved() -> None:
    """FROM of a variable that nobody sets has no name at all."""
    (use,) = uses("FROM $BASE\n")
    assert use.pinned == "unresolved"
    assert use.error == "base name should not be blank (no value: BASE)"


def test_platform_arguments_have_values() -> None:
    """TARGETARCH and the others are set by the builder for linux/amd64, and by a build argument."""
    assert seen("FROM base-$TARGETARCH:1\n")[0][2] == "base-amd64:1"
    assert seen("FROM base-$TARGETARCH:1\n", TARGETARCH="arm64")[0][2] == "base-arm64:1"


def test_the_target_stage_is_the_last_one() -> None:
    """Without --target the last stage is built, and TARGETSTAGE is its name; "default" where it has none."""
    assert [use[2] for use in seen("FROM a:1 AS base\nFROM $TARGETSTAGE AS Last\n")] == ["a:1", "last"]
    assert [use[2] for use in seen("FROM x/$TARGETSTAGE\n")] == ["x/default"]


def test_of_several_sources_of_a_mount_the_last_holds() -> None:
    """from= given twice in one --mount is one image, and a blank last one is none."""
    assert seen("FROM scratch\nRUN --mount=from=a:1,target=/x,from=b:2 x\n")[1:] == [(2, "mount-from", "b:2", "tag")]
    assert seen("FROM scratch\nRUN --mount=from=a:1,target=/x,from= x\n")[1:] == []


def test_pasted_blanks_around_arguments() -> None:
    """A no-break space after a flag separates as a blank does, and one around the arguments is cut off."""
    assert [use[2] for use in seen("FROM --platform=linux/amd64\xa0a:1\nFROM \u2003b:1\n")] == ["a:1", "b:1"]


def test_copy_and_mount_sources() -> None:
    """COPY --from and every from= of a mount are uses; other types of mount and flags are not."""
    text = """\
        FROM a:1
        COPY --chown=1:1 --from=nginx:1.27 /x /y
        RUN --network=none --mount=type=cache,target=/c --mount=type=bind,from=ghcr.io/astral-sh/uv:0.5,target=/u \\
            --mount=from=busybox,target=/b true
    """
    assert seen(text)[1:] == [
        (2, "copy-from", "nginx:1.27", "tag"),
        (3, "mount-from", "ghcr.io/astral-sh/uv:0.5", "tag"),
        (3, "mount-from", "busybox", "latest-implicit"),
    ]


def test_variables_are_not_expanded_behind_from_flags() -> None:
    """The builder refuses them there."""
    found = uses("ARG X=a\nFROM a:1\nCOPY --from=$X a b\nRUN --mount=from=$X,target=/x true\n")
    assert [u.pinned for u in found] == ["tag", "unresolved", "unresolved"]


def test_scratch_is_no_image() -> None:
    """It is the empty base."""
    assert seen("FROM scratch\nCOPY --from=scratch a b\n") == [
        (1, "from", "scratch", "scratch"),
        (2, "copy-from", "scratch", "scratch"),
    ]


def test_onbuild_stores_uses() -> None:
    """Its trigger is read like the instruction itself, with what it is within; a heredoc belongs to it."""
    text = """\
        FROM a:1
        ONBUILD COPY --from=tools:2 a b
        ONBUILD RUN <<EOF
        FROM not-an-image
        EOF
        FROM b:1
    """
    found = uses(text)
    assert [(u.line, u.use, u.within, u.reference) for u in found] == [
        (1, "from", None, "a:1"),
        (2, "onbuild", "copy-from", "tools:2"),
        (6, "from", None, "b:1"),
    ]


def test_heredocs_hold_no_instructions() -> None:
    """Bodies of RUN and COPY are skipped to their terminators, tabs cut behind <<-, several on one line in order."""
    text = (
        "FROM a:1\n"
        "RUN <<ONE <<-'TWO'\nFROM b\nONE\nFROM c\n\tTWO\n"
        "COPY <<EOF /etc/Dockerfile\nFROM d\nEOF\n"
        'RUN ["echo", "<<EOF"]\n'
        "FROM e:1\n"
    )
    assert [row[2] for row in seen(text)] == ["a:1", "e:1"]


def test_continuations_with_comments_and_blank_lines() -> None:
    """They belong to the instruction; its first line is its place, the image's own line is kept beside it."""
    (use,) = uses("FROM \\\n  # the base\n\n  python:3.11 \\\n  AS x\nRUN true\n")
    assert (use.reference, use.line, use.end_line, use.text_line, use.text_column) == ("python:3.11", 1, 5, 4, 3)
    assert use.column == 1


def test_continuation_joins_without_a_blank() -> None:
    """``FROM\\`` and ``nginx`` become one unknown instruction, as for the builder."""
    found = dockerfile.parse("FROM\\\nnginx:1.20\nFROM a:1\n")
    assert [p.why for p in found.problems] == ["unknown instruction: FROMnginx:1.20"]
    assert [u.reference for u in found.uses] == ["a:1"]


def test_escape_directive() -> None:
    """The backtick continues lines then, and a backslash does not."""
    found = seen("# escape=`\nFROM a:1 `\n  AS x\nWORKDIR c:\\\nFROM x\nFROM b:2\n")
    assert [row[2:] for row in found] == [("a:1", "tag"), ("x", "stage"), ("b:2", "tag")]


def test_directives_end_with_the_first_other_line() -> None:
    """A comment or a blank line before makes ``# escape`` a comment."""
    assert [row[2] for row in seen("# comment\n# escape=`\nFROM a:1 \\\n AS x\n")] == ["a:1"]


def test_syntax_images() -> None:
    """Found behind other directives, a byte order mark and a shebang, without its arguments."""
    assert seen("# check=skip=all\n# syntax = docker/dockerfile:1 x=y\nFROM a:1\n")[0] == (
        2,
        "syntax",
        "docker/dockerfile:1",
        "tag",
    )
    assert seen("\ufeff#syntax=front\nFROM a:1\n")[0] == (1, "syntax", "front", "latest-implicit")
    assert seen("#!/usr/bin/env x\n# syntax=front:1\nFROM a:1\n")[0][:3] == (2, "syntax", "front:1")
    assert [row[1] for row in seen("FROM a:1\n# syntax=late:1\n")] == ["from"]


def test_what_ends_the_search_for_a_syntax_image() -> None:
    """An unknown directive, a blank before the mark and a comment end it; what follows a blank is an argument."""
    for text in ("# foo=bar\n# syntax=a/b\n", " # syntax=a/b\n", "# hello\n# syntax=a/b\n", "# syntax=\n"):
        assert seen(text + "FROM x:1\n")[0][1] == "from", text
    assert seen("# escape=`\n#Syntax = a/b:1 --option\r\nFROM x:1\n")[0] == (2, "syntax", "a/b:1", "tag")


def test_byte_order_mark_and_crlf_keep_the_places() -> None:
    """Lines, columns and offsets are those of the file as it is."""
    text = "\ufeffFROM a:1\r\nRUN x \\\r\n  y\r\nFROM b:2\r\n"
    found = uses(text)
    assert [(u.reference, u.line, u.column) for u in found] == [("a:1", 1, 6), ("b:2", 4, 6)]
    assert [text[u.span[0] : u.span[1]] for u in found if u.span] == ["a:1", "b:2"]


def test_offsets_of_quoted_and_flagged_images() -> None:
    """Each use written in one piece knows its offsets; one that quotes or continuations break has none."""
    text = "FROM a:1\nCOPY --from=b:2 x y\nRUN --mount=type=bind,from=c:3,target=/x true\nCOPY --from='d:4' x y\n"
    found = uses(text)
    assert [text[u.span[0] : u.span[1]] if u.span else None for u in found] == ["a:1", "b:2", "c:3", None]


def test_case_of_keywords() -> None:
    """``from``, ``As`` and ``copy`` are the same words."""
    assert [row[1:] for row in seen("from a:1 As X\ncopy --from=x a b\n")] == [
        ("from", "a:1", "tag"),
        ("copy-from", "x", "stage"),
    ]


def test_what_the_builder_refuses_is_a_problem_with_its_line() -> None:
    """Each mistake has its line, and what stands around it is still read."""
    assert problems("RUN x\nFROM a:1\n") == [(1, "RUN stands before the first FROM")]
    assert problems("# nothing\n") == [(1, "no FROM in this file")]
    assert problems("FROM a:1 AS 1x\n") == [(1, "invalid name for a build stage: '1x'")]
    assert problems("FROM a:1 # why\n")[0][0] == 1
    assert problems("FROM a:1\nONBUILD FROM b\n") == [(2, "FROM isn't allowed as an ONBUILD trigger")]
    assert problems("FROM a:1\nRUN <<EOF\nx\n") == [(2, "unterminated heredoc: EOF")]
    assert problems("FROM a:1\nNONSENSE\nFROM b:1\n") == [(2, "unknown instruction: NONSENSE")]
    assert [row[2] for row in seen("FROM a:1\nNONSENSE\nFROM b:1\n")] == ["a:1", "b:1"]


def test_an_overlong_line_is_a_problem() -> None:
    """The builder's scanner ends at 65,535 characters."""
    (problem,) = problems("FROM a:1\nRUN " + "x" * 70_000 + "\n")
    assert problem[0] == 2
