"""KD208: nvidia-* wheels pinned apart by two frameworks."""

from __future__ import annotations

import pytest

from tests.rules.environments import packages, plain, replaced, requiring, wheels
from tests.rules.machines import change, message, outcome
from tests.support import compute


def test_without_a_second_framework() -> None:
    """TensorFlow alone has nobody to disagree with."""
    assert outcome("KD208", wheels()) == "inapplicable"


def test_an_incomplete_list_may_hide_one() -> None:
    """No other framework in a list that is known to be incomplete: skipped."""
    assert outcome("KD208", change(wheels(), {"partial": ["software.packages"]})) == "skipped"


@pytest.mark.parametrize("torch", ["2.1.2", "2.4.1", "2.6.0", "2.7.1", "2.10.0"])
def test_exact_pins_never_agree(torch: str) -> None:
    """tensorflow[and-cuda] 2.17 and every torch for CUDA 12 pin different versions, by the tables."""
    assert outcome("KD208", replaced(wheels("2.17.1"), torch=torch)) == "warning"


def test_metadata_decides_where_it_is_there() -> None:
    """The pins in torch's own METADATA are those that are compared; cuDNN is named first."""
    snapshot = requiring(
        replaced(wheels("2.17.1"), torch="2.4.1"), "torch", "nvidia-cudnn-cu12==9.1.0.70; platform_system=='Linux'"
    )
    assert "nvidia-cudnn-cu12==8.9.7.29" in message("KD208", snapshot)


def test_ranges_that_both_accept() -> None:
    """TensorFlow 2.20 names ranges: what torch pins lies within."""
    pins = ["nvidia-cudnn-cu12==9.10.2.21", "nvidia-cublas-cu12==12.8.4.1"]
    snapshot = replaced(wheels("2.20.0"), torch="2.8.0", nvidia_cudnn_cu12="9.10.2.21", nvidia_cublas_cu12="12.8.4.1")
    assert outcome("KD208", requiring(snapshot, "torch", *pins)) == "passed"


def test_plain_tensorflow_pins_nothing() -> None:
    """Without the extra TensorFlow asks for no wheel: torch's own are no conflict."""
    snapshot = replaced(plain("2.15.1"), torch="2.2.2", nvidia_cudnn_cu12="8.9.2.26", nvidia_cublas_cu12="12.1.3.1")
    assert outcome("KD208", snapshot) == "passed"


def test_the_extra_was_asked_for() -> None:
    """A request for the extra is enough to know that its pins are meant; a torch of unknown version is a guess."""
    snapshot = change(
        plain("2.19.1"),
        {
            "software.packages": [*packages("tensorflow 2.19.1"), {"name": "torch"}],
            "software.requested": [{"requirement": "tensorflow[and-cuda]==2.19.1", "where": "command line"}],
        },
    )
    (finding,) = compute("KD208", snapshot).findings
    assert finding.confidence.value == "low"


def test_jax_beside_exact_pins() -> None:
    """jax's plug-in wants cuDNN 9.8, TensorFlow 2.19 pins 9.3: apart; the ranges of 2.20 leave a way."""
    apart = replaced(wheels("2.19.1"), jax="0.7.0", jax_cuda12_plugin="0.7.0")
    assert "nvidia-cudnn-cu12" in message("KD208", apart)
    together = replaced(wheels("2.20.0"), jax="0.7.0", jax_cuda12_plugin="0.7.0", nvidia_cudnn_cu12="9.10.2.21")
    assert outcome("KD208", replaced(together, nvidia_cuda_nvcc_cu12="12.9.86")) == "passed"


def test_torch_for_another_cuda_and_for_the_cpu() -> None:
    """torch for CUDA 13 pins other packages, and torch+cpu none."""
    assert outcome("KD208", replaced(wheels("2.19.1"), torch="2.11.0")) == "passed"
    assert outcome("KD208", replaced(wheels("2.17.1"), torch="2.4.1+cpu")) == "passed"
