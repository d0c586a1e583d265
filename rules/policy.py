"""Rules on the policy itself."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

from doctor.model.facts import applies, need
from doctor.model.report import Evidence, Location
from doctor.rule import Case, Finding, Severity, rule


@rule("KD904", "suppression-expired", Severity.WARNING)
def suppression_expired(case: Case) -> Iterator[Finding]:
    """The date of a suppression has passed: it suppresses nothing any more.

    ## Why is this bad?
    Somebody decided to live with a finding for a while, and the while is over. The finding itself stands again;
    this one names the decision that wants to be taken anew.

    ## Example
    ```dockerfile
    # kdoctor: ignore[KD403] waiting for the new base image (until 2026-01-31)
    FROM tensorflow/tensorflow:2.21.0-gpu
    ```

    ## How to fix
    Mend what was suppressed and take the suppression away, or give it a new date and say why.

    ## How it is judged
    The last day counts as not yet passed. The day is the one on which the snapshot was collected; for suppressions in
    the policy it is today.

    ## References
    The public contract of kdoctor, section 3, suppressions.
    """
    rows = need(case.project.suppressions)
    applies(bool(rows), "nothing is suppressed")
    dated = [row for row in rows if row.get("until") is not None]
    if not dated:
        return
    today = _day(need(case.snapshot.collected_at))
    for row in dated:
        last, codes = _day(row["until"]), ", ".join(str(code) for code in row.get("codes") or ())
        if last is not None and (today is None or last >= today):
            continue
        path, line = row.get("path"), row.get("line")
        until = str(row["until"])
        yield Finding(
            f"the suppression of {codes} ended on {until}"
            if last
            else f"{until!r} is no date: {codes} stays unsuppressed",
            effect=f"{codes} counts again",
            fix="mend what was suppressed, or give the suppression a new date and a reason",
            evidence=(Evidence("project.suppressions", {"codes": codes, "until": until, "reason": row.get("reason")}),),
            location=Location(path, line if isinstance(line, int) else None) if isinstance(path, str) else None,
            thing=codes,
        )


def _day(text: object) -> datetime.date | None:
    try:
        return datetime.date.fromisoformat(str(text)[:10])
    except ValueError:
        return None
