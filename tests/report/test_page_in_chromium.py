"""The HTML report in a real browser: nothing overflows, nothing is complained of, nothing is asked of a network."""

from __future__ import annotations

import http.server
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import msgspec
import pytest

from doctor.model.report import Report
from doctor.report import render
from doctor.report.context import Area, Context

pytestmark = pytest.mark.e2e

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--enable-logging=stderr",
)
# A page beside the report looks at it from outside: the report itself forbids scripts.
LOOK = """<!DOCTYPE html><body style="margin:0">
<iframe id=f src="NAME" style="border:0;width:WIDTHpx;height:3000px"></iframe>
<script>document.getElementById("f").onload = e => {
  const page = e.target.contentDocument, root = page.documentElement, width = e.target.clientWidth;
  const inside = el => el.closest("pre") && el.tagName !== "PRE";
  const wide = [...page.body.querySelectorAll("*")].filter(el => !el.closest("svg") && !inside(el)
    && el.getBoundingClientRect().right > width + 1);
  const seen = {scroll: root.scrollWidth, width, wide: wide.map(el => el.tagName),
    asked: e.target.contentWindow.performance.getEntriesByType("resource").map(r => r.name),
    plots: [...page.querySelectorAll("svg")].map(el => Math.round(el.getBoundingClientRect().height)),
    title: page.title, ink: e.target.contentWindow.getComputedStyle(page.body).color};
  const out = document.createElement("output"); out.textContent = JSON.stringify(seen); document.body.append(out);
};</script></body>"""

SERIES = {
    "accuracy": {side: [[n, mean + n % 5 / 500] for n in range(1, 17)] for side, mean in (("a", 0.929), ("b", 0.909))},
    "loss": {side: [[2 / n, 1.8 / n, 2.2 / n] for n in range(1, 7)] for side in ("a", "b")},
    "weights": {"edges": [n / 10 for n in range(-5, 6)], "a": list(range(10)), "b": list(range(10, 0, -1))},
}


@pytest.fixture(scope="module")
def chromium(lacking: Callable[[str], NoReturn]) -> str:
    """A real Chromium."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    return found or lacking("no Chromium is installed")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str, list[str]]]:
    """A folder, the address that serves it on this machine, and the paths asked for."""
    asked: list[str] = []
    folder = tmp_path / "pages"
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(folder))

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
            asked.append(self.path)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_address[1]}", asked
    server.shutdown()
    server.server_close()


def browse(chromium: str, profile: Path, address: str, *more: str) -> tuple[str, list[str]]:
    """What the browser writes to stdout, and its console's lines."""
    command = [chromium, *FLAGS, f"--user-data-dir={profile}", *more, address]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return run.stdout, [line for line in run.stderr.splitlines() if "CONSOLE" in line]


def look(chromium: str, tmp_path: Path, served: tuple[Path, str, list[str]], width: int, *more: str) -> dict[str, Any]:
    """The report as it lies in a frame of this width."""
    folder, address, _ = served
    page = LOOK.replace("NAME", "report.html").replace("WIDTH", str(width))
    (folder / "look.html").write_text(page, encoding="utf-8")
    options = ("--window-size=1400,3000", "--virtual-time-budget=10000", "--dump-dom", *more)
    text, console = browse(chromium, tmp_path / "profile", f"{address}/look.html", *options)
    found = re.search(r"<output>(.*?)</output>", text, re.DOTALL)
    assert found, text[-500:]
    return {**json.loads(found[1].replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">")), "console": console}


@pytest.fixture
def drawn(compared: Report, hostile: Report) -> Report:
    """Everything that a page may hold: drift with plots, changes, long names, and strings that try to act."""
    pytest.importorskip("matplotlib", reason="plots need matplotlib, which is not installed")
    return msgspec.structs.replace(
        compared,
        findings=(*compared.findings, *hostile.findings),
        notes=hostile.notes,
        skipped=(*compared.skipped, *hostile.skipped),
        changes=(*(compared.changes or ()), {"what": "layers", "name": "x" * 300, "a": "y" * 300, "b": "z" * 300}),
        drift={**(compared.drift or {}), "series": SERIES},
    )


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fits(
    chromium: str, tmp_path: Path, served: tuple[Path, str, list[str]], drawn: Report, width: int
) -> None:
    """On a phone and on a desk nothing is wider than the page; the console is silent; nothing else is asked for."""
    context = Context(areas=(Area("ok", "Driver", "NVIDIA " + "5" * 200),), header=("h" * 200,))
    (served[0] / "report.html").write_text(render("html", drawn, context), encoding="utf-8")
    seen = look(chromium, tmp_path, served, width)
    assert seen["title"] == "kdoctor: failed"
    assert seen["width"] == width
    assert seen["scroll"] <= width
    assert seen["wide"] == []
    assert seen["console"] == []
    assert seen["asked"] == []
    assert len(seen["plots"]) == 4
    assert min(seen["plots"]) > 100
    assert set(served[2]) <= {"/look.html", "/report.html", "/favicon.ico"}


@pytest.mark.parametrize("width", [390, 1280])
def test_a_picture_of_the_page_shows_it(chromium: str, tmp_path: Path, drawn: Report, width: int) -> None:
    """A screenshot is taken from the file itself, with a silent console; it is of the size asked for and not blank."""
    page, shot = tmp_path / "report.html", tmp_path / f"report-{width}.png"
    page.write_text(render("html", drawn, Context()), encoding="utf-8")
    options = (f"--window-size={width},2000", f"--screenshot={shot}")
    _, console = browse(chromium, tmp_path / "profile", page.as_uri(), *options)
    assert console == []
    data = shot.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert (int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")) == (width, 2000)
    assert len(data) > 50_000


def test_a_dark_screen_gets_light_letters(
    chromium: str, tmp_path: Path, served: tuple[Path, str, list[str]], report: Report
) -> None:
    """The colours follow what the reader's system prefers."""
    (served[0] / "report.html").write_text(render("html", report, Context()), encoding="utf-8")
    light = look(chromium, tmp_path, served, 390)["ink"]
    dark = look(chromium, tmp_path, served, 390, "--force-dark-mode")["ink"]
    assert sum(map(int, re.findall(r"\d+", light))) < 150
    assert sum(map(int, re.findall(r"\d+", dark))) > 600


def test_this_test_sees_what_is_wrong(chromium: str, tmp_path: Path, served: tuple[Path, str, list[str]]) -> None:
    """A page that is too wide, asks for a picture and has a script against its own policy is told from a good one."""
    (served[0] / "report.html").write_text(
        "<!DOCTYPE html><meta http-equiv='Content-Security-Policy' content=\"script-src 'none'\"><title>t</title>"
        "<div style='width:900px'>wide</div><img src=/missing.png><script>alert(1)</script>",
        encoding="utf-8",
    )
    seen = look(chromium, tmp_path, served, 390)
    assert seen["scroll"] > 390
    assert "DIV" in seen["wide"]
    assert seen["console"]
    assert any("missing.png" in name for name in seen["asked"])
