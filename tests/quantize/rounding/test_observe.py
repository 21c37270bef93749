"""Observers: ranges from what was seen."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dis2_quantize.rounding.observe import Observer, least_divergence

RULES = ("minmax", "percentile", "mse", "entropy")


@pytest.mark.parametrize("rule", RULES)
@given(values=st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=50), parts=st.integers(1, 4))
def test_a_range_ends_within_what_was_seen_however_it_came_in_parts(rule, values, parts):
    observer = Observer(rule)
    for part in np.array_split(np.array(values, np.float32), min(parts, len(values))):
        observer.see(torch.from_numpy(part))
    largest = max(map(abs, values))
    end = observer.largest(255)
    assert end > 0
    assert end <= max(largest * 1.01, 1e-30) or largest == 0
    assert observer.low == pytest.approx(min(values))


def test_minmax_reaches_the_largest_value_and_percentile_leaves_the_outlier_out():
    values = torch.cat([torch.rand(200_000), torch.tensor([100.0])])
    ends = {}
    for rule in RULES:
        observer = Observer(rule)
        observer.see(values)
        ends[rule] = observer.largest(255)
    assert ends["minmax"] == pytest.approx(100, rel=0.01)
    assert ends["percentile"] < 2


def test_mse_takes_the_end_that_rounds_best():
    values = torch.randn(100_000, generator=torch.Generator().manual_seed(0)).abs()
    values[0] = 40.0
    observer = Observer("mse")
    observer.see(values)

    def error(end: float) -> float:
        rounded = torch.fake_quantize_per_tensor_affine(values, end / 255, 0, 0, 255)
        return float((rounded - values).square().mean())

    found = observer.largest(255)
    assert found < 40
    assert error(found) <= 1.1 * min(error(end) for end in np.linspace(2, 40, 60))


def plain_divergence(counts: np.ndarray, kept: int, levels: int) -> float:
    """The same, step by step: the truth with all beyond in its last bin, each group's mass over its filled bins."""
    truth, groups = counts[:kept].copy(), np.zeros(kept)
    truth[-1] += counts[kept:].sum()
    edges = [level * kept // levels for level in range(levels + 1)]
    for first, end in itertools.pairwise(edges):
        filled = truth[first:end] > 0
        if filled.any():
            groups[first:end] = filled * counts[first:end].sum() / filled.sum()
    there = truth > 0
    if (groups[there] == 0).any():
        return float("inf")
    truth, groups = truth[there] / truth.sum(), groups[there] / groups.sum()
    return float((truth * np.log(truth / groups)).sum())


@given(seed=st.integers(0, 1000), bins=st.integers(4, 60), levels=st.integers(2, 20), empty=st.floats(0, 0.8))
def test_entropy_finds_what_trying_every_cut_finds(seed, bins, levels, empty):
    random = np.random.default_rng(seed)
    counts = random.integers(1, 1000, bins) * (random.random(bins) >= empty) * np.linspace(1, 0.01, bins)
    counts[-1] = 1.0
    found = least_divergence(torch.from_numpy(counts), levels)
    assert levels <= found <= bins or found == bins < levels
    counts[0] = counts[1]
    cuts = {cut: plain_divergence(counts, cut, levels) for cut in range(levels, bins + 1)}
    assert not cuts or cuts[found] == pytest.approx(min(cuts.values()), abs=1e-9)


def test_entropy_leaves_an_outlier_out_and_cuts_nothing_off_an_even_histogram():
    observer = Observer("entropy")
    observer.see(torch.cat([torch.randn(200_000, generator=torch.Generator().manual_seed(0)), torch.tensor([40.0])]))
    assert 3 < observer.largest(127) < 8
    even = Observer("entropy")
    even.see(torch.linspace(0, 1, 100_000))
    assert even.largest(255) == pytest.approx(1.0, rel=1e-3)


def test_to_entropy_exact_zeros_say_nothing():
    values = torch.randn(50_000, generator=torch.Generator().manual_seed(0)).abs()
    ends = []
    for zeros in (0, 500_000):
        observer = Observer("entropy")
        observer.see(torch.cat([values, torch.zeros(zeros)]))
        ends.append(observer.largest(255))
    assert ends[0] == pytest.approx(ends[1])


def test_nothing_seen_is_told():
    assert not Observer("mse").seen
