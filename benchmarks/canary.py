"""Times the canary: its parts, its seeds against plain `fit` one by one, the record's size, comparing two records.

    python benchmarks/canary.py PYTHON [--repeats N]

PYTHON is an interpreter with TensorFlow. Each figure is the median of N runs (default 3); run it on an idle machine.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from doctor.canary.record import Record
from doctor.canary.record_file import encode_record, parse_record
from doctor.canary.start import payload_source, run_canary
from doctor.canary.verdict import compare_records

PARTS = ("data", "probes", "stages", "reference", "draws", "seeds", "environment")

# The canary's own data and model, trained as a user would: compile and fit, one seed after the other.
PLAIN_FIT = """
import time
arguments = dict(DEFAULTS)
framework = Framework(arguments, {})
data = Data()
def train(seed):
    framework.seed(seed)
    model = framework.model()
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    for epoch in range(EPOCHS):
        order = data.order[epoch]
        model.fit(data.train_x[order], data.train_y[order], batch_size=BATCH, shuffle=False, verbose=0)
start = time.perf_counter()
for seed in (1, 2):
    train(seed)
print("seconds", (time.perf_counter() - start) / 2)
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("python")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    walls, records = zip(*(timed(given.python) for _ in range(given.repeats)), strict=True)
    first = records[0]
    environment = first.environment
    print(f"TensorFlow {environment.tensorflow}, Keras {environment.keras}, {environment.cpu.model}")
    print(f"  whole start        {statistics.median(walls):6.2f} s")
    for name in ("numpy", "tensorflow", "keras"):
        print(f"  import {name:11} {median([r.timings['import'][name] for r in records]):6.2f} s")
    for name in PARTS:
        print(f"  {name:18} {median([r.timings[name] for r in records]):6.3f} s")
    beyond = median([r.timings["beyond_import"] for r in records])
    print(f"  beyond import      {beyond:6.2f} s   (promised: 2.2 s)")
    cpu = median([r.timings["beyond_import_cpu"] for r in records])
    print(f"  ... as CPU time    {cpu:6.2f} s   (what other load on the machine changes least)")
    thorough = run_canary(given.python, thorough=True)
    print(f"  --thorough         {thorough.timings['beyond_import']:6.2f} s   (promised: 10 s)")
    print(f"  ... as CPU time    {thorough.timings['beyond_import_cpu']:6.2f} s")
    print(f"  peak memory        {max(r.document['peak_memory_bytes'] for r in (*records, thorough)) / 1e6:6.0f} MB")
    print(f"  record             {len(encode_record(first)) / 1000:6.0f} kB  (promised: 250 kB)")
    print(f"  compare            {compared(first):6.3f} s   (promised: 0.3 s)")
    fit, seeds = plain_fit(given.python), median([r.timings["seeds"] for r in records]) / len(first.seeds)
    print(f"  one seed           {seeds:6.3f} s stacked, {fit:.2f} s by fit: {fit / seeds:.0f} times faster")


def timed(python: str) -> tuple[float, Record]:
    """One run with its wall time."""
    start = time.perf_counter()
    record = run_canary(python)
    return time.perf_counter() - start, record


def compared(record: Record) -> float:
    """Seconds to read two records and compare them."""
    data = encode_record(record)
    start = time.perf_counter()
    compare_records(parse_record(data, "a"), parse_record(data, "b"))
    return time.perf_counter() - start


def plain_fit(python: str) -> float:
    """Seconds a seed takes by `fit`, the first two seeds in one process."""
    body = payload_source().partition('if __name__ == "__main__":')[0] + PLAIN_FIT
    run = subprocess.run([python, "-B", "-"], input=body, capture_output=True, text=True, check=True)
    return float(run.stdout.rpartition("seconds")[2])


def median(values: list[float]) -> float:
    """The median of a few figures."""
    return statistics.median(values)


if __name__ == "__main__":
    main()
