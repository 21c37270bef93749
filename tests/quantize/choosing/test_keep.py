"""keep_float: names of blocks, in every scenario or in one, and what it says of names that it does not know."""

import pytest
from small import RECIPE, TWO

from dis2_edge.errors import RecipeError
from dis2_edge.recipe import Recipe
from dis2_quantize.choosing.keep import entry_of, kept_blocks
from dis2_train import networks

STAGE = "inner.branch.decoder.stage3"


@pytest.fixture(scope="module")
def network():
    return networks.build(Recipe(width=0.25), TWO)


def test_a_name_holds_in_every_scenario_and_with_a_scenario_in_that_one(network):
    kept = kept_blocks(["inner.second", STAGE, entry_of("rgb", "inner.first")], network)
    assert kept["rgb"] == ("inner.first", "inner.second", STAGE)
    assert kept["ndsm"] == kept["rgb+ndsm"] == ("inner.second", STAGE)
    assert kept_blocks((), network) == dict.fromkeys(TWO.scenarios, ())


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("inner.branch.decoder.stage4", "did you mean 'inner.branch.decoder.stage"),
        ("rgb:inner.frist", "of rgb; did you mean 'inner.first'"),
        ("rgb+nsdm:inner.first", "unknown scenario 'rgb+nsdm'.*did you mean 'rgb\\+ndsm'"),
        ("", "unknown block ''"),
    ],
)
def test_an_unknown_name_is_told_with_the_nearest(network, entry, told):
    with pytest.raises(RecipeError, match=told):
        kept_blocks([entry], network)


def test_a_scenario_without_an_integer_is_refused(network):
    with pytest.raises(RecipeError, match=r"no block of ndsm in INT8.*fp32"):
        kept_blocks([entry_of("ndsm", block) for block in network.blocks("ndsm")], network)


def test_an_entry_stands_once():
    with pytest.raises(RecipeError, match="each entry once"):
        Recipe(**{**vars(RECIPE), "keep_float": ("a", "a")})
