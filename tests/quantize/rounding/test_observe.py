"""Observers: ranges from what was seen."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dis2_quantize.rounding.observe import Observer

RULES = ("minmax", "percentile", "mse")


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


def test_nothing_seen_is_told():
    assert not Observer("mse").seen
