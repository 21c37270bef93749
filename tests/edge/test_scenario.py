"""dis2_edge.scenario: names of scenarios for any number of sensors."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dis2_edge.errors import RecipeError
from dis2_edge.scenario import BLIND, all_scenarios, best_served, full_scenario, scenario_of, sensors_of

NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,5}", fullmatch=True).filter(lambda name: name != BLIND)
ORDERS = st.lists(NAMES, min_size=1, max_size=5, unique=True)


@st.composite
def order_and_some(draw: st.DrawFn) -> tuple[list[str], list[str]]:
    order = draw(ORDERS)
    return order, draw(st.lists(st.sampled_from(order), unique=True))


def test_an_unknown_sensor_is_named_with_its_neighbour() -> None:
    with pytest.raises(RecipeError, match="unknown sensor 'rgbb'; did you mean 'rgb'"):
        scenario_of(["rgbb"], ["rgb", "ndsm"])


@given(order_and_some())
def test_a_scenario_tells_its_sensors_in_recipe_order(drawn: tuple[list[str], list[str]]) -> None:
    order, some = drawn
    scenario = scenario_of(some, order)
    assert sensors_of(scenario) == tuple(name for name in order if name in some)
    assert (scenario == BLIND) == (not some)


@given(ORDERS)
def test_all_scenarios_are_every_choice_once_the_full_one_first(order: list[str]) -> None:
    every = all_scenarios(order)
    assert len(set(every)) == len(every) == 2 ** len(order) - 1
    assert every[0] == full_scenario(order)
    sizes = [len(sensors_of(scenario)) for scenario in every]
    assert sizes == sorted(sizes, reverse=True)


@given(order_and_some(), st.data())
def test_the_best_served_needs_only_what_is_there_and_none_that_fits_uses_more(
    drawn: tuple[list[str], list[str]], data: st.DataObject
) -> None:
    order, some = drawn
    served = data.draw(st.lists(st.sampled_from(all_scenarios(order)), unique=True))
    best = best_served(some, served, order)
    fitting = [scenario for scenario in served if set(sensors_of(scenario)) <= set(some)]
    if not fitting:
        assert best == BLIND
    else:
        assert best in fitting
        assert len(sensors_of(best)) == max(len(sensors_of(scenario)) for scenario in fitting)


def test_the_issue_s_own_example() -> None:
    assert all_scenarios(["rgb", "ndsm"]) == ("rgb+ndsm", "rgb", "ndsm")
    assert best_served(["ndsm"], ["rgb+ndsm", "rgb"], ["rgb", "ndsm"]) == BLIND
