"""Skips say what would help: a command that brings the very fact that was lacking."""

from __future__ import annotations

import pytest

from doctor.helping import MACHINE, PROJECT, SOFTWARE, would_help
from doctor.model.facts import Unknown
from tests.support import diagnose


def test_every_skip_of_an_empty_snapshot_says_what_would_help() -> None:
    """Whatever rule lacks whatever fact."""
    skipped = diagnose({}).skipped
    assert len(skipped) > 50
    assert [row.code for row in skipped if not row.would_help] == []


def test_the_lacking_fact_decides_what_would_help() -> None:
    """Without a project its folder helps, without an environment its Python, without a machine its snapshot."""
    helps = {row.code: (row.reason.partition(":")[0].split(".")[0], row.would_help) for row in diagnose({}).skipped}
    assert helps["KD401"] == helps["KD715"] == ("project", PROJECT)
    assert helps["KD110"] == helps["KD305"] == ("software", SOFTWARE)
    assert helps["KD102"] == helps["KD201"] == ("machine", MACHINE)
    assert helps["KD311"] == ("software", PROJECT)
    assert helps["KD809"] == ("software", "kdoctor scan --try")


@pytest.mark.parametrize(
    ("unknown", "own", "said"),
    [
        (Unknown("machine.gpus", "NVML_ERROR_UNKNOWN"), "nvidia-smi", "nvidia-smi"),
        (Unknown("project.images.0.registry.outcome", "no answer in time"), "ask again", "ask again"),
        (Unknown("software.image.environment"), "name the image", "name the image"),
        (Unknown("elsewhere"), None, None),
    ],
)
def test_what_was_looked_for_in_vain_is_the_rule_s_to_speak_of(
    unknown: Unknown, own: str | None, said: str | None
) -> None:
    """A fact with a reason of its own, a registry's answer, an image: the rule knows better than the place."""
    assert would_help(unknown, own) == said
