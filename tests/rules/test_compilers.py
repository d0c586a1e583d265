"""KD209, KD210: libdevice and ptxas."""

from __future__ import annotations

import pytest

from tests.rules.environments import cpu_only, plain, system, wheels
from tests.rules.machines import Drop, change, fix, message, outcome
from tests.support import diagnose

GPU = "machine.gpus"


def with_gpu(name: str, capability: str, tensorflow: str = "2.18.1", ptxas: object = Drop) -> dict[str, object]:
    """An environment with wheels on another GPU, and with another ptxas where one is given."""
    changes: dict[str, object] = {GPU: [{"index": 0, "name": name, "compute_capability": capability}]}
    if ptxas is not Drop:
        changes["software.cuda.ptxas_version"] = ptxas
    return change(wheels(tensorflow), changes)


class TestLibdevice:
    def test_found_passes(self) -> None:
        """A path is all that it asks."""
        assert outcome("KD209", wheels()) == "passed"

    def test_nobody_looked(self) -> None:
        """Not looked for: skipped."""
        assert outcome("KD209", change(wheels(), {"software.cuda.libdevice": Drop})) == "skipped"

    def test_without_a_gpu(self) -> None:
        """XLA needs libdevice for GPUs only."""
        assert outcome("KD209", cpu_only(change(wheels(), {"software.cuda.libdevice": False}))) == "inapplicable"

    @pytest.mark.parametrize(
        ("tensorflow", "expected"), [("2.10.1", "warning"), ("2.11.0", "error"), ("2.12.1", "error")]
    )
    def test_missing_is_graver_where_optimizers_are_compiled(self, tensorflow: str, expected: str) -> None:
        """From 2.11 on every training step needs it, before only what asks for XLA."""
        snapshot = change(system(tensorflow, "11.2", "8.6.0"), {"software.cuda.libdevice": False})
        assert outcome("KD209", snapshot) == expected

    def test_the_fix_is_the_wheel_or_the_toolkit(self) -> None:
        """The wheel of the extra for CUDA 12, a toolkit's folder before."""
        assert fix("KD209", change(wheels(), {"software.cuda.libdevice": False})).startswith(
            "pip install 'nvidia-cuda-nvcc"
        )
        old = change(system("2.11.0", "11.2", "8.1.1"), {"software.cuda.libdevice": False})
        assert "--xla_gpu_cuda_data_dir=/usr/local/cuda-11.2" in fix("KD209", old)

    def test_it_follows_from_no_cuda_at_all(self) -> None:
        """Where no CUDA is installed, that is the cause of this one."""
        nothing = change(plain("2.17.1"), {"software.cuda.libdevice": False, "software.cuda.ptxas_version": False})
        found = {f.code: f.caused_by for f in diagnose(nothing).findings}
        assert found == {"KD207": (), "KD209": ("KD207",), "KD210": ("KD207",)}


class TestPtxas:
    @pytest.mark.parametrize(
        ("version", "expected"),
        [
            ("12.3.107", "passed"),
            ("9.1.121", "warning"),
            ("11.0.221", "warning"),
            ("11.1.105", "passed"),
            ("13.0.88", "passed"),
            (False, "warning"),
            (Drop, "skipped"),
        ],
    )
    def test_on_a_t4(self, version: object, expected: str) -> None:
        """Known to miscompile up to 11.0, none at all, not looked for."""
        assert outcome("KD210", change(wheels(), {"software.cuda.ptxas_version": version})) == expected

    def test_without_a_gpu(self) -> None:
        """XLA starts it for GPUs alone."""
        assert (
            outcome("KD210", cpu_only(change(wheels(), {"software.cuda.ptxas_version": "9.1.121"}))) == "inapplicable"
        )

    def test_an_old_compiler_is_right_from_11_1_on(self) -> None:
        """11.8 on a Pascal GPU is fine, 9.1 is not."""
        assert outcome("KD210", with_gpu("Tesla P100", "6.0", ptxas="11.8.89")) == "passed"
        assert "miscompile" in message("KD210", with_gpu("Tesla P100", "6.0", ptxas="9.1.121"))

    @pytest.mark.parametrize(
        ("name", "capability", "ptxas", "expected"),
        [
            ("Tesla V100", "7.0", "13.0.88", "warning"),
            ("Tesla V100", "7.0", "12.9.86", "passed"),
            ("NVIDIA H100", "9.0", "11.7.99", "warning"),
            ("NVIDIA H100", "9.0", "12.8.93", "passed"),
            ("NVIDIA GeForce RTX 4090", "8.9", "11.7.99", "warning"),
            ("NVIDIA GeForce RTX 5090", "12.0", "12.5.82", "warning"),
        ],
    )
    def test_by_gpu(self, name: str, capability: str, ptxas: str, expected: str) -> None:
        """Too old and too new for the GPU."""
        assert outcome("KD210", with_gpu(name, capability, ptxas=ptxas)) == expected

    def test_the_capability_may_come_from_the_name(self) -> None:
        """A GPU that is only named is known by its name."""
        snapshot = change(wheels(), {GPU: [{"name": "Tesla V100-SXM2-16GB"}], "software.cuda.ptxas_version": "13.0.88"})
        assert "7.0" in message("KD210", snapshot)

    def test_a_fault_of_some_gpus_needs_the_gpu(self) -> None:
        """ptxas 12.5 miscompiles for Hopper only: without the GPU nobody can say that it suits."""
        snapshot = with_gpu("NVIDIA H100", "9.0", ptxas="12.5.82")
        assert outcome("KD210", snapshot) == "warning"
        for unknown in (Drop, [{"index": 0}]):
            assert outcome("KD210", change(snapshot, {GPU: unknown, "expects.gpu": True})) == "skipped"

    def test_the_devices_on_the_bus_tell_the_gpu(self) -> None:
        """Where NVML lists none, the PCI device names the architecture."""
        snapshot = with_gpu("NVIDIA H100", "9.0", ptxas="12.5.82")
        assert outcome("KD210", change(snapshot, {GPU: [], "machine.pci_gpus": ["10de:2330"]})) == "warning"

    def test_a_fault_of_every_gpu_needs_none(self) -> None:
        """A ptxas that miscompiles for all of them is told without knowing which is there."""
        snapshot = change(wheels(), {"software.cuda.ptxas_version": "9.1.121", GPU: Drop, "expects.gpu": True})
        assert outcome("KD210", snapshot) == "warning"
