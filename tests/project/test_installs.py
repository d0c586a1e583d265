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


def test_operators_of_variables() -> None:
    """A value that a variable's operator adds or leaves out decides, as when the image is built without arguments."""
    run = 'RUN pip install "tensorflow${V:+==$V}"'
    assert [row[2] for row in rows("ARG V=\n" + run)] == [False]
    assert [row[2] for row in rows("ARG V\n" + run)] == [False]
    assert [row[2] for row in rows("ARG V=2.15.0\n" + run)] == [True]
    assert rows('RUN pip install "keras==${KERAS:-3.3.*}"')[0][:3] == ("keras", "==3.3.*", False)
    assert [row[2] for row in rows("RUN pip install keras==${KERAS:-${OTHER:-3.3.3}}")] == [True]
    assert [row[2] for row in rows("ARG V=v2.15.0\nRUN pip install tensorflow==${V#v}")] == [True]
    assert names("RUN pip install ${UNCLOSED numpy ${V:-a}")[-1:] != ["a"]


def test_variables_of_the_script_itself() -> None:
    """What the script sets, or goes through in a loop, stands for the words that it is."""
    assert names('RUN PKGS="numpy scipy" && pip install $PKGS') == ["numpy", "scipy"]
    assert names("RUN for p in numpy scipy; do pip install $p; done") == ["numpy", "scipy"]
    assert [row[2] for row in rows("RUN export V=2.15.*; pip install tensorflow==$V")] == [False]
    assert [row[2] for row in rows("RUN V=$(cat version) && pip install tensorflow==$V")] == [True]


def test_a_stage_hands_its_values_on() -> None:
    """ENV and ARG of a stage are known in a stage that begins with it, and in no other."""
    base = "FROM a:1 AS base\nENV V=2.15.*\n"
    run = "RUN pip install tensorflow==$V\n"
    assert [row[1] for row in rows(base + "FROM base\n" + run)] == ["==2.15.*"]
    assert [row[1] for row in rows(base + "FROM a:1\n" + run)] == ["==$V"]


def test_only_what_a_shell_reads_is_a_script() -> None:
    """The content of a file that a heredoc writes, and a program in another language, install nothing."""
    assert names("RUN cat <<EOF > r.txt\npip install keras\nEOF") == []
    assert names("RUN python3 - <<EOF\npip install keras\nEOF") == []
    assert names("RUN <<EOF\n#!/usr/bin/env python3\npip install keras\nEOF") == []
    assert names("RUN <<EOF\n#!/bin/bash -e\npip install keras\nEOF") == ["keras"]
    assert names("RUN cat <<EOF | bash -x\npip install keras\nEOF") == ["keras"]
    assert names("RUN <<EOF > log\npip install keras\nEOF") == ["keras"]


def test_programs_that_start_others() -> None:
    """gosu, su-exec and timeout take an argument before the command; an interpreter may be named by a variable."""
    for run in ("gosu app pip", "timeout -k 5 60 pip", "su-exec app:app pip", "$PYTHON -m pip", "py -m pip", "pip.exe"):
        assert names(f"RUN {run} install numpy") == ["numpy"], run


def test_a_build_behind_an_exact_version_of_conda() -> None:
    """``==2.15.0=gpu*`` chooses among the builds of one version, ``==2.15.*`` among versions."""
    assert [row[2] for row in rows("RUN conda install 'tensorflow==2.15.0=gpu*' 'numpy==1.*'")] == [True, False]


def test_operators_without_blanks() -> None:
    """``)&&(``, a function's ``()`` and ``;;`` separate commands."""
    assert names("RUN (pip install numpy)&&(pip install scipy)") == ["numpy", "scipy"]
    assert names("RUN f(){ pip install numpy; };f") == ["numpy"]
    assert names("RUN case $A in x) pip install numpy;; y)pip install scipy;; esac") == ["numpy", "scipy"]


def test_archives_of_repositories() -> None:
    """An archive is named by its repository, and is exact where it is made of a commit."""
    url = "https://github.com/keras-team/keras/archive/"
    assert rows(f"RUN pip install {url}refs/heads/master.zip")[0][::2] == ("keras", False)
    assert rows(f"RUN pip install {url}{'0f' * 20}.tar.gz")[0][::2] == ("keras", True)
    assert names("RUN pip install --editable=git+https://github.com/keras-team/keras") == ["keras"]
