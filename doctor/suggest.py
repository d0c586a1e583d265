"""``kdoctor suggest``: from a machine and an environment to the releases that fit them."""

from __future__ import annotations

import contextlib
import importlib
import re
import textwrap
from typing import Any

from doctor import catalogue
from doctor.case import Case
from doctor.errors import UsageError
from doctor.model.facts import Unknown, known
from doctor.model.snapshot import Snapshot
from doctor.report import sanitize

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
    case, machine = Case(snapshot), snapshot.machine
    gpu, capabilities = False, tuple[str, ...]()
    if package != "tensorflow-cpu":
        there, seen = _gpus_there(case)
        capabilities = tuple(dict.fromkeys(_capability(name) for name in gpus)) or seen
        gpu = there or bool(capabilities) or driver is not None
    libc, glibc = _c_library(case)
    return _module().Wanted(
        driver=driver or _module("compat").driver_version(case),
        driver_cuda=None if driver else known(machine.driver.cuda_version),
        gpu=gpu,
        capabilities=capabilities,
        python=python or known(snapshot.software.python.version),
        odd_python=None if python else _module("wheel_support").unsupported_python(case),
        platform=(_module("requirements").platforms(case) or ("linux_x86_64",))[0],
        system=_module("shared").driver_system(case),
        libc=libc,
        glibc=glibc,
        cpu_flags=known(machine.cpu.flags),
    )


def _gpus_there(case: Case) -> tuple[bool, tuple[str, ...]]:
    """Whether the machine has an NVIDIA GPU that is meant to be used, and the compute capabilities that are known.

    A GPU without a driver counts: the devices on the bus tell it, and what is suggested needs a driver.
    """
    if known(case.snapshot.expects.gpu) is False or not _module("shared").nvidia_hardware(case):
        return False, ()
    with contextlib.suppress(Unknown):
        seen = _module("measure").gpus_seen(case)
        return True, tuple(dict.fromkeys(gpu.capability for gpu in seen if gpu.capability))
    return True, ()


def _c_library(case: Case) -> tuple[str | None, str | None]:
    """The name of the C library, and the version where it is glibc; None where it is not known."""
    with contextlib.suppress(Unknown):
        version = _module("wheel_support").c_library(case)[0]
        return ("glibc", version) if version else (known(case.software.libc.name) or "musl", None)
    return None, None


def suggest(asked: Any) -> tuple[Any, ...]:
    """Every release with what speaks for and against it, the newest first."""
    return tuple(_module().suggest(asked))


def text(asked: Any, fits: tuple[Any, ...], most: int = 5, width: int = 100) -> str:
    """The answer for a person: the releases that fit, and why newer ones do not; commands are never wrapped."""
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
    commands = {f"  {fit.command}" for fit in good}
    shown = (row for line in lines for row in ([line] if line in commands else _wrapped(line, width)))
    return sanitize.screen("".join(f"{sanitize.line(row)}\n" for row in shown))


def _wrapped(line: str, width: int) -> list[str]:
    indent = " " * (len(line) - len(line.lstrip()))
    rest = indent + "    " if indent else ""
    return textwrap.wrap(line, width, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False) or [""]


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
        if (
            (asked.python or asked.odd_python)
            and len(fit.against) == 1
            and fit.pythons
            and fit.against[0].startswith(_module().NO_WHEEL_FOR)
        ):
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


def _module(name: str = "suggestion") -> Any:
    catalogue.mount()
    return importlib.import_module(f"{catalogue.PACKAGE}.{name}")
