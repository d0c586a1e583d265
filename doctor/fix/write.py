"""Planned edits into the files: each file whole or not at all."""

from __future__ import annotations

from pathlib import Path

from doctor.errors import DoctorError
from doctor.fix.text import Text, refusal
from doctor.pin import changes
from doctor.pin.files import File


def write(folder: Path, file: Text, text: str) -> str | None:
    """Put ``text`` in place of the file; why not, where that is refused.

    Refused are files that were changed since they were read, that may not be written to, or that have become links.
    """
    if unsafe := refusal(folder, file.path):
        return unsafe
    try:
        changes.write(File(file.path, file.place, "", file.text), text)
    except DoctorError as error:
        return str(error)
    return None
