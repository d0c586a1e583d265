"""The compatibility tables themselves: older than what is judged."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.model.facts import applies, known
from doctor.rule import Case, Finding, Severity, rule

from . import requirements as reqs
from .proof import evidence
from .tables.cuda import branch_of, toolkits
from .tables.gpus import architectures
from .tables.packages import keras_releases
from .tables.tensorflow import is_newer_than_table, newest_release
from .tables.versions import major, numbers
from .tables.versions import version as version_of


@rule("KD903", "tables-outdated", Severity.WARNING)
def tables_outdated(case: Case) -> Iterator[Finding]:
    """The compatibility tables are older than what is judged.

    A TensorFlow, Keras, CUDA, driver or GPU that is newer than the newest row of the tables is judged by what the
    snapshot itself tells (build information, METADATA) and otherwise not at all.

    ## Why is this bad?
    Rules that rest on the tables are silent or skipped for it: their silence is no verdict.

    ## How to fix
    Update kdoctor.

    ## References
    The `tables` entry of the report names the day on which the tables were read.
    """
    rows = [
        row for row in (_tensorflow(case), _keras(case), _cuda(case), _driver(case), *_gpus(case)) if row is not None
    ]
    told = (
        reqs.tensorflow_version(case)
        or known(case.machine.driver.version)
        or known(case.software.cuda.toolkits)
        or known(case.machine.gpus)
    )
    applies(bool(rows or told), "nothing that the tables speak of")
    for what, newest, fact in rows:
        yield Finding(
            f"{what} is newer than kdoctor's tables, which end at {newest}",
            effect="rules that rest on the tables cannot judge it",
            fix="pip install -U keras-doctor",
            verify="kdoctor --version",
            evidence=evidence(case, fact),
            likely=0.1,
            thing=fact,
        )


Row = tuple[str, str, str]


def _tensorflow(case: Case) -> Row | None:
    text = reqs.tensorflow_version(case)
    if text is None or not is_newer_than_table(text):
        return None
    return f"TensorFlow {text}", newest_release().version, "software.tensorflow.version"


def _keras(case: Case) -> Row | None:
    package = case.package("keras")
    have = version_of((known(package.version) if package else None) or known(case.software.keras.version))
    newest = version_of(keras_releases()[-1].version)
    if have is None or newest is None or have.release[:2] <= newest.release[:2]:
        return None
    return f"Keras {have}", str(newest), "software.keras.version"


def _cuda(case: Case) -> Row | None:
    newest = max((t.version for t in toolkits()), key=numbers)
    for index, toolkit in enumerate(known(case.software.cuda.toolkits) or ()):
        have = known(toolkit.version)
        if have and numbers(have)[:2] > numbers(newest)[:2]:
            return f"CUDA {have}", newest, f"software.cuda.toolkits.{index}"
    return None


def _driver(case: Case) -> Row | None:
    have = known(case.machine.driver.version)
    number = major(have) if have else None
    newest = max((n for t in toolkits() if (n := major((t.branch or "R0")[1:])) is not None), default=0)
    if have is None or number is None or number <= newest or branch_of(have) is not None:
        return None
    return f"NVIDIA driver {have}", str(newest), "machine.driver.version"


def _gpus(case: Case) -> Iterator[Row]:
    newest = max((a.compute_capability for a in architectures()), key=numbers)
    for index, gpu in enumerate(known(case.machine.gpus) or ()):
        have = known(gpu.compute_capability)
        if have and numbers(have) > numbers(newest):
            yield f"compute capability {have}", newest, f"machine.gpus.{index}"
            return
