"""Snapshots on the wire."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from doctor.errors import DocumentError
from doctor.model.facts import Missing, known, need
from doctor.model.wire import decode_snapshot, encode_snapshot, load_snapshot, parse_document, to_builtins


def test_absent_key_is_a_missing_fact() -> None:
    """An absent key means not known, and says which fact."""
    snapshot = decode_snapshot({"machine": {"driver": {"version": "535.104.05"}}})
    assert need(snapshot.machine.driver.version) == "535.104.05"
    assert snapshot.machine.gpus == Missing("machine.gpus")


def test_missing_node_keeps_its_reason_for_the_whole_section() -> None:
    """``{"missing": why}`` in place of a section gives the reason to each of its facts."""
    snapshot = decode_snapshot({"software": {"tensorflow": {"missing": "folder unreadable"}}})
    assert snapshot.software.tensorflow.version == Missing("software.tensorflow.version", "folder unreadable")


def test_wrong_type_is_not_understood_and_the_rest_is_read() -> None:
    """A field of a wrong type becomes a missing fact; its neighbours stay."""
    snapshot = decode_snapshot({"machine": {"kernel": 5, "os": "linux", "cpu": {"cores": "many"}}})
    assert snapshot.machine.os == "linux"
    assert isinstance(snapshot.machine.kernel, Missing)
    assert snapshot.machine.kernel.why.startswith("not understood")
    assert isinstance(snapshot.machine.cpu.cores, Missing)


def test_item_of_a_wrong_shape_makes_the_list_partial() -> None:
    """A package without a name is dropped, and absence from the list proves nothing any more."""
    snapshot = decode_snapshot({"software": {"packages": [{"name": "numpy"}, {"version": "1"}, 7]}})
    assert [p.name for p in need(snapshot.software.packages)] == ["numpy"]
    assert "software.packages" in snapshot.partial


def test_mistakes_in_several_items_do_not_move_to_others() -> None:
    """Items that are dropped take their mistakes with them; a sound neighbour keeps its name."""
    libraries = [{"soname": None}, {"soname": "a", "version": 3}, {"soname": 3}, {"soname": "b"}, {"x": 1}]
    libraries += [{"soname": {"missing": "x"}}, {"soname": "c", "path": None}]
    snapshot = decode_snapshot({"software": {"cuda": {"libraries": libraries}}})
    found = need(snapshot.software.cuda.libraries)
    assert [library.soname for library in found] == ["a", "b", "c"]
    assert [isinstance(library.version, Missing) and library.version.why[:14] for library in found] == [
        "not understood",
        "not known",
        "not known",
    ]
    assert snapshot.partial == ("software.cuda.libraries",)


@pytest.mark.parametrize(
    "raw", [{"subject": None}, {"subject": {"name": None, "kind": 3}}, {"derived": None, "partial": 1}]
)
def test_what_is_never_missing_keeps_its_default(raw: dict[str, object]) -> None:
    """Subject and lists of paths are always there, whatever a file says."""
    snapshot = decode_snapshot(raw)
    assert (snapshot.subject.kind, snapshot.subject.name) == ("host", "host")
    assert (snapshot.derived, snapshot.partial) == ((), ())


def test_many_mistakes_do_not_discard_the_document() -> None:
    """A section full of mistakes is given up; the others are read."""
    packages = [{"version": n} for n in range(500)]
    snapshot = decode_snapshot({"software": {"packages": packages}, "machine": {"os": "linux"}})
    assert snapshot.machine.os == "linux"
    assert isinstance(snapshot.software.packages, Missing)


def test_unknown_keys_are_ignored() -> None:
    """Additions of a later version do not disturb this one."""
    assert decode_snapshot({"machine": {"os": "linux", "quantum": True}, "new": 1}).machine.os == "linux"


def test_what_is_written_is_read_again() -> None:
    """Writing and reading a snapshot gives the same snapshot, missing reasons included."""
    raw = {
        "kind": "kdoctor/snapshot",
        "schema": 1,
        "subject": {"kind": "host", "name": "host"},
        "machine": {"gpus": [], "wsl": 2, "driver": {"missing": "NVML did not answer within 5 s"}},
        "software": {"environment": {"CUDA_VISIBLE_DEVICES": ""}, "cuda": {"libdevice": False}},
        "partial": ["software.packages"],
    }
    first = decode_snapshot(raw)
    assert decode_snapshot(msgspec.json.decode(encode_snapshot(first))) == first


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[]", "not a JSON object"),
        (b'{"schema": 2}', "update kdoctor"),
        (b'{"schema": "one"}', "schema is 'one'"),
        (b'{"kind": "kdoctor/canary"}', "a kdoctor/canary document"),
        (b'{"kind": "Pod"}', "not a kdoctor document"),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "nested too deep"),
        (b" " * (33 << 20), "larger than 32 MiB"),
    ],
)
def test_unusable_documents_are_refused_in_one_line(data: bytes, words: str) -> None:
    """Each unusable document gives one line that says what and where."""
    with pytest.raises(DocumentError, match=words) as caught:
        parse_document(data, "node.json")
    assert str(caught.value).startswith("node.json: ")
    assert "\n" not in str(caught.value)


def test_a_missing_fact_within_a_row_is_kept() -> None:
    """What a registry could not say stays in the image's row, with its reason, and is written again."""
    late = {"missing": "no answer within 2 s in all"}
    rows = [{"reference": "a:1"}, {"reference": "b:1", "registry": late, "x": {"y": [{"z": late}, 3]}}]
    snapshot = decode_snapshot({"project": {"images": rows}})
    assert known(snapshot.project.images) == tuple(rows)
    assert decode_snapshot(to_builtins(snapshot)) == snapshot


def test_the_rows_of_a_list_that_lost_one_keep_their_own_reasons() -> None:
    """An item of a wrong shape is dropped; what was missing in the one behind it stays with that one."""
    rows = ["nonsense", {"reference": "b:1", "registry": {"missing": "late"}}]
    snapshot = decode_snapshot({"project": {"images": rows}})
    assert known(snapshot.project.images) == (rows[1],)
    assert "project.images" in snapshot.partial


def test_fields_of_a_wrong_type_are_told_of_the_file(tmp_path: Path) -> None:
    """One remark names file, places and what to do; an understood file has none."""
    file = tmp_path / "node.json"
    file.write_text(json.dumps({"machine": {"driver": {"version": 535}}, "software": {"packages": [3, 4, 5, 6, 7]}}))
    remarks: list[str] = []
    assert load_snapshot(file, remarks).machine.driver.version == Missing(
        "machine.driver.version", "not understood: Expected `str`, got `int`"
    )
    (remark,) = remarks
    assert remark.startswith(f"{file}: 6 fields are of a wrong type and taken as not known: machine.driver.version (")
    assert remark.endswith(", and 1 more; collect it anew")
    file.write_text("{}")
    load_snapshot(file, remarks)
    assert remarks == [remark]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_byte_order_marks_are_no_obstacle(tmp_path: Path, encoding: str) -> None:
    """What PowerShell makes of `… > node.json` is read like the rest."""
    file = tmp_path / "node.json"
    file.write_bytes('{"schema": 1, "machine": {"name": "Knoten-ä"}}'.encode(encoding))
    assert load_snapshot(file).machine.name == "Knoten-ä"
