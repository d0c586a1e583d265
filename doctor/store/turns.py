"""Turns at writing: the threads of one process queue in the order in which they came."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path


class Queue:
    """Who came first goes first; a plain lock goes to whoever happens to run, and one of sixteen may never be that."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[object] = deque()

    @contextlib.contextmanager
    def turn(self, patience: float) -> Iterator[bool]:
        """One's turn, for as long as the block lasts; whether one had to wait for it.

        Raises:
            sqlite3.OperationalError: it did not come within ``patience`` seconds.
        """
        me = object()
        with self._changed:
            self._waiting.append(me)
            queued = len(self._waiting) > 1
        try:
            with self._changed:
                if not self._changed.wait_for(lambda: self._waiting[0] is me, patience):
                    raise sqlite3.OperationalError("database is locked")
            yield queued
        finally:
            with self._changed:
                self._waiting.remove(me)
                self._changed.notify_all()


_QUEUES: dict[Path, Queue] = {}
_LOCK = threading.Lock()
os.register_at_fork(after_in_child=_QUEUES.clear)  # those who wait there are threads that the child does not have


def queue_for(path: Path) -> Queue:
    """The queue of this process at a file."""
    with _LOCK:
        return _QUEUES.setdefault(path.resolve(), Queue())
