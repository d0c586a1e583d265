"""KD715: names that the Keras or TensorFlow in use no longer has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from msgspec import UNSET, UnsetType

from doctor.model.facts import Unknown, known
from doctor.model.report import Change, Confidence, Evidence
from doctor.rule import Case, Finding, Severity, rule

from .script_rows import Row, facts, finding, scripts, where
from .tables.keras_api import Gone, gone
from .tables.versions import at_least
from .tables.versions import version as version_of

_LEGACY = ("1", "true")
_SINCE_2 = {"tensorflow": ">=2.0"}
_MANY = 3  # names of TensorFlow 1 in one script: it was written for that


@rule("KD715", "api-removed", Severity.WARNING, would_help="kdoctor scan --python PYTHON")
def api_removed(case: Case) -> Iterator[Finding]:
    """A script uses a name, a method or an argument that the Keras or TensorFlow in use no longer has.

    ## Why is this bad?
    The script fails at that line: at the import, or after hours, when the model is to be saved.

    ## Example
    ```python
    from keras.utils import np_utils
    optimizer = keras.optimizers.Adam(lr=1e-3)
    ```
    Use instead:
    ```python
    from keras.utils import to_categorical
    optimizer = keras.optimizers.Adam(learning_rate=1e-3)
    ```

    ## How to fix
    Use what the finding names, or pin the Keras that the script was written for.

    ## How it is judged
    Once a script and name; a script with several names of TensorFlow 1 gets one finding for all of them.
    Against the Keras and TensorFlow that are installed, else against those that the project pins exactly. What stands
    behind `except ImportError`, or behind a test of the version, was thought of and is not judged.

    ## References
    Each name was tried in environments of TensorFlow 2.4 to 2.21; Keras 3 migration guide on keras.io.
    """
    versions = _Versions(case)
    looked = False
    for row in scripts(case):
        found: dict[str, list[Row]] = {}
        for fact in facts(row, "api"):
            name = str(fact.get("name"))
            home = _home(name, fact, row)
            version = versions.of(home, row)
            if version is None:
                continue
            looked = True
            missing = gone(name, home, version)
            if missing is not None:
                found.setdefault(name, []).append({**fact, "_home": home, "_version": version, "_row": missing})
        of_one = {name for name in found if name.startswith("tensorflow.") and found[name][0]["_row"].gone == _SINCE_2}
        if len(of_one) >= _MANY:
            yield _of_another_age(row, [found[name][0] for name in found if name in of_one])
        for name, places in found.items():
            if name not in of_one or len(of_one) < _MANY:
                yield _finding(row, places)
    if not looked and any(True for row in scripts(case) for _ in facts(row, "api")):
        raise Unknown("software.keras.version", "not known, and the project pins none")


def _of_another_age(row: Row, places: list[Row]) -> Finding:
    """One finding for a script that was written for TensorFlow 1, not one for each of its names."""
    names = [places[n]["_row"].name.replace("tensorflow.", "tf.", 1) for n in range(len(places))]
    more = f" and {len(names) - _MANY} more" if len(names) > _MANY else ""
    return finding(
        row,
        {**places[0], "what": "api"},
        f"{where(row, places[0])} is written for TensorFlow 1: {', '.join(names[:_MANY])}{more} are not in TensorFlow"
        f" {places[0]['_version']}",
        effect="the script fails there",
        fix="import tensorflow.compat.v1 as tf and tf.disable_v2_behavior(), or tf_upgrade_v2 and a rewrite",
        thing="tensorflow 1",
        likely=0.6,
    )


def _home(name: str, fact: Row, row: Row) -> str:
    """What a name belongs to: tensorflow, tf.keras or keras."""
    if name.startswith("tensorflow") or name in (".make_one_shot_iterator", ".make_initializable_iterator"):
        return "tensorflow"
    home = fact.get("keras")
    if home in ("keras", "tf.keras", "tf_keras"):
        return str(home)
    homes = row.get("keras") or []
    return "keras" if "keras" in homes and "tf.keras" not in homes else "tf.keras"


def _finding(row: Row, places: list[Row]) -> Finding:
    fact = places[0]
    missing: Gone = fact["_row"]
    product = {"tensorflow": "TensorFlow", "tf.keras": "Keras"}.get(fact["_home"], "Keras")
    shown, verb = _shown(missing.name, fact["_home"])
    lines = ", ".join(str(p.get("line")) for p in places[1:6] if p.get("line"))
    result = finding(
        row,
        {**fact, "what": "api"},
        f"{where(row, fact)}: {shown} {verb} {product} {fact['_version']}" + (f" (also line {lines})" if lines else ""),
        effect="the script fails there",
        fix=f"use {missing.instead}" if not missing.instead.startswith("(") else f"drop it {missing.instead}",
        thing=missing.name,
        likely=0.6,
        confidence=Confidence.HIGH,
        change=_change(missing),
    )
    extra = Evidence("software.keras.version", fact["_version"]) if fact["_home"] != "tensorflow" else None
    return result if extra is None else _with(result, extra)


# Another name for the same thing: what is passed stays as it is.
_RENAMED = frozenset(
    {"lr", "nb_epoch", "output_dim", "init", "border_mode", "subsample", "input", "output"}
    | {".reset_states", ".fit_generator", ".evaluate_generator", ".predict_generator"}
)


def _change(missing: Gone) -> Change | UnsetType:
    """The new name, where the old one can simply be replaced."""
    argument = missing.name.removesuffix(")").rpartition("(")[2]
    if argument not in _RENAMED:
        return UNSET
    new = re.match(r"\w+", missing.instead)
    kind = "method" if argument.startswith(".") else "argument"
    return Change(kind, missing.name, new[0], "its name today") if new else UNSET


def _with(found: Finding, extra: Evidence) -> Finding:
    import msgspec  # noqa: PLC0415 (only where something is found)

    return msgspec.structs.replace(found, evidence=(*found.evidence, extra))


def _shown(name: str, home: str) -> tuple[str, str]:
    """A name as a person would write it, and what became of it."""
    if name.endswith(":file"):
        owner = name.removesuffix(":file").removeprefix("keras.")
        return f"the file name given to {owner}", "is refused by"
    if "(" in name:
        owner, _, argument = name.removesuffix(")").partition("(")
        return f"{argument}= of {owner.removeprefix('keras.')}", "is not taken by"
    if name.startswith("."):
        return f"{name[1:]}()", "is not in"
    if home == "tf.keras":
        return "tf." + name, "is not in"
    return name.replace("tensorflow.", "tf.", 1), "is not in"


class _Versions:
    """The versions of TensorFlow and of each home of Keras: those installed, else those pinned."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self.tensorflow = (
            known(case.software.tensorflow.version)
            or _installed(case, "tensorflow", "tensorflow-cpu", "tensorflow-gpu", "tensorflow-macos")
            or _pinned(case, "tensorflow", "tensorflow-cpu", "tensorflow-gpu", "tensorflow-macos")
        )
        self.keras = known(case.software.keras.version) or _installed(case, "keras") or _pinned(case, "keras")
        self.legacy = _installed(case, "tf-keras") or _pinned(case, "tf-keras")
        environment = known(case.software.environment) or {}
        self._legacy_on = str(environment.get("TF_USE_LEGACY_KERAS", "")).lower() in _LEGACY

    def of(self, home: str, row: Row) -> str | None:
        """The version of a home of Keras, or of TensorFlow; None where it is not known."""
        if home == "tensorflow":
            return self._sound(self.tensorflow)
        if home == "tf_keras":
            return None
        if home == "tf.keras":
            return self._sound(self._behind_tensorflow(row))
        separate = self.keras
        if separate is None and self.tensorflow is not None:
            separate = self._behind_tensorflow({})  # TensorFlow brings one along
        return self._sound(separate)

    def _behind_tensorflow(self, row: Row) -> str | None:
        if self._sound(self.tensorflow) is None:
            return self.keras
        tensorflow = str(self.tensorflow)
        if not at_least(tensorflow, "2.16"):
            major_minor = version_of(tensorflow)
            return f"{major_minor.major}.{major_minor.minor}.0" if major_minor is not None else None
        if self._legacy_on or row.get("legacy_keras"):
            return None  # tf-keras goes on with what Keras 2 had
        return self.keras or "3.0"

    @staticmethod
    def _sound(text: str | None) -> str | None:
        return text if version_of(text) is not None else None


def _installed(case: Case, *names: str) -> str | None:
    package = case.package(*names)
    return known(package.version) if package is not None else None


def _pinned(case: Case, *names: str) -> str | None:
    """The one version that the project's requirements and lock files pin."""
    found: set[str] = set()
    rows: tuple[dict[str, Any], ...] = known(case.project.requirements) or ()
    for row in rows:
        specifier = str(row.get("specifier") or "")
        if row.get("name") in names and row.get("exact") and specifier.startswith("=="):
            found.add(specifier.lstrip("=").strip())
    for lock in known(case.project.lock_files) or ():
        packages = lock.get("packages")
        if isinstance(packages, dict):
            found.update(str(packages[name]) for name in names if name in packages)
    return found.pop() if len(found) == 1 else None
