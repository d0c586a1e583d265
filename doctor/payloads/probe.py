"""The probe's own part: join what the bundled collectors found into one snapshot document.

Stdlib-only, CPython 3.6 and later; imports nothing of doctor. `doctor.collect.bundle` puts it and the collectors into
one file, which hands the collectors in as modules.
"""

import json
import os
import sys
import time

TYPE_CHECKING = False  # typing itself need not be imported on the node
if TYPE_CHECKING:
    from typing import Any, Callable, Dict

    Facts = Dict[str, Any]

NVML_SECONDS = 5.0


def snapshot(software: "Any", machine: "Any", nvml: "Any", engine: "Any") -> "Facts":
    """The kdoctor/snapshot document of this node; a collector that fails is a missing section with its reason."""
    found_machine = _guarded(
        "machine", lambda: machine.collect(environ=os.environ, nvml=lambda: nvml.ask_in_child(NVML_SECONDS))
    )
    if "in_container" in found_machine:
        _join_engine(found_machine, engine)
    found_software = _guarded("software", lambda: _software(software))
    section = found_machine["machine"]
    name = section.get("name")
    return {
        "kind": "kdoctor/snapshot",
        "schema": 1,
        "subject": {"kind": "host", "name": name if isinstance(name, str) else "host", "collected": "remote"},
        "collected_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": section,
        "software": found_software["software"],
        "partial": sorted(set(found_machine.get("partial", [])) | set(found_software.get("partial", []))),
        "derived": sorted(found_software.get("derived", [])),
        "gaps": found_machine.get("gaps", []) + found_software.get("gaps", []),
    }


def _software(software: "Any") -> "Facts":
    run = software.run_facts()
    files = software.HostFileSystem("/")
    return dict(
        software.collect(
            files,
            run["executable"],
            dict(os.environ),
            arch=run["architecture"],
            run=run,
            cpu_flags=software.processor_flags(files),
        )
    )


def _join_engine(found: "Facts", engine: "Any") -> None:
    """The engine beside what the files say of its NVIDIA toolkit; in a container its absence proves nothing."""
    told = engine.ask(os.environ)
    if told.get("present") is False and found["in_container"]:
        told = {"missing": "a container does not show the engine of its host"}
    of_files = found["machine"].get("engine", {})
    if "missing" in told:
        found["gaps"].append({"path": "machine.engine", "why": told["missing"]})
        told = dict.fromkeys(("name", "version", "runtimes", "default_runtime", "cdi_devices"), told)
    told.update(of_files)
    found["machine"]["engine"] = told


def _guarded(section: str, question: "Callable[[], Facts]") -> "Facts":
    try:
        return question()
    except Exception as error:  # whatever a node does to us, the answer stays one document
        why = "the collector failed: %s: %s" % (type(error).__name__, str(error)[:300])
        return {section: {"missing": why}, "gaps": [{"path": section, "why": why}]}


def main(software: "Any", machine: "Any", nvml: "Any", engine: "Any") -> int:
    """Write the document to stdout as ASCII JSON, and nothing else."""
    text = json.dumps(snapshot(software, machine, nvml, engine), ensure_ascii=True)
    sys.stdout.buffer.write(text.encode("ascii") + b"\n")
    sys.stdout.buffer.flush()
    return 0
