"""Rules that hear the log: what a message comes to, alone and beside the facts."""

from __future__ import annotations

import importlib
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from doctor import catalogue, logs
from doctor.case import CanaryRun, Case
from doctor.engine import Outcome
from doctor.model.report import Confidence, Finding
from tests.rules.machines import host
from tests.support import case, compute, diagnose

catalogue.mount()
advice = importlib.import_module("doctor.rules.advice")
heard = importlib.import_module("doctor.rules.heard")
messages = importlib.import_module("doctor.rules.tables.messages")
resolved = importlib.import_module("doctor.rules.resolved")

HERE = Path(__file__).parent
FOLDER = HERE.parents[1].parent / "shared" / "benchmark"
LINES = [tuple(row.split("\t", 1)) for row in (HERE / "log_lines.tsv").read_text("utf-8").splitlines()]
EXAMPLES = [tuple(row.split("\t", 1)) for row in (HERE / "log_examples.tsv").read_text("utf-8").splitlines()]
NO_DEVICE = "failed call to cuInit: CUDA_ERROR_NO_DEVICE: no CUDA-capable device is detected"
NO_CUDART = "I tsl/cuda/cudart_stub.cc:31] Could not find cuda drivers on your machine, GPU will not be used."
NO_LIBCUDA = "Could not load dynamic library 'libcuda.so.1'; dlerror: libcuda.so.1: cannot open shared object file"
OLD_CUDNN = "Loaded runtime CuDNN library: 8.4.1 but source was compiled with: 8.6.0.  CuDNN library needs to match"
HALVES = "Failed to initialize NVML: Driver/library version mismatch"
SIGILL = "Illegal instruction (core dumped)"
ADDON = {
    "python": {"version": "3.7.13"},
    "tensorflow": {"version": "2.9.1"},
    "packages": [{"name": "tensorflow", "version": "2.9.1"}, {"name": "tensorflow-text", "version": "2.9.0"}],
}


def log(*lines: str, **snapshot: Any) -> dict[str, Any]:
    """A snapshot with these lines as its log."""
    return {**snapshot, "log": list(lines)}


def loud(outcome: Outcome) -> list[Finding]:
    """Findings that are more than information."""
    return [f for f in outcome.findings if f.severity and f.severity.value != "info"]


def codes(snapshot: dict[str, Any]) -> list[str]:
    """Codes of the loud findings, in the order of the report."""
    return [f.code for f in loud(diagnose(snapshot))]


@pytest.mark.parametrize(("expected", "line"), LINES)
def test_a_message_alone_points_to_its_rule(expected: str, line: str) -> None:
    """One line without any fact: the first finding is one of the rules that it may point to, or there is none."""
    found = codes(log(line))
    if expected == "-":
        assert not found
    else:
        assert found[0] in expected.split(), found


@pytest.mark.parametrize(("expected", "line"), LINES)
def test_the_reader_keeps_what_the_table_knows(expected: str, line: str) -> None:
    """The fast look at words of a line never loses a message."""
    if messages.said(line) is not None:
        assert logs._relevant()(line.encode()), line


@pytest.mark.parametrize(("row", "line"), EXAMPLES)
def test_each_row_takes_its_own_messages_and_no_other_s(row: str, line: str) -> None:
    """An example of a row is told by that row, whatever stands before it, and the reader keeps it."""
    text = messages.said(line)
    assert text is not None
    assert text.row.id == row
    assert logs._relevant()(line.encode())


class TestTable:
    """The table of messages."""

    def test_every_row_has_an_example_and_says_where_its_words_were_found(self) -> None:
        """No row without a line that it takes, none without a source that the table explains."""
        rows = (*messages.remarks(), *messages.messages())
        assert {row.id for row in rows} == {row for row, _ in EXAMPLES}
        sources = messages.sources()
        for row in rows:
            assert row.source, row.id
            assert all(sources[key] for key in row.source), row.id

    def test_every_row_can_be_used(self) -> None:
        """Patterns compile, ids are unique, anchors are as the reader needs them, every code has advice and a rule."""
        rows = (*messages.remarks(), *messages.messages())
        assert len({row.id for row in rows}) == len(rows)
        known = {rule.code for rule in catalogue.rules()}
        for row in rows:
            re.compile(row.pattern)
            assert row.anchors, row.id
            for anchor in row.anchors:
                assert anchor == anchor.lower(), anchor
                assert row.id == "other-module" or not re.search(r"\d", anchor), anchor
        for row in messages.messages():
            assert set(row.codes) <= set(advice.ADVICE), row.id
            assert set(row.codes) & known, row.id
            assert 0 < row.likely < 100, row.id
            assert row.stands in (0, 1, 2), row.id
            assert row.resolve is None or row.resolve in resolved._RESOLVERS, row.id

    def test_advice_is_for_rules_that_exist(self) -> None:
        """No advice is left over (KD701 belongs to the rules on scripts)."""
        assert set(advice.ADVICE) <= {rule.code for rule in catalogue.rules()} | {"KD701"}

    def test_no_pattern_runs_away(self) -> None:
        """A long hostile line costs little, whatever it repeats."""
        started = time.perf_counter()
        for word in ("cuda ", "version `GLIBC_", "requires numpy<", "tensorflow 1 requires a, ", "libcu.so.", "(("):
            messages.said("no matching distribution found for undefined symbol ptxas " + word * 5000)
        for row in messages.messages():
            messages.said((row.anchors[0] + " ") * 500)
        assert time.perf_counter() - started < 5

    @pytest.mark.parametrize("row", [*messages.remarks(), *messages.messages()], ids=lambda row: row.id)
    def test_no_row_runs_away_on_its_own_words(self, row: Any) -> None:
        """A line of a hostile log that repeats what a row looks for costs little: a log may hold thousands of them."""
        pattern = re.compile(row.pattern, re.IGNORECASE)
        words = {*row.anchors, *re.findall(r"[A-Za-z/][A-Za-z/ '_]{3,}", row.pattern)}
        for word in words:
            for repeated in (f"{word}' ", f"{word} 1 ", f"{word}, "):
                started = time.process_time()
                pattern.search((repeated * 400)[:4000])
                pattern.search((word + " " + "x." * 2000)[:4000])
                assert time.process_time() - started < 0.2, word


class TestFactsDecide:
    """A log beside facts."""

    def test_a_fact_that_explains_the_message_leaves_one_finding(self) -> None:
        """The log's complaint is no second finding."""
        snapshot = host()
        snapshot["machine"]["driver"] = {"present": False}
        snapshot["machine"]["devices"] = []
        without = codes(snapshot)
        assert without[0] == "KD101"
        assert codes(log(NO_DEVICE, NO_CUDART, **snapshot)) == without

    def test_facts_that_show_nothing_silence_a_mere_suspicion(self) -> None:
        """Everything is known and in order: a complaint of another day is no finding, and that is said."""
        snapshot = log(SIGILL, **host())
        assert "KD110" not in codes(snapshot)
        assert compute("KD110", snapshot).passed
        judged = case(snapshot)
        list(catalogue.find("KD110").check(judged))
        assert [line for line, _ in heard.unheard(judged)] == [SIGILL]

    def test_a_conclusive_message_outweighs_facts_but_less_surely(self) -> None:
        """NVML itself said that the halves differ, though the snapshot shows two equal versions."""
        outcome = compute("KD103", log(HALVES, **host()))
        assert [f.confidence.value for f in outcome.findings] == ["medium"]
        assert "to be sure, run: nvidia-smi" in outcome.findings[0].fix

    def test_no_hardware_no_finding(self) -> None:
        """A machine without NVIDIA hardware is not at fault for saying so."""
        laptop = {"machine": {"os": "linux", "pci_gpus": [], "gpus": [], "wsl": False, "driver": {"present": False}}}
        assert not codes(log(NO_CUDART, NO_DEVICE, NO_LIBCUDA, **laptop))

    def test_nobody_wants_a_gpu(self) -> None:
        """The user said so: complaints about the GPU are no findings."""
        assert not codes(log(NO_CUDART, NO_DEVICE, **{**host(), "expects": {"gpu": False}}))

    def test_the_library_is_there_and_the_loader_does_not_find_it(self) -> None:
        """Named by the log as missing, by the facts as installed: the path is at fault."""
        snapshot = log("Could not load dynamic library 'libcudart.so.12'", **host())
        snapshot["software"]["cuda"]["libraries"] = [
            {"soname": "libcudart.so.12", "version": "12.3", "origin": "system"}
        ]
        assert "KD205" in codes(snapshot)

    def test_another_version_is_there(self) -> None:
        """Only another toolkit is installed: the version is at fault."""
        toolkit = {"cuda": {"toolkits": [{"version": "11.2"}]}}
        assert codes(log("Could not dlopen library 'libcudart.so.10.1'", software=toolkit))[0] == "KD202"

    def test_where_it_runs_decides_what_a_missing_libcuda_means(self) -> None:
        """In WSL the way to Windows's driver, in a container its start, elsewhere the driver."""
        assert codes(log(NO_LIBCUDA, machine={"os": "linux", "wsl": 2}))[0] == "KD105"
        assert codes(log(NO_LIBCUDA, machine={"os": "linux", "virtualization": "docker"}))[0] == "KD501"
        assert codes(log(NO_LIBCUDA, machine={"os": "linux", "wsl": False}))[0] == "KD101"

    def test_cudnn_is_judged_by_what_the_line_says(self) -> None:
        """Older: KD204; another major: KD203; newer within the major, or another patch: nothing."""
        assert codes(log(OLD_CUDNN)) == ["KD204"]
        assert codes(log(OLD_CUDNN.replace("8.6.0", "9.1.0"))) == ["KD203"]
        assert not codes(log(OLD_CUDNN.replace("8.4.1", "8.9.7")))
        assert not codes(log(OLD_CUDNN.replace("8.4.1", "8.6.9")))

    def test_ptxas_versions_are_compared_as_numbers(self) -> None:
        """10.0 is not older than 9.2, whatever TensorFlow 1.x said."""
        text = "You are using ptxas {}, which is older than 9.2.88. ptxas 9.x is known to miscompile XLA code"
        assert codes(log(text.format("9.1.108"))) == ["KD210"]
        assert not codes(log(text.format("10.0.145")))

    def test_a_single_rule_judges_as_all_together(self) -> None:
        """What is chosen by --select changes no verdict."""
        for code in ("KD201", "KD207", "KD101"):
            alone = [f.code for f in compute(code, log(NO_CUDART)).findings]
            assert alone == ([code] if code == codes(log(NO_CUDART))[0] else [])


class TestConfidence:
    """How sure a log makes it."""

    def test_a_guess_is_never_an_error(self) -> None:
        """Low confidence, a warning, the other rules that it may be, and the command that decides."""
        (finding,) = loud(diagnose(log(NO_CUDART)))
        assert (finding.severity.value, finding.confidence.value) == ("warning", "low")  # type: ignore[union-attr]
        assert "(or cuda-wheels-absent" in finding.message
        assert "to be sure, run:" in finding.fix

    def test_a_plain_statement_is_sure(self) -> None:
        """TensorFlow names both versions: nothing else is needed."""
        (finding,) = diagnose(log(OLD_CUDNN)).findings
        assert (finding.severity.value, finding.confidence.value) == ("error", "high")  # type: ignore[union-attr]
        assert "8.4.1" in finding.message
        assert "8.6.0" in finding.message
        assert finding.evidence[0].fact == "log"

    def test_the_text_of_a_log_is_text(self) -> None:
        """Braces in a line are no places to fill in, and no line fills a report."""
        line = "Could not load dynamic library 'libcudart.so.12'; {0} {finding} {x.__class__} " + "y" * 9000
        (finding,) = loud(diagnose(log(line)))
        assert "{finding}" in str(finding.evidence[0].value)
        assert len(str(finding.evidence[0].value)) <= heard.MOST_OF_A_LINE

    def test_pip_s_conflict_is_a_warning(self) -> None:
        """Declared bounds that are not met break nothing for sure."""
        line = "tensorflow 2.15.0 requires keras<2.16,>=2.15.0, but you have keras 3.0.5 which is incompatible."
        assert [(f.code, f.severity.value) for f in diagnose(log(line)).findings] == [("KD307", "warning")]  # type: ignore[union-attr]


class TestRootCause:
    """A log of many lines."""

    def test_the_cause_stands_before_what_follows(self) -> None:
        """The library that could not be loaded explains that no GPU was registered."""
        outcome = diagnose(
            log(
                "oneDNN custom operations are on. You may see slightly different numerical results",
                "Unable to register cuDNN factory: Attempting to register factory for plugin cuDNN",
                "Could not load dynamic library 'libcudnn.so.8'; dlerror: libcudnn.so.8: cannot open shared",
                "Cannot dlopen some GPU libraries. Please make sure the missing libraries are installed",
                "Skipping registering GPU devices...",
            )
        )
        assert [f.code for f in loud(outcome)] == ["KD201"]
        assert len(outcome.findings[0].evidence) == 2

    def test_nvidia_smi_explains_what_tensorflow_saw(self) -> None:
        """The surer message names the cause, the vaguer one is its evidence."""
        smi = "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."
        outcome = diagnose(log(NO_DEVICE, smi, "Could not find cuda drivers on your machine"))
        assert [f.code for f in loud(outcome)] == ["KD101"]

    def test_hidden_gpus_explain_no_device(self) -> None:
        """TensorFlow's own diagnosis, some lines below the error."""
        hidden = "CUDA_VISIBLE_DEVICES is set to -1 - this hides all GPUs from CUDA"
        assert codes(log(NO_CUDART, NO_DEVICE, 'env: CUDA_VISIBLE_DEVICES="-1"', hidden)) == ["KD109"]

    def test_repeated_lines_are_one_finding(self) -> None:
        """Eight workers that say the same with other times."""
        lines = [f"2024-05-01 12:00:0{n}: E worker-{n} {OLD_CUDNN}" for n in range(8)]
        assert codes(log(*lines)) == ["KD204"]


class TestOutcomes:
    """What the log leaves as it was."""

    def test_a_log_that_says_nothing_changes_nothing(self) -> None:
        """Skips keep their reasons, passes and findings stay."""
        for snapshot in ({}, host()):
            plain, read = diagnose(snapshot), diagnose(log("Epoch 1/10", "loss: 0.25", **snapshot))
            assert read == plain

    def test_nondeterminism_is_heard_in_a_log_and_still_judged_on_canaries(self) -> None:
        """KD703 judges canary runs, and cases where a log speaks of it."""
        rule = catalogue.find("KD703")
        assert rule.judges(CanaryRun)
        assert rule.judges(Case)
        assert compute("KD703", host()).inapplicable
        assert compute("KD703", log("A deterministic GPU implementation of X is not currently available.")).findings

    @pytest.mark.parametrize("row", [row.id for row in messages.remarks() if row.harmless])
    def test_harmless_lines_are_said_to_be_harmless(self, row: str) -> None:
        """Of each of them: no finding, and a remark that tells why."""
        for line in (line for name, line in EXAMPLES if name == row):
            assert not diagnose(log(line)).findings
            assert [text.row.id for text in heard.remarks([line])] == [row]

    def test_a_banner_of_containers_tells_that_it_is_one(self) -> None:
        """NVIDIA's images print it, so the software runs in a container; what was not passed is the GPU."""
        assert codes(log("WARNING: The NVIDIA Driver was not detected.  GPU functionality will not be available."))[
            0
        ] == ("KD501")

    def test_the_gpu_that_a_message_names_decides_whether_it_is_too_new(self) -> None:
        """PyTorch names the architecture: above the build's newest, or below its oldest."""
        text = "NVIDIA X with CUDA capability sm_{} is not compatible with the current PyTorch installation."
        assert codes(log(text.format("120")))[0] == "KD107"
        assert codes(log(text.format("35")))[0] == "KD106"

    def test_remarks_are_told_once(self) -> None:
        """Harmless lines with their meaning; memory that ran out is no fault of the set-up, and not harmless."""
        lines = [
            "Unable to register cuFFT factory: a",
            "Unable to register cuBLAS factory: b",
            "OOM when allocating tensor",
        ]
        found = heard.remarks(lines)
        assert [text.row.harmless for text in found] == [True, False]


@pytest.mark.skipif(not FOLDER.is_dir(), reason=f"the benchmark is not there: {FOLDER}")
def test_the_benchmark_with_its_logs() -> None:
    """Cases with their logs and single lines: the root cause first in 95 of 100, and no alarm on healthy ones."""
    missed, alarms, total = [], [], 0
    for name in ("cases.jsonl", "log_lines.jsonl"):
        for text in (FOLDER / name).read_text("utf-8").splitlines():
            row = json.loads(text)
            if "compare" in row:
                continue
            snapshot = row.get("snapshot") or log(row["line"])
            found = diagnose(snapshot)
            if row.get("harmless") or row.get("kind") == "healthy":
                alarms += [(row["id"], f.code) for f in found.findings if f.severity and f.severity.value == "error"]
                continue
            right = set(row.get("rules") or [row["expect"]["rule"], *(row["expect"].get("also_acceptable") or ())])
            every = row.get("kind") == "reproducibility" or "info" in (
                row.get("severity"),
                row.get("expect", {}).get("severity"),
            )
            ranked = found.findings if every else loud(found)
            total += 1
            if not ranked or ranked[0].name not in right:
                missed.append(row["id"])
    assert not alarms
    assert len(missed) <= 0.05 * total, missed


def test_operations_that_do_not_load_count_for_more_than_versions_that_fit() -> None:
    """An add-on that fits by its version was built for another TensorFlow: said with less confidence."""
    packages = [{"name": "tensorflow", "version": "2.4.1"}, {"name": "tensorflow-text", "version": "2.4.1"}]
    software = {"python": {"version": "3.7.9"}, "tensorflow": {"version": "2.4.1"}, "packages": packages}
    line = "NotFoundError: tensorflow_text/python/metrics/_metric_ops.so: undefined symbol: _ZN10tensorflow8"
    (finding,) = loud(diagnose(log(line, software=software)))
    assert (finding.code, finding.confidence) == ("KD308", Confidence.MEDIUM)
    assert not loud(diagnose({"software": software}))


def test_a_runtime_that_refuses_the_driver_counts_for_more_than_a_version_that_suffices() -> None:
    """The machine that was told need not be the one that wrote the log: medium confidence."""
    found = loud(diagnose(log("CUDA driver version is insufficient for CUDA runtime version", **host())))
    (finding,) = [finding for finding in found if finding.code == "KD102"]
    assert finding.confidence is Confidence.MEDIUM
    assert "to be sure, run:" in (finding.fix or "")


class TestStrongerThanVersionsThatFit:
    """Messages that prove what the versions do not show."""

    @pytest.mark.parametrize(
        "line",
        [
            "tensorflow_text/core/pybinds/tflite_registrar.so: undefined symbol: _ZN4absl12lts_2021110220raw_logging",
            "undefined symbol: _ZN10tensorflow12OpDefBuilder4AttrESs",
            "some_op.so: undefined symbol: _ZTIN10tensorflow8OpKernelE",
        ],
    )
    def test_a_part_of_an_addon_that_does_not_load(self, line: str) -> None:
        """Its file, or a symbol of TensorFlow that it misses, proves the misfit."""
        assert codes(log(line, software=ADDON)) == ["KD308"]
        assert not codes({"software": ADDON})

    def test_a_symbol_that_tensorflow_s_own_library_misses_is_no_addon_s(self) -> None:
        """A broken TensorFlow is not said to be a misfit of an add-on whose versions fit."""
        line = "_pywrap_tensorflow_internal.so: undefined symbol: _ZN10tensorflow8internal7LogMessageC1E"
        assert not codes(log(line, software=ADDON))

    def test_a_missing_symbol_version_counts_unless_the_glibc_that_is_told_has_it(self) -> None:
        """libstdc++ is in no snapshot; a glibc that suffices makes it a message of another day."""
        software = {
            "python": {"version": "3.7.1"},
            "libc": {"name": "glibc", "version": "2.31"},
            "tensorflow": {"version": "2.4.1", "distribution": "tensorflow"},
        }
        machine = {"os": "linux", "architecture": "x86_64"}
        cxx = "ImportError: /lib64/libstdc++.so.6: version `CXXABI_1.3.8' not found (required by x.so)"
        glibc = "ImportError: /lib64/libm.so.6: version `GLIBC_{}' not found (required by x.so)"
        assert codes(log(cxx, software=software, machine=machine)) == ["KD310"]
        assert codes(log(glibc.format("2.33"), software=software, machine=machine)) == ["KD310"]
        assert not codes(log(glibc.format("2.27"), software=software, machine=machine))

    def test_a_call_for_keras_2_counts_beside_a_keras_3_that_fits_tensorflow(self) -> None:
        """TensorFlow and Keras belong together; the project's call belongs to another Keras."""
        software = {"tensorflow": {"version": "2.17.0"}, "keras": {"version": "3.4.1"}}
        line = "ValueError: Unrecognized keyword arguments passed to LSTM: {'batch_input_shape': (1, 1, 7)}"
        assert codes(log(line, software=software)) == ["KD307"]
        assert not codes({"software": software})

    def test_windows_says_only_that_a_library_failed(self) -> None:
        """A warning, and none where the CPU has the instructions."""
        line = "ImportError: DLL load failed while importing _pywrap_tensorflow_internal: Initialisierungsroutine"
        (finding,) = loud(diagnose(log(line)))
        assert (finding.code, finding.severity and finding.severity.value) == ("KD110", "warning")
        able = {"os": "windows", "architecture": "x86_64", "cpu": {"flags": ["sse4_2", "avx", "avx2", "fma"]}}
        assert not codes(log(line, machine=able, software={"tensorflow": {"version": "2.19.0"}}))


@pytest.mark.parametrize(
    ("second", "installed", "codes"),
    [
        ("tensorflow", [], ["KD311"]),
        ("tensorflow>=2.16", [], []),  # another file than the one that the log speaks of
        ("tensorflow", [{"name": "keras", "version": "3.9.0"}, {"name": "tensorflow", "version": "2.19.0"}], []),
    ],
)
def test_what_pip_refuses_counts_while_it_is_asked_for(second: str, installed: list[Any], codes: list[str]) -> None:
    """pip knows what a requirement asks for in turn; a log of another day counts less than the facts."""
    line = "Cannot install keras==3.9.0 and tensorflow because these package versions have conflicting dependencies."
    asked = [{"requirement": text, "where": "requirements.txt"} for text in ("keras==3.9.0", second)]
    found = loud(diagnose(log(line, software={"requested": asked, "packages": installed})))
    assert [finding.code for finding in found] == codes
