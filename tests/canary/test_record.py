"""Records on disk: what is refused, and with which words."""

from __future__ import annotations

import base64
import json
import os
import zlib
from pathlib import Path
from typing import Any

import pytest

from doctor.canary import record_file as records
from doctor.canary.kinship import source_hash
from doctor.canary.record_file import checksum, decode_record, load_record, parse_record, save_record, sealed
from doctor.errors import DocumentError, UsageError

from .records import document, record


def refused(data: bytes) -> str:
    """The words with which these bytes are refused."""
    with pytest.raises(DocumentError) as caught:
        parse_record(data, "a.json")
    text = str(caught.value)
    assert text.startswith("a.json: ")
    assert "\n" not in text
    return text


def test_a_record_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    """Whole, also with keys that this release does not know."""
    known = record({**document(), "of_a_later_release": [1.0, {"x": None}]})
    save_record(known, tmp_path / "a.json")
    again = load_record(tmp_path / "a.json")
    assert again == known
    assert again.document["of_a_later_release"] == [1.0, {"x": None}]
    assert os.listdir(tmp_path) == ["a.json"]


def test_other_json_tools_may_rewrite_a_record() -> None:
    """Indentation, the order of keys and 1 for 1.0 do not make another record."""
    text = json.dumps(sealed(document()), indent=4).replace("5000.25", "5.00025e3")
    steady = json.loads(
        text, parse_float=lambda digits: int(float(digits)) if float(digits).is_integer() else float(digits)
    )
    backwards = dict(reversed(steady.items()))
    assert decode_record(backwards).seeds == record().seeds


def test_a_record_inside_an_accepted_reference_is_read() -> None:
    """The file that a project commits."""
    wrapped = {"kind": "kdoctor/reference", "schema": 1, "record": sealed(document()), "accepted_by": "somebody"}
    assert parse_record(json.dumps(wrapped).encode(), "r.json").data_sha256 == "da7a"
    del wrapped["record"]
    with pytest.raises(DocumentError, match="holds no canary record"):
        parse_record(json.dumps(wrapped).encode(), "r.json")


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.999])
def test_a_record_cut_short_is_refused(share: float) -> None:
    """At any place."""
    data = json.dumps(sealed(document())).encode()
    assert "not JSON" in refused(data[: int(len(data) * share)] or b" ") or share == 0.0


def test_a_record_edited_by_hand_is_refused() -> None:
    """One digit of one accuracy is enough."""
    edited = sealed(document())
    edited["seeds"][0]["accuracy"] += 0.0005
    assert "was changed after it was written" in refused(json.dumps(edited).encode())
    unsealed = document()
    assert "no checksum" in refused(json.dumps(unsealed).encode())


def test_a_failed_run_is_no_record() -> None:
    """The reason that it holds is given back."""
    failed = {"kind": "kdoctor/canary", "schema": 1, "error": {"code": "no-tensorflow", "message": "no tensorflow"}}
    assert "no tensorflow" in refused(json.dumps(failed).encode())


def test_other_documents_and_newer_schemas_are_refused() -> None:
    """With what was expected, and what to do."""
    assert "expected kdoctor/canary" in refused(b'{"kind": "kdoctor/snapshot", "schema": 1}')
    assert "update kdoctor" in refused(b'{"kind": "kdoctor/canary", "schema": 2}')
    assert "not a JSON object" in refused(b"[1, 2]")
    assert "empty" in refused(b"  \n")
    assert "not JSON" in refused(b"\xff\xfe")


def test_a_sealed_document_of_another_shape_names_the_place() -> None:
    """A wrong type, and a record of a canary that this release does not know."""
    wrong: dict[str, Any] = document()
    wrong["probes"]["loss"] = "none"
    assert "$.probes.loss" in refused(json.dumps(sealed(wrong)).encode())
    wrong["canary"]["version"] = 9
    assert "canary version 9" in refused(json.dumps(sealed(wrong)).encode())


def test_too_few_or_repeated_seeds_are_refused() -> None:
    """No statistics of one seed."""
    one = document()
    one["seeds"] = one["seeds"][:1]
    assert "two different seeds" in refused(json.dumps(sealed(one)).encode())
    one["seeds"] = one["seeds"] * 2
    assert "two different seeds" in refused(json.dumps(sealed(one)).encode())


def test_hostile_sizes_and_depths_are_refused_in_bounded_memory() -> None:
    """A file of many megabytes, deep nesting, and a stage that inflates a thousandfold."""
    assert "larger than" in refused(b" " * (records.MAX_BYTES + 1))
    deep = b'{"kind": "kdoctor/canary", "schema": 1, "x": ' + b"[" * 5000 + b"]" * 5000 + b"}"
    assert refused(deep)
    bomb = document()
    bomb["stages"]["pinned"]["forward"]["raw"] = base64.b64encode(zlib.compress(bytes(64 << 20))).decode()
    with pytest.raises(DocumentError, match="larger than any canary's"):
        record(bomb).stages.pinned.forward.values()
    bomb["stages"]["pinned"]["forward"]["raw"] = "no base64!"
    with pytest.raises(DocumentError, match="cannot be read"):
        record(bomb).stages.pinned.forward.values()
    bomb["stages"]["pinned"]["forward"]["raw"] = base64.b64encode(zlib.compress(b"123")).decode()
    with pytest.raises(DocumentError, match="no float32 values"):
        record(bomb).stages.pinned.forward.values()


def test_a_file_that_cannot_be_read_or_written_is_named(tmp_path: Path) -> None:
    """What, where, why."""
    with pytest.raises(DocumentError, match=r"missing\.json: cannot be read"):
        load_record(tmp_path / "missing.json")
    with pytest.raises(UsageError, match="cannot be written"):
        save_record(record(), tmp_path / "no" / "such" / "folder.json")


def test_a_write_that_fails_leaves_the_old_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing half-written, nothing left over."""
    place = tmp_path / "a.json"
    save_record(record(), place)
    before = place.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UsageError, match="No space left"):
        save_record(record(), place)
    assert place.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.json"]


def test_the_checksum_covers_everything_but_itself() -> None:
    """Every key, at any depth."""
    whole = document()
    assert checksum(sealed(whole)) == checksum(whole)
    whole["environment"]["cpu"]["flags"].append("fma")
    assert checksum(whole) != checksum(document())


def test_comments_and_layout_do_not_make_another_canary() -> None:
    """Code does: a number, an operator, a level of indentation."""
    code = 'def f(x):\n    """Text."""\n    if x:\n        x = 1  # one\n    return x\n'
    same = (
        '"""A module."""\n# first\n\ndef f(x):\n    """Other\n    text."""\n    if x:\n\n        x = 1\n    return x\n'
    )
    assert source_hash(code) == source_hash(same)
    assert source_hash(code) != source_hash(code.replace("= 1", "= 2"))
    assert source_hash(code) != source_hash(code.replace("    return x", "        return x"))
    assert source_hash(code) != source_hash(code.replace("x = 1", "x = 'one'"))
