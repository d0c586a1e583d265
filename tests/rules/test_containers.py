"""KD501 to KD503: how a container is started, what its image requires, its cuda-compat."""

from __future__ import annotations

from typing import Any

import pytest

from doctor import catalogue
from tests.rules.machines import Drop, change, driver, fix, host, image, message, outcome, reason
from tests.support import diagnose

catalogue.mount()
from doctor.rules.requires import Here, brands_of, disabled, holds, lowest_cuda, requirements  # noqa: E402

NONE = {"gpus_requested": False, "runtime": "runc"}
BARE_ENGINE = {"name": "docker", "runtimes": ["runc"], "default_runtime": "runc", "cdi_devices": []}
GEFORCE, A100 = ("NVIDIA GeForce RTX 4090", "8.9"), ("NVIDIA A100-SXM4-40GB", "8.0")
ON_PATH = {"LD_LIBRARY_PATH": "/usr/local/cuda-12.4/compat"}


class TestContainerWithoutGpuRuntime:
    def test_started_without_a_gpu(self) -> None:
        """Neither --gpus nor the NVIDIA runtime, and the image uses CUDA."""
        cuda = {"container": NONE, "software.cuda.toolkits": [{"version": "12.3"}]}
        assert outcome("KD501", change(image(), cuda)) == "error"
        assert fix("KD501", change(image(), cuda)) == "start it with docker run --gpus all"

    def test_a_plain_tensorflow_on_a_machine_with_a_gpu_is_a_warning(self) -> None:
        """Nothing in the image asks for CUDA: perhaps the CPU is meant."""
        assert outcome("KD501", change(image(), {"container": NONE})) == "warning"

    def test_the_default_runtime_may_be_nvidia(self) -> None:
        """Then no option is needed, but the image must name its devices."""
        unasked = {"container": {"gpus_requested": False}, "machine.engine.default_runtime": "nvidia"}
        assert outcome("KD501", change(image({"NVIDIA_VISIBLE_DEVICES": "all"}), unasked)) == "passed"
        assert "NVIDIA_VISIBLE_DEVICES" in message("KD501", change(image(), unasked))

    @pytest.mark.parametrize(
        ("capabilities", "expected"),
        [
            ("utility", "error"),
            ("graphics,utility", "error"),
            ("compute,utility", "passed"),
            ("all", "passed"),
            ("", "passed"),
        ],
    )
    def test_driver_capabilities_need_compute(self, capabilities: str, expected: str) -> None:
        """Without compute libcuda is not mounted; nothing said means utility and compute."""
        assert outcome("KD501", image({"NVIDIA_DRIVER_CAPABILITIES": capabilities})) == expected

    def test_the_engine_must_be_able_to(self) -> None:
        """GPUs are asked for, and the engine has neither runtime, hook nor CDI."""
        asked = {"machine.engine": BARE_ENGINE, "container": {"gpus_requested": True}}
        assert outcome("KD501", change(image(), asked)) == "error"
        podman = {"name": "podman", "runtimes": ["crun", "runc"], "cdi_devices": []}
        assert outcome("KD501", change(image(), {**asked, "machine.engine": podman})) == "error"
        old = {"name": "docker", "runtimes": ["runc"], "default_runtime": "runc"}
        assert outcome("KD501", change(image(), {**asked, "machine.engine": old | {"nvidia_toolkit": ""}})) == "error"
        assert outcome("KD501", change(image(), {**asked, "machine.engine": old})) == "passed"
        for able in ({"nvidia_toolkit": "1.17.3"}, {"cdi_devices": ["nvidia.com/gpu=all"]}, {"runtimes": ["nvidia"]}):
            assert outcome("KD501", change(image(), {**asked, "machine.engine": BARE_ENGINE | able})) == "passed"

    def test_a_runtime_that_the_engine_does_not_know(self) -> None:
        """--runtime nvidia on an engine without it."""
        unknown = {"machine.engine": BARE_ENGINE | {"nvidia_toolkit": "1.17.3"}}
        assert "no runtime called nvidia" in message("KD501", change(image(), unknown))

    def test_seen_from_inside(self) -> None:
        """The host's driver shows in /proc, no device node in /dev: started without a GPU. KD104 follows from it."""
        inside = {"machine.virtualization": "docker", "machine.devices": [], "machine.driver.libcuda_version": Drop}
        assert outcome("KD501", change(host(), inside)) == "warning"
        wanted = change(host(), {**inside, "software.requested": [{"requirement": "tensorflow[and-cuda]"}]})
        assert outcome("KD501", wanted) == "error"
        found = {finding.code: finding for finding in diagnose(wanted).findings}
        assert found["KD104"].caused_by == ("KD501",)
        assert outcome("KD501", change(host(), {"machine.virtualization": "docker"})) == "passed"

    def test_skipped_and_inapplicable(self) -> None:
        """How it is started is not known: skipped. No container, no GPU there, no CUDA inside: inapplicable."""
        assert outcome("KD501", change(image(), {"container": {}, "machine.engine": {}})) == "skipped"
        assert reason("KD501", host()) == "no container"
        bare = {"container": NONE, "machine.gpus": [], "machine.pci_gpus": [], "machine.devices": []}
        assert outcome("KD501", change(image(), bare)) == "inapplicable"
        cpu = {"container": NONE, "software.tensorflow": {"version": "2.17.1", "cuda_build": False}}
        assert outcome("KD501", change(image(), cpu)) == "inapplicable"
        empty = {"container": NONE, "software.tensorflow": {"present": False}, "software.packages": []}
        assert outcome("KD501", change(image(), empty)) == "inapplicable"


class TestRequireGrammar:
    @pytest.mark.parametrize(
        ("expression", "expected"),
        [
            ("cuda>=12.2", True),
            ("cuda>=12.4", False),
            ("cuda>=12.4 brand=tesla,driver>=535,driver<536", True),
            ("cuda>=12.4 brand=tesla,driver>=470,driver<471", False),
            ("cuda>=12.4 brand=geforce,driver>=535,driver<536", False),
            ("arch>=7.5,cuda>=12", True),
            ("arch>8.0 cuda<12", False),
            ("brand!=geforce", True),
            ("BRAND=TESLA", True),
            ("driver>=535.104.05,driver!=535.104", True),
            ("nonsense>=1 cuda>=12.0", False),
            ("cuda>=12.0 nonsense>=1", True),
            ("cuda", False),
            ("cuda>=twelve", False),
            ("brand>tesla", False),
            ("  ", True),
        ],
    )
    def test_or_and_and_comparisons(self, expression: str, expected: bool) -> None:
        """A T4 with driver 535.104.05 (CUDA 12.2): space is OR, comma AND, malformed is an error."""
        here = Here("12.2", "535.104.05", "7.5", frozenset({"tesla"}))
        assert holds(expression, here) is expected

    def test_versions_are_compared_by_number(self) -> None:
        """12.10 is later than 12.9, and missing parts are zero."""
        assert holds("cuda>=12.9", Here("12.10", None)) is True
        assert holds("cuda=12", Here("12.0", None)) is True

    def test_what_is_not_known_is_not_guessed(self) -> None:
        """Unknown facts only matter where the answer hangs on them."""
        assert holds("brand=tesla,driver>=535", Here("12.2", "535.104.05")) is None
        assert holds("brand=tesla,driver>=550", Here("12.2", "535.104.05")) is False
        assert holds("brand=tesla cuda>=12.0", Here("12.2", "535.104.05")) is True
        either = Here("12.2", "535", None, frozenset({"geforce", "geforcertx"}))
        assert holds("brand=geforce", either) is None
        assert holds("brand=geforce brand=geforcertx", either) is True
        assert holds("brand=tesla", either) is False

    def test_without_a_visible_gpu_arch_and_brand_are_taken_as_met(self) -> None:
        """As libnvidia-container does."""
        assert holds("brand=tesla,arch>=9.0", Here("12.2", "535", any_gpu=False)) is True

    def test_which_variables_count(self) -> None:
        """All NVIDIA_REQUIRE_*, but not JETPACK; CUDA_VERSION alone stands for its major and minor."""
        environment = {
            "NVIDIA_REQUIRE_CUDA": "cuda>=12.0",
            "NVIDIA_REQUIRE_ARCH": "arch>=7",
            "NVIDIA_REQUIRE_JETPACK": "x",
        }
        assert sorted(requirements(environment)) == ["NVIDIA_REQUIRE_ARCH", "NVIDIA_REQUIRE_CUDA"]
        assert requirements({"CUDA_VERSION": "12.2.0"}) == {"CUDA_VERSION": "cuda>=12.2"}
        assert requirements({"CUDA_VERSION": "12.2.0", "NVIDIA_REQUIRE_CUDA": "cuda>=12"}) == {
            "NVIDIA_REQUIRE_CUDA": "cuda>=12"
        }

    @pytest.mark.parametrize(
        ("value", "expected"), [("1", True), ("true", True), ("T", True), ("yes", False), ("", False)]
    )
    def test_only_what_go_reads_as_true_disables(self, value: str, expected: bool) -> None:
        """strconv.ParseBool."""
        assert disabled({"NVIDIA_DISABLE_REQUIRE": value}) is expected

    def test_brands_by_product(self) -> None:
        """Names that say the brand, names that may be of two, and one that says nothing."""
        assert brands_of("Tesla V100-SXM2") == {"tesla"}
        assert brands_of("NVIDIA GeForce RTX 4090") == {"geforce", "geforcertx"}
        assert brands_of("NVIDIA GeForce GTX 1080") == {"geforce"}
        assert brands_of("NVIDIA Something") is None

    def test_the_least_cuda_of_an_expression(self) -> None:
        """For the fix."""
        assert lowest_cuda("cuda>=12.4 brand=tesla,driver>=470,driver<471") == "12.4"
        assert lowest_cuda("arch>=7") is None


class TestCudaRequirementUnmet:
    NEW = "cuda>=12.4 brand=tesla,driver>=470,driver<471 brand=nvidia,driver>=470,driver<471"

    def test_the_runtime_would_refuse_it(self) -> None:
        """No alternative is met: the container does not start."""
        refused = image({"NVIDIA_REQUIRE_CUDA": self.NEW})
        assert outcome("KD502", refused) == "error"
        assert "NVIDIA_DISABLE_REQUIRE=1" in fix("KD502", refused)

    def test_an_alternative_suffices(self) -> None:
        """A driver branch that the image lists."""
        assert outcome("KD502", image({"NVIDIA_REQUIRE_CUDA": self.NEW}, version="470.82.01")) == "passed"

    def test_every_visible_gpu_must_pass(self) -> None:
        """One T4 and one GeForce, and the image names Tesla only."""
        both = [{"name": "Tesla V100", "compute_capability": "7.0"}, {"name": "GeForce GTX 1080"}]
        mixed = change(image({"NVIDIA_REQUIRE_CUDA": "brand=tesla"}), {"machine.gpus": both})
        assert outcome("KD502", mixed) == "error"

    def test_several_variables_must_all_hold(self) -> None:
        """The one that fails is named."""
        two = image({"NVIDIA_REQUIRE_CUDA": "cuda>=12.0", "NVIDIA_REQUIRE_ARCH": "arch>=9.0"})
        assert "NVIDIA_REQUIRE_ARCH" in message("KD502", two)

    def test_a_legacy_image_requires_its_cuda(self) -> None:
        """CUDA_VERSION without NVIDIA_REQUIRE_CUDA."""
        assert outcome("KD502", image({"CUDA_VERSION": "12.4.1"})) == "error"
        assert outcome("KD502", image({"CUDA_VERSION": "12.2.0"})) == "passed"

    @pytest.mark.parametrize(
        ("engine", "container", "expected"),
        [
            ({"nvidia_toolkit": "1.17.3"}, {"gpus_requested": True, "runtime": "nvidia"}, "error"),
            ({"nvidia_toolkit": "1.18.0"}, {"gpus_requested": True, "runtime": "nvidia"}, "warning"),
            ({"nvidia_toolkit": "1.18.0"}, {"gpus_requested": True, "runtime": "runc"}, "error"),
            ({"name": "podman"}, {"gpus_requested": True}, "warning"),
        ],
    )
    def test_cdi_mode_does_not_check(self, engine: dict[str, Any], container: dict[str, Any], expected: str) -> None:
        """From toolkit 1.18 on the runtime starts it all the same; the hook behind --gpus still checks."""
        case = change(image({"NVIDIA_REQUIRE_CUDA": self.NEW}), {"machine.engine": engine, "container": container})
        assert outcome("KD502", case) == expected

    def test_skipped_and_inapplicable(self) -> None:
        """Disabled, nothing required, no GPU asked for: inapplicable. What it hangs on is not known: skipped."""
        required = {"NVIDIA_REQUIRE_CUDA": self.NEW}
        assert outcome("KD502", image(required | {"NVIDIA_DISABLE_REQUIRE": "1"})) == "inapplicable"
        assert outcome("KD502", image(required | {"NVIDIA_DISABLE_REQUIRE": "yes"})) == "error"
        assert outcome("KD502", image({})) == "inapplicable"
        assert outcome("KD502", change(image(required), {"container": NONE})) == "inapplicable"
        assert outcome("KD502", host()) == "inapplicable"
        assert outcome("KD502", change(image(), {"software.image.environment": Drop})) == "skipped"
        assert outcome("KD502", change(image(required), {"machine.driver": Drop})) == "skipped"
        unheard = change(image({"NVIDIA_REQUIRE_CUDA": "brand=tesla"}), {"machine.gpus": [{"name": "NVIDIA X"}]})
        assert outcome("KD502", unheard) == "skipped"


def compat(gpu: tuple[str, str], version: str, library: str, **environment: str) -> dict[str, Any]:
    """A container whose image brings a compat library."""
    changes = {"software.cuda.compat_driver": library, "software.environment": environment, "subject.kind": "container"}
    return change(image(gpu=gpu, version=version), changes)


class TestCudaCompatUnsuitable:
    def test_nvidias_own_images_name_a_folder_that_is_not_there(self) -> None:
        """compat/lib on LD_LIBRARY_PATH appears only where their entrypoint makes it."""
        named = {"LD_LIBRARY_PATH": "/usr/local/cuda/compat/lib:/usr/local/nvidia/lib64"}
        assert outcome("KD503", compat(GEFORCE, "570.124.06", "550.54.15", **named)) == "inapplicable"
        there = [{"soname": "libcuda.so.1", "path": "/usr/local/cuda/compat/lib/libcuda.so.1", "origin": "compat"}]
        shadowing = compat(GEFORCE, "570.124.06", "550.54.15", **named)
        assert outcome("KD503", change(shadowing, {"software.cuda.libraries": there})) == "error"

    @pytest.mark.parametrize(
        ("gpu", "version", "library", "expected"),
        [
            (A100, "535.104.05", "550.54.15", "passed"),
            (GEFORCE, "535.104.05", "550.54.15", "error"),
            (("TITAN V", "7.0"), "535.104.05", "550.54.15", "error"),
            (A100, "580.95.05", "550.54.15", "error"),
            (A100, "535.104.05", "535.104.05", "passed"),
            (GEFORCE, "535.104.05", "535.104.05", "passed"),
            (GEFORCE, "535.54.03", "535.104.05", "error"),
            (A100, "535.54.03", "535.104.05", "passed"),
            (("NVIDIA RTX A6000", "8.6"), "535.104.05", "550.54.15", "skipped"),
        ],
    )
    def test_gpu_and_branch_must_suit(self, gpu: tuple[str, str], version: str, library: str, expected: str) -> None:
        """Data-centre GPUs, over the branches of NVIDIA's matrix, and never over a newer driver.

        A later version of the driver's own branch is forward of it too; the very same version is not.
        """
        assert outcome("KD503", compat(gpu, version, library, **ON_PATH)) == expected

    def test_what_is_not_in_use_does_no_harm(self) -> None:
        """An older compat library in an image is left alone by the container toolkit."""
        assert "not in use" in reason("KD503", compat(GEFORCE, "570.124.06", "550.54.15"))

    def test_the_container_toolkit_puts_a_newer_one_first(self) -> None:
        """Without LD_LIBRARY_PATH the toolkit's rule decides; its ELF note may exclude the branch."""
        assert outcome("KD503", compat(GEFORCE, "535.104.05", "550.54.15")) == "error"
        noted = change(compat(GEFORCE, "535.104.05", "550.54.15"), {"software.cuda.compat_drivers": [470, 550]})
        assert outcome("KD503", noted) == "inapplicable"

    def test_on_a_host_it_is_only_used_where_the_loader_is_told(self) -> None:
        """A toolkit installed on a workstation holds a compat folder that nobody uses."""
        lying = change(host(gpu=GEFORCE), {"software.cuda.compat_driver": "550.54.15"})
        assert outcome("KD503", lying) == "inapplicable"
        assert outcome("KD503", change(lying, {"software.environment": ON_PATH})) == "error"

    def test_its_branch_may_have_dropped_the_gpu(self) -> None:
        """Kepler under a 515 library."""
        assert "no longer supports" in message("KD503", compat(("Tesla K80", "3.7"), "470.82.01", "515.48.07"))

    def test_a_container_that_reports_more_cuda_than_its_driver_uses_one(self) -> None:
        """Driver 470 ends at CUDA 11.4: 11.8 comes from a compat library."""
        more = change(
            image(gpu=GEFORCE),
            {"machine.driver": driver("470.82.01") | {"cuda_version": "11.8"}, "software.cuda.compat_driver": Drop},
        )
        assert outcome("KD503", more) == "error"

    def test_skipped_and_inapplicable(self) -> None:
        """Not looked for: skipped. None there, or no GPU: inapplicable."""
        assert outcome("KD503", change(image(), {"software.cuda.compat_driver": Drop})) == "skipped"
        assert outcome("KD503", image()) == "inapplicable"
        no_driver = change(compat(A100, "535.104.05", "550.54.15"), {"machine.driver": Drop})
        assert outcome("KD503", no_driver) == "skipped"
        assert (
            outcome("KD503", change(compat(GEFORCE, "535.104.05", "550.54.15"), {"expects.gpu": False}))
            == "inapplicable"
        )
