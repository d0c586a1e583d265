"""The software collector: what an environment is made of, read from its files and never asked.

One stdlib-only file for CPython 3.6 and later that imports nothing of doctor, so that it can be

* imported: :func:`collect` over any :class:`FileSystem` (this host, a container's root, an image's layers: *static*);
* sent on stdin to an interpreter, ``python -I -S -B -``, followed by a line that calls :func:`main` (*run*);
* bundled with the machine collector into one file for a remote node.

Nothing runs on import: whoever starts it calls `main`. It opens files for reading in bounded pieces, lists folders,
follows links inside the root, and does nothing else: no import from the environment, no process, no network, nothing
written. What it cannot read becomes a gap, never an exception.

Sections: 1 files, 2 ELF, 3 interpreter, 4 paths, 5 distributions, 6 TensorFlow and Keras, 7 the loader, 8 CUDA,
9 system and environment variables, 10 the document.
"""

import ast
import base64
import errno
import hashlib
import json
import os
import re
import stat
import struct
import sys
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

Facts = Dict[str, Any]

BEGIN = "----- BEGIN KDOCTOR SOFTWARE -----"
END = "----- END KDOCTOR SOFTWARE -----"

MAX_LINKS = 40  # as Linux has it
MAX_NAMES = 100000  # entries read of one folder
MAX_GAPS = 200
MAX_PACKAGES = 20000
MAX_REQUIRES = 1000
MAX_STRING = 4096
MAX_TEXT = 1 << 20  # bytes read of one text file, unless a caller says otherwise
MAX_RODATA = 8 << 20  # bytes searched for a version string in one ELF file
MAX_RECORD = 4 << 20
MAX_MISSING = 20
MAX_HASHED = 8
MAX_PATHS = 1000  # entries of sys.path
MAX_READ = 1 << 28  # bytes read of all files together; 12 MB were read of one with 137 distributions
MAX_HEADERS = 1 << 17  # bytes of one METADATA file before its description
MAX_LIBRARIES = 2000
MAX_CODE = 1 << 15  # characters parsed as Python: longer chains (1+1+1+…) overflow the parser's stack up to 3.10


# 1 ----------------------------------------------------------------------------------------------------------- files

FILE, FOLDER, LINK, OTHER = "file", "dir", "link", "other"


class FileSystem:
    """What the collector needs of whatever holds the files.

    Paths are absolute within the root, with "/" between the parts, and no part before the last is a link: links are
    followed by :class:`View`, which is why an absolute link in an image stays inside that image. Each method raises
    OSError (FileNotFoundError, PermissionError, …) where it cannot answer.
    """

    def lstat(self, path: str) -> Tuple[str, int, int, float]:
        """(kind, size in bytes, permission bits, modification time in seconds since 1970) of the entry itself."""
        raise NotImplementedError

    def listdir(self, path: str) -> List[str]:
        """The names in a folder, in any order."""
        raise NotImplementedError

    def readlink(self, path: str) -> str:
        """Where a link points, as written in it."""
        raise NotImplementedError

    def read(self, path: str, offset: int, length: int) -> bytes:
        """At most `length` bytes of a regular file from `offset`; fewer at its end."""
        raise NotImplementedError


class HostFileSystem(FileSystem):
    """The files below a folder of this machine; "/" is the machine itself."""

    def __init__(self, root: str = "/") -> None:
        self.root = root.rstrip("/")

    def lstat(self, path: str) -> Tuple[str, int, int, float]:
        found = os.lstat(self.root + path)
        if stat.S_ISREG(found.st_mode):
            kind = FILE
        elif stat.S_ISDIR(found.st_mode):
            kind = FOLDER
        elif stat.S_ISLNK(found.st_mode):
            kind = LINK
        else:
            kind = OTHER
        return kind, found.st_size, stat.S_IMODE(found.st_mode), found.st_mtime

    def listdir(self, path: str) -> List[str]:
        names = []
        with os.scandir((self.root + path) or "/") as entries:
            for entry in entries:
                names.append(entry.name)
                if len(names) >= MAX_NAMES:
                    break
        return names

    def readlink(self, path: str) -> str:
        return os.readlink(self.root + path)

    def read(self, path: str, offset: int, length: int) -> bytes:
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
        handle = os.open(self.root + path, flags)
        try:
            pieces = []
            while length > 0:
                piece = os.pread(handle, min(length, 1 << 20), offset)
                if not piece:
                    break
                pieces.append(piece)
                offset += len(piece)
                length -= len(piece)
            return b"".join(pieces)
        finally:
            os.close(handle)


def join(folder: str, name: str) -> str:
    """`name` below `folder`; an absolute `name` stands for itself."""
    if name.startswith("/"):
        return name
    return folder.rstrip("/") + "/" + name


def parent(path: str) -> str:
    """The folder that holds `path`; "/" holds itself."""
    return path.rstrip("/").rpartition("/")[0] or "/"


def base(path: str) -> str:
    """The last part of `path`."""
    return path.rstrip("/").rpartition("/")[2]


def normal(path: str) -> str:
    """`path` without ".", ".." and double slashes, links not looked at."""
    parts = []  # type: List[str]
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)


class View:
    """A file system as the rest of this file sees it: links followed inside the root, sizes bounded, failures noted.

    `gaps` says what could not be read and why, `partial` which lists of the snapshot are therefore incomplete,
    `derived` which facts were concluded.
    """

    def __init__(self, fs: FileSystem) -> None:
        self.fs = fs
        self.gaps = []  # type: List[Dict[str, str]]
        self.partial = set()  # type: Set[str]
        self.derived = set()  # type: Set[str]
        self._folders = {"/": "/"}  # type: Dict[str, str]
        self._names = {}  # type: Dict[str, List[str]]
        self._elves = {}  # type: Dict[str, Optional[Elf]]
        self._left = MAX_READ

    def gap(self, path: str, why: str, partial: str = "") -> None:
        """Note that `path` was not (wholly) understood; `partial` names the list that is incomplete for it."""
        if partial:
            self.partial.add(partial)
        entry = {"path": path, "why": why}
        if len(self.gaps) < MAX_GAPS and entry not in self.gaps:
            self.gaps.append(entry)

    def real(self, path: str) -> str:
        """`path` with every link followed, never outside the root.

        Raises:
            OSError: it is not there, is not reachable, or its links run in a circle.
        """
        folder = parent(path)
        known = self._folders.get(folder)
        name = base(path)
        if known is None or name in ("", ".", ".."):
            return self._follow("/", path)
        return self._follow(known, name)

    def _follow(self, start: str, path: str) -> str:
        todo = path.split("/")[::-1]
        done = start
        links = 0
        while todo:
            part = todo.pop()
            if part in ("", "."):
                continue
            if part == "..":
                done = parent(done)
                continue
            if "\0" in part:
                raise OSError(errno.EINVAL, "null byte in a path", path)
            here = join(done, part)
            known = self._folders.get(here)
            if known is not None:
                done = known
                continue
            kind = self.fs.lstat(here)[0]
            if kind == LINK:
                links += 1
                if links > MAX_LINKS:
                    raise OSError(errno.ELOOP, "links in a circle", path)
                target = self.fs.readlink(here)
                if target.startswith("/"):
                    done = "/"
                todo.extend(target.split("/")[::-1])
                continue
            if kind == FOLDER:
                self._folders[here] = here
            elif todo:
                raise OSError(errno.ENOTDIR, "not a folder", here)
            done = here
        return done

    def kind(self, path: str) -> str:
        """FILE, FOLDER or OTHER of what `path` leads to; "" where there is nothing, or nothing that we may see."""
        try:
            return self.fs.lstat(self.real(path))[0]
        except (OSError, ValueError):
            return ""

    def is_file(self, path: str) -> bool:
        """Whether `path` leads to a regular file."""
        return self.kind(path) == FILE

    def is_folder(self, path: str) -> bool:
        """Whether `path` leads to a folder."""
        return self.kind(path) == FOLDER

    def names(self, path: str, partial: str = "") -> List[str]:
        """The sorted names in a folder; [] where there is none. An unreadable one is a gap (and makes `partial` so)."""
        try:
            real = self.real(path)
            known = self._names.get(real)
            if known is None:
                if self.fs.lstat(real)[0] != FOLDER:
                    return []
                known = sorted(self.fs.listdir(real))
                if len(known) >= MAX_NAMES:
                    self.gap(path, "more than %d entries, the rest not looked at" % MAX_NAMES, partial)
                self._names[real] = known
            return known
        except (OSError, ValueError) as error:
            self._failed(path, error, partial)
            return []

    def read(self, path: str, offset: int, length: int, partial: str = "") -> Optional[bytes]:
        """Bytes of a regular file; None where there is none. An unreadable file is a gap."""
        try:
            real = self.real(path)
            if self.fs.lstat(real)[0] != FILE:
                return None
            if self._left <= 0:
                self.gap("/", "more than %d bytes to read, the rest not looked at" % MAX_READ, partial or PACKAGES)
                return None
            data = self.fs.read(real, offset, length)
            self._left -= len(data)
            return data
        except (OSError, ValueError, MemoryError) as error:
            self._failed(path, error, partial)
            return None

    def text(self, path: str, limit: int = MAX_TEXT, partial: str = "") -> Optional[str]:
        """The start of a text file; None where there is none. What is not UTF-8 is a gap and is read as Latin-1."""
        data = self.read(path, 0, limit, partial)
        if data is None:
            return None
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            if len(data) == limit and error.start >= limit - 4:
                return data[: error.start].decode("utf-8-sig")
            self.gap(path, "not UTF-8 (byte %d)" % error.start)
            return data.decode("latin-1")

    def _failed(self, path: str, error: BaseException, partial: str) -> None:
        if isinstance(error, (FileNotFoundError, NotADirectoryError)):
            return
        if isinstance(error, OSError) and error.errno in (errno.ENOENT, errno.ENOTDIR):
            return
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        self.gap(path, why or type(error).__name__, partial)

    def elf(self, path: str) -> "Optional[Elf]":
        """The ELF headers of a file; None where it is none, is truncated, or cannot be read."""
        try:
            real = self.real(path)
        except (OSError, ValueError):
            return None
        if real not in self._elves:
            self._elves[real] = read_elf(self, real)
        return self._elves[real]


# 2 ------------------------------------------------------------------------------------------------------------- ELF

MACHINES = {3: "i386", 21: "ppc64le", 22: "s390x", 40: "arm", 62: "x86_64", 183: "aarch64", 243: "riscv64"}


class Elf(NamedTuple):
    """What the loader reads of an ELF file. `rpath` and `runpath` are None where there is no such entry."""

    bits: int
    machine: str
    interpreter: Optional[str]
    soname: Optional[str]
    needed: List[str]
    rpath: Optional[str]
    runpath: Optional[str]
    notes: List[Tuple[int, int]]


def read_elf(view: View, path: str) -> Optional[Elf]:
    """Headers, dynamic section and places of the notes (offset, size), read in a few small pieces."""
    head = view.read(path, 0, 4096)
    if head is None or len(head) < 64 or head[:4] != b"\x7fELF":
        return None
    try:
        return _parse_elf(view, path, head)
    except (struct.error, IndexError, ValueError, OverflowError):
        return None


def _parse_elf(view: View, path: str, head: bytes) -> Optional[Elf]:
    wide = head[4] == 2
    order = ">" if head[5] == 2 else "<"
    machine = struct.unpack_from(order + "H", head, 18)[0]
    table = struct.unpack_from(order + ("Q" if wide else "I"), head, 32 if wide else 28)[0]
    size, count = struct.unpack_from(order + "HH", head, 54 if wide else 42)
    layout = order + ("IIQQQQQQ" if wide else "IIIIIIII")
    if not 0 < count <= 512 or size < struct.calcsize(layout):
        return None
    rows = head[table : table + count * size]
    if len(rows) < count * size:
        rows = view.read(path, table, count * size) or b""
    loads = []
    dynamic = None
    interpreter = None
    notes = []
    for index in range(count):
        fields = struct.unpack_from(layout, rows, index * size)
        if wide:
            kind, _flags, offset, address, _physical, length = fields[:6]
        else:
            kind, offset, address, _physical, length = fields[:5]
        if kind == 1:
            loads.append((address, offset, length))
        elif kind == 2:
            dynamic = (offset, length)
        elif kind == 3:
            raw = head[offset : offset + length]
            if len(raw) < length:
                raw = view.read(path, offset, min(length, 4096)) or b""
            interpreter = raw.split(b"\0")[0].decode("utf-8", "replace")
        elif kind == 4:
            notes.append((offset, length))
    strings = {}  # type: Dict[int, List[str]]
    if dynamic is not None:
        strings = _dynamic_strings(view, path, order + ("qQ" if wide else "iI"), dynamic, loads)
    return Elf(
        bits=64 if wide else 32,
        machine=MACHINES.get(machine, "machine-%d" % machine),
        interpreter=interpreter,
        soname=(strings.get(14) or [None])[0],  # type: ignore[list-item]
        needed=strings.get(1, []),
        rpath=(strings.get(15) or [None])[0],  # type: ignore[list-item]
        runpath=(strings.get(29) or [None])[0],  # type: ignore[list-item]
        notes=notes,
    )


def _dynamic_strings(
    view: View, path: str, layout: str, dynamic: Tuple[int, int], loads: Sequence[Tuple[int, int, int]]
) -> Dict[int, List[str]]:
    """DT_NEEDED (1), DT_SONAME (14), DT_RPATH (15) and DT_RUNPATH (29) of an object, by tag."""
    size = struct.calcsize(layout)
    data = view.read(path, dynamic[0], min(dynamic[1], 1 << 16)) or b""
    wanted = []  # type: List[Tuple[int, int]]
    table = None
    for at in range(0, len(data) - size + 1, size):
        tag, value = struct.unpack_from(layout, data, at)
        if tag == 0:
            break
        if tag in (1, 14, 15, 29):
            wanted.append((tag, value))
        elif tag == 5:
            table = value
    if table is None or not wanted:
        return {}
    for address, offset, length in loads:
        if address <= table < address + length:
            table = table - address + offset
            break
    else:
        return {}
    first = min(value for _tag, value in wanted)
    span = max(value for _tag, value in wanted) - first
    piece = view.read(path, table + first, min(span + 1024, 1 << 16)) or b""
    found = {}  # type: Dict[int, List[str]]
    for tag, value in wanted[:256]:
        start = value - first
        end = piece.find(b"\0", start) if start < len(piece) else -1
        if end >= 0:
            raw = piece[start:end]
        else:  # far from the others, or longer than the piece (the RUNPATH of TensorFlow 2.21 has 25,000 characters)
            raw = (view.read(path, table + value, 1 << 17) or b"").split(b"\0")[0]
        found.setdefault(tag, []).append(raw.decode("utf-8", "surrogateescape"))
    return found


def find_in_rodata(view: View, path: str, pattern: "re.Pattern[bytes]") -> Set[bytes]:
    """The different first groups that `pattern` has in the read-only data of an ELF file (at most 8 MiB of it)."""
    head = view.read(path, 0, 64)
    if head is None or len(head) < 64 or head[:4] != b"\x7fELF":
        return set()
    order = ">" if head[5] == 2 else "<"
    wide = head[4] == 2
    try:
        table = struct.unpack_from(order + ("Q" if wide else "I"), head, 40 if wide else 32)[0]
        size, count, names = struct.unpack_from(order + "HHH", head, 58 if wide else 46)
        rows = view.read(path, table, min(count, 512) * size) or b""
        sections = []
        for index in range(min(count, 512)):
            if wide:
                name, _kind, _flags, _address, offset, length = struct.unpack_from(order + "IIQQQQ", rows, index * size)
            else:
                name, _kind, _flags, _address, offset, length = struct.unpack_from(order + "IIIIII", rows, index * size)
            sections.append((name, offset, length))
        _name, offset, length = sections[names]
        titles = view.read(path, offset, min(length, 1 << 16)) or b""
    except (struct.error, IndexError):
        return set()
    for name, offset, length in sections:
        if titles[name : name + 8] == b".rodata\0":
            data = view.read(path, offset, min(length, MAX_RODATA)) or b""
            return {match.group(1) for match in pattern.finditer(data)}
    return set()


# 3 ----------------------------------------------------------------------------------------------------- interpreter


class Interpreter(NamedTuple):
    """Where a Python lives. `tag` is the name of its library folder (python3.11), `version` as exactly as known."""

    executable: str
    prefix: str
    base_prefix: str
    tag: str
    version: Optional[str]
    implementation: str
    libdirs: List[str]
    stdlib: List[str]
    is_venv: bool
    system_site: bool
    elf: Optional[Elf]


LIBRARY = re.compile(r"^(python|pypy)(\d+\.\d+)(t?)$")


def run_facts() -> Facts:
    """What the interpreter that runs this file says of itself; sys only, nothing of the environment is imported."""
    facts = {
        "executable": sys.executable or "",
        "version": "%d.%d.%d" % sys.version_info[:3] + _suffix(sys.version_info),
        "tag": "%s%d.%d%s"
        % (
            "pypy" if sys.implementation.name == "pypy" else "python",
            sys.version_info[0],
            sys.version_info[1],
            "t" if "t" in getattr(sys, "abiflags", "") else "",
        ),
        "implementation": sys.implementation.name,
        "base_prefix": sys.base_prefix,
        "libdir": getattr(sys, "platlibdir", "lib"),
        "bits": struct.calcsize("P") * 8,
        "stdlib": [entry for entry in sys.path if entry],
        "architecture": os.uname().machine if hasattr(os, "uname") else "",
        "user_site": not hasattr(os, "getuid") or os.getuid() == os.geteuid(),
        "home": os.path.expanduser("~"),
    }  # type: Facts
    try:
        facts["libc"] = os.confstr("CS_GNU_LIBC_VERSION")
    except (AttributeError, ValueError, OSError):
        facts["libc"] = None
    return facts


def _suffix(info: Any) -> str:
    return str({"alpha": "a%d", "beta": "b%d", "candidate": "rc%d"}.get(info[3], "%.0s") % info[4])


def find_interpreters(view: View, environ: Mapping[str, str]) -> List[Tuple[str, str]]:
    """(path, why) of the Pythons in a root, in the order in which one would be meant: active, on PATH, usual places."""
    found = []  # type: List[Tuple[str, str]]
    seen = set()  # type: Set[Tuple[str, str]]

    def offer(folder: str, why: str) -> None:
        names = [name for name in view.names(folder) if re.match(r"^python(3(\.\d+t?)?)?$", name)]
        for name in sorted(names, key=lambda n: (n != "python3", n != "python", -_minor(n))):
            path = join(folder, name)
            try:
                real = view.real(path)
            except (OSError, ValueError):
                # a venv whose base is gone is still an environment to be read
                real = path if view.is_file(join(parent(folder), "pyvenv.cfg")) else ""
            key = (real, parent(folder) if view.is_file(join(parent(folder), "pyvenv.cfg")) else "")
            if real and key not in seen:
                seen.add(key)
                found.append((path, why))

    for variable in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        if environ.get(variable, "").startswith("/"):
            offer(join(environ[variable], "bin"), variable)
    for folder in environ.get("PATH", "").split(":"):
        if folder.startswith("/"):
            offer(folder, "PATH")
    for folder in ("/usr/local/bin", "/usr/bin", "/opt/conda/bin", "/opt/venv/bin", "/venv/bin", "/app/.venv/bin"):
        offer(folder, "a usual place")
    homes = ["/root"] + [join("/home", name) for name in view.names("/home")[:20]]
    places = ["/opt", "/app", "/srv", "/workspace", "/usr/local", "/opt/conda/envs", "/opt/pyenv/versions"]
    for home in homes:
        places += [home] + [join(home, name) for name in (".pyenv/versions", "miniconda3/envs", ".virtualenvs")]
    for above in places:
        for name in view.names(above)[:200]:
            offer(join(join(above, name), "bin"), "a usual place")
    return found


def _minor(name: str) -> int:
    match = re.search(r"\.(\d+)", name)
    return int(match.group(1)) if match else 1000


def read_venv(view: View, executable: str) -> Optional[Dict[str, str]]:
    """The keys of the pyvenv.cfg above or beside an executable (links not followed, as in Python); None without."""
    folder = parent(executable)
    for path in (join(parent(folder), "pyvenv.cfg"), join(folder, "pyvenv.cfg")):
        text = view.text(path, 1 << 16)
        if text is not None:
            pairs = [line.split("=", 1) for line in text.splitlines() if "=" in line]
            return {key.strip().lower(): value.strip() for key, value in pairs}
    return None


def locate_interpreter(view: View, executable: str, run: Optional[Facts], exact: bool = True) -> Optional[Interpreter]:
    """Find prefix, library folder and version of an interpreter from its place; None where there is no Python.

    Without `exact` the version is not looked for in binaries and headers.
    """
    executable = normal(executable)
    venv = read_venv(view, executable)
    try:
        real = view.real(executable)
    except (OSError, ValueError) as error:
        if venv is None:
            view.gap(executable, "no interpreter: %s" % (getattr(error, "strerror", None) or error))
            return None
        view.gap(executable, "the interpreter that this environment was made with is gone")
        real = ""
    version = None  # type: Optional[str]
    if run is not None:
        home, tag, version = run["base_prefix"], run["tag"], run["version"]
    else:
        wanted = re.match(r"^(python|pypy)(\d+\.\d+)t?$", base(real)) if real else None
        above = [parent(real)] if real else []
        if venv is not None and venv.get("home", "").startswith("/"):
            above.append(venv["home"])
        home, tag = _search_up(view, above, wanted.group(0) if wanted else "")
        if not tag and venv is not None:
            match = re.match(r"\d+\.\d+", venv.get("version") or venv.get("version_info") or "")
            tag = "python" + match.group(0) if match else ""
        if not tag:
            view.gap(executable, "no Python library folder belongs to it")
            return None
        version = _exact_version(view, home, tag, real) if exact else None
        if version is None and venv is not None and re.match(r"\d+\.\d+\.\d+", venv.get("version", "")):
            version = venv["version"]
            view.derived.add("software.python.version")
        if version is None and venv is not None:
            match = re.match(r"(\d+\.\d+\.\d+)", venv.get("version_info", ""))
            if match:
                version = match.group(1)
                view.derived.add("software.python.version")
        if version is None:
            match = LIBRARY.match(tag)
            version = match.group(2) if match and match.group(1) == "python" else None
    libdirs = ["lib"]
    if run is not None:
        libdirs = [run["libdir"]] + ["lib"] * (run["libdir"] != "lib")
    elif home and view.is_folder(join(home, "lib64/%s" % tag)) and not _same(view, home + "/lib64", home + "/lib"):
        libdirs = ["lib64", "lib"]
    stdlib = list(run["stdlib"]) if run is not None else []
    if not stdlib and home:
        zipped = "python" + re.sub(r"\D", "", tag)
        stdlib = [join(home, "lib/%s.zip" % zipped)]
        for libdir in reversed(libdirs):
            stdlib += [join(home, "%s/%s" % (libdir, tag)), join(home, "%s/%s/lib-dynload" % (libdir, tag))]
    prefix = parent(parent(executable)) if venv is not None else (home or parent(parent(executable)))
    return Interpreter(
        executable=executable,
        prefix=prefix,
        base_prefix=home or prefix,
        tag=tag,
        version=version,
        implementation=run["implementation"] if run else ("pypy" if tag.startswith("pypy") else "cpython"),
        libdirs=libdirs,
        stdlib=stdlib,
        is_venv=venv is not None,
        system_site=venv is None or venv.get("include-system-site-packages", "true").lower() == "true",
        elf=view.elf(real) if real else None,
    )


def _same(view: View, one: str, other: str) -> bool:
    try:
        return view.real(one) == view.real(other)
    except (OSError, ValueError):
        return False


def _search_up(view: View, starts: Iterable[str], wanted: str) -> Tuple[str, str]:
    """(prefix, library folder's name) above a folder with an interpreter, found by os.py as Python itself does."""
    for start in starts:
        folder = start
        for _step in range(12):
            for libdir in ("lib", "lib64"):
                tags = [name for name in view.names(join(folder, libdir)) if LIBRARY.match(name)]
                tags = [tag for tag in tags if not wanted or tag == wanted]
                for tag in sorted(tags, key=lambda name: -_minor(name)):
                    if view.is_file(join(folder, "%s/%s/os.py" % (libdir, tag))):
                        return folder, tag
            if folder == "/":
                break
            folder = parent(folder)
    return "", ""


def _exact_version(view: View, home: str, tag: str, executable: str) -> Optional[str]:
    """The full version of an installed CPython: from its header, conda's records, or the binary's own text."""
    if not home or not tag.startswith("python"):
        return None
    for folder in (tag, tag + "m"):  # "m" up to 3.7
        text = view.text(join(home, "include/%s/patchlevel.h" % folder), 1 << 14)
        match = re.search(r'#define\s+PY_VERSION\s+"([0-9][^"\s]*)"', text or "")
        if match:
            return match.group(1).rstrip("+")
    for name in view.names(join(home, "conda-meta")):
        match = re.match(r"python-(\d+\.\d+\.\d+\w*)-", name)
        if match and tag.startswith("python" + ".".join(match.group(1).split(".")[:2])):
            return match.group(1)
    minor = re.escape(re.sub(r"[a-z]", "", tag))
    pattern = re.compile(rb"\0(" + minor.encode() + rb"\.\d{1,2}(?:(?:a|b|rc)\d{1,2})?)\+?\0")
    own = [join(home, "lib/lib%s.so.1.0" % name) for name in (tag, tag + "m")]
    for path in (*own, _beside(view, executable, tag), executable):
        found = find_in_rodata(view, path, pattern) if path else set()
        if len(found) == 1:
            return found.pop().decode()
    return None


def _beside(view: View, executable: str, tag: str) -> str:
    """The libpython that an interpreter of a distribution needs, in the folder that such distributions use."""
    elf = view.elf(executable) if executable else None
    if elf is None or not any(name.startswith("lib" + tag) for name in elf.needed):
        return ""
    for folder in ("/usr/lib/%s-linux-gnu" % elf.machine, "/usr/lib64", "/usr/lib"):
        if view.is_file(join(folder, "lib%s.so.1.0" % tag)):
            return join(folder, "lib%s.so.1.0" % tag)
    return ""


def describe_python(view: View, python: Interpreter, run: Optional[Facts]) -> Facts:
    """The contract's `software.python`."""
    conda = view.is_folder(join(python.prefix, "conda-meta"))
    facts = {
        "implementation": python.implementation,
        "executable": python.executable,
        "environment": "venv" if python.is_venv else "conda" if conda else "system",
        "prefix": python.prefix,
        "base_prefix": python.base_prefix,
    }  # type: Facts
    if not python.is_venv and python.stdlib:  # PEP 668: installers are asked to stay away
        guards = [join(folder, "EXTERNALLY-MANAGED") for folder in python.stdlib]
        facts["externally_managed"] = any(view.is_file(guard) for guard in guards)
    if python.version:
        facts["version"] = python.version
    if python.elf is not None:
        facts["bits"] = python.elf.bits
        facts["architecture"] = python.elf.machine
    elif run is not None:
        facts["bits"] = run["bits"]
        facts["architecture"] = run["architecture"]
    return facts


# 4 ----------------------------------------------------------------------------------------------------------- paths

PACKAGES = "software.packages"


class Entry(NamedTuple):
    """A folder on sys.path. `site`: .pth files in it count."""

    path: str
    real: str
    site: bool


class Paths:
    """sys.path as a normal start of the interpreter would have it, without running anything.

    `modules` maps import names to folders, for editable installs that work by an import hook.
    """

    def __init__(self, view: View) -> None:
        self.view = view
        self.entries = []  # type: List[Entry]
        self.modules = {}  # type: Dict[str, str]
        self._seen = set()  # type: Set[str]

    def add(self, path: str, site: bool = False) -> None:
        """Append a folder (or a zip file) if it is there and new; a site folder brings what its .pth files name."""
        path = normal(path)
        try:
            real = self.view.real(path)
        except (OSError, ValueError) as error:
            self.view._failed(path, error, PACKAGES)
            return
        if real in self._seen:
            return
        if len(self.entries) >= MAX_PATHS:
            self.view.gap(path, "more than %d folders on sys.path" % MAX_PATHS, PACKAGES)
            return
        self._seen.add(real)
        self.entries.append(Entry(path, real, site))
        if site:
            for name in self.view.names(path, PACKAGES):
                if name.endswith(".pth") and not name.startswith("."):
                    self._read_pth(path, name)

    def _read_pth(self, folder: str, name: str) -> None:
        text = self.view.text(join(folder, name), MAX_TEXT, PACKAGES) or ""
        for line in text.splitlines()[:2000]:
            if not line.strip() or line.startswith("#"):
                continue
            if line.startswith(("import ", "import\t")):
                self._import_line(folder, name, line)
            else:
                self.add(join(folder, line.rstrip()))

    def _import_line(self, folder: str, name: str, line: str) -> None:
        """A .pth line that Python would execute: well-known ones are understood as text, others are a gap."""
        if any(word in line for word in HARMLESS_PTH):
            return
        match = re.match(r"^import\s+(_\w*(?:editable|finder)\w*)\b", line)
        if match:
            self._editable_finder(folder, match.group(1))
            return
        match = re.match(
            r"^import\s+(?:site|sys)\s*;\s*(?:site\.addsitedir|sys\.path\.(?:append|insert))\((.*)\)\s*;?\s*$", line
        )
        if match:
            try:
                value = ast.literal_eval("[%s]" % match.group(1)[:MAX_STRING])[-1]
            except (ValueError, SyntaxError, IndexError, MemoryError, RecursionError):
                value = None
            if isinstance(value, str):
                self.add(join(folder, value), "addsitedir" in line)
                return
        shown = re.sub(r"([\"']).*?(\1|$)", r"\1…\1", line[:MAX_STRING])[:120]  # a literal may be a secret
        self.view.gap(
            join(folder, name), "a line of code that Python runs at start was not followed: %s" % shown, PACKAGES
        )

    def _editable_finder(self, folder: str, module: str) -> None:
        path = join(folder, module + ".py")
        text = self.view.text(path)
        if text is None:
            self.view.gap(path, "the import hook of an editable install is missing")
            return
        for target, value in assignments(text).items():
            if target == "MAPPING" and isinstance(value, dict):
                for key, place in list(value.items())[:1000]:
                    if isinstance(key, str) and isinstance(place, str):
                        self.modules.setdefault(key, place)
        for key, place in re.findall(r"map_module\(\s*'([\w.]+)'\s*,\s*'([^'\n]+)'", text)[:1000]:
            self.modules.setdefault(key, parent(place) if base(place) == "__init__.py" else place)

    def find_package(self, name: str) -> Optional[str]:
        """The folder from which `import name` would take its package; None where there is none."""
        for entry in self.entries:
            folder = join(entry.path, name)
            if name in self.view.names(entry.path) and self.view.is_file(join(folder, "__init__.py")):
                return folder
        place = self.modules.get(name)
        return place if place is not None and self.view.is_folder(place) else None


HARMLESS_PTH = (  # code that is known to add no folder to sys.path
    "SETUPTOOLS_USE_DISTUTILS",  # distutils-precedence.pth of setuptools
    "import _distutils_hack",
    "import _virtualenv",
    "sys._getframe(1).f_locals['sitedir']",  # setuptools' namespace packages: they stand in the same folder
    "COVERAGE_PROCESS_START",
    "coverage.process_startup",
    "COV_CORE_SOURCE",
    "AUTOWRAPT_BOOTSTRAP",
    "import future_fstrings",
    "import apport_python_hook",
)


def assignments(text: str) -> Dict[str, Any]:
    """The module-level names of a Python file that are bound to literals, read without running it.

    `OrderedDict([...])` and `dict(...)` count as literals. A file that is no Python, or too long, gives {}.
    """
    if len(text) > MAX_CODE:
        return {}
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return {}
    found = {}  # type: Dict[str, Any]
    for node in tree.body:
        if isinstance(node, ast.Assign):
            targets, value = node.targets, node.value  # type: List[ast.expr], Any
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            targets, value = [node.target], node.value
        else:
            continue
        try:
            literal = _literal(value)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            continue
        for target in targets:
            if isinstance(target, ast.Name):
                found[target.id] = literal
    return found


def _literal(node: ast.expr) -> Any:
    if isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in ("OrderedDict", "dict") and len(node.args) <= 1:
            value = dict(ast.literal_eval(node.args[0])) if node.args else {}
            value.update({word.arg: ast.literal_eval(word.value) for word in node.keywords if word.arg})
            return value
    return ast.literal_eval(node)


def build_paths(view: View, python: Interpreter, environ: Mapping[str, str], run: Optional[Facts]) -> Paths:
    """sys.path of a normal start: PYTHONPATH, standard library, the venv's, the user's and the base's site-packages."""
    paths = Paths(view)
    for folder in environ.get("PYTHONPATH", "").split(":"):
        if folder.startswith("/"):
            paths.add(folder)
        elif folder:
            view.gap("PYTHONPATH", "relative entry %r depends on the working folder" % folder, PACKAGES)
    if environ.get("PYTHONHOME"):
        view.gap("PYTHONHOME", "set: a normal start takes its library from there", PACKAGES)
    for folder in python.stdlib:
        paths.add(folder)
    debian = "dist-packages" in (view.text(_site_file(python), 1 << 16) or "")
    if python.is_venv:
        for folder in _site_packages(python, python.prefix, debian, True):
            paths.add(folder, site=True)
    if not python.is_venv or python.system_site:
        allowed = run["user_site"] if run is not None else True
        if allowed and not environ.get("PYTHONNOUSERSITE"):
            home = environ.get("HOME") or (run["home"] if run is not None else "/root")
            user = environ.get("PYTHONUSERBASE") or join(home, ".local")
            if user.startswith("/"):
                paths.add(join(user, "lib/%s/site-packages" % python.tag), site=True)
        for folder in _site_packages(python, python.base_prefix, debian, python.is_venv):
            paths.add(folder, site=True)
    return paths


def _site_file(python: Interpreter) -> str:
    for folder in python.stdlib:
        if base(folder) == python.tag:
            return join(folder, "site.py")
    return join(python.base_prefix, "lib/%s/site.py" % python.tag)


def _site_packages(python: Interpreter, prefix: str, debian: bool, is_venv: bool) -> List[str]:
    """What site.getsitepackages() has for a prefix; Debian's own Python has dist-packages in three places."""
    if python.tag.startswith("pypy") and prefix == python.base_prefix:
        return [join(prefix, "site-packages"), join(prefix, "lib/%s/site-packages" % python.tag)]
    if not debian:
        return [join(prefix, "%s/%s/site-packages" % (libdir, python.tag)) for libdir in python.libdirs]
    places = ["lib/%s/site-packages" % python.tag] if is_venv else []
    places += [
        "local/lib/%s/dist-packages" % python.tag,
        "lib/python3/dist-packages",
        "lib/%s/dist-packages" % python.tag,
    ]
    return [join(prefix, place) for place in places]


# 5 --------------------------------------------------------------------------------------------------- distributions


class Distribution:
    """An installed distribution and the folder or file with its metadata (`info`, "" for a conda record)."""

    def __init__(self, name: str, version: Optional[str], location: str, info: str = "") -> None:
        self.name = normalise(name)
        self.version = version
        self.location = location
        self.info = info
        self.installer = None  # type: Optional[str]
        self.build = None  # type: Optional[str]
        self.requires = None  # type: Optional[List[str]]
        self.editable = False
        self.target = ""

    def facts(self) -> Facts:
        """The contract's entry of `software.packages`."""
        facts = {"name": self.name, "location": self.location, "editable": self.editable}  # type: Facts
        for key in ("version", "build", "installer", "requires"):
            if getattr(self, key) is not None:
                facts[key] = getattr(self, key)
        return facts


def normalise(name: str) -> str:
    """A distribution's name as PEP 503 has it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def find_distributions(view: View, python: Interpreter, paths: Paths) -> List[Distribution]:
    """Every distribution on sys.path, in its order (the first of a name is the one in use), then conda's own."""
    found = []  # type: List[Distribution]
    links = set()  # type: Set[str]
    for entry in paths.entries:
        if entry.path.endswith(".egg") and len(found) < MAX_PACKAGES:
            found += _from_egg(view, entry.path)
            continue
        for name in view.names(entry.path, PACKAGES):
            if len(found) >= MAX_PACKAGES:
                view.gap(entry.path, "more than %d distributions" % MAX_PACKAGES, PACKAGES)
                break
            path = join(entry.path, name)
            lower = name.lower()
            if lower.endswith((".dist-info", ".egg-info")):
                one = _from_info(view, entry.path, name)
                found += [one] if one is not None else []
            elif lower.endswith(".egg-link"):
                target = (view.text(path, 1 << 14) or "").split("\n")[0].strip()
                if target.startswith("/"):
                    links.add(normal(target))
                    paths.add(target)
    for one in found:
        if one.location in links:
            one.editable = True
    targets = {one.name: one.target for one in found if one.target}
    found = [one for one in found if one.target or not _is_source(one, targets.get(one.name))]
    return _with_conda(view, python, _without_stale(view, found))


def _without_stale(view: View, found: List[Distribution]) -> List[Distribution]:
    """`found` without records of other versions that an interrupted update left in the same folder.

    Whose files are there, the hashes of a RECORD tell; where none or several fit, all stay, the first one in use.
    """
    places = {}  # type: Dict[Tuple[str, str], List[Distribution]]
    for one in found:
        if one.info and not one.editable:
            places.setdefault((one.location, one.name), []).append(one)
    stale = set()  # type: Set[int]
    for (location, name), several in places.items():
        fitting = [one for one in several if _files_fit(view, one)] if len(several) > 1 else []
        if len(fitting) == 1:
            stale.update(id(one) for one in several if one is not fitting[0])
            view.gap(
                location, "%d versions of %s are recorded; the files are %s" % (len(several), name, fitting[0].version)
            )
    return [one for one in found if id(one) not in stale]


def _files_fit(view: View, one: Distribution) -> bool:
    """Whether the first modules that a RECORD lists are there as it lists them."""
    record = view.text(join(one.info, "RECORD"), 1 << 16) or "" if "RECORD" in view.names(one.info) else ""
    listed = re.findall(r"^([^,\"\n]+\.py),sha256=([\w-]+),([1-9]\d*)$", record, re.M)
    # the versions of a package share most of their small files: what is named after the version decides
    listed.sort(key=lambda row: (not re.search(r"version|__init__", row[0]), row[0].count("/")))
    for path, expected, size in listed[:MAX_HASHED]:
        data = view.read(join(one.location, path), 0, MAX_TEXT)
        digest = base64.urlsafe_b64encode(hashlib.sha256(data or b"").digest()).decode("ascii").rstrip("=")
        if data is None or len(data) != int(size) or digest != expected.rstrip("="):
            return False
    return bool(listed)


def _is_source(one: Distribution, target: Optional[str]) -> bool:
    """Whether an egg-info is only the source side of an editable install that has a dist-info of its own."""
    return (
        target is not None
        and one.info.endswith(".egg-info")
        and (one.location + "/").startswith(target.rstrip("/") + "/")
    )


def _from_info(view: View, folder: str, name: str) -> Optional[Distribution]:
    path = join(folder, name)
    stem = name.rpartition(".")[0]
    if name.startswith("~"):
        view.gap(path, "left over from an interrupted pip run")
        return None
    is_dist_info = name.lower().endswith(".dist-info")
    if is_dist_info:
        text = _metadata(view, join(path, "METADATA"))
    elif view.is_file(path):
        text = _metadata(view, path)
    else:
        text = _metadata(view, join(path, "PKG-INFO"))
    title, _, version = stem.partition("-")
    version = version.split("-py")[0]
    if text is None:
        if not version:
            view.gap(path, "no metadata, and the folder's name has no version", PACKAGES)
            return None
        view.gap(path, "no metadata: name and version are the folder's")
    headers = _headers(text or "")
    understood = bool(headers.get("name") or headers.get("metadata-version"))
    for key, fallback in (("name", title), ("version", version)):
        if text is not None and not headers.get(key):
            view.gap(path, "metadata without a %s%s" % (key, "" if fallback else ", and the folder's name has none"))
            headers[key] = [fallback] if fallback else []
    one = Distribution(
        (headers.get("name") or [title])[0], (headers.get("version") or [version])[0] or None, folder, path
    )
    if understood:  # what is no metadata tells of no requirement
        one.requires = headers.get("requires-dist", [])[:MAX_REQUIRES]
    if is_dist_info:
        _read_dist_info(view, one)
    elif view.is_folder(path):
        if not one.requires and "requires.txt" in view.names(path):
            one.requires = _egg_requires(view.text(join(path, "requires.txt")) or "")
    return one


def _metadata(view: View, path: str) -> Optional[str]:
    """The headers of a METADATA or PKG-INFO file, without the description that may follow them."""
    text = view.text(path, 1 << 14)
    if text is not None and len(text) >= (1 << 14) - 4 and "\n\n" not in text and "\r\n\r\n" not in text:
        text = view.text(path, MAX_HEADERS)
    return text


def _headers(text: str) -> Dict[str, List[str]]:
    found = {}  # type: Dict[str, List[str]]
    last = None  # type: Optional[List[str]]
    for line in text.splitlines():
        if not line.strip():
            break
        if line[0] in " \t":
            if last:
                last[-1] += " " + line.strip()
            continue
        key, colon, value = line.partition(":")
        if colon:
            last = found.setdefault(key.strip().lower(), [])
            last.append(value.strip())
    return found


def _read_dist_info(view: View, one: Distribution) -> None:
    names = view.names(one.info)
    if "INSTALLER" in names:
        one.installer = (view.text(join(one.info, "INSTALLER"), 256) or "").strip().lower() or None
    if "direct_url.json" in names:
        try:
            origin = json.loads(view.text(join(one.info, "direct_url.json"), 1 << 16) or "")
            one.editable = origin.get("dir_info", {}).get("editable") is True
            if one.editable and str(origin.get("url", "")).startswith("file:///"):
                one.target = normal(origin["url"][7:])
        except (ValueError, AttributeError, RecursionError):
            view.gap(join(one.info, "direct_url.json"), "not understood")


def _egg_requires(text: str) -> List[str]:
    """requires.txt of setuptools as Requires-Dist has it: [extra:marker] sections become markers."""
    found = []
    suffix = ""
    for raw in text.splitlines():
        line = raw.strip()
        if line.startswith("[") and line.endswith("]"):
            extra, _, marker = line[1:-1].partition(":")
            parts = ["(%s)" % marker if extra and " or " in marker else marker] if marker else []
            parts += ['extra == "%s"' % extra] if extra else []
            suffix = "; " + " and ".join(parts) if parts else ""
        elif line and not line.startswith("#"):
            found.append(line + suffix)
    return found[:MAX_REQUIRES]


def _from_egg(view: View, path: str) -> List[Distribution]:
    """A folder foo-1.0-py3.11.egg with an EGG-INFO, or a zipped one (its name says all that is read of it)."""
    text = _metadata(view, join(path, "EGG-INFO/PKG-INFO"))
    headers = _headers(text or "")
    title, _, version = base(path)[:-4].partition("-")
    version = version.split("-py")[0]
    one = Distribution(
        (headers.get("name") or [title])[0], (headers.get("version") or [version])[0] or None, path, path
    )
    if text is not None:
        requires = view.text(join(path, "EGG-INFO/requires.txt"))
        one.requires = headers.get("requires-dist") or _egg_requires(requires or "")
    return [one]


def _with_conda(view: View, python: Interpreter, found: List[Distribution]) -> List[Distribution]:
    """Add what conda-meta says: build strings of Python packages, and those that are no Python (cudatoolkit, cudnn)."""
    folder = join(python.prefix, "conda-meta")
    known = {}  # type: Dict[Tuple[str, Optional[str]], Distribution]
    for one in found:
        if one.installer in (None, "conda") and one.location.startswith(python.prefix):
            known.setdefault((one.name, one.version), one)
    for file in view.names(folder, PACKAGES):
        parts = file[:-5].rsplit("-", 2) if file.endswith(".json") else []
        if len(parts) != 3 or len(found) >= MAX_PACKAGES:
            continue
        name, version, build = parts
        package = known.get((normalise(name), version))
        if package is None or package.build is not None:
            package = Distribution(name, version, python.prefix)
            found.append(package)
        package.installer, package.build = "conda", build
    return found


# 6 ------------------------------------------------------------------------------------------- TensorFlow and Keras


def owners_of(view: View, found: Sequence[Distribution], package: str) -> List[Distribution]:
    """The distributions that claim a package's folder, by RECORD or top_level.txt; the likely ones are asked first."""
    folder, name = parent(package), base(package)
    here = [one for one in found if one.info and folder in (one.location, one.target)]
    here += [one for one in found if one.target and folder.startswith(one.target + "/")]
    likely = [one for one in here if re.search(r"tensorflow|keras|^tf|intel", one.name)]
    owners = [one for one in likely if _claims(view, one, name)]
    if not owners:
        owners = [one for one in here if one not in likely and _claims(view, one, name)]
    return owners


def _claims(view: View, one: Distribution, name: str) -> bool:
    names = view.names(one.info)
    if "RECORD" in names:
        text = view.text(join(one.info, "RECORD"), 1 << 16) or ""
        if re.search(r"^\"?%s/" % re.escape(name), text, re.M):
            return True
        if len(text) < (1 << 16) - 8 and not one.editable:
            return False
    if "top_level.txt" in names:
        return name in (view.text(join(one.info, "top_level.txt"), 1 << 14) or "").split()
    if "RECORD" in names and not one.editable:
        text = view.text(join(one.info, "RECORD"), MAX_RECORD) or ""
        return re.search(r"^\"?%s/" % re.escape(name), text, re.M) is not None
    if one.editable:
        return one.name == normalise(name)
    sources = view.text(join(one.info, "SOURCES.txt"), 1 << 16) or ""
    return re.search(r"^(src/)?%s/" % re.escape(name), sources, re.M) is not None


def _own(view: View, facts: Facts, owners: List[Distribution], installed: Optional[str], package: str) -> None:
    """Fill in who owns a package and which version it has; `installed` is the version that its own files tell."""
    names = sorted({one.name for one in owners})
    facts["owners"] = names
    matching = [one for one in owners if installed and one.version and one.version.split("+")[0] == installed]
    chosen = owners[0] if len(names) == 1 else matching[0] if len({one.name for one in matching}) == 1 else None
    if chosen is not None:
        facts["distribution"] = chosen.name
    versions = {one.version for one in owners if one.version}
    if chosen is not None and chosen.version:
        facts["version"] = chosen.version
    elif installed:
        facts["version"] = installed
    elif len(versions) == 1:
        facts["version"] = versions.pop()
    elif versions:
        facts["version"] = {"missing": "several distributions own the folder: %s" % ", ".join(names)}
    else:
        facts["version"] = {"missing": "no distribution owns %s" % package}


def describe_tensorflow(view: View, paths: Paths, found: Sequence[Distribution]) -> Facts:
    """The contract's `software.tensorflow`, from the folder that an import would take; `present` False without one."""
    package = paths.find_package("tensorflow")
    if package is None:
        for entry in paths.entries:
            if "tensorflow" in view.names(entry.path):
                view.gap(
                    join(entry.path, "tensorflow"),
                    "a folder without __init__.py: TensorFlow cannot be imported from it",
                )
        if PACKAGES in view.partial:
            return {}
        facts = {"present": False, "owners": []}  # type: Facts
        _note_missing_files(view, facts, found, "tensorflow")
        return facts
    facts = {"present": True, "path": package}
    owners = owners_of(view, found, package)
    _own(view, facts, owners, _header_version(view, package), package)
    _note_missing_files(view, facts, owners, "tensorflow")
    if "distribution" in facts:
        tag = _platform_tag(view, next(one for one in owners if one.name == facts["distribution"]))
        if tag:
            facts["platform_tag"] = tag
    _read_build_info(view, facts, join(package, "python/platform/build_info.py"))
    return facts


NAMESAKES = ("tensorflow", "keras", "numpy", "h5py", "absl", "google", "packaging", "requests", "wrapt")


def find_shadowed(view: View, paths: Paths) -> List[Facts]:
    """Modules such as numpy.py on the path before the package of that name: an import takes the module."""
    found = []  # type: List[Facts]
    for name in NAMESAKES:
        module = ""
        for entry in paths.entries:
            names = view.names(entry.path)
            if name in names and view.is_file(join(join(entry.path, name), "__init__.py")):
                if module:
                    found.append({"module": name, "path": module, "package": join(entry.path, name)})
                break
            if not module and name + ".py" in names:
                module = join(entry.path, name + ".py")
    return found


def _note_missing_files(view: View, facts: Facts, owners: Sequence[Distribution], name: str) -> None:
    """Modules and libraries of the package's two upper folders that a RECORD lists and that are not there.

    Who removes one of two distributions that share a folder takes the files of the other along; so do an uninstall
    or an installation that stopped half-way. Its own files are not looked for any deeper: a look costs a listing.
    """
    missing = set()  # type: Set[str]
    for one in owners:
        if one.editable or not re.search(r"tensorflow|^tf", one.name) or "RECORD" not in view.names(one.info):
            continue
        record = view.text(join(one.info, "RECORD"), MAX_RECORD) or ""
        listed = re.findall(
            r'^"?((%s/(?:python/)?)[^/,"\n]+\.(?:py|so[.\d]*|pyd|dll))"?,' % re.escape(name), record, re.M
        )
        there = {}  # type: Dict[str, Set[str]]
        for path, folder in listed:
            if folder not in there:
                there[folder] = set(view.names(join(one.location, folder.rstrip("/"))))
            if base(path) not in there[folder]:
                missing.add(path)
                facts.setdefault("distribution", one.name)
    if missing:
        facts["missing_files"] = sorted(missing)[:MAX_MISSING]


def _header_version(view: View, package: str) -> Optional[str]:
    text = view.text(join(package, "include/tensorflow/core/public/version.h"), 1 << 16) or ""
    numbers = dict(re.findall(r"#define\s+TF_(MAJOR|MINOR|PATCH)_VERSION\s+(\d+)", text))
    if len(numbers) != 3:
        return None
    suffix = re.search(r'#define\s+TF_VERSION_SUFFIX\s+"-?([^"\s]*)"', text)
    return "%(MAJOR)s.%(MINOR)s.%(PATCH)s" % numbers + (suffix.group(1) if suffix else "")


def _platform_tag(view: View, one: Distribution) -> Optional[str]:
    """The wheel's platform; of several spellings of one platform the one that names the glibc (manylinux_2_17)."""
    tags = _headers(view.text(join(one.info, "WHEEL"), 1 << 14) or "").get("tag", [])
    platforms = [part for tag in tags for part in tag.rpartition("-")[2].split(".")]
    named = [part for part in platforms if re.match(r"(manylinux|musllinux)_\d", part)]
    return (named or platforms or [None])[0]  # type: ignore[list-item]


def _read_build_info(view: View, facts: Facts, path: str) -> None:
    """CUDA, cuDNN and compute capabilities out of TensorFlow's own record of its build, in all spellings since 1.15."""
    text = view.text(path, 1 << 18)
    if text is None:
        view.gap(path, "TensorFlow's build information is missing")
        return
    names = assignments(text)
    info = names.get("build_info")
    info = dict(names, **info) if isinstance(info, dict) else names
    if not isinstance(info.get("is_cuda_build"), bool):
        view.gap(path, "TensorFlow's build information is not understood")
        return
    facts["cuda_build"] = info["is_cuda_build"]
    for key in ("rocm", "tensorrt"):
        if isinstance(info.get("is_%s_build" % key), bool):
            facts[key + "_build"] = info["is_%s_build" % key]
    for key in ("cuda", "cudnn"):
        version = info.get(key + "_version", info.get(key + "_version_number"))
        if isinstance(version, (str, int, float)) and str(version):
            facts[key + "_version"] = str(version)
    capabilities = info.get("cuda_compute_capabilities")
    if isinstance(capabilities, (list, tuple)):
        facts["compute_capabilities"] = [str(value) for value in capabilities[:100]]


def describe_keras(
    view: View, paths: Paths, found: Sequence[Distribution], environ: Mapping[str, str], run: Optional[Facts]
) -> Facts:
    """The contract's `software.keras`: the package, and the configuration that its import would read."""
    facts = {}  # type: Facts
    package = paths.find_package("keras")
    if package is not None:
        facts = {"present": True, "path": package}
        _own(view, facts, owners_of(view, found, package), None, package)
    elif PACKAGES not in view.partial:
        facts = {"present": False, "owners": []}
    legacy = [one for one in found if one.name == "tf-keras"]
    if legacy and legacy[0].version:
        facts["tf_keras"] = legacy[0].version
    facts["legacy"] = environ.get("TF_USE_LEGACY_KERAS") in ("true", "True", "1")
    home = environ.get("HOME") or (run["home"] if run is not None else "/root")
    folder = environ.get("KERAS_HOME") or join(home, ".keras")
    path = join(folder, "keras.json")
    settings = {}  # type: Any
    text = view.text(path, 1 << 16)
    if text is not None:
        facts["config"] = path
        try:
            settings = json.loads(text)
        except (ValueError, RecursionError):
            view.gap(path, "not JSON: Keras takes its defaults")
    if not isinstance(settings, dict):
        settings = {}
    for key, kind, default in (
        ("backend", str, "tensorflow"),
        ("floatx", str, "float32"),
        ("epsilon", (float, int), 1e-7),
        ("image_data_format", str, "channels_last"),
    ):  # type: str, Any, Any
        value = settings.get(key)
        facts[key] = value if isinstance(value, kind) and not isinstance(value, bool) else default
    if environ.get("KERAS_BACKEND"):
        facts["backend"] = environ["KERAS_BACKEND"]
    return facts


# 7 ------------------------------------------------------------------------------------------------------ the loader

LIBRARIES = "software.cuda.libraries"
CACHE_FLAGS = {"i386": 0x0003, "x86_64": 0x0303, "aarch64": 0x0A03, "ppc64le": 0x0503, "s390x": 0x0403, "arm": 0x0903}
MULTIARCH = {"i386": "i386-linux-gnu", "ppc64le": "powerpc64le-linux-gnu", "arm": "arm-linux-gnueabihf"}
HWCAPS = (
    ("x86-64-v4", {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}),
    ("x86-64-v3", {"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe"}),
    ("x86-64-v2", {"cx16", "popcnt", "sse4_1", "sse4_2", "ssse3"}),
)


def hwcaps_of(flags: Iterable[str]) -> List[str]:
    """The glibc-hwcaps folders that a processor with these flags (Linux spelling) uses, best first."""
    have = set(flags)
    usable = []  # type: List[str]
    for name, needed in reversed(HWCAPS):
        if not needed <= have:
            break
        usable.insert(0, name)
    return usable


def parse_cache(data: bytes, machine: str, hwcaps: Sequence[str]) -> Dict[str, List[str]]:
    """The names in an ld.so.cache (old, new and combined format) and their paths, in the order of the loader."""
    found = {}  # type: Dict[str, List[str]]
    wanted = CACHE_FLAGS.get(machine)
    start = data.find(b"glibc-ld.so.cache1.1", 0, 1 << 24)
    try:
        if start >= 0:
            order = ">" if data[start + 28] & 3 == 3 else "<"
            count = struct.unpack_from(order + "I", data, start + 20)[0]
            extension = struct.unpack_from(order + "I", data, start + 32)[0]
            names = _cache_hwcaps(data, extension, start, order) if extension else []
            rows = [struct.unpack_from(order + "IIIIQ", data, start + 48 + 24 * i) for i in range(min(count, 100000))]
            strings = start
        elif data.startswith(b"ld.so-1.7.0"):
            count = struct.unpack_from("<I", data, 12)[0]
            rows = [(*struct.unpack_from("<III", data, 16 + 12 * i), 0, 0) for i in range(min(count, 100000))]
            names = []
            strings = 16 + 12 * count
        else:
            return {}
    except (struct.error, IndexError):
        return {}
    for flags, key, value, _os, hwcap in rows:
        if wanted is not None and flags & 0xFFFF != wanted:
            continue
        if hwcap:
            index = hwcap & 0xFFFFFFFF
            if not hwcap >> 62 & 1 or index >= len(names) or names[index] not in hwcaps:
                continue
        found.setdefault(_cstring(data, strings + key), []).append(_cstring(data, strings + value))
    return found


def _cache_hwcaps(data: bytes, extension: int, start: int, order: str) -> List[str]:
    """The names of the glibc-hwcaps levels in a cache; the extension's offsets count from the start of the file."""
    magic, count = struct.unpack_from(order + "II", data, extension)
    if magic != 0xEAA42174:
        return []
    for index in range(min(count, 64)):
        tag, _flags, offset, size = struct.unpack_from(order + "IIII", data, extension + 8 + 16 * index)
        if tag == 1:
            places = struct.unpack_from(order + "%dI" % (min(size, 4096) // 4), data, offset)
            return [_cstring(data, start + place) for place in places]
    return []


def _cstring(data: bytes, at: int) -> str:
    end = data.find(b"\0", at, at + 8192)
    return data[at : end if end >= 0 else at].decode("utf-8", "surrogateescape")


class Loader:
    """Where dlopen in a TensorFlow process looks for a library, in the order of ld.so(8) or of musl.

    For glibc: DT_RPATH of the caller and of its loaders up to the executable, unless the caller has a DT_RUNPATH;
    LD_LIBRARY_PATH; DT_RUNPATH of the caller alone; ld.so.cache; default folders; glibc-hwcaps below each of them.
    """

    def __init__(
        self,
        view: View,
        program: Tuple[str, Optional[Elf]],
        callers: Sequence[str],
        environ: Mapping[str, str],
        hwcaps: Sequence[str] = (),
    ) -> None:
        self.view = view
        self.hwcaps = list(hwcaps)
        executable_path, executable = program
        chain = [(path, view.elf(path)) for path in callers]
        first = next((elf for _path, elf in chain if elf is not None), executable)
        self.machine = first.machine if first is not None else ""
        self.bits = first.bits if first is not None else 0
        self.musl = bool(executable and executable.interpreter and "ld-musl" in executable.interpreter)
        self.origin = parent(executable_path)
        self.library_path = self._expand_all(environ.get("LD_LIBRARY_PATH", "").replace(";", ":"), self.origin)
        self.before = []  # type: List[str]
        self.runpath = []  # type: List[str]
        self.cache = {}  # type: Dict[str, List[str]]
        own = self._expand_all(executable.rpath, self.origin) if executable and executable.runpath is None else []
        self.inherited = own
        self.has_caller = any(elf is not None for _path, elf in chain)
        opener = next((elf for _path, elf in chain if elf is not None), None)
        if opener is None or opener.runpath is None:
            for path, elf in chain:
                if elf is not None and elf.runpath is None:
                    self.before += self._expand_all(elf.rpath, parent(path))
            self.before += own
        for path, elf in chain:
            if elf is not None:
                self.runpath += self._expand_all(elf.runpath, parent(path))
        self.before, self.runpath = _unique(self.before), _unique(self.runpath)
        self.defaults = self._default_folders()
        if not self.musl:
            data = view.read("/etc/ld.so.cache", 0, 16 << 20)
            if data is not None:
                self.cache = parse_cache(data, self.machine, self.hwcaps)
                if not self.cache:
                    view.gap("/etc/ld.so.cache", "not understood", LIBRARIES)
            else:
                configured = _unique(self._configured("/etc/ld.so.conf", 0))
                if configured:
                    view.derived.add(LIBRARIES)
                self.defaults = configured + self.defaults
        self._found = {}  # type: Dict[str, List[str]]

    def _expand_all(self, value: Optional[str], origin: str) -> List[str]:
        folders = []
        for part in (value or "").split(":"):
            folder = part.replace("${ORIGIN}", "$ORIGIN").replace("$ORIGIN", origin)
            lib = "lib/" + _multiarch(self.machine) if self.view.is_file("/etc/debian_version") else "lib64"
            folder = folder.replace("${LIB}", "$LIB").replace("$LIB", lib).replace("${PLATFORM}", "$PLATFORM")
            folder = folder.replace("$PLATFORM", self.machine)
            if folder.startswith("/"):
                folders.append(normal(folder))
            elif part:
                self.view.gap(part, "a relative folder in the loader's path depends on the working folder", LIBRARIES)
        return folders

    def _default_folders(self) -> List[str]:
        if self.musl:
            text = self.view.text("/etc/ld-musl-%s.path" % self.machine, 1 << 14)
            return (
                [p for p in re.split(r"[:\n]", text) if p.startswith("/")]
                if text
                else ["/lib", "/usr/local/lib", "/usr/lib"]
            )
        multiarch = _multiarch(self.machine)
        folders = []
        if self.view.is_folder("/usr/lib/" + multiarch):
            folders = ["/lib/" + multiarch, "/usr/lib/" + multiarch]
        elif self.bits == 64:
            folders = ["/lib64", "/usr/lib64"]
        return [*folders, "/lib", "/usr/lib"]

    def _configured(self, path: str, depth: int) -> List[str]:
        """The folders of ld.so.conf with its includes: what the next ldconfig will put into the cache."""
        folders = []  # type: List[str]
        for line in (self.view.text(path, 1 << 16) or "").splitlines()[:1000]:
            words = line.partition("#")[0].split()
            if len(words) == 2 and words[0] == "include" and depth < 4:
                place = join(parent(path), words[1])
                pattern = re.compile("^" + re.escape(base(place)).replace("\\*", ".*").replace("\\?", ".") + "$")
                for name in self.view.names(parent(place)):
                    if pattern.match(name):
                        folders += self._configured(join(parent(place), name), depth + 1)
            elif len(words) == 1 and words[0].startswith("/"):
                folders.append(words[0].partition("=")[0])
        return folders

    def stages(self) -> List[Tuple[str, List[str]]]:
        """(stage, folders) in the order of the search; the cache, which knows files and no folders, is left out."""
        if self.musl:
            return [("LD_LIBRARY_PATH", self.library_path), ("RPATH", _unique(self.before + self.runpath))]
        return [("RPATH", self.before), ("LD_LIBRARY_PATH", self.library_path), ("RUNPATH", self.runpath)]

    def places(self, name: str) -> List[Tuple[str, str]]:
        """(path, stage) of every file of that name on the loader's way, first the one that is taken."""
        places = []  # type: List[Tuple[str, str]]
        for stage, folders in self.stages():
            places += [(path, stage) for path in self._in(folders, name)]
        places += [(path, "cache") for path in self.cache.get(name, []) if self.view.is_file(path)]
        places += [(path, "default") for path in self._in(self.defaults, name)]
        seen = set()  # type: Set[str]
        unique = []
        for path, stage in places:
            real = self.view.real(path)
            if real not in seen:
                seen.add(real)
                unique.append((path, stage))
        return unique

    def _in(self, folders: Iterable[str], name: str) -> List[str]:
        found = []
        for folder in folders:
            names = self.view.names(folder)
            if "glibc-hwcaps" in names and not self.musl:
                for level in self.hwcaps:
                    place = join(folder, "glibc-hwcaps/" + level)
                    if name in self.view.names(place) and self.view.is_file(join(place, name)):
                        found.append(join(place, name))
            if name in names and self.view.is_file(join(folder, name)):
                found.append(join(folder, name))
        return found

    def fits(self, elf: Optional[Elf]) -> bool:
        """Whether a file is for this machine; the loader passes over files of another class or machine."""
        return elf is not None and (not self.machine or (elf.machine, elf.bits) == (self.machine, self.bits))

    def finds(self, name: str, caller_path: str, caller: Elf) -> bool:
        """Whether a library that a loaded object needs can be found, from that object's place."""
        if name.startswith(("ld-linux", "ld-musl", "ld64", "libc.musl")):
            return True
        own = self._expand_all(caller.runpath if caller.runpath is not None else caller.rpath, parent(caller_path))
        if any(self.fits(self.view.elf(path)) for path in self._in(own, name)):
            return True
        if caller.runpath is None and any(self.fits(self.view.elf(path)) for path in self._in(self.inherited, name)):
            return True
        if name not in self._found:
            folders = self.library_path + (self.before if not self.has_caller else [])
            found = self._in(folders, name) + self.cache.get(name, []) + self._in(self.defaults, name)
            self._found[name] = [path for path in found if self.fits(self.view.elf(path))]
        return bool(self._found[name])


def _multiarch(machine: str) -> str:
    return MULTIARCH.get(machine, machine + "-linux-gnu")


def _unique(values: Iterable[str]) -> List[str]:
    seen = set()  # type: Set[str]
    return [value for value in values if not (value in seen or seen.add(value))]  # type: ignore[func-returns-value]


def tensorflow_callers(view: View, package: Optional[str]) -> List[str]:
    """The objects of TensorFlow that open CUDA, the one that has dlopen in all releases first."""
    if package is None:
        return []
    found = [join(package, name) for name in view.names(package) if re.match(r"libtensorflow_framework\.so", name)]
    found += [join(package, name) for name in view.names(package) if re.match(r"libtensorflow_cc\.so", name)]
    for name in ("lib_pywrap_tensorflow_common.so", "_pywrap_tensorflow_internal.so"):
        if name in view.names(join(package, "python")):
            found.append(join(package, "python/" + name))
    return found


# 8 ------------------------------------------------------------------------------------------------------------ CUDA

FAMILY = re.compile(
    r"^lib(cuda|cudart|cublas|cublasLt|cudnn\w*|cufft|curand|cusolver|cusolverMg|cusparse|nccl|nvrtc|nvrtc-builtins"
    r"|nvJitLink|cupti|nvinfer\w*|nvshmem_host)\.so(\.[0-9]+)*$"
)
COMPONENTS = {  # keys of a toolkit's version.json that give a library's own version
    "libcudart": "cuda_cudart",
    "libcublas": "libcublas",
    "libcublasLt": "libcublas",
    "libcufft": "libcufft",
    "libcurand": "libcurand",
    "libcusolver": "libcusolver",
    "libcusparse": "libcusparse",
    "libnvrtc": "cuda_nvrtc",
    "libnvJitLink": "libnvjitlink",
    "libcupti": "cuda_cupti",
}


class Environment(NamedTuple):
    """A Python environment; `tensorflow` is the contract's section, {} where nothing is known."""

    python: Optional[Interpreter]
    paths: Paths
    found: List[Distribution]
    tensorflow: Facts


class Cuda:
    """Toolkits, wheels, libraries, ptxas and libdevice of one environment."""

    def __init__(self, view: View, where: Environment, loader: Loader, environ: Mapping[str, str]) -> None:
        self.view = view
        self.where = where
        self.loader = loader
        self.environ = environ
        self.wheels = self._wheel_files()
        self.toolkits = self._find_toolkits()
        self.libraries = []  # type: List[Facts]

    def describe(self) -> Facts:
        """The contract's `software.cuda`."""
        self.libraries = self._find_libraries()
        facts = {
            "toolkits": [
                {key: value for key, value in kit.items() if key in ("path", "version")} for kit in self.toolkits
            ],
            "libraries": self.libraries,
            "cudnn_version": self._cudnn_version(),
        }  # type: Facts
        for program in ("ptxas", "nvcc"):
            path = self._find_tool(program)
            facts[program + "_version"] = self._tool_version(path) if path is not None else False
            if path is not None:
                facts[program + "_path"] = path
        facts["libdevice"] = self._libdevice()
        self._compat(facts)
        return facts

    def _wheel_files(self) -> Dict[str, Distribution]:
        """real path → distribution, for libraries and programs of nvidia wheels, by their RECORD."""
        owners = {}  # type: Dict[str, Distribution]
        for one in self.where.found:
            if not one.info or not re.match(r"^(nvidia|tensorrt|cuda|triton-nvidia)-", one.name + "-"):
                continue
            text = self.view.text(join(one.info, "RECORD"), MAX_RECORD) or ""
            for line in text.splitlines():
                path = line.partition(",")[0].strip('"')
                if ".so" in path or path.endswith((".bc", "/ptxas", "/nvcc")):
                    place = normal(join(one.location, path))
                    try:
                        owners[self.view.real(place)] = one
                    except (OSError, ValueError):
                        self.view.gap(place, "named in RECORD, and not there")
        return owners

    def _find_toolkits(self) -> List[Facts]:
        """CUDA toolkits outside the environment: usual places, CUDA_HOME and its like, once each."""
        places = [self.environ.get(name, "") for name in ("CUDA_HOME", "CUDA_PATH", "CUDA_ROOT")]
        places.append("/usr/local/cuda")
        places += [join("/usr/local", name) for name in self.view.names("/usr/local") if name.startswith("cuda-")][:100]
        places += [join("/opt", name) for name in self.view.names("/opt") if re.match(r"cuda(-[\d.]+)?$", name)]
        places.append("/usr/lib/cuda")
        kits = []  # type: List[Facts]
        seen = set()  # type: Set[str]
        for place in places:
            if not place.startswith("/"):
                continue
            try:
                real = self.view.real(place)
            except (OSError, ValueError):
                continue
            parts = set(self.view.names(real)) & {
                "bin",
                "lib64",
                "lib",
                "nvvm",
                "version.json",
                "version.txt",
                "include",
            }
            if real in seen or real == "/usr" or not parts:
                continue
            seen.add(real)
            kit = {"path": real, "components": {}}  # type: Facts
            self._toolkit_version(kit)
            kits.append(kit)
        return kits

    def _toolkit_version(self, kit: Facts) -> None:
        text = self.view.text(join(kit["path"], "version.json"), 1 << 18)
        if text is not None:
            try:
                data = json.loads(text)
                kit["components"] = {
                    key: value["version"]
                    for key, value in data.items()
                    if isinstance(value, dict) and isinstance(value.get("version"), str)
                }
            except (ValueError, AttributeError, RecursionError):
                self.view.gap(join(kit["path"], "version.json"), "not understood")
        version = kit["components"].get("cuda")
        if version is None:
            text = self.view.text(join(kit["path"], "version.txt"), 4096) or ""
            match = re.search(r"CUDA Version (\d+[\d.]*\d)", text) or re.search(r"cuda-(\d+\.\d+)$", kit["path"])
            if match is None:
                text = self.view.text(join(kit["path"], "include/cuda.h"), 1 << 16) or ""
                number = re.search(r"#define\s+CUDA_VERSION\s+(\d+)", text)
                version = (
                    "%d.%d" % (int(number.group(1)) // 1000, int(number.group(1)) % 1000 // 10) if number else None
                )
            else:
                version = match.group(1)
        if version is not None:
            kit["version"] = version

    def _extra_folders(self) -> List[str]:
        """Folders with CUDA libraries that the loader need not know: wheels, toolkits, conda, compat, WSL."""
        folders = []
        for entry in self.where.paths.entries:
            names = self.view.names(entry.path)
            if "nvidia" in names:
                for name in self.view.names(join(entry.path, "nvidia"))[:500]:
                    folders.append(join(entry.path, "nvidia/%s/lib" % name))
            folders += [join(entry.path, name) for name in ("tensorrt", "tensorrt_libs") if name in names]
        for kit in self.toolkits:
            places = ["lib64", "lib", "extras/CUPTI/lib64", "compat"]
            places += ["targets/%s/lib" % name for name in self.view.names(join(kit["path"], "targets"))[:20]]
            folders += [join(kit["path"], place) for place in places]
        for name in self.view.names("/usr/local"):
            if name.startswith("cuda"):
                folders.append(join("/usr/local", name + "/compat"))
        if self.where.python is not None and self.view.is_folder(join(self.where.python.prefix, "conda-meta")):
            folders.append(join(self.where.python.prefix, "lib"))
        folders += ["/usr/local/nvidia/lib64", "/usr/local/nvidia/lib", "/usr/lib/wsl/lib", "/usr/lib64", "/usr/lib"]
        if self.loader.machine:
            folders.append("/usr/lib/" + _multiarch(self.loader.machine))
        return _unique(folders)

    def _find_libraries(self) -> List[Facts]:
        """Every CUDA library, those that the loader finds first, in its order."""
        on_path = {}  # type: Dict[str, List[Tuple[str, str]]]
        names = {name for name in self.loader.cache if FAMILY.match(name)}
        searched = [folder for _stage, folders in self.loader.stages() for folder in folders] + self.loader.defaults
        for folder in searched:
            names.update(name for name in self.view.names(folder) if name.startswith("lib") and FAMILY.match(name))
        if len(names) > MAX_LIBRARIES:
            self.view.gap("/", "more than %d names of CUDA libraries" % MAX_LIBRARIES, LIBRARIES)
        for name in sorted(names)[:MAX_LIBRARIES]:
            on_path[name] = self.loader.places(name)
        taken = {self.view.real(path) for places in on_path.values() for path, _stage in places}
        off_path = {}  # type: Dict[str, List[str]]
        for folder in self._extra_folders():
            for name in self.view.names(folder):
                path = join(folder, name)
                if len(off_path) >= MAX_LIBRARIES or not FAMILY.match(name):
                    continue
                if self.view.is_file(path) and self.view.real(path) not in taken:
                    off_path.setdefault(name, []).append(path)
        self.loaded = {
            name
            for name, places in on_path.items()
            if any(self.loader.fits(self.view.elf(path)) for path, _stage in places)
        }
        found = []  # type: List[Facts]
        for name in sorted(on_path):
            entries = [self._library(name, path) for path, _stage in on_path[name]]
            for order, (_path, stage) in enumerate(on_path[name]):
                entry = entries[order]
                if entry is not None:
                    entry.update(on_path=True, order=order, stage=stage)
                    if order == 0 and len(entries) > 1:
                        entry["shadows"] = [path for path, _stage in on_path[name][1:]]
                    found.append(entry)
        seen = set()  # type: Set[Tuple[str, str]]
        for name in sorted(off_path):
            for path in off_path[name]:
                entry = self._library(name, path)
                if entry is not None and (name, self.view.real(path)) not in seen:
                    seen.add((name, self.view.real(path)))
                    entry["on_path"] = False
                    found.append(entry)
        return found

    def _library(self, name: str, path: str) -> Optional[Facts]:
        """One library under one of its names; None for those that no program opens it by (libfoo.so, full versions)."""
        elf = self.view.elf(path)
        real = self.view.real(path)
        soname = elf.soname if elf is not None and elf.soname else None
        if soname and name != soname and (name.startswith(soname + ".") or soname.startswith(name + ".")):
            return None
        if soname is None and name.endswith(".so"):
            return None
        facts = {"soname": name, "path": path, "origin": self._origin(path, real, name)}  # type: Facts
        version = self._library_version(name.partition(".so")[0], real)
        if version is not None:
            facts["version"] = version
        if soname and name != soname:
            facts["alias_of"] = soname
        missing = []
        if elf is not None and self.loader.fits(elf):
            missing = [
                need for need in elf.needed if need not in self.loaded and not self.loader.finds(need, path, elf)
            ]
        facts["loadable"] = self.loader.fits(elf) and not missing
        if missing:
            facts["needs"] = missing[:50]
        elif elf is None:
            facts["why"] = "not an ELF file, or cut off"
        elif not self.loader.fits(elf):
            facts["why"] = "built for %s (%d bit)" % (elf.machine, elf.bits)
        return facts

    def _origin(self, path: str, real: str, name: str) -> str:
        if real in self.wheels or any(
            path.startswith(entry.path + "/") for entry in self.where.paths.entries if entry.site
        ):
            return "wheel"
        if name.startswith("libcuda.") and ("/compat/" in real or "/compat/" in path):
            return "compat"
        if self.where.python is not None and self.where.python.prefix != "/usr":
            if path.startswith(self.where.python.prefix + "/") and self.view.is_folder(
                join(self.where.python.prefix, "conda-meta")
            ):
                return "conda"
        return "system"

    def _library_version(self, stem: str, real: str) -> Optional[str]:
        """A library's own version: of its wheel, in the real file's name, or of the toolkit or headers beside it."""
        if real in self.wheels:
            return self.wheels[real].version
        digits = base(real).partition(".so.")[2]
        if digits.count(".") >= 2 or (digits.count(".") == 1 and not stem.startswith("libcudart")):
            return digits
        for kit in self.toolkits:
            if real.startswith(kit["path"] + "/"):
                version = kit["components"].get(COMPONENTS.get(stem, ""))
                if version is None and stem in ("libcudart", "libcupti", "libnvrtc", "libnvJitLink"):
                    version = kit.get(
                        "version"
                    )  # these four are numbered like the toolkit; cuBLAS and its like are not
                if isinstance(version, str):
                    return version
        if stem.startswith("libcudnn"):
            return self._cudnn_header(real)
        return None

    def _cudnn_header(self, real: str) -> Optional[str]:
        for folder in (
            join(parent(parent(real)), "include"),
            "/usr/include",
            "/usr/include/" + _multiarch(self.loader.machine),
        ):
            for name in ("cudnn_version.h", "cudnn.h"):
                text = self.view.text(join(folder, name), 1 << 16) or ""
                numbers = dict(re.findall(r"#define\s+CUDNN_(MAJOR|MINOR|PATCHLEVEL)\s+(\d+)", text))
                if len(numbers) == 3:
                    return "%(MAJOR)s.%(MINOR)s.%(PATCHLEVEL)s" % numbers
        return None

    def _cudnn_version(self) -> Any:
        """The cuDNN that would be loaded, else one that is only there; False where there is none."""
        found = [entry for entry in self.libraries if re.match(r"libcudnn\.so\.\d+$", entry["soname"])]
        found.sort(key=lambda entry: (not entry["on_path"], not entry["loadable"], entry.get("order", 0)))
        if not found:
            return {"missing": "the list of libraries is incomplete"} if LIBRARIES in self.view.partial else False
        return found[0].get("version", {"missing": "the version of %s cannot be told" % found[0]["path"]})

    def cuda_roots(self) -> List[str]:
        """Where XLA looks for nvvm/libdevice and bin/ptxas, in its order (CandidateCudaRoots of tsl).

        The folder of the build (`/usr/local/cuda-12.2`) is compiled in. The environment's prefix is a root since 2.19
        (its text stands in the libraries of 2.19, 2.20 and 2.21, not of 2.15 and 2.18), and in conda's own builds.
        """
        roots = []
        match = re.search(r"--xla_gpu_cuda_data_dir=(\"[^\"]*\"|'[^']*'|\S+)", self.environ.get("XLA_FLAGS", ""))
        if match and match.group(1).strip("\"'").startswith("/"):
            roots.append(normal(match.group(1).strip("\"'")))
        tensorflow = self.where.tensorflow
        built = re.match(r"\d+\.\d+", tensorflow.get("cuda_version", ""))
        if built:
            roots.append("/usr/local/cuda-" + built.group(0))
        roots += ["/usr/local/cuda", "/opt/cuda"]
        package = tensorflow.get("path")
        if package is not None:
            site = parent(package)
            roots += [join(site, "nvidia/cuda_nvcc"), join(parent(site), "nvidia/cuda_nvcc"), join(package, "cuda")]
            release = re.match(r"(\d+)\.(\d+)", str(tensorflow.get("version")))
            own = any(one.name == "tensorflow" and one.installer == "conda" for one in self.where.found)
            if own or (release and (int(release.group(1)), int(release.group(2))) >= (2, 19)):
                roots.append(parent(parent(parent(site))))
        return _unique(roots)

    def _libdevice(self) -> Any:
        for root in self.cuda_roots():
            folder = join(root, "nvvm/libdevice")
            for name in self.view.names(folder):
                if re.match(r"libdevice(\.\d+)?(\.compute_\d+\.\d+)?\.bc$", name):
                    return join(folder, name)
        return False

    def _find_tool(self, program: str) -> Optional[str]:
        """The ptxas or nvcc that XLA would start: of its own option, of PATH, then of its other roots."""
        roots = self.cuda_roots()
        named = roots[:1] if "--xla_gpu_cuda_data_dir" in self.environ.get("XLA_FLAGS", "") else []
        places = [join(root, "bin/" + program) for root in named]
        places += [join(folder, program) for folder in self.environ.get("PATH", "").split(":") if folder[:1] == "/"]
        places += [join(root, "bin/" + program) for root in roots]
        return next((path for path in places if self.view.is_file(path)), None)

    def _tool_version(self, path: str) -> Any:
        real = self.view.real(path)
        if real in self.wheels and self.wheels[real].version:
            return self.wheels[real].version
        for kit in self.toolkits:
            if real.startswith(kit["path"] + "/"):
                version = kit["components"].get("cuda_nvcc")
                if isinstance(version, str):
                    return version
        if self.where.python is not None and real.startswith(self.where.python.prefix + "/"):
            for one in self.where.found:
                if (
                    one.installer == "conda"
                    and one.name in ("cuda-nvcc-tools", "cuda-nvcc", "cuda-nvcc-impl")
                    and one.version
                ):
                    return one.version
        script = self.view.read(path, 0, 4096) or b""
        wrapped = re.search(rb"^exec\s+\"?(/[\w./+-]+)", script, re.M) if script[:2] == b"#!" else None
        if wrapped:
            path = wrapped.group(1).decode()
        found = find_in_rodata(
            self.view, path, re.compile(rb"Cuda compilation tools, release \d+\.\d+, V(\d+\.\d+\.\d+)")
        )
        if len(found) == 1:
            return found.pop().decode()
        return {"missing": "the version of %s cannot be told without running it" % path}

    def _compat(self, facts: Facts) -> None:
        """The libcuda that an image brings itself, and the driver branches that its ELF note allows."""
        facts["compat_driver"] = False
        for entry in self.libraries:
            if entry["origin"] == "compat":
                facts["compat_driver"] = entry.get("version", {"missing": "the version of its libcuda cannot be told"})
                note = fwd_compatibility(self.view, entry["path"])
                if note is not None:
                    drivers = note.get("driver", note.get("Driver"))
                    if isinstance(drivers, list):
                        facts["compat_drivers"] = [number for number in drivers[:200] if isinstance(number, int)]
                return


def fwd_compatibility(view: View, path: str) -> Optional[Facts]:
    """The JSON in the note `.note.cuda.fwd_compatibility` of a cuda-compat libcuda; None where it has none."""
    elf = view.elf(path)
    for offset, length in elf.notes if elf is not None else []:
        data = view.read(path, offset, min(length, 1 << 16)) or b""
        match = re.search(rb"\{[^\0]*\}", data)
        if match:
            try:
                note = json.loads(match.group(0).decode("utf-8", "replace"))
            except (ValueError, RecursionError):
                continue
            if isinstance(note, dict):
                return note
    return None


# 9 -------------------------------------------------------------------------------- system and environment variables


def describe_distribution(view: View) -> Facts:
    """id, version and name of the Linux distribution, by os-release."""
    text = view.text("/etc/os-release", 1 << 16)
    if text is None:
        text = view.text("/usr/lib/os-release", 1 << 16)
    if text is None:
        return {}
    pairs = {}
    for line in text.splitlines():
        key, equals, value = line.strip().partition("=")
        if equals:
            pairs[key] = value.strip().strip("\"'")
    facts = {
        "id": pairs.get("ID", "linux"),
        "version": pairs.get("VERSION_ID", ""),
        "name": pairs.get("PRETTY_NAME", ""),
    }
    return {key: value for key, value in facts.items() if value}


def describe_libc(view: View, python: Optional[Interpreter], loader: Loader, run: Optional[Facts]) -> Facts:
    """Which C library, and its version: what confstr says in run mode, else the text in the library itself."""
    if run is not None and run["libc"] and run["libc"].startswith("glibc "):
        return {"name": "glibc", "version": run["libc"][6:]}
    musl = python.elf.interpreter if python is not None and python.elf is not None else None
    if not musl or "ld-musl" not in musl:
        names = [join("/lib", name) for name in view.names("/lib") if name.startswith("ld-musl-")]
        has_glibc = bool(loader.cache) or any("libc.so.6" in view.names(folder) for folder in loader.defaults)
        musl = names[0] if names and not has_glibc and python is None else None
    if musl:
        found = find_in_rodata(view, musl, re.compile(rb"\0(1\.[0-9]{1,2}\.[0-9]{1,2})\0"))
        return {"name": "musl", "version": found.pop().decode()} if len(found) == 1 else {"name": "musl"}
    for path in loader.cache.get("libc.so.6", []) + [join(folder, "libc.so.6") for folder in loader.defaults]:
        if not view.is_file(path):
            continue
        match = re.match(r"libc-(\d+\.\d+)\.so$", base(view.real(path)))
        if match:
            return {"name": "glibc", "version": match.group(1)}
        found = find_in_rodata(view, path, re.compile(rb"GNU C Library [^\0\n]{0,200}?version (\d+\.\d+)"))
        return {"name": "glibc", "version": found.pop().decode()} if len(found) == 1 else {"name": "glibc"}
    return {}


ALLOWED = re.compile(
    r"^(?!TF_(CONFIG|CLI|VAR|LOG$|LOG_PATH|INPUT|DATA_DIR$|WORKSPACE|TOKEN|PLUGIN))"  # a cluster's hosts; Terraform
    r"(CUDA|NVIDIA|NV|NCCL|CUBLAS|CUDNN|TF|TF2|XLA|KERAS|TENSORFLOW|OMP|KMP|GOMP|MKL|ONEDNN|DNNL|OPENBLAS|TENSORRT)_\w+$"
    r"|^(LD_LIBRARY_PATH|LD_PRELOAD|PYTHONPATH|PYTHONHOME|PYTHONHASHSEED|PYTHONNOUSERSITE|PYTHONUSERBASE|PYTHONOPTIMIZE"
    r"|CONDA_PREFIX|CONDA_DEFAULT_ENV|VIRTUAL_ENV)$"
)
FORBIDDEN_NAME = re.compile(
    r"TOKEN|SECRET|PASSW|PWD|CREDENTIAL|AUTH|APIKEY|KEY(?!RAS)|COOKIE|SESSION|PRIVATE",
    re.I,
)
USERINFO = re.compile(r"(\b[a-zA-Z][\w+.-]{0,20}://)[^/?#\s]*@")  # up to the last @: a password may hold one
PARAMETER = re.compile(
    r"([?&;](?:[\w-]{0,20}(?:token|signature|password|passwd|secret|credential)|sig|key|api_?key)=)[^&;\s\"']+", re.I
)
TOKEN = re.compile(
    r"\b(?:gh[opsur]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{20,}|hf_[A-Za-z0-9]{20,}|sk-[A-Za-z0-9_-]{32,}"
    r"|xox[abp]-[\w-]{10,}|A[KS]IA[A-Z0-9]{16}|nvapi-[\w-]{20,}|dop_v1_\w{20,}|npm_[A-Za-z0-9]{20,}|pypi-AgE[\w-]{16,}"
    r"|eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]*)"
)
SECRET_VALUE = re.compile(
    r"://[^/\s@]+@|[?&;](token|key|sig|signature|password|secret|access_token|api_key)=[^&\s]"
    r"|\b(gh[opsu]_|github_pat_|glpat-|hf_|sk-|xox[abp]-|AKIA|ASIA|nvapi-|dop_v1_|npm_|pypi-)[A-Za-z0-9_-]{8,}"
    r"|\beyJ[A-Za-z0-9_-]{10,}\.|-----BEGIN",
)
OPAQUE = re.compile(r"(?<![A-Za-z0-9_./-])[A-Za-z0-9+_-]{32,}={0,2}(?![A-Za-z0-9_./-])")
DEVICE_ID = re.compile(r"\b(?:GPU|MIG|MIG-GPU)-[0-9a-fA-F-]{30,}(?:/\d+/\d+)?")


def looks_secret(name: str, value: str) -> bool:
    """Whether a variable must not leave the machine, by its name or by what its value looks like."""
    if FORBIDDEN_NAME.search(name) or SECRET_VALUE.search(value):
        return True
    for word in OPAQUE.findall(DEVICE_ID.sub("", value)):
        mixed = re.search(r"[a-z]", word) and re.search(r"[A-Z]", word) and re.search(r"\d", word)
        if mixed or re.match(r"^[0-9a-fA-F]{32,}$", word):
            return True
    return False


def describe_environment(view: View, environ: Mapping[str, str]) -> Dict[str, str]:
    """The variables on the allow-list; what looks like a secret is left out and noted by its name only."""
    found = {}
    for name in sorted(environ):
        if not ALLOWED.match(name):
            continue
        value = str(environ[name])[: MAX_STRING * 4]
        if looks_secret(name, value):
            view.gap("software.environment." + name, "left out: it looks like a secret", "software.environment")
            continue
        found[name] = value
    return found


# 10 --------------------------------------------------------------------------------------------------- the document


def collect(
    fs: FileSystem,
    interpreter: Optional[str] = None,
    environ: Optional[Mapping[str, str]] = None,
    *,
    arch: Optional[str] = None,
    run: Optional[Facts] = None,
    cpu_flags: Iterable[str] = (),
) -> Facts:
    """Read an environment.

    Args:
        fs: the files.
        interpreter: absolute path of the Python to look at; without one, the one that would be started is looked for.
        environ: the environment variables of the target (a container's, an image's); none are known by default.
        arch: the machine as `uname -m` says, where there is no ELF file to tell it.
        run: :func:`run_facts` of the interpreter, if that is what runs this.
        cpu_flags: the processor's flags, for glibc-hwcaps folders.

    Returns:
        `software` (the contract's section), `partial` and `derived` (paths), `gaps` (path and why of each thing that
        was not understood), `interpreters` (path and why of every Python found; the chosen one has `chosen`).
    """
    view = View(fs)
    environ = dict(environ or {})
    software = {}  # type: Facts
    candidates = [(interpreter, "named")] if interpreter is not None else find_interpreters(view, environ)
    python, interpreters = _choose(view, candidates, environ, run)
    _note(software, "distribution", describe_distribution(view))
    paths = Paths(view)
    found = []  # type: List[Distribution]
    if python is not None:
        software["python"] = describe_python(view, python, run)
        if arch and "architecture" not in software["python"]:
            software["python"]["architecture"] = arch
        paths = build_paths(view, python, environ, run)
        found = find_distributions(view, python, paths)
        software["python"]["paths"] = [entry.path for entry in paths.entries]
        software["packages"] = [one.facts() for one in found]
        software["shadowed"] = find_shadowed(view, paths)
        _note(software, "tensorflow", describe_tensorflow(view, paths, found))
        _note(software, "keras", describe_keras(view, paths, found, environ, run))
    elif interpreter is None:
        view.gap("/", "no Python found")
    tensorflow = software.get("tensorflow", {})
    loader = Loader(
        view,
        _program(view, python, arch),
        tensorflow_callers(view, tensorflow.get("path")),
        environ,
        hwcaps_of(cpu_flags),
    )
    _note(software, "libc", describe_libc(view, python, loader, run))
    software["cuda"] = Cuda(view, Environment(python, paths, found, tensorflow), loader, environ).describe()
    software["environment"] = describe_environment(view, environ)
    document = {
        "software": software,
        "partial": sorted(view.partial),
        "derived": sorted(view.derived),
        "gaps": view.gaps,
        "interpreters": interpreters,
    }
    return tidy(document)  # type: ignore[no-any-return]


def _note(software: Facts, key: str, facts: Facts) -> None:
    if facts:
        software[key] = facts


def _program(view: View, python: Optional[Interpreter], arch: Optional[str]) -> Tuple[str, Optional[Elf]]:
    """The interpreter's real path and ELF headers; without one those of any program, so that the machine is known."""
    if python is not None and python.elf is not None:
        return view.real(python.executable), python.elf
    for path in ("/bin/sh", "/usr/bin/env", "/bin/busybox", "/usr/bin/ls", "/sbin/ldconfig"):
        elf = view.elf(path)
        if elf is not None:
            return path, elf
    if arch in MACHINES.values():
        return "/bin/sh", Elf(32 if arch in ("i386", "arm") else 64, str(arch), None, None, [], None, None, [])
    return "/bin/sh", None


def _choose(
    view: View, candidates: Sequence[Tuple[str, str]], environ: Mapping[str, str], run: Optional[Facts]
) -> Tuple[Optional[Interpreter], List[Facts]]:
    """The first Python with TensorFlow or Keras in it, else the first; and what was found, for the report's header."""
    tried = []  # type: List[Facts]
    quiet = View(view.fs)  # what is wrong with those that are not taken is no gap of the environment
    for path, why in candidates[:40] if len(candidates) > 1 else []:
        python = locate_interpreter(quiet, path, run, exact=False)
        if python is not None:
            paths = build_paths(quiet, python, environ, run)
            has = [name for name in ("tensorflow", "keras") if paths.find_package(name) is not None]
            tried.append({"path": path, "why": why, "has": has})
    if len(candidates) == 1:
        tried.append({"path": candidates[0][0], "why": candidates[0][1]})
    if not tried:
        return None, []
    best = next((facts for facts in tried if facts.get("has")), tried[0])
    best["chosen"] = True
    return locate_interpreter(view, best["path"], run), tried


def hide_secrets(text: str) -> str:
    """`text` with *** for logins and secret parameters of addresses, and for tokens that are known by their form."""
    if "://" in text:
        text = USERINFO.sub(r"\1***@", text)
        text = PARAMETER.sub(r"\1***", text)
    return TOKEN.sub("***", text)


def tidy(value: Any) -> Any:
    """A copy fit for JSON: strings of bounded length, without lone surrogates and without secrets."""
    if isinstance(value, str):
        if len(value) > MAX_STRING:
            value = value[: MAX_STRING - 1] + "…"
        return hide_secrets(value).encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, dict):
        return {tidy(key): tidy(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [tidy(item) for item in value]
    return value


def processor_flags(fs: FileSystem) -> List[str]:
    """The flags of the first processor in /proc/cpuinfo; [] where there is none to read."""
    try:
        text = fs.read("/proc/cpuinfo", 0, 1 << 14).decode("utf-8", "replace")
    except OSError:
        return []
    match = re.search(r"^flags\s*:\s*(.*)$", text, re.M)
    return match.group(1).split() if match else []


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Collect, and write one ASCII JSON document between two sentinel lines to stdout.

    Arguments: none (run mode: the interpreter that runs this), or `--root FOLDER` and `--python PATH` (static mode).
    Answers 0, 1 with a document that has `error` in place of `software`, or 2 for arguments that are none.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = dict.fromkeys(arguments[::2], "")
    options.update({arguments[at]: arguments[at + 1] for at in range(0, len(arguments) - 1, 2)})
    if not set(options) <= {"--root", "--python"} or not all(value.startswith("/") for value in options.values()):
        sys.stderr.write("collector: give nothing, or --root FOLDER and --python PATH (absolute), not %r\n" % arguments)
        return 2
    try:
        fs = HostFileSystem(options.get("--root", "/"))
        if "--root" in options or "--python" in options:
            environ = {} if options.get("--root", "/") != "/" else dict(os.environ)
            document = collect(fs, options.get("--python"), environ)
        else:
            run = run_facts()
            flags = processor_flags(fs)
            document = collect(
                fs, run["executable"], dict(os.environ), arch=run["architecture"], run=run, cpu_flags=flags
            )
        code = 0
    except Exception as error:  # whatever the environment does to us, the answer stays one JSON document
        document = {"error": "%s: %s" % (type(error).__name__, str(error)[:500])}
        code = 1
    text = json.dumps(document, ensure_ascii=True, sort_keys=False)
    sys.stdout.buffer.write(("\n%s\n%s\n%s\n" % (BEGIN, text, END)).encode("ascii"))
    sys.stdout.buffer.flush()
    return code
