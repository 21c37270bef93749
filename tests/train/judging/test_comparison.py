"""Comparison: intervals that hold the truth as often as they say, pairing that is exact, rows that form as asked."""

import dataclasses
import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from simulated import World, evaluation, expected

from dis2_edge.errors import DataError, UserError
from dis2_edge.scores import scores
from dis2_train.judging.bootstrap import draw_images, draw_seeds, student
from dis2_train.judging.comparison import Estimate, compare
from dis2_train.judging.conditions import conditions_of, failing, joined
from dis2_train.judging.measures import measure, measures_of, needed
from dis2_train.networks.cost import Cost

TRUTHS = np.array([50, 90, 120, 160, 30, 70])
SURE = np.full(6, 0.9)


def test_measures_of_sums_are_the_scores_of_summed_counts():
    random = np.random.default_rng(5)
    counts = random.integers(0, 40, (7, 3, 4))
    found = dict(zip(measures_of(("x", "y", "z")), measure(needed(counts).sum(1)), strict=True))
    one = scores(counts.sum(0))
    assert found["miou"] == pytest.approx(one.miou)
    assert found["mean_f1"] == pytest.approx(one.mean_f1)
    assert found["oa"] == pytest.approx(one.oa)
    assert found["worst_iou"] == pytest.approx(min(one.iou))
    assert [found[f"iou {name}"] for name in "xyz"] == pytest.approx(one.iou)


@given(some.integers(0, 500), some.integers(1, 5), some.integers(1, 4))
def test_measures_agree_with_the_one_matrix_version_whatever_is_absent(number, classes, images):
    random = np.random.default_rng(number)
    counts = random.integers(0, 9, (images, classes, classes + 1)) * random.integers(
        0, 2, (images, classes, classes + 1)
    )
    one, found = scores(counts.sum(0)), measure(needed(counts).sum(1))
    expected = (
        one.miou,
        one.mean_f1,
        one.oa,
        np.nanmin(one.iou) if not np.isnan(one.iou).all() else math.nan,
        *one.iou,
    )
    assert found == pytest.approx(np.array(expected), nan_ok=True)


def test_intervals_of_differences_hold_the_truth_as_often_as_they_say():
    """60 images, one seed: of 300 simulated comparisons about 285 intervals hold the expected difference."""
    truth = expected(1.6) - expected(1.4)
    hits = 0
    for number in range(300):
        world = World(number, 60)
        rows = compare(
            {"b": world.network(1.4, label="b"), "a": world.network(1.6, label="a")}, resamples=400, seed=number
        ).rows
        found = rows[1].differences["a+b"]["miou"]
        hits += found.low <= truth <= found.high
    assert 0.90 <= hits / 300 <= 0.985


def test_intervals_take_in_the_luck_of_seeds():
    """Four seeds a row whose luck varies: intervals that drew images alone would hold the truth far less often."""
    truth = expected(1.6, 0.25) - expected(1.4, 0.25)
    hits, narrow = 0, 0
    for number in range(150):
        world = World(number, 60, luck=0.25)
        groups = {"b": world.network(1.4, label="b", seeds=4), "a": world.network(1.6, label="a", seeds=4)}
        found = compare(groups, resamples=400, seed=number).rows[1].differences["a+b"]["miou"]
        hits += found.low <= truth <= found.high
        lone = {name: members[:1] for name, members in groups.items()}
        alone = compare(lone, resamples=400, seed=number).rows[1].differences["a+b"]["miou"]
        narrow += alone.low <= truth <= alone.high
    assert 0.86 <= hits / 150 <= 0.99
    assert narrow / 150 < 0.6


def test_equal_rows_differ_by_exactly_nothing():
    world = World(1, 20, luck=0.4)
    members = world.network(1.5, label="n", seeds=3)
    row = compare({"one": members, "two": members}, resamples=200).row("two")
    assert {found for table in row.differences.values() for found in table.values()} == {Estimate(0.0, 0.0, 0.0)}
    assert row.differences["a+b"]["miou"].verdict == "same"


def test_pairing_sees_what_hardness_hides():
    """The same small gain on every image: sure when images are shared, lost in their spread when they are not."""
    world = World(3, 40, spread=1.2)
    base = world.network(1.5, label="b")[0]
    counts = base.counts["a+b"].copy()
    counts[:, 1, 0] -= (gain := np.minimum(counts[:, 1, 0], 4))
    counts[:, 1, 1] += gain
    better = dataclasses.replace(base, label="a", counts={"a+b": counts})
    row = compare({"b": [base], "a": [better]}).row("a")
    found, own = row.differences["a+b"]["iou flood"], row.scores["a+b"]["iou flood"]
    assert found.verdict == "better"
    assert own.high - own.low > 5 * (found.high - found.low)


@pytest.mark.parametrize(
    ("low", "high", "verdict"), [(0.1, 0.2, "better"), (-0.2, -0.1, "worse"), (-0.1, 0.1, "unsure"), (0, 0, "same")]
)
def test_a_verdict_needs_the_whole_interval(low, high, verdict):
    assert Estimate((low + high) / 2, low, high).verdict == verdict


def test_networks_of_one_sensor_form_a_row_that_answers_what_each_knows():
    both = evaluation({"a+b": SURE, "a": SURE - 0.1, "b": SURE - 0.2, "a+b~low": SURE - 0.3}, TRUTHS, label="both")
    ones = [
        evaluation({name: SURE - 0.05 * seed}, TRUTHS, label=f"{name}{seed}", seed=seed, sensors=(name,), network="one")
        for name in ("a", "b")
        for seed in (0, 1)
    ]
    found = compare({"both": [both], "single": ones}, resamples=50)
    row = found.row("single")
    assert set(row.scores) == {"a", "b"}
    assert set(row.differences) == {"a", "b"}
    assert (row.seeds, row.networks) == ((0, 1, 0, 1), ("one",))
    each = [scores(one.counts["a"].sum(0)).miou for one in ones[:2]]
    assert row.scores["a"]["miou"].value == pytest.approx(np.mean(each))
    assert set(found.row("both").scores) == {"a+b", "a", "b", "mean", "p=0.2", "p=0.1", "p=0.05", "a+b~low"}


def test_the_mean_and_the_expectation_are_those_of_the_subsets():
    rates = {"a+b": SURE, "a": SURE - 0.1, "b": SURE - 0.3}
    row = compare({"n": [evaluation(rates, TRUTHS)]}, resamples=20).rows[0]
    full, a, b = (row.scores[name]["miou"].value for name in rates)
    assert row.scores["mean"]["miou"].value == pytest.approx((full + a + b) / 3)
    assert row.scores["p=0.1"]["miou"].value == pytest.approx((0.81 * full + 0.09 * a + 0.09 * b) / 0.99)
    assert "a+b~low" not in row.scores


@given(some.integers(1, 4), some.floats(0.01, 0.5))
def test_the_shares_of_scenarios_sum_to_one_and_prefer_the_full_one(sensors, p):
    names = ("a", "b", "c", "d")[:sensors]
    shares = failing(names, p)
    assert sum(shares.values()) == pytest.approx(1)
    assert max(shares.values()) == pytest.approx(shares["+".join(names)])
    assert {condition.name for condition in conditions_of(names)} >= set(shares)
    assert all(sum(condition.weights.values()) == pytest.approx(1) for condition in conditions_of(names))


def test_sensors_of_all_rows_are_ordered_as_the_longest_has_them():
    assert joined([("c",), ("a", "b", "c"), ("b",)]) == ("a", "b", "c")
    assert joined([("a",), ("b",)]) == ("a", "b")


def test_a_class_that_nobody_saw_has_no_score():
    one = evaluation({"a+b": SURE}, TRUTHS)
    counts = np.zeros((6, 3, 4), np.int64)
    counts[:, :2, :2] = one.counts["a+b"][:, :, :2]
    one = dataclasses.replace(one, classes=("dry", "flood", "snow"), counts={"a+b": counts})
    found = compare({"n": [one]}, resamples=30).rows[0].scores["a+b"]
    assert "iou snow" not in found
    assert found["miou"].value == pytest.approx((found["iou dry"].value + found["iou flood"].value) / 2)


def test_a_resample_that_lost_a_class_takes_it_out_of_no_mean():
    """Snow is in one image of six and never found: a third of the resamples lack it, and none may gain by that."""
    one = evaluation({"a+b": SURE}, TRUTHS)
    counts = np.zeros((6, 3, 4), np.int64)
    counts[:, :2, :2] = one.counts["a+b"][:, :, :2]
    counts[2, 2, 0] = 9
    one = dataclasses.replace(one, classes=("dry", "flood", "snow"), counts={"a+b": counts})
    found = compare({"n": [one]}, resamples=200).rows[0].scores["a+b"]
    assert found["iou snow"] == Estimate(0.0, 0.0, 0.0)
    assert found["worst_iou"] == Estimate(0.0, 0.0, 0.0)
    assert found["miou"].low < found["miou"].value < found["miou"].high < 2 / 3
    assert found["mean_f1"].high < 2 / 3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"split": "test"}, "was judged on split test; expected val"),
        ({"classes": ("flood", "dry")}, "was judged on classes flood, dry; expected dry, flood"),
        ({"grid": (64, 32)}, "was judged on grid 64x32; expected 20x20"),
        ({"ids": tuple("uvwxyz")}, "different images or labels"),
        ({"counts": {"a+b": np.ones((6, 2, 3), np.int64)}}, "different images or labels"),
    ],
)
def test_what_was_judged_on_other_pixels_is_refused(change, words):
    one = evaluation({"a+b": SURE}, TRUTHS)
    with pytest.raises(DataError) as caught:
        compare({"one": [one], "two": [dataclasses.replace(one, label="other", **change)]})
    assert words in str(caught.value)
    assert "other" in str(caught.value)


def test_two_networks_that_answer_the_same_are_no_row():
    one = evaluation({"a": SURE}, TRUTHS, label="x", sensors=("a",))
    two = evaluation({"a+b": SURE, "a": SURE}, TRUTHS, label="y")
    with pytest.raises(DataError, match=r"in the row 'mix' both x and y answer 'a'"):
        compare({"mix": [one, two]})


def test_an_unknown_reference_names_the_nearest():
    one = evaluation({"a+b": SURE}, TRUTHS)
    with pytest.raises(UserError, match="no row is called 'dis'; did you mean 'dis2'"):
        compare({"dis2": [one], "unet": [one]}, "dis")


def test_costs_of_all_members_are_kept():
    one = dataclasses.replace(evaluation({"a": SURE}, TRUTHS, sensors=("a",)), costs={"a": Cost(5, 1.0)})
    two = dataclasses.replace(evaluation({"b": SURE}, TRUTHS, sensors=("b",)), costs={"b": Cost(7, 2.0)})
    assert compare({"s": [one, two]}, resamples=10).rows[0].costs == {"a": Cost(5, 1.0), "b": Cost(7, 2.0)}


@given(some.integers(1, 30), some.integers(1, 20), some.integers(0, 5))
def test_every_resample_draws_as_many_images_as_there_are(images, resamples, seed):
    drawn = draw_images(images, resamples, seed)
    assert drawn.shape == (resamples, images)
    assert (drawn.sum(1) == images).all()
    assert (drawn >= 0).all()


@given(some.integers(2, 6))
def test_drawn_seeds_vary_as_student_says(runs):
    values = np.arange(runs) ** 1.5
    names = [f"run {seed}" for seed in range(runs)]
    means = draw_seeds(names, 20000, 1) @ values
    wider = student(2 * (runs - 1)) / 1.96
    assert means.mean() == pytest.approx(values.mean(), abs=0.03 * np.ptp(values))
    assert means.std() == pytest.approx(wider * values.std(ddof=1) / np.sqrt(runs), rel=0.03)
    assert np.array_equal(draw_seeds(names, 9, 0), draw_seeds(names, 9, 0))
    assert not np.array_equal(draw_seeds(names, 9, 0), draw_seeds(names[::-1], 9, 0))
    assert (draw_seeds(["alone"], 9, 0) == 1).all()


@pytest.mark.parametrize(("freedom", "quantile"), [(2, 4.303), (4, 2.776), (20, 2.086), (60, 2.000), (1000, 1.962)])
def test_students_quantile(freedom, quantile):
    assert student(freedom) == pytest.approx(quantile, abs=0.01)


def test_two_thousand_resamples_take_less_than_a_second():
    """Ten rows of three seeds, six conditions, two hundred images."""
    random = np.random.default_rng(0)
    truths = random.integers(10, 300, 200)
    rates = {name: np.full(200, 0.8) for name in ("a+b", "a", "b", "a+b~low", "a+b~mid", "a+b~high")}
    groups = {f"r{row}": [evaluation(rates, truths, seed=s, random=random) for s in range(3)] for row in range(10)}
    started = time.process_time()
    compare(groups)
    assert time.process_time() - started < 2.0  # 0.4 s on a quiet core
