"""Writers take turns: first come, first served in one process, and nobody waits for ever."""

from __future__ import annotations

import multiprocessing
import sqlite3
import threading
import time
from pathlib import Path

import pytest

from doctor.store import sqlite_file
from doctor.store.opening import open_store
from doctor.store.place import Place, StoreError
from doctor.store.turns import Queue, queue_for
from doctor.store.writing import write_entries
from tests.store import runs


def test_turns_come_in_the_order_of_asking() -> None:
    """Six threads ask one after the other while a seventh writes: they are served in that order."""
    queue, served = Queue(), []

    def ask(number: int) -> None:
        with queue.turn(20) as waited:
            served.append((number, waited))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    with queue.turn(1) as waited:
        assert not waited
        for number, thread in enumerate(threads):
            thread.start()
            while len(queue._waiting) < number + 2:
                time.sleep(0.001)
    for thread in threads:
        thread.join(20)
    assert served == [(number, True) for number in range(6)]


def test_who_gives_up_leaves_the_queue() -> None:
    """The next one's turn still comes."""
    queue = Queue()
    gave_up = []

    def ask() -> None:
        try:
            with queue.turn(0.01):
                pass
        except sqlite3.OperationalError:
            gave_up.append(True)

    with queue.turn(1):
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join(20)
    assert gave_up == [True]
    with queue.turn(1) as waited:
        assert not waited


def test_a_child_does_not_wait_for_threads_that_it_does_not_have(tmp_path: Path) -> None:
    """Forked while a thread of the parent has its turn, a child records without waiting for that."""
    place = Place(path=tmp_path / "history.db")
    with open_store(place):
        pass

    def record() -> None:
        with open_store(place) as store:
            write_entries(store, [runs.training_entry(0, 0.9)])

    with queue_for(tmp_path / "history.db").turn(1):
        child = multiprocessing.get_context("fork").Process(target=record)
        child.start()
        child.join(10)
        ended = child.exitcode
        child.kill()
    assert ended == 0


def test_a_file_that_another_process_holds_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the patience, in clear words; nothing was recorded, and a later run is."""
    place = Place(path=tmp_path / "history.db")
    monkeypatch.setattr(sqlite_file, "BUSY_SECONDS", 0.2)
    with open_store(place) as store:
        other = sqlite3.connect(tmp_path / "history.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="held by another process"):
            write_entries(store, [runs.training_entry(0, 0.9)])
        other.execute("ROLLBACK")
        other.close()
        assert write_entries(store, [runs.training_entry(0, 0.9)]) == [1]
