"""KD203, KD204: cuDNN of another major version, or older than the one compiled against."""

from __future__ import annotations

import pytest

from tests.rules.environments import cpu_only, library, plain, replaced, system, wheels, without
from tests.rules.machines import Drop, change, fix, message, outcome
from tests.support import diagnose


@pytest.mark.parametrize("code", ["KD203", "KD204"])
class TestEach:
    def test_no_gpu_no_question(self, code: str) -> None:
        """Without a GPU nobody asks for cuDNN."""
        assert outcome(code, cpu_only(wheels())) == "inapplicable"

    def test_no_cuda_no_question(self, code: str) -> None:
        """A CPU build opens no cuDNN."""
        assert outcome(code, change(wheels(), {"software.tensorflow.cuda_build": False})) == "inapplicable"

    def test_unknown_is_skipped(self, code: str) -> None:
        """Nobody told a cuDNN, nobody listed libraries."""
        assert outcome(code, change(plain(), {"software.cuda": {"toolkits": [{"version": "12.3"}]}})) == "skipped"

    def test_none_at_all_is_another_rule(self, code: str) -> None:
        """No cuDNN anywhere: the library is missing, not of another version."""
        assert outcome(code, plain()) == "passed"

    @pytest.mark.parametrize(
        ("tensorflow", "cuda", "cudnn"),
        [
            ("2.12.1", "11.8", "8.6.0"),
            ("2.12.1", "11.8", "8.9.7"),
            ("2.10.1", "11.2", "8.1.0"),
            ("2.15.1", "12.2", "8.9.0"),
            ("2.17.1", "12.3", "8.9.6"),
            ("2.20.0", "12.5", "9.10.2"),
            ("2.21.0", "12.5", "9.3.0"),
        ],
    )
    def test_what_fits_passes(self, code: str, tensorflow: str, cuda: str, cudnn: str) -> None:
        """The same major version and at least the minor version; the patch version does not count."""
        assert outcome(code, system(tensorflow, cuda, cudnn)) == "passed"


class TestMajor:
    @pytest.mark.parametrize(("tensorflow", "cudnn"), [("2.18.1", "8.9.7"), ("2.17.1", "9.1.0"), ("2.21.0", "8.9.6")])
    def test_another_major_version(self, tensorflow: str, cudnn: str) -> None:
        """libcudnn.so.8 does not stand in for libcudnn.so.9, nor the other way round."""
        assert outcome("KD203", system(tensorflow, "12.5", cudnn)) == "error"

    def test_both_are_there(self) -> None:
        """The right one beside a wrong one is enough."""
        snapshot = wheels("2.18.1")
        rows = [library("libcudnn.so.8", "8.9.7"), *snapshot["software"]["cuda"]["libraries"]]
        assert outcome("KD203", change(snapshot, {"software.cuda.libraries": rows})) == "passed"

    def test_the_version_alone_can_tell(self) -> None:
        """Where no library was listed, the told cuDNN version decides."""
        told = {"software.cuda": {"toolkits": [{"version": "12.5"}], "cudnn_version": "8.9.6"}}
        assert outcome("KD203", change(plain("2.18.1"), told)) == "error"

    def test_it_is_one_finding(self) -> None:
        """The missing libcudnn.so.9 is not reported a second time."""
        codes = [f.code for f in diagnose(system("2.18.1", "12.5", "8.9.7")).findings]
        assert codes == ["KD203"]

    def test_the_fix_is_the_pinned_wheel(self) -> None:
        """The extra's own pin, by pip."""
        assert fix("KD203", system("2.18.1", "12.5", "8.9.7")) == "pip install 'nvidia-cudnn-cu12==9.3.0.75'"

    def test_wheels_pinned_apart_are_the_cause(self) -> None:
        """Where another framework brought the cuDNN, the finding names that one."""
        snapshot = replaced(without(wheels("2.17.1"), "libcudnn.so.8"), torch="2.4.1", nvidia_cudnn_cu12="9.1.0.70")
        rows = [*snapshot["software"]["cuda"]["libraries"], library("libcudnn.so.9", "9.1.0.70", "wheel")]
        findings = diagnose(change(snapshot, {"software.cuda.libraries": rows, "software.cuda.cudnn_version": "9.1.0"}))
        by_code = {f.code: f for f in findings.findings}
        assert by_code["KD203"].caused_by == ("KD208",)


class TestOld:
    @pytest.mark.parametrize(
        ("tensorflow", "cuda", "cudnn"),
        [
            ("2.12.1", "11.8", "8.5.0"),
            ("2.15.1", "12.2", "8.8.1"),
            ("2.20.0", "12.5", "9.1.0"),
            ("2.10.1", "11.2", "8.0.5"),
        ],
    )
    def test_an_older_minor_version(self, tensorflow: str, cuda: str, cudnn: str) -> None:
        """A minor version below the compiled one is refused at run time."""
        assert outcome("KD204", system(tensorflow, cuda, cudnn)) == "error"

    def test_the_build_decides_over_the_tables(self) -> None:
        """What the build itself says it was compiled against comes first."""
        snapshot = system("2.12.1", "11.8", "8.6.0")
        compiled = {"software.tensorflow.cudnn_compiled_version": "8.9.4"}
        assert "8.9.4" in message("KD204", change(snapshot, compiled))

    def test_the_first_copy_counts(self) -> None:
        """The copy that the loader takes is old, the wheel's is not; the shadow is the cause."""
        snapshot = wheels("2.17.1")
        rows = [library("libcudnn.so.8", "8.5.0", "conda"), *snapshot["software"]["cuda"]["libraries"]]
        outcome_ = diagnose(change(snapshot, {"software.cuda.libraries": rows, "software.cuda.cudnn_version": "8.5.0"}))
        assert [(f.code, f.caused_by) for f in outcome_.findings] == [("KD204", ("KD206",)), ("KD206", ())]

    def test_a_major_number_alone_is_not_older(self) -> None:
        """A cuDNN that is told as "8" may be any 8.x."""
        snapshot = system("2.12.1", "11.8", "8.6.0")
        rows = [
            {**lib, "version": "8"} if "cudnn" in lib["soname"] else lib
            for lib in snapshot["software"]["cuda"]["libraries"]
        ]
        told = {"software.cuda.libraries": rows, "software.cuda.cudnn_version": "8"}
        assert outcome("KD204", change(snapshot, told)) == "passed"

    def test_a_release_is_enough_where_the_system_is_not_told(self) -> None:
        """The libraries that are there are those of a system that has CUDA."""
        told = {
            "software": {
                "tensorflow": {"version": "2.13"},
                "cuda": {"toolkits": [{"version": "11.8"}], "cudnn_version": "8.5"},
            }
        }
        assert outcome("KD204", told) == "error"
        assert outcome("KD204", change(told, {"software.cuda.cudnn_version": "8.6"})) == "passed"

    def test_an_unknown_build_is_skipped(self) -> None:
        """What it was compiled against is not known, and no table speaks of a rebuilt TensorFlow."""
        snapshot = system("2.12.1", "11.8", "8.5.0")
        conda = [{"name": "tensorflow", "version": "2.12.1", "installer": "conda", "build": "cuda118py310h5ea"}]
        rebuilt = change(snapshot, {"software.packages": conda, "software.tensorflow.cudnn_compiled_version": Drop})
        assert outcome("KD204", rebuilt) == "skipped"
