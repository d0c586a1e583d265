"""The maintenance script that adds releases to the tables: a fabricated wheel on a local server with range requests."""

from __future__ import annotations

import importlib
import json
import sys
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar

import pytest

ROOT = Path(__file__).resolve().parents[2]
TABLES = ROOT / "rules" / "tables"

METADATA = """Metadata-Version: 2.1
Name: tensorflow
Version: 9.1.0
Requires-Python: >=3.12
Requires-Dist: numpy<3,>=2.1
Requires-Dist: Typing_Extensions>=4
Requires-Dist: keras>=3.20.0
Requires-Dist: nvidia-cudnn-cu13<10,>=9.9; extra == "and-cuda"
Requires-Dist: gcs-thing>=1; (sys_platform != "win32" and python_version < "3.13") and extra == "gcs-filesystem"
"""
BUILD_INFO = """# generated
import collections
build_info = collections.OrderedDict([('cpu_compiler', 'clang'),
    ('cuda_compute_capabilities', ['sm_80', 'compute_120']), ('cuda_version', '13.1'), ('cudnn_version', '9'),
    ('is_cuda_build', True), ('is_rocm_build', False), ('is_tensorrt_build', False)])
"""
KERAS_METADATA = "Metadata-Version: 2.1\nName: keras\nVersion: 9.0.0\nRequires-Python: >=3.12\nRequires-Dist: numpy\n"


def wheel(members: dict[str, str], *, padding: int = 0, last: bool = True) -> bytes:
    """A zip of these members with many empty ones before (or after) them, as large wheels have."""
    buffer = BytesIO()
    empty = {f"tensorflow/include/a/rather/long/path/to/a/header/number/{i:06d}/file.h": "" for i in range(padding)}
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in ({**empty, **members} if last else {**members, **empty}).items():
            archive.writestr(name, text)
    return buffer.getvalue()


class Index(BaseHTTPRequestHandler):
    """A package index: pages, `.metadata` files and wheels with range requests."""

    files: ClassVar[dict[str, bytes]] = {}
    sent: ClassVar[dict[str, int]] = {}
    ranges: ClassVar[bool] = True
    json_pages: ClassVar[bool] = False

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        if path.startswith("/simple/"):
            self._page(path.split("/")[2])
        elif path not in self.files:
            self.send_error(404)
        else:
            self._file(path, self.files[path])

    def _page(self, project: str) -> None:
        names = [p.removeprefix("/files/") for p in self.files if p.startswith(f"/files/{project.replace('-', '_')}-")]
        names = [name for name in names if name.endswith(".whl")]
        if self.json_pages:
            rows = [{"filename": n, "url": f"../../files/{n}", "requires-python": ">=3.12"} for n in names]
            self._answer(json.dumps({"files": rows}).encode(), "application/vnd.pypi.simple.v1+json")
        else:
            links = [f'<a href="../../files/{n}#sha256=0" data-requires-python="&gt;=3.12">{n}</a>' for n in names]
            self._answer(("<html><body>" + "<br>".join(links) + "</body></html>").encode(), "text/html")

    def _file(self, path: str, body: bytes) -> None:
        wanted = self.headers.get("Range")
        if not wanted or not self.ranges:
            self._answer(body, "application/octet-stream")
            return
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        part = body[int(first) : int(last) + 1]
        self.sent[path] = self.sent.get(path, 0) + len(part)
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {first}-{last}/{len(body)}")
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part)

    def _answer(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script as a module; what it imports beside itself is found as when it is run."""
    monkeypatch.syspath_prepend(str(ROOT / "maintenance"))
    names = ("update_tables", "releases", "package_index", "remote_wheel", "table_files")
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield importlib.import_module("update_tables")
    for name in names:
        sys.modules.pop(name, None)


@pytest.fixture
def index() -> Iterator[str]:
    """The address of a local index that holds nothing yet."""
    Index.files, Index.sent, Index.ranges, Index.json_pages = {}, {}, True, False
    server = ThreadingHTTPServer(("127.0.0.1", 0), Index)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/simple/"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the two tables that the script changes."""
    for name in ("tensorflow.json", "keras.json"):
        (tmp_path / name).write_bytes((TABLES / name).read_bytes())
    return tmp_path


def offer_tensorflow(*, padding: int = 0, last: bool = True, version: str = "9.1.0") -> str:
    """Put the wheels of a made-up TensorFlow on the index; the path of the Linux one comes back."""
    info = f"tensorflow-{version}.dist-info/METADATA"
    text = METADATA.replace("9.1.0", version)
    linux = f"/files/tensorflow-{version}-cp312-cp312-manylinux_2_28_x86_64.whl"
    windows = f"/files/tensorflow-{version}-cp313-cp313-win_amd64.whl"
    members = {info: text, "tensorflow/python/platform/build_info.py": BUILD_INFO}
    Index.files[linux] = wheel(members, padding=padding, last=last)
    no_cuda = BUILD_INFO.replace("('is_cuda_build', True)", "('is_cuda_build', False)")
    Index.files[windows] = wheel({info: text, "tensorflow/python/platform/build_info.py": no_cuda})
    return linux


def rows(folder: Path, name: str, section: str) -> list[dict[str, Any]]:
    return json.loads((folder / f"{name}.json").read_text("utf-8"))[section]


@pytest.mark.parametrize("json_pages", [False, True])
def test_a_new_release_becomes_a_row(scripts: Any, index: str, folder: Path, json_pages: bool) -> None:
    """Version, Pythons, glibc, requirements, extras and the CUDA build come out of file names and two small files."""
    offer_tensorflow()
    Index.json_pages = json_pages
    assert scripts.main(["--index-url", index, "--tables", str(folder), "--write"]) == 0
    row = rows(folder, "tensorflow", "releases")[-1]
    assert row["version"] == "9.1.0"
    assert row["python"] == {"linux_x86_64": ["3.12"], "windows_amd64": ["3.13"]}
    assert row["requires_python"] == ">=3.12"
    assert row["min_glibc"] == {"linux_x86_64": "2.28"}
    assert row["requires"] == ["keras>=3.20.0", "numpy<3,>=2.1", "typing-extensions>=4"]
    assert row["extras"]["and-cuda"] == ["nvidia-cudnn-cu13<10,>=9.9"]
    assert row["extras"]["gcs-filesystem"] == ['gcs-thing>=1; sys_platform != "win32" and python_version < "3.13"']
    assert row["cuda"]["version"] == "13.1"
    assert row["cuda"]["compute_capabilities"] == ["sm_80", "compute_120"]
    assert row["cuda"]["platforms"] == ["linux_x86_64"]
    assert row["gpu_code"] is None
    assert row["source"]
    assert row["seen"] > "2026"
    assert rows(folder, "keras", "pins")[-1]["requires"] == ">=3.20.0"


def test_without_write_nothing_is_written(
    scripts: Any, index: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The difference is printed, the exit code is 1, and the files stay as they were."""
    before = (folder / "tensorflow.json").read_bytes()
    offer_tensorflow()
    assert scripts.main(["--index-url", index, "--tables", str(folder)]) == 1
    assert '+  {"version": "9.1.0"' in capsys.readouterr().out
    assert (folder / "tensorflow.json").read_bytes() == before


def test_rows_that_are_there_stay_as_they_are(scripts: Any, index: str, folder: Path) -> None:
    """A new row changes no other: source and seen of each stay."""
    before = rows(folder, "tensorflow", "releases")
    offer_tensorflow()
    scripts.main(["--index-url", index, "--tables", str(folder), "--write"])
    assert rows(folder, "tensorflow", "releases")[:-1] == before


def test_a_late_patch_of_an_old_minor_goes_to_its_place(scripts: Any, index: str, folder: Path) -> None:
    """2.15.9 is put after 2.15.1, not at the end."""
    offer_tensorflow(version="2.15.9")
    scripts.main(["--index-url", index, "--tables", str(folder), "--write"])
    order = [row["version"] for row in rows(folder, "tensorflow", "releases")]
    assert order[order.index("2.15.9") - 1] == "2.15.1"


def test_pre_releases_and_known_releases_are_left_alone(
    scripts: Any, index: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A release candidate and what the table has change nothing."""
    offer_tensorflow(version="9.2.0rc1")
    offer_tensorflow(version="2.21.0")
    assert scripts.main(["--index-url", index, "--tables", str(folder), "--write"]) == 0
    assert "no new releases" in capsys.readouterr().out


def test_new_keras(scripts: Any, index: str, folder: Path) -> None:
    """A new Keras stands after the others of its name, before those of tf-keras."""
    Index.files["/files/keras-9.0.0-py3-none-any.whl"] = wheel({"keras-9.0.0.dist-info/METADATA": KERAS_METADATA})
    scripts.main(["--index-url", index, "--tables", str(folder), "--write"])
    releases = rows(folder, "keras", "releases")
    at = next(i for i, row in enumerate(releases) if row["version"] == "9.0.0")
    assert releases[at]["requires"] == ["numpy"]
    assert releases[at]["requires_python"] == ">=3.12"
    assert {row["name"] for row in releases[:at]} == {"keras"}
    assert releases[at + 1]["name"] == "tf-keras"


@pytest.mark.parametrize("last", [True, False])
def test_a_large_wheel_is_not_downloaded(scripts: Any, index: str, folder: Path, last: bool) -> None:
    """With 20,000 members, and the wanted ones at either end, a fraction of the central directory is read."""
    path = offer_tensorflow(padding=20_000, last=last)
    assert scripts.main(["--index-url", index, "--tables", str(folder), "--write"]) == 0
    assert len(Index.files[path]) > 2_500_000
    assert Index.sent[path] < 1_300_000
    assert rows(folder, "tensorflow", "releases")[-1]["cuda"]["version"] == "13.1"


def test_the_limit_on_bytes_holds(scripts: Any, index: str) -> None:
    """A member in the middle of a directory that is too long is an error, not a download."""
    remote = sys.modules["remote_wheel"]
    path = offer_tensorflow(padding=20_000)
    reader = remote.RemoteWheel(index.replace("/simple/", path), limit=300_000)
    with pytest.raises(remote.RemoteWheelError, match="more than 300000 bytes"):
        reader.text("no/such/member")
    assert Index.sent[path] <= 300_000


@pytest.mark.parametrize("trouble", ["no ranges", "no zip", "no build info", "no index"])
def test_trouble_is_one_line(
    scripts: Any, index: str, folder: Path, capsys: pytest.CaptureFixture[str], trouble: str
) -> None:
    """What cannot be read ends with exit code 2 and one line that names it; nothing is written."""
    before = (folder / "tensorflow.json").read_bytes()
    path = offer_tensorflow()
    Index.ranges = trouble != "no ranges"
    if trouble == "no zip":
        Index.files[path] = b"x" * 5000
    if trouble == "no build info":
        Index.files[path] = wheel({"tensorflow-9.1.0.dist-info/METADATA": METADATA})
    where = "http://127.0.0.1:9/simple/" if trouble == "no index" else index
    assert scripts.main(["--index-url", where, "--tables", str(folder), "--write"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("update_tables: ")
    assert error.count("\n") == 1
    assert (folder / "tensorflow.json").read_bytes() == before


def test_check_reads_a_release_again(
    scripts: Any, index: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A row that says what its wheels say passes; one that does not is told field by field."""
    offer_tensorflow()
    scripts.main(["--index-url", index, "--tables", str(folder), "--write"])
    capsys.readouterr()
    assert scripts.main(["--index-url", index, "--tables", str(folder), "--check", "9.1.0"]) == 0
    table = (folder / "tensorflow.json").read_text("utf-8").replace("compute_120", "compute_90")
    (folder / "tensorflow.json").write_text(table, "utf-8")
    assert scripts.main(["--index-url", index, "--tables", str(folder), "--check", "9.1.0"]) == 1
    assert "compute_120" in capsys.readouterr().out


def test_the_index_is_the_one_that_pip_uses(scripts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """PIP_INDEX_URL comes first; without it pip is asked, and some address comes back."""
    package_index = sys.modules["package_index"]
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    assert package_index.configured_index() == "http://127.0.0.1:9/simple"
    monkeypatch.delenv("PIP_INDEX_URL")
    assert package_index.configured_index().startswith("http")


def test_tables_are_written_as_they_are(scripts: Any) -> None:
    """Reading and writing a table that did not change gives the same bytes: a diff shows rows."""
    table_files = sys.modules["table_files"]
    for path in sorted(TABLES.glob("*.json")):
        if path.stem in ("tensorflow", "keras"):
            assert table_files.text(table_files.read(path)) == path.read_text("utf-8")
