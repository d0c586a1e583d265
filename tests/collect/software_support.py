"""What the tests of the software collector share: trees, two ways to start it, the interpreter's own word."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from doctor.collect import software

SOURCE = Path(software.__file__)

NORMAL_START = """
import json, sys
try:
    from importlib import metadata
    found = sorted({(d.metadata["Name"], d.version) for d in metadata.distributions() if d.metadata["Name"]})
except ImportError:
    found = None
print(json.dumps({"path": sys.path[1:], "found": found, "version": ".".join(map(str, sys.version_info[:3]))}))
"""


def put(root: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write a tree; a text that starts with "->" is a link to what follows."""
    for name, content in files.items():
        path = root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif content.startswith("->"):
            path.symlink_to(content[2:])
        else:
            path.write_text(content, encoding="utf-8")
    return root


def dist_info(site: str, name: str, version: str, **more: str) -> dict[str, str]:
    """A dist-info folder; `more` are further files in it, METADATA among them where it is not to be the usual one."""
    folder = f"{site}/{name.replace('-', '_')}-{version}.dist-info"
    files = {"METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nA text.\n", **more}
    return {f"{folder}/{file}": text for file, text in files.items()}


def static(interpreter: str | Path, environ: Mapping[str, str] | None = None, root: str | Path = "/") -> dict[str, Any]:
    """Collect without starting anything of the environment."""
    return software.collect(software.HostFileSystem(str(root)), str(interpreter), environ or {})


def environment(**more: str) -> dict[str, str]:
    """A small environment for a child, with the test's own home."""
    return {"PATH": "/usr/bin:/bin", "HOME": os.environ["HOME"], "LANG": "C.UTF-8", **more}


def run(interpreter: str | Path, environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Collect as the interpreter itself does: the file on stdin, isolated, without site."""
    done = subprocess.run(
        [str(interpreter), "-I", "-S", "-B", "-"],
        input=SOURCE.read_bytes() + b"\nmain([])\n",
        env=dict(environ or environment()),
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == b""
    text = done.stdout.decode("ascii")
    return json.loads(text.split(software.BEGIN)[1].split(software.END)[0])


def normal_start(interpreter: str | Path, environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What a normally started interpreter says of its sys.path and its distributions."""
    done = subprocess.run(
        [str(interpreter), "-B", "-c", NORMAL_START],
        env=dict(environ or environment()),
        capture_output=True,
        timeout=60,
        check=True,
        cwd="/",
    )
    return json.loads(done.stdout)


def names(document: dict[str, Any]) -> dict[str, str]:
    """name → version of the packages found, the first of a name as it would be imported."""
    found: dict[str, str] = {}
    for package in document["software"]["packages"]:
        found.setdefault(package["name"], package.get("version"))
    return found


def agree(document: dict[str, Any], said: dict[str, Any]) -> None:
    """The collector's paths and distributions are those of a normal start."""
    there = [path for path in said["path"] if os.path.exists(path)]
    assert document["software"]["python"]["paths"] == list(dict.fromkeys(there))
    assert document["software"]["python"]["version"] == said["version"]
    if said["found"] is not None:
        expected = {(software.normalise(name), version) for name, version in said["found"]}
        assert {(p["name"], p["version"]) for p in document["software"]["packages"]} == expected
