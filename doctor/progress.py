"""What takes longer than a second shows a bar on stderr; what is no terminal sees nothing."""

from __future__ import annotations

import sys
import threading
from types import TracebackType
from typing import Any

PATIENCE = 1.0  # seconds


class Progress:
    """A bar of bytes that appears after a second: ``with Progress("reading app:1") as tell: tell(4096)``.

    ``total`` in bytes, None where it is not known; ``counted``: without, only the time is told. Calling it is safe from
    several threads.
    """

    def __init__(self, title: str, total: int | None = None, wanted: bool = True, *, counted: bool = True) -> None:
        self.title = title
        self.total = total
        self.counted = counted
        self.wanted = wanted and sys.stderr.isatty()
        self._done = 0
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Progress:
        """Begin to wait for the second to pass."""
        if self.wanted:
            self._thread = threading.Thread(target=self._show, daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the bar away."""
        self._over.set()
        if self._thread is not None:
            self._thread.join(PATIENCE)

    def __call__(self, more: int) -> None:
        """So many more bytes are done."""
        with self._lock:
            self._done += more

    def _show(self) -> None:
        if self._over.wait(PATIENCE):
            return
        from rich.console import Console  # noqa: PLC0415 -- 60 ms, only for a person who waits
        from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415
        from rich.progress import Progress as Bar  # noqa: PLC0415

        columns: tuple[Any, ...] = (TextColumn("{task.description}", markup=False), BarColumn())
        columns += (DownloadColumn(),) if self.counted else ()
        with Bar(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(self.title, total=self.total)
            while not self._over.wait(0.2):
                bar.update(task, completed=self._done)
