"""Training runs of the user's own: Keras ``CSVLogger`` files, ``History.history`` as JSON, and MLflow runs."""

from __future__ import annotations

import csv
import datetime
import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec

from doctor.errors import TargetError, UsageError
from doctor.store.entry import Metric, number

MAX_BYTES = 32 * 1024 * 1024
MAX_METRICS = 200
MAX_EPOCHS = 100_000
MAX_NAME = 200
MLFLOW = "mlflow:"

# In this order: what was measured on data that the model had not seen comes first.
_ACCURACIES = ("val_accuracy", "val_acc", r"val_\w*accuracy", "accuracy", "acc", r"\w*accuracy")
_LOSSES = ("val_loss", "loss")
_NOT_WRITTEN = ("", "NA", "None", "null")  # CSVLogger writes NA for a metric that an epoch does not have
_NUMPY = re.compile(r"(?:(?:np|numpy)\.)?(?:float\d*|array)\(([^,()\[\]]{1,40})(?:,[^()]{0,40})?\)")
_SEPARATOR = re.compile(r"epoch([^\w\s\"]|[ \t])")
_EPOCH_NAMES = ("epoch", "epochs", "step")


class Training(msgspec.Struct, frozen=True):
    """What a log of a training says.

    ``metrics``: by name, a value an epoch; None where none was written (validation every other epoch), NaN where it was
    not finite.
    """

    metrics: dict[str, tuple[float | None, ...]]
    parameters: dict[str, Any] = {}
    tags: tuple[str, ...] = ()
    ran_at: datetime.datetime | None = None
    seconds: float | None = None
    notes: tuple[str, ...] = ()

    def rows(self) -> tuple[Metric, ...]:
        """The metrics as rows, epochs counted from 1."""
        return tuple(
            Metric(epoch, name, number(value))
            for name, values in self.metrics.items()
            for epoch, value in enumerate(values, 1)
        )

    def last(self, name: str | None) -> float | None:
        """A metric's last value that was written; None where that was not finite."""
        written = [value for value in self.metrics.get(name or "", ()) if value is not None]
        return number(written[-1]) if written else None


def read_training(word: str) -> Training:
    """The training that a word names: a CSV or JSON file, or ``mlflow:RUN_ID``.

    Raises:
        TargetError: it cannot be read.
        UsageError: it is no such log.
    """
    if word.startswith(MLFLOW):
        from doctor.store.mlflow_runs import read_mlflow  # noqa: PLC0415 -- its client is an extra

        return read_mlflow(word.removeprefix(MLFLOW))
    path = Path(word)
    text = _text(path)
    training = _from_json(text, path) if text.lstrip()[:1] in ("{", "[") else _from_csv(text, path)
    modified = datetime.datetime.fromtimestamp(path.stat().st_mtime, datetime.timezone.utc)
    return msgspec.structs.replace(training, ran_at=modified)


def choose_accuracy(training: Training, wanted: str | None) -> str | None:
    """The metric that is the run's accuracy: the one named, else the likeliest.

    Raises:
        UsageError: the one named is not in the log.
    """
    if wanted is not None:
        if wanted not in training.metrics:
            raise UsageError(f"--metric {wanted}: the log has {', '.join(training.metrics)[:300]}")
        return wanted
    return _first(training, _ACCURACIES)


def choose_loss(training: Training) -> str | None:
    """The metric that is the run's loss."""
    return _first(training, _LOSSES)


def file_hash(path: Path) -> str:
    """SHA-256 of a file, or of all files below a folder with their relative names, in the order of those.

    Raises:
        UsageError: it cannot be read, or is neither.
    """
    digest = hashlib.sha256()
    try:
        if path.is_file():
            _feed(digest, path)
            return "sha256:" + digest.hexdigest()
        if path.is_dir():
            for file in sorted(p for p in path.rglob("*") if p.is_file()):
                digest.update(str(file.relative_to(path)).encode("utf-8", "surrogateescape") + b"\0")
                _feed(digest, file)
            return "sha256:" + digest.hexdigest()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from None
    raise UsageError(f"{path}: no such file or folder")


def read_parameters(words: Sequence[str]) -> dict[str, Any]:
    """``NAME=VALUE`` words; a value that is a number or true or false is kept as one.

    Raises:
        UsageError: a word without ``=``.
    """
    found: dict[str, Any] = {}
    for word in words:
        name, separator, text = word.partition("=")
        if not separator or not name.strip():
            raise UsageError(f"--param {word[:60]!r}: write NAME=VALUE")
        found[name.strip()] = _value(text)
    return found


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise TargetError(f"{path}: cannot be read: {error.strerror or error}") from None
    if len(data) > MAX_BYTES:
        raise UsageError(f"{path}: larger than {MAX_BYTES >> 20} MiB; no training log is that large")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8 text (byte {error.start})") from None


def _from_json(text: str, path: Path) -> Training:
    try:
        document: Any = json.loads(text)  # NaN and Infinity, as Python's json writes them, are read, too
    except (ValueError, RecursionError) as error:
        how = "write it with json.dump({name: [float(v) for v in values] for name, values in history.history.items()})"
        raise UsageError(f"{path}: not JSON: {str(error)[:100]}; {how}") from None
    parameters: dict[str, Any] = {}
    if isinstance(document, dict) and isinstance(document.get("history"), dict):
        held = document.get("params")
        parameters = held if isinstance(held, dict) else {}
        document = document["history"]
    lists = isinstance(document, dict) and document and all(isinstance(v, list) for v in document.values())
    if not lists:
        raise UsageError(f"{path}: not a History.history: expected metrics, each with a list of values")
    return Training(_bounded(document, path), parameters)


def _from_csv(text: str, path: Path) -> Training:
    lines = text.splitlines()
    header = lines[0] if lines else ""
    begun = _SEPARATOR.match(header)
    separator = begun[1] if begun else next((sign for sign in ",;\t|" if sign in header), ",")
    try:
        rows = list(csv.DictReader(lines, delimiter=separator, restval=""))
    except csv.Error as error:
        raise UsageError(f"{path}: not CSV: {error}") from None
    names = [name for name in (rows[0] if rows else {}) if name]
    epoch = next((name for name in names if name.lower() in _EPOCH_NAMES), None)
    if not rows or epoch is None or len(names) < 2:
        raise UsageError(f"{path}: not the output of CSVLogger: expected a header with epoch and metrics, and an epoch")
    rows = [row for row in rows if row.get(epoch) != epoch]  # a header once more, in a file that was appended to
    rows, notes = _last_training(rows, epoch)
    if any(None in row for row in rows):
        notes += ("some lines hold more values than the header has names; those were left out",)
    columns = {name: [row.get(name) for row in rows] for name in names if name != epoch}
    return Training(_bounded(columns, path), notes=notes)


def _last_training(rows: list[dict[str, Any]], epoch: str) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """The last of several trainings in one file: ``CSVLogger(append=True)`` begins to count anew."""
    numbers = [_number(row.get(epoch)) for row in rows]
    starts = [
        n
        for n, (one, other) in enumerate(pairwise(numbers), 1)
        if one is not None and other is not None and other <= one
    ]
    if not starts:
        return rows, ()
    return rows[starts[-1] :], (f"the file holds {len(starts) + 1} trainings; the last one was recorded",)


def _bounded(columns: Mapping[str, Sequence[Any]], path: Path) -> dict[str, tuple[float | None, ...]]:
    if len(columns) > MAX_METRICS or any(len(values) > MAX_EPOCHS for values in columns.values()):
        raise UsageError(f"{path}: more than {MAX_METRICS} metrics or {MAX_EPOCHS} epochs; no training log has that")
    metrics = {str(name)[:MAX_NAME]: tuple(_number(value) for value in values) for name, values in columns.items()}
    if not any(number(value) is not None for values in metrics.values() for value in values):
        raise UsageError(f"{path}: holds no number")
    return metrics


def _number(value: Any) -> float | None:
    """A number, also from text as NumPy shows it or with a decimal comma; None where none was written, else NaN."""
    if value is None or (isinstance(value, str) and value.strip() in _NOT_WRITTEN):
        return None
    if isinstance(value, str):
        shown = _NUMPY.fullmatch(value.strip())
        try:
            value = float((shown[1] if shown else value).replace(",", "."))
        except ValueError:
            return math.nan
    found = number(value)
    return found if found is not None else math.nan


def _first(training: Training, patterns: Sequence[str]) -> str | None:
    for pattern in patterns:
        for name, values in training.metrics.items():
            if re.fullmatch(pattern, name) and any(value is not None for value in values):
                return name
    return None


def _value(text: str) -> Any:
    words = {"true": True, "false": False}
    if text.lower() in words:
        return words[text.lower()]
    for kind in (int, float):
        try:
            found = kind(text)
        except ValueError:
            continue
        return found if number(found) is not None else text
    return text


def _feed(digest: Any, path: Path) -> None:
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
