"""The numbers behind the plots of a drift."""

from __future__ import annotations

import json

from doctor.canary.series import BINS, series
from tests.canary import records


def test_every_seed_and_epoch_of_both_sides_is_there() -> None:
    """Accuracy by seed, loss with its range by epoch, plain data that JSON holds."""
    sides = [0.91, 0.93], [0.5, 0.6, 0.7]
    a, b = (records.record({**records.document(), "seeds": records.seeds(accuracies)}) for accuracies in sides)
    found = series(a, b)
    assert found["accuracy"] == {"a": [[1, 0.91], [2, 0.93]], "b": [[1, 0.5], [2, 0.6], [3, 0.7]]}
    assert len(found["loss"]["a"]) == len(a.seeds[0].epochs)
    assert all(low <= mean <= high for rows in found["loss"].values() for mean, low, high in rows)
    assert json.loads(json.dumps(found)) == found


def test_each_weight_is_counted_once_and_zeros_never() -> None:
    """Both sides share their edges; the greatest weight lies in the last bin."""
    a = records.record()
    weights = series(a, a)["weights"]
    count = sum(value != 0.0 for value in a.stages.default.init.values())
    assert len(weights["edges"]) == BINS + 1
    assert sum(weights["a"]) == sum(weights["b"]) == count
    assert weights["a"][-1] >= 1
