"""Keeping what a command did in the history: that this fails is said, and changes no verdict."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from doctor.errors import DoctorError

if TYPE_CHECKING:
    from doctor.settings import Settings
    from doctor.store.place import Place


def keep(settings: Settings, record: Callable[[Place], Sequence[int]]) -> None:
    """Let ``record`` write to the history of these settings, and say which runs it made or why it could not."""
    from doctor.report.sanitize import line

    try:
        from doctor.store.place import check_library, find_place

        check_library()
        place = find_place(settings, os.environ)
        runs = record(place)
    except Exception as error:
        reason = str(error) if isinstance(error, DoctorError) else f"{type(error).__name__}: {error}"
        print("kdoctor: not recorded: " + line(reason, 600), file=sys.stderr)  # noqa: T201
        return
    if settings.quiet:
        return
    if runs:
        said = f"recorded as run {', '.join(map(str, runs))} in {line(place, 300)}"
    else:
        said = "not recorded: nothing could be looked at"
    print(f"kdoctor: {said}", file=sys.stderr)  # noqa: T201
