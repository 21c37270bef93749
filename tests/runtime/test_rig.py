"""Rigs: what differs on one aircraft, and what cannot be meant."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_bundle import NDSM, RGB, task_of

from dis2_edge.bundle import Policy
from dis2_edge.errors import RecipeError
from dis2_edge.images import write_png
from dis2_edge.lens import Lens
from dis2_runtime.clock import RunClock
from dis2_runtime.fly import Flight, sources_of
from dis2_runtime.rig import Rig, load

TASK = task_of(RGB, NDSM)


def rig(tmp_path, text: str) -> Rig:
    (tmp_path / "rig.toml").write_text(text)
    return load(tmp_path / "rig.toml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sensors = 3", "sensors is 3; expected a table"),
        ("[sensor.rgb]\nsource = 'x'", "unknown key 'sensor'; did you mean 'sensors'"),
        ("[sensors.rgb]\nsorce = 'x'", "unknown key 'sorce'; did you mean 'source'"),
        ("[sensors.rgb]\nfit = 'stretch'", "fit is 'stretch'; expected 'resize' or 'crop' or 'tile'"),
        ("[sensors.rgb]\noffset_ms = inf", "offset_ms is inf"),
        ("[sensors.rgb.lens]\nfx = 1", "lens: missing fy, cx, cy"),
        ("[sensors.rgb.lens]\nfx = 1\nfy = 1\ncx = 1\ncy = 1\nk9 = 1", "unknown key 'k9'"),
        ("[policy]\nrate = 5", "unknown key 'rate'; did you mean 'rate_hz'"),
        ("sinks = ['mp4']", "sinks is 'mp4'"),
        ("[policy", "not readable TOML"),
    ],
)
def test_wrong_rig_is_refused(tmp_path, text, message) -> None:
    with pytest.raises(RecipeError, match=message):
        rig(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[sensors.rbg]\nsource = 'x'", "unknown sensor 'rbg'; did you mean 'rgb'"),
        ("[sensors.rgb]\nto_grid = [1, 0, 0]", "to_grid"),
        ("[sensors.rgb]\nrate_hz = 0", "rate_hz 0"),
        ("[sensors.rgb]\nrate_hz = inf", "rate_hz inf"),
        ("[sensors.rgb]\nrate_hz = nan", "rate_hz nan"),
        ("[sensors.rgb]\nmax_age_ms = inf", "max_age_ms inf"),
    ],
)
def test_rig_that_does_not_fit_the_bundle_is_refused(tmp_path, text, message) -> None:
    with pytest.raises(RecipeError, match=message):
        rig(tmp_path, text).task(TASK)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("anchor = 'nadsm'", "unknown sensor 'nadsm'; did you mean 'ndsm'"),
        ("rate_hz = 0", "expected rate_hz above 0"),
        ("return_after = 0", "return_after 1 or more"),
        ("hold_ms = -1", "hold_ms 0 or more"),
    ],
)
def test_policy_out_of_range_is_refused(tmp_path, text, message) -> None:
    with pytest.raises(RecipeError, match=message):
        rig(tmp_path, f"[policy]\n{text}").policy_over(Policy(), TASK)


def test_rig_changes_what_it_says_and_nothing_else(tmp_path) -> None:
    found = rig(
        tmp_path,
        """
        sinks = ["telemetry"]
        [sensors.rgb]
        source = "folder:pictures"
        size = [48, 64]
        fit = "crop"
        rate_hz = 25
        max_age_ms = 90
        offset_ms = -12.5
        [policy]
        anchor = "rgb"
        hold_ms = 0
        """,
    )
    rgb, ndsm = found.task(TASK).sensors
    assert (rgb.size, rgb.fit, rgb.rate_hz, rgb.max_age_ms) == ((48, 64), "crop", 25.0, 90.0)
    assert (rgb.mean, rgb.to_grid) == (RGB.mean, RGB.to_grid)
    assert ndsm == NDSM
    assert found.policy_over(Policy(rate_hz=7, return_after=5), TASK) == Policy("rgb", 7, 5, 0)
    assert found.sinks == ("telemetry",)
    assert (found.base, found.sensors["rgb"].source, found.sensors["rgb"].offset_ms) == (
        tmp_path,
        "folder:pictures",
        -12.5,
    )


def test_rig_gives_a_lens(tmp_path) -> None:
    text = "[sensors.rgb.lens]\nfx = 500\nfy = 510\ncx = 320\ncy = 240\nk1 = -0.2"
    assert rig(tmp_path, text).task(TASK).sensor("rgb").lens == Lens(500, 510, 320, 240, k1=-0.2)


def test_empty_rig_changes_nothing(tmp_path) -> None:
    assert rig(tmp_path, "").task(TASK) == TASK
    assert rig(tmp_path, "").policy_over(Policy(), TASK) == Policy()


def test_flag_changes_a_key_of_a_rig_or_of_none(tmp_path) -> None:
    path = tmp_path / "rig.toml"
    path.write_text("[sensors.rgb]\nmax_age_ms = 90\n[policy]\nhold_ms = 5\n")
    changed = load(path, ["sensors.rgb.max_age_ms=300", "policy.max_skew_ms=50", "sensors.ndsm.source=folder:x"])
    assert (changed.sensors["rgb"].max_age_ms, changed.sensors["ndsm"].source) == (300, "folder:x")
    assert (changed.policy.max_skew_ms, changed.policy.hold_ms) == (50, 5)
    assert load(None, ["policy.anchor=rgb"]).policy.anchor == "rgb"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("policy.max_skew_ms", "expected a rig's key and a value"),
        ("=5", "expected a rig's key"),
        ("policy.max_skw_ms=5", "max_skew_ms"),
        ("sinks.png=1", "sinks is no table|a list"),
        ("policy.hold_ms=long", "a value of type float"),
    ],
)
def test_flag_that_says_nothing_is_refused(tmp_path, override, message) -> None:
    path = tmp_path / "rig.toml"
    path.write_text('sinks = ["png"]\n')
    with pytest.raises(RecipeError, match=message):
        load(path, [override])


@pytest.mark.parametrize("inverted", [False, True])
def test_a_sensor_that_is_said_to_be_inverted_is_turned_before_all_else(tmp_path, inverted: bool) -> None:
    pixels = np.arange(12 * 16 * 3, dtype=np.uint8).reshape(12, 16, 3)
    write_png(tmp_path / "rgb" / "0.png", pixels)
    found = rig(tmp_path, f'[sensors.rgb]\nsource = "folder:rgb"\ninverted = {str(inverted).lower()}')
    source = sources_of(Flight(rig=found, speed="max"), TASK, RunClock(), None)["rgb"]
    source.open()
    delivery = source.next()
    assert delivery is not None
    assert delivery.frame is not None
    np.testing.assert_array_equal(delivery.frame.pixels, 255 - pixels if inverted else pixels)
