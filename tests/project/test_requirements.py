"""Requirements files, and what counts as an exact version."""

from __future__ import annotations

from pathlib import Path

import pytest

from doctor.project import requirements, specs
from doctor.project.found import Requirement, SourceFile

HASH = "0123456789abcdef" * 4
COMMIT = "0123456789" * 4


def read(text: str) -> requirements.RequirementsFile:
    return requirements.parse(SourceFile("requirements.txt", text, Path()))


def rows(text: str) -> list[tuple[str, str, bool, int]]:
    return [(r.name, r.specifier, r.exact, r.line) for r in read(text).found.requirements]


def pip(text: str) -> Requirement:
    found = specs.pip(text, "x", 1)
    assert found is not None
    return found


def test_lines_comments_continuations_and_hashes() -> None:
    """A requirement stands at its first line; its hashes are kept; a comment line ends a continuation."""
    text = (
        "\ufeff# head\r\nTensorFlow[and-cuda]==2.15.0 \\\r\n    --hash=sha256:aa \\\r\n    --hash=sha256:bb\r\n"
        "keras>=3 ; python_version < '3.12'  # why\r\n\r\nnumpy==1.26.4 \\\r\n# end\r\nscipy==1.*\r\n"
    )
    assert rows(text) == [
        ("tensorflow", "==2.15.0", True, 2),
        ("keras", ">=3", False, 5),
        ("numpy", "==1.26.4", True, 7),
        ("scipy", "==1.*", False, 9),
    ]
    first, second, *_ = read(text).found.requirements
    assert (first.hashes, first.extras, second.marker) == (
        ("sha256:aa", "sha256:bb"),
        ("and-cuda",),
        'python_version < "3.12"',
    )


def test_includes_and_options() -> None:
    """Includes and constraints in all their spellings; options about indexes say nothing of packages."""
    found = read("-r base.txt\n-cc.txt\n--requirement=more.txt\n--constraint limits.txt\n-i https://i.example\n-e .\n")
    assert [(i.path, i.kind, i.line) for i in found.includes] == [
        ("base.txt", "requirement", 1),
        ("c.txt", "constraint", 2),
        ("more.txt", "requirement", 3),
        ("limits.txt", "constraint", 4),
    ]
    assert found.found.requirements == []
    assert found.found.unreadable == []


def test_a_line_that_is_none_is_a_problem_and_the_rest_is_read() -> None:
    """Its line is named."""
    found = read("numpy==1\nwhat is this\nscipy==1\n").found
    assert [r.name for r in found.requirements] == ["numpy", "scipy"]
    assert [(u.line, u.why) for u in found.unreadable] == [(2, "not a requirement: what is this")]


@pytest.mark.parametrize(
    ("text", "exact"),
    [
        ("numpy==1.26.4", True),
        ("numpy===1.26.4", True),
        ("numpy==1.26.*", False),
        ("numpy~=1.26.4", False),
        ("numpy>=1,<2", False),
        ("numpy", False),
        ("numpy==$VERSION", True),
        (f"numpy @ https://x.example/numpy-1.whl#sha256={HASH}", True),
        ("numpy @ https://x.example/numpy-1.whl", False),
        (f"git+https://x.example/keras.git@{COMMIT}#egg=keras", True),
        ("git+https://x.example/keras.git@master#egg=keras", False),
        ("git+https://x.example/keras.git", False),
    ],
)
def test_exact_for_pip(text: str, exact: bool) -> None:
    """Only == and === without a wildcard, and a URL with hash or commit."""
    assert pip(text).exact is exact


@pytest.mark.parametrize(
    ("text", "exact"),
    [
        ("numpy=1.26.4", True),
        ("numpy==1.26", True),
        ("numpy=1.26", False),
        ("numpy=1.26.*", False),
        ("numpy 1.26.4", True),
        ("numpy=1.26=py311_0", True),
        ("conda-forge::numpy=1.26.4", True),
        ("numpy>=1.26", False),
        ("numpy", False),
        ("numpy[version='>=1.2']", False),
    ],
)
def test_exact_for_conda(text: str, exact: bool) -> None:
    """``=1.26`` means any 1.26.x to conda; two signs, a full version, a build or a blank mean one."""
    found = specs.conda(text, "x", 1)
    assert (found.name, found.exact) == ("numpy", exact)


def test_exact_for_apt() -> None:
    """``=version``, also behind an architecture; a suite is none."""
    assert specs.apt("libcudnn8:amd64=8.9.7-1+cuda12.2", "x", 1).exact
    assert not specs.apt("python3-numpy/stable", "x", 1).exact
    assert not specs.apt("python3-numpy", "x", 1).exact


def test_passwords_in_urls_are_left_out() -> None:
    """Neither the URL nor the text of the requirement carries them."""
    found = pip("numpy @ https://user:secret@x.example/numpy-1.whl")
    assert "secret" not in f"{found.url} {found.text}"
    assert (found.url, found.text) == ("https://x.example/numpy-1.whl", "numpy @ https://x.example/numpy-1.whl")
    odd = pip("numpy @ https://user:sec@ret@x.example/numpy-1.whl?token=geheim")
    assert (odd.url, odd.text) == (
        "https://x.example/numpy-1.whl?token=***",
        "numpy @ https://x.example/numpy-1.whl?token=***",
    )


def test_what_lies_in_the_project_is_no_requirement() -> None:
    """Paths are the project's own."""
    assert specs.pip("./wheels/x.whl", "x", 1) is None
    assert specs.pip(".[dev]", "x", 1) is None


def test_names_in_urls() -> None:
    """From the fragment, the wheel's name, or the repository's."""
    assert pip("https://x.example/tensorflow_cpu-2.15.0-cp311-cp311-linux_x86_64.whl").name == "tensorflow-cpu"
    assert pip("git+ssh://git@x.example/team/keras_cv.git@v1").name == "keras-cv"
