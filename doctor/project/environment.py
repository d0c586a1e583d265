"""Variables of TensorFlow and Keras that files of the project set: ENV in Dockerfiles, services in compose files, .env.

By a list of names: no other variable of these files is ever taken up, whatever its value holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from doctor.images import discover
from doctor.images.dockerfile import Dockerfile
from doctor.images.use import clean

NAMES = frozenset(
    {
        "TF_DETERMINISTIC_OPS", "TF_CUDNN_DETERMINISTIC", "TF_ENABLE_ONEDNN_OPTS", "TF_USE_LEGACY_KERAS",
        "TF_GPU_ALLOCATOR", "TF_FORCE_GPU_ALLOW_GROWTH", "TF_CPP_MIN_LOG_LEVEL", "TF_XLA_FLAGS",
        "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "XLA_FLAGS", "KERAS_BACKEND", "PYTHONHASHSEED",
        "NVIDIA_TF32_OVERRIDE",
    }
)  # fmt: skip
DOTENV = ".env"
_LONGEST_VALUE = 200
_MENTIONED = re.compile(r"\b(?:" + "|".join(sorted(NAMES)) + r")\b")

Rows = list[dict[str, Any]]


def parse(text: str, path: str, kind: str) -> Rows:
    """The rows of ``project.environment`` of one file: ``name``, ``value``, ``path``, ``line`` and ``end_line``."""
    if not _MENTIONED.search(text):
        return []
    readers = {discover.DOCKERFILE: _of_dockerfile, discover.COMPOSE: _of_compose, DOTENV: _of_dotenv}
    read = readers.get(kind)
    if read is None:
        return []
    return [
        {"name": name, "value": clean(value)[:_LONGEST_VALUE], "path": path, "line": line, "end_line": end}
        for name, value, line, end in read(text, path)
        if name in NAMES
    ]


def _of_dockerfile(text: str, path: str) -> Iterator[tuple[str, str, int, int]]:
    from e2b_dockerfile_utils import parse_words  # noqa: PLC0415 (20 ms: only where one is met)

    from doctor.images import dockerfile  # noqa: PLC0415

    parsed: Dockerfile = dockerfile.parse(text, path, {})
    for instruction in parsed.instructions:
        if instruction.name != "ENV":
            continue
        words = parse_words(instruction.arguments, parsed.escape)
        if words and "=" not in words[0]:
            words = [f"{words[0]}={' '.join(words[1:])}"]
        for word in words:
            name, _, value = word.partition("=")
            yield name, value.strip("\"'"), instruction.line, instruction.end_line


def _of_compose(text: str, path: str) -> Iterator[tuple[str, str, int, int]]:
    from doctor.images.yaml_nodes import load  # noqa: PLC0415

    for document in load(text).documents:
        for service in document.mapping(document.at(document.root, "services")).values():
            node = document.at(service, "environment")
            for name, value in document.mapping(node).items():
                if (scalar := document.scalar(value)) is not None:
                    yield name, scalar.text, scalar.line, scalar.end_line
            for item in document.sequence(node):
                if (scalar := document.scalar(item)) is not None:
                    name, _, said = scalar.text.partition("=")
                    yield name, said, scalar.line, scalar.end_line


def _of_dotenv(text: str, path: str) -> Iterator[tuple[str, str, int, int]]:
    for number, line in enumerate(text.split("\n"), 1):
        name, equals, value = line.partition("=")
        if equals:
            yield name.strip().removeprefix("export ").strip(), value.strip().strip("\"'"), number, number
