"""The payload is frozen: any change to its code is a decision on whether older records stay comparable."""

from __future__ import annotations

import pytest

from doctor.canary import kinship
from doctor.canary.kinship import ALIKE, alike, source_hash
from doctor.canary.record import PROTOCOL, Canary
from doctor.canary.start import payload_source
from doctor.canary.verdict import compare_records

from .records import document, record


def test_the_payload_is_the_one_that_was_frozen() -> None:
    """Changed code: add its hash to its version if records stay identical, else raise PROTOCOL on both sides."""
    assert source_hash(payload_source()) == ALIKE[PROTOCOL][-1]


def test_payload_and_reader_speak_of_one_version() -> None:
    """The number in the payload, which imports nothing of the doctor, is the reader's."""
    assert f"\nPROTOCOL = {PROTOCOL}  #" in payload_source()
    assert max(ALIKE) == PROTOCOL


def test_no_hash_stands_in_two_versions() -> None:
    """A payload is of one version."""
    hashes = [one for listed in ALIKE.values() for one in listed]
    assert len(hashes) == len(set(hashes))


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        (Canary(1, "x"), Canary(1, "x"), True),
        (Canary(1, "old"), Canary(1, "new"), True),
        (Canary(1, "old"), Canary(1, "x"), False),
        (Canary(1, "old"), Canary(2, "old"), False),
        (Canary(1, None), Canary(1, "new"), False),
    ],
)
def test_canaries_are_alike_by_hash_or_by_the_list(
    monkeypatch: pytest.MonkeyPatch, a: Canary, b: Canary, same: bool
) -> None:
    """Never across versions, never for code that nobody listed."""
    monkeypatch.setattr(kinship, "ALIKE", {1: ("old", "new"), 2: ("newer",)})
    assert alike(a, b) is same


def test_records_of_payloads_that_measure_alike_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Months later, by a kdoctor whose payload was tidied."""
    monkeypatch.setattr(kinship, "ALIKE", {1: ("c0de", "c0de-tidied")})
    other = document()
    other["canary"]["sha256"] = "c0de-tidied"
    assert compare_records(record(), record(other))["class"] == "bitwise"
