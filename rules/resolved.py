"""Log messages whose meaning depends on what they name and on the facts. Nothing here registers a rule."""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec
from packaging.utils import canonicalize_name

from doctor.case import Case
from doctor.model.facts import known
from doctor.model.snapshot import Library

from . import requirements as reqs
from .requested import is_met
from .shared import same_version
from .tables.libraries import library_of_soname, sonames_for_cuda
from .tables.messages import Message, Said
from .tables.versions import major, numbers

_DRIVER = ("KD501", "KD105", "KD101")
_CUDA_WORDS = re.compile(r"cublas|cudnn|cusparse|cusolver|cufft|cudart|nvjitlink|nccl|nvrtc", re.IGNORECASE)
_TENSORFLOW_WORDS = re.compile(
    r"tensorflow|_ZNK?\d+(?:tsl|xla|tensorflow)|_ZNK?3(?:tsl|xla)|_ZNK?4absl|_ops\.so|metal|\bTF_|TfLite", re.IGNORECASE
)
_CONFLICTS = {"keras": "KD307", "numpy": "KD305", "protobuf": "KD306"}
_OPERATIONS = re.compile(r"_ops\.so\b.{0,80}undefined symbol", re.IGNORECASE)
_OF_TENSORFLOW = re.compile(r"_Z\w{0,6}10tensorflow")
_OWN_FILE = re.compile(
    r"(?:_pywrap_tensorflow|libtensorflow)[\w.]*: (?:undefined symbol|symbol not found)", re.IGNORECASE
)
_ADDON_FILE = re.compile(r"tensorflow_(?:text|io|addons|decision_forests|quantum|metal)[\\/]", re.IGNORECASE)
_ADDONS = re.compile(r"^(?:tensorflow|tf)[-_](?!cpu|gpu|intel|macos|keras)")
_TENSORFLOW = re.compile(r"^(?:tensorflow|tf-nightly|intel-tensorflow)(?:-(?:cpu|gpu|intel|macos|cpu-aws))?$")
_TOGETHER = re.compile(r"annot install (?P<rows>.+?) because these package versions have conflicting dependencies")
_NEW_CAPABILITY = (8, 9)


class Meaning(msgspec.Struct, frozen=True):
    """What a message comes to: the rules that it may point to, and what its row says otherwise.

    ``inside``: the message itself shows that the software runs in a container.
    """

    codes: tuple[str, ...]
    stands: int
    thing: str = ""
    words: dict[str, str] = {}
    inside: bool = False


Resolver = Callable[[Case, Said, Message], "Meaning | None"]


def meaning(case: Case, said: Said, row: Message) -> Meaning | None:
    """What a message means in this case; None where it means nothing wrong."""
    if row.resolve is None:
        return Meaning(row.codes, row.stands, row.id)
    return _RESOLVERS[row.resolve](case, said, row)


def _library(case: Case, said: Said, row: Message) -> Meaning | None:
    """A library that could not be loaded: which, and what the facts say of it and of its other versions."""
    name = said.groups.get("lib", "")
    low = name.lower()
    kind = library_of_soname(name)
    if low.startswith(("libcuda.", "nvcuda.", "libnvidia-ml.", "nvml.")):
        return Meaning((*_DRIVER, "KD201"), 0, "libcuda")
    if low.startswith("libtensorflow") or _ADDON_FILE.search(said.line):
        return Meaning(("KD308",), 1, name)
    cudnn = low.startswith(("libcudnn", "cudnn"))
    if kind is None and not cudnn and not low.startswith(("zlibwapi", "libcu", "libnv", "libnccl")):
        return None  # no library of CUDA: whose, nobody knows
    if _is_here(case, name):
        return Meaning(("KD205", "KD206"), 2, name)
    if _other_version(case, name, "cudnn" if cudnn else kind):
        return Meaning(("KD203" if cudnn else "KD202", "KD201", "KD205"), 0, name)
    return Meaning(("KD201", "KD203" if cudnn else "KD202", "KD205", "KD207"), 0, name)


def _libraries(case: Case) -> tuple[Library, ...]:
    return tuple(lib for lib in known(case.software.cuda.libraries) or () if known(lib.origin) != "compat")


def _is_here(case: Case, name: str) -> bool:
    """Whether the library, or a toolkit that brings it, is installed."""
    if any(lib.soname.lower() == name.lower() for lib in _libraries(case)):
        return True
    versions = [known(toolkit.version) for toolkit in known(case.software.cuda.toolkits) or ()]
    brought = [row for version in versions if version for row in sonames_for_cuda(version)]
    return any(name.lower() in (row.soname.lower(), (row.dll or "").lower()) for row in brought)


def _other_version(case: Case, name: str, kind: str | None) -> bool:
    """Whether the same library of another version is installed, or a toolkit that brings none of this name."""
    if kind is not None and any(library_of_soname(lib.soname) == kind for lib in _libraries(case)):
        return True
    if kind == "cudnn":
        told, wanted = known(case.software.cuda.cudnn_version), re.search(r"(?:\.so\.|64_)(\d)", name)
        return isinstance(told, str) and wanted is not None and major(told) != int(wanted[1])
    return kind is not None and bool(known(case.software.cuda.toolkits))


def _cudnn(case: Case, said: Said, row: Message) -> Meaning | None:
    """The cuDNN that is loaded, and the one that TensorFlow was compiled against."""
    loaded, compiled = _dotted(said.groups["loaded"]), _dotted(said.groups["compiled"])
    if not loaded or not compiled or (loaded[0] == compiled[0] and loaded[:2] >= compiled[:2]):
        return None
    codes = row.codes if loaded[0] == compiled[0] else ("KD203", "KD204")
    words = {"loaded": _text(loaded), "compiled": _text(compiled)}
    return Meaning(codes, row.stands, "cudnn", words)


def _dotted(text: str) -> tuple[int, ...]:
    """A version; TensorFlow 1.x wrote 5110 for 5.1.10 and 90100 would be 9.1.0."""
    found = numbers(text)
    if len(found) == 1 and found[0] >= 10000:
        return (found[0] // 10000, found[0] // 100 % 100, found[0] % 100)
    if len(found) == 1 and found[0] >= 1000:
        return (found[0] // 1000, found[0] // 100 % 10, found[0] % 100)
    return found + (0,) * (3 - len(found)) if found else ()


def _text(version: tuple[int, ...]) -> str:
    return ".".join(str(part) for part in version)


def _ptxas(case: Case, said: Said, row: Message) -> Meaning | None:
    """TensorFlow 1.x compared versions of ptxas as texts: 10.0 is not older than 9.2."""
    have, least = said.groups["have"], said.groups["need"]
    if "in range" not in said.line and numbers(have) >= numbers(least):
        return None
    return Meaning(row.codes, row.stands, "ptxas")


def _driver_halves(case: Case, said: Said, row: Message) -> Meaning | None:
    """Kernel module and libcuda: in a container a newer libcuda is the image's own (cuda-compat)."""
    kernel, dso = said.groups["kernel"], said.groups["dso"]
    if same_version(kernel, dso):
        return None
    brought = _container(case) or isinstance(case.software.cuda.compat_driver, str)
    codes = ("KD503", "KD103") if brought and numbers(dso) > numbers(kernel) else row.codes
    return Meaning(codes, row.stands, "driver")


def _kernel_image(case: Case, said: Said, row: Message) -> Meaning | None:
    """No code for this GPU: too new or too old, as its compute capability in the message or the facts tells."""
    told = [known(gpu.compute_capability) for gpu in known(case.machine.gpus) or ()]
    if digits := said.groups.get("have"):  # sm_120 is 12.0
        told = [f"{digits[:-1]}.{digits[-1]}"]
    new = any(numbers(capability) >= _NEW_CAPABILITY for capability in told if capability)
    return Meaning(tuple(sorted(row.codes, reverse=new)), row.stands, "kernel image")


def _distribution(case: Case, said: Said, row: Message) -> Meaning | None:
    """A requirement for which the installer finds nothing: this Python is meant, or the requirement itself."""
    requirement = said.groups.get("requirement", "")
    found = re.match(r"[\w.-]+", requirement)
    name = canonicalize_name(found[0]) if found else ""
    offered = re.findall(r"\d[\w.]*", said.groups.get("versions", ""))
    wanted = re.search(r"==\s*(\d[\w.]*)", requirement)
    if not _TENSORFLOW.match(name) and not _ADDONS.match(name):
        codes: tuple[str, ...] = ("KD311",)
    elif offered and not (wanted and all(numbers(wanted[1]) < numbers(v) for v in offered)):
        codes = ("KD311", "KD304")
    else:
        codes = row.codes
    return Meaning(codes, row.stands, name)


def _conflict(case: Case, said: Said, row: Message) -> Meaning | None:
    """pip's words on a declared requirement that is not met: whose, and of what."""
    requirer = canonicalize_name(said.groups["requirer"])
    found = re.match(r"[\w.-]+", said.groups["requirement"])
    name = canonicalize_name(found[0].rstrip(".-")) if found else ""
    if _TENSORFLOW.match(requirer) and name in _CONFLICTS:
        codes: tuple[str, ...] = (_CONFLICTS[name], "KD309")
    elif name.startswith("nvidia-"):
        codes = ("KD208", "KD309")
    elif _ADDONS.match(requirer) and (_TENSORFLOW.match(name) or name == "tf-keras"):
        codes = ("KD308", "KD309")
    else:
        codes = row.codes
    return Meaning(codes, row.stands, name)


def _unresolvable(case: Case, said: Said, row: Message) -> Meaning | None:
    """The installer's refusal: it knows what requirements ask for in turn, so it counts while they stand as it says."""
    found = _TOGETHER.search(said.line)
    return Meaning(row.codes, 2 if found and _still_asked(case, found["rows"]) else row.stands, row.id)


def _still_asked(case: Case, rows: str) -> bool:
    """Whether each requirement that pip names stands here as it did, and not all are installed by now."""
    named = [parsed for text in re.split(r", | and ", rows) if (parsed := reqs.parse(text.strip())) is not None]
    asked = [
        next(
            (
                a
                for a in reqs.asked(case)
                if (a.name, a.requirement.specifier) == (canonicalize_name(n.name), n.specifier)
            ),
            None,
        )
        for n in named
    ]
    standing = [a for a in asked if a is not None]
    return bool(standing) and len(standing) == len(named) and not all(is_met(case, a) for a in standing)


def _symbol(case: Case, said: Said, row: Message) -> Meaning | None:
    """A symbol that is not there: of CUDA's libraries (two versions mixed), or of TensorFlow (an add-on)."""
    if _CUDA_WORDS.search(said.groups.get("symbol", "")) or re.search(r"lib(?:cu|nv)\w+\.so", said.line):
        return Meaning(("KD206", "KD208", "KD202"), row.stands, "cuda")
    addon = any(_ADDONS.match(package.name) for package in known(case.software.packages) or ())
    if addon or _TENSORFLOW_WORDS.search(said.line):
        return Meaning(row.codes, 2 if _misfit(said, addon) else row.stands, "add-on")
    return None


def _misfit(said: Said, addon: bool) -> bool:
    """Whether the line proves a misfit, whatever the versions say (builds of one's own): operations or a part of an
    add-on that do not load, or a symbol of TensorFlow that something beside TensorFlow misses.
    """
    if _OPERATIONS.search(said.line) or _ADDON_FILE.search(said.line):
        return True
    return addon and bool(_OF_TENSORFLOW.match(said.groups.get("symbol", ""))) and not _OWN_FILE.search(said.line)


def _glibc(case: Case, said: Said, row: Message) -> Meaning | None:
    """What the loader misses: it knows better than a wheel's tag, unless the glibc that is told has it.

    The C++ library (GLIBCXX, CXXABI) is in no snapshot.
    """
    library, _, wanted = said.groups.get("need", "").partition("_")
    have = known(case.software.libc.version)
    told = library == "GLIBC" and have is not None and numbers(have) >= numbers(wanted)
    return Meaning(row.codes, row.stands if told else 2, row.id)


def _image(case: Case, said: Said, row: Message) -> Meaning | None:
    """An image that the registry does not have: a digest, or a tag."""
    image = said.groups.get("image", "").strip("\"'")
    if not image and not re.search(r"manifest unknown|failed to resolve|failed to pull", said.line):
        return None
    reference = image or known(case.software.image.reference) or ""
    codes = row.codes if "@" in reference else row.codes[1:]
    return Meaning(codes, row.stands, "image", {"for_image": f" ({reference})" if reference else ""})


def _reference(case: Case, said: Said, row: Message) -> Meaning | None:
    """A name that is no image's."""
    image = said.groups.get("image", "").strip("\"'")
    return Meaning(row.codes, row.stands, "image", {"for_image": f" ({image})" if image else ""})


def _in_container(case: Case, said: Said, row: Message) -> Meaning | None:
    """A banner that only containers print."""
    codes = ("KD105", "KD501", "KD101") if known(case.machine.wsl) else ("KD501", "KD101")
    return Meaning(codes, 1, row.id, inside=True)


def _container(case: Case) -> bool:
    """Whether anything says that the software runs in a container."""
    container, image = case.container, case.software.image
    facts = (container.gpus_requested, container.runtime, image.reference, image.digest, image.id)
    return case.in_container or any(known(fact) is not None for fact in facts)


def in_container(case: Case) -> bool:
    """Whether the software runs in a container, as far as anything tells."""
    return _container(case) or known(case.machine.virtualization) in ("docker", "podman", "containerd", "kubernetes")


_RESOLVERS: dict[str, Resolver] = {
    "library": _library,
    "cudnn": _cudnn,
    "ptxas": _ptxas,
    "driver_halves": _driver_halves,
    "kernel_image": _kernel_image,
    "distribution": _distribution,
    "conflict": _conflict,
    "unresolvable": _unresolvable,
    "symbol": _symbol,
    "glibc": _glibc,
    "image": _image,
    "reference": _reference,
    "in_container": _in_container,
}
