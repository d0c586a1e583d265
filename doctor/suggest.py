"""``kdoctor suggest``: from a machine and an environment to the releases that fit them."""

from __future__ import annotations

import importlib
import re
from typing import Any

from doctor import catalogue
from doctor.errors import UsageError
from doctor.model.facts import known
from doctor.model.snapshot import Snapshot

PACKAGES = ("tensorflow", "tensorflow-cpu")
_DRIVER = re.compile(r"\d{3}(\.\d{1,4}){0,3}")
_PYTHON = re.compile(r"[23]\.\d{1,2}(\.\d{1,2}\w*)?")


def wanted(
    snapshot: Snapshot, *, driver: str | None, gpus: tuple[str, ...], python: str | None, package: str = "tensorflow"
) -> Any:
    """What the suggestion is for: the snapshot's facts, with what the user named in their place.

    Raises:
        UsageError: a GPU whose compute capability the tables do not know, a package that is none of these, or what is
            no version of a driver or of Python.
    """
    if package not in PACKAGES:
        raise UsageError(f"suggest knows {', '.join(PACKAGES)}, not {package!r}")
    if driver is not None and not _DRIVER.fullmatch(driver):
        raise UsageError(f"--driver {driver!r}: not a driver's version, such as --driver 535.104.05")
    if python is not None and not _PYTHON.fullmatch(python):
        raise UsageError(f"--python {python!r}: not a version, such as --python 3.11")
    machine, software = snapshot.machine, snapshot.software
    capabilities: tuple[str, ...] = ()
    if package != "tensorflow-cpu":
        seen = [known(gpu.compute_capability) for gpu in known(machine.gpus) or ()]
        capabilities = tuple(dict.fromkeys(_capability(gpu) for gpu in gpus)) or tuple(c for c in seen if c)
    gpu = bool(capabilities) or (driver is not None and package != "tensorflow-cpu")
    libc = known(software.libc.version) if known(software.libc.name) == "glibc" else None
    return _module().Wanted(
        driver=driver or known(machine.driver.version),
        driver_cuda=None if driver else known(machine.driver.cuda_version),
        gpu=gpu,
        capabilities=capabilities,
        python=python or known(software.python.version),
        platform=_platform(machine.system or "linux", known(machine.architecture) or "x86_64"),
        system="windows" if machine.system == "windows" or known(machine.wsl) in (1, 2) else "linux",
        glibc=libc,
        cpu_flags=known(machine.cpu.flags),
    )


def suggest(asked: Any) -> tuple[Any, ...]:
    """Every release with what speaks for and against it, the newest first."""
    return tuple(_module().suggest(asked))


def text(asked: Any, fits: tuple[Any, ...], most: int = 5) -> str:
    """The answer for a person: the releases that fit, and why newer ones do not."""
    lines = [_header(asked), ""]
    good = [fit for fit in fits if fit.fits]
    for fit in good[:most]:
        lines.append(f"  {fit.command}")
        lines += [f"      {note}" for note in fit.but]
    if not good:
        lines.append("  No release fits.")
    newer = fits[: fits.index(good[0])] if good else fits[:most]
    if newer:
        lines += ["", "Newer, and why not:" if good else "Why not:"]
        lines += [f"  {fit.version:<9} {'; '.join(fit.against)}" for fit in newer[: 2 * most]]
    if not good and (capability := _module().without_code(asked)):
        lines += ["", f"Compute capability {capability}: {_module('fitting').newer_build(capability)}"]
    other = _other_python(asked, fits, good)
    if other is not None:
        python, fit = other
        lines += ["", f"With Python {python}, {fit.version} would fit: uv venv --python {python}"]
    return "\n".join(lines) + "\n"


def _header(asked: Any) -> str:
    parts = [f"Python {asked.python}" if asked.python else "any Python", asked.platform.replace("_", " ", 1)]
    if asked.gpu:
        parts.append(f"compute capability {', '.join(asked.capabilities)}" if asked.capabilities else "any GPU")
        parts.append(f"driver {asked.driver}" if asked.driver else "no NVIDIA driver")
    else:
        parts.append("no GPU to be used")
    return "For " + ", ".join(parts) + ":"


def _other_python(asked: Any, fits: tuple[Any, ...], good: list[Any]) -> tuple[str, Any] | None:
    """The newest release that only this Python keeps away, and the newest Python that it has a wheel for."""
    for fit in fits:
        if good and fit is good[0]:
            return None
        if asked.python and len(fit.against) == 1 and fit.against[0].startswith("no wheel for Python"):
            return fit.pythons[-1], fit
    return None


def _capability(word: str) -> str:
    if re.fullmatch(r"\d{1,2}\.\d", word):
        return word
    lookup = _module("tables.gpus").compute_capability_of
    found = next((c for maker in ("", "GeForce ", "Tesla ", "Quadro ") if (c := lookup(maker + word))), None)
    if not isinstance(found, str):
        raise UsageError(f"--gpu {word!r}: not known by that name; give its compute capability, such as --gpu 8.6")
    return found


def _platform(system: str, architecture: str) -> str:
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(architecture.lower(), architecture.lower())
    if system == "darwin":
        return "macos_arm64" if machine == "aarch64" else "macos_x86_64"
    return "windows_amd64" if system == "windows" else f"linux_{machine}"


def _module(name: str = "suggestion") -> Any:
    catalogue.mount()
    return importlib.import_module(f"{catalogue.PACKAGE}.{name}")
