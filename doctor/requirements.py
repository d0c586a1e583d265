"""``--require``: facts without which a run counts as incomplete (exit code 3)."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable

from doctor.case import Case
from doctor.errors import UsageError
from doctor.model.facts import Facts, Missing, known
from doctor.model.report import Note
from doctor.model.snapshot import Snapshot


def _gpu(case: Case) -> str | None:
    return _first_missing(case, "machine.gpus", "machine.driver.present")


def _docker(case: Case) -> str | None:
    engine = case.machine.engine
    if known(engine.present) is False:
        return "no container engine answers"
    return None if known(engine.present) or known(engine.name) else _first_missing(case, "machine.engine.present")


def _registry(case: Case) -> str | None:
    images = case.project.images
    if isinstance(images, Missing):
        return str(images)
    for row in images:
        answer = row.get("registry")
        outcome = answer.get("outcome") if isinstance(answer, dict) else None
        if outcome not in ("ok", "not-found", "no-access"):
            return f"{row.get('reference')}: the registry was not asked or did not answer ({outcome or 'no answer'})"
    return None


def _tensorflow(case: Case) -> str | None:
    return _first_missing(case, "software.tensorflow.present", "software.tensorflow.version", any_of=True)


def _python(case: Case) -> str | None:
    return _first_missing(case, "software.python.version")


def _driver(case: Case) -> str | None:
    return _first_missing(case, "machine.driver.present", "machine.driver.version", any_of=True)


def _project(case: Case) -> str | None:
    return _first_missing(case, "project.images", "project.requirements", "project.scripts", any_of=True)


NAMED: dict[str, Callable[[Case], str | None]] = {
    "gpu": _gpu,
    "driver": _driver,
    "docker": _docker,
    "registry": _registry,
    "tensorflow": _tensorflow,
    "python": _python,
    "project": _project,
}

# What a case alone cannot tell; the command that runs it says so through ``had``.
RUNS = ("canary",)


def check_words(words: Iterable[str], origin: str) -> None:
    """Refuse a requirement that is neither a name nor the path of a fact.

    Raises:
        UsageError: with the names that there are.
    """
    for word in words:
        if word in NAMED or word in RUNS or ("." in word and _is_path(word)):
            continue
        names = (*NAMED, *RUNS)
        near = difflib.get_close_matches(word, names, 1)
        advice = f"did you mean {near[0]!r}?" if near else "it takes a fact's path (machine.driver.version) or one of "
        raise UsageError(f"{origin}: nothing is called {word!r}; {advice}{'' if near else ', '.join(names)}")


def unmet(case: Case, words: Iterable[str], had: Iterable[str] = ()) -> tuple[Note, ...]:
    """The requirements that this case does not meet, and why. ``had``: runs that took place (``canary``)."""
    notes = []
    for word in words:
        if word in RUNS:
            why = None if word in had else "was not run"
        elif word in NAMED:
            why = NAMED[word](case)
        else:
            why = _first_missing(case, word)
        if why is not None:
            notes.append(Note(f"--require {word}", f"{case.subject.name}: {why}"))
    return tuple(notes)


def _first_missing(case: Case, *paths: str, any_of: bool = False) -> str | None:
    """Why the first of these facts that is missing is missing; with ``any_of`` one known fact is enough."""
    missing = [str(value) for value in map(case.value, paths) if isinstance(value, Missing)]
    if any_of and len(missing) < len(paths):
        return None
    return missing[0] if missing else None


def _is_path(word: str) -> bool:
    node: object = Snapshot()
    for step in word.split("."):
        if not isinstance(node, Facts) or step not in node.__struct_fields__:
            return False
        node = getattr(node, step)
    return True
