"""Starting the payload: a private place, every kind of ending, and what is said of it."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from doctor.canary.failure import CanaryError, import_cause
from doctor.canary.runs import Options, runner_for, settle
from doctor.canary.start import BEGIN, END, InterpreterRunner, Job, payload_source, run_canary
from doctor.errors import TargetError
from doctor.io.process import CannotStart, Result
from doctor.targets.words import parse

from .records import document, record, seeds


class FakeRunner:
    """A runner whose payload ends as the test says."""

    name = "/env/bin/python"
    image_digest: str | None = None

    def __init__(self, stdout: bytes = b"", stderr: bytes = b"", **ending: Any) -> None:
        self.stdout, self.stderr = stdout, stderr
        self.ending: dict[str, Any] = {
            "returncode": 0, "signal": None, "timed_out": False, "truncated": False, "seconds": 1.0, **ending,
        }  # fmt: skip
        self.job: Job | None = None

    def start(self, job: Job, on_stderr: Callable[[bytes], None]) -> Result:
        """Hand stderr on in pieces that cut lines apart."""
        self.job = job
        for at in range(0, len(self.stderr), 7):
            on_stderr(self.stderr[at : at + 7])
        return Result(stdout=self.stdout, stderr=self.stderr, **self.ending)


def answer(value: object, before: bytes = b"", after: bytes = b"") -> bytes:
    """A document between its sentinels."""
    return before + BEGIN + b"\n" + json.dumps(value).encode() + b"\n" + END + b"\n" + after


def error_of(runner: FakeRunner) -> CanaryError:
    """The error that a run ends with: one line, exit code 3."""
    with pytest.raises(CanaryError) as caught:
        run_canary(runner)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 3
    return caught.value


def test_the_record_is_found_among_noise_and_sealed() -> None:
    """A start-up file may print; the record gets its target, date and checksum, and the image's digest."""
    runner = FakeRunner(answer(document(), b"hello from sitecustomize\n", b"bye\n"))
    runner.image_digest = "sha256:abc"
    found = run_canary(runner)
    assert found.document["target"] == runner.name
    assert found.document["checksum"].startswith("sha256:")
    assert found.environment.image_digest == "sha256:abc"
    assert found.created_at is not None


def test_a_document_that_is_the_whole_of_stdout_is_read_too() -> None:
    """Without sentinels."""
    assert run_canary(FakeRunner(json.dumps(document()).encode())).data_sha256 == "da7a"


def test_the_payload_is_told_everything_in_one_argument() -> None:
    """As JSON; a GPU's process is not bounded in address space, of which CUDA reserves a lot."""
    runner = FakeRunner(answer(document()))
    run_canary(runner, seeds=32, thorough=True, device="gpu", deterministic=False, timeout=60)
    assert runner.job is not None
    told = json.loads(runner.job.argument)
    assert (told["seeds"], told["thorough"], told["device"], told["deterministic"]) == (32, True, "gpu", False)
    assert told["memory"] is None
    assert len(told["source_sha256"]) == 64
    assert runner.job.timeout == 60


def test_progress_is_passed_on_and_nonsense_is_not() -> None:
    """Lines cut into pieces, TensorFlow's own lines, and lines that only look like progress."""
    said = (
        b'I0000 noise\n@kdoctor-canary {"stage": "seeds", "seed": 3, "of": 16}\n'
        b"@kdoctor-canary not json\n@kdoctor-canary [1]\n"
    )
    steps: list[dict[str, Any]] = []
    run_canary(FakeRunner(answer(document()), said), progress=steps.append)
    assert steps == [{"stage": "seeds", "seed": 3, "of": 16}]


@pytest.mark.parametrize(
    ("ending", "code", "words"),
    [
        ({"returncode": None, "signal": "SIGILL"}, "crashed", "SIGILL (illegal instruction"),
        ({"returncode": None, "signal": "SIGSEGV"}, "crashed", "SIGSEGV"),
        ({"returncode": None, "signal": "SIGKILL"}, "crashed", "want of memory"),
        ({"timed_out": True, "signal": "SIGKILL", "returncode": None}, "timed-out", "within 300 s"),
        ({"truncated": True, "signal": "SIGKILL", "returncode": None}, "too-much-output", "output limit"),
        ({"returncode": 1}, "failed", "exit status 1"),
        ({"returncode": 0}, "failed", "without a record"),
    ],
)
def test_an_ending_without_a_record_is_told_with_the_last_stage(ending: dict[str, Any], code: str, words: str) -> None:
    """Crashed, killed, too slow, too loud, or silent."""
    told = error_of(FakeRunner(b"", b'@kdoctor-canary {"stage": "import", "of": "tensorflow"}\n', **ending))
    assert told.code == code
    assert words in str(told)
    assert "(at import tensorflow)" in str(told)


def test_a_record_cut_short_on_the_way_is_no_record() -> None:
    """A process killed while it writes."""
    whole = answer(document())
    assert error_of(FakeRunner(whole[: len(whole) // 2], returncode=None, signal="SIGTERM")).code == "crashed"


def test_tensorflow_says_itself_why_it_aborted() -> None:
    """Its fatal line, not the signal's name, is what helps."""
    place = b"2026-11-21 03:00:00.1: F tensorflow/core/platform/cpu_feature_guard.cc:37]"
    said = place + b" The TensorFlow library was compiled to use AVX\n"
    assert "compiled to use AVX" in str(error_of(FakeRunner(b"", said, returncode=None, signal="SIGABRT")))


def test_running_out_of_memory_is_named() -> None:
    """Under the limit of address space."""
    told = error_of(
        FakeRunner(b"", b"terminate called after throwing std::bad_alloc\n", returncode=None, signal="SIGABRT")
    )
    assert told.code == "out-of-memory"


def test_the_payloads_own_errors_come_with_advice() -> None:
    """One line; control characters of the environment never reach a terminal."""
    failed = {"error": {"code": "no-tensorflow", "message": "tensorflow is not installed there", "detail": ""}}
    assert str(error_of(FakeRunner(answer(failed), returncode=1))).endswith("with --python or python:PATH")
    failed = {"error": {"code": "x\x1b[2J", "message": "bad\x1b[31m\nthing", "detail": "d\u202ee"}}
    assert "\x1b" not in str(error_of(FakeRunner(answer(failed))))


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("ImportError: /x/_pywrap.so: undefined symbol: _ZN10tensorflow4Foo", "missing symbol _ZN10tensorflow4Foo"),
        ("ImportError: /lib/libc.so.6: version `GLIBC_2.34' not found (required by x.so)", "needs GLIBC_2.34"),
        ("ImportError: libcudnn.so.9: cannot open shared object file: No such file", "missing library libcudnn.so.9"),
        ("ModuleNotFoundError: No module named 'tensorflow.python'", "the module tensorflow.python is missing"),
        ("TypeError: Descriptors cannot be created directly.", "protobuf does not fit this TensorFlow"),
        ("AttributeError: _ARRAY_API not found", "NumPy does not fit this TensorFlow"),
        ("ImportError: x.so: wrong ELF class: ELFCLASS32", "another architecture"),
        ("ValueError: something else\nmore", "ValueError: something else"),
    ],
)
def test_a_failed_import_names_what_is_missing(text: str, cause: str) -> None:
    """The symbol, library, version or module."""
    assert cause in import_cause(text)


# ----------------------------------------------------------------------------- with real interpreters


SPY = """
import json, os, sys
keras = os.environ["KERAS_HOME"]
print(json.dumps({
    "cwd": os.listdir("."), "here": os.getcwd(), "tmp": os.environ["TMPDIR"], "home": os.environ["HOME"],
    "keras": {name: open(os.path.join(keras, name)).read() for name in os.listdir(keras)},
    "argv": sys.argv, "bytecode": sys.dont_write_bytecode, "path": os.environ.get("PYTHONPATH"),
}))
open(os.path.join(os.environ["TMPDIR"], "left"), "w").write("x")
"""


def spied(runner: InterpreterRunner) -> dict[str, Any]:
    """What a payload sees."""
    result = runner.start(Job(SPY.encode(), "{}", 30.0), lambda _: None)
    assert result.ok, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_the_start_is_private_and_keeps_the_users_own_environment(tmp_path: Path) -> None:
    """Empty folder, private TMPDIR and KERAS_HOME with the user's keras.json; HOME unchanged; all gone afterwards."""
    (tmp_path / ".keras").mkdir()
    (tmp_path / ".keras" / "keras.json").write_text('{"epsilon": 1e-8}')
    told = spied(InterpreterRunner(sys.executable, {**os.environ, "HOME": str(tmp_path), "PYTHONPATH": "/some/where"}))
    assert told["cwd"] == []
    assert told["argv"] == ["-", "{}"]
    assert told["bytecode"] is True
    assert told["home"] == str(tmp_path)
    assert told["path"] == "/some/where"
    assert told["keras"] == {"keras.json": '{"epsilon": 1e-8}'}
    assert not Path(told["tmp"]).exists()
    assert not Path(told["here"]).exists()
    assert os.listdir(tmp_path / ".keras") == ["keras.json"]


@pytest.mark.parametrize("kind", ["none", "folder", "pipe", "large"])
def test_a_keras_json_that_is_no_small_file_is_left(tmp_path: Path, kind: str) -> None:
    """A named pipe does not hang the doctor."""
    place = tmp_path / "keras.json"
    {
        "none": lambda: None,
        "folder": place.mkdir,
        "pipe": lambda: os.mkfifo(place),
        "large": lambda: place.write_text("x" * 70000),
    }[kind]()
    assert spied(InterpreterRunner(sys.executable, {**os.environ, "KERAS_HOME": str(tmp_path)}))["keras"] == {}


def test_an_interpreter_without_numpy_or_tensorflow_is_told(tmp_path: Path) -> None:
    """The real payload in a real interpreter, with nothing installed that it needs."""
    (tmp_path / "numpy.py").write_text("raise ModuleNotFoundError(\"No module named 'numpy'\", name='numpy')")
    with pytest.raises(CanaryError, match="numpy is not installed there") as caught:
        run_canary(InterpreterRunner(sys.executable, {**os.environ, "PYTHONPATH": str(tmp_path)}))
    assert caught.value.code == "no-numpy"


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        ("raise ImportError('/x/tf.so: undefined symbol: _ZTIN4absl')", "import-failed", "missing symbol _ZTIN4absl"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", "crashed", "illegal instruction"),
        ("import os; os._exit(7)", "failed", "exit status 7"),
        ("raise SystemExit(0)", "import-failed", "tensorflow cannot be imported"),
        ("pass", "tensorflow-incomplete", "TensorFlow is not in it"),
        ("__version__ = '2.15.0'", "keras-unusable", "Keras cannot be imported"),
        ("x = [0] * 10**12", "import-failed", "MemoryError"),
    ],
)
def test_a_tensorflow_that_breaks_at_import_is_told(tmp_path: Path, body: str, code: str, words: str) -> None:
    """The real payload and a TensorFlow made of one line."""
    (tmp_path / "tensorflow.py").write_text(body + "\n")
    (tmp_path / "numpy.py").write_text("")
    with pytest.raises(CanaryError) as caught:
        run_canary(InterpreterRunner(sys.executable, {**os.environ, "PYTHONPATH": str(tmp_path)}))
    assert (caught.value.code, words in str(caught.value)) == (code, True), str(caught.value)


def test_a_hanging_import_ends_with_the_time_limit(tmp_path: Path) -> None:
    """And says where it hung."""
    (tmp_path / "numpy.py").write_text("import time; time.sleep(60)")
    started = time.monotonic()
    with pytest.raises(CanaryError, match=r"did not finish within 1 s \(at import numpy\)"):
        run_canary(InterpreterRunner(sys.executable, {**os.environ, "PYTHONPATH": str(tmp_path)}), timeout=1)
    assert time.monotonic() - started < 10


def test_an_interpreter_that_is_not_there_is_named() -> None:
    """With the reason of the system."""
    with pytest.raises(CanaryError, match="cannot be started") as caught:
        run_canary("/nowhere/bin/python")
    assert isinstance(caught.value.__cause__, CannotStart)


def test_the_payload_stands_alone() -> None:
    """It imports nothing of doctor, and uses no syntax younger than CPython 3.6."""
    import ast

    tree = ast.parse(payload_source(), feature_version=(3, 6))
    imported = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not any(name.startswith("doctor") for name in imported)
    assert not any(isinstance(node, ast.JoinedStr | ast.NamedExpr) for node in ast.walk(tree))


# ----------------------------------------------------------------------------- runs


def test_seeds_escalate_only_while_accuracy_is_inconclusive() -> None:
    """16, then 32, then 64; a settled label ends it."""
    asked: list[int] = []

    def run(count: int) -> Any:
        asked.append(count)
        spread = [0.95, 0.90] if count < 64 else [0.93, 0.93]
        changed = document()
        changed["seeds"] = seeds((spread * count)[:count], f"d{len(asked)}")
        changed["probes"]["initializer"]["sha256"] = str(len(asked))
        changed["stages"]["default"]["init"] = (
            changed["stages"]["pinned"]["init"] if len(asked) % 2 else document()["stages"]["default"]["init"]
        )
        return record(changed)

    _, b, told = settle(run, run, 16)
    assert asked == [16, 16, 32, 32, 64, 64]
    assert told["accuracy"]["label"] == "equivalent"
    assert len(b.seeds) == 64


def test_a_saved_record_bounds_the_escalation() -> None:
    """It cannot be given more seeds."""
    wide = document()
    wide["seeds"] = seeds([0.95, 0.88] * 8, "other")
    wide["stages"]["default"]["init"] = wide["stages"]["pinned"]["init"]
    asked: list[int] = []

    def run(count: int) -> Any:
        asked.append(count)
        return record(wide)

    _, _, told = settle(lambda _: record(), run, 16, most=16)
    assert told["accuracy"]["label"] == "inconclusive"
    assert asked == [16]


def test_a_projects_own_interpreter_is_not_started_unasked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A `.venv` in the folder is patient, not tool; named by the user it runs."""
    monkeypatch.setattr("doctor.targets.interpreter.holds_framework", lambda _prefix: False)
    monkeypatch.setattr("doctor.targets.interpreter._own_paths_hold_framework", lambda: False)
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    with pytest.raises(TargetError, match="not started unasked"):
        runner_for(parse("host"), {"PATH": ""}, tmp_path)
    assert runner_for(parse(f"python:{python}"), {"PATH": ""}, tmp_path).name == str(python)
    with pytest.raises(TargetError, match="runs in an interpreter, an image or a container"):
        runner_for(parse("archive:image.tar"), {}, tmp_path)
    assert Options().seeds == 16
