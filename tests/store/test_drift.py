"""When did it drift, and what changed then?"""

from __future__ import annotations

import random
from typing import Any

import pytest

from doctor.store.accepting import accept_run
from doctor.store.drifting import difference, explain, load_series
from doctor.store.entry import Entry
from doctor.store.opening import Store
from doctor.store.plotting import sparkline
from doctor.store.reading import Filter, load_run
from doctor.store.steps import Point, Series, Step, find_steps
from doctor.store.writing import write_entries
from tests.canary import records
from tests.store import runs


def steps(store: Store, tolerance: float = 0.01, **more: Any) -> list[Step]:
    """Every drift in a history."""
    return [step for series in load_series(store, Filter(), **more) for step in find_steps(series, tolerance)]


def trainings(*accuracies: float, **more: Any) -> list[Entry]:
    """One training a day."""
    return [runs.training_entry(day, accuracy, **more) for day, accuracy in enumerate(accuracies)]


def test_a_simulated_year_gives_both_dates_and_both_causes(store: Store) -> None:
    """Nightly canaries; on day 100 a new Keras brings another initializer, on day 250 another learning rate."""
    numbers = random.Random(7)
    entries = []
    for day in range(365):
        document = records.document()
        versions = {"h5py": f"3.{day // 30}.0"}  # harmless updates all year long
        if day >= 100:
            versions["keras"] = "2.15.1"
            document["probes"]["initializer"].update(sd=0.112, kurtosis=3.0, max=0.28, sha256="0th3r")
            document["config"]["layer"]["kernel_initializer"] = "he_normal"
        if day >= 250:
            versions["numpy"] = "1.26.5"
            versions["tensorflow-cpu"] = "2.15.2"
            document["config"]["optimizer"]["learning_rate"] = 0.01
            document["probes"]["optimizer"]["response"] = [[-0.01, 0.01]] * 4
        shift = -0.03 * (day >= 100) - 0.025 * (day >= 250) + numbers.uniform(-0.0004, 0.0004)
        entries.append(runs.canary_entry(runs.canary(day, shift=shift, document=document, **versions)))
    write_entries(store, entries)

    found = [explain(store, step) for step in steps(store)]

    assert [one["first_beyond"]["ran_at"] for one in found] == [runs.at(100), runs.at(250)]
    assert [one["before"]["ran_at"] for one in found] == [runs.at(99), runs.at(249)]
    assert [one["difference"] for one in found] == [pytest.approx(-0.03, abs=0.001), pytest.approx(-0.025, abs=0.001)]
    assert [one["drift"]["accuracy"]["label"] for one in found] == ["drift", "drift"]
    causes = [{cause["what"]: (cause["from"], cause["to"]) for cause in one["drift"]["causes"]} for one in found]
    assert causes[0]["initializer"] == ("glorot_uniform", "he_normal")
    assert "optimizer" in causes[1]
    assert "initializer" not in causes[1]
    packages = [{row["name"]: (row["a"], row["b"]) for row in one["changes"]} for one in found]
    assert packages[0]["keras"] == ("2.15.0", "2.15.1")
    assert packages[1]["tensorflow-cpu"] == ("2.15.1", "2.15.2")
    assert "keras" not in packages[1]


def test_a_steady_year_has_no_drift(store: Store) -> None:
    """Noise below the tolerance, and updates that change nothing, are none."""
    numbers = random.Random(3)
    write_entries(store, trainings(*(0.9 + numbers.uniform(-0.005, 0.005) for _ in range(365))))
    assert steps(store, 0.011) == []


def test_a_training_of_the_users_own_drifts_with_what_changed(store: Store) -> None:
    """The environment, the data and the hyperparameters of the first run beyond, against the run before."""
    before = trainings(0.91, 0.912, data_sha256="sha256:01")
    after = runs.training_entry(
        2,
        0.85,
        environment=runs.environment(keras="3.15.1"),
        data_sha256="sha256:02",
        parameters={"batch_size": 128},
    )
    write_entries(store, [*before, after])
    step = steps(store)[0]
    told = explain(store, step)
    changed = {(row["what"], row["name"]): (row["a"], row["b"]) for row in told["changes"]}
    assert changed["package", "keras"] == ("2.15.0", "3.15.1")
    assert changed["run", "data_sha256"] == ("sha256:01", "sha256:02")
    assert changed["parameter", "batch_size"] == (64, 128)
    assert (told["before"]["run"], told["first_beyond"]["run"]) == (2, 3)
    assert told["drift"] is None
    assert not step.ended


def test_a_slow_slide_is_found_against_the_level_it_left(store: Store) -> None:
    """Each night a little less: no two neighbours differ beyond tolerance, but the sum does; what changed is dated."""
    first = trainings(*(0.9 - 0.002 * day for day in range(5)))
    new = runs.environment(numpy="2.0.0")
    rest = [runs.training_entry(day, 0.9 - 0.002 * day, environment=new) for day in range(5, 10)]
    write_entries(store, [*first, *rest])
    (step,) = steps(store)
    told = explain(store, step)
    assert step.level.accuracy == pytest.approx(0.896)  # the median of the first five
    assert (step.after.ran_at, step.before.ran_at) == (runs.at(8), runs.at(7))
    assert told["since"] == "level"
    assert ("numpy", "1.26.4", "2.0.0") in [(row["name"], row["a"], row["b"]) for row in told["changes"]]
    assert [(one["before"], one["run"]) for one in told["environments"]] == [(5, 6)]


def test_one_bad_night_is_told_as_one(store: Store) -> None:
    """Away for one run, and back: passing and over, and the return is no drift of its own."""
    write_entries(store, trainings(0.9, 0.9, 0.8, 0.9, 0.9))
    (step,) = steps(store)
    assert (step.after.id, step.lasted, step.passing, step.ended) == (3, 1, True, True)


def test_the_newest_run_beyond_is_a_drift_until_more_are_known(store: Store) -> None:
    """Nobody can tell yet whether it passes; and with the next run back, it did."""
    write_entries(store, trainings(0.9, 0.9, 0.8))
    (step,) = steps(store)
    assert (step.after.id, step.passing, step.ended) == (3, False, False)
    write_entries(store, [runs.training_entry(3, 0.9)])
    assert [(step.passing, step.ended) for step in steps(store)] == [(True, True)]


def noisy(seed: int, sd: float, shift: Any = lambda day: 0.0, days: int = 365) -> list[float]:
    """A year of accuracies that vary from run to run."""
    numbers = random.Random(seed)
    return [0.9 + shift(day) + numbers.gauss(0, sd) for day in range(days)]


@pytest.mark.parametrize("seed", range(6))
def test_trainings_that_vary_have_the_drifts_that_they_have(store: Store, seed: int) -> None:
    """Down on day 100 and back on day 200, among noise a third of the tolerance wide: two lasting steps, no more."""
    write_entries(store, trainings(*noisy(seed, 0.003, lambda day: -0.03 * (100 <= day < 200))))
    lasting = [step for step in steps(store) if not step.passing]
    assert [(step.before.ran_at, step.after.ran_at) for step in lasting] == [
        (runs.at(99), runs.at(100)),
        (runs.at(199), runs.at(200)),
    ]
    assert [step.ended for step in lasting] == [True, True]
    assert lasting[0].difference == pytest.approx(-0.03, abs=0.009)


@pytest.mark.parametrize("seed", range(6))
def test_an_unlucky_first_run_makes_no_drift(store: Store, seed: int) -> None:
    """The level is what the first few runs agree on."""
    first, *rest = noisy(seed, 0.0015)
    write_entries(store, trainings(first + 0.007, *rest))
    assert [step for step in steps(store) if not step.passing] == []


@pytest.mark.parametrize("seed", range(6))
def test_a_drop_that_some_runs_hide_is_one_drift(store: Store, seed: int) -> None:
    """1.5 times the tolerance, and noise a third as wide: runs that look well again begin no drift of their own."""
    write_entries(store, trainings(*noisy(seed, 0.003, lambda day: -0.015 * (day >= 100))))
    (step,) = [step for step in steps(store) if not step.passing]
    assert runs.at(99) <= step.after.ran_at <= runs.at(103)


def test_two_drifts_in_two_nights_are_two(store: Store) -> None:
    """The second one is not taken into the level of the first."""
    shift = [0.0] * 10 + [-0.03] + [-0.06] * 10
    write_entries(store, trainings(*(0.9 + one for one in shift)))
    assert [(step.before.id, step.after.id, step.ended) for step in steps(store)] == [(10, 11, True), (11, 12, False)]


def test_missing_nights_and_models_side_by_side(store: Store) -> None:
    """The run before is the last one that there is, and each model has its own dates and causes."""
    new = runs.environment(keras="2.15.1")
    for day in range(60):
        if day not in (28, 29, 30, 31):
            write_entries(store, [runs.training_entry(day, 0.9 - 0.03 * (day >= 30), "a")])
        late = {"environment": new} if day >= 40 else {}
        write_entries(store, [runs.training_entry(day + 0.2, 0.7 - 0.02 * (day >= 40), "b", **late)])
    found = {step.series.key[2]: explain(store, step) for step in steps(store)}
    assert (found["a"]["before"]["ran_at"], found["a"]["first_beyond"]["ran_at"]) == (runs.at(27), runs.at(32))
    assert found["a"]["changes"] == []
    assert found["b"]["first_beyond"]["ran_at"] == runs.at(40.2)
    assert "keras" in {row["name"] for row in found["b"]["changes"]}


def test_exactly_the_tolerance_is_no_drift(store: Store) -> None:
    """Beyond means beyond, whatever binary fractions make of 0.91 - 0.9."""
    write_entries(store, trainings(0.90, 0.91, 0.89))
    assert steps(store) == []


def test_an_accepted_run_sets_the_level(store: Store) -> None:
    """After the drop was reviewed and accepted it is over, and later runs are held against it."""
    write_entries(store, trainings(0.9, 0.8, 0.805))
    accept_run(store, load_run(store, 3), by="ann", reason="new data, reviewed", file=None)
    write_entries(store, [runs.training_entry(4, 0.806), runs.training_entry(5, 0.78)])
    found = steps(store)
    assert [step.after.id for step in found] == [2, 5]
    assert found[0].ended
    assert found[1].level.point.id == 3


def test_models_hosts_and_devices_are_not_mixed(store: Store) -> None:
    """Another model, another host, a GPU: series of their own, unless hosts are asked to be one."""
    write_entries(store, trainings(0.9, 0.9))
    write_entries(store, [runs.training_entry(3, 0.7, model="other"), runs.training_entry(4, 0.6, host="b")])
    write_entries(store, [runs.training_entry(5, 0.5, device="gpu")])
    assert steps(store) == []
    assert [step.after.accuracy for step in steps(store, across_hosts=True)] == [0.6]


def test_an_image_is_one_series_under_all_its_tags_and_on_all_hosts(store: Store) -> None:
    """The tag moved from 1 to 2 on another node: the drop is found, and the digest named."""
    for day, (tag, digest, host, shift) in enumerate(
        [("1", runs.DIGEST, "a", 0.0), ("2", "sha256:" + "cd" * 32, "b", -0.05)]
    ):
        snapshot = runs.image(tag, digest, keras=f"2.15.{day}")
        record = runs.canary(day, shift=shift)
        entry = runs.canary_entry(record, snapshot.subject.name, environment=snapshot, host=host)
        write_entries(store, [Entry(**{**entry_fields(entry), "subject_kind": "image"})])
    (step,) = steps(store)
    told = explain(store, step)
    names = {row["name"] for row in told["changes"]}
    assert {"image.digest", "keras"} <= names


def entry_fields(entry: Entry) -> dict[str, Any]:
    """An entry's fields, to be changed."""
    return {name: getattr(entry, name) for name in entry.__struct_fields__}


def test_canaries_on_other_data_are_not_held_against_each_other(store: Store) -> None:
    """A new canary's numbers begin a new level: no drift is claimed between what cannot be compared."""
    other = records.document()
    other["data_sha256"] = "0th3r"
    write_entries(store, [runs.canary_entry(runs.canary(0))])
    write_entries(store, [runs.canary_entry(runs.canary(1, shift=-0.2, document=other))])
    assert steps(store) == []


def test_two_runs_can_be_compared_directly(store: Store) -> None:
    """With the verdict on their records, and the same run differs in nothing."""
    changed = records.document()
    changed["environment"]["variables"] = {"TF_ENABLE_ONEDNN_OPTS": "0"}
    ids = write_entries(store, [runs.canary_entry(runs.canary(0)), runs.canary_entry(runs.canary(1, document=changed))])
    rows = [load_run(store, number) for number in ids]
    told = difference(store, rows[0], rows[1])
    assert told["drift"]["class"] == "bitwise"
    assert [row["name"] for row in told["changes"]] == ["TF_ENABLE_ONEDNN_OPTS"]
    assert difference(store, rows[0], rows[0])["changes"] == []


def test_a_series_has_a_name_for_a_person() -> None:
    """What, where, on which device."""
    assert Series(("training", None, "ctr", "a", None), ()).name == "training ctr on a"
    assert Series(("canary", "image:app", "canary", None, "cpu"), ()).name == "canary image:app (cpu)"


def test_noise_looks_like_noise_in_a_sparkline() -> None:
    """Bars are as high as twice the tolerance at least; a drop beyond it goes from top to bottom."""

    def bars(*accuracies: float) -> str:
        points = [Point(n, runs.at(n), value, False, 1, ()) for n, value in enumerate(accuracies)]
        return sparkline(points, span=0.02)

    assert bars(0.9, 0.901, 0.9, 0.901) == "▄▅▄▅"
    assert bars(0.9, 0.9, 0.87, 0.87) == "██▁▁"
