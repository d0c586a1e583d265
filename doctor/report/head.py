"""The head of a screen: one line an area, out of the facts of a case and what the rules said of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from doctor.case import Case
from doctor.model.facts import Missing, known
from doctor.model.report import Finding, Report, Severity, Skip
from doctor.report.context import Area

NOT_LOOKED = "not looked at"

# Which area a rule speaks of: the longest prefix of its code decides.
_AREA_OF = {
    "KD1": "GPU",
    "KD101": "Driver",
    "KD102": "Driver",
    "KD103": "Driver",
    "KD105": "Driver",
    "KD108": "Driver",
    "KD110": "TensorFlow",
    "KD111": "Driver",
    "KD2": "CUDA",
    "KD3": "Python",
    "KD301": "TensorFlow",
    "KD302": "TensorFlow",
    "KD303": "TensorFlow",
    "KD307": "Keras",
    "KD308": "TensorFlow",
    "KD310": "TensorFlow",
    "KD4": "Images",
    "KD409": "TensorFlow",
    "KD5": "GPU",
    "KD502": "CUDA",
    "KD503": "CUDA",
    "KD6": "Python",
    "KD7": "Determinism",
    "KD8": "Canary",
    "KD809": "TensorFlow",
}


def of_report(case: Case, report: Report, canary: str | None = None) -> list[Area]:
    """The areas of the only case of a report. Where no rule of an area was chosen, it is "none", whatever is known."""
    rows = (report.findings, report.skipped, report.inapplicable, report.passed, report.suppressed)
    asked = {area_of(row.code) for some in rows for row in some}
    return [
        msgspec.structs.replace(area, mark="none") if area.mark == "ok" and area.name not in asked else area
        for area in areas(case, report.findings, report.skipped, canary)
    ]


def areas(case: Case, findings: Sequence[Finding], skipped: Sequence[Skip], canary: str | None = None) -> list[Area]:
    """The areas of one case, in the order in which one depends on the other.

    The mark is that of the gravest finding in the area; an area of which no fact is known is "none", and one with
    rules that could not be judged says how many. ``canary``: what a canary run said, where there was one.
    """
    return [
        _area(name, fact(case, findings), findings, skipped)
        for name, fact in (
            ("Driver", _driver),
            ("GPU", _gpu),
            ("TensorFlow", _tensorflow),
            ("Keras", _keras),
            ("Python", _python),
            ("CUDA", _cuda),
            ("Images", _images),
            ("Determinism", _determinism),
            ("Canary", lambda _case, _findings: _none("not run: kdoctor canary") if canary is None else (True, canary)),
        )
    ]


Said = tuple[bool, str]
_NO_IMAGES = ("stage", "scratch")  # another stage of the same file, and nothing at all: neither could have a digest


def _area(name: str, said: Said, findings: Iterable[Finding], skipped: Iterable[Skip]) -> Area:
    looked, text = said
    mine = [f.severity or Severity.INFO for f in findings if area_of(f.code) == name or _stops(name, f)]
    skips = sum(area_of(skip.code) == name for skip in skipped)
    if mine:
        worst = max(mine, key=lambda severity: severity.weight)
        return Area(worst.value, name, text if looked else "1 finding" if len(mine) == 1 else f"{len(mine)} findings")
    if skips and looked:
        text += f"; {skips} {'rule' if skips == 1 else 'rules'} skipped"
    return Area("ok" if looked else "none", name, text)


def _stops(name: str, finding: Finding) -> bool:
    """Whether a finding of another area keeps this one from working: TensorFlow without its CUDA libraries."""
    return name == "TensorFlow" and finding.code.startswith("KD20") and finding.severity is Severity.ERROR


def area_of(code: str) -> str:
    """The area that a rule speaks of; empty where none (rules on the run itself)."""
    for end in range(len(code), 2, -1):
        if code[:end] in _AREA_OF:
            return _AREA_OF[code[:end]]
    return ""


def _none(text: str) -> Said:
    return False, text


def _why(fact: Missing) -> Said:
    return _none(NOT_LOOKED if fact.why == "not known" else fact.why)


def _driver(case: Case, _findings: Sequence[Finding]) -> Said:
    driver = case.machine.driver
    version, error = known(driver.version), known(driver.error)
    if version is None:
        if known(driver.present) is False:
            return _no_driver(case)
        if error:
            return True, f"NVIDIA, version not known: {error}"
        return (True, "NVIDIA, version not known") if known(driver.present) else _why_of(driver.present, driver.version)
    cuda = known(driver.cuda_version)
    return True, f"NVIDIA {version}" + (f", up to CUDA {cuda}" if cuda else "") + (f"; {error}" if error else "")


def _no_driver(case: Case) -> Said:
    hardware = known(case.machine.pci_gpus)
    if hardware == ():
        return _none("no NVIDIA driver, and no NVIDIA hardware")
    return True, "no NVIDIA driver is loaded"


def _why_of(*facts: object) -> Said:
    """The first reason that is more than "not known"."""
    missing = [fact for fact in facts if isinstance(fact, Missing)]
    return _why(next((fact for fact in missing if fact.why != "not known"), missing[0]))


def _gpu(case: Case, _findings: Sequence[Finding]) -> Said:
    gpus = case.machine.gpus
    if isinstance(gpus, Missing):
        pci = [device for device in known(case.machine.pci_gpus) or () if device.lower().startswith("10de:")]
        return (True, f"{len(pci)} NVIDIA on the PCI bus; {gpus.why}") if pci else _why(gpus)
    if not gpus:
        return _none("no NVIDIA GPU")
    kinds: dict[str, int] = {}
    for gpu in gpus:
        parts = [known(gpu.name) or "GPU"]
        memory, capability = known(gpu.memory_mib), known(gpu.compute_capability)
        if memory:
            parts.append(f"{memory / 1024:.0f} GiB" if memory >= 1024 else f"{memory} MiB")
        if capability:
            parts.append(f"compute capability {capability}")
        if known(gpu.mig):
            parts.append("MIG")
        text = ", ".join(parts)
        kinds[text] = kinds.get(text, 0) + 1
    return True, "; ".join(f"{number} × {text}" for text, number in kinds.items())


def _tensorflow(case: Case, findings: Sequence[Finding]) -> Said:
    facts = case.software.tensorflow
    version = known(facts.version)
    if known(facts.present) is False:
        return _none("not installed")
    if version is None:
        return _why_of(facts.present, facts.version) if not known(facts.present) else (True, "version not known")
    cuda, cudnn = known(facts.cuda_version), known(facts.cudnn_version)
    if known(facts.cuda_build) is False:
        return True, f"{version}, built without CUDA"
    built = " and ".join(part for part in (f"CUDA {cuda}" if cuda else "", f"cuDNN {cudnn}" if cudnn else "") if part)
    text = f"{version} for {built}" if built else version
    lacking = any(_stops("TensorFlow", finding) for finding in findings)
    return True, text + (", which it cannot load" if built and lacking else "")


def _keras(case: Case, _findings: Sequence[Finding]) -> Said:
    facts = case.software.keras
    version = known(facts.version)
    if known(facts.present) is False:
        return _none("not installed")
    if version is None:
        return _why_of(facts.present, facts.version) if not known(facts.present) else (True, "version not known")
    backend = known(facts.backend)
    legacy = ", legacy Keras 2 asked for" if known(facts.legacy) else ""
    return True, version + (f" on {backend}" if backend else "") + legacy


def _python(case: Case, _findings: Sequence[Finding]) -> Said:
    python, packages = case.software.python, case.software.packages
    version = known(python.version)
    if version is None and isinstance(packages, Missing):
        return _why_of(python.version, packages)
    parts = [" ".join(part for part in (version, known(python.environment)) if part)]
    if not isinstance(packages, Missing):
        some = ", list incomplete" if case.is_partial("software.packages") else ""
        parts.append(f"{len(packages)} {'package' if len(packages) == 1 else 'packages'}{some}")
    return True, ", ".join(part for part in parts if part)


def _cuda(case: Case, _findings: Sequence[Finding]) -> Said:
    cuda = case.software.cuda
    toolkits, libraries, cudnn = known(cuda.toolkits), known(cuda.libraries), known(cuda.cudnn_version)
    if toolkits is None and libraries is None and cudnn is None:
        return _why_of(cuda.toolkits, cuda.libraries, cuda.cudnn_version)
    parts = []
    if toolkits:
        parts.append("toolkit " + ", ".join(dict.fromkeys(known(t.version) or "of unknown version" for t in toolkits)))
    if libraries:
        origins: dict[str, int] = {}
        for library in libraries:
            origin = known(library.origin) or "unknown origin"
            origins[origin] = origins.get(origin, 0) + 1
        counted = ", ".join(f"{number} {origin}" for origin, number in origins.items())
        parts.append(f"{len(libraries)} {'library' if len(libraries) == 1 else 'libraries'} ({counted})")
    if isinstance(cudnn, str):
        parts.append(f"cuDNN {cudnn}")
    if not parts and case.is_partial("software.cuda.libraries"):
        return _none("no CUDA library known, list incomplete")
    return (True, ", ".join(parts)) if parts else _none("no CUDA libraries")


def _images(case: Case, findings: Sequence[Finding]) -> Said:
    images = case.project.images
    if isinstance(images, Missing):
        return _why(images)
    images = tuple(row for row in images if row.get("pinned") not in _NO_IMAGES)
    if not images:
        return _none("no image is named in the project")
    codes = ("KD401", "KD402", "KD403")
    loose = sum(finding.code in codes for finding in findings)
    text = f"{len(images)} {'use of an image' if len(images) == 1 else 'uses of images'}"
    return True, text + (f", {loose} without a digest" if loose else "")


def _determinism(case: Case, _findings: Sequence[Finding]) -> Said:
    scripts = case.project.scripts
    if isinstance(scripts, Missing):
        return _why(scripts)
    if not scripts:
        return _none("no training script found")
    trains = [row for row in scripts if row.get("trains") or "trains" not in row]
    if not trains:
        return _none("no script that trains was found")
    names = ", ".join(dict.fromkeys(str(row.get("path")) for row in trains[:2]))
    more = f" and {len(trains) - 2} more" if len(trains) > 2 else ""
    every = [row["facts"] for row in trains if isinstance(row.get("facts"), list)]
    said = {str(fact.get("what")) for facts in every for fact in facts if isinstance(fact, dict)}
    words = (("seed", "seed"), ("determinism", "op determinism"))
    lacking = [word for what, word in words if f"{what}-unset" in said]
    there = [word for what, word in words if f"{what}-set" in said and word not in lacking]
    parts = [f"{' and '.join(there)} set"] if there else []
    if lacking:
        parts.append(f"{' and '.join(lacking)} not set{' everywhere' if len(trains) > 1 else ''}")
    return True, f"{', '.join(parts)} in {names}{more}" if parts else f"looked at {names}{more}"
