"""Time kdoctor's ways of looking into an image beside what anybody would have to do anyway, in one run.

    python benchmarks/images.py IMAGE --archive SAVED.tar [--layout OCI_FOLDER] [--registry NAME] [--trivy TRIVY]

IMAGE is in the engine that DOCKER_HOST names, SAVED.tar is `docker save IMAGE`, OCI_FOLDER a layout with compressed
layers (`skopeo copy docker-archive:SAVED.tar oci:FOLDER:x`). Wall time in seconds (median of the runs) and peak
resident memory in MiB, each beside its yardstick: trivy or reading the archive once, the engine's export, a
container's start, gzip. Nothing is taken from kdoctor's caches but in the two lines that say so.
"""

from __future__ import annotations

import argparse
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KNOWN_LAYERS = "image: layers known"
# the way for engines whose layer folders cannot be read, as it is for everybody who is not root on the same machine
EXPORT = """
import sys
from dataclasses import replace
from doctor.io.containers import Containers
from doctor.targets import image
found = replace(image.find(sys.argv[1], None, "never", Containers(), None), folders=None)
print(len(image.read(found, lambda more: None).facts["packages"]))
"""


def measure(command: list[str], runs: int, env: dict[str, str]) -> tuple[float, float]:
    """Median wall time in seconds and peak memory in MiB of a command that must succeed."""
    times, peak = [], 0.0
    for _ in range(runs):
        started = time.perf_counter()
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=env)
        assert child.stderr is not None
        said = child.stderr.read()
        _, status, usage = os.wait4(child.pid, 0)
        if status != 0:
            sys.exit(f"{shlex.join(command)}: {said.decode(errors='replace')[-300:]}")
        times.append(time.perf_counter() - started)
        peak = max(peak, usage.ru_maxrss / 1024)
    return statistics.median(times), peak


def is_gzip(path: Path) -> bool:
    """Whether a blob is a packed layer."""
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def rows(args: argparse.Namespace, folder: str) -> list[tuple[str, list[str], str | None]]:
    """(name, command, name of the yardstick) in the order in which they are run."""
    snapshot = [sys.executable, "-m", "doctor", "snapshot", "--no-cache"]
    cached = [sys.executable, "-m", "doctor", "snapshot"]
    start = ["docker", "run", "--rm", "--network", "none", "--entrypoint", "true", args.image]
    export = f"id=$(docker create {args.image} true) && docker export $id >/dev/null; docker rm $id >/dev/null"
    found: list[tuple[str, list[str], str | None]] = [
        ("docker run true", start, None),
        ("docker export", ["sh", "-c", export], None),
        ("docker save", ["docker", "save", "-o", f"{folder}/saved.tar", args.image], None),
        ("image: layer folders", [*snapshot, f"image:{args.image}"], "docker export"),
        ("image: engine's export", [sys.executable, "-c", EXPORT, args.image], "docker export"),
        ("image: --run", [*snapshot, f"image:{args.image}", "--run"], "docker run true"),
        ("image: cached", [*cached, f"image:{args.image}"], None),
    ]
    if args.archive:
        yardstick = "cat archive"
        found.append((yardstick, ["cat", str(args.archive)], None))
        if args.trivy:
            yardstick = "trivy"
            command = [args.trivy, "image", "--input", str(args.archive), "--format", "cyclonedx", "--offline-scan"]
            found.append((yardstick, [*command, "--cache-dir", f"{folder}/trivy", "--quiet"], None))
        found.append(("archive: docker save", [*snapshot, f"archive:{args.archive}"], yardstick))
    if args.layout:
        blobs = [str(path) for path in (args.layout / "blobs/sha256").iterdir() if is_gzip(path)]
        found.append(("gzip -dc layers", ["sh", "-c", f"gzip -dc {shlex.join(blobs)} >/dev/null"], None))
        found.append(("archive: OCI layout", [*snapshot, f"archive:{args.layout}"], "gzip -dc layers"))
    if args.registry:
        yardstick = "gzip -dc layers" if args.layout else None
        found.append(("image: registry", [*snapshot, f"image:{args.registry}"], yardstick))
        # as for another image on the same base: its layers are known, what was concluded from them is not
        forget = 'rm -rf "$XDG_CACHE_HOME/kdoctor/images"'
        again = shlex.join([*cached, f"image:{args.registry}"])
        found.append((KNOWN_LAYERS, ["sh", "-c", f"{forget}; {again}"], "image: registry"))
    return found


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image", help="in the engine, by tag")
    parser.add_argument("--archive", type=Path, help="docker save of it")
    parser.add_argument("--layout", type=Path, help="an OCI layout with it, in a folder")
    parser.add_argument("--registry", help="its name in a registry; the engine must not have that name")
    parser.add_argument("--trivy", help="the trivy program")
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    results: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": f"{folder}/cache"}
        for name, command, yardstick in rows(args, folder):
            if name in ("image: cached", KNOWN_LAYERS):
                measure(command, 1, env)
            seconds, mib = measure(command, args.runs, env)
            results[name] = seconds
            beside = f"  {seconds / results[yardstick]:6.2f} x {yardstick}" if yardstick else ""
            print(f"{name:<26} {seconds:8.2f} s  {mib:6.0f} MiB{beside}", flush=True)


if __name__ == "__main__":
    main()
