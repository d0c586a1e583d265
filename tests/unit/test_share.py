"""``snapshot --share``: what may be pasted into a public bug report."""

from __future__ import annotations

import json

import pytest

from doctor.model.wire import decode_snapshot
from doctor.share import shared_block


def block(raw: dict[str, object]) -> dict[str, object]:
    """The JSON in the shared block of a snapshot."""
    text = shared_block(decode_snapshot(raw)).decode()
    assert text.startswith("<details>")
    found: dict[str, object] = json.loads(text.split("```json\n")[1].split("\n```")[0])
    return found


def test_names_of_people_hosts_and_projects_are_taken_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Host name, home folders, project, log and mail addresses do not leave; versions do."""
    monkeypatch.setenv("HOME", "/srv/people/ada")
    shared = block(
        {
            "machine": {"name": "ada-laptop", "driver": {"version": "535.104.05"}},
            "software": {
                "python": {"executable": "/home/ada/secret-project/.venv/bin/python", "version": "3.11.7"},
                "packages": [{"name": "numpy", "version": "1.26.4", "location": "/srv/people/ada/env/lib"}],
                "environment": {"TF_CONFIG": "worker0@example.com 10.1.2.3:2222"},
            },
            "project": {"images": [{"reference": "registry.corp.example/app:1"}]},
            "log": ["/home/ada/train.py failed"],
        }
    )
    text = json.dumps(shared)
    for word in ("ada", "secret-host", "corp.example", "10.1.2.3", "worker0@example.com"):
        assert word not in text, word
    assert "535.104.05" in text
    assert "~/secret-project/.venv/bin/python" in text
    assert "project" not in shared
    assert "log" not in shared


def test_a_node_is_not_named_by_the_name_of_its_snapshot() -> None:
    """The probe calls the subject like the node; in a shared block it is the host."""
    shared = block({"subject": {"kind": "host", "name": "trainer-03"}, "machine": {"name": "trainer-03"}})
    assert "trainer-03" not in json.dumps(shared)
    assert shared["subject"]["name"] == "host"  # type: ignore[index]


def test_private_registries_are_taken_out_and_public_ones_stay() -> None:
    """What is left of a reference still tells repository, tag and digest."""
    private = "registry.corp.example:5000/team/app:1"
    image = {"reference": private, "repo_digests": [f"{private}@sha256:0"], "base": {"name": "nvcr.io/nvidia/cuda:12"}}
    labels = {"maintainer": "somebody at corp.example"}
    found = block({"subject": {"kind": "image", "name": private}, "software": {"image": {**image, "labels": labels}}})
    assert "corp.example" not in json.dumps(found)
    assert found["subject"]["name"] == "…/team/app:1"  # type: ignore[index]
    assert found["software"]["image"]["base"]["name"] == "nvcr.io/nvidia/cuda:12"  # type: ignore[index]
