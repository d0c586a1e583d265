"""HTML: one page, complete in itself."""

from __future__ import annotations

import html.parser
import re
import subprocess
import sys

import msgspec
import pytest

from doctor.errors import UsageError
from doctor.model.report import CaseRow, LogRemark, Note, Report, Skip, SubjectRow
from doctor.report import render
from doctor.report.context import Area, Context

VOID = {"meta", "link", "br", "path", "use"}
SERIES = {
    "accuracy": {"a": [[1, 0.93], [2, 0.928]], "b": [[1, 0.91], [2, 0.908]]},
    "loss": {"a": [[2.0, 1.9, 2.1], [0.5, 0.4, 0.6]], "b": [[2.2, 2.0, 2.4], [0.7, 0.6, 0.8]]},
    "weights": {"edges": [-0.1, 0.0, 0.1], "a": [5, 6], "b": [3, 8]},
}


class Page(html.parser.HTMLParser):
    """Elements, attributes and text of a page; refuses tags that do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.words += data


@pytest.fixture
def drawn(compared: Report) -> Report:
    """A comparison with the numbers of its plots."""
    pytest.importorskip("matplotlib", reason="plots need matplotlib, which is not installed")
    return msgspec.structs.replace(compared, drift={**(compared.drift or {}), "series": SERIES})


def test_the_page_says_everything(report: Report) -> None:
    """Verdict, gate, areas, findings with fix and source, skips with reason, notes, the rules' pages."""
    changed = msgspec.structs.replace(report, notes=(Note("canary", "no interpreter"),))
    context = Context(header=("host trainer-03",), areas=(Area("ok", "Driver", "NVIDIA 570"),), seconds=0.4)
    words = Page(render("html", changed, context)).words
    for said in (
        "kdoctor: failed",
        "Gate failed: 1 finding at or above error (--fail-on error)",
        "host trainer-03",
        "NVIDIA 570",
        "TensorFlow cannot load cuDNN",
        "pip install 'tensorflow[and-cuda]==2.21.0'",
        "1 | FROM tensorflow/tensorflow:2.21.0-gpu AS build",
        "no interpreter",
        "machine.gpus: not known",
        "How to fix",
        "exit code 1, 0.40 s",
    ):
        assert said in words, said


@pytest.mark.parametrize("name", ["report", "fleet", "hostile", "crowd", "compared", "drawn"])
def test_the_page_is_whole_and_asks_for_nothing(name: str, request: pytest.FixtureRequest) -> None:
    """Every tag is closed; no script, no handler, no address of another place, no identifier twice."""
    text = render("html", request.getfixturevalue(name), Context())
    page = Page(text)
    assert not {tag for tag, _ in page.tags} & {"script", "iframe", "img", "object", "embed", "form", "base", "image"}
    for tag, attributes in page.tags:
        for key, value in attributes.items():
            assert not key.startswith("on"), (tag, key)
            if key in ("href", "src", "xlink:href", "action", "data"):
                assert value == "data:," or (value or "").startswith("#"), (tag, key, value)
    assert not re.search(r"url\((?!#)", text)
    assert "@import" not in text
    assert "default-src 'none'" in text
    identifiers = [value for _, attributes in page.tags if (value := attributes.get("id"))]
    assert len(identifiers) == len(set(identifiers))


def test_nothing_hidden_or_reordering_is_left(hostile: Report) -> None:
    """Controls and overrides are shown as escapes; template syntax in a string is text."""
    text = render("html", hostile, Context())
    assert not re.search("[\x00-\x08\x0b-\x1f\u202e\ufffe\udc80]", text)
    assert "{{7*7}}" in Page(text).words


def test_changes_stand_side_by_side(compared: Report) -> None:
    """Name, A and B in one row; a side without a value is a dash."""
    text = render("html", compared, Context())
    assert "<tr><td>package</td><td>keras</td><td>2.15.0</td><td>2.15.1</td></tr>" in text
    assert "<td>TF_ENABLE_ONEDNN_OPTS</td><td>–</td><td>0</td>" in text


def test_a_drift_is_drawn(drawn: Report) -> None:
    """Accuracy by seed, loss, divergence by stage and initial weights, in the page's own colours and letters."""
    text = render("html", drawn, Context())
    titles = re.findall(r'<figure aria-label="([^"]*)"', text)
    assert titles == ["Accuracy by seed", "Training loss", "Divergence by stage", "Initial weights"]
    assert text.count("<svg ") == 4
    assert "currentColor" in text
    assert "<text" in text
    assert "<metadata" not in text
    assert "#010203" not in text
    assert "mathdefault" not in text


def test_numbers_that_are_none_are_not_drawn(compared: Report) -> None:
    """A loss that is not a number, rows of another length, or no rows at all: the other plots stand."""
    pytest.importorskip("matplotlib", reason="plots need matplotlib, which is not installed")
    series = {
        "accuracy": {"a": [[1, 0.9]], "b": []},
        "loss": {"a": [[float("nan"), 1, 2], [1]], "b": "x"},
        "weights": {"edges": [0, 1], "a": [1, 2], "b": [1]},
    }
    stages = {"pinned": {"forward": None, "update": 0.0}, "default": {"init": "x"}}
    changed = msgspec.structs.replace(compared, drift={**(compared.drift or {}), "series": series, "stages": stages})
    text = render("html", changed, Context())
    assert re.findall(r'<figure aria-label="([^"]*)"', text) == ["Divergence by stage"]


def test_without_the_plotting_library_the_page_says_so(drawn: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything else stands."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    text = render("html", drawn, Context())
    assert "matplotlib is not installed" in text
    assert "default-changed: a framework default changed" in text


def test_without_the_template_engine_one_line_says_what_to_install(
    report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page is optional; asking for it without its library is a usage error."""
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(UsageError, match=r"jinja2 is not installed: pip install 'keras-doctor\[report\]'"):
        render("html", report, Context())


def test_a_thousand_findings_fit(crowd: Report) -> None:
    """Less than 1.5 MB, the errors first."""
    text = render("html", crowd, Context())
    assert len(text.encode()) < 1_500_000
    assert text.count("<article") == 1000
    assert text.index("finding number 980") < text.index("finding number 0<")


def test_libraries_for_pages_are_imported_by_pages_only() -> None:
    """Other formats cost neither the template engine nor the plotting library; a page without drift no plots."""
    program = (
        "import sys; from doctor.model.report import Report; from doctor.report import FORMATS, render;"
        "from doctor.report.context import Context;"
        "[render(n, Report(), Context()) for n in FORMATS if n != 'html'];"
        "print([m for m in ('jinja2', 'matplotlib', 'numpy') if m in sys.modules]);"
        "render('html', Report(), Context());"
        "print([m for m in ('jinja2', 'matplotlib', 'numpy') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-2:] == ["[]", "['jinja2']"]


def test_the_verdicts_reason_stands_first(compared: Report) -> None:
    """The sentence that joins accuracy, cause and suspects opens the page, and stands in it once."""
    page = render("html", compared, Context())
    assert page.index("accuracy -1.99 %") < page.index("Gate failed") < page.index("<h2>")
    assert page.count("because Dense") == 1


def test_log_lines_and_skips_with_what_they_mean(report: Report) -> None:
    """Lines that are no findings, with their meaning; skips by what they lack, one row a reason."""
    rows = tuple(Skip(code, "n", "host", None, "project.images: not known") for code in ("KD401", "KD402"))
    log = (LogRemark("Could not find <TensorRT>", "TensorRT is optional", True),)
    page = render("html", msgspec.structs.replace(report, log=log, skipped=rows), Context())
    assert "<dt>Could not find &lt;TensorRT&gt;</dt>" in page
    assert "harmless, TensorRT is optional" in page
    assert "<td>KD401 KD402</td><td>project.images: not known</td>" in page


def test_packages_that_do_not_compute_are_folded_and_canaries_side_by_side(compared: Report) -> None:
    """What matters is in the open table; both runs' figures stand beside each other."""
    other = {"what": "package", "name": "rich", "a": None, "b": "15.0", "computes": False}
    side = {"accuracy": 0.932, "accuracy_sd": 0.0097, "seeds": 16, "final_sha256": "e946de7d75032972ff60"}
    changed = msgspec.structs.replace(
        compared, changes=(*(compared.changes or ()), other), canary={"a": side, "b": {**side, "accuracy": 0.9091}}
    )
    page = render("html", changed, Context())
    assert "<summary>1 package that takes no part in computing</summary>" in page
    assert page.index("<td>rich</td>") > page.index("<summary>1 package")
    assert "<td>0.9320 ± 0.0097 between seeds</td><td>0.9091 ± 0.0097 between seeds</td>" in page
    assert "<td>e946de7d7503</td>" in page


def test_a_gates_drift_is_that_of_an_image_against_the_reference(compared: Report) -> None:
    """A is the accepted reference, not whatever was judged first; the verdicts stand at a glance, once."""
    image = f"app@sha256:{'b' * 64}"
    changed = msgspec.structs.replace(
        compared,
        subjects=(SubjectRow("project", "project"), SubjectRow("image", image)),
        cases=(CaseRow("project"), CaseRow(image, None, "fail", ("KD802",), "default-changed", "drift")),
        drift={**(compared.drift or {}), "subject": image},
    )
    page = render("html", changed, Context())
    assert "<p>A: the accepted reference</p>" in page
    assert f"<p>B: {image}</p>" in page
    assert f'<dd class="none">app@sha256:{"b" * 12}, held against the accepted reference</dd>' in page
    assert 'id="subjects"' not in page
