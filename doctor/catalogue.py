"""The one door to the rules: mounts ``rules/`` under the name ``doctor.rules`` and lists what it registers."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from doctor.errors import UsageError
from doctor.rule import Rule

PACKAGE = "doctor.rules"


def folder() -> Path:
    """The folder that holds the rules: inside the package when installed, beside it in a checkout."""
    here = Path(__file__).resolve().parent
    inside = here / "rules"
    return inside if inside.is_dir() else here.parent / "rules"


def mount() -> ModuleType:
    """The package ``doctor.rules``, whatever folder it lies in."""
    if PACKAGE in sys.modules:
        return sys.modules[PACKAGE]
    where = folder()
    spec = importlib.util.spec_from_file_location(
        PACKAGE, where / "__init__.py", submodule_search_locations=[str(where)]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"the rules are not where they belong: {where}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[PACKAGE] = module
    spec.loader.exec_module(module)
    return module


@functools.cache
def rules() -> tuple[Rule, ...]:
    """Every rule, in the order of codes; each hears the log too.

    Raises:
        ImportError: two rules share a code or a name.
    """
    mount()
    found: dict[str, Rule] = {}
    names: set[str] = set()
    for file in sorted(folder().glob("*.py")):
        if file.stem.startswith("_"):
            continue
        module = importlib.import_module(f"{PACKAGE}.{file.stem}")
        for value in vars(module).values():
            item = getattr(value, "rule", None)
            if not isinstance(item, Rule) or value.__module__ != module.__name__:
                continue
            if item.code in found or item.name in names:
                raise ImportError(f"{item.code} {item.name} is registered twice")
            found[item.code] = item
            names.add(item.name)
    listening = importlib.import_module(f"{PACKAGE}.heard").listening
    return tuple(listening([found[code] for code in sorted(found)]))


def computes(package: str) -> bool:
    """Whether a package takes part in computing results, by the rules' tables."""
    mount()
    return bool(importlib.import_module(f"{PACKAGE}.tables.packages").is_numeric(package))


def tables_date() -> str:
    """The day of the newest compatibility table."""
    mount()
    return str(importlib.import_module(f"{PACKAGE}.tables").seen())


def find(word: str) -> Rule:
    """The rule with this code or name.

    Raises:
        UsageError: there is none.
    """
    for item in rules():
        if word.upper() == item.code or word.lower() == item.name:
            return item
    raise UsageError(f"no rule is called {word!r}: 'kdoctor rule' lists all of them")


def matches(item_code: str, item_name: str, words: tuple[str, ...]) -> bool:
    """Whether one of ``words`` is this code, this name or a prefix of the code (``KD1``)."""
    return any(w.lower() == item_name or item_code.startswith(w.upper()) for w in words if w)


def check_words(words: tuple[str, ...], option: str) -> None:
    """Refuse a selection that names no rule.

    Raises:
        UsageError: a word is neither code, name nor prefix of a code.
    """
    for word in words:
        if not any(matches(r.code, r.name, (word,)) for r in rules()):
            raise UsageError(f"{option}: {word!r} is no code, name or prefix of a rule: 'kdoctor rule' lists them")
