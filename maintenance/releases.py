"""Rows of the tables out of wheels: names of files, METADATA and build_info.py."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from email.parser import HeaderParser
from typing import Any

from package_index import Wheel, metadata, wheels
from packaging.markers import Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from remote_wheel import RemoteWheel, RemoteWheelError

Row = dict[str, Any]
Release = list[Wheel]

BUILD_INFO = "tensorflow/python/platform/build_info.py"
MAIN_PLATFORM = "linux_x86_64"
OLD_MANYLINUX = {"manylinux1": "2.5", "manylinux2010": "2.12", "manylinux2014": "2.17"}
_EXTRA = re.compile(r"""\s*(?:\band\b)?\s*extra == "([^"]+)"\s*""")


def new_releases(index: str, project: str, known: set[str]) -> list[Release]:
    """The wheels of each final release that is missing among the known ones, oldest first.

    What is older than the oldest known release is left alone.
    """
    versions = {Version(text) for text in known}
    found = _releases(index, project)
    return [found[v] for v in sorted(found) if v not in versions and (not versions or v > min(versions))]


def release(index: str, project: str, version: str) -> Release:
    """The wheels of one release; empty where the index has none."""
    return _releases(index, project).get(Version(version), [])


def _releases(index: str, project: str) -> dict[Version, Release]:
    by_version: dict[Version, Release] = {}
    for wheel in wheels(index, project):
        if not wheel.version.is_prerelease and platform(wheel) is not None:
            by_version.setdefault(wheel.version, []).append(wheel)
    return by_version


def platform(wheel: Wheel) -> str | None:
    """The platform of a wheel in the words of the tables; None for platforms that they do not have."""
    for tag in wheel.platforms:
        if tag == "any":
            return "any"
        if tag == "win_amd64":
            return "windows_amd64"
        for system, start in (("linux", "manylinux"), ("linux", "linux_"), ("macos", "macosx")):
            if tag.startswith(start):
                machine = next((m for m in ("x86_64", "aarch64", "arm64") if tag.endswith("_" + m)), None)
                return f"{system}_{machine}" if machine else None
    return None


def tensorflow_row(wheels_of: Release, today: str) -> Row:
    """The row of a TensorFlow release; `gpu_code` and `cudnn_compiled` are not told by wheels and stay empty."""
    by_platform = _by_platform(wheels_of)
    main = _newest_python(by_platform.get(MAIN_PLATFORM) or wheels_of)
    texts = {name: metadata(_newest_python(group)) for name, group in by_platform.items()}
    main_text = texts[platform(main) or MAIN_PLATFORM]
    requires, extras = _requirements(main_text)
    elsewhere = {name: _requirements(text)[0] for name, text in sorted(texts.items())}
    build = {name: build_info(_newest_python(group)) for name, group in by_platform.items()}
    tags = {name: _tags(group) for name, group in sorted(by_platform.items()) if name.startswith("linux")}
    return {
        "version": str(wheels_of[0].version),
        "python": {name: _pythons(group) for name, group in sorted(by_platform.items())},
        "requires_python": main.requires_python or HeaderParser().parsestr(main_text).get("Requires-Python"),
        "platform_tags": tags,
        "min_glibc": {name: glibc for name, group in tags.items() if (glibc := least_glibc(group))},
        "requires": requires,
        "requires_elsewhere": {name: found for name, found in elsewhere.items() if found != requires},
        "extras": extras,
        "cuda": _cuda(build),
        "gpu_code": None,
        "keras": _keras(requires),
        "cpu_flags": {"x86_64": ["avx"]},
        "yanked": all(wheel.yanked for wheel in wheels_of),
        "source": ["WHEEL", "AVX", "MANYLINUX"],
        "seen": today,
    }


def keras_row(name: str, wheels_of: Release, today: str) -> Row:
    """The row of a release of `keras` or `tf-keras`."""
    text = metadata(wheels_of[0])
    return {
        "name": name,
        "version": str(wheels_of[0].version),
        "requires_python": HeaderParser().parsestr(text).get("Requires-Python"),
        "requires": [str(Requirement(line)) for line in _lines(text) if "extra ==" not in line],
        "source": ["META"],
        "seen": today,
    }


def keras_pin(wheels_of: Release, today: str) -> Row:
    """The Keras that a TensorFlow release declares."""
    main = _newest_python(_by_platform(wheels_of).get(MAIN_PLATFORM) or wheels_of)
    requires, _ = _requirements(metadata(main))
    pin = next((Requirement(text) for text in requires if Requirement(text).name == "keras"), None)
    return {
        "tensorflow": str(wheels_of[0].version),
        **_keras(requires),
        "requires": str(pin.specifier) if pin else None,
        "source": ["TFMETA"],
        "seen": today,
    }


def build_info(wheel: Wheel) -> dict[str, Any]:
    """The dictionary of build_info.py, read as text: nothing of the wheel is run. Empty where there is none."""
    try:
        source = RemoteWheel(wheel.url).text(BUILD_INFO)
    except RemoteWheelError as error:
        if "holds no" in str(error):
            return {}
        raise
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "build_info" for t in node.targets):
            value = node.value.args[0] if isinstance(node.value, ast.Call) and node.value.args else node.value
            return dict(ast.literal_eval(value))
    return {}


def least_glibc(tags: Iterable[str]) -> str | None:
    """The least glibc that one of a wheel's tags asks for."""
    found = []
    for tag in tags:
        new = re.match(r"manylinux_(\d+)_(\d+)_", tag)
        old = OLD_MANYLINUX.get(tag.partition("_")[0])
        if glibc := f"{new.group(1)}.{new.group(2)}" if new else old:
            found.append(glibc)
    return min(found, key=Version, default=None)


def _cuda(build: dict[str, dict[str, Any]]) -> Row:
    """What the CUDA build is for, by the platform that has one."""
    platforms = [name for name, info in sorted(build.items()) if info.get("is_cuda_build")]
    if not platforms:
        raise ValueError("no wheel of this release is a CUDA build: the tables have no form for that")
    info = build[MAIN_PLATFORM if MAIN_PLATFORM in platforms else platforms[0]]
    return {
        "version": info["cuda_version"],
        "cudnn": info["cudnn_version"],
        "cudnn_compiled": None,
        "compute_capabilities": list(info["cuda_compute_capabilities"]),
        "distributions": ["tensorflow", "tensorflow-gpu"],
        "platforms": platforms,
    }


def _keras(requires: list[str]) -> Row:
    pin = next((Requirement(text) for text in requires if Requirement(text).name == "keras"), None)
    if pin is None:
        return {"major": 2, "kind": "bundled-in-tensorflow"}
    major = 3 if any(s.operator in (">=", "~=", "==") and Version(s.version).major >= 3 for s in pin.specifier) else 2
    return {"major": major, "kind": "keras3" if major == 3 else "keras2-pip"}


def _by_platform(wheels_of: Release) -> dict[str, Release]:
    groups: dict[str, Release] = {}
    for wheel in wheels_of:
        groups.setdefault(platform(wheel) or "", []).append(wheel)
    return groups


def _newest_python(group: Release) -> Wheel:
    return max(group, key=lambda wheel: Version(_python(wheel.python)))


def _python(interpreter: str) -> str:
    """`3.12` of `cp312`."""
    digits = re.sub(r"\D", "", interpreter)
    return f"{digits[0]}.{digits[1:] or 0}"


def _pythons(group: Release) -> list[str]:
    return sorted({_python(w.python) for w in group if w.python.startswith("cp")}, key=Version)


def _tags(group: Release) -> list[str]:
    return sorted({tag for wheel in group for tag in wheel.platforms})


def _lines(text: str) -> list[str]:
    return HeaderParser().parsestr(text).get_all("Requires-Dist") or []


def _requirements(text: str) -> tuple[list[str], dict[str, list[str]]]:
    """The requirements of a METADATA, and those of its extras without the condition that names the extra."""
    plain: list[str] = []
    extras: dict[str, list[str]] = {}
    for line in _lines(text):
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        requirement.name = canonicalize_name(requirement.name)
        condition = str(requirement.marker or "")
        extra = _EXTRA.search(condition)
        if extra is None:
            plain.append(str(requirement))
            continue
        rest = _EXTRA.sub("", condition)
        requirement.marker = Marker(rest) if rest else None
        extras.setdefault(extra.group(1), []).append(str(requirement))
    return sorted(plain), {name: sorted(rows) for name, rows in sorted(extras.items())}
