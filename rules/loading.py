"""What the loader would find of the CUDA libraries that this TensorFlow opens. Nothing here registers a rule."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import msgspec

from doctor.case import Case
from doctor.model.facts import Unknown, applies, known
from doctor.model.snapshot import Library

from . import requirements as reqs
from .builds import TensorFlowBuild, tensorflow_facts
from .tables import libraries as table
from .tables.frameworks import search_fault
from .tables.messages import said
from .tables.tensorflow import tensorflow_release
from .tables.versions import major, numbers

LIBRARIES = "software.cuda.libraries"
TOOLKITS = "software.cuda.toolkits"

_WITHOUT_CURAND = (2, 12)

Found = tuple[tuple[int, Library], ...]


class Opened(msgspec.Struct, frozen=True):
    """One library that TensorFlow opens.

    ``name``: what is opened on this system. ``usable``: copies that the loader takes, in its order; ``unusable``: those
    of the right name that it does not find or cannot load; ``others``: copies of the same library under another name,
    that is of another version. Each with its place in the snapshot's list. ``heard``: the list is not complete, and
    the log says that TensorFlow opened it.
    """

    want: table.Library
    name: str
    usable: Found = ()
    unusable: Found = ()
    others: Found = ()
    heard: bool = False

    @property
    def missing(self) -> bool:
        """No copy of the right name is there at all."""
        return not self.usable and not self.unusable and not self.heard

    @property
    def soname(self) -> str:
        """The name that is opened."""
        return self.name


class State(msgspec.Struct, frozen=True):
    """The CUDA side of an environment, seen from its TensorFlow build.

    ``listed``: the libraries were looked for; ``complete``: and all of them are in the list; ``foreign_wheels``:
    another framework may have brought CUDA wheels for itself; ``runtime_wheel``: the wheel with the right libcudart
    is installed; ``own_wheels``: the installed ones of those that this build would use; ``cudnn_compiled``: the cuDNN
    that the build was compiled against, where it or its release tells.
    """

    build: TensorFlowBuild
    cuda: str
    cudnn: str | None
    opened: tuple[Opened, ...]
    toolkits: tuple[str, ...] | None
    listed: bool
    complete: bool
    foreign_wheels: bool
    runtime_wheel: bool
    own_wheels: frozenset[str]
    cudnn_compiled: str | None = None

    @property
    def required(self) -> tuple[Opened, ...]:
        """What TensorFlow must load to register a GPU."""
        version = self.build.version
        # dlopen_checker.cc of the releases up to 2.11 names cuRAND, today's does not; in between it is not asked for.
        without = version is not None and version.release[:2] >= _WITHOUT_CURAND
        return tuple(lib for lib in self.opened if lib.want.required and not (without and lib.want.library == "curand"))

    @property
    def toolkit_libraries(self) -> tuple[Opened, ...]:
        """The required ones that a CUDA toolkit brings: all but cuDNN."""
        return tuple(lib for lib in self.required if lib.want.library != "cudnn")

    @property
    def cudnn_library(self) -> Opened | None:
        """cuDNN."""
        return next((lib for lib in self.required if lib.want.library == "cudnn"), None)

    @property
    def fitting_toolkits(self) -> tuple[int, ...]:
        """Places of the toolkits whose libraries bear the names that this build opens."""
        want = {lib.want.library: lib.want.soname for lib in self.toolkit_libraries}
        return tuple(i for i, version in enumerate(self.toolkits or ()) if toolkit_fits(version, want))

    @property
    def other_cuda(self) -> Found:
        """Runtimes (libcudart) of another version, where none of the right one is there.

        Wheels that another framework brought for itself do not count.
        """
        runtime = next((lib for lib in self.required if lib.want.library == "cudart"), None)
        if runtime is None or not runtime.missing:
            return ()
        return tuple(
            (i, lib) for i, lib in runtime.others if not (self.foreign_wheels and known(lib.origin) == "wheel")
        )

    @property
    def version_differs(self) -> bool:
        """CUDA is there, and no part of it is of the version that this build opens."""
        runtime = [lib for lib in self.toolkit_libraries if lib.want.library == "cudart"]
        if self.runtime_wheel or any(not lib.missing for lib in runtime):
            return False
        toolkits_differ = bool(self.toolkits) and not self.fitting_toolkits
        return toolkits_differ or (bool(self.other_cuda) and not self.fitting_toolkits)

    @property
    def half_differs(self) -> tuple[Opened, ...]:
        """The right runtime, but other libraries of the toolkit only under another name (cuSOLVER 11 for 10)."""
        runtime = [lib for lib in self.required if lib.want.library == "cudart"]
        if self.version_differs or any(not lib.usable and not lib.unusable for lib in runtime):
            return ()
        return tuple(lib for lib in self.toolkit_libraries if lib.missing and lib.others)

    @property
    def nothing(self) -> bool:
        """No library that this build could use, and no toolkit."""
        return self.complete and self.toolkits == () and all(lib.missing or self._foreign(lib) for lib in self.required)

    def _foreign(self, lib: Opened) -> bool:
        """Whether all copies came with another framework's wheels, not with the wheel that this build would have."""
        own = lib.heard or lib.want.wheel in self.own_wheels or lib.want.library == "cudnn"
        wheels = all(known(copy.origin) == "wheel" for _, copy in (*lib.usable, *lib.unusable))
        return self.foreign_wheels and wheels and not own


def toolkit_fits(version: str, want: dict[str, str]) -> bool:
    """Whether a toolkit's libraries bear these names (library → name)."""
    names = {row.library: row.soname for row in table.sonames_for_cuda(version) if row.required}
    return bool(names) and all(names.get(library) == soname for library, soname in want.items())


def cuda_state(case: Case) -> State:
    """The CUDA side of the case.

    Raises:
        Inapplicable: no TensorFlow, or none that uses NVIDIA's CUDA here.
        Unknown: what the build needs is not known.
    """
    facts = case.software.tensorflow
    applies(known(facts.present) is not False, "TensorFlow is not installed")
    build = tensorflow_facts(case)
    if reqs.system(case) == "darwin":
        applies(False, "no CUDA on macOS")
    applies(build.cuda_build is not False, "this TensorFlow has no CUDA")
    if build.cuda_version is None and build.cuda_build is None and not reqs.foreign(reqs.tensorflow_package(case)):
        # Nobody told the system: the libraries that are there are those of a system that has CUDA.
        release = tensorflow_release(reqs.tensorflow_version(case))
    else:
        release = None
    cuda = build.cuda_version or (release.cuda.version if release else None)
    cudnn = build.cudnn_version or (release.cuda.cudnn if release else None)
    if cuda is None:
        raise Unknown("software.tensorflow.cuda_version")
    compiled = build.cudnn_compiled or (release.cuda.cudnn_compiled if release else None)
    rows = table.sonames_of_build(cuda, cudnn)
    if not rows:
        raise Unknown("software.tensorflow.cuda_version", f"the tables do not know the libraries of CUDA {cuda}")
    libraries = known(case.software.cuda.libraries)
    complete = libraries is not None and not case.is_partial(LIBRARIES)
    heard = frozenset[str]() if complete else opened_in_log(case)
    toolkits = _toolkits(case)
    return State(
        build=build,
        cuda=cuda,
        cudnn=cudnn,
        opened=tuple(_opened(case, row, libraries or (), heard) for row in rows),
        toolkits=toolkits,
        listed=libraries is not None,
        complete=complete,
        foreign_wheels=case.package("torch", "jax") is not None,
        runtime_wheel=_runtime_package(case, rows),
        own_wheels=frozenset(row.wheel for row in rows if row.wheel and case.package(row.wheel)),
        cudnn_compiled=compiled,
    )


def _toolkits(case: Case) -> tuple[str, ...] | None:
    """The versions of the toolkits; None where nobody looked, or of none that is there the version could be read."""
    toolkits = known(case.software.cuda.toolkits)
    versions = [v for t in toolkits or () if (v := known(t.version)) and numbers(v)]
    return None if toolkits is None or (toolkits and not versions) else tuple(versions)


@functools.lru_cache(maxsize=1024)
def _library_of(soname: str) -> str | None:
    """The table's answer, kept: every library of a snapshot is held against every row."""
    return table.library_of_soname(soname)


def _runtime_package(case: Case, rows: tuple[table.Library, ...]) -> bool:
    """Whether pip or conda brought the right runtime, whatever the list of libraries says."""
    if any(row.wheel and case.package(row.wheel) for row in rows if row.library == "cudart"):
        return True
    conda = case.package("cudatoolkit", "cuda-cudart", "cuda-version")
    version = known(conda.version) if conda is not None else None
    want = {row.library: row.soname for row in rows if row.required and row.library != "cudnn"}
    return version is not None and toolkit_fits(version, want)


def opened_in_log(case: Case) -> frozenset[str]:
    """The libraries, in lower case, that TensorFlow opened as the log says, and that no line names as missing."""
    return case.once("libraries opened in the log", lambda: _opened_in_log(known(case.snapshot.log) or ()))


def _opened_in_log(log: Sequence[str]) -> frozenset[str]:
    by_row: dict[str, set[str]] = {}
    for line in log:
        if (text := said(line)) is not None and (name := text.groups.get("lib")):
            by_row.setdefault(text.row.id, set()).add(name.lower())
    return frozenset(by_row.get("dso-opened", set()) - by_row.get("library-missing", set()))


def _opened(case: Case, row: table.Library, libraries: tuple[Library, ...], heard: frozenset[str]) -> Opened:
    usable: list[tuple[int, Library]] = []
    unusable: list[tuple[int, Library]] = []
    others: list[tuple[int, Library]] = []
    system = reqs.system(case)
    name = (row.dll if system == "windows" else None) or row.soname
    fitting = {name.lower()} | ({row.dll.lower()} if system is None and row.dll else set())
    for index, library in enumerate(libraries):
        if known(library.origin) == "compat":
            continue
        if library.soname.lower() in fitting:
            bad = known(library.loadable) is False or known(library.on_path) is False
            (unusable if bad else usable).append((index, library))
        elif _library_of(library.soname) == row.library:
            others.append((index, library))
    told = bool(heard & fitting)  # what TensorFlow opened can be loaded, wherever other copies lie
    return Opened(row, name, tuple(usable), () if told else tuple(unusable), tuple(others), told)


def wheels_unseen(case: Case, state: State) -> str | None:
    """Why this release does not find the wheels beside it, where the loader's answer itself is not in the snapshot."""
    version = reqs.tensorflow_version(case)
    package = reqs.tensorflow_package(case)
    fault = search_fault(version) if version else None
    if fault is None or (package is not None and known(package.installer) == "conda"):
        return None
    path = (known(case.software.environment) or {}).get("LD_LIBRARY_PATH", "")
    first = [lib.usable[0][1] for lib in state.required if lib.usable]
    untold = [lib for lib in first if known(lib.origin) == "wheel" and not _told(lib)]
    return fault.fault if first and len(untold) == len(first) and "nvidia" not in path else None


def _told(library: Library) -> bool:
    return known(library.loadable) is not None or known(library.on_path) is not None


def cudnn_found(case: Case, state: State) -> tuple[str, Library | str] | None:
    """The cuDNN that would be used, or that is there at all: its version, and the library or path that tells it."""
    library = state.cudnn_library
    if library is not None:
        for _, copy in (*library.usable, *library.unusable):
            if version := known(copy.version):
                return version, copy
        for _, copy in library.others:
            if not library.usable and not library.unusable and (version := known(copy.version) or soname_major(copy)):
                return version, copy
    told = known(case.software.cuda.cudnn_version)
    return (told, "software.cuda.cudnn_version") if isinstance(told, str) and numbers(told) else None


def soname_major(library: Library) -> str | None:
    """``8`` of ``libcudnn.so.8``."""
    tail = library.soname.rpartition(".so.")[2]
    number = major(tail)
    return None if number is None else str(number)


def names(libraries: tuple[Opened, ...], most: int = 4) -> str:
    """Their names, for a sentence."""
    shown = [lib.soname for lib in libraries[:most]]
    rest = len(libraries) - len(shown)
    return ", ".join(shown) + (f" and {rest} more" if rest else "")
