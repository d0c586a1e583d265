"""KD101 to KD105 and KD111: the driver, its halves, its device nodes, WSL."""

from __future__ import annotations

from typing import Any

import pytest

from tests.rules.machines import CODE, NODES, Drop, change, fix, host, message, outcome, reason
from tests.support import compute, diagnose

A100, H100, T4, V100 = ("NVIDIA A100-SXM4-40GB", "8.0"), ("NVIDIA H100", "9.0"), ("Tesla T4", "7.5"), ("V100", "7.0")
GTX1080, K80 = ("NVIDIA GeForce GTX 1080", "6.1"), ("Tesla K80", "3.7")
NO_DRIVER = {"machine.driver": {"present": False}, "machine.gpus": [], "machine.devices": []}
WSL = {
    "machine.wsl": 2,
    "machine.driver": {"present": True, "version": "537.13", "cuda_version": "12.2"},
    "machine.devices": ["/dev/dxg"],
    "machine.pci_gpus": Drop,
}


def test_a_working_machine_has_no_finding_of_these_rules() -> None:
    """Nothing of the driver family is said of a machine that works."""
    codes = {finding.code for finding in diagnose(host()).findings}
    assert not codes & {f"KD1{number:02d}" for number in range(1, 12)}


class TestDriverMissing:
    def test_hardware_without_a_driver_is_an_error(self) -> None:
        """An NVIDIA device on the bus and no driver: fires, and names the chip."""
        found = change(host(), NO_DRIVER)
        assert outcome("KD101", found) == "error"
        assert "TU104" in message("KD101", found)

    @pytest.mark.parametrize("os", ["darwin", "macos", "macOS"])
    def test_there_is_no_driver_for_macos_however_it_is_spelled(self, os: str) -> None:
        """Names of systems are open strings: a snapshot from elsewhere may say macos."""
        mac = change(host(), {**NO_DRIVER, "machine.os": os, "machine.gpus": [], "expects.gpu": True})
        assert reason("KD101", mac) == "there is no NVIDIA driver for macOS"

    def test_a_loaded_driver_passes(self) -> None:
        """A loaded driver is all that it asks."""
        assert outcome("KD101", host()) == "passed"

    def test_a_machine_without_nvidia_hardware_is_no_fault(self) -> None:
        """No NVIDIA device on the bus: inapplicable, whatever wheels are installed."""
        bare = change(
            host(), {**NO_DRIVER, "machine.pci_gpus": [], "software.requested": [{"requirement": "jax[cuda12]"}]}
        )
        assert reason("KD101", bare) == "no NVIDIA hardware"

    def test_an_image_says_what_to_give(self) -> None:
        """For an image on a machine without a GPU the way out is another machine."""
        bare = change(host(), {**NO_DRIVER, "machine.pci_gpus": [], "subject.kind": "image"})
        assert reason("KD101", bare) == "no GPU here; give --machine"

    def test_a_gpu_that_the_user_expects_is_missed_without_hardware(self) -> None:
        """expects.gpu decides over what is there, both ways."""
        bare = change(host(), {**NO_DRIVER, "machine.pci_gpus": []})
        assert outcome("KD101", change(bare, {"expects.gpu": True})) == "error"
        assert outcome("KD101", change(host(), {**NO_DRIVER, "expects.gpu": False})) == "inapplicable"

    @pytest.mark.parametrize(
        ("more", "expected"),
        [
            ({"software.cuda.toolkits": [{"version": "12.5"}]}, "error"),
            ({"software.packages": [{"name": "nvidia-cuda-runtime-cu12", "version": "12.5.82"}]}, "error"),
            ({"software.requested": [{"requirement": "tensorflow[and-cuda]==2.17.1"}]}, "error"),
            ({"log": ["failed call to cuInit: CUDA_ERROR_NO_DEVICE"]}, "error"),
            ({"software.packages": [{"name": "torch"}, {"name": "nvidia-cuda-runtime-cu12"}]}, "inapplicable"),
            ({}, "inapplicable"),
        ],
    )
    def test_where_the_bus_is_not_known_the_environment_says_whether_a_gpu_is_meant(
        self, more: dict[str, Any], expected: str
    ) -> None:
        """CUDA installed, asked for or complained of means a GPU; a plain TensorFlow, or torch's wheels, do not."""
        assert outcome("KD101", change(host(), {**NO_DRIVER, "machine.pci_gpus": Drop, **more})) == expected

    def test_without_facts_it_is_skipped(self) -> None:
        """Nobody looked for a driver: skipped, and the skip says what would help."""
        result = compute("KD101", change(host(), {"machine.driver": Drop}))
        assert result.skipped[0].reason == "machine.driver.present: not known"
        assert result.skipped[0].would_help

    def test_nouveau_holds_the_gpu(self) -> None:
        """nouveau loaded is no NVIDIA driver, and the fix names it."""
        held = change(host(), {"machine.driver": Drop, "machine.nouveau": True})
        assert "nouveau" in fix("KD101", held)

    def test_the_halves_tell_installed_from_loaded(self) -> None:
        """Libraries without a module: the driver is installed, and only not loaded."""
        half = change(host(), {**NO_DRIVER, "machine.driver": {"present": False, "libcuda_version": "535.104.05"}})
        assert "modprobe" in fix("KD101", half)


class TestDriverTooOld:
    @pytest.mark.parametrize(
        ("tensorflow", "gpu", "version", "expected"),
        [
            ("2.15.1", T4, "525.60.13", "passed"),
            ("2.15.1", T4, "525.60.11", "error"),
            ("2.15.1", T4, "520.61.05", "error"),
            ("2.21.0", A100, "535.104.05", "passed"),
            ("2.14.1", V100, "450.80.02", "passed"),
            ("2.14.1", V100, "450.51.06", "error"),
            ("2.14.1", T4, "580.95.05", "passed"),
        ],
    )
    def test_minor_version_compatibility_decides(
        self, tensorflow: str, gpu: tuple[str, str], version: str, expected: str
    ) -> None:
        """One least driver for all of CUDA 12, one for all of CUDA 11; a newer driver runs older CUDA."""
        assert outcome("KD102", host(tensorflow, gpu, version)) == expected

    def test_a_toolkit_runs_on_the_driver_that_came_with_it(self) -> None:
        """CUDA 11.0 runs on its own 450.51, which is below the least driver of the later 11.x."""
        assert (
            outcome("KD102", change(host(version="450.66.00"), {"software.tensorflow.cuda_version": "11.0"}))
            == "passed"
        )

    @pytest.mark.parametrize(
        ("cuda", "version", "expected"),
        [
            ("10.2", "440.33.01", "passed"),
            ("10.2", "440.31", "error"),
            ("8.0", "367.48", "passed"),
            ("8.0", "367.35", "error"),
        ],
    )
    def test_before_cuda_11_each_toolkit_has_its_own_minimum(self, cuda: str, version: str, expected: str) -> None:
        """There was no minor-version compatibility then."""
        old = change(
            host(),
            {"machine.driver": {"present": True, "version": version}, "software.tensorflow.cuda_version": cuda},
        )
        assert outcome("KD102", old) == expected

    @pytest.mark.parametrize(("version", "expected"), [("475.06", "error"), ("527.41", "passed"), ("526.98", "error")])
    def test_under_wsl_windows_numbers_count(self, version: str, expected: str) -> None:
        """The driver under WSL is the Windows one: 527.41 is the least for CUDA 12."""
        wsl = change(host("2.15.1"), {**WSL, "machine.driver": {"present": True, "version": version}})
        assert outcome("KD102", wsl) == expected

    def test_without_tensorflow_the_oldest_runtime_counts(self) -> None:
        """Other frameworks: the runtime that is installed says which CUDA is used."""
        other = change(
            host(version="470.82.01"),
            {
                "software.tensorflow": {"present": False},
                "software.packages": [],
                "software.cuda.libraries": [{"soname": "libcudart.so.12", "version": "12.4.127"}],
            },
        )
        assert outcome("KD102", other) == "error"
        older = [
            {"soname": "libcudart.so.11.0", "version": "11.8.89"},
            {"soname": "libcudart.so.12", "version": "12.4.127"},
        ]
        assert outcome("KD102", change(other, {"software.cuda.libraries": older})) == "passed"

    def test_a_cuda_compat_library_that_suits_lifts_the_limit(self) -> None:
        """Forward compatibility on a data-centre GPU; on a GeForce it does not help."""
        compat = {
            "subject.kind": "container",
            "software.cuda.compat_driver": "550.54.15",
            "software.environment": {"LD_LIBRARY_PATH": "/usr/local/cuda-12.4/compat"},
        }
        assert outcome("KD102", change(host("2.17.1", T4, "470.82.01"), compat)) == "passed"
        geforce = change(host("2.17.1", ("NVIDIA GeForce RTX 2080 Ti", "7.5"), "470.82.01"), compat)
        assert outcome("KD102", geforce) == "error"

    def test_no_newer_driver_is_advised_where_there_is_none(self) -> None:
        """R470 is the last branch for Kepler: the way out is an older TensorFlow."""
        assert "R470 is the last driver" in fix("KD102", host("2.15.1", K80, "470.82.01"))
        assert "'tensorflow==2.13.1', with CUDA 11.8" in fix("KD102", host("2.15.1", K80, "470.82.01"))

    def test_the_advised_driver_also_compiles_the_ptx(self) -> None:
        """An A100 under 2.15 needs CUDA 12.1 for its PTX (KD108): R530, not R525. Nobody updates twice."""
        assert "driver R530" in fix("KD102", host("2.15.1", A100, "470.82.01"))
        assert "525.60.13" in fix("KD102", host("2.15.1", T4, "470.82.01"))

    def test_a_jetson_has_a_driver_of_its_own(self) -> None:
        """No kernel module of this driver, no such device nodes."""
        jetson = {"machine.kernel": "5.15.148-tegra", "machine.architecture": "aarch64", "expects.gpu": True}
        for code in ("KD101", "KD103", "KD104"):
            assert outcome(code, change(host(), {**NO_DRIVER, **jetson})) == "inapplicable"

    def test_the_advised_release_runs_on_this_driver_python_and_gpu(self) -> None:
        """The alternative is the newest that all three allow; the and-cuda extra of 2.14 needs Python 3.10 or older."""
        assert "tensorflow==2.13.1" in fix("KD102", host("2.21.0", T4, "470.82.01"))
        older = change(host("2.21.0", T4, "470.82.01"), {"software.python.version": "3.10"})
        assert "tensorflow[and-cuda]==2.14.1" in fix("KD102", older)

    @pytest.mark.parametrize(
        ("reported", "cuda", "expected"),
        [
            ("12.0", "12.5.1", "passed"),
            ("11.8", "12.2", "error"),
            ("10.1", "10.2", "error"),
            ("11.0", "10.2", "passed"),
        ],
    )
    def test_the_cuda_that_a_driver_reports_suffices(self, reported: str, cuda: str, expected: str) -> None:
        """nvidia-smi's head without the driver's own version."""
        told = {"machine.driver": {"present": True, "cuda_version": reported}, "software.tensorflow.cuda_version": cuda}
        assert outcome("KD102", change(host(), told)) == expected

    def test_windows_and_cuda_13(self) -> None:
        """NVIDIA names no least Windows driver for CUDA 13: the branch decides."""
        for version, expected in (("581.29", "passed"), ("572.61", "error")):
            new = {**WSL, "machine.driver": {"present": True, "version": version}}
            assert outcome("KD102", change(host(), {**new, "software.tensorflow.cuda_version": "13.0"})) == expected

    def test_skipped_and_inapplicable(self) -> None:
        """An unknown driver is a skip; a build without CUDA, or no driver at all, is none of its business."""
        assert outcome("KD102", change(host(), {"machine.driver": {"present": True}})) == "skipped"
        assert outcome("KD102", change(host(), {"software.tensorflow.cuda_build": False})) == "inapplicable"
        assert outcome("KD102", change(host(), NO_DRIVER)) == "inapplicable"
        assert outcome("KD102", change(host(), {"machine.driver": {"present": True, "version": "N/A"}})) == "skipped"

    def test_versions_with_three_parts_are_no_decimal_numbers(self) -> None:
        """12.5.1 is read as a version."""
        assert CODE["2.21.0"][0] == "12.5.1"
        assert "CUDA 12.5.1" in message("KD102", host("2.21.0", T4, "520.61.05"))

    @pytest.mark.parametrize("version", ["450.80.02", "580.65.06"])
    def test_a_cuda_beside_an_unknown_tensorflow_does_not_clear_the_driver(self, version: str) -> None:
        """The runtime that is there runs; the one that TensorFlow opens is not known. Without TensorFlow it is."""
        cuda = {"toolkits": [{"version": "11.2"}], "libraries": []}
        unknown = change(
            host("2.10.1", ("Tesla V100-SXM2-16GB", "7.0"), version),
            {"software.tensorflow": Drop, "software.packages": Drop, "software.cuda": cuda},
        )
        assert outcome("KD102", unknown) == "skipped"
        assert outcome("KD102", change(unknown, {"software.tensorflow": {"present": False}})) == "passed"
        assert outcome("KD102", change(unknown, {"software.packages": []})) == "passed"

    def test_a_cuda_that_no_table_knows_is_named_as_it_is(self) -> None:
        """Which driver runs a later major version is not known; that this one does not is."""
        later = change(host("2.21.0", version="580.65.06"), {"software.tensorflow.cuda_version": "14.0"})
        assert message("KD102", later).endswith("which this TensorFlow is built for: it needs one for CUDA 14.0")
        assert fix("KD102", later).startswith("install NVIDIA driver for CUDA 14.0 or newer")


class TestDriverLibraryMismatch:
    @pytest.mark.parametrize(
        ("module", "library", "expected"),
        [
            ("535.104.05", "535.129.03", "error"),
            ("384.130", "375.66", "error"),
            ("535.104.05", "535.104.05", "passed"),
            ("384.90", "384.90.0", "passed"),
            ("535.104.05", "535.104.5", "passed"),
        ],
    )
    def test_the_two_halves_must_agree(self, module: str, library: str, expected: str) -> None:
        """Compared by number; TensorFlow's log pads with a zero."""
        halves = {"machine.driver.kernel_module_version": module, "machine.driver.libcuda_version": library}
        assert outcome("KD103", change(host(), halves)) == expected

    def test_an_updated_driver_wants_a_restart_a_leftover_wants_removal(self) -> None:
        """Which half is older tells what happened."""
        assert "reboot" in fix("KD103", change(host(), {"machine.driver.libcuda_version": "550.54.15"}))
        assert "leftover" in fix("KD103", change(host(), {"machine.driver.libcuda_version": "470.82.01"}))

    @pytest.mark.parametrize(
        "error", ["NVML_ERROR_LIB_RM_VERSION_MISMATCH", "Failed to initialize NVML: Driver/library version mismatch"]
    )
    def test_nvml_says_so_itself(self, error: str) -> None:
        """NVML's own error suffices, by code or in the words of nvidia-smi."""
        assert outcome("KD103", change(host(), {"machine.driver": {"present": True, "error": error}})) == "error"

    @pytest.mark.parametrize(("version", "expected"), [("12.535.129.03", "error"), ("12.535.104.05", "passed")])
    def test_nvml_counts_as_a_library(self, version: str, expected: str) -> None:
        """NVML's version carries CUDA's major in front."""
        assert outcome("KD103", change(host(), {"machine.driver.nvml_version": version})) == expected

    def test_skipped_and_inapplicable(self) -> None:
        """One half unknown: skipped. WSL and Windows: one half only. A compat libcuda is another rule's."""
        assert outcome("KD103", change(host(), {"machine.driver.libcuda_version": Drop})) == "skipped"
        assert outcome("KD103", change(host(), WSL)) == "inapplicable"
        assert outcome("KD103", change(host(), {"machine.os": "windows"})) == "inapplicable"
        compat = {
            "subject.kind": "container",
            "machine.driver.libcuda_version": "550.54.15",
            "software.cuda.compat_driver": "550.54.15",
        }
        assert "KD503" in reason("KD103", change(host(), compat))


class TestGpuDeviceInaccessible:
    @pytest.mark.parametrize("node", NODES)
    def test_each_node_is_needed(self, node: str) -> None:
        """A missing node is named."""
        assert node in message("KD104", change(host(), {"machine.devices": [n for n in NODES if n != node]}))

    def test_any_gpu_number_will_do(self) -> None:
        """A pod that got the third GPU has /dev/nvidia2 only."""
        third = ["/dev/nvidia2", "/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools"]
        assert outcome("KD104", change(host(), {"machine.devices": third})) == "passed"

    def test_a_denied_node_is_told_from_a_missing_one(self) -> None:
        """Nodes that this user may not open."""
        nodes = [{"path": "/dev/nvidia0", "mode": "crw-------", "readable": False, "writable": False}]
        denied = change(host(), {"machine.device_nodes": nodes})
        assert "may not be opened" in message("KD104", denied)
        assert "usermod" in fix("KD104", denied)

    @pytest.mark.parametrize(
        "error", ["NVML_ERROR_NO_PERMISSION", "NVML_ERROR_GPU_IS_LOST", "Failed to initialize NVML: Unknown Error"]
    )
    def test_nvml_errors(self, error: str) -> None:
        """NVML reaches the driver, not the GPU."""
        assert outcome("KD104", change(host(), {"machine.driver.error": error})) == "error"

    def test_a_container_under_the_systemd_cgroup_driver_loses_its_nodes(self) -> None:
        """The known cause has its own fix."""
        lost = {
            "subject.kind": "container",
            "machine.driver.error": "NVML_ERROR_UNKNOWN",
            "machine.engine": {"cgroup_driver": "systemd"},
        }
        assert "create-dev-char-symlinks" in fix("KD104", change(host(), lost))

    def test_a_driver_that_lists_no_gpu(self) -> None:
        """A device on the bus that the driver does not show is lost, unless the driver dropped it."""
        assert outcome("KD104", change(host(), {"machine.gpus": []})) == "error"
        dropped = change(host(version="590.44.01"), {"machine.gpus": [], "machine.pci_gpus": ["10de:1b80"]})
        found = {finding.code: finding for finding in diagnose(dropped).findings}
        assert found["KD104"].caused_by == ("KD111",)

    def test_no_gpu_at_all_in_nvmls_list(self) -> None:
        """Without knowing the bus: an error where a GPU is meant, a warning where only the driver is there."""
        empty = change(host(), {"machine.gpus": [], "machine.pci_gpus": Drop, "machine.devices": []})
        assert outcome("KD104", empty) == "warning"
        assert outcome("KD104", change(empty, {"software.requested": [{"requirement": "tensorflow-gpu"}]})) == "error"

    def test_skipped_and_inapplicable(self) -> None:
        """Unknown nodes: skipped. WSL has none, Windows neither, and without a driver KD101 speaks."""
        assert outcome("KD104", change(host(), {"machine.devices": Drop})) == "skipped"
        for other in (WSL, {"machine.os": "windows"}, NO_DRIVER):
            assert outcome("KD104", change(host(), other)) == "inapplicable"


class TestWslGpuPath:
    @pytest.mark.parametrize(
        ("path", "expected"),
        [
            ("/usr/lib/wsl/lib/libcuda.so.1", "passed"),
            ("/usr/lib/wsl/drivers/nv_dispi.inf_amd64/libcuda.so.1", "passed"),
            ("/usr/lib/x86_64-linux-gnu/libcuda.so.1", "error"),
        ],
    )
    def test_libcuda_must_come_from_windows(self, path: str, expected: str) -> None:
        """The first libcuda that the loader finds decides."""
        libraries = [{"soname": "libcuda.so.1", "path": path, "origin": "system"}]
        assert outcome("KD105", change(host(), {**WSL, "software.cuda.libraries": libraries})) == expected
        assert outcome("KD105", change(host(), {**WSL, "machine.driver.libcuda_path": path})) == expected

    def test_a_container_under_wsl_has_libcuda_elsewhere_rightly(self) -> None:
        """The container toolkit mounts it where a Linux driver would be."""
        inside = {**WSL, "machine.virtualization": "docker"}
        mounted = change(host(), {**inside, "machine.driver.libcuda_path": "/usr/lib/x86_64-linux-gnu/libcuda.so.1"})
        assert outcome("KD105", mounted) == "passed"

    def test_wsl_1_has_no_gpu(self) -> None:
        """With a GPU meant, WSL 1 is an error; without, nothing is said."""
        one = change(host(), {**WSL, "machine.wsl": 1, "machine.gpus": Drop, "machine.driver": {"present": False}})
        assert outcome("KD105", change(one, {"expects.gpu": True})) == "error"
        assert outcome("KD105", one) == "inapplicable"

    def test_the_windows_folder_may_be_off_the_loaders_path(self) -> None:
        """It is there, and the loader does not look into it."""
        path = "/usr/lib/wsl/lib/libcuda.so.1"
        libraries = [{"soname": "libcuda.so.1", "path": path, "origin": "system", "on_path": False}]
        off = change(host(), {**WSL, "software.cuda.libraries": libraries})
        assert "ldconfig" in fix("KD105", off)

    def test_a_windows_driver_that_does_not_show(self) -> None:
        """No driver inside WSL is this rule's finding, not KD101's."""
        blind = change(host(), {**WSL, **NO_DRIVER, "expects.gpu": True})
        assert outcome("KD105", blind) == "error"
        assert outcome("KD101", blind) == "inapplicable"

    def test_skipped_and_inapplicable(self) -> None:
        """Whether it is WSL must be known."""
        assert outcome("KD105", change(host(), {"machine.wsl": Drop})) == "skipped"
        assert reason("KD105", host()) == "not under WSL"
        unseen = change(host(), {**WSL, "machine.driver": Drop})
        assert outcome("KD105", unseen) == "skipped"


class TestDriverDroppedGpu:
    @pytest.mark.parametrize(
        ("gpu", "version", "expected"),
        [
            (GTX1080, "590.44.01", "error"),
            (GTX1080, "580.95.05", "passed"),
            (("Tesla V100", "7.0"), "590.44.01", "error"),
            (K80, "525.60.13", "error"),
            (K80, "470.82.01", "passed"),
            (T4, "590.44.01", "passed"),
        ],
    )
    def test_branches_leave_architectures_out(self, gpu: tuple[str, str], version: str, expected: str) -> None:
        """Kepler ends with R470, Maxwell to Volta with R580."""
        assert outcome("KD111", host("2.15.1", gpu, version)) == expected

    def test_the_bus_tells_the_chip_where_the_driver_lists_nothing(self) -> None:
        """A dropped GPU is not in NVML's list: its PCI id is."""
        dropped = change(host(version="590.44.01"), {"machine.gpus": [], "machine.pci_gpus": ["10de:1b80"]})
        assert "GP104" in message("KD111", dropped)

    def test_another_gpu_that_serves_makes_it_a_warning(self) -> None:
        """Two GPUs, one of them dropped."""
        both = [{"name": "Tesla T4", "compute_capability": "7.5"}, {"name": "GTX 1080", "compute_capability": "6.1"}]
        assert outcome("KD111", change(host(version="590.44.01"), {"machine.gpus": both})) == "warning"

    def test_skipped_and_inapplicable(self) -> None:
        """An unknown driver or GPU: skipped. No hardware: inapplicable."""
        assert outcome("KD111", change(host(), {"machine.driver": {"present": True}})) == "skipped"
        assert outcome("KD111", change(host(), {"machine.gpus": [{"name": "NVIDIA Something"}]})) == "skipped"
        unheard = change(host(gpu=GTX1080), {"machine.driver": {"present": True, "version": "999.1"}})
        assert outcome("KD111", unheard) == "skipped"
        bare = change(host(), {**NO_DRIVER, "machine.pci_gpus": []})
        assert outcome("KD111", bare) == "inapplicable"
