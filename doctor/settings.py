"""Settings: defaults, the user's own file, the project's file, the environment, the command line: the later wins.

A key is taken as a whole from the last place that sets it; lists and tables of two places are not mixed. Each error
names the key and where it stands.
"""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_type_hints

import msgspec

from doctor.configuration import ConfigFile, read_named, read_own, read_project
from doctor.errors import UsageError
from doctor.model.report import Severity
from doctor.policy import DENIED, TOLERANCE, anchored
from doctor.setting_values import PolicySuppression, check_format, check_host, plain, severities, suppressions

ENVIRONMENT_PREFIX = "KDOCTOR_"

# Keys of a file that the project does not own. A scanned project is hostile input: it must not name a program that is
# started, a file that is written, or a host that gets credentials. Keys of later versions are refused here already.
OWN_ONLY = frozenset(
    {"python", "output", "write-baseline", "database", "credential-hosts", "plain-http-registries", "pull", "run"}
)
_FILE_ONLY = frozenset({"severity", "suppressions"})
_NEVER_IN_FILES = frozenset({"image"})  # short for a target of one run; the policy's images are the gate's
_WORD_LISTS = ("select", "ignore", "require", "deny", "images", "machines", "tag", "image", "plain_http_registries")
_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off", "")


class Settings(msgspec.Struct, frozen=True, rename="kebab", forbid_unknown_fields=True):
    """What a run was asked to do.

    ``select`` / ``ignore``: codes, names or prefixes. ``fail_on``: the lowest severity that fails the run.
    ``require``: facts that must be had. ``severity``: a rule's severity instead of its default. ``format``: names, or
    ``name=file``. ``origins``: where each key that is not at its default was set (``pyproject.toml:12``).

    The gate's: ``deny``: rules whose findings fail it whatever their severity. ``images``: targets to judge (none: this
    environment). ``machines``: saved snapshots, or ``this``. ``reference``: the accepted canary record, held within
    ``tolerance`` of accuracy. ``canary``: whether it runs (not set: where there is a reference).

    ``record``: keep the run in the history, under the labels ``tag``. ``history``: its SQLite file; ``database``: its
    address (KDOCTOR_DB_URL), which may hold a password and is never printed.

    ``all_dependencies``: KD601 and its like judge every package that the project asks for, not the numeric ones alone.

    ``image``: images to look into. ``platform``, ``pull`` (not set: as the command does), ``run`` and ``cache``: how;
    see :class:`doctor.targets.inside_options.Inside`. ``plain_http_registries``: hosts that may be asked without TLS.
    """

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    fail_on: Literal["error", "warning", "info", "never"] = "error"
    require: tuple[str, ...] = ()
    severity: dict[str, Severity] = {}
    suppressions: tuple[PolicySuppression, ...] = ()
    deny: tuple[str, ...] = DENIED
    images: tuple[str, ...] = ()
    machines: tuple[str, ...] = ()
    reference: str | None = None
    tolerance: Annotated[float, msgspec.Meta(gt=0, le=1)] = TOLERANCE
    canary: bool | None = None
    record: bool = False
    tag: tuple[str, ...] = ()
    history: str | None = None
    database: str | None = None
    image: tuple[str, ...] = ()
    platform: str | None = None
    pull: Literal["never", "missing", "always"] | None = None
    run: bool = False
    cache: bool = True
    plain_http_registries: tuple[str, ...] = ()
    all_dependencies: bool = False
    baseline: str | None = None
    write_baseline: str | None = None
    format: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] = ("text",)
    output: str | None = None
    offline: bool = False
    python: str | None = None
    color: Literal["auto", "always", "never"] = "auto"
    quiet: bool = False
    verbose: bool = False
    progress: bool = True
    show_skipped: bool = False
    origins: dict[str, str] = {}

    def origin(self, field: str) -> str:
        """Where a field was set; its option where it stands at its default."""
        return self.origins.get(field, "--" + field.replace("_", "-"))


_TYPES = {name: hint for name, hint in get_type_hints(Settings, include_extras=True).items() if name != "origins"}
KEYS = tuple(name.replace("_", "-") for name in _TYPES if name not in _NEVER_IN_FILES)
_ON_BY_DEFAULT = ("progress", "cache")  # their options and variables also come as --no-… and KDOCTOR_NO_…


def load_settings(
    folder: Path,
    flags: Mapping[str, Any],
    environ: Mapping[str, str],
    config: Path | None = None,
    *,
    policy: Path | None = None,
) -> Settings:
    """The settings of a run on ``folder``.

    ``flags``: options given on the command line under their field names; None, an empty list and a switch that is off
    mean not given. ``config`` (or KDOCTOR_CONFIG) stands in for the project's file; so does ``policy``, which is held
    to be the project's wherever it lies (a checkout of the base branch).

    Raises:
        UsageError: a key or value that is not understood; names the key and its origin.
    """
    named = config or (Path(environ["KDOCTOR_CONFIG"]) if environ.get("KDOCTOR_CONFIG") else None)
    if policy is not None:
        project: ConfigFile | None = msgspec.structs.replace(read_named(policy, folder), trusted=False)
    else:
        project = read_named(named, folder) if named else read_project(folder)
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for file in (read_own(environ), project):
        if file is not None:
            _take_file(file, values, origins)
    _take_environment(environ, values, origins)
    _take_flags(flags, values, origins)
    settings = Settings(**values, origins=origins)
    _check_words(settings)
    return settings


def _take_file(file: ConfigFile, values: dict[str, Any], origins: dict[str, str]) -> None:
    for written, value in file.values.items():
        origin = file.origin(written)
        key = written.replace("_", "-")
        writes = key in OWN_ONLY or (key == "format" and "=" in str(value))
        if writes and not file.trusted:
            raise UsageError(
                f"{origin}: {written!r} comes only from the command line, the environment or your own configuration, "
                "never from the scanned project"
            )
        field = _field(key, origin, file.prefix)
        result = _convert(field, value, origin, file)
        if field == "offline" and not file.trusted and values.get("offline"):
            continue  # a project may ask for no network; it may not lift the user's own wish
        values[field] = anchored(field, result, file, origin)
        origins[field] = origin


def _take_environment(environ: Mapping[str, str], values: dict[str, Any], origins: dict[str, str]) -> None:
    known = {ENVIRONMENT_PREFIX + name.upper(): name for name in _TYPES}
    known |= {f"{ENVIRONMENT_PREFIX}NO_{name.upper()}": name for name in _ON_BY_DEFAULT}
    known[ENVIRONMENT_PREFIX + "DB_URL"] = known.pop(ENVIRONMENT_PREFIX + "DATABASE")
    for variable, text in environ.items():
        if not variable.startswith(ENVIRONMENT_PREFIX) or variable == "KDOCTOR_CONFIG":
            continue
        field = known.get(variable)
        if field is None:
            near = difflib.get_close_matches(variable, known, 1, 0.9)
            if near:  # others may use the prefix for their own ends; a slip of the pen must not pass for one of these
                raise UsageError(f"environment: {variable} is not a setting; did you mean {near[0]}?")
            continue
        if field in _FILE_ONLY:
            raise UsageError(f"environment: {variable}: {field} can be set in a configuration file only")
        value = _from_text(field, text, variable)
        values[field] = not value if variable.startswith(ENVIRONMENT_PREFIX + "NO_") else value
        origins[field] = variable


def _take_flags(flags: Mapping[str, Any], values: dict[str, Any], origins: dict[str, str]) -> None:
    for field, value in flags.items():
        if field not in _TYPES:
            raise KeyError(f"{field} is no field of Settings")
        switched_off = value is False and field not in _ON_BY_DEFAULT
        if value is None or value in ([], ()) or switched_off:
            continue
        option = ("--no-" if field in _ON_BY_DEFAULT and not value else "--") + field.replace("_", "-")
        values[field] = _convert(field, _from_flag(field, value), option)
        origins[field] = option


def _from_flag(field: str, value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return _words(value) if field != "format" else tuple(value)
    return str(value) if isinstance(value, Path) else value


def _from_text(field: str, text: str, variable: str) -> Any:
    kind = _TYPES[field]
    if kind in (bool, bool | None):
        if text.lower() not in _TRUE + _FALSE:
            raise UsageError(
                f"environment: {variable}={text[:40]!r}: expected one of 1, true, yes, on, 0, false, no, off"
            )
        return text.lower() in _TRUE
    value: Any = _words([text]) if "tuple" in str(kind) else text
    if "float" in str(kind):
        with contextlib.suppress(ValueError):
            value = float(text)
    return _convert(field, value, f"environment: {variable}")


def _words(items: Sequence[Any]) -> tuple[str, ...]:
    return tuple(word.strip() for item in items for word in str(item).split(",") if word.strip())


def _field(key: str, origin: str, table: str) -> str:
    if key in KEYS:
        return key.replace("-", "_")
    near = difflib.get_close_matches(key, KEYS, 1, 0.6)
    advice = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(KEYS)}"
    where = f" in [{table}]" if table else ""
    raise UsageError(f"{origin}: unknown key {key!r}{where}; {advice}")


def _convert(field: str, value: Any, origin: str, file: ConfigFile | None = None) -> Any:
    """``value`` as the type of the field.

    Raises:
        UsageError: with the origin, the key, and what would do.
    """
    key = field.replace("_", "-")
    if field in _WORD_LISTS and isinstance(value, str):
        value = _words([value])
    if field == "format" and isinstance(value, str):
        value = (value,)
    if field == "suppressions" and file is not None:
        return suppressions(value, origin, file)
    if field == "severity" and file is not None and isinstance(value, dict):
        return severities(value, file)
    try:
        result = msgspec.convert(value, _TYPES[field])
    except msgspec.ValidationError as error:
        kinds = (_TYPES[field], *get_args(_TYPES[field]))  # of an optional choice the choices lie one deeper
        choices = [choice for kind in kinds for choice in get_args(kind) if isinstance(choice, str)]
        if choices:
            near = difflib.get_close_matches(str(value), choices, 1)
            advice = f"; did you mean {near[0]!r}?" if near else ""
            raise UsageError(f"{origin}: {key} is {str(value)[:40]!r}, expected {', '.join(choices)}{advice}") from None
        raise UsageError(f"{origin}: {key}: {plain(error)}") from None
    if field == "format":
        for item in result:
            check_format(item, origin)
    if field == "plain_http_registries":
        for host in result:
            check_host(host, origin)
    return result


def _check_words(settings: Settings) -> None:
    """Refuse codes and names that no rule has.

    Raises:
        UsageError: see :func:`doctor.catalogue.check_words`.
    """
    named = (settings.select, settings.ignore, settings.severity, settings.suppressions, settings.require)
    if not any(named) and settings.deny == DENIED:
        return
    from doctor import catalogue, requirements  # noqa: PLC0415 - loading all rules costs time; most runs name none here

    catalogue.check_words(settings.select, settings.origin("select"))
    catalogue.check_words(settings.ignore, settings.origin("ignore"))
    catalogue.check_words(settings.deny, settings.origin("deny"))
    catalogue.check_words(tuple(settings.severity), settings.origin("severity"))
    catalogue.check_words(tuple(row.code for row in settings.suppressions), settings.origin("suppressions"))
    requirements.check_words(settings.require, settings.origin("require"))
