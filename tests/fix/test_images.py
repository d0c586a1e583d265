"""Images: the digest that the registry told goes where doctor.pin puts it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from doctor import catalogue
from doctor.case import Case
from doctor.engine import judge
from doctor.fix.plan import Plan, plan
from doctor.model.facts import known
from tests.fix.support import Project, project

DIGESTS = {"python:3.11": "sha256:" + "a" * 64, "nvidia/cuda:12.2.0-base-ubuntu22.04": "sha256:" + "b" * 64}


def asked(here: Project) -> Case:
    """The project's case, with what a registry says of its tags."""
    case = here.case()

    def answered(row: dict[str, Any]) -> dict[str, Any]:
        digest = DIGESTS.get(row["reference"])
        return {**row, "registry": {"outcome": "ok", "tag_digest": digest}} if digest else row

    images = tuple(answered(row) for row in known(case.project.images) or ())
    return Case(msgspec.structs.replace(case.snapshot, project=msgspec.structs.replace(case.project, images=images)))


def made(here: Project, *codes: str) -> Plan:
    """The plan with the registry's answers at hand."""
    case = asked(here)
    findings = judge(case, [rule for rule in catalogue.rules() if rule.code.startswith(codes)]).findings
    return plan(here.folder, findings, case, {})


def test_digests_and_versions_in_one_dockerfile(tmp_path: Path) -> None:
    """Two images and an install line: one diff, and all findings are gone."""
    text = (
        "ARG TAG=3.11\nFROM python:$TAG AS a\nFROM nvidia/cuda:12.2.0-base-ubuntu22.04\n"
        "COPY --from=a /x /x\nRUN pip install numpy\n"
    )
    here = project(tmp_path / "p", {"Dockerfile": text, "requirements.txt": "numpy==1.26.4\n"})
    fixes = made(here, "KD403", "KD601").write()
    assert [file.refused for file in fixes.files] == [None]
    after = here.read("Dockerfile")
    assert "nvidia/cuda:12.2.0-base-ubuntu22.04@" + DIGESTS["nvidia/cuda:12.2.0-base-ubuntu22.04"] in after
    assert DIGESTS["python:3.11"] in after
    assert "RUN pip install numpy==1.26.4\n" in after
    assert not here.findings("KD403", "KD601")
    assert not made(here, "KD403", "KD601").files


def test_compose_and_dockerfile_each_get_their_own(tmp_path: Path) -> None:
    """Files of other kinds are pinned by their own readers."""
    here = project(
        tmp_path / "p",
        {"compose.yaml": "services:\n  a:\n    image: python:3.11  # base\n", "Dockerfile": "FROM python:3.11\n"},
    )
    made(here, "KD403").write()
    pinned = "python:3.11@" + DIGESTS["python:3.11"]
    assert here.read("compose.yaml") == f"services:\n  a:\n    image: {pinned}  # base\n"
    assert here.read("Dockerfile") == f"FROM {pinned}\n"


def test_without_an_answer_the_command_stands(tmp_path: Path) -> None:
    """No registry was asked (--offline): the command that asks is offered, and no edit."""
    here = project(tmp_path / "p", {"my images/Dockerfile": "FROM busybox:1.36\n"})
    fixes = made(here, "KD403").fixes()
    assert not fixes.files
    assert [row.command for row in fixes.rows] == ["kdoctor pin --write 'my images/Dockerfile'"]


def test_a_moving_tag_is_for_a_person_to_choose(tmp_path: Path) -> None:
    """``latest`` is not frozen silently: which version is meant, nobody told."""
    here = project(tmp_path / "p", {"Dockerfile": "FROM python:latest\n"})
    assert not made(here, "KD402").files
