"""Words of Dockerfiles and templates of compose files."""

from __future__ import annotations

import time

import pytest

from doctor.images.interpolate import LONGEST, ExpansionError, expand_compose, expand_word, expand_words

VALUES = {"A": "one-two", "EMPTY": "", "PATH": "a/b/c.tar.gz"}


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("x$A", "xone-two"),
        ("${A}x", "one-twox"),
        ("${NONE:-y}", "y"),
        ("${EMPTY:-y}", "y"),
        ("${EMPTY-y}", ""),
        ("${A:+y}", "y"),
        ("${NONE:+y}", ""),
        ("${NONE:-${A}}", "one-two"),
        ("${PATH#*/}", "b/c.tar.gz"),
        ("${PATH##*/}", "c.tar.gz"),
        ("${PATH%.*}", "a/b/c.tar"),
        ("${PATH%%.*}", "a/b/c"),
        ("${A/o/0}", "0ne-two"),
        ("${A//o/0}", "0ne-tw0"),
        ("'$A'", "$A"),
        ('"$A"', "one-two"),
        ("\\$A", "$A"),
    ],
)
def test_builder_words(word: str, text: str) -> None:
    """Every operator of BuildKit's shell words, quotes and escapes."""
    assert expand_word(word, VALUES).text == text


def test_the_escape_character_can_be_another() -> None:
    """With ``# escape=` `` a backslash is a plain character."""
    assert expand_word("c:\\x`$A", VALUES, "`").text == "c:\\x$A"


def test_variables_without_a_value_are_remembered() -> None:
    """Also where a default stands in for them; given ones are only used."""
    found = expand_word("$A-${NONE:-x}-$GONE", VALUES)
    assert (found.text, found.used, found.unset) == ("one-two-x-", ("A", "NONE", "GONE"), ("NONE", "GONE"))


@pytest.mark.parametrize("word", ["${A", "${}", "'x", '"x', "${NONE:?no value}", "${A:%x}"])
def test_malformed_words_are_errors(word: str) -> None:
    """What the builder stops at, raises."""
    with pytest.raises(ExpansionError):
        expand_word(word, VALUES)


def test_words_of_a_line() -> None:
    """An unquoted value is split at its blanks, a quoted one is not."""
    assert expand_words('a $X "$X"', {"X": "b c"}) == ["a", "b", "c", "b c"]


def test_growth_and_costly_patterns_are_refused_quickly() -> None:
    """A value that doubles, and a pattern that backtracks, end in an error instead of hours."""
    started = time.monotonic()
    with pytest.raises(ExpansionError):
        expand_word("$X$X", {"X": "a" * LONGEST})
    with pytest.raises(ExpansionError):
        expand_word("${X/" + "*a" * 12 + "b/}", {"X": "a" * 200})
    assert time.monotonic() - started < 10  # unbounded, they take hours


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("$$A", "$A"),
        ("$A:${A}", "one-two:one-two"),
        ("${NONE:-${A:-x}}", "one-two"),
        ("${EMPTY-x}|${EMPTY:-x}", "|x"),
        ("${A:+y}${NONE+y}", "y"),
        ('${NONE:-{"a":1}}', '{"a":1}'),
        ("$ 5", "$ 5"),
    ],
)
def test_compose_templates(template: str, text: str) -> None:
    """Compose's own operators, nested braces and the doubled dollar."""
    assert expand_compose(template, VALUES).text == text


@pytest.mark.parametrize("template", ["${", "${}", "${A!}", "${NONE:?must be set}", "${NONE?}", "${A:=x}"])
def test_malformed_compose_templates_are_errors(template: str) -> None:
    """Bad syntax, and a required value that is missing."""
    with pytest.raises(ExpansionError):
        expand_compose(template, VALUES)


def test_deep_nesting_is_refused() -> None:
    """A thousand nested defaults are an error, not the end of the stack."""
    with pytest.raises(ExpansionError):
        expand_compose("${A:-" * 700 + "}" * 700, {})
