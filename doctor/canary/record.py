"""What a canary's record holds."""

from __future__ import annotations

import base64
import binascii
import sys
import zlib
from array import array
from typing import Any

import msgspec

from doctor.errors import DocumentError

PROTOCOL = 1
MAX_FLOATS = 1 << 20
MAX_PREDICTIONS = 1 << 20


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
