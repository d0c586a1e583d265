"""KD201, KD202, KD205, KD206, KD207: the CUDA libraries that TensorFlow opens."""

from __future__ import annotations

from typing import Any

import pytest

from tests.rules.environments import (
    SONAMES,
    cpu_only,
    library,
    packages,
    plain,
    replaced,
    system,
    toolkit_libraries,
    wheels,
    without,
)
from tests.rules.machines import Drop, change, fix, message, outcome, reason
from tests.support import compute, diagnose

FAMILY = ("KD201", "KD202", "KD203", "KD204", "KD205", "KD206", "KD207", "KD208")
OFF = {"on_path": False}
HEALTHY = {
    "wheels 2.15": wheels("2.15.1"),
    "wheels 2.17": wheels("2.17.1"),
    "wheels 2.21": wheels("2.21.0"),
    "system 12.2": system("2.15.1", "12.2", "8.9.4"),
    "another minor of CUDA 12": system("2.17.1", "12.6", "8.9.7"),
    "another minor of CUDA 11": system("2.12.1", "11.2", "8.9.4"),
    "all CUDA 11.x share a soname": system("2.10.1", "11.7", "8.6.0"),
}


@pytest.mark.parametrize("snapshot", HEALTHY.values(), ids=HEALTHY.keys())
def test_what_fits_has_no_finding_of_the_family(snapshot: dict[str, Any]) -> None:
    """Wheels of the extra, and system toolkits of the same major version, are fine."""
    assert not [f.code for f in diagnose(snapshot).findings if f.code in FAMILY]


@pytest.mark.parametrize("code", ["KD201", "KD202", "KD205", "KD206", "KD207"])
class TestEach:
    def test_without_a_gpu_it_has_nothing_to_say(self, code: str) -> None:
        """A machine without NVIDIA hardware is not a fault."""
        assert outcome(code, cpu_only(plain())) == "inapplicable"

    def test_a_cpu_build_has_no_cuda_to_miss(self, code: str) -> None:
        """A build without CUDA opens none of these libraries."""
        snapshot = change(plain(), {"software.tensorflow.cuda_build": False})
        assert outcome(code, snapshot) == "inapplicable"

    def test_macos_has_no_cuda(self, code: str) -> None:
        """On macOS no TensorFlow uses CUDA."""
        assert outcome(code, change(plain(), {"machine.os": "darwin", "expects": {"gpu": True}})) == "inapplicable"

    def test_nobody_looked(self, code: str) -> None:
        """Neither libraries nor toolkits nor packages are known: skipped, never passed."""
        snapshot = change(plain(), {"software.cuda": {}, "software.packages": Drop})
        assert outcome(code, snapshot) == "skipped"

    def test_an_incomplete_list_proves_no_absence(self, code: str) -> None:
        """An empty list that is known to be incomplete: nothing is reported missing."""
        snapshot = change(plain(), {"partial": ["software.cuda.libraries", "software.packages"]})
        assert outcome(code, snapshot) in ("skipped", "passed")


class TestMissing:
    @pytest.mark.parametrize("soname", [*(n for n in SONAMES["12"].values() if "curand" not in n), "libcudnn.so.8"])
    def test_one_that_is_opened_is_enough(self, soname: str) -> None:
        """Each library that TensorFlow opens is missed where it is the only one that is not there."""
        snapshot = change(without(wheels("2.15.1"), soname), {"software.cuda.cudnn_version": Drop})
        assert soname in message("KD201", snapshot)

    @pytest.mark.parametrize("soname", ["libnccl.so.2", "libcurand.so.10"])
    def test_what_is_opened_for_other_uses_is_not_missed(self, soname: str) -> None:
        """NCCL is for several GPUs, cuRAND is not opened by today's builds."""
        assert outcome("KD201", without(wheels("2.15.1"), soname)) == "passed"

    def test_old_builds_open_curand(self) -> None:
        """TensorFlow up to 2.11 does not register a GPU without cuRAND."""
        assert "libcurand.so.10" in message("KD201", without(system("2.10.1", "11.2", "8.1.1"), "libcurand.so.10"))

    def test_the_fix_names_the_extra(self) -> None:
        """With an extra there is one command that brings everything."""
        assert "tensorflow[and-cuda]==2.15.1" in fix("KD201", without(wheels("2.15.1"), "libcusolver.so.11"))

    def test_the_fix_fits_uv(self) -> None:
        """Where uv installed TensorFlow, uv mends it."""
        snapshot = without(wheels("2.15.1"), "libcusolver.so.11")
        rows = [{**p, "installer": "uv"} for p in snapshot["software"]["packages"]]
        assert fix("KD201", change(snapshot, {"software.packages": rows})).startswith("uv pip install")

    def test_another_version_is_no_missing_library(self) -> None:
        """CUDA 11 under a build for CUDA 12 is one finding: the version."""
        assert outcome("KD201", system("2.15.1", "11.8", "8.9.4")) == "passed"

    def test_cudnn_alone_is_not_enough(self) -> None:
        """Only the cuDNN wheel is there: the rest is missing."""
        snapshot = change(
            plain("2.12.1"), {"software.cuda.libraries": [library("libcudnn.so.8", "8.6.0.163", "wheel")]}
        )
        assert "libcudart.so.11.0" in message("KD201", snapshot)


class TestVersion:
    @pytest.mark.parametrize(
        ("tensorflow", "cuda"), [("2.15.1", "11.8"), ("2.12.1", "12.1"), ("2.21.0", "13.2"), ("2.10.1", "12.2")]
    )
    def test_another_major_version(self, tensorflow: str, cuda: str) -> None:
        """The libraries of another major version bear other names."""
        assert outcome("KD202", system(tensorflow, cuda, None)) == "error"

    def test_cuda_11_0_ships_another_cusolver(self) -> None:
        """TensorFlow 2.4 opens libcusolver.so.10, which CUDA 11.1 and later no longer have."""
        assert "libcusolver.so.10" in message("KD202", system("2.4.4", "11.2", "8.0.5"))

    def test_before_cuda_11_the_minor_version_counts(self) -> None:
        """A build for 10.1 does not open libcudart.so.10.2, whatever the rest is called."""
        old = {"version": "2.3.0", "distribution": "tensorflow"}
        rows = [*toolkit_libraries("10.2"), library("libcudnn.so.7", "7.6.5")]
        rows[0]["soname"] = "libcudart.so.10.2"
        snapshot = change(
            plain(),
            {
                "software.tensorflow": old,
                "software.packages": Drop,
                "software.cuda": {"toolkits": [{"version": "10.2"}], "libraries": rows},
            },
        )
        assert "CUDA 10.1 (libcudart.so.10.1), but CUDA 10.2" in message("KD202", snapshot)

    def test_the_toolkits_alone_can_tell(self) -> None:
        """Where no library was listed, the toolkits of another version suffice."""
        toolkits = {"toolkits": [{"version": "11.8"}]}
        assert outcome("KD202", change(plain("2.15.1"), {"software.cuda": toolkits})) == "error"

    def test_a_second_toolkit_may_fit(self) -> None:
        """Of two toolkits one fits: the version is there."""
        toolkits = {"toolkits": [{"version": "11.8"}, {"version": "12.4"}]}
        assert outcome("KD202", change(plain("2.15.1"), {"software.cuda": toolkits})) == "passed"

    def test_wheels_beside_an_old_toolkit(self) -> None:
        """The wheels are used, the toolkit is not: nothing is wrong, even where the libraries were not listed."""
        beside = change(wheels("2.17.1"), {"software.cuda.toolkits": [{"version": "11.2"}]})
        assert outcome("KD202", beside) == "passed"
        assert outcome("KD202", change(beside, {"software.cuda.libraries": Drop})) == "passed"

    def test_conda_brought_the_runtime(self) -> None:
        """conda's cudatoolkit counts like a wheel."""
        snapshot = change(
            replaced(plain("2.12.1"), cudatoolkit="11.8.0"), {"software.cuda": {"toolkits": [{"version": "12.2"}]}}
        )
        assert outcome("KD202", snapshot) == "passed"

    def test_an_incomplete_list_can_still_prove_another_version(self) -> None:
        """Toolkit and runtime of another version are there: what else may be there does not help."""
        snapshot = change(system("2.12.1", "12.1", None), {"partial": ["software.cuda.libraries"]})
        assert outcome("KD202", snapshot) == "error"

    def test_cuda_of_another_framework_is_not_meant_for_tensorflow(self) -> None:
        """torch's wheels for CUDA 13 beside a plain TensorFlow: its own CUDA is absent, not of another version."""
        rows = [library(name, "13.0", "wheel") for name in SONAMES["13"].values()]
        snapshot = change(replaced(plain("2.21.0"), torch="2.11.0"), {"software.cuda.libraries": rows})
        assert outcome("KD202", snapshot) == "passed"
        assert outcome("KD207", snapshot) == "error"


class TestPath:
    def test_libraries_off_the_path(self) -> None:
        """Installed and in no folder that the loader searches: the folder is named in the fix."""
        snapshot = system("2.15.1", "12.2", "8.9.4", **OFF)
        assert "no folder that the loader searches" in message("KD205", snapshot)
        assert "LD_LIBRARY_PATH=/usr/local/cuda-12.2/lib64" in fix("KD205", snapshot)

    def test_libraries_that_cannot_be_loaded(self) -> None:
        """Found, but of another architecture or with a dependency missing."""
        snapshot = system("2.15.1", "12.2", "8.9.4", on_path=True, loadable=False)
        assert "cannot be loaded" in message("KD205", snapshot)

    def test_a_toolkit_of_which_nothing_is_found(self) -> None:
        """The right toolkit is installed, and the loader finds none of its libraries."""
        snapshot = change(system("2.15.1", "12.2", None), {"software.cuda.libraries": []})
        assert "CUDA 12.2 toolkit" in message("KD205", snapshot)
        assert outcome("KD207", snapshot) == "passed"

    def test_the_right_toolkit_behind_a_wrong_one(self) -> None:
        """Only the libraries of the other toolkit are on the path: it is the path, not the version."""
        both = [
            {"version": "11.8", "path": "/usr/local/cuda-11.8"},
            {"version": "12.2", "path": "/usr/local/cuda-12.2"},
        ]
        snapshot = change(system("2.15.1", "11.8", "8.9.4"), {"software.cuda.toolkits": both})
        assert [f.code for f in diagnose(snapshot).findings if f.code in FAMILY] == ["KD205"]

    def test_another_copy_on_the_path_is_enough(self) -> None:
        """A copy off the path beside one that is found does no harm."""
        snapshot = system("2.15.1", "12.2", "8.9.4")
        rows = [*toolkit_libraries("12.2", "8.9.4", **OFF), *snapshot["software"]["cuda"]["libraries"]]
        assert outcome("KD205", change(snapshot, {"software.cuda.libraries": rows})) == "passed"

    def test_a_release_that_does_not_look_into_its_wheels(self) -> None:
        """TensorFlow 2.16.1 finds its wheels only by LD_LIBRARY_PATH; what the loader was seen to find decides."""
        snapshot = wheels("2.16.1")
        untold = [
            {k: v for k, v in lib.items() if k != "loadable"} for lib in snapshot["software"]["cuda"]["libraries"]
        ]
        blind = change(snapshot, {"software.cuda.libraries": untold})
        path = {"software.environment": {"LD_LIBRARY_PATH": "/venv/lib/python3.11/site-packages/nvidia/cudnn/lib"}}
        assert outcome("KD205", blind) == "error"
        assert outcome("KD205", change(blind, path)) == "passed"
        assert outcome("KD205", snapshot) == "passed"
        assert outcome("KD205", change(blind, {"software.tensorflow.version": "2.17.1"})) == "passed"


class TestShadowed:
    def test_a_stranger_first(self) -> None:
        """conda's cuDNN before the wheel's: fires, and names the folder to take off the path."""
        snapshot = wheels("2.17.1")
        first = library("libcudnn.so.8", "8.9.2", "conda", path="/opt/conda/lib/libcudnn.so.8")
        found = change(
            snapshot,
            {
                "software.cuda.libraries": [first, *snapshot["software"]["cuda"]["libraries"]],
                "software.environment": {"LD_LIBRARY_PATH": "/opt/conda/lib"},
            },
        )
        assert outcome("KD206", found) == "warning"
        assert fix("KD206", found) == "take /opt/conda/lib out of LD_LIBRARY_PATH"

    @pytest.mark.parametrize(
        "more",
        [
            library("libcudnn.so.8", "8.9.7.29", "system"),
            library("libcudnn.so.8", "8.9.2", "system", on_path=False),
            library("libcudnn.so.9", "9.1.0", "system"),
        ],
        ids=["same version", "off the path", "another name"],
    )
    def test_harmless_copies(self, more: dict[str, Any]) -> None:
        """A copy of the same version, off the path, or of another name shadows nothing."""
        snapshot = wheels("2.17.1")
        rows = [more, *snapshot["software"]["cuda"]["libraries"]]
        assert outcome("KD206", change(snapshot, {"software.cuda.libraries": rows})) == "passed"

    def test_the_wheel_first(self) -> None:
        """The wheel's copy comes first: the other one is never opened."""
        snapshot = wheels("2.17.1")
        rows = [*snapshot["software"]["cuda"]["libraries"], library("libcudnn.so.8", "8.5.0", "system")]
        assert outcome("KD206", change(snapshot, {"software.cuda.libraries": rows})) == "passed"


class TestAbsent:
    @pytest.mark.parametrize("tensorflow", ["2.10.1", "2.12.1", "2.15.1", "2.17.1", "2.21.0"])
    def test_plain_tensorflow_on_a_gpu_machine(self, tensorflow: str) -> None:
        """The one thing to say of `pip install tensorflow` beside a GPU."""
        assert [f.code for f in diagnose(plain(tensorflow)).findings] == ["KD207"]

    def test_the_fix_is_the_extra_where_there_is_one(self) -> None:
        """Before 2.14 there is no extra: the toolkit is named, and the way out."""
        assert fix("KD207", plain("2.17.1")) == "pip install 'tensorflow[and-cuda]==2.17.1'"
        assert "CUDA 11.8 toolkit and cuDNN 8.6" in fix("KD207", plain("2.12.1"))

    def test_the_fix_does_not_name_an_extra_that_cannot_be_installed(self) -> None:
        """The extra of 2.15.0 pins what the index no longer has."""
        snapshot = replaced(change(plain("2.15.1"), {"software.tensorflow.version": "2.15.0"}), tensorflow="2.15.0")
        assert "2.15.1" in fix("KD207", snapshot)

    def test_a_toolkit_of_an_unknown_version_is_a_toolkit(self) -> None:
        """It is there: only which one is not known."""
        snapshot = change(plain("2.10.1"), {"software.cuda": {"toolkits": [{"path": "/usr/local/cuda"}]}})
        assert outcome("KD207", snapshot) == "skipped"
        assert outcome("KD202", snapshot) != "error"

    def test_packages_alone_make_it_likely(self) -> None:
        """No library was looked for, but no toolkit and no CUDA wheel is installed: a system's own packages may."""
        snapshot = change(plain(), {"software.cuda": {"toolkits": []}})
        assert outcome("KD207", snapshot) == "warning"
        assert outcome("KD207", change(wheels(), {"software.cuda": {"toolkits": []}})) == "skipped"

    @pytest.mark.parametrize(
        "changes",
        [
            {"software.python.environment": "conda"},
            {"software.packages": [*packages("tensorflow 2.12.1"), {"name": "cudatoolkit", "version": "11.8.0"}]},
        ],
    )
    def test_conda_may_have_brought_what_nobody_looked_for(self, changes: dict[str, Any]) -> None:
        """Conda links CUDA into its environment without a toolkit's folder."""
        snapshot = change(plain("2.12.1"), {"software.cuda": {"toolkits": []}, **changes})
        assert outcome("KD207", snapshot) == "skipped"

    def test_another_version_is_not_ruled_out_where_no_library_was_looked_for(self) -> None:
        """No toolkit in the usual folders says nothing of the CUDA that the loader would find."""
        snapshot = change(plain("2.12.1"), {"software.cuda": {"toolkits": []}})
        assert outcome("KD202", snapshot) == "skipped"
        assert (
            outcome("KD202", change(system("2.12.1", "11.8", "8.6.0"), {"software.cuda.libraries": Drop})) == "passed"
        )

    def test_windows_libraries_are_known_where_nobody_told_the_system(self) -> None:
        """The software half alone does not name the system: its libraries bear the names of one."""
        names = "cudart64_110 cublas64_11 cublasLt64_11 cufft64_10 curand64_10 cusolver64_11 cusparse64_11"
        rows = [library(f"{name}.dll", "11.2") for name in names.split()]
        cuda = {"toolkits": [{"version": "11.2"}], "libraries": [*rows, library("cudnn64_8.dll", "8.1.1")]}
        snapshot = change(plain("2.10.1"), {"software.cuda": cuda, "machine.os": Drop})
        assert {outcome(code, snapshot) for code in ("KD201", "KD202", "KD203", "KD205", "KD207")} == {"passed"}

    def test_an_image_without_a_gpu_machine_is_told_what_to_give(self) -> None:
        """An image is judged on a machine: without one the reason says so."""
        snapshot = change(cpu_only(plain()), {"subject.kind": "image"})
        assert reason("KD207", snapshot) == "no GPU here; give --machine"


def test_evidence_names_the_facts() -> None:
    """Every piece of evidence is a path of the snapshot with its value."""
    (finding,) = compute("KD202", system("2.15.1", "11.8", "8.9.4")).findings
    facts = {row.fact: row.value for row in finding.evidence}
    assert facts["software.tensorflow.cuda_version"] == "12.2"
    assert any(fact.startswith("software.cuda.libraries.") for fact in facts)
    assert all((finding.effect, finding.verify, finding.thing))


class TestOpenedInTheLog:
    """What TensorFlow itself says that it opened, beside a list that is known to be incomplete."""

    OPENED = "I tensorflow/stream_executor/platform/default/dso_loader.cc:42] Successfully opened dynamic library {}"

    def test_a_runtime_that_was_opened_is_of_the_right_version(self) -> None:
        """Another toolkit is named, but the log shows the right runtime: only what the log misses is missing."""
        lines = [self.OPENED.format("libcudart.so.10.0"), "Could not dlopen library 'libcudnn.so.7'"]
        software = {"tensorflow": {"version": "1.14.0"}, "cuda": {"toolkits": [{"version": "9.1"}]}}
        snapshot = {"software": software, "expects": {"gpu": True}}
        assert [f.code for f in diagnose(snapshot).findings][:1] == ["KD202"]
        loud = [f.code for f in diagnose({**snapshot, "log": lines}).findings if f.code in FAMILY]
        assert loud == ["KD201"]

    def test_a_name_that_another_line_misses_was_not_opened_for_good(self) -> None:
        """Opened once and missing once proves nothing."""
        name = "libcudart.so.10.0"
        lines = [self.OPENED.format(name), f"Could not dlopen library '{name}'"]
        software = {"tensorflow": {"version": "1.14.0"}, "cuda": {"toolkits": [{"version": "9.1"}]}}
        found = diagnose({"software": software, "expects": {"gpu": True}, "log": lines}).findings
        assert [f.code for f in found][:1] == ["KD202"]

    def test_a_complete_list_outweighs_a_log_of_another_day(self) -> None:
        """Everything was looked at, and the library is gone."""
        snapshot = without(wheels("2.17.1"), "libcufft.so.11")
        line = self.OPENED.format("libcufft.so.11")
        assert outcome("KD201", snapshot) == "error"
        assert outcome("KD201", {**snapshot, "log": [line]}) == "error"


def test_a_wheel_that_is_listed_and_gone_is_installed_again() -> None:
    """Removing nvidia-cudnn-cu11 takes the folder of nvidia-cudnn-cu12 along: pip still calls that one installed."""
    sound = wheels("2.17.1")
    libraries = [row for row in sound["software"]["cuda"]["libraries"] if "cufft" not in row["soname"]]
    snapshot = change(sound, {"software.cuda.libraries": libraries})
    assert fix("KD201", snapshot).startswith(
        "pip install --force-reinstall --no-deps 'nvidia-cufft-cu12==11.0.12.1' && "
    )
    assert "reinstall" not in fix("KD201", without(snapshot, "nvidia-cufft-cu12"))
