"""Findings whose fix is a command: shown, never run. What kdoctor looks at it does not change."""

from __future__ import annotations

import re

from doctor.model.report import Finding

_TOOLS = (
    "pip", "pip3", "uv", "conda", "mamba", "micromamba", "python", "python3", "apt-get", "apt", "sudo", "docker",
    "kdoctor", "nvidia-ctk", "export", "unset", "modprobe", "systemctl", "dnf", "yum", "zypper", "pacman",
)  # fmt: skip
_COMMAND = re.compile(r"(?:RUN )?(?:'?/[^']*/)?(?:" + "|".join(map(re.escape, _TOOLS)) + r")(?:\d+(?:\.\d+)*)?'? \S")
NOT_RUN = "kdoctor changes no environment: run it where it belongs"


def command_of(finding: Finding) -> str | None:
    """The command that a finding's fix is; None where the fix is told in words."""
    return finding.fix if _COMMAND.match(finding.fix) else None
