"""Options that several commands share: each with its environment variable, grouped in the help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Optional

import typer

_OUTPUT = "Output"
_RULES = "Rules and verdict"
_RUN = "Run"


def _option(*names: str, env: str, help: str, group: str, **more: Any) -> Any:  # noqa: A002
    return typer.Option(*names, envvar=f"KDOCTOR_{env}", help=help, rich_help_panel=group, show_envvar=False, **more)


Format = Annotated[
    Optional[list[str]],  # noqa: UP045 -- typer reads the annotation at run time
    _option(
        "--format", env="FORMAT", help="text, concise or json; FORMAT=FILE writes to a file; repeatable.", group=_OUTPUT
    ),
]
Output = Annotated[
    Path | None, _option("--output", "-o", env="OUTPUT", help="Write the report to this file.", group=_OUTPUT)
]
Quiet = Annotated[bool, _option("--quiet", "-q", env="QUIET", help="Findings and verdict only.", group=_OUTPUT)]
Verbose = Annotated[
    bool, _option("--verbose", "-v", env="VERBOSE", help="Evidence, passed rules, internal errors.", group=_OUTPUT)
]
ShowSkipped = Annotated[
    bool,
    _option(
        "--show-skipped",
        env="SHOW_SKIPPED",
        help="List the rules that could not be judged, and what would help.",
        group=_OUTPUT,
    ),
]
Color = Annotated[Optional[str], _option("--color", env="COLOR", help="auto, always or never.", group=_OUTPUT)]  # noqa: UP045
NoProgress = Annotated[bool, _option("--no-progress", env="NO_PROGRESS", help="No progress on stderr.", group=_OUTPUT)]
Select = Annotated[
    list[str] | None,
    _option("--select", env="SELECT", help="Only these rules: code, name or prefix (KD1).", group=_RULES),
]
Ignore = Annotated[Optional[list[str]], _option("--ignore", env="IGNORE", help="Not these rules.", group=_RULES)]  # noqa: UP045
FailOn = Annotated[
    str | None,
    _option("--fail-on", env="FAIL_ON", help="error, warning, info or never.  [default: error]", group=_RULES),
]
Require = Annotated[
    list[str] | None,
    _option(
        "--require", env="REQUIRE", help="Facts that must be had (gpu, docker, …), else exit code 3.", group=_RULES
    ),
]
Baseline = Annotated[
    Path | None,
    _option("--baseline", env="BASELINE", help="Findings in this file are known and do not count.", group=_RULES),
]
WriteBaseline = Annotated[
    Path | None,
    _option("--write-baseline", env="WRITE_BASELINE", help="Write the present findings to a baseline.", group=_RULES),
]
Config = Annotated[
    Path | None,
    _option("--config", env="CONFIG", help="This configuration file instead of the project's.", group=_RUN),
]
Offline = Annotated[bool, _option("--offline", env="OFFLINE", help="No network at all.", group=_RUN)]


def words(values: list[str] | None) -> list[str] | None:
    """A repeatable option whose values may hold several words, divided by commas."""
    if not values:
        return None
    return [word.strip() for value in values for word in value.split(",") if word.strip()]
