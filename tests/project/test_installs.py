"""Packages that RUN lines install."""

from __future__ import annotations

import textwrap

import pytest

from doctor.images import dockerfile
from doctor.project import installs


def rows(run: str) -> list[tuple[str, str, bool, str]]:
    parsed = dockerfile.parse("FROM a:1\n" + textwrap.dedent(run))
    return [(r.name, r.specifier, r.exact, r.installer) for r in installs.parse(parsed, "Dockerfile")]


def names(run: str) -> list[str]:
    return [row[0] for row in rows(run)]


@pytest.mark.parametrize(
    "command",
    [
        "RUN pip install numpy==1.26.4",
        "RUN pip3.11 --no-cache-dir install -U numpy==1.26.4",
        "RUN python3 -m pip install -r requirements.txt numpy==1.26.4 --no-deps",
        "RUN /opt/venv/bin/pip install --index-url https://i.example numpy==1.26.4",
        "RUN apt-get update && A=b sudo -H pip install numpy==1.26.4 && rm -rf /x",
        "RUN set -ex; if [ -f x ]; then pip install numpy==1.26.4; fi",
        "RUN bash -lc 'pip install numpy==1.26.4'",
        'RUN ["pip", "install", "numpy==1.26.4"]',
        "RUN --mount=type=cache,target=/c pip install \\\n  # comment\n  numpy==1.26.4",
        "RUN <<EOF\npip install \\\n  numpy==1.26.4\nEOF",
        "RUN conda run -n base pip install numpy==1.26.4  # the last one",
        "ONBUILD RUN pip install 'numpy==1.26.4' > /dev/null 2>&1",
    ],
)
def test_pip_in_its_many_forms(command: str) -> None:
    """Prefixes, paths, options with values, shells in shells, exec form, continuations and heredocs."""
    assert rows(command) == [("numpy", "==1.26.4", True, "pip")]


def test_other_installers() -> None:
    """uv, conda and its kin, apt: each with its own way to say a version."""
    assert rows("RUN uv pip install --system --python 3.11 keras") == [("keras", "", False, "uv")]
    assert rows("RUN uv add 'jax>=0.4'") == [("jax", ">=0.4", False, "uv")]
    assert rows("RUN mamba install -y -c conda-forge numpy=1.26.4 'scipy>=1'") == [
        ("numpy", "=1.26.4", True, "mamba"),
        ("scipy", ">=1", False, "mamba"),
    ]
    assert rows("RUN apt-get install -y --no-install-recommends -t stable libcudnn8=8.9.7 python3-numpy") == [
        ("libcudnn8", "=8.9.7", True, "apt"),
        ("python3-numpy", "", False, "apt"),
    ]


def test_what_installs_nothing() -> None:
    """Other verbs, other commands, text that only looks like one, and packages of variables."""
    assert names("RUN pip uninstall -y numpy && pip freeze && echo 'pip install numpy'") == []
    assert names("RUN npm install numpy") == []
    assert names("RUN pip install $PACKAGES .") == []
    assert names("RUN pip install -r requirements.txt") == []


def test_an_unquoted_comparison_is_a_redirection() -> None:
    """The shell writes a file called =1 and pip gets no version; quoted it is one."""
    assert rows("RUN pip install numpy>=1 keras") == [("numpy", "", False, "pip"), ("keras", "", False, "pip")]
    assert rows('RUN pip install "numpy>=1"') == [("numpy", ">=1", False, "pip")]


def test_values_of_arg_and_env() -> None:
    """They stand in for the variable; a version that the build is given counts as exact by its form."""
    text = "ARG V=1.26.4\nENV EXTRA=keras==3.1.0\nARG W\nRUN pip install numpy==$V scipy==${W} $EXTRA\n"
    assert rows(text) == [
        ("numpy", "==1.26.4", True, "pip"),
        ("scipy", "==${W}", True, "pip"),
        ("keras", "==3.1.0", True, "pip"),
    ]


def test_the_place_is_the_instruction() -> None:
    """First and last line of the RUN."""
    parsed = dockerfile.parse("FROM a:1\nRUN apt-get update && \\\n  pip install \\\n  numpy\n")
    (found,) = installs.parse(parsed, "app/Dockerfile")
    assert (found.path, found.line, found.end_line, found.kind) == ("app/Dockerfile", 2, 4, "install")


def test_an_unclosed_quote_does_not_hide_the_rest() -> None:
    """What shlex refuses is split at its blanks."""
    assert names("RUN echo it's && pip install numpy") == ["numpy"]


def test_command_substitutions() -> None:
    """What they print is not known; what they run and what stands beside them is."""
    assert names("RUN pip install $(cat list.txt) numpy `pip install keras`") == ["keras", "numpy"]
