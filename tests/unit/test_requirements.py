"""``--require``: what must be had."""

from __future__ import annotations

from typing import Any

import pytest

from doctor import requirements
from doctor.errors import UsageError
from tests.support import case

GPU = {"machine": {"gpus": [], "driver": {"present": False}}}
IMAGE = {"reference": "python:3.11"}


@pytest.mark.parametrize(
    ("word", "snapshot"),
    [
        ("gpu", GPU),
        ("driver", {"machine": {"driver": {"version": "535.104.05"}}}),
        ("docker", {"machine": {"engine": {"present": True}}}),
        ("registry", {"project": {"images": []}}),
        ("registry", {"project": {"images": [{**IMAGE, "registry": {"outcome": "not-found"}}]}}),
        ("tensorflow", {"software": {"tensorflow": {"present": False}}}),
        ("python", {"software": {"python": {"version": "3.11.7"}}}),
        ("project", {"project": {"images": []}}),
        ("machine.cpu.flags", {"machine": {"cpu": {"flags": []}}}),
    ],
)
def test_a_known_fact_meets_its_requirement(word: str, snapshot: dict[str, Any]) -> None:
    """Looked, whatever was seen: what it means is the matter of rules."""
    assert requirements.unmet(case(snapshot), [word]) == ()
    assert requirements.unmet(case({}), [word]) != ()


def test_an_unmet_requirement_says_why() -> None:
    """The note names the option, the subject, the fact and the reason."""
    (note,) = requirements.unmet(case({"machine": {"gpus": {"missing": "NVML did not answer"}}}), ["gpu"])
    assert (note.what, note.why) == ("--require gpu", "host: machine.gpus: NVML did not answer")


def test_an_engine_that_is_not_there_cannot_be_had() -> None:
    """``--require docker`` asks for an engine, not for the knowledge that there is none."""
    (note,) = requirements.unmet(case({"machine": {"engine": {"present": False}}}), ["docker"])
    assert "no container engine answers" in note.why


def test_a_registry_that_did_not_answer_is_not_had() -> None:
    """One late answer is enough; it is named."""
    images = [{**IMAGE, "registry": {"outcome": "no-network"}}]
    (note,) = requirements.unmet(case({"project": {"images": images}}), ["registry"])
    assert "python:3.11" in note.why


def test_the_canary_counts_only_where_it_ran() -> None:
    """A case cannot tell; the command says so."""
    assert requirements.unmet(case({}), ["canary"])[0].why == "host: was not run"
    assert requirements.unmet(case({}), ["canary"], had=["canary"]) == ()


@pytest.mark.parametrize("word", ["gpus", "machine.gpu", "nothing", "machine.driver.", ".", "machine.__class__"])
def test_unknown_words_are_refused(word: str) -> None:
    """A requirement that can never be judged is a mistake of whoever wrote it."""
    with pytest.raises(UsageError, match=r"^--require: nothing is called"):
        requirements.check_words([word], "--require")
