"""KD301, KD302, KD303: the build, native Windows, two distributions in one folder."""

from __future__ import annotations

from typing import Any

import pytest

from doctor.model.report import Severity
from tests.rules.environments import cpu_only, packages, plain, replaced, requiring, wheels
from tests.rules.machines import Drop, change, fix, message, outcome
from tests.support import compute, diagnose

CPU = {"software.tensorflow": {"version": "2.15.1", "distribution": "tensorflow-cpu", "cuda_build": False}}


def windows(version: str, **more: Any) -> dict[str, Any]:
    """TensorFlow on native Windows beside a GPU."""
    return change(
        plain("2.10.1"),
        {
            "machine.os": "windows",
            "software.distribution": {},
            "software.libc": {},
            "software.cuda": {},
            "software.keras": {},
            "software.packages": packages(f"tensorflow {version}"),
            "software.tensorflow": {"version": version, "distribution": "tensorflow"},
            **more,
        },
    )


class TestCpuBuild:
    def test_beside_a_gpu_that_nobody_asks_for(self) -> None:
        """The GPU is only there: a warning."""
        assert outcome("KD301", change(plain("2.15.1"), CPU)) == "warning"

    @pytest.mark.parametrize(
        "wish",
        [
            {"expects": {"gpu": True}},
            {"container": {"gpus_requested": True}},
            {"software.requested": [{"requirement": "nvidia-cudnn-cu12"}]},
        ],
        ids=["said", "container", "wheels"],
    )
    def test_where_a_gpu_is_expected(self, wish: dict[str, Any]) -> None:
        """Somebody means to use the GPU: an error."""
        assert outcome("KD301", change(change(plain("2.15.1"), CPU), wish)) == "error"

    def test_on_a_machine_without_a_gpu(self) -> None:
        """The right build for this machine."""
        assert outcome("KD301", cpu_only(change(plain("2.15.1"), CPU))) == "inapplicable"

    def test_a_gpu_build_passes(self) -> None:
        """A build with CUDA."""
        assert outcome("KD301", plain()) == "passed"

    def test_an_unknown_build_is_skipped(self) -> None:
        """A nightly build of which nothing was read."""
        nightly = {
            "software.tensorflow": {"version": "2.22.0.dev1", "distribution": "tf-nightly"},
            "software.packages": [],
        }
        assert outcome("KD301", change(plain(), nightly)) == "skipped"

    @pytest.mark.parametrize(
        ("more", "words"),
        [
            ({}, "pip uninstall -y tensorflow-cpu && pip install 'tensorflow[and-cuda]==2.15.1'"),
            ({"machine.architecture": "aarch64"}, "container"),
            (
                {
                    "software.packages": [
                        {"name": "tensorflow", "version": "2.15.1", "installer": "conda", "build": "cpu_py311"}
                    ]
                },
                "conda install -c conda-forge 'tensorflow=2.15.1=*cuda*'",
            ),
        ],
        ids=["pip", "aarch64", "conda"],
    )
    def test_the_fix_fits_platform_and_installer(self, more: dict[str, Any], words: str) -> None:
        """On aarch64 the index has no CUDA build; conda is mended by conda."""
        assert words in fix("KD301", change(change(plain("2.15.1"), CPU), more))

    def test_windows_and_macos_are_said_elsewhere(self) -> None:
        """Native Windows has a rule of its own, macOS no CUDA."""
        assert outcome("KD301", windows("2.15.1", **{"software.tensorflow.cuda_build": False})) == "inapplicable"
        assert outcome("KD301", change(change(plain("2.15.1"), CPU), {"machine.os": "darwin"})) == "inapplicable"


class TestWindows:
    @pytest.mark.parametrize(("version", "expected"), [("2.10.1", "passed"), ("2.11.0", "error"), ("2.20.0", "error")])
    def test_2_10_was_the_last(self, version: str, expected: str) -> None:
        """From 2.11 on no GPU on native Windows."""
        assert outcome("KD302", windows(version)) == expected

    def test_a_toolkit_shows_the_wish(self) -> None:
        """No GPU is told, but somebody installed CUDA for it."""
        snapshot = windows(
            "2.16.1",
            **{"machine.gpus": Drop, "machine.driver": {}, "software.cuda": {"toolkits": [{"version": "12.3"}]}},
        )
        assert outcome("KD302", snapshot) == "error"

    def test_nobody_wants_a_gpu(self) -> None:
        """Without a GPU 2.11 and later are fine on Windows."""
        assert outcome("KD302", cpu_only(windows("2.16.1"))) == "inapplicable"

    def test_other_systems(self) -> None:
        """Linux, also inside WSL2, and an unknown system."""
        assert outcome("KD302", plain()) == "inapplicable"
        assert outcome("KD302", change(plain(), {"machine.os": Drop})) == "skipped"

    def test_an_image_is_linux(self) -> None:
        """An image that is judged on a Windows machine is Linux inside."""
        assert outcome("KD302", change(windows("2.16.1"), {"subject.kind": "image"})) == "inapplicable"

    def test_directml(self) -> None:
        """The DirectML plug-in is another way to the GPU."""
        snapshot = windows("2.16.1")
        assert outcome("KD302", replaced(snapshot, tensorflow_directml_plugin="0.4.0")) == "inapplicable"

    def test_it_is_the_only_loud_finding(self) -> None:
        """Nothing is said of CUDA libraries that could not be used anyway."""
        found = windows("2.15.1", **{"software.cuda": {"toolkits": [{"version": "11.8"}], "libraries": []}})
        assert [f.code for f in diagnose(found).findings if f.severity and f.severity.value == "error"] == ["KD302"]


class TestOverlap:
    def test_without_tensorflow(self) -> None:
        """Where a complete list holds none, there is nothing that could overlap; an incomplete one proves nothing."""
        bare = {"software": {"packages": [{"name": "six", "version": "1.17.0"}]}}
        assert outcome("KD303", bare) == "inapplicable"
        assert outcome("KD303", {**bare, "partial": ["software.packages"]}) == "skipped"

    @pytest.mark.parametrize("other", ["tensorflow-cpu", "tensorflow-gpu", "tf-nightly", "tensorflow-rocm"])
    def test_two_owners(self, other: str) -> None:
        """Two distributions that install the folder `tensorflow`."""
        assert outcome("KD303", replaced(plain(), **{other.replace("-", "_"): "2.10.1"})) == "error"

    @pytest.mark.parametrize(
        "other",
        ["tensorflow-io", "tensorflow-text", "tensorflow-estimator", "tensorflow-metal", "tf-keras", "tensorboard"],
    )
    def test_companions(self, other: str) -> None:
        """Packages with folders of their own."""
        assert outcome("KD303", replaced(plain(), **{other.replace("-", "_"): "2.10.1"})) == "passed"

    @pytest.mark.parametrize(
        ("name", "version"),
        [("tensorflow-intel", "2.15.1"), ("tensorflow-macos", "2.15.0"), ("tensorflow-cpu-aws", "2.15.1")],
    )
    def test_the_build_that_tensorflow_itself_requires(self, name: str, version: str) -> None:
        """On some platforms `tensorflow` is a shell around the build that it requires."""
        assert outcome("KD303", replaced(plain("2.15.1"), **{name.replace("-", "_"): version})) == "passed"

    def test_metadata_can_say_so_too(self) -> None:
        """A version that the tables do not know: its METADATA names the build."""
        snapshot = replaced(plain("2.15.1"), tensorflow="2.99.0", tensorflow_intel="2.99.0")
        assert outcome("KD303", requiring(snapshot, "tensorflow", "tensorflow-intel==2.99.0")) == "passed"
        assert outcome("KD303", snapshot) == "error"

    def test_a_stub_owns_nothing(self) -> None:
        """tensorflow-gpu 2.12 is empty."""
        assert outcome("KD303", replaced(plain(), tensorflow_gpu="2.12.0")) == "passed"

    def test_conda_metapackages(self) -> None:
        """conda's tensorflow, tensorflow-base and tensorflow-gpu belong together."""
        rows = [
            {**p, "installer": "conda"}
            for p in packages("tensorflow 2.15.0", "tensorflow-gpu 2.15.0", "tensorflow-base 2.15.0")
        ]
        assert outcome("KD303", change(plain("2.15.1"), {"software.packages": rows})) == "passed"

    def test_the_collector_may_have_seen_the_owners(self) -> None:
        """The folder's owners, where they were read, decide."""
        assert (
            outcome("KD303", change(plain(), {"software.tensorflow.owners": ["tensorflow", "tf_nightly"]})) == "error"
        )
        both = replaced(plain(), tensorflow_cpu="2.17.1")
        assert outcome("KD303", change(both, {"software.tensorflow.owners": ["tensorflow"]})) == "passed"

    def test_one_in_an_incomplete_list(self) -> None:
        """One owner in a list that is known to be incomplete proves nothing; two prove it."""
        partial = {"partial": ["software.packages"]}
        assert outcome("KD303", change(plain(), partial)) == "skipped"
        assert outcome("KD303", change(replaced(plain(), tensorflow_cpu="2.17.1"), partial)) == "error"

    def test_the_fix_keeps_the_cuda_wheels(self) -> None:
        """Remove both, install the one with CUDA."""
        snapshot = replaced(wheels("2.15.1"), tensorflow_cpu="2.15.1")
        assert "tensorflow and tensorflow-cpu" in message("KD303", snapshot)
        assert fix("KD303", snapshot).endswith("pip install 'tensorflow[and-cuda]==2.15.1'")

    def test_a_cpu_build_beside_it_is_the_symptom(self) -> None:
        """Where the CPU build won, the overlap is the cause."""
        snapshot = change(replaced(plain("2.15.1"), tensorflow_cpu="2.15.1"), {"software.tensorflow.cuda_build": False})
        found = {f.code: f.caused_by for f in diagnose(snapshot).findings}
        assert found["KD301"] == ("KD303",)


def test_cpu_build_by_name_beside_a_toolkit_is_no_error() -> None:
    """`tensorflow-cpu` was chosen by its name; a CUDA toolkit on the same host may serve others."""
    software = {
        "tensorflow": {"version": "2.15.1", "distribution": "tensorflow-cpu", "cuda_build": False},
        "cuda": {"toolkits": [{"version": "13.0"}]},
    }
    assert [f.severity for f in compute("KD301", {"software": software}).findings] == ["warning"]
    chosen = {**software, "tensorflow": {**software["tensorflow"], "distribution": "tensorflow"}}
    assert [f.severity for f in compute("KD301", {"software": chosen}).findings] == ["error"]


def _gutted() -> dict[str, Any]:
    """tensorflow as pip lists it after `pip uninstall tensorflow-cpu` has taken its files along."""
    facts = {"present": False, "owners": [], "distribution": "tensorflow", "missing_files": ["tensorflow/__init__.py"]}
    return change(plain("2.15.1"), {"software.tensorflow": facts})


def test_a_tensorflow_without_its_files_is_no_pass() -> None:
    """Listed as installed, impossible to import: the only finding of the scan, and an error."""
    found = diagnose(_gutted()).findings
    assert [(f.code, f.severity) for f in found] == [("KD303", Severity.ERROR)]
    assert (
        found[0].message == "tensorflow 2.15.1 is listed as installed, but its files are gone: tensorflow/__init__.py"
    )
    assert found[0].fix == "pip uninstall -y tensorflow && pip install 'tensorflow==2.15.1'"
