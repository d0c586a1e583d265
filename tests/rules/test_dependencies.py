"""KD305, KD306, KD308, KD309: NumPy, protobuf, add-ons, and every other declared requirement."""

from __future__ import annotations

from typing import Any

import pytest

from tests.rules.environments import packages, plain, replaced, requiring, without
from tests.rules.machines import Drop, change, fix, message, outcome
from tests.support import compute, diagnose


def with_version(tensorflow: str, **others: str) -> dict[str, Any]:
    """A TensorFlow of this version, and others beside it."""
    snapshot = replaced(plain("2.17.1"), tensorflow=tensorflow, **others)
    return change(snapshot, {"software.tensorflow": {"version": tensorflow, "distribution": "tensorflow"}})


class TestNumpy:
    @pytest.mark.parametrize(
        ("tensorflow", "numpy", "expected"),
        [
            ("2.17.1", "1.26.4", "passed"),
            ("2.17.1", "2.0.2", "error"),
            ("2.18.0", "2.0.2", "passed"),
            ("2.18.0", "2.1.3", "warning"),  # excluded by METADATA, seen to work
            ("2.19.1", "2.1.3", "passed"),
            ("2.19.1", "2.2.6", "error"),
            ("2.20.0", "2.4.0", "passed"),
            ("2.21.0", "1.25.2", "warning"),
            ("2.21.0", "1.23.5", "error"),
            ("2.13.1", "1.24.3", "passed"),
            ("2.13.1", "1.26.4", "error"),
            ("2.11.0", "2.0.2", "error"),  # declared as >=1.20 only
            ("2.11.0", "1.26.4", "passed"),
            ("2.14.0", "2.0.0", "error"),  # declared as >=1.23.5 only
            ("2.8.4", "1.24.4", "passed"),
            ("2.6.5", "1.24.4", "error"),
        ],
    )
    def test_declared_and_undeclared_bounds(self, tensorflow: str, numpy: str, expected: str) -> None:
        """METADATA as the tables hold it, and what no METADATA says."""
        assert outcome("KD305", with_version(tensorflow, numpy=numpy)) == expected

    def test_the_marker_of_the_python_in_question(self) -> None:
        """2.16 wants 1.26 from Python 3.12 on, 1.23.5 before."""
        snapshot = with_version("2.16.2", numpy="1.24.4")
        assert outcome("KD305", snapshot) == "passed"
        assert outcome("KD305", change(snapshot, {"software.python.version": "3.12.1"})) == "error"

    def test_metadata_comes_before_the_tables(self) -> None:
        """What the installed package itself declares decides."""
        snapshot = requiring(with_version("2.19.1", numpy="2.3.0"), "tensorflow", "numpy<2.4,>=1.26")
        assert outcome("KD305", snapshot) == "passed"

    def test_an_undeclared_bound_says_so(self) -> None:
        """The sentence names the bound and that no METADATA does; the fix keeps both."""
        snapshot = with_version("2.11.0", numpy="2.0.2")
        assert "though it does not say so" in message("KD305", snapshot)
        assert fix("KD305", snapshot) == "pip install 'numpy>=1.20,<2'"

    def test_a_rebuilt_tensorflow_only_warns(self) -> None:
        """conda-forge builds TensorFlow anew, against other versions."""
        snapshot = with_version("2.17.1", numpy="2.0.2")
        rows = [{**p, "installer": "conda"} for p in snapshot["software"]["packages"]]
        assert outcome("KD305", change(snapshot, {"software.packages": rows})) == "warning"

    @pytest.mark.parametrize("code", ["KD305", "KD306"])
    def test_unknown_facts(self, code: str) -> None:
        """No packages, no version of TensorFlow, an incomplete list, no TensorFlow."""
        assert outcome(code, change(plain(), {"software.packages": Drop})) == "skipped"
        untold = change(plain(), {"software.tensorflow": {}, "software.packages": [{"name": "tensorflow"}]})
        assert outcome(code, untold) == "skipped"
        gone = without(plain(), "numpy", "protobuf")
        assert outcome(code, change(gone, {"partial": ["software.packages"]})) == "skipped"
        assert outcome(code, change(plain(), {"software.tensorflow": {"present": False}})) == "inapplicable"
        none = change(plain(), {"software.tensorflow": {}, "software.packages": packages("torch 2.4.1")})
        assert outcome(code, none) == "inapplicable"


class TestProtobuf:
    @pytest.mark.parametrize(
        ("tensorflow", "protobuf", "expected"),
        [
            ("2.17.1", "4.25.3", "passed"),
            ("2.17.1", "5.28.3", "warning"),  # excluded by METADATA, seen to work
            ("2.17.1", "4.21.2", "error"),
            ("2.18.1", "5.28.3", "passed"),
            ("2.20.0", "6.31.1", "passed"),
            ("2.20.0", "5.28.3", "passed"),
            ("2.20.0", "7.35.1", "error"),
            ("2.21.0", "5.29.5", "error"),
            ("2.21.0", "6.31.1", "passed"),
            ("2.7.1", "4.21.0", "error"),  # declared as >=3.9.2 only
            ("2.7.1", "3.20.3", "passed"),
            ("2.9.1", "3.20.1", "warning"),  # excluded by METADATA, seen to work with 2.8
            ("2.11.0", "3.19.6", "passed"),
        ],
    )
    def test_declared_and_undeclared_bounds(self, tensorflow: str, protobuf: str, expected: str) -> None:
        """The generated code in the wheel decides, declared or not."""
        assert outcome("KD306", with_version(tensorflow, protobuf=protobuf)) == expected

    def test_the_sentence_names_bounds_not_exclusions(self) -> None:
        """Six versions that are left out do not help a reader; the command keeps them."""
        snapshot = with_version("2.17.1", protobuf="5.28.3")
        assert "!=" not in message("KD306", snapshot)
        assert "!=4.21.0" in fix("KD306", snapshot)


class TestAddons:
    @pytest.mark.parametrize(
        ("tensorflow", "addon", "version", "expected"),
        [
            ("2.15.1", "tensorflow_text", "2.15.0", "passed"),
            ("2.15.1", "tensorflow_text", "2.13.0", "error"),
            ("2.16.2", "tensorflow_io", "0.37.1", "passed"),
            ("2.17.1", "tensorflow_io", "0.37.1", "error"),
            ("2.15.1", "tensorflow_addons", "0.23.0", "passed"),
            ("2.17.1", "tensorflow_addons", "0.23.0", "error"),
            ("2.19.0", "tensorflow_decision_forests", "1.12.0", "passed"),
            ("2.19.1", "tensorflow_decision_forests", "1.12.0", "error"),
            ("2.10.1", "tensorflow_directml_plugin", "0.4.0.dev230202", "passed"),
            ("2.11.0", "tensorflow_directml_plugin", "0.2.0.dev221020", "error"),
            ("2.17.1", "tensorflow_text", "9.0", "skipped"),  # nobody knows it: that is no pass
        ],
    )
    def test_built_for_another_tensorflow(self, tensorflow: str, addon: str, version: str, expected: str) -> None:
        """By the tables of what each release was built for."""
        assert outcome("KD308", with_version(tensorflow, **{addon: version})) == expected

    def test_its_own_metadata(self) -> None:
        """A release that the tables do not know declares its TensorFlow itself."""
        snapshot = requiring(with_version("2.17.1", tensorflow_text="2.99.0"), "tensorflow-text", "tensorflow<3,>=2.99")
        assert outcome("KD308", snapshot) == "error"

    def test_a_release_told_by_its_minor_version(self) -> None:
        """ "2.15" stands for some 2.15.x."""
        assert outcome("KD308", with_version("2.15", tensorflow_text="2.15.0")) == "passed"

    def test_unknown_facts(self) -> None:
        """No add-on, an incomplete list, an add-on without a version."""
        assert outcome("KD308", plain()) == "inapplicable"
        assert outcome("KD308", change(plain(), {"partial": ["software.packages"]})) == "skipped"
        untold = [*plain()["software"]["packages"], {"name": "tensorflow-text"}]
        assert outcome("KD308", change(plain(), {"software.packages": untold})) == "skipped"

    def test_the_fix_is_the_release_that_fits(self) -> None:
        """The add-on of the same minor version; where there is none, the way back."""
        assert fix("KD308", with_version("2.15.1", tensorflow_text="2.13.0")) == "pip install 'tensorflow-text==2.15.0'"
        assert "no tensorflow-addons is made" in fix("KD308", with_version("2.17.1", tensorflow_addons="0.23.0"))


class TestConflicts:
    def test_an_unmet_requirement(self) -> None:
        """A declared bound that the installed version breaks."""
        snapshot = requiring(replaced(plain("2.15.1"), wrapt="1.16.0"), "tensorflow", "wrapt<1.15,>=1.11.0")
        assert (
            message("KD309", snapshot)
            == "tensorflow 2.15.1 requires wrapt<1.15,>=1.11.0, but wrapt 1.16.0 is installed"
        )

    def test_the_tables_stand_in_for_missing_metadata(self) -> None:
        """TensorFlow's requirements are known without its METADATA; what is not listed is not called missing."""
        assert outcome("KD309", replaced(plain("2.15.1"), wrapt="1.16.0")) == "warning"
        assert outcome("KD309", plain("2.15.1")) == "passed"

    def test_a_missing_one(self) -> None:
        """Declared and not installed, in a complete list; from an incomplete one absence proves nothing, nor a pass.

        An error where nothing works without it: a gate must not let an environment pass whose Keras cannot be imported.
        """
        assert outcome("KD309", requiring(plain(), "keras", "namex")) == "warning"
        snapshot = requiring(plain(), "keras", "optree")
        assert outcome("KD309", snapshot) == "error"
        assert outcome("KD309", change(snapshot, {"partial": ["software.packages"]})) == "skipped"
        met = requiring(plain(), "keras", "numpy")
        assert outcome("KD309", change(met, {"partial": ["software.packages"]})) == "passed"

    def test_a_marker_that_cannot_be_told(self) -> None:
        """Whether the requirement holds rests on the Python, which nobody knows: no pass, unless it is met anyway."""
        unmet = requiring(plain(), "keras", "absent; python_version >= '3.9'")
        for snapshot, said in (
            (unmet, "skipped"),
            (requiring(plain(), "keras", "numpy<1; python_version >= '3.9'"), "skipped"),
            (requiring(plain(), "keras", "numpy; python_version >= '3.9'"), "passed"),
            (requiring(plain(), "keras", "absent; python_version >= '3.9' and extra == 'all'"), "passed"),
        ):
            assert outcome("KD309", change(snapshot, {"software.python": {}})) == said
        assert outcome("KD309", unmet) == "warning"

    def test_numpy_behind_a_marker_that_cannot_be_told(self) -> None:
        """TensorFlow declares NumPy by Python since 2.16: without the Python, what it declares is not known."""
        rows = ("numpy<2,>=1.23.5; python_version <= '3.11'", "numpy<2,>=1.26; python_version >= '3.12'")
        snapshot = requiring(plain(), "tensorflow", *rows)
        assert outcome("KD305", snapshot) == "passed"
        assert outcome("KD305", change(snapshot, {"software.python": {}})) == "skipped"

    @pytest.mark.parametrize(("first", "second", "said"), [("0.1", "9", "warning"), ("9", "0.1", "passed")])
    def test_of_two_versions_of_one_package_the_first_is_in_use(self, first: str, second: str, said: str) -> None:
        """A venv's package hides the system's, and what pip installed hides the record that conda kept of it."""
        snapshot = requiring(plain(), "keras", "optree>=1")
        rows = [{"name": "optree", "version": version, "requires": []} for version in (first, second)]
        snapshot["software"]["packages"] += rows
        assert outcome("KD309", snapshot) == said

    @pytest.mark.parametrize(
        "requirement",
        [
            "absent; extra == 'all'",
            "absent; python_version < '3.8'",
            "absent; sys_platform == 'win32'",
            "absent; platform_machine == 'ppc64le'",
            "not a requirement at all",
            "numpy",
        ],
    )
    def test_requirements_that_do_not_hold_here(self, requirement: str) -> None:
        """Markers are judged for the snapshot's Python and system; unused extras ask for nothing."""
        assert outcome("KD309", requiring(plain(), "keras", requirement)) == "passed"

    def test_a_requested_extra_holds(self) -> None:
        """An extra that was asked for is part of what must be there."""
        snapshot = requiring(plain(), "keras", "absent; extra == 'all'")
        asked = {"software.requested": [{"requirement": "keras[all]", "where": "requirements.txt:1"}]}
        assert outcome("KD309", change(snapshot, asked)) == "warning"

    @pytest.mark.parametrize(
        ("code", "snapshot"),
        [
            ("KD305", requiring(with_version("2.17.1", numpy="2.0.2"), "tensorflow", "numpy<2.0.0,>=1.23.5")),
            ("KD306", requiring(with_version("2.17.1", protobuf="5.28.3"), "tensorflow", "protobuf<5,>=3.20.3")),
            ("KD307", requiring(with_version("2.15.1", keras="3.5.0"), "tensorflow", "keras<2.16,>=2.15.0")),
            (
                "KD308",
                requiring(
                    with_version("2.15.1", tensorflow_text="2.13.0"), "tensorflow-text", "tensorflow<2.14,>=2.13"
                ),
            ),
            ("KD307", requiring(with_version("2.17.1", tf_keras="2.16.0"), "tf-keras", "tensorflow<2.17,>=2.16")),
        ],
        ids=["numpy", "protobuf", "keras", "add-on", "tf-keras"],
    )
    def test_what_another_rule_names_is_not_said_twice(self, code: str, snapshot: dict[str, Any]) -> None:
        """The special rule speaks, this one does not."""
        codes = [f.code for f in diagnose(snapshot).findings]
        assert code in codes
        assert "KD309" not in codes

    def test_undeclared_bounds_of_other_packages(self) -> None:
        """h5py 3 under a TensorFlow that reads its texts as bytes: nobody declares it."""
        snapshot = with_version("2.1.0", h5py="3.1.0", numpy="1.18.5")
        assert "a part of TensorFlow 2.1.0 needs h5py<3" in message("KD309", snapshot)

    def test_conda_packages_name_others(self) -> None:
        """Names of conda packages differ from those of the index: only versions are compared."""
        rows = [
            {**p, "installer": "conda"}
            for p in requiring(plain(), "keras", "optree", "numpy>=2")["software"]["packages"]
        ]
        found = compute("KD309", change(plain(), {"software.packages": rows})).findings
        assert [f.thing for f in found] == ["keras,numpy"]

    def test_unknown_packages(self) -> None:
        """Nobody listed the packages, or only a part of them without METADATA."""
        assert outcome("KD309", change(plain(), {"software.packages": Drop})) == "skipped"
        partial = {"software.packages": packages("numpy 1.26.4"), "partial": ["software.packages"]}
        assert outcome("KD309", change(plain(), partial)) == "skipped"

    def test_the_number_of_findings_is_bounded(self) -> None:
        """A hostile METADATA with thousands of requirements does not flood the report."""
        snapshot = requiring(plain(), "keras", *(f"absent-{n}" for n in range(1000)))
        assert len(compute("KD309", snapshot).findings) == 20

    def test_the_fingerprint_does_not_depend_on_the_list(self) -> None:
        """A package more in the list does not make another finding of it."""
        snapshot = requiring(replaced(plain("2.15.1"), wrapt="1.16.0"), "tensorflow", "wrapt<1.15")
        more = change(snapshot, {"software.packages": [*packages("aaa 1.0"), *snapshot["software"]["packages"]]})
        prints = [compute("KD309", s).findings[0].fingerprint for s in (snapshot, more)]
        assert prints[0] == prints[1]


@pytest.mark.parametrize(
    ("tensorflow", "version", "expected", "command"),
    [
        ("2.15.1", "0.25.0", "error", "tensorflow-probability>=0.23.0,<0.24.0"),
        ("2.18.1", "0.22.1", "error", "tensorflow-probability==0.25.0"),
        ("2.17.1", "0.25.0", "error", "tensorflow-probability>=0.24.0,<0.25.0"),
        ("2.18.1", "0.24.0", "passed", ""),
        ("2.15.1", "0.22.1", "passed", ""),
    ],
)
def test_tensorflow_probability_raises_under_another_tensorflow(
    tensorflow: str, version: str, expected: str, command: str
) -> None:
    """It declares nothing and looks at TensorFlow's version itself; releases before 0.24 were made for Keras 2."""
    snapshot = with_version(tensorflow, tensorflow_probability=version)
    assert outcome("KD308", snapshot) == expected
    if command:
        assert fix("KD308", snapshot) == f"pip install '{command}'"


def test_an_addon_that_is_made_for_no_such_tensorflow_is_removed() -> None:
    """A command first, what else there is behind it."""
    command = fix("KD308", with_version("2.17.1", tensorflow_addons="0.23.0"))
    assert command.startswith(
        "pip uninstall -y tensorflow-addons  # no tensorflow-addons is made for TensorFlow 2.17.1"
    )
