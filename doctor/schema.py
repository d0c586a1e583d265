"""JSON Schemas of the snapshot, the report and the configuration, generated from the model.

``python -m doctor.schema --write`` writes them to ``schemas/``; ``--check`` says whether what lies there is current.
Unknown keys are allowed in snapshots and reports, as on reading; in a configuration they are an error.
"""

from __future__ import annotations

import argparse
import functools
import sys
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec

from doctor.model.facts import Facts, Missing
from doctor.model.report import Report
from doctor.model.snapshot import SCHEMA, Snapshot
from doctor.settings import KEYS, Settings

DIALECT = "https://json-schema.org/draft/2020-12/schema"
FOLDER = Path(__file__).resolve().parent.parent / "schemas"

_MISSING = {
    "title": "Missing",
    "description": "A fact that is not known, and why. An absent key says the same without a reason.",
    "type": "object",
    "properties": {"missing": {"type": "string"}},
    "required": ["missing"],
}
_WITHOUT_DEFAULTS = ("Location", "Change")
_ONLY_WHERE_ASKED = {"Report": ("fixes",), "Finding": ("change",)}
_VERDICTS = {"enum": ["pass", "fail", "incomplete"]}

Schema = dict[str, Any]


def snapshot_schema() -> Schema:
    """The schema of documents of kind ``kdoctor/snapshot``: every fact may be absent or missing with a reason."""
    schema = msgspec.json.schema(_twin(Snapshot))
    definitions = schema["$defs"]
    for name, fields in _optional_facts(Snapshot).items():
        properties = definitions[name]["properties"]
        for field in fields:
            properties[field] = _or_missing(properties[field])
    definitions["Missing"] = _MISSING
    top = definitions["Snapshot"]
    top["properties"]["kind"] = {"const": "kdoctor/snapshot"}
    top["properties"]["schema"] = {"const": SCHEMA}
    return _finish(schema, "A snapshot of kdoctor")


def report_schema() -> Schema:
    """The schema of documents of kind ``kdoctor/report``: keys are always there, but for a location's and fixes."""
    schema = msgspec.json.schema(Report)
    definitions = schema["$defs"]
    for name, definition in definitions.items():
        properties = definition.get("properties", {})
        for value in properties.values():
            value.pop("default", None)
        if properties and name not in _WITHOUT_DEFAULTS:
            definition["required"] = [key for key in properties if key not in _ONLY_WHERE_ASKED.get(name, ())]
    definitions["Finding"]["properties"]["severity"] = {"$ref": "#/$defs/Severity"}
    definitions["SubjectRow"]["properties"]["verdict"] = _VERDICTS
    top = definitions["Report"]["properties"]
    top["kind"] = {"const": "kdoctor/report"}
    top["schema"] = {"const": SCHEMA}
    top["verdict"] = _VERDICTS
    top["exit_code"] = {"enum": [0, 1, 3, 4]}
    return _finish(schema, "A report of kdoctor")


def configuration_schema() -> Schema:
    """The schema of ``kdoctor.toml``, ``[tool.kdoctor]`` and the user's own ``config.toml``."""
    schema = msgspec.json.schema(Settings)
    definition = schema["$defs"]["Settings"]
    for field in [name for name in definition["properties"] if name not in KEYS]:
        del definition["properties"][field]
    definition["title"] = "Configuration"
    definition["description"] = (
        "The keys of kdoctor.toml, of [tool.kdoctor] in pyproject.toml, and of the user's own file."
    )
    for key in ("select", "ignore", "require", "format"):  # one word may stand without its list
        row = definition["properties"][key]
        definition["properties"][key] = {"anyOf": [row, {"type": "string"}], "default": row.pop("default", [])}
    return _finish(schema, "The configuration of kdoctor")


SCHEMAS: dict[str, Callable[[], Schema]] = {
    "snapshot.json": snapshot_schema,
    "report.json": report_schema,
    "configuration.json": configuration_schema,
}


def text_of(name: str) -> str:
    """The schema file of this name, as it should be checked in."""
    return msgspec.json.format(msgspec.json.encode(SCHEMAS[name]()), indent=2).decode() + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the schemas, or say which of those that are checked in are not current (exit code 1)."""
    parser = argparse.ArgumentParser(prog="python -m doctor.schema", description=main.__doc__)
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--write", action="store_true", help="write the files")
    action.add_argument("--check", action="store_true", help="compare them, change nothing")
    parser.add_argument(
        "--folder", type=Path, default=FOLDER, help="where they lie (default: schemas/ of the checkout)"
    )
    options = parser.parse_args(arguments)
    stale = [name for name in SCHEMAS if _read(options.folder / name) != text_of(name)]
    if options.write:
        options.folder.mkdir(exist_ok=True)
        for name in stale:
            (options.folder / name).write_text(text_of(name), encoding="utf-8")
        return 0
    for name in stale:
        sys.stderr.write(f"{options.folder / name}: not current: python -m doctor.schema --write\n")
    return 1 if stale else 0


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


@functools.cache
def _twin(kind: type[Facts]) -> type[msgspec.Struct]:
    """The same struct with defaults that a schema can be made of: a missing fact has no form in JSON of its own."""
    hints = get_type_hints(kind)
    fields: list[Any] = []
    for field in msgspec.structs.fields(kind):
        hint = _with_twins(hints[field.name])
        if field.required:
            fields.insert(0, (field.name, hint))
        else:
            fields.append((field.name, hint, msgspec.field(default_factory=_nothing)))
    return msgspec.defstruct(kind.__name__, fields, namespace={"__doc__": kind.__doc__}, module=kind.__module__)


def _nothing() -> None:
    """Stands for a default that the schema does not name."""


def _with_twins(hint: Any) -> Any:
    if isinstance(hint, type) and issubclass(hint, Facts):
        return _twin(hint)
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return Union[tuple(_with_twins(part) for part in parts)]  # noqa: UP007 - the parts are known at run time only
    return origin[tuple(_with_twins(part) for part in parts)] if origin and parts else hint


def _optional_facts(kind: type[Facts]) -> dict[str, list[str]]:
    """For each struct that is reached from ``kind``, its fields that may be missing: facts, and whole sections."""
    found: dict[str, list[str]] = {}
    pending: list[Any] = [kind]
    while pending:
        item = pending.pop()
        if isinstance(item, type) and issubclass(item, Facts):
            if item.__name__ not in found:
                defaults = {field.name: field.default for field in msgspec.structs.fields(item)}
                found[item.__name__] = [n for n, value in defaults.items() if isinstance(value, (Missing, Facts))]
                pending += get_type_hints(item).values()
        else:
            pending += get_args(item)
    return found


def _or_missing(schema: Schema) -> Schema:
    choices = schema["anyOf"] if set(schema) == {"anyOf"} else [schema]
    return {"anyOf": [*choices, {"$ref": "#/$defs/Missing"}]}


def _finish(schema: Schema, title: str) -> Schema:
    for definition in schema["$defs"].values():
        if "description" in definition:
            definition["description"] = " ".join(definition["description"].split())
    return {"$schema": DIALECT, "title": title, **schema}


if __name__ == "__main__":
    sys.exit(main())
