"""The fake NVML as a fixture, for any test module that says `pytest_plugins = ["tests.nvml.fixtures"]`."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

import pytest

from tests.nvml.fake import FakeNvml


@pytest.fixture(scope="session")
def fake_nvml(tmp_path_factory: pytest.TempPathFactory, lacking: Callable[[str], NoReturn]) -> FakeNvml:
    """A fake libnvidia-ml.so.1, as a real library for the real binding."""
    fake = FakeNvml(tmp_path_factory.mktemp("nvml"))
    if fake.compiler is None:
        lacking("there is no C compiler to build the fake NVML")
    return fake
