"""KD704, KD705: why the numbers of two environments will differ."""

from __future__ import annotations

from typing import Any

import pytest

from doctor.model.report import KNOWN_CHANGE, Confidence
from tests.rules.environments import cpu_only, plain, replaced, wheels
from tests.rules.machines import Drop, change
from tests.support import compute_pair

VNNI = ["sse4_2", "avx", "avx2", "fma", "avx512f", "avx512_vnni"]
AVX2 = ["sse4_2", "avx", "avx2", "fma"]
XEON, EPYC = ({"machine.cpu": {"model": name}} for name in ("Intel Xeon Gold 6148", "AMD EPYC 7742"))
A100 = [{"index": 0, "name": "NVIDIA A100-SXM4-40GB", "compute_capability": "8.0"}]
TF32_OFF = {"software.environment": {"NVIDIA_TF32_OVERRIDE": "0"}}
ONEDNN_OFF = {"software.environment": {"TF_ENABLE_ONEDNN_OPTS": "0"}}
ONEDNN_ON = {"software.environment": {"TF_ENABLE_ONEDNN_OPTS": "1"}}


def things(code: str, a: dict[str, Any], b: dict[str, Any]) -> set[str]:
    """What a rule names between two environments."""
    return {finding.thing for finding in compute_pair(code, a, b).findings}


def crossed(a: dict[str, Any], b: dict[str, Any]) -> set[str]:
    """The known changes that KD705 names between two environments, by their ids in the tables."""
    rows = [row for finding in compute_pair("KD705", a, b).findings for row in finding.evidence]
    return {row.fact.rpartition(" (")[2].rstrip(")") for row in rows if row.source == KNOWN_CHANGE}


def on_gpu(*names: tuple[str, str], **more: Any) -> dict[str, Any]:
    """An environment on these GPUs."""
    gpus = [{"index": n, "name": name, "compute_capability": cc} for n, (name, cc) in enumerate(names)]
    return change(wheels("2.15.1"), {"machine.gpus": gpus, **more})


def on_cpu(tensorflow: str = "2.15.1", keras: str = "2.15.0", flags: list[str] = VNNI, **more: Any) -> dict[str, Any]:
    """A CPU build of TensorFlow on a CPU with these features."""
    base = replaced(cpu_only(plain("2.15.1")), tensorflow=tensorflow, keras=keras)
    facts = {
        "software.tensorflow": {"version": tensorflow, "distribution": "tensorflow-cpu", "cuda_build": False},
        "software.keras": {"version": keras, "backend": "tensorflow", "legacy": False},
        "machine.cpu": {"model": "some CPU", "flags": flags},
    }
    return change(base, {**facts, **more})


@pytest.mark.parametrize("snapshot", [on_cpu(), on_gpu(("Tesla T4", "7.5"))], ids=["cpu", "gpu"])
@pytest.mark.parametrize("code", ["KD704", "KD705"])
def test_an_environment_does_not_differ_from_itself(code: str, snapshot: dict[str, Any]) -> None:
    """The same facts on both sides: passed."""
    assert compute_pair(code, snapshot, snapshot).passed


@pytest.mark.parametrize("code", ["KD704", "KD705"])
def test_without_tensorflow_and_keras_nothing_computes(code: str) -> None:
    """Neither applies to two environments that are known to hold neither; one that holds Keras is enough."""
    neither = {"software": {"tensorflow": {"present": False}, "keras": {"present": False}}}
    assert compute_pair(code, neither, neither).inapplicable
    assert not compute_pair(code, neither, plain()).inapplicable


class TestHardware:
    @pytest.mark.parametrize(
        ("a", "b", "expected"),
        [
            ([("NVIDIA A100-SXM4-40GB", "8.0")], [("Tesla T4", "7.5")], {"gpu", "tf32"}),
            ([("Tesla V100-SXM2-16GB", "7.0")], [("Tesla T4", "7.5")], {"gpu"}),
            ([("GeForce RTX 2070", "7.5")], [("GeForce RTX 2080", "7.5")], {"gpu"}),
            ([("Tesla T4", "7.5")], [("Tesla T4", "7.5"), ("Tesla T4", "7.5")], {"gpu"}),
            ([("NVIDIA A100-SXM4-40GB", "8.0")], [("NVIDIA A100-SXM4-80GB", "8.0")], set()),
            ([("Tesla T4", "7.5")], [("NVIDIA Tesla T4", "7.5")], set()),
        ],
    )
    def test_gpus(self, a: list[tuple[str, str]], b: list[tuple[str, str]], expected: set[str]) -> None:
        """Another model or number; another memory size or spelling of the maker is none."""
        assert things("KD704", on_gpu(*a), on_gpu(*b)) == expected

    def test_one_side_without_a_gpu(self) -> None:
        """GPU against CPU."""
        assert "gpu" in things("KD704", on_gpu(("Tesla T4", "7.5")), cpu_only(wheels("2.15.1")))

    @pytest.mark.parametrize(
        ("gpu", "expected"),
        [
            (("NVIDIA A100-SXM4-40GB", "8.0"), {"tf32"}),
            (("NVIDIA H100", "9.0"), {"tf32"}),
            (("Tesla T4", "7.5"), set()),
        ],
    )
    def test_the_tf32_switch_matters_where_there_is_tf32(self, gpu: tuple[str, str], expected: set[str]) -> None:
        """The switch on one side: only GPUs from Ampere on are concerned."""
        assert things("KD704", on_gpu(gpu), on_gpu(gpu, **TF32_OFF)) == expected

    def test_tf32_off_on_both_sides(self) -> None:
        """Another GPU still, but no TF32 between them."""
        a, b = on_gpu(("NVIDIA A100-SXM4-40GB", "8.0"), **TF32_OFF), on_gpu(("Tesla T4", "7.5"), **TF32_OFF)
        assert things("KD704", a, b) == {"gpu"}

    def test_tensorflow_before_tf32(self) -> None:
        """Before 2.4 there is none."""
        old = {"software.tensorflow.version": "2.3.0", "software.packages": Drop, "machine.gpus": A100}
        snapshot = change(wheels("2.15.1"), old)
        assert things("KD704", snapshot, change(snapshot, TF32_OFF)) == set()

    @pytest.mark.parametrize(
        ("a", "b", "expected"),
        [
            (on_cpu(flags=VNNI), on_cpu(flags=AVX2), {"cpu", "onednn"}),
            (on_cpu(flags=AVX2), on_cpu(flags=[*AVX2, "avx512f"]), {"cpu"}),
            (on_cpu(flags=AVX2), on_cpu(flags=[*AVX2, "aes", "rdrand"]), set()),
            (on_cpu(flags=VNNI), on_cpu(flags=VNNI, **ONEDNN_OFF), {"onednn"}),
            (on_cpu(flags=AVX2), on_cpu(flags=AVX2, **ONEDNN_OFF), set()),
            (on_cpu(flags=AVX2), on_cpu(flags=AVX2, **ONEDNN_ON), {"onednn"}),
            (on_cpu(flags=VNNI, **ONEDNN_OFF), on_cpu(flags=VNNI, **ONEDNN_OFF), set()),
            (on_cpu(), on_cpu(**{"machine.architecture": "aarch64", "machine.cpu": {}}), {"cpu"}),
            (on_cpu(**XEON), on_cpu(**EPYC), {"cpu"}),
            (on_cpu(**XEON), on_cpu(**XEON), set()),
        ],
        ids=[
            "vnni",
            "avx512",
            "other flags",
            "off on one side",
            "off anyway",
            "on",
            "off on both",
            "aarch64",
            "models without flags",
            "one model",
        ],
    )
    def test_cpus_and_onednn(self, a: dict[str, Any], b: dict[str, Any], expected: set[str]) -> None:
        """oneDNN is on by itself only on CPUs with the features it wants; vector units count, other features do not."""
        assert things("KD704", a, b) == expected

    def test_it_is_an_info(self) -> None:
        """Nothing is wrong with either side."""
        found = compute_pair("KD704", on_gpu(("NVIDIA A100", "8.0")), on_gpu(("Tesla T4", "7.5"))).findings
        assert {f.severity.value for f in found if f.severity} == {"info"}
        assert all(e.fact.startswith(("a.", "b.")) for f in found for e in f.evidence)

    def test_unknown_hardware_is_skipped(self) -> None:
        """Neither GPU nor CPU is known."""
        nothing = {"software": {"tensorflow": {"version": "2.15.1"}}}
        assert compute_pair("KD704", nothing, nothing).skipped

    def test_a_switch_without_a_known_gpu_says_nothing(self) -> None:
        """Whether TF32 is concerned is not known."""
        bare = change(wheels("2.15.1"), {"machine.gpus": Drop})
        assert things("KD704", bare, change(bare, TF32_OFF)) == set()


class TestVersion:
    @pytest.mark.parametrize(
        ("a", "b", "expected"),
        [
            (("2.15.0", "2.15.0"), ("2.15.1", "2.15.0"), set()),
            (("2.12.1", "2.12.0"), ("2.15.1", "2.15.0"), set()),
            (("2.9.3", "2.9.0"), ("2.10.1", "2.10.0"), {"initializers-stateless"}),
            (("2.10.1", "2.10.0"), ("2.11.0", "2.11.0"), {"optimizer-experimental-default", "optimizer-xla"}),
            (("2.16.2", "3.6.0"), ("2.16.2", "3.7.0"), {"keras37-determinism-disables-xla", "keras37-loss-reduction"}),
            (("2.18.1", "3.8.0"), ("2.18.1", "3.12.0"), set()),
            (("2.18.1", "3.7.0"), ("2.18.1", "3.8.0"), {"tf-shuffle"}),
            (("2.15.1", "2.15.0"), ("2.16.2", "3.6.0"), {"keras3-jit-auto", "keras3-default"}),
            (("2.16.2", "3.8.0"), ("2.21.0", "3.12.0"), set()),
        ],
    )
    def test_boundaries(self, a: tuple[str, str], b: tuple[str, str], expected: set[str]) -> None:
        """A known change between two versions is named, in either direction; no change, no finding."""
        assert crossed(on_cpu(*a), on_cpu(*b)) == expected
        assert crossed(on_cpu(*b), on_cpu(*a)) == expected

    @pytest.mark.parametrize(
        ("more", "expected"),
        [
            ({}, {"onednn-default"}),
            ({"flags": AVX2}, set()),
            (ONEDNN_OFF, set()),
            (ONEDNN_ON, set()),
        ],
        ids=["vnni", "avx2", "off", "on"],
    )
    def test_onednn_by_default(self, more: dict[str, Any], expected: set[str]) -> None:
        """2.9 switches oneDNN on: where the CPU has what it wants, and nobody set the switch."""
        assert crossed(on_cpu("2.8.4", "2.8.0", **more), on_cpu("2.9.3", "2.9.0", **more)) == expected

    def test_the_legacy_switch_stays_on_keras_2(self) -> None:
        """tf-keras of 2.16 against Keras 2.15 crosses no line."""
        legacy = {"software.keras": {"legacy": True}}
        b = replaced(on_cpu("2.16.2", "3.6.0", **legacy), tf_keras="2.16.0")
        assert crossed(on_cpu("2.15.1", "2.15.0"), b) == set()

    def test_keras_is_concluded_from_an_old_tensorflow(self) -> None:
        """Up to 2.15 the Keras of a TensorFlow is known by its version."""
        a, b = ({"software": {"tensorflow": {"version": v}}} for v in ("2.9.3", "2.10.1"))
        assert "initializers-stateless" in crossed(a, b)

    def test_determinism_concerns_gpus(self) -> None:
        """2.8 brought deterministic kernels: named unless both sides are known to have no GPU."""
        a, b = ({"software": {"tensorflow": {"version": v}}} for v in ("2.5.0", "2.8.0"))
        assert "op-determinism" in crossed(a, b)
        assert "op-determinism" not in crossed(on_cpu("2.7.4", "2.7.0"), on_cpu("2.8.4", "2.8.0"))

    def test_all_changes_of_a_package_are_one_finding(self) -> None:
        """One finding a package, with the versions of both sides and every change between them as evidence."""
        found = compute_pair("KD705", on_cpu("2.15.1", "2.15.0"), on_cpu("2.21.0", "3.15.1")).findings
        assert [finding.thing for finding in found] == ["keras", "tensorflow"]
        assert found[0].message == "Keras 2.15.0 → 3.15.1 crosses 6 changes known to alter a seeded run"
        facts = [row.fact for row in found[0].evidence]
        assert facts[0] == "Keras 3.0 (keras3-jit-auto)"
        assert facts[-2:] == ["a.software.keras.version", "b.software.keras.version"]

    def test_who_stays_on_one_keras_does_not_cross_the_line_to_keras_3(self) -> None:
        """TensorFlow 2.15 to 2.16 with Keras 3 on both sides: TensorFlow itself changed no result."""
        assert crossed(on_cpu("2.15.1", "3.8.0"), on_cpu("2.16.2", "3.8.0")) == set()

    def test_it_does_not_gainsay_a_canary_that_came_out_alike(self) -> None:
        """What is known of the versions stands beside what was measured, and says that the canary does not show it."""
        sides = on_cpu("2.15.1", "2.15.0"), on_cpu("2.21.0", "3.15.1")
        for mechanism, told in (("bitwise", True), ("rounding", False)):
            for found in compute_pair("KD705", *sides, {"class": mechanism}).findings:
                assert found.effect.endswith("the canary, a Dense training, does not") is told

    def test_unknown_versions_are_skipped(self) -> None:
        """Nothing is known of one side."""
        assert compute_pair("KD705", on_cpu(), {"software": {}}).skipped

    @pytest.mark.parametrize(("a", "b", "crossing"), [("2.4.4", "2.6.5", False), ("2.6.5", "2.7.4", True)])
    def test_initializers_with_a_seed_of_their_own(self, a: str, b: str, crossing: bool) -> None:
        """Other draws from Keras 2.7 on; 2.4 and 2.6 agree in all that was measured."""
        crossed_ = crossed(*({"software": {"tensorflow": {"version": version}}} for version in (a, b)))
        assert ("initializers-own-seed" in crossed_) is crossing

    @pytest.mark.parametrize(
        ("a", "b", "said"),
        [
            ("1.13.1", "2.4.1", True),
            ("2.3.0", "2.4.1", True),
            ("2.3.0", "2.3.4", False),
            ("2.12.1", "2.13.1", False),
            ("2.21.0", "2.98.0", True),
            ("nightly", "2.21.0", False),
        ],
    )
    def test_what_nobody_measured_is_a_guess(self, a: str, b: str, said: bool) -> None:
        """Between minor versions before 2.4, or newer than the tables: not promised, not measured, not sure."""
        found = compute_pair("KD705", *({"software": {"tensorflow": {"version": v}}} for v in (a, b))).findings
        guesses = [finding for finding in found if finding.confidence is Confidence.LOW]
        assert [("not promised" in finding.message) for finding in guesses] == ([True] if said else [])
