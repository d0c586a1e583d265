"""Time the history: recording, listing and plotting 10,000 runs.

    python benchmarks/history.py --record CANARY.json [--runs 10000] [--url postgresql://…]

``--record``: a record of ``kdoctor canary -o``; its night is repeated with other dates, every hundredth with another
environment and other accuracies. Prints medians in milliseconds, and exits with 1 where a bar is not met: recording one
canary 50 ms on SQLite, ``history list`` of the newest 50 0.5 s, ``history plot`` of all 3 s.
"""

from __future__ import annotations

import argparse
import datetime
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from doctor.canary.record import Record
from doctor.canary.record_file import decode_record, load_record, sealed
from doctor.canary.runs import snapshot_of
from doctor.store.entry import Entry
from doctor.store.opening import open_store
from doctor.store.place import Place
from doctor.store.recording import canary_fields, record_canary
from doctor.store.writing import write_entries

BARS = {"record": 50.0, "list": 500.0, "plot": 3000.0}
BATCH = 500


def night(record: Record, number: int, runs: int) -> Record:
    """The record of another night; three in a year of them lost or gained accuracy in a changed environment."""
    body = {key: value for key, value in record.document.items() if key != "checksum"}
    moment = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc) + datetime.timedelta(hours=5 * number)
    part = 4 * number // runs
    environment = {**body["environment"], "packages": {**body["environment"]["packages"], "h5py": f"3.{number // 100}"}}
    seeds = [{**seed, "accuracy": seed["accuracy"] - 0.02 * (part % 2)} for seed in body["seeds"]]
    return decode_record(sealed({**body, "created_at": moment.isoformat(), "environment": environment, "seeds": seeds}))


def fill(place: Place, record: Record, runs: int) -> float:
    """Record so many nights; seconds that it took."""
    started = time.perf_counter()
    with open_store(place) as store:
        for begin in range(0, runs, BATCH):
            nights = [night(record, number, runs) for number in range(begin, min(runs, begin + BATCH))]
            write_entries(store, [_entry(one) for one in nights])
    return time.perf_counter() - started


def _entry(record: Record) -> Entry:
    return Entry(
        kind="canary",
        subject="nightly",
        subject_kind="interpreter",
        ran_at=datetime.datetime.fromisoformat(str(record.created_at)),
        environment=snapshot_of(record, "nightly"),
        host="bench",
        **canary_fields(record),
    )


def recording(place: Place, record: Record, times: int) -> float:
    """Median milliseconds of recording one canary run: opening the history, one transaction, closing it."""
    taken = []
    for number in range(times):
        one = night(record, number, times)
        snapshot = snapshot_of(one, "nightly")
        started = time.perf_counter()
        record_canary(place, one, snapshot)
        taken.append((time.perf_counter() - started) * 1000)
    return statistics.median(taken)


def command(place: Place, times: int, *words: str) -> float:
    """Median milliseconds of a whole command, the interpreter's start included."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    env = {**kept, "KDOCTOR_HISTORY": str(place.path)} if place.path else {**kept, "KDOCTOR_DB_URL": _url(place)}
    whole = [sys.executable, "-m", "doctor", "history", *words]
    taken = []
    for run in range(times + 1):
        started = time.perf_counter()
        subprocess.run(whole, env=env, check=True, stdout=subprocess.DEVNULL)
        if run:  # the first one writes compiled files, once in an installation's life
            taken.append((time.perf_counter() - started) * 1000)
    return statistics.median(taken)


def _url(place: Place) -> str:
    return str(place.url).replace("+psycopg", "")


def main() -> None:
    """Measure, print, and compare with the bars."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--url", help="a PostgreSQL database of its own, instead of SQLite")
    parser.add_argument("--times", type=int, default=5)
    asked = parser.parse_args()
    record = load_record(asked.record)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "history.db"
        place = (
            Place(url=asked.url.replace("postgresql://", "postgresql+psycopg://")) if asked.url else Place(path=path)
        )
        seconds = fill(place, record, asked.runs)
        told = {
            "record": recording(place, record, 20),
            "list": command(place, asked.times, "list", "--limit", "50"),
            "plot": command(place, asked.times, "plot", "-o", str(Path(folder) / "plot.svg")),
        }
        size = path.stat().st_size / 2**20 if path.exists() else 0.0
    print(f"{asked.runs} runs in {seconds:.1f} s" + (f", {size:.1f} MiB" if size else ""))
    for name, milliseconds in told.items():
        print(f"{name:8}{milliseconds:9.1f} ms   bar {BARS[name]:.0f} ms")
    sys.exit(1 if any(told[name] > bar for name, bar in BARS.items()) else 0)


if __name__ == "__main__":
    main()
