"""The command that makes sure, for the very environment that was judged: another Python would answer of itself."""

from __future__ import annotations

import re
import shlex

import msgspec

from doctor.case import Case
from doctor.model.facts import known
from doctor.model.report import Finding

_PYTHON = re.compile(r"(?:(?<=^)|(?<=&& )|(?<=LD_DEBUG=libs ))python (?=-[cm] )")
_KDOCTOR = re.compile(r"(?:(?<=^)|(?<=&& ))kdoctor scan(?= --(?:select|try)\b|$)")
_PIP = re.compile(r"^pip (?=install --dry-run )")
_SCAN = re.compile(r"(?:(?<=^)|(?<=&& ))kdoctor scan(?= --\w|$)")
_PIN = re.compile(r"(?<![\w/-])(kdoctor pin (?:--(?:update|write) )+)('[^']*'|[^\s']+)")
_TARGETS = {"image": "--image {}", "container": "--target container:{}", "archive": "--target archive:{}"}


def here(case: Case, command: str) -> str:
    """A rule's command with the interpreter, or the target, that the facts came from in it.

    Rules write ``python -c …`` and ``kdoctor scan --select …``. Inside a container ``python`` stays as it is: the
    command runs there, where PATH is the container's own.
    """
    subject, path = case.subject, known(case.software.python.executable)
    if path and not case.in_container:
        python = shlex.quote(path)
        command = _PYTHON.sub(lambda _: f"{python} ", command)
        command = _PIP.sub(lambda _: f"{python} -m pip ", command)
    if subject.kind == "interpreter" and path:
        return _KDOCTOR.sub(lambda _: f"kdoctor scan --python {shlex.quote(path)}", command)
    if subject.kind in _TARGETS and subject.name:
        word = _TARGETS[subject.kind].format(shlex.quote(subject.name))
        return _KDOCTOR.sub(lambda _: f"kdoctor scan {word}", command)
    return command


def from_outside(finding: Finding, folder: str) -> Finding:
    """The finding with commands that do what they say where the command was started, not in the scanned folder.

    ``folder``: the scanned one, as seen from there. Files are named by rules relative to the scanned folder.
    """
    scan = f"kdoctor scan {shlex.quote(folder)}"
    verify = _SCAN.sub(lambda _: scan, finding.verify)
    fix = _PIN.sub(lambda found: found[1] + _below(folder, found[2]), finding.fix)
    return msgspec.structs.replace(finding, verify=verify, fix=fix)


def _below(folder: str, path: str) -> str:
    return shlex.quote(f"{folder}/{path.strip(chr(39))}")
