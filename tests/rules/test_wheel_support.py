"""KD304, KD310: no wheel for this Python, or a C library too old for it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.rules.environments import asked, packages, plain
from tests.rules.machines import Drop, change, fix, message, outcome, reason


class TestPython:
    @pytest.mark.parametrize(
        ("version", "python", "expected"),
        [
            ("2.16.1", "3.12.4", "passed"),
            ("2.15.1", "3.12.4", "error"),
            ("2.20.0", "3.13.1", "passed"),
            ("2.19.1", "3.13.1", "error"),
            ("2.13.1", "3.8.18", "passed"),
            ("2.14.0", "3.8.18", "error"),
            ("2.11.0", "3.7.17", "passed"),
            ("2.12.0", "3.7.17", "error"),
            ("2.20.0", "3.9.18", "passed"),
            ("2.21.0", "3.9.18", "error"),
            ("2.6.2", "3.6.15", "passed"),
            ("2.6.3", "3.6.15", "error"),
            ("2.7.0", "3.10.13", "error"),
        ],
    )
    def test_linux(self, version: str, python: str, expected: str) -> None:
        """By the tags of the wheels on the index."""
        assert outcome("KD304", asked(f"tensorflow=={version}", python=python)) == expected

    @pytest.mark.parametrize(
        ("requirement", "python", "machine", "expected"),
        [
            ("tensorflow", "3.14.0", {}, "error"),
            ("tensorflow", "3.14.3", {"os": "windows"}, "error"),
            ("tensorflow", "3.13.2", {}, "passed"),
            ("tensorflow>=2.10", "3.13.2", {}, "passed"),
            ("tensorflow<2.16", "3.12.1", {}, "error"),
            ("tensorflow-cpu==2.9.0", "3.11.4", {}, "error"),
            ("tensorflow-gpu==2.10.1", "3.10.9", {}, "passed"),
            ("tensorflow-gpu==2.10.1", "3.11.9", {}, "error"),
            ("tensorflow==2.17.0", "3.11.9", {"os": "darwin", "architecture": "x86_64"}, "error"),
            ("tensorflow==2.17.0", "3.11.9", {"os": "darwin", "architecture": "arm64"}, "passed"),
            ("tensorflow==2.9.0", "3.9.18", {"architecture": "aarch64"}, "error"),
            ("tensorflow==2.15.0", "3.11.9", {"architecture": "ppc64le"}, "error"),
            ("tf-nightly", "3.14.0", {}, "inapplicable"),
            ("numpy==1.26.4", "3.14.0", {}, "inapplicable"),
            ("tensorflow==2.15.1; python_version < '3.12'", "3.12.4", {}, "inapplicable"),
            ("tensorflow==2.15.1; sys_platform == 'win32'", "3.12.4", {}, "inapplicable"),
        ],
    )
    def test_platforms_and_requirements(
        self, requirement: str, python: str, machine: dict[str, Any], expected: str
    ) -> None:
        """Ranges need one fitting release; a marker that does not hold here asks for nothing."""
        assert outcome("KD304", asked(requirement, python=python, **machine)) == expected

    @pytest.mark.parametrize(("fact", "value"), [("bits", 32), ("implementation", "pypy")])
    def test_interpreters_without_wheels(self, fact: str, value: object) -> None:
        """There never was a wheel for a 32-bit Python, nor for PyPy."""
        assert outcome("KD304", change(asked("tensorflow"), {f"software.python.{fact}": value})) == "error"

    def test_an_unknown_system_is_given_the_benefit(self) -> None:
        """Where the system is not known, one platform with a wheel is enough."""
        snapshot = asked("tensorflow==2.17.0")
        assert outcome("KD304", change(snapshot, {"machine": {}})) == "passed"
        assert outcome("KD304", change(snapshot, {"machine": {}, "software.python.version": "3.13.1"})) == "error"

    def test_what_is_installed_needs_no_wheel(self) -> None:
        """An installed TensorFlow that meets the request has found its way here."""
        snapshot = change(
            asked("tensorflow==2.15.1", python="3.11.4"), {"software.packages": packages("tensorflow 2.15.1")}
        )
        assert reason("KD304", snapshot) == "the requested TensorFlow is installed"

    def test_an_installed_wheel_for_other_pythons_is_a_warning(self) -> None:
        """It was left behind by another Python, or somebody built it: no wheel of the index is for this one."""
        installed = {"software.packages": packages("tensorflow 2.15.1")}
        snapshot = change(asked(python="3.12.4"), installed)
        assert outcome("KD304", snapshot) == "warning"
        assert message("KD304", snapshot) == (
            "tensorflow 2.15.1 is installed, whose wheels are for Python 3.9, 3.10, 3.11, and this is 3.12"
        )
        assert fix("KD304", snapshot) == (
            "use Python 3.9 to 3.11, or install a release for 3.12: pip install 'tensorflow==2.21.0'"
        )
        assert outcome("KD304", change(asked(python="3.11.4"), installed)) == "inapplicable"

    @pytest.mark.parametrize(
        "package",
        [
            {"name": "tensorflow", "version": "2.15.1", "installer": "conda", "build": "cpu_py312h4655687_0"},
            {"name": "tensorflow", "version": "2.15.1", "installer": "system"},
            {"name": "tensorflow", "version": "2.15.1", "installer": "pip", "editable": True},
            {"name": "tensorflow", "version": "2.15.1+nv24.3", "installer": "pip"},
            {"name": "tf-nightly", "version": "2.15.0.dev20231001", "installer": "pip"},
        ],
    )
    def test_a_build_of_somebody_else_is_for_whatever_python_they_chose(self, package: dict[str, Any]) -> None:
        """The index's wheels say nothing of conda's, a system's or one's own builds."""
        assert outcome("KD304", change(asked(python="3.12.4"), {"software.packages": [package]})) == "inapplicable"

    def test_other_gpu_code_than_the_wheels_is_somebody_s_build(self) -> None:
        """A build for other architectures was made from source."""
        own = {"version": "2.15.1", "distribution": "tensorflow", "compute_capabilities": ["sm_89"]}
        snapshot = change(asked(python="3.12.4"), {"software.packages": packages("tensorflow 2.15.1")})
        assert outcome("KD304", change(snapshot, {"software.tensorflow": own})) == "inapplicable"

    def test_unknown_facts(self) -> None:
        """Without a request, or without a Python version, there is nothing to judge."""
        assert outcome("KD304", change(asked(), {"software.requested": Drop})) == "skipped"
        assert outcome("KD304", change(asked("tensorflow"), {"software.python.version": Drop})) == "skipped"

    def test_the_fix_offers_both_ways(self) -> None:
        """Another Python, or another release."""
        text = fix("KD304", asked("tensorflow==2.15.1", python="3.12.4"))
        assert "Python 3.9 to 3.11" in text
        assert "tensorflow==2.21.0" in text


class TestGlibc:
    @pytest.mark.parametrize(
        ("requirement", "glibc", "expected"),
        [
            ("tensorflow==2.21.0", "2.17", "error"),
            ("tensorflow==2.21.0", "2.27", "passed"),
            ("tensorflow==2.21.0", "2.26", "error"),
            ("tensorflow==2.20.0", "2.17", "passed"),
            ("tensorflow==2.20.0", "2.12", "error"),
            ("tensorflow", "2.17", "passed"),
            ("tensorflow>=2.21", "2.17", "error"),
        ],
    )
    def test_by_manylinux_tag(self, requirement: str, glibc: str, expected: str) -> None:
        """The tag names the oldest glibc; an open request takes an older release."""
        snapshot = change(asked(requirement), {"software.libc.version": glibc})
        assert outcome("KD310", snapshot) == expected

    @pytest.mark.parametrize(
        ("distribution", "expected"),
        [
            ({"id": "centos", "version": "7"}, "error"),
            ({"id": "ubuntu", "version": "20.04"}, "passed"),
            ({"id": "alpine", "version": "3.20"}, "error"),
            ({"id": "nobody", "version": "1"}, "skipped"),
        ],
    )
    def test_by_distribution(self, distribution: dict[str, str], expected: str) -> None:
        """Where the C library was not read, the distribution's release tells it."""
        snapshot = change(asked("tensorflow==2.21.0"), {"software.libc": {}, "software.distribution": distribution})
        assert outcome("KD310", snapshot) == expected

    def test_musl_runs_no_wheel(self) -> None:
        """Alpine: the reason is another C library, not an old one."""
        snapshot = change(asked("tensorflow"), {"software.libc": {"name": "musl", "version": "1.2.5"}})
        assert "musl" in message("KD310", snapshot)

    def test_an_installed_wheel_is_judged_by_its_tag(self) -> None:
        """A wheel that was put onto an older system."""
        tagged = change(plain("2.21.0"), {"software.tensorflow.platform_tag": "manylinux_2_27_x86_64"})
        assert outcome("KD310", tagged) == "passed"
        assert outcome("KD310", change(tagged, {"software.libc.version": "2.17"})) == "error"

    def test_a_rebuilt_tensorflow_has_other_needs(self) -> None:
        """conda's build is not the wheel of the index."""
        conda = [{"name": "tensorflow", "version": "2.21.0", "installer": "conda"}]
        snapshot = change(plain("2.21.0"), {"software.packages": conda, "software.libc.version": "2.17"})
        assert outcome("KD310", snapshot) == "passed"

    def test_other_systems(self) -> None:
        """Windows and macOS have no glibc."""
        assert outcome("KD310", asked("tensorflow", os="windows")) == "inapplicable"
        assert outcome("KD310", change(asked("tensorflow"), {"machine": {}})) == "skipped"

    def test_nothing_to_install(self) -> None:
        """Neither installed nor requested."""
        assert outcome("KD310", asked()) == "inapplicable"

    def test_the_fix_names_the_newest_that_runs(self) -> None:
        """The newest release for this Python whose wheel runs here."""
        snapshot = change(asked("tensorflow==2.21.0"), {"software.libc.version": "2.17"})
        assert "tensorflow==2.20.0" in fix("KD310", snapshot)

    def test_whether_tensorflow_is_installed_must_be_known(self) -> None:
        """Nobody looked for TensorFlow: that is not the same as none being there."""
        unknown = change(
            plain("2.21.0"),
            {
                "software.libc.version": "2.17",
                "software.requested": [],
                "software.packages": Drop,
                "software.tensorflow": Drop,
            },
        )
        assert outcome("KD310", unknown) == "skipped"
        assert outcome("KD310", change(unknown, {"software.tensorflow": {"present": False}})) == "inapplicable"
        assert outcome("KD310", change(unknown, {"software.packages": packages("numpy 1.26.4")})) == "inapplicable"
        assert outcome("KD310", change(unknown, {"software.packages": [{"name": "tensorflow"}]})) == "skipped"
