"""A canary run as the lines that open a screen, and its progress as a bar."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from doctor.canary.alone import summary
from doctor.canary.record import Record
from doctor.report.context import Area
from doctor.report.drift import CLASSES, MARKS

# Where each stage begins in the run, in percent of its time (2.15.1 on one core); the import is most of it.
_BEGINS = {
    "import": 0,
    "data": 72,
    "probes": 72,
    "stages": 76,
    "reference": 87,
    "seeds": 88,
    "thorough": 96,
    "done": 100,
}


def areas(record: Record, repeats: Sequence[Record], drift: dict[str, Any] | None, against: str | None) -> list[Area]:
    """The head of a canary's screen: the run, its accuracy, its hashes, and what it was compared with."""
    told = summary(record, repeats)
    environment = record.environment
    versions = f"TensorFlow {environment.tensorflow}, Keras {environment.keras}, NumPy {environment.numpy}"
    seconds = told["seconds"] or 0.0
    beyond = told["seconds_beyond_import"] or 0.0
    how = f"{told['seeds']} seeds x {told['epochs']} epochs on {told['device']}, op determinism {_determinism(told)}"
    lines = [
        Area("ok", "Environment", versions),
        Area("ok", "Run", f"{how}; {seconds:.1f} s, of which {beyond:.1f} s beyond the import"),
    ]
    if repeats:
        distinct = len({one.seeds[0].final_sha256 for one in (record, *repeats)})
        mark, text = ("ok", "all identical") if distinct == 1 else ("warning", f"{distinct} different results")
        lines.append(Area(mark, "Repeats", f"{told['runs']} runs, {text}"))
    mark = "error" if record.non_finite else "ok"
    accuracy = f"{told['accuracy']:.4f}, standard deviation {told['accuracy_sd']:.4f} between seeds"
    lines.append(Area(mark, "Accuracy", accuracy + ("; the loss is not a number" if record.non_finite else "")))
    hashes = f"seed 1 {told['final_sha256'][:16]}, pinned weights {told['pinned_sha256'][:16]}"
    lines.append(Area("ok", "Hashes", hashes))
    lines += _compared(drift, against)
    return lines


def _compared(drift: dict[str, Any] | None, against: str | None) -> list[Area]:
    if drift is None:
        return [Area("none", "Against", "nothing: --against record.json")]
    text = CLASSES.get(drift["class"], drift["class"])
    accuracy = drift["accuracy"]
    label = "" if accuracy is None else f"; accuracy: {accuracy['label']}"
    marks = [MARKS.get(name, "error") for name in (drift["class"], (accuracy or {}).get("label", "equivalent"))]
    mark = max(marks, key=("ok", "warning", "error").index)
    return [Area(mark, "Against", f"{against}: {text}{label}")]


def _determinism(told: dict[str, Any]) -> str:
    return "off" if told["determinism"] == "off" else "on"


class Bar:
    """A progress bar on stderr with the stage and the seed; silent where stderr is no terminal."""

    def __init__(self, title: str, wanted: bool = True) -> None:
        self.title = title
        self.wanted = wanted and sys.stderr.isatty()
        self._progress: Any = None
        self._task: Any = None

    def __enter__(self) -> Bar:
        """Show the bar."""
        if self.wanted:
            from rich.console import Console  # noqa: PLC0415 -- 60 ms, only for a person who waits
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

            columns = TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn()
            self._progress = Progress(*columns, console=Console(stderr=True), transient=True)
            self._task = self._progress.add_task(self.title, total=100)
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the bar away, whatever happened."""
        if self._progress is not None:
            self._progress.stop()

    def __call__(self, step: dict[str, Any]) -> None:
        """One step as the payload tells it."""
        if self._progress is not None:
            self._progress.update(self._task, completed=percent(step), description=f"{self.title}  {words(step)}")


def percent(step: dict[str, Any]) -> float:
    """How far a run is at this step, as a share of its usual time."""
    stages = list(_BEGINS)
    stage = str(step.get("stage"))
    if stage not in _BEGINS:
        return 0.0
    begin = _BEGINS[stage]
    end = _BEGINS[stages[min(stages.index(stage) + 1, len(stages) - 1)]]
    done, of = step.get("seed", step.get("epoch", 0)), step.get("of")
    share = min(1.0, done / of) if isinstance(of, int) and of > 0 and isinstance(done, int) else 0.0
    return begin + share * (end - begin)


def words(step: dict[str, Any]) -> str:
    """A step as words: `seeds 3 of 16`. What the payload's process says is not trusted."""
    parts = [str(step.get("stage", ""))[:20]]
    if isinstance(step.get("arm"), str):
        parts.append(step["arm"][:10])
    if isinstance(step.get("seed"), int) and isinstance(step.get("of"), int):
        parts.append(f"seed {step['seed']} of {step['of']}")
    elif isinstance(step.get("epoch"), int):
        parts.append(f"epoch {step['epoch']}")
    elif isinstance(step.get("of"), str):
        parts.append(step["of"][:20])
    return "".join(char for char in " ".join(parts) if char.isprintable())
