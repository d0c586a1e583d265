"""A folder: what is found in it, what is passed over, and that hostile files cost little."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from doctor.images.discover import kind_of
from doctor.project import collect_project


def write(folder: Path, files: dict[str, str | bytes]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())


def collect(folder: Path, files: dict[str, str | bytes]) -> dict[str, Any]:
    write(folder, files)
    found = collect_project(folder)
    json.dumps(found)  # plain data, whatever was in the files
    return found


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("Dockerfile", "dockerfile"),
        ("app/Dockerfile.gpu", "dockerfile"),
        ("gpu.Dockerfile", "dockerfile"),
        ("Containerfile", "dockerfile"),
        ("Dockerfile.dockerignore", None),
        ("Dockerfile.md", None),
        ("docker-compose.override.yml", "compose"),
        ("compose.yaml", "compose"),
        (".github/workflows/ci.yml", "workflow"),
        ("sub/.github/workflows/ci.yaml", "workflow"),
        ("action.yml", "action"),
        (".gitlab-ci.yml", "gitlab"),
        (".devcontainer/devcontainer.json", "devcontainer"),
        ("docker-bake.hcl", "bake"),
        ("deploy/pod.yaml", "yaml"),
        ("requirements-dev.txt", "requirements"),
        ("requirements/base.in", "requirements"),
        ("constraints.txt", "constraints"),
        ("environment.yml", "conda"),
        ("pylock.dev.toml", "lock"),
        ("README.md", None),
    ],
)
def test_names_of_files(path: str, kind: str | None) -> None:
    """What a file's name says of it."""
    assert kind_of(path) == kind


def test_a_project(tmp_path: Path) -> None:
    """Each kind of fact stands with its path, relative to the folder, and its line."""
    found = collect(
        tmp_path,
        {
            "docker/Dockerfile": "FROM python:3.11 AS b\nRUN pip install keras\nRUN --mount=from=x:1 T=secret true\n",
            "compose.yml": "services:\n  a: {image: 'nginx:${TAG}'}\n",
            ".env": "TAG=1.27\n",
            "requirements.txt": "-r lib/base.txt\n-c limits.txt\nnumpy\n"
            "# kdoctor: ignore[KD601] new (until 2027-01-01)\nh5py\n",
            "lib/base.txt": "scipy==1.11.4\n",
            "limits.txt": "numpy==1.26.4\n",
            "uv.lock": 'version = 1\n[[package]]\nname = "jax"\nversion = "0.4"\n',
        },
    )
    images = [(i["path"], i["line"], i["use"], i["reference"]) for i in found["images"]]
    assert images == [
        ("compose.yml", 2, "compose", "nginx:1.27"),
        ("docker/Dockerfile", 1, "from", "python:3.11"),
        ("docker/Dockerfile", 3, "mount-from", "x:1"),
    ]
    asked = {(r["path"], r["name"]): (r["exact"], r["kind"]) for r in found["requirements"]}
    assert asked == {
        ("docker/Dockerfile", "keras"): (False, "install"),
        ("requirements.txt", "numpy"): (True, "requirement"),
        ("requirements.txt", "h5py"): (False, "requirement"),
        ("lib/base.txt", "scipy"): (True, "requirement"),
        ("limits.txt", "numpy"): (True, "constraint"),
    }
    assert [lock["packages"] for lock in found["lock_files"]] == [{"jax": "0.4"}]
    assert found["suppressions"] == [
        {"path": "requirements.txt", "line": 4, "codes": ["KD601"], "reason": "new", "until": "2027-01-01"}
    ]
    assert found["unreadable"] == []
    assert "secret" not in json.dumps(found)


def test_build_arguments(tmp_path: Path) -> None:
    """They reach the Dockerfiles."""
    write(tmp_path, {"Dockerfile": "ARG V\nFROM a:$V\n"})
    assert collect_project(tmp_path, {"V": "2"})["images"][0]["reference"] == "a:2"


def test_folders_that_are_not_the_projects(tmp_path: Path) -> None:
    """Installed packages, virtual environments and hidden caches are passed over; .github is not."""
    text = "FROM a:1\n"
    found = collect(
        tmp_path,
        {
            "node_modules/x/Dockerfile": text,
            ".venv/Dockerfile": text,
            "myenv/pyvenv.cfg": "",
            "myenv/Dockerfile": text,
            "lib/site-packages/Dockerfile": text,
            ".cache/Dockerfile": text,
            "build/Dockerfile": text,
        },
    )
    assert [i["path"] for i in found["images"]] == ["build/Dockerfile"]


def test_links_are_not_followed_out_of_the_folder(tmp_path: Path) -> None:
    """A link to a folder is left alone (loops too), one to a file outside is said to be one, nothing of it is shown."""
    outside = tmp_path / "outside"
    write(tmp_path, {"outside/hidden": "TOP SECRET\n", "project/Dockerfile": "FROM a:1\n"})
    project = tmp_path / "project"
    (project / "loop").symlink_to(project)
    (project / "Dockerfile.x").symlink_to(outside / "hidden")
    write(project, {"requirements.txt": "-r ../outside/hidden\n"})
    found = collect_project(project)
    assert [i["path"] for i in found["images"]] == ["Dockerfile"]
    assert {u["path"] for u in found["unreadable"]} == {"Dockerfile.x", "requirements.txt"}
    assert "SECRET" not in json.dumps(found)


def test_what_cannot_be_read_is_said_and_the_rest_is_read(tmp_path: Path) -> None:
    """Binary data, a file that is too large, a missing include: one row each."""
    found = collect(
        tmp_path,
        {
            "a/Dockerfile": b"\x7fELF\0\0\0",
            "b/Dockerfile": b"FROM a\n" * 2_000_000,
            "c/Dockerfile": b"FROM caf\xe9:1\n",
            "d/Dockerfile": "FROM d:1\n",
            "requirements.txt": "-r none.txt\nnumpy\n".encode("utf-16"),
        },
    )
    why = {u["path"]: u["why"] for u in found["unreadable"]}
    assert why["a/Dockerfile"] == "binary data, not text"
    assert why["b/Dockerfile"].startswith("13.4 MiB: more than")
    assert why["requirements.txt"] == "none.txt: no such file"
    assert [(i["path"], i["pinned"]) for i in found["images"]] == [
        ("c/Dockerfile", "unresolved"),
        ("d/Dockerfile", "tag"),
    ]
    assert [r["name"] for r in found["requirements"]] == ["numpy"]


def test_a_named_pipe_is_not_opened(tmp_path: Path) -> None:
    """Reading it would wait for ever."""
    os.mkfifo(tmp_path / "Dockerfile")
    assert collect_project(tmp_path)["images"] == []


BOMB = "x0: &x0 {image: a}\n" + "".join(f"x{i}: &x{i} [{','.join([f'*x{i - 1}'] * 9)}]\n" for i in range(1, 40))
MERGES = "x0: &x0 {image: a}\n" + "".join(
    f"x{i}: &x{i} {{<<: [{','.join([f'*x{i - 1}'] * 9)}]}}\n" for i in range(1, 40)
)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Dockerfile", "FROM a:1\nRUN x \\\n" + "aaaa \\\n" * 140_000 + "b\n"),
        ("Dockerfile", "FROM a:1 AS b\n" * 70_000),
        ("Dockerfile", "FROM a:1\nRUN cat " + "<<A " * 15_000 + "\n"),
        ("Dockerfile", "ARG A=" + "a" * 250 + "\nFROM ${A/" + "*a" * 9 + "b/}\n"),
        ("Dockerfile", "ARG A=aaaaaaaaaa\n" + "ARG A=$A$A\n" * 200 + "FROM $A\n"),
        ("Dockerfile", "FROM " + "${A:-" * 10_000 + "\n"),
        ("Dockerfile", "# syntax = a" + " " * 60_000 + "x\nFROM a:1\n"),
        ("compose.yml", BOMB + "services: {a: *x39}\n"),
        ("compose.yml", MERGES + "services: {a: *x39}\n"),
        ("compose.yml", "services: " + "[" * 10_000),
        ("pod.yaml", "apiVersion: v1\nkind: Pod\nimage: x\n" + BOMB),
        ("pod.yaml", "\n" * 400_000 + "image apiVersion"),
        (".devcontainer/devcontainer.json", "/*" * 400_000),
        (".devcontainer/devcontainer.json", '"\\' * 400_000),
        (".devcontainer/devcontainer.json", '{"image":' + "[" * 10_000 + "]" * 10_000 + "}"),
        ("docker-bake.hcl", 'target "x" { a = ' + "[" * 10_000 + "]" * 10_000 + "}"),
        ("Pipfile.lock", "[" * 100_000),
        ("pyproject.toml", "a = " + "[" * 100_000),
        ("requirements.txt", "a" + " " * 1_000_000 + "b"),
        ("setup.cfg", "[options]\ninstall_requires =\n" + "".join(f"  a{i}\n" for i in range(30_000))),
    ],
)
def test_hostile_files_cost_little(tmp_path: Path, name: str, text: str) -> None:
    """Bombs, deep nesting and patterns that backtrack end within seconds, and a file beside them is still read."""
    started = time.monotonic()
    found = collect(tmp_path, {name: text, "z/Dockerfile": "FROM last:1\n"})
    assert time.monotonic() - started < 10
    assert any(i["reference"] == "last:1" for i in found["images"])


def test_no_such_folder(tmp_path: Path) -> None:
    """It is an error of its own kind, which the command line puts into words."""
    with pytest.raises(NotADirectoryError):
        collect_project(tmp_path / "none")
