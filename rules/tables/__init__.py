"""Compatibility tables: JSON files in this folder, and typed functions that answer a rule's questions from them.

Every row keeps where it was read (`source`, keys of the file's `sources`) and when (`seen`). The functions are pure,
read their file once when first asked, and return None where the tables do not know: a rule is skipped then.

- `tensorflow`: releases (`tensorflow_release`, `releases_for_python`)
- `cuda`: toolkits and drivers (`driver_minimum`, `cuda_reported_by`, `forward_compat`, `cuda_for_ptx`)
- `gpus`: compute capabilities (`compute_capability_of`, `last_driver_branch`)
- `libraries`: sonames and cuDNN (`sonames_for`, `library_of_soname`)
- `packages`: Keras, add-ons, distributions, undeclared bounds (`broken_bounds`, `addon_fits`)
- `systems`: glibc, images, ptxas, determinism (`glibc_of`, `ptxas_supports`)
- `versions`: versions without decimal numbers (`version`, `at_least`)
"""

from __future__ import annotations

from ._load import Row, Table, names, seen
from .cuda import branch_of, cuda_for_ptx, cuda_reported_by, driver_minimum, forward_compat
from .gpus import compute_capability_of, last_driver_branch
from .libraries import sonames_for
from .systems import glibc_of
from .tensorflow import Release, tensorflow_release
from .versions import at_least, version

__all__ = [
    "Release",
    "Row",
    "Table",
    "at_least",
    "branch_of",
    "compute_capability_of",
    "cuda_for_ptx",
    "cuda_reported_by",
    "driver_minimum",
    "forward_compat",
    "glibc_of",
    "last_driver_branch",
    "names",
    "seen",
    "sonames_for",
    "tensorflow_release",
    "version",
]
