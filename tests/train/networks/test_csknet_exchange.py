"""Channel and strip exchange: what is pressed, what is given up, what flies of it."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from dis2_train.networks.blocks import Strips
from dis2_train.networks.csknet.branches import frozen_encoder
from dis2_train.networks.csknet.exchange import Frozen, FrozenExchange, LiveExchange, given_up, halves, pressure
from dis2_train.networks.deeplab.encoder import Encoder
from tests.train.networks.csk_pairs import RECIPE, TASK, built, frames

SITE = "inner3_1"


def norms_of(first, second):
    """Two batch norms of these scales."""
    pair = []
    for scales in (first, second):
        norm = nn.BatchNorm2d(len(scales))
        norm.weight.data = torch.tensor(scales)
        pair.append(norm)
    return pair


def maps_of(channels, seed=0, width=5):
    random = np.random.default_rng(seed)
    return [random.normal(size=(2, channels, 3, width)).astype(np.float32) for _ in range(2)]


def exchanged_by_hand(maps, scales, threshold):
    """Equation 6 of Channel Exchanging Networks, channel after channel, in complementary halves."""
    out, channels = [m.copy() for m in maps], len(scales[0])
    for c in range(channels):
        if c >= channels // 2 and abs(scales[0][c]) < threshold:
            out[0][:, c] = maps[1][:, c]
        if c < channels // 2 and abs(scales[1][c]) < threshold:
            out[1][:, c] = maps[0][:, c]
    return out


FIRST, SECOND = [0.0, 0.01, 1.0, -0.01, 0.02, -3.0], [0.5, -0.001, 0.0199, 0.0, 0.0, 0.0]


def test_channels_of_a_small_scale_are_the_other_sensors_in_the_half_that_may_be_given_up():
    maps = maps_of(6)
    live = LiveExchange({SITE: norms_of(FIRST, SECOND)}, 0.02, ())
    found = live.channels(SITE, [torch.from_numpy(m) for m in maps])
    expected = exchanged_by_hand(maps, (FIRST, SECOND), 0.02)
    assert all(np.array_equal(a.numpy(), b) for a, b in zip(found, expected, strict=True))
    first, second = given_up(norms_of(FIRST, SECOND), 0.02)
    assert torch.where(first)[0].tolist() == [3]  # 0.02 is not below itself; 0 and 1 are in the half it must keep
    assert torch.where(second)[0].tolist() == [1, 2]


def test_no_channel_is_given_up_by_both_and_an_odd_one_in_the_middle_has_one_owner():
    for channels in (6, 7):
        nothing = [0.0] * channels
        first, second = given_up(norms_of(nothing, nothing), 0.02)
        assert not (first & second).any()
        assert (first | second).all()
        a, b = halves(channels)
        assert len(range(channels)[a]) + len(range(channels)[b]) == channels


def test_elsewhere_and_with_a_threshold_of_0_maps_stay_as_they_are():
    maps = [torch.from_numpy(m) for m in maps_of(6)]
    live = LiveExchange({SITE: norms_of(FIRST, SECOND)}, 0.02, ())
    assert live.channels("inner4_1", maps) is maps
    none = LiveExchange({SITE: norms_of(FIRST, SECOND)}, 0.0, ()).channels(SITE, maps)
    assert all(torch.equal(a, b) for a, b in zip(none, maps, strict=True))


def test_no_gradient_comes_back_to_a_channel_that_was_given_up_and_twice_to_the_one_that_stands_in():
    maps = [torch.from_numpy(m).requires_grad_() for m in maps_of(6)]
    live = LiveExchange({SITE: norms_of(FIRST, SECOND)}, 0.02, ())
    sum(m.sum() for m in live.channels(SITE, maps)).backward()
    assert maps[0].grad[0, :, 0, 0].tolist() == [1, 2, 2, 0, 1, 1]
    assert maps[1].grad[0, :, 0, 0].tolist() == [1, 0, 0, 2, 1, 1]


def test_pressure_is_the_sum_of_pressed_scales_and_pulls_on_these_alone():
    pairs = {SITE: norms_of(FIRST, SECOND), "inner4_1": norms_of([1.0, -2.0], [3.0, 4.0])}
    found = pressure(pairs)
    assert found.item() == pytest.approx(0.01 + 0.02 + 3.0 + 0.5 + 0.001 + 0.0199 + 2.0 + 3.0)
    found.backward()
    assert pairs[SITE][0].weight.grad.tolist() == [0, 0, 0, -1, 1, -1]
    assert pairs[SITE][1].weight.grad.tolist() == [1, -1, 1, 0, 0, 0]
    assert pairs["inner4_1"][0].weight.grad.tolist() == [0, -1]
    assert pairs["inner4_1"][0].bias.grad is None


@pytest.mark.parametrize("width", [1, 2, 5, 8])
def test_strips_take_even_columns_of_the_other_sensor_for_both(width):
    a, b = maps_of(4, width=width)
    live = LiveExchange({}, 0.02, (2,))
    found = live.strips(2, [torch.from_numpy(a), torch.from_numpy(b)])
    for own, other, mixed in ((a, b, found[0]), (b, a, found[1])):
        expected = own.copy()
        expected[..., ::2] = other[..., ::2]
        assert np.array_equal(mixed.numpy(), expected)
    assert live.strips(3, [a, b]) == [a, b]


def test_strips_read_the_map_that_each_column_is_of():
    even, odd = torch.zeros(1, 1, 1, 6), torch.ones(1, 1, 1, 6)
    assert Strips()(even, odd).flatten().tolist() == [0, 1, 0, 1, 0, 1]


def test_channels_in_order_are_all_channels_and_each_sensor_computes_what_is_read():
    frozen = Frozen.of(norms_of(FIRST, SECOND), 0.02)
    assert sorted(frozen.order) == list(range(6))
    assert (frozen.first, frozen.second) == (1, 2)
    assert set(frozen.kept[0]) == {0, 1, 2, 4, 5}
    assert set(frozen.kept[1]) == {0, 3, 4, 5}


scale = st.sampled_from([0.0, 0.019, -0.019, 0.02, 1.0])


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 9).flatmap(lambda n: st.tuples(*[st.lists(scale, min_size=n, max_size=n)] * 2)), st.booleans())
def test_what_flies_is_the_live_exchange_in_another_order(scales, strips):
    """For any scales, those of which nothing or a whole half is given up among them."""
    pair, channels = norms_of(*scales), len(scales[0])
    maps = [torch.from_numpy(m) for m in maps_of(channels)]
    stages = (2,) if strips else ()
    live, frozen = LiveExchange({SITE: pair}, 0.02, stages), Frozen.of(pair, 0.02)
    flown = FrozenExchange({SITE: frozen}, stages)
    kept = [m[:, list(own)] for m, own in zip(maps, frozen.kept, strict=True)]
    for asked, found in zip(live.channels(SITE, maps), flown.channels(SITE, kept), strict=True):
        assert torch.equal(asked[:, list(frozen.order)], found)
    for asked, found in zip(live.strips(2, maps), flown.strips(2, maps), strict=True):
        assert torch.equal(asked, found)


EXTREMES = {"none": (1.0, 1.0), "first": (0.0, 1.0), "second": (1.0, 0.0), "both": (0.0, 0.0)}


@pytest.mark.parametrize("case", [*EXTREMES, "some"])
@pytest.mark.parametrize("strips", [(), (2,), (2, 3)])
def test_the_network_in_flight_answers_as_the_one_in_training(case, strips):
    network = built(strip_exchange=strips)
    for pair in network.exchanged().values() if case in EXTREMES else ():
        for norm, value in zip(pair, EXTREMES[case], strict=True):
            norm.weight.data.fill_(value)
    given = frames()
    with torch.no_grad():
        flown = network.deployable(TASK.full).eval()(*given.values())
        assert torch.allclose(flown, network(given, TASK.full).logits, atol=1e-5)
    for pair in network.exchanged().values() if case in EXTREMES else ():
        frozen, half = Frozen.of(pair, RECIPE.exchange_threshold), pair[0].num_features // 2
        assert (frozen.first, frozen.second) == tuple(half * (value == 0) for value in EXTREMES[case])


def test_a_channel_that_nobody_reads_is_not_computed_and_the_network_itself_is_left_whole():
    network = built()
    before = copy.deepcopy(network.state_dict())
    gone = sum(sum(map(int, map(torch.sum, given_up(pair, 0.02)))) for pair in network.exchanged().values())
    assert gone > 0
    live, flown = network.both().encoder, network.both(frozen=True).encoder
    outputs = [
        sum(len(unit.conv.weight) for sensor in encoder.sensors for unit in sensor.values())
        for encoder in (live, flown)
    ]
    assert outputs[0] - outputs[1] == gone
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_nothing_is_copied_where_nothing_is_given_up():
    network = built(channel_exchange=())
    assert network.exchanged() == {}
    units = [network._encoder_units(name, full=True) for name in TASK.sensor_names]
    encoder = frozen_encoder(units, {}, 0.02, ())
    assert all(
        a is b
        for cut, own in zip(encoder.sensors, units, strict=True)
        for a, b in zip(cut.values(), own.values(), strict=True)
    )
    assert isinstance(encoder, Encoder)
