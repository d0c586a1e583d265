"""Which files of a layer the collector is likely to read, for layers whose bodies pass by only once.

A guess that saves time and never decides a fact: what is not kept is read again, or asked for, when it is wanted.
"""

from __future__ import annotations

import re
import struct

BUDGET = 48 << 20  # bytes kept in memory of one image
SMALL = 1 << 16
WHOLE = 8 << 20  # objects up to this size are put aside as they are
HEAD, TAIL = 2 << 20, 1 << 20  # of larger ones: where symbol names stand, and where patchelf puts them
NAMES = 112 << 20  # TensorFlow's own symbol names end 103 MB into libtensorflow_cc of 2.21
DYNAMIC = 1 << 16
_TEXTS = re.compile(
    r"(?:\.(?:dist-info|egg-info)/(?:METADATA|PKG-INFO|WHEEL|INSTALLER|top_level\.txt|direct_url\.json|requires\.txt)"
    r"|\.egg-info|\.pth|\.egg-link|/pyvenv\.cfg|/__editable__[^/]*\.py|/site\.py|/patchlevel\.h"
    r"|/os-release|/ld\.so\.conf|/ld\.so\.conf\.d/[^/]+\.conf|/ld-musl-[^/]+\.path|/debian_version|/passwd"
    r"|/keras\.json|/python/platform/build_info\.py|/core/public/version\.h"
    r"|/cuda[^/]*/version\.(?:json|txt)|/cudnn(?:_version)?\.h|/include/cuda\.h)$"
)
_RECORDS = re.compile(
    r"/(?:(?:nvidia|tensorrt|cuda|triton_nvidia|tensorflow|keras|tf|intel)[^/]*)\.dist-info/RECORD$|/ld\.so\.cache$"
)
_OBJECTS = re.compile(
    r"/(?:libtensorflow[^/]*\.so[.\d]*|_?lib_pywrap_tensorflow\w*\.so|_pywrap_tensorflow_internal\.so"
    r"|lib(?:cu|nv|nccl)[\w-]*\.so[.\d]*|lib(?:c|m|dl|rt|util|pthread|gcc_s|stdc\+\+|z)(?:\.so\.[\d.]+|-[\d.]+\.so)|libpython[\d.]+\.so[.\d]*|ld-musl-[^/]+|s?bin/(?:python[\d.]*|dash|bash|env|busybox))$"
)


class Keep:
    """A :data:`doctor.images.content.tar.Keep`: texts whole and ``head`` bytes of objects, within a budget."""

    def __init__(self, head: int, budget: int = BUDGET) -> None:
        self.head = head
        self.left = budget

    def __call__(self, name: str, size: int) -> int:
        """The number of bytes for the file ``name`` of ``size`` bytes."""
        place = "/" + name
        if _TEXTS.search(place):
            wanted = min(size, SMALL)
        elif _RECORDS.search(place):
            wanted = min(size, 4 << 20)
        elif _OBJECTS.search(place):
            wanted = min(size, self.head)
        else:
            return 0
        if wanted > self.left:
            return 0
        self.left -= wanted
        return wanted


def parts_of(name: str, size: int, head: bytes) -> list[tuple[int, int]]:
    """(start, end) of what the collector may want of an object that begins with ``head``, in order, disjoint."""
    if size <= WHOLE:
        return [(0, size)]
    dynamic = _dynamic(head)
    first = NAMES if "tensorflow" in name.rpartition("/")[2] else HEAD
    wanted = [(0, first), (dynamic, dynamic + DYNAMIC), (size - TAIL, size)] if dynamic else [(0, HEAD)]
    parts: list[tuple[int, int]] = []
    for start, end in sorted((start, min(end, size)) for start, end in wanted if start < size):
        if parts and start <= parts[-1][1]:
            parts[-1] = (parts[-1][0], max(end, parts[-1][1]))
        else:
            parts.append((start, end))
    return parts


def _dynamic(head: bytes) -> int | None:
    """Where the dynamic section of a 64-bit ELF file begins, by its program headers; None where it is none."""
    if head[:5] != b"\x7fELF\2" or len(head) < 64:
        return None
    order = ">" if head[5] == 2 else "<"
    (table,) = struct.unpack_from(order + "Q", head, 32)
    size, count = struct.unpack_from(order + "HH", head, 54)
    for at in range(table, table + min(count, 128) * size, max(size, 1)):
        if at + 16 > len(head):
            return None
        kind, _, offset = struct.unpack_from(order + "IIQ", head, at)
        if kind == 2:
            return int(offset)
    return None
