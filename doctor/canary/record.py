"""The canary's record: read, checked and saved. A record is compared months later on another machine, so what cannot be
trusted or compared is refused here, with the reason."""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import json
import math
import sys
import tokenize
import zlib
from array import array
from pathlib import Path
from typing import Any

import msgspec

from doctor.errors import DocumentError
from doctor.io.files import write_atomically
from doctor.model.wire import parse_document

PROTOCOL = 1
MAX_BYTES = 4 * 1024 * 1024  # a record of 16 seeds has about 180 KB, one of 512 seeds less than 1 MB
MAX_FLOATS = 1 << 20
MAX_PREDICTIONS = 1 << 20

_LAYOUT_TOKENS = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.ENCODING, tokenize.ENDMARKER)


class Part(msgspec.Struct, frozen=True):
    """Base of a record's parts."""


class Canary(Part, frozen=True):
    """Which canary measured: records of different ones must not be compared."""

    version: int
    sha256: str | None = None


class Stage(Part, frozen=True):
    """One stage of one arm: a hash an array, and the raw float32 values of all arrays, one after the other."""

    sha256: tuple[str, ...]
    raw: str | None = None
    finite: bool = True

    def values(self) -> array[float]:
        """The raw values.

        Raises:
            DocumentError: there are none, or they cannot be read.
        """
        data = _inflate(self.raw or "", 4 * MAX_FLOATS, "stage")
        if not data or len(data) % 4:
            raise DocumentError("a stage of the canary record holds no float32 values")
        found = array("f")
        found.frombytes(data)
        if sys.byteorder == "big":
            found.byteswap()
        return found


class ArmEpoch(Part, frozen=True):
    """One epoch of an arm."""

    weights_sha256: str
    accuracy: float
    loss: float | None = None
    nll: float | None = None


class Arm(Part, frozen=True):
    """One seed followed from its initial weights to its final ones."""

    seed: int
    init: Stage
    forward: Stage
    gradient: Stage
    update: Stage
    final: Stage
    epochs: tuple[ArmEpoch, ...]
    loss: float | None = None
    inference: float | None = 0.0  # L2 distance of the first output without training to the one with it
    steps: int | None = None  # that the optimizer counted


class Arms(Part, frozen=True):
    """The arm whose weights the framework draws, and the one whose weights come from integers."""

    default: Arm
    pinned: Arm


class SeedEpoch(Part, frozen=True):
    """One epoch of one seed."""

    accuracy: float
    nll: float | None = None
    loss: float | None = None


class Seed(Part, frozen=True):
    """One training: its accuracy on the test samples, and what it predicted."""

    seed: int
    accuracy: float
    initial_sha256: str
    final_sha256: str
    epochs: tuple[SeedEpoch, ...]
    predictions: str
    nll: float | None = None

    def errors(self) -> bytes:
        """For each test sample the predicted class minus the right one, modulo the number of classes.

        Raises:
            DocumentError: they cannot be read.
        """
        return _inflate(self.predictions, MAX_PREDICTIONS, "seed")


class OptimizerProbe(Part, frozen=True):
    """Where synthetic gradients of every size move a variable, and zero gradients another one."""

    response: tuple[tuple[float | None, ...], ...]
    resting: tuple[float | None, ...]


class LayerProbe(Part, frozen=True):
    """What a Dense of known weights gives, an activation each; what it loses of its input; its type."""

    relu: tuple[float | None, ...]
    softmax: tuple[float | None, ...]
    none: tuple[float | None, ...]
    identity: tuple[float | None, ...]
    output_dtype: str


class InitializerProbe(Part, frozen=True):
    """The statistics of one larger layer's kernel, and the range of its bias."""

    shape: tuple[int, int]
    sha256: str
    sd: float | None = None
    kurtosis: float | None = None
    max: float | None = None
    mean: float | None = None
    zeros: int = 0
    bias: tuple[float | None, float | None] | None = None


class SeedProbe(Part, frozen=True):
    """Whether one seed drawn twice gives the same weights, another seed other ones, and other plain random numbers.

    ``streams_repeat``: the same of the plain numbers of TensorFlow, NumPy and Python, and of the ``first`` seed.
    """

    repeats: bool
    varies: bool
    stream_varies: bool = True
    streams_repeat: dict[str, bool] = {}

    @property
    def honoured(self) -> bool:
        """Whether seeding does what it is for; an initializer with a seed of its own is no matter of seeding."""
        return self.repeats and (self.varies or self.stream_varies) and all(self.streams_repeat.values())

    @property
    def fault(self) -> str | None:
        """What is wrong with seeding, in words; None where it does what it is for."""
        if self.honoured:
            return None
        broken = [name for name, repeats in sorted(self.streams_repeat.items()) if not repeats and name != "first"]
        if self.repeats and not broken and self.streams_repeat.get("first", True):
            return "different seeds give the same draws"
        names = [{"tensorflow": "TensorFlow", "numpy": "NumPy", "python": "Python"}.get(one, one) for one in broken]
        drawn = "" if not names else f" (of {', '.join(names)}{' and the initializer' if not self.repeats else ''})"
        return f"one seed gives different draws{drawn}"


class DataProbe(Part, frozen=True):
    """L2-relative distances of TensorFlow's copy of the samples, and of its first batch, to what they were made of."""

    samples: float | None = 0.0
    batch: float | None = 0.0


class Probes(Part, frozen=True):
    """Each default on its own."""

    optimizer: OptimizerProbe
    loss: tuple[float | None, ...]
    layer: LayerProbe
    initializer: InitializerProbe
    seed: SeedProbe
    data: DataProbe = DataProbe()


class Processor(Part, frozen=True):
    """The CPU."""

    machine: str | None = None
    model: str | None = None
    flags: tuple[str, ...] | None = None


class Environment(Part, frozen=True):
    """Where the numbers come from. Everything may be absent in a record of another release."""

    python: str | None = None
    packages: dict[str, str] = {}
    tensorflow: str | None = None
    tensorflow_build: dict[str, str] = {}
    keras: str | None = None
    numpy: str | None = None
    libc: str | None = None
    system: str | None = None
    cpu: Processor = Processor()
    device: str | None = None
    gpus: tuple[str, ...] = ()
    threads: dict[str, int] = {}
    determinism: str | None = None
    seeding: str | None = None
    tensor_float_32: bool | None = None
    xla: str | None = None
    variables: dict[str, str] = {}
    keras_json: dict[str, str] | None = None
    replaced: tuple[str, ...] = ()
    sources: dict[str, str] = {}
    image_digest: str | None = None


class Reference(Part, frozen=True):
    """L2-relative distances of the first step to the float64 reference; None where they are not finite."""

    forward: float | None = None
    loss: float | None = None
    gradient: float | None = None
    update: float | None = None


class Thorough(Part, frozen=True):
    """Distances to the float64 reference over whole epochs, and after one epoch for each way of training."""

    epochs: tuple[float | None, ...]
    ways: dict[str, float | None]


class NotFinite(Part, frozen=True):
    """Where a number stopped being one."""

    stage: str
    arm: str | None = None
    seed: int | None = None
    epoch: int | None = None


class Record(Part, frozen=True):
    """One document of kind ``kdoctor/canary``; ``document`` is what stands on disk."""

    canary: Canary
    data_sha256: str
    probes: Probes
    stages: Arms
    seeds: tuple[Seed, ...]
    reference: Reference
    config: dict[str, Any]
    environment: Environment
    test_labels: str
    arguments: dict[str, Any] = {}
    training: dict[str, Any] = {}
    thorough: Thorough | None = None
    non_finite: tuple[NotFinite, ...] = ()
    timings: dict[str, Any] = {}
    created_at: str | None = None
    document: dict[str, Any] = {}

    def labels(self) -> bytes:
        """The right class of each test sample.

        Raises:
            DocumentError: they cannot be read.
        """
        return _inflate(self.test_labels, MAX_PREDICTIONS, "label")


def load_record(path: Path) -> Record:
    """The record in a file, or the one that an accepted reference holds.

    Raises:
        DocumentError: the file cannot be read, is cut short, was changed by hand, is of a newer schema, or holds the
            reason why there was no measurement.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise DocumentError(f"{path}: cannot be read: {error.strerror or error}") from None
    return parse_record(data, str(path))


def parse_record(data: bytes, origin: str) -> Record:
    """The record in these bytes; `origin` names it in errors.

    Raises:
        DocumentError: see `load_record`.
    """
    if len(data) > MAX_BYTES:
        raise DocumentError(f"{origin}: larger than {MAX_BYTES >> 20} MiB; no canary record is that large")
    if not data.strip():
        raise DocumentError(f"{origin}: empty; run the canary again")
    reference = _kind(data) == "kdoctor/reference"
    raw: Any = parse_document(data, origin, expected="reference" if reference else "canary")
    if reference:
        raw = raw.get("record")
        if not isinstance(raw, dict):
            raise DocumentError(f"{origin}: this reference holds no canary record; accept a run again")
    return decode_record(raw, origin)


def decode_record(document: dict[str, Any], origin: str = "the record") -> Record:
    """The record in a plain document.

    Raises:
        DocumentError: see `load_record`.
    """
    failure = document.get("error")
    if isinstance(failure, dict):
        raise DocumentError(
            f"{origin}: holds no measurement: {str(failure.get('message'))[:200]}; run the canary again"
        )
    told = document.get("checksum")
    if told is None:
        raise DocumentError(
            f"{origin}: has no checksum, so nobody can tell whether it was changed; run the canary again"
        )
    if told != checksum(document):
        raise DocumentError(f"{origin}: was changed after it was written (its checksum differs); run the canary again")
    try:
        record = msgspec.convert(document, Record, strict=False)
    except (msgspec.ValidationError, RecursionError) as error:
        version = document.get("canary", {}).get("version") if isinstance(document.get("canary"), dict) else None
        other = f" (it is of canary version {version}, this is version {PROTOCOL})" if version != PROTOCOL else ""
        raise DocumentError(f"{origin}: not a canary record{other}: {str(error)[:200]}") from None
    if len(record.seeds) < 2 or len({entry.seed for entry in record.seeds}) != len(record.seeds):
        raise DocumentError(f"{origin}: not a canary record: it needs at least two different seeds")
    return msgspec.structs.replace(record, document=document)


def save_record(record: Record, path: Path) -> None:
    """Write a record whole or not at all.

    Raises:
        UsageError: the place cannot be written to.
    """
    write_atomically(path, encode_record(record))


def encode_record(record: Record) -> bytes:
    """The document as it stands on disk: one line of JSON."""
    return json.dumps(record.document, sort_keys=True, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def sealed(document: dict[str, Any]) -> dict[str, Any]:
    """A document with its checksum."""
    return {**document, "checksum": checksum(document)}


def checksum(document: dict[str, Any]) -> str:
    """SHA-256 over the document without its checksum, in a form that survives re-indenting and re-ordering."""
    body = {key: value for key, value in document.items() if key != "checksum"}
    try:
        text = json.dumps(_steady(body), sort_keys=True, separators=(",", ":"))
    except RecursionError:
        raise DocumentError("nested too deep to be a canary record") from None
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def source_hash(source: str) -> str:
    """SHA-256 over the payload's code: comments, docstrings and blank lines do not make another canary."""
    kept: list[str] = []
    start_of_statement = True
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in (tokenize.INDENT, tokenize.DEDENT):
            kept.append(tokenize.tok_name[token.type])
            start_of_statement = True
        elif token.type in _LAYOUT_TOKENS:
            start_of_statement = start_of_statement or token.type == tokenize.NEWLINE
        elif token.type == tokenize.STRING and start_of_statement:
            continue  # a docstring
        else:
            kept.append(token.string)
            start_of_statement = False
    return hashlib.sha256("\0".join(kept).encode()).hexdigest()


def _steady(value: Any) -> Any:
    """Numbers that other JSON tools write differently (1.0 and 1) in one form."""
    if isinstance(value, dict):
        return {str(key): _steady(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_steady(item) for item in value]
    if isinstance(value, float) and math.isfinite(value) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value


def _kind(data: bytes) -> str | None:
    class Header(msgspec.Struct):
        kind: str | None = None

    try:
        return msgspec.json.decode(data, type=Header).kind
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None  # the caller's own reading says what is wrong


def _inflate(text: str, limit: int, what: str) -> bytes:
    try:
        packed = base64.b64decode(text, validate=True)
        unpacker = zlib.decompressobj()
        data = unpacker.decompress(packed, limit + 1)
    except (binascii.Error, ValueError, zlib.error):
        raise DocumentError(f"a {what} of the canary record cannot be read; run the canary again") from None
    if len(data) > limit or not unpacker.eof:
        raise DocumentError(f"a {what} of the canary record is larger than any canary's; run the canary again")
    return data
