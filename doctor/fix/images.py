"""Images: the digest of a use, placed by ``doctor.pin``."""

from __future__ import annotations

from collections.abc import Mapping

from doctor.errors import UsageError
from doctor.fix.text import Placed, Text, single_edit
from doctor.model.report import Change, Location
from doctor.pin.files import find, uses_in
from doctor.pin.plan import plan


def place(file: Text, change: Change, location: Location, build_args: Mapping[str, str]) -> Placed:
    """The edit that gives the use of an image at this place its digest."""
    try:
        found = find((file.place,), file.place.parent)
    except UsageError as error:
        return str(error)
    if not found.files or found.files[0].text != file.text:
        return found.problems[0].why if found.problems else "changed since it was read"
    one = found.files[0]
    uses = uses_in(one, one.text, build_args)
    meant = {i: change.value for i, use in enumerate(uses.images) if (use.line, use.column) == _place(location)}
    if not meant:
        return "changed since it was read"
    made = plan(one, uses, meant, build_args)
    edits = tuple(single_edit(one.text, made.text))
    return edits or (made.failed[0].text if made.failed else "no place for the digest was found")


def _place(location: Location) -> tuple[int | None, int | None]:
    return location.line, location.column
