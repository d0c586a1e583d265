"""Canary records made by hand: small stages, plausible probes, seeds of any accuracy."""

from __future__ import annotations

import base64
import copy
import hashlib
import random
import zlib
from array import array
from collections.abc import Sequence
from typing import Any

from doctor.canary.record import Record
from doctor.canary.record_file import decode_record, sealed

STEPS = 12  # weights of a stage here


def packed(data: bytes) -> str:
    """Bytes as a record holds them."""
    return base64.b64encode(zlib.compress(data)).decode()


def stage(values: Sequence[float]) -> dict[str, Any]:
    """A stage with these values."""
    raw = array("f", values).tobytes()
    return {"sha256": [hashlib.sha256(raw).hexdigest()], "raw": packed(raw), "finite": True}


def arm(seed: int = 1) -> dict[str, Any]:
    """An arm whose numbers depend on the seed of Python's generator alone."""
    numbers = random.Random(seed)
    init = [numbers.uniform(-1, 1) for _ in range(STEPS)]
    return {
        "seed": 1,
        "init": stage(init),
        "forward": stage([numbers.uniform(0, 1) for _ in range(STEPS)]),
        "loss": 2.3,
        "gradient": stage([numbers.uniform(-1, 1) for _ in range(STEPS)]),
        "update": stage([value + 0.001 for value in init]),
        "final": stage([value + 0.1 for value in init]),
        "epochs": [
            {"weights_sha256": f"{seed}-{n}", "accuracy": 0.9, "loss": 0.3, "nll": 0.2, "training_accuracy": 0.9}
            for n in range(6)
        ],
    }


def seeds(accuracies: Sequence[float], draws: str = "a") -> list[dict[str, Any]]:
    """One entry a seed; `draws` names the stream of initial weights."""
    return [
        {
            "seed": number,
            "accuracy": accuracy,
            "nll": 0.2,
            "epochs": [{"accuracy": accuracy, "nll": 0.2, "loss": 0.3}] * 6,
            "initial_sha256": f"{draws}{number}",
            "final_sha256": f"{draws}{number}-{accuracy}",
            "predictions": packed(bytes(20)),
        }
        for number, accuracy in enumerate(accuracies, 1)
    ]


def document() -> dict[str, Any]:
    """A sound record's document, not yet sealed."""
    accuracies = [0.93 + 0.001 * (n % 7) for n in range(16)]
    return copy.deepcopy(
        {
            "kind": "kdoctor/canary",
            "schema": 1,
            "canary": {"version": 1, "sha256": "c0de"},
            "arguments": {"seeds": 16},
            "data_sha256": "da7a",
            "test_labels": packed(bytes(n % 10 for n in range(20))),
            "probes": {
                "optimizer": {"response": [[-0.001, 0.001]] * 4, "resting": [1.0] * 4},
                "loss": [4.7, 0.36, 0.0, 16.1, 0.9],
                "layer": {
                    "relu": [0.0, 5000.25, 1.0, 0.0],
                    "softmax": [0.0, 1.0, 0.5, 0.5],
                    "none": [-1e4, 5000.25, 3.0, -1.25],
                    "identity": [0.0] * 8,
                    "output_dtype": "float32",
                },
                "initializer": {
                    "shape": [160, 96],
                    "sha256": "1n17",
                    "mean": 0.0,
                    "sd": 0.0884,
                    "kurtosis": 1.8,
                    "max": 0.153,
                    "zeros": 0,
                    "bias": [0.0, 0.0],
                },
                "seed": {"repeats": True, "varies": True, "stream_varies": True},
            },
            "stages": {"default": arm(1), "pinned": arm(2)},
            "seeds": seeds(accuracies),
            "reference": {"forward": 1e-7, "loss": 5e-8, "gradient": 1.2e-7, "update": 3.3e-5},
            "training": {"by": "stacked", "apart": 2e-7, "same_hits": True},
            "config": {
                "layer": {"activation": "linear", "kernel_initializer": "glorot_uniform", "bias_initializer": "zeros"},
                "optimizer": {"learning_rate": 0.001, "epsilon": 1e-07, "amsgrad": False},
                "optimizer_class": "Adam",
                "loss": {"reduction": "sum_over_batch_size"},
                "policy": "float32",
                "floatx": "float32",
            },
            "environment": {
                "python": "3.11.7",
                "packages": {"keras": "2.15.0", "tensorflow-cpu": "2.15.1", "numpy": "1.26.4"},
                "tensorflow": "2.15.1",
                "keras": "2.15.0",
                "numpy": "1.26.4",
                "cpu": {"machine": "x86_64", "model": "Xeon", "flags": ["avx", "avx2", "avx512f"]},
                "device": "cpu",
                "threads": {"intra": 1, "inter": 1},
                "determinism": "enable_op_determinism",
            },
            "non_finite": [],
            "timings": {"total": 9.0, "beyond_import": 2.0},
            "created_at": "2026-11-21T02:10:00Z",
        }
    )


def record(changed: dict[str, Any] | None = None) -> Record:
    """The record of a document."""
    return decode_record(sealed(changed if changed is not None else document()))
