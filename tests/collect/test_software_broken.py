"""Broken and hostile environments: each trouble is a noted gap, everything else is still read, nothing crashes."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from doctor.collect import software
from tests.collect.software_support import SOURCE, dist_info, names, put, run, static

SITE = "usr/lib/python3.11/site-packages"
PYTHON = {"usr/bin/python3.11": "", "usr/lib/python3.11/os.py": "", f"{SITE}/keep": ""}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with a Python library folder, one good distribution, and an interpreter that is an empty file."""
    return put(tmp_path / "root", {**PYTHON, **dist_info(SITE, "good", "1.0")})


def look(root: Path) -> dict[str, Any]:
    """Static mode on the root."""
    return static("/usr/bin/python3.11", root=root)


@pytest.mark.parametrize(
    ("files", "gap", "found"),
    [
        ({f"{SITE}/lost-2.0.dist-info/RECORD": ""}, "no metadata: name and version are the folder's", ("lost", "2.0")),
        ({f"{SITE}/lost.dist-info/RECORD": ""}, "no metadata, and the folder's name has", None),
        ({f"{SITE}/odd-2.0.dist-info/METADATA": "no header at all"}, "metadata without a name", ("odd", "2.0")),
        ({f"{SITE}/odd-2.0.dist-info/METADATA": b"Name: odd\nVersion: 2.0\n\xff\xfe"}, "not UTF-8", ("odd", "2.0")),
        ({f"{SITE}/odd-2.0.dist-info/METADATA": b"\0" * 50000}, "metadata without a version", ("odd", "2.0")),
        ({f"{SITE}/~umpy-1.0.dist-info/METADATA": "Name: numpy\nVersion: 1.0\n"}, "left over from", None),
        (dist_info(SITE, "e", "1", **{"direct_url.json": "[[["}), "not understood", ("e", "1")),
        (dist_info(SITE, "e", "1", **{"direct_url.json": "[" * 5000}), "not understood", ("e", "1")),
        ({f"{SITE}/loop": "->loop", f"{SITE}/x.pth": "loop\n"}, "links in a circle", None),
        ({f"{SITE}/tensorflow/keep": ""}, "a folder without __init__.py", None),
    ],
)  # fmt: skip
def test_a_trouble_is_a_gap_and_the_rest_is_read(root: Path, files: dict[str, Any], gap: str, found: Any) -> None:
    """One broken thing is noted with its place; the good distribution is found all the same."""
    put(root, files)
    document = look(root)
    assert any(gap in entry["why"] for entry in document["gaps"]), document["gaps"]
    assert names(document)["good"] == "1.0"
    if found:
        assert found in names(document).items()


def test_an_unreadable_folder_makes_the_list_partial(root: Path) -> None:
    """What may stand in a folder that we may not list is not claimed to be absent."""
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    (root / SITE).chmod(0)
    try:
        document = look(root)
    finally:
        (root / SITE).chmod(0o755)
    assert "software.packages" in document["partial"]
    assert "tensorflow" not in document["software"]


class Denying(software.HostFileSystem):
    """A file system on which one folder cannot be listed and one file cannot be read."""

    def listdir(self, path: str) -> list[str]:
        if path.endswith("site-packages"):
            raise PermissionError(13, "Permission denied", path)
        return super().listdir(path)

    def read(self, path: str, offset: int, length: int) -> bytes:
        if path.endswith("os-release"):
            raise OSError(5, "Input/output error", path)
        return super().read(path, offset, length)


def test_a_refusing_file_system_leaves_gaps(root: Path) -> None:
    """Refusals of any kind (here: of the folder and of a file, as for a plain user) are gaps, also when run as root."""
    put(root, {"etc/os-release": "ID=ubuntu\n"})
    document = software.collect(Denying(str(root)), "/usr/bin/python3.11", {})
    whys = {entry["why"] for entry in document["gaps"]}
    assert whys >= {"Permission denied", "Input/output error"}
    assert document["partial"] == ["software.packages"]
    assert document["software"]["packages"] == []
    assert "tensorflow" not in document["software"]


def test_links_never_lead_out_of_the_root(root: Path, tmp_path: Path) -> None:
    """Absolute links and ".." stay inside the root: a file outside is not seen through them."""
    put(tmp_path, {"secret/METADATA": "Name: secret\nVersion: 9\n", "outside": "x"})
    links = {
        f"{SITE}/a-1.dist-info/METADATA": f"->{tmp_path}/secret/METADATA",
        f"{SITE}/b-1.dist-info": "->" + "../" * 30 + str(tmp_path).lstrip("/") + "/secret",
    }
    put(root, links)
    assert "secret" not in names(look(root))


def test_absolute_links_are_relative_to_the_root(root: Path) -> None:
    """/etc/os-release of an image may be an absolute link: it means the image's file, not this machine's."""
    put(root, {"etc/os-release": "->/usr/lib/os-release", "usr/lib/os-release": "ID=plan9\nVERSION_ID='4'\n"})
    document = look(root)
    assert document["software"]["distribution"] == {"id": "plan9", "version": "4"}


def test_a_fifo_does_not_hang(root: Path) -> None:
    """A named pipe where a file should be is not opened."""
    (root / SITE / "p-1.dist-info").mkdir()
    os.mkfifo(root / SITE / "p-1.dist-info" / "METADATA")
    document = look(root)
    assert names(document)["p"] == "1"


def test_a_metadata_of_a_gigabyte_costs_no_memory(root: Path) -> None:
    """A sparse file of 1 GB is read in a bounded piece."""
    path = root / SITE / "huge-1.dist-info" / "METADATA"
    path.parent.mkdir()
    with path.open("wb") as file:
        file.write(b"Name: huge\nVersion: 1\nX: ")
        file.truncate(1 << 30)
    assert names(look(root))["huge"] == "1"


def test_control_characters_and_surrogates_survive_as_json(root: Path) -> None:
    """Strings stay data: control characters are kept for the report to clean, lone surrogates are replaced."""
    os.makedirs(os.fsencode(root / SITE) + b"/bad\xff-1.0.dist-info")
    put(root, dist_info(SITE, "esc", "1.0\x1b[31m"))
    document = look(root)
    json.dumps(document, ensure_ascii=False).encode("utf-8")
    assert names(document)["esc"] == "1.0\x1b[31m"


def test_build_info_that_is_code_is_not_run(root: Path, tmp_path: Path) -> None:
    """build_info.py is parsed, never executed, and nonsense in it is a gap."""
    package = f"{SITE}/tensorflow"
    code = f"open({str(tmp_path / 'ran')!r}, 'w')\nbuild_info = dict(is_cuda_build=open)\n"
    put(root, {f"{package}/__init__.py": "", f"{package}/python/platform/build_info.py": code})
    document = look(root)
    assert not (tmp_path / "ran").exists()
    assert "cuda_build" not in document["software"]["tensorflow"]
    assert any("not understood" in entry["why"] for entry in document["gaps"])


@pytest.mark.parametrize("code", ["1" + "+1" * 100000, "a" + ".b" * 100000, "[" * 100000, "-" * 100000 + "1"])
def test_build_info_that_would_overflow_the_parser_is_refused(root: Path, code: str) -> None:
    """Code made to crash a Python that parses it is a gap: Pythons up to 3.10 die of such chains."""
    package = f"{SITE}/tensorflow"
    put(root, {f"{package}/__init__.py": "", f"{package}/python/platform/build_info.py": f"is_cuda_build = {code}\n"})
    assert any("not understood" in entry["why"] for entry in look(root)["gaps"])


def test_a_million_paths_are_bounded(root: Path) -> None:
    """A .pth file with more folders than sys.path ever has stops at a bound, and the list is called partial."""
    for number in range(software.MAX_PATHS + 10):
        (root / SITE / f"d{number}").mkdir()
    put(root, {f"{SITE}/many.pth": "".join(f"d{number}\n" for number in range(software.MAX_PATHS + 10))})
    document = look(root)
    assert document["partial"] == ["software.packages"]
    assert len(document["software"]["python"]["paths"]) == software.MAX_PATHS


def test_a_missing_base_leaves_the_venv_readable(tmp_path: Path) -> None:
    """A venv whose base Python was removed still shows its packages and the version that it was made with."""
    site = "env/lib/python3.10/site-packages"
    files = {"env/bin/python": "->/gone/bin/python3.10", "env/pyvenv.cfg": "home = /gone/bin\nversion = 3.10.4\n"}
    put(tmp_path, {**files, **dist_info(site, "kept", "7")})
    document = static("/env/bin/python", root=tmp_path)
    assert names(document) == {"kept": "7"}
    assert document["software"]["python"]["version"] == "3.10.4"
    assert "software.python.version" in document["derived"]


def test_a_file_that_is_no_interpreter_is_a_gap(tmp_path: Path) -> None:
    """A path without a Python library beside it gives no python section, and says so."""
    put(tmp_path, {"bin/python": "#!/bin/sh\n"})
    document = static("/bin/python", root=tmp_path)
    assert "python" not in document["software"]
    assert document["gaps"][0]["path"] == "/bin/python"


def test_run_mode_answers_even_when_it_fails(monkeypatch: pytest.MonkeyPatch, capfdbinary: Any) -> None:
    """Whatever goes wrong inside, main answers with one JSON document between the sentinels and exit code 1."""
    monkeypatch.setattr(software, "collect", lambda *a, **k: 1 / 0)
    assert software.main([]) == 1
    out = capfdbinary.readouterr().out.decode("ascii")
    assert "ZeroDivisionError" in json.loads(out.split(software.BEGIN)[1].split(software.END)[0])["error"]


def test_the_collector_needs_nothing_but_the_standard_library() -> None:
    """Run mode under -I -S works, so no import of doctor or of the environment can be in the file."""
    assert run(sys.executable)["software"]["python"]["executable"] == sys.executable
    assert "import doctor" not in SOURCE.read_text(encoding="utf-8")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=600), place=st.sampled_from(["elf", "cache", "meta", "pth", "cfg", "info", "record"]))
def test_any_bytes_anywhere_are_survived(tmp_path_factory: pytest.TempPathFactory, data: bytes, place: str) -> None:
    """Whatever bytes a file has, the collector returns a document that JSON can hold."""
    root = tmp_path_factory.mktemp("root")
    places = {
        "elf": "usr/local/cuda-12.2/lib64/libcudart.so.12",
        "cache": "etc/ld.so.cache",
        "meta": f"{SITE}/x-1.dist-info/METADATA",
        "pth": f"{SITE}/x.pth",
        "cfg": "usr/pyvenv.cfg",
        "info": f"{SITE}/tensorflow/python/platform/build_info.py",
        "record": f"{SITE}/tensorflow-1.dist-info/RECORD",
    }
    head = {"elf": b"\x7fELF\x02\x01\x01" + b"\0" * 9, "cache": b"glibc-ld.so.cache1.1"}.get(place, b"")
    put(root, {**PYTHON, f"{SITE}/tensorflow/__init__.py": "", places[place]: head + data})
    json.dumps(look(root)).encode("ascii")
