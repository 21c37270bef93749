"""Shares, bytes and times as people read them: whole ranges, dashes for what is not known."""

import pytest

from dis2_edge.quantities import megabytes, percent, span


@pytest.mark.parametrize(
    ("share", "digits", "text"), [(None, 2, "-"), (float("nan"), 2, "-"), (0.98765, 2, "98.77"), (0.5, 1, "50.0")]
)
def test_a_share_is_a_percentage_or_a_dash(share, digits, text):
    assert percent(share, digits) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 kB"), (119_600, "120 kB"), (1_000_000, "1 MB"), (77_372_000_000, "77,372 MB")]
)
def test_bytes_are_told_in_the_unit_that_fits(count, text):
    assert megabytes(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59, "59 s"), (60, "1 min"), (7199, "120 min"), (7200, "2 h"), (172_800, "2 days")],
)
def test_a_time_is_told_in_its_largest_unit(seconds, text):
    assert span(seconds) == text
