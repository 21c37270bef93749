"""Windows cover every pixel, overlap as asked, and their weights never leave a seam."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dis2_edge.errors import UserError
from dis2_train.scenes.blend import Blend
from dis2_train.scenes.coverage import BLOCK, scenarios_in
from dis2_train.scenes.windows import overlap_px, spans, weights


@given(st.integers(1, 3000), st.integers(1, 600), st.data())
def test_windows_cover_all_lie_inside_and_overlap_as_asked(length: int, window: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(0, int(window * 0.75)))
    found = spans(length, window, overlap)
    assert found[0].start == 0
    assert sum(span.own for span in found) == length
    assert found[-1].start + window >= length
    if length <= window:
        assert len(found) == 1
        return
    assert found[-1].start + window == length
    for span, following in itertools.pairwise(found):
        assert following.start == span.start + span.own
        assert span.start + window - following.start >= overlap
    assert (len(found) - 1) * (window - overlap) + overlap < length  # one fewer would not do


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.floats(0, 0.7))
def test_what_every_window_says_alike_is_what_comes_out(height: int, width: int, share: float) -> None:
    window = (32, 24)
    overlap = overlap_px(f"{share:.3f}", window)
    rows, columns = (spans(side, *rest) for side, *rest in zip((height, width), window, overlap, strict=True))
    truth = np.random.default_rng(3).random((3, max(height, 32), max(width, 24))).astype(np.float32)
    blend, done = Blend(3, truth.shape[2], window), []
    for row in rows:
        for column in columns:
            part = truth[:, row.start : row.start + 32, column.start : column.start + 24]
            blend.add(column.start, part, np.ones(window, bool))
        closed, answered = blend.close(row.own)
        assert answered.all()
        done.append(closed)
    np.testing.assert_allclose(np.concatenate(done, 1), truth[:, :height], atol=1e-5)


def test_a_window_fades_out_towards_its_edges() -> None:
    found = weights((32, 48))
    assert found.shape == (32, 48)
    assert found.min() > 0
    assert found.max() <= 1
    assert found[0].max() < 0.01 < 0.99 < found[15:17, 23:25].min()
    np.testing.assert_allclose(found, found[::-1, ::-1], rtol=1e-4)


@pytest.mark.parametrize(("text", "px"), [("0", (0, 0)), ("0.25", (8, 12)), ("0.5", (16, 24)), ("7", (7, 7))])
def test_overlap_is_a_share_or_pixels(text: str, px: tuple[int, int]) -> None:
    assert overlap_px(text, (32, 48)) == px


@pytest.mark.parametrize("text", ["-1", "0.9", "32", "wide", "nan", "inf", ""])
def test_overlap_that_cannot_be_is_told(text: str) -> None:
    with pytest.raises(UserError, match=r"0\.25"):
        overlap_px(text, (32, 48))


SERVED, ORDER = ("rgb+ndsm", "rgb", "ndsm"), ("rgb", "ndsm")


def test_a_sensor_is_missing_in_a_hole_that_holds_a_block() -> None:
    rgb, ndsm = np.ones((2, 40, 70), bool)
    hole = np.zeros((40, 70), bool)
    hole[:35, 16:37] = True  # two whole blocks, and some of those around them
    ndsm[hole] = False
    ndsm[36, 66] = ndsm[20:35, 50:64] = False  # specks: of no whole block
    rgb[39, 69] = ndsm[39, 69] = False  # nothing there
    found = scenarios_in({"rgb": rgb, "ndsm": ndsm}, SERVED, ORDER)
    np.testing.assert_array_equal(found["rgb"], hole)
    np.testing.assert_array_equal(found["rgb+ndsm"], ~hole & rgb)
    assert set(found) == {"rgb", "rgb+ndsm"}
    assert BLOCK == 16


def test_specks_without_any_data_are_answered_on_request() -> None:
    ndsm = np.ones((32, 48), bool)
    ndsm[3, 5] = False
    ndsm[:, 32:] = False
    found = scenarios_in({"ndsm": ndsm}, SERVED, ORDER)
    np.testing.assert_array_equal(found["ndsm"], ndsm)
    found = scenarios_in({"ndsm": ndsm}, SERVED, ORDER, specks=True)
    ndsm[3, 5] = True
    np.testing.assert_array_equal(found["ndsm"], ndsm)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 70), st.integers(1, 70), st.integers(0, 2**32 - 1), st.booleans())
def test_every_pixel_with_data_is_answered_once(height: int, width: int, seed: int, specks: bool) -> None:
    random = np.random.default_rng(seed)
    coarse = random.random((2, -(-height // 20), -(-width // 20))) < 0.6
    there = coarse.repeat(20, 1).repeat(20, 2)[:, :height, :width] & (random.random((2, height, width)) < 0.9)
    valid = {"rgb": there[0], "ndsm": there[1]}
    found = scenarios_in(valid, SERVED, ORDER, specks=specks)
    times = sum((mask.astype(int) for mask in found.values()), np.zeros((height, width), int))
    assert times.max(initial=0) <= 1
    assert (times[there.any(0)] == 1).all()
    assert specks or not times[~there.any(0)].any()


def test_what_no_served_scenario_can_answer_stays_open() -> None:
    rgb, ndsm = np.ones((2, 32, 32), bool)
    ndsm[:16] = False
    found = scenarios_in({"rgb": rgb, "ndsm": ndsm}, ("rgb+ndsm",), ORDER)
    assert set(found) == {"rgb+ndsm"}
    assert not found["rgb+ndsm"][:16].any()
    assert found["rgb+ndsm"][16:].all()
