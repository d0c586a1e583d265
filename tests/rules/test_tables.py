"""The compatibility tables: every row has its source and date, and says what the verified facts say."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from doctor import catalogue

catalogue.mount()
tables = importlib.import_module("doctor.rules.tables")
cuda = importlib.import_module("doctor.rules.tables.cuda")
gpus = importlib.import_module("doctor.rules.tables.gpus")
libraries = importlib.import_module("doctor.rules.tables.libraries")
tensorflow = importlib.import_module("doctor.rules.tables.tensorflow")
versions = importlib.import_module("doctor.rules.tables.versions")

FOLDER = catalogue.folder() / "tables"


def raw(name: str) -> dict[str, Any]:
    """A table file as plain data."""
    return json.loads((FOLDER / f"{name}.json").read_text("utf-8"))


def sections(table: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The lists of rows of a table."""
    return {key: rows for key, rows in table.items() if isinstance(rows, list)}


@pytest.mark.parametrize("name", tables.names())
def test_every_row_names_its_sources_and_when_they_were_read(name: str) -> None:
    """A row without a source that can be looked up, or without a date, is no fact."""
    table = raw(name)
    assert table["table"] == name
    assert sections(table)
    for key, rows in sections(table).items():
        for row in rows:
            assert row["source"], f"{name}.{key}: {row}"
            assert set(row["source"]) <= set(table["sources"]), f"{name}.{key}: {row}"
            assert re.fullmatch(r"\d{4}-\d\d-\d\d", row["seen"]), f"{name}.{key}: {row}"
            assert row["seen"] <= table["seen"]


@pytest.mark.parametrize("name", tables.names())
def test_no_source_is_kept_that_no_row_uses(name: str) -> None:
    """The sources of a file are those of its rows, each told in words."""
    table = raw(name)
    used = {key for rows in sections(table).values() for row in rows for key in row["source"]}
    assert used == set(table["sources"])
    assert all(len(text) > 8 for text in table["sources"].values())


def test_versions_are_no_decimal_numbers() -> None:
    """No table holds a version as a JSON number: 12.10 would become 12.1."""
    for name in tables.names():
        text = (FOLDER / f"{name}.json").read_text("utf-8")
        text = re.sub(r'"likely": *[\d.]+', '""', text)  # a probability is no version
        assert not re.search(r"[:\[,] *\d+\.\d+ *[,}\]]", re.sub(r'"(?:[^"\\]|\\.)*"', '""', text)), name
    assert versions.at_least("12.10", "12.9")
    assert not versions.at_least("12.5", "12.5.1")
    assert versions.at_least("12.5.0", "12.5")
    assert versions.version("nightly") is None
    assert versions.version(False) is None


def test_specifiers_in_tables_can_be_read() -> None:
    """Every specifier and requirement of the tables is one that `packaging` understands."""
    for release in tensorflow.releases():
        for text in (*release.requires, *(r for extra in release.extras.values() for r in extra)):
            Requirement(text)
    for row in raw("bounds")["bounds"]:
        SpecifierSet(row["tensorflow"])
        SpecifierSet(row["works"])
    for row in raw("addons")["addons"]:
        SpecifierSet(row["versions"])
        SpecifierSet(row["tensorflow"])


def test_every_architecture_of_a_chip_is_in_the_table() -> None:
    """Chips and products have a compute capability that the table of architectures knows, Fermi excepted."""
    known = {row.compute_capability for row in gpus.architectures()}
    table = raw("gpus")
    assert {row["compute_capability"] for row in (*table["chips"], *table["products"])} - known <= {"2.0", "2.1"}


def test_every_cuda_build_has_its_sonames() -> None:
    """For each release it is known which libraries it opens."""
    for release in tensorflow.releases():
        assert len(libraries.sonames_for(release.version, required_only=True)) >= 7, release.version


KNOWLEDGE = Path(__file__).resolve().parents[3] / "shared" / "knowledge"


def knowledge(name: str) -> dict[str, Any]:
    """A file of the verified facts that the tables were made from."""
    path = KNOWLEDGE / f"{name}.json"
    if not path.is_file():
        pytest.skip("the verified facts are not beside this checkout (../shared/knowledge)")
    return json.loads(path.read_text("utf-8"))


def test_releases_agree_with_the_verified_facts() -> None:
    """CUDA, cuDNN, capabilities, Pythons, glibc and requirements of each verified release stand in the table."""
    for version, fact in knowledge("tensorflow")["releases"].items():
        release = tensorflow.tensorflow_release(version)
        assert release is not None
        assert release.version == version
        assert release.cuda.version == fact["build_info"]["cuda_version"]
        assert release.cuda.cudnn == fact["build_info"]["cudnn_version"]
        assert list(release.cuda.compute_capabilities) == fact["build_info"]["cuda_compute_capabilities"]
        assert release.min_glibc["linux_x86_64"] == fact["min_glibc_linux_x86_64"]
        assert release.requires_python == fact["requires_python"]
        for platform, tags in fact["cpython_tags"].items():
            assert list(release.python[platform]) == [re.sub(r"cp(\d)(\d+)", r"\1.\2", tag) for tag in tags]
        declared = [Requirement(text) for text in release.requires]
        for package, rows in fact["requires"].items():
            specifiers = {str(r.specifier) for r in declared if r.name == package}
            assert specifiers == {str(SpecifierSet(row["specifier"])) for row in rows}, (version, package)
        if fact.get("gpu_code"):
            assert release.gpu_code.driver_cuda_for_ptx == fact["gpu_code"]["min_driver_cuda_to_jit_all_ptx"]
            assert list(release.gpu_code.sass_full) == fact["gpu_code"]["sass_full"]


def test_drivers_and_gpus_agree_with_the_verified_facts() -> None:
    """Branches, the compatibility matrix and the architectures are those of the verified facts."""
    facts = knowledge("cuda_driver")
    for row in facts["driver_branches"]:
        assert cuda.cuda_reported_by(f"{row['branch']}.99") == row["reports_cuda"]
    for package, drivers in facts["forward_compatibility"]["rows"].items():
        compat = package.removeprefix("cuda-compat-").replace("-", ".")
        for branch, verdict in drivers.items():
            assert cuda.forward_compat(compat, f"{branch}.50") == verdict, (compat, branch)
    for row in knowledge("gpu_arch")["architectures"]:
        found = gpus.architecture(row["cc"])
        assert found.last_toolkit == row["last_toolkit"]
        branch = row["last_driver_branch"]
        assert found.last_driver_branch == (int(branch.removeprefix("R")) if branch else None)


def test_the_newest_release_is_the_last_row() -> None:
    """The rows are in the order of versions, each once."""
    order = [Version(release.version) for release in tensorflow.releases()]
    assert order == sorted(set(order))
    assert tensorflow.is_newer_than_table("9.0.0")
    assert not tensorflow.is_newer_than_table(str(order[-1]))
