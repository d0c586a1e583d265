"""Many at once, and killed at any moment: nothing that was recorded is lost, and the history stays whole."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from doctor.store.opening import open_store
from doctor.store.place import Place
from doctor.store.reading import Filter, list_runs, load_run
from doctor.store.upkeep import check, counts

ROOT = Path(__file__).resolve().parents[2]

WRITER = r"""
import faulthandler, os, sys, threading
faulthandler.enable()
from pathlib import Path
from doctor.store.opening import open_store
from doctor.store.place import Place
from doctor.store.entry import Metric
from doctor.store.writing import write_entries
from tests.store import runs

path, url, name, threads, each = sys.argv[1:]
place = Place(path=Path(path)) if path else Place(url=url)
failed = []

def work(number):
    try:
        with open_store(place) as store:
            for run in range(int(each)):
                metrics = tuple(Metric(epoch, "loss", run / 10) for epoch in range(1, 4))
                environment = runs.environment(numpy=f"1.{run % 5}.0")
                model = f"{name}-{number}-{run}"
                entry = runs.training_entry(run, 0.9, model=model, environment=environment, metrics=metrics)
                write_entries(store, [entry])
                os.write(1, (entry.model + "\n").encode())
    except BaseException as error:
        failed.append(repr(error))

workers = [threading.Thread(target=work, args=(n,)) for n in range(int(threads))]
for worker in workers: worker.start()
for worker in workers: worker.join()
sys.exit("; ".join(failed[:3]) if failed else 0)
"""


def writer(place: Place, name: str, threads: int, each: int) -> subprocess.Popen[str]:
    """A process that records with so many threads, and prints each run that it has recorded."""
    words = [str(place.path or ""), place.url or "", name, str(threads), str(each)]
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, *words],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_thousand_runs_by_two_processes_of_eight_threads_lose_none(place: Place) -> None:
    """Also the first use, which makes the tables, is raced for; equal environments are kept once."""
    processes = [writer(place, name, 8, count) for name, count in (("a", 63), ("b", 62))]
    for process in processes:
        _, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors[-2000:]
    wanted = {f"{n}-{t}-{run}" for n, each in (("a", 63), ("b", 62)) for t in range(8) for run in range(each)}
    with open_store(place) as store:
        rows = list_runs(store, Filter())
        assert len(rows) == len(wanted) == 1000
        assert {row["model"] for row in rows} == wanted
        assert counts(store)["environments"] == 5
        assert check(store) == []


@pytest.mark.parametrize("seed", range(4))
def test_a_kill_at_any_moment_leaves_a_whole_history(place: Place, seed: int) -> None:
    """Every run that was reported as recorded is there, with all its metrics; a new one can be added at once."""
    process = writer(place, "k", 4, 1000)
    assert process.stdout is not None
    first = process.stdout.readline()
    time.sleep(random.Random(seed).uniform(0.0, 0.6))
    process.send_signal(signal.SIGKILL)
    told = {first.strip(), *process.stdout.read().splitlines()}
    process.wait(20)
    assert process.stderr is not None
    process.stdout.close()
    process.stderr.close()
    with open_store(place) as store:
        rows = list_runs(store, Filter())
        assert told <= {row["model"] for row in rows}
        assert all(len(load_run(store, row["id"])["epochs"]) == 3 for row in rows)
        assert check(store) == []
    again = writer(place, "again", 1, 1)
    again.communicate(timeout=60)
    assert again.returncode == 0


def test_a_kill_before_the_tables_are_made_is_no_harm(tmp_path: Path) -> None:
    """Killed again and again while it starts: the next one makes a whole history."""
    place = Place(path=tmp_path / "history.db")
    for wait in (0.35, 0.5, 0.65, 0.8):
        process = writer(place, "k", 1, 1000)
        time.sleep(wait)
        process.kill()
        process.communicate()
    last = writer(place, "last", 1, 1)
    last.communicate(timeout=60)
    assert last.returncode == 0
    with open_store(place) as store:
        assert "last-0-0" in {row["model"] for row in list_runs(store, Filter())}
        assert check(store) == []
