"""The loader's order as the collector tells it, against what ld.so does (LD_DEBUG=libs) with small stub libraries."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from doctor.collect import software

NAME = "libkdstub.so.12"
MAIN = """
#include <dlfcn.h>
int main(int argc, char **argv) {
    void *caller = dlopen(argv[1], RTLD_NOW);
    if (!caller) return 3;
    void *(*open_it)(const char *) = (void *(*)(const char *))dlsym(caller, "open_it");
    if (!open_it) return 4;
    return open_it(argv[2]) ? 0 : 5;
}
"""
CALLER = """
#include <dlfcn.h>
void *open_it(const char *name) { return dlopen(name, RTLD_NOW | RTLD_LOCAL); }
"""


class Bench:
    """A folder in which programs and libraries are compiled, and the real loader is asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def compile(self, place: str, code: str, *options: str) -> Path:
        """A shared library (or a program, with "-o-program" among the options) at a place in the folder."""
        path = self.folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        source = self.folder / (path.name + ".c")
        source.write_text(code, encoding="utf-8")
        shared = [] if "program" in options else ["-shared", "-fPIC", f"-Wl,-soname,{path.name}"]
        rest = [option for option in options if option != "program"]
        subprocess.run(["gcc", *shared, "-o", str(path), str(source), *rest, "-ldl"], check=True, timeout=60)
        return path

    def stub(self, *folders: str) -> None:
        """The stub library, in each of these folders."""
        for folder in folders:
            self.compile(f"{folder}/{NAME}", "int stub(void) { return 1; }")

    def taken(self, program: Path, caller: Path, environ: dict[str, str], name: str = NAME) -> str | None:
        """The file that ld.so takes for a name that `caller` opens; None where it finds none."""
        done = subprocess.run(
            [str(program), str(caller), name],
            env={**environ, "LD_DEBUG": "libs"},
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        assert done.returncode in (0, 5), done.stderr
        found = re.findall(r"calling init: (\S+)", done.stderr)
        found = [path for path in found if Path(path).name == name]
        assert bool(found) == (done.returncode == 0)
        return str(Path(found[-1]).resolve()) if found else None


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A bench, where there is a compiler and a glibc."""
    if shutil.which("gcc") is None:
        pytest.skip("no gcc to compile stub libraries with")
    if not Path("/etc/ld.so.cache").exists():
        pytest.skip("no ld.so.cache: the order of another C library is not tested here")
    return Bench(tmp_path)


def loader(program: Path, callers: list[Path], environ: dict[str, str]) -> software.Loader:
    """The collector's idea of the loader."""
    view = software.View(software.HostFileSystem("/"))
    hwcaps = software.hwcaps_of(software.processor_flags(view.fs))
    return software.Loader(view, (str(program), view.elf(str(program))), [str(c) for c in callers], environ, hwcaps)


def rpath(*folders: Path) -> list[str]:
    """Linker options for a DT_RPATH."""
    return ["-Wl,--disable-new-dtags", "-Wl,-rpath," + ":".join(str(folder) for folder in folders)]


def runpath(*folders: Path | str) -> list[str]:
    """Linker options for a DT_RUNPATH."""
    return ["-Wl,--enable-new-dtags", "-Wl,-rpath," + ":".join(str(folder) for folder in folders)]


CASES = {
    # caller's options, program's options, LD_LIBRARY_PATH
    "runpath loses against LD_LIBRARY_PATH": (lambda f: runpath(f / "a", f / "b"), lambda f: [], ["c", "d"]),
    "rpath wins over LD_LIBRARY_PATH": (lambda f: rpath(f / "a", f / "b"), lambda f: [], ["c"]),
    "the program's rpath is inherited": (lambda f: [], lambda f: rpath(f / "a"), ["c"]),
    "a runpath cuts off the program's rpath": (lambda f: runpath(f / "b"), lambda f: rpath(f / "a"), ["c"]),
    "the program's runpath is not inherited": (lambda f: [], lambda f: runpath(f / "a"), ["c"]),
    "caller's rpath, then the program's": (lambda f: rpath(f / "b"), lambda f: rpath(f / "a"), ["c", "d"]),
    "origin": (lambda f: runpath("$ORIGIN/../a", "${ORIGIN}"), lambda f: [], []),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_order_is_that_of_ld_so(bench: Bench, case: str) -> None:
    """File after file is taken away: at each step ld.so takes the next one on the collector's list, and then none."""
    caller_options, program_options, searched = CASES[case]
    folder = bench.folder
    bench.stub("a", "b", "c", "d", "lib")
    program = bench.compile("bin/program", MAIN, "program", *program_options(folder))
    caller = bench.compile("lib/libcaller.so", CALLER, *caller_options(folder))
    environ = {"LD_LIBRARY_PATH": ":".join(str(folder / name) for name in searched)}
    told = [path for path, _stage in loader(program, [caller], environ).places(NAME)]
    assert told, "the case tests nothing"
    for path in told:
        assert bench.taken(program, caller, environ) == path
        Path(path).unlink()
    assert bench.taken(program, caller, environ) is None


def test_the_chain_of_loaders_gives_its_rpath(bench: Bench) -> None:
    """A caller without any path inherits the DT_RPATH of the object that brought it in."""
    folder = bench.folder
    bench.stub("a", "c")
    program = bench.compile("bin/program", MAIN, "program")
    caller = bench.compile("lib/libinner.so", CALLER)
    link = ["-Wl,--no-as-needed", f"-L{folder}/lib", "-linner"]
    outer = bench.compile("lib/libouter.so", "int x;", *rpath(folder / "lib", folder / "a"), *link)
    environ = {"LD_LIBRARY_PATH": str(folder / "c")}
    told = [path for path, _stage in loader(program, [caller, outer], environ).places(NAME)]
    for path in told:
        assert bench.taken(program, outer, environ) == path
        Path(path).unlink()
    assert bench.taken(program, outer, environ) is None


def test_a_library_for_another_machine_is_passed_over(bench: Bench) -> None:
    """ld.so goes on where the first file is of another machine; the collector says that it does not fit."""
    folder = bench.folder
    bench.stub("c", "d")
    alien = folder / "c" / NAME
    data = bytearray(alien.read_bytes())
    data[18:20] = (243).to_bytes(2, "little")  # RISC-V
    alien.write_bytes(data)
    program = bench.compile("bin/program", MAIN, "program")
    caller = bench.compile("lib/libcaller.so", CALLER)
    environ = {"LD_LIBRARY_PATH": f"{folder}/c:{folder}/d"}
    ours = loader(program, [caller], environ)
    fitting = [path for path, _stage in ours.places(NAME) if ours.fits(ours.view.elf(path))]
    assert fitting == [str(folder / "d" / NAME)]
    assert bench.taken(program, caller, environ) == fitting[0]


def test_glibc_hwcaps_folders_come_before_their_folder(bench: Bench) -> None:
    """The best usable glibc-hwcaps folder is taken first, an unusable one never."""
    caps = software.hwcaps_of(software.processor_flags(software.HostFileSystem("/")))
    if not caps:
        pytest.skip("this processor has no glibc-hwcaps level above the baseline")
    bench.stub("c", *[f"c/glibc-hwcaps/{level}" for level in (*caps, "x86-64-v9")])
    program = bench.compile("bin/program", MAIN, "program")
    caller = bench.compile("lib/libcaller.so", CALLER)
    environ = {"LD_LIBRARY_PATH": str(bench.folder / "c")}
    told = [path for path, _stage in loader(program, [caller], environ).places(NAME)]
    if bench.taken(program, caller, environ) == str(bench.folder / "c" / NAME):
        pytest.skip("this glibc is older than 2.33 and has no glibc-hwcaps folders")
    assert len(told) == len(caps) + 1
    for path in told:
        assert bench.taken(program, caller, environ) == path
        Path(path).unlink()


def test_the_cache_comes_after_all_of_them(bench: Bench) -> None:
    """A library that the system has is taken from ld.so.cache, unless a folder of the search has it."""
    program = bench.compile("bin/program", MAIN, "program")
    caller = bench.compile("lib/libcaller.so", CALLER, *runpath(bench.folder / "a"))
    cache = loader(program, [caller], {}).cache
    name = next(n for n in ("libz.so.1", "libcrypt.so.1", "liblzma.so.5", "libgcc_s.so.1", "libcap.so.2") if n in cache)
    assert bench.taken(program, caller, {}, name) == str(Path(cache[name][0]).resolve())
    (bench.folder / "a").mkdir()
    shutil.copy(Path(cache[name][0]).resolve(), bench.folder / "a" / name)
    told = loader(program, [caller], {}).places(name)
    assert [stage for _path, stage in told][:2] == ["RUNPATH", "cache"]
    assert bench.taken(program, caller, {}, name) == told[0][0] == str(bench.folder / "a" / name)


def cached_names(printed: str) -> dict[str, list[str]]:
    """name → paths, of this machine's kind, from what `ldconfig -p` prints."""
    found: dict[str, list[str]] = {}
    for name, kind, path in re.findall(r"^\t(\S+) \(([^)]*)\) => (\S+)$", printed, re.M):
        if kind.startswith(("libc6,x86-64", "libc6,AArch64")):
            found.setdefault(name, []).append(path)
    return found


@pytest.mark.parametrize("form", ["new", "compat", "old"])
def test_every_form_of_the_cache_is_read(bench: Bench, form: str, tmp_path: Path) -> None:
    """The new, the combined and the old binary format of ldconfig, each against what `ldconfig -p` says of it."""
    ldconfig = shutil.which("ldconfig") or shutil.which("ldconfig", path="/sbin:/usr/sbin")
    if ldconfig is None:
        pytest.skip("no ldconfig")
    bench.stub("a", "b")
    (tmp_path / "conf").write_text(f"{tmp_path}/a\n{tmp_path}/b\n", encoding="utf-8")
    cache = tmp_path / "cache"
    made = subprocess.run(
        [ldconfig, "-X", "-c", form, "-C", str(cache), "-f", str(tmp_path / "conf")], capture_output=True, check=False
    )
    if made.returncode != 0 or not cache.exists():
        pytest.skip(f"this ldconfig writes no cache in the form {form}: {made.stderr.decode(errors='replace')[:200]}")
    printed = subprocess.run([ldconfig, "-p", "-C", str(cache)], capture_output=True, text=True, check=True).stdout
    machine = software.View(software.HostFileSystem("/")).elf(shutil.which("gcc") or "").machine  # type: ignore[union-attr]
    parsed = software.parse_cache(cache.read_bytes(), machine, ())
    assert parsed == cached_names(printed)
    assert parsed[NAME]


@pytest.mark.parametrize("form", ["new", "compat"])
def test_the_hwcaps_of_a_cache_are_read(bench: Bench, form: str, tmp_path: Path) -> None:
    """An entry of a glibc-hwcaps folder counts for a processor of that level only, and comes first there."""
    bench.stub("a", "a/glibc-hwcaps/x86-64-v3")
    (tmp_path / "conf").write_text(f"{tmp_path}/a\n", encoding="utf-8")
    ldconfig = shutil.which("ldconfig", path="/sbin:/usr/sbin") or "ldconfig"
    command = [ldconfig, "-X", "-c", form, "-C", str(tmp_path / "cache"), "-f", str(tmp_path / "conf")]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("this ldconfig has no such form")
    data = (tmp_path / "cache").read_bytes()
    if b"glibc-hwcaps" not in data:
        pytest.skip("this ldconfig is older than 2.33 and knows no glibc-hwcaps")
    plain, better = f"{tmp_path}/a/{NAME}", f"{tmp_path}/a/glibc-hwcaps/x86-64-v3/{NAME}"
    assert software.parse_cache(data, "x86_64", [])[NAME] == [plain]
    assert software.parse_cache(data, "x86_64", ["x86-64-v3", "x86-64-v2"])[NAME] == [better, plain]


def test_the_cache_of_this_machine_is_read_whole(bench: Bench) -> None:
    """Every name and every path that `ldconfig -p` prints, in its order."""
    ldconfig = shutil.which("ldconfig") or shutil.which("ldconfig", path="/sbin:/usr/sbin")
    if ldconfig is None:
        pytest.skip("no ldconfig")
    printed = subprocess.run([ldconfig, "-p"], capture_output=True, text=True, check=True).stdout
    expected = cached_names(re.sub(r", hwcap: [^)]*", "", printed))
    machine = "x86_64" if "libc6,x86-64" in printed else "aarch64"
    parsed = software.parse_cache(
        Path("/etc/ld.so.cache").read_bytes(), machine, ["x86-64-v4", "x86-64-v3", "x86-64-v2"]
    )
    assert parsed == expected


def test_musl_has_one_path_for_all(tmp_path: Path) -> None:
    """musl: LD_LIBRARY_PATH, then the paths of the objects, then /etc/ld-musl-*.path, and no cache."""
    musl = software.Elf(64, "x86_64", "/lib/ld-musl-x86_64.so.1", None, [], "/opt/r", None, [])
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/ld-musl-x86_64.path").write_text("/usr/lib/special:/usr/lib\n", encoding="utf-8")
    for place in ("opt/l", "opt/r", "usr/lib/special"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / NAME).write_bytes(b"x")
    view = software.View(software.HostFileSystem(str(tmp_path)))
    ours = software.Loader(view, ("/usr/bin/python3", musl), [], {"LD_LIBRARY_PATH": "/opt/l"})
    assert ours.places(NAME) == [
        (f"/opt/l/{NAME}", "LD_LIBRARY_PATH"),
        (f"/opt/r/{NAME}", "RPATH"),
        (f"/usr/lib/special/{NAME}", "default"),
    ]
