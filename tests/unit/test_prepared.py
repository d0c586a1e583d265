"""Types may be decoded for the first time by several threads at once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

FIRST_USE = """
import sys, threading
from doctor.model.wire import decode_snapshot

sys.setswitchinterval(1e-6)  # a thread is interrupted as often as can be
together = threading.Barrier(8)
done = []

def work():
    together.wait()
    raw = {"subject": {"kind": "interpreter", "name": "x"}, "machine": {"driver": {"present": True}}}
    done.append(decode_snapshot(raw).machine.driver.present)

threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
sys.exit(done != [True] * 8)
"""


def test_eight_threads_may_decode_their_first_snapshot_at_once() -> None:
    """No process of six dies; without the lock two of three ended in SIGSEGV inside msgspec."""
    words = [sys.executable, "-c", FIRST_USE]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    ends = [subprocess.run(words, env=env, capture_output=True, check=False).returncode for _ in range(6)]
    assert ends == [0] * 6
