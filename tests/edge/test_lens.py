"""Lenses: what they refuse, where they put a point, and how far they reach."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dis2_edge.errors import RecipeError
from dis2_edge.lens import Lens

STRAIGHT = {"fx": 100.0, "fy": 110.0, "cx": 50.0, "cy": 40.0}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"fx": 0.0}, "fx 0.0, fy 110.0; expected finite numbers, fx and fy above 0"),
        ({"cx": math.nan}, "cx nan"),
        ({"k1": math.inf}, "k1 inf"),
        ({"k4": 0.1}, "k4 in a brown model"),
        ({"model": "fisheye", "p2": 0.1}, "p2 in a fisheye model"),
    ],
)
def test_a_lens_that_cannot_be(keys, message) -> None:
    with pytest.raises(RecipeError, match=message):
        Lens(**{**STRAIGHT, **keys})


@given(st.floats(-200, 200), st.floats(-200, 200))
def test_without_coefficients_nothing_moves(x: float, y: float) -> None:
    along, across, seen = Lens(**STRAIGHT).distort(np.array([x]), np.array([y]))
    assert (along[0], across[0]) == pytest.approx((x, y))
    assert seen.all()


def test_brown_follows_the_published_equations() -> None:
    lens = Lens(**STRAIGHT, k1=-0.2, k2=0.05, p1=0.01, p2=-0.02, k3=0.003)
    x, y = 0.3, -0.2
    s = x * x + y * y
    radial = 1 - 0.2 * s + 0.05 * s**2 + 0.003 * s**3
    expected = (
        x * radial + 2 * 0.01 * x * y - 0.02 * (s + 2 * x * x),
        y * radial + 0.01 * (s + 2 * y * y) + 2 * -0.02 * x * y,
    )
    along, across, _ = lens.distort(np.array([50 + 30.0]), np.array([40 - 22.0]))
    assert (along[0], across[0]) == pytest.approx((50 + 100 * expected[0], 40 + 110 * expected[1]))


def test_a_fisheye_maps_the_angle_to_the_radius() -> None:
    lens = Lens(**STRAIGHT, model="fisheye", k1=0.1)
    angle = math.radians(60)
    along, across, seen = lens.distort(np.array([50 + 100 * math.tan(angle), 50.0]), np.array([40.0, 40.0]))
    assert along == pytest.approx([50 + 100 * angle * (1 + 0.1 * angle**2), 50.0])
    assert across == pytest.approx([40.0, 40.0])
    assert seen.all()


def test_what_lies_past_the_turn_of_the_polynomial_is_not_seen() -> None:
    lens = Lens(**STRAIGHT, k1=-0.3)  # r (1 - 0.3 r^2) turns at r = 1.054
    along, _, seen = lens.distort(np.array([50.0, 150.0, 160.0, 230.0]), np.full(4, 40.0))
    assert seen.tolist() == [True, True, False, False]
    assert along[3] < along[1]  # folded back into the picture


def test_opencv_agrees() -> None:
    cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")
    lens = Lens(**STRAIGHT, k1=-0.2, k2=0.05, p1=0.01, p2=-0.02, k3=0.003)
    matrix = np.array([[lens.fx, 0, lens.cx], [0, lens.fy, lens.cy], [0, 0, 1]])
    coefficients = np.array([lens.k1, lens.k2, lens.p1, lens.p2, lens.k3])
    columns, rows = cv2.initUndistortRectifyMap(matrix, coefficients, None, matrix, (90, 70), cv2.CV_32FC1)
    y, x = np.mgrid[:70, :90].astype(np.float64)
    along, across, _ = lens.distort(x, y)
    np.testing.assert_allclose(along, columns, atol=1e-3)
    np.testing.assert_allclose(across, rows, atol=1e-3)


@given(st.tuples(*[st.floats(-1e300, 1e300)] * 3), st.sampled_from(["brown", "fisheye"]))
def test_no_coefficient_is_too_small_or_too_large(radial, model) -> None:
    lens = Lens(**STRAIGHT, model=model, k1=radial[0], k2=radial[1], k3=radial[2])
    with np.errstate(all="ignore"):
        _, _, seen = lens.distort(np.array([50.0]), np.array([40.0]))
    assert seen.all() or max(map(abs, radial)) > 1e9
