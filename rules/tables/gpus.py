"""GPUs: compute capability by product name or PCI id, and what toolkits and drivers still know an architecture."""

from __future__ import annotations

import functools
import re

from ._load import Row, Table, load
from .cuda import branch_of
from .versions import within


class Architecture(Row, frozen=True, kw_only=True):
    """A compute capability: the toolkits that compile for it (`last_toolkit` None: all newer ones too) and the last
    driver branch that runs it (None: not dropped, as far as is known)."""

    compute_capability: str
    architecture: str
    first_toolkit: str
    last_toolkit: str | None
    last_driver_branch: int | None
    products: tuple[str, ...]


class Chip(Row, frozen=True, kw_only=True):
    """A chip, the PCI device ids (vendor 10de) and the product names that it is sold under."""

    chip: str
    compute_capability: str
    pci_ids: tuple[str, ...]
    names: tuple[str, ...]


class Product(Row, frozen=True, kw_only=True):
    """Product names of one compute capability, from NVIDIA's own lists."""

    compute_capability: str
    names: tuple[str, ...]


class Least(Row, frozen=True, kw_only=True):
    """The compute capability that TensorFlow's own binaries of a range of releases ask for at least."""

    tensorflow: str
    compute_capability: str


class _Gpus(Table, frozen=True, kw_only=True):
    architectures: tuple[Architecture, ...]
    chips: tuple[Chip, ...]
    products: tuple[Product, ...]
    least: tuple[Least, ...]


_BRACKETS = re.compile(r"\(.*?\)")
_MEMORY = re.compile(r"\bmig \d+g\.\d+gb|\d+ ?gb")
_NOISE = re.compile(
    r"""\b(?: nvidia | corporation | graphics | gpu | laptop | mobile | notebook | max\ q | with | design | refresh
        | rev | lhr | tensor | core | pcie | sxm\d? | ac | dgxs | fhhl | nvl | hbm\d?e? )\b""",
    re.VERBOSE,
)
_VGPU = re.compile(r"^(?:nvidia )?(?:grid )?(\w+?)d?[- ]\d+[abcq]$")
_PASCAL = "6.1"  # what drivers call TITAN X (Pascal); the Maxwell one is GeForce GTX TITAN X
_RUN_TOGETHER = re.compile(r"\b(rtx|gtx|gt|geforce|quadro|tesla|titan)(?=[a-z]?\d)|(\d{3,4})(?=(?:ti|super)\b)")


def _table() -> _Gpus:
    return load(_Gpus, "gpus")


def architectures() -> tuple[Architecture, ...]:
    """All compute capabilities, oldest first."""
    return _table().architectures


def architecture(compute_capability: str) -> Architecture | None:
    """The row of a compute capability (`8.6`)."""
    return next((row for row in architectures() if row.compute_capability == compute_capability), None)


def least_capability(tensorflow: str) -> str | None:
    """The compute capability that a release's binaries ask for at least; None where the build itself tells it."""
    return next((row.compute_capability for row in _table().least if within(row.tensorflow, tensorflow)), None)


def last_driver_branch(compute_capability: str) -> int | None:
    """The last driver branch that runs a GPU of this compute capability; None where none has dropped it."""
    row = architecture(compute_capability)
    return row.last_driver_branch if row else None


def dropped_by_driver(compute_capability: str, driver: str) -> bool | None:
    """Whether a driver is of a later branch than the last one for this GPU; None where either is unknown."""
    row = architecture(compute_capability)
    if row is None:
        return None
    if row.last_driver_branch is None:
        return False
    branch = branch_of(driver)
    return None if branch is None else branch.branch > row.last_driver_branch


def _key(name: str) -> tuple[str, ...]:
    """The words of a product name that tell the product: without maker, form factor, memory and laptop marks."""
    text = _BRACKETS.sub(" ", name.lower()).strip()
    text = _RUN_TOGETHER.sub(r"\g<0> ", _VGPU.sub(r"\1", text))
    text = _MEMORY.sub(" ", text.replace("-", " ").replace("/", " "))
    return tuple(_NOISE.sub(" ", text).split())


@functools.cache
def _by_name() -> dict[tuple[str, ...], str | None]:
    """Key of a name → compute capability; None where one name was sold with chips of several.

    NVIDIA's own product for an architecture stands, whatever a rare variant under its name holds.
    """
    own = {_key(name): row.compute_capability for row in architectures() for name in row.products}
    found: dict[tuple[str, ...], str | None] = dict(own)
    rows: tuple[Chip | Product, ...] = (*_table().chips, *_table().products)
    for row in rows:
        for name in row.names:
            key = _key(name)
            known = found.setdefault(key, row.compute_capability)
            if known != row.compute_capability and key not in own:
                found[key] = None
    return found


@functools.lru_cache(maxsize=512)
def compute_capability_of(name: object) -> str | None:
    """The compute capability of a product by its name; None for unknown, incomplete or ambiguous names.

    `GeForce RTX 3080 Laptop` is 8.6, and so is `RTX 3080`; `GRID T4-16Q` is a part of a T4. `TITAN X` is a Maxwell or a
    Pascal, so None; so is `NVIDIA GeForce`.
    """
    if not isinstance(name, str):
        return None
    key = _key(name)
    if not key or key == ("titan", "x"):
        return _PASCAL if "(pascal)" in name.lower() else None
    table = _by_name()
    geforce = ("geforce", *key) if key[0] in ("rtx", "gtx") else key
    for words in (key, key[1:] if key[0] == "tesla" else ("tesla", *key), geforce):
        if words in table:
            return table[words]
    return None


@functools.cache
def _by_pci() -> dict[str, Chip]:
    return {device: chip for chip in _table().chips for device in chip.pci_ids}


def chip_of_pci(pci_id: str) -> Chip | None:
    """The chip behind a PCI id (`10de:20b0`); None for other makers and for devices that the table does not know."""
    vendor, _, device = pci_id.lower().partition(":")
    return _by_pci().get(device) if vendor == "10de" else None


def compute_capability_of_pci(pci_id: str) -> str | None:
    """The compute capability of the GPU with a PCI id (`10de:20b0` is 8.0)."""
    chip = chip_of_pci(pci_id)
    return chip.compute_capability if chip else None


def parse_architecture(text: str) -> tuple[str, str] | None:
    """The kind and the compute capability of a target: `sm_120` → (`sm`, `12.0`), `compute_90` → (`compute`, `9.0`)."""
    found = re.fullmatch(r"(sm|compute)_(\d+)(\d)[af]?", text)
    return (found.group(1), f"{found.group(2)}.{found.group(3)}") if found else None
