"""CSK-Net behind the seam: sensors, scenarios, names, and what each switch of the recipe changes."""

import dataclasses

import pytest
import torch
from torch import nn

from dis2_edge.errors import CheckpointError, RecipeError
from dis2_edge.recipe import Recipe
from dis2_edge.sensors import Sensor
from dis2_train import checkpoint, networks
from dis2_train.networks.csknet.network import optical_sensor
from dis2_train.networks.deeplab.plan import units_of
from tests.train.networks.csk_pairs import HEAT, RECIPE, RGB, TASK, built, frames, target, taught

SAR = Sensor("sar", "radar", 2, "float32", "decibel", -40, 20)
NIR = Sensor("nir", "optical", 1, "uint8", "DN", 0, 255)
FULL = TASK.full


def task_of(*sensors):
    return dataclasses.replace(TASK, sensors=sensors)


@pytest.mark.parametrize("sensors", [(RGB,), (RGB, HEAT, SAR)])
def test_fewer_and_more_than_two_sensors_are_refused(sensors):
    with pytest.raises(RecipeError, match=rf"two-sensor network, and this task has {len(sensors)}: rgb.*name two"):
        networks.build(RECIPE, task_of(*sensors))


def test_the_teacher_sees_the_one_optical_sensor_or_the_one_that_is_named():
    assert optical_sensor(RECIPE, TASK) == "rgb"
    assert optical_sensor(RECIPE, task_of(HEAT, RGB)) == "rgb"
    named = dataclasses.replace(RECIPE, optical="sar")
    assert optical_sensor(named, task_of(HEAT, SAR)) == "sar"


def test_an_unclear_or_unknown_optical_sensor_is_refused_with_its_mend():
    with pytest.raises(RecipeError, match=r"heat \(thermal\), sar \(radar\) 0 are optical.*--set optical=heat"):
        networks.build(RECIPE, task_of(HEAT, SAR))
    with pytest.raises(RecipeError, match=r"rgb \(optical\), nir \(optical\) 2 are optical.*--set optical=rgb"):
        networks.build(RECIPE, task_of(RGB, NIR))
    with pytest.raises(RecipeError, match=r"unknown sensor 'rbg'.*rgb"):
        networks.build(dataclasses.replace(RECIPE, optical="rbg"), TASK)


def test_an_unknown_scenario_is_refused():
    with pytest.raises(RecipeError, match=r"unknown scenario 'heat\+rgb'"):
        built()(frames(), "heat+rgb")


@pytest.mark.parametrize("changes", [{"scenario_share": (0.4, 0.6)}, {"scenario_sampling": "worst"}])
def test_shares_of_scenarios_that_nobody_draws_are_refused(changes):
    for kept in ({}, {"norms": "sensor", "every_scenario": False}):
        with pytest.raises(RecipeError, match=rf"{next(iter(changes))} has nothing to say.*every_scenario=false"):
            networks.build(dataclasses.replace(RECIPE, **changes, **kept), TASK)
    drawn = networks.build(dataclasses.replace(RECIPE, **changes, every_scenario=False), TASK)
    teacher = drawn.taught_by()
    assert (teacher.scenario_share, teacher.scenario_sampling) == ((), "fixed")


@pytest.mark.parametrize("key", ["channel_exchange", "strip_exchange"])
def test_stages_that_have_no_exchange_are_refused(key):
    for stages in ((1,), (5,), (3, 3)):
        with pytest.raises(RecipeError, match=key):
            dataclasses.replace(RECIPE, **{key: stages})


def test_a_share_of_more_than_all_is_refused():
    with pytest.raises(RecipeError, match=r"contrast_share is 1.5.*at most 1"):
        dataclasses.replace(RECIPE, contrast_share=1.5)


@pytest.mark.parametrize("grid", [(40, 48), (16, 30)])
def test_a_grid_that_cannot_be_halved_four_times_is_refused(grid):
    with pytest.raises(RecipeError, match="multiples of 16"):
        networks.build(RECIPE, dataclasses.replace(TASK, grid=grid))


@pytest.mark.parametrize("stride", [8, 16])
@pytest.mark.parametrize("scenario", TASK.scenarios)
def test_what_flies_answers_as_the_network_with_taps_and_names_that_are_real(scenario, stride):
    network = built(output_stride=stride)
    taps, given = network.tap_names(scenario), frames()
    flown = network.deployable(scenario, taps).eval()
    names = scenario.split("+")
    with torch.no_grad():
        logits, *found = flown(*(given[name] for name in names))
        expected = network({name: given[name] for name in names}, scenario, taps)  # the other is not there
    assert logits.shape == (2, 3, *TASK.grid)
    assert torch.allclose(logits, expected.logits, atol=1e-5)
    assert all(torch.allclose(a, expected.taps[name], atol=1e-5) for a, name in zip(found, taps, strict=True))
    named = dict(flown.named_modules())
    assert set(network.blocks(scenario)) <= set(named)
    assert len(set(network.blocks(scenario))) == len(network.blocks(scenario))


def test_taps_have_one_shape_in_every_scenario():
    network = built()
    with torch.no_grad():
        shapes = [
            {name: tap.shape for name, tap in network(frames(), s, network.tap_names(s)).taps.items()}
            for s in TASK.scenarios
        ]
    assert shapes[0] == shapes[1] == shapes[2]


def test_a_lone_sensor_hears_nothing_of_the_other_and_both_hear_both():
    network, given = built(), frames()
    moved = {**given, "heat": given["heat"] + 1}
    with torch.no_grad():
        assert torch.equal(network(given, "rgb").logits, network(moved, "rgb").logits)
        assert not torch.allclose(network(given, FULL).logits, network(moved, FULL).logits)


def shapes_of(network):
    """Name and shape of all that is trained, but what only training has."""
    return {name: tuple(p.shape) for name, p in network.named_parameters() if not name.startswith("lesson")}


def answers(network):
    with torch.no_grad():
        return {scenario: network(frames(), scenario).logits for scenario in TASK.scenarios}


ONLY_FULL = {FULL}
SAME_WEIGHTS = [
    ({"norms": "sensor", "channel_exchange": ()}, {"norms": "sensor"}, ONLY_FULL),
    ({"norms": "sensor", "strip_exchange": ()}, {"norms": "sensor"}, ONLY_FULL),
    ({"strip_exchange": (2, 3)}, {}, ONLY_FULL),
    ({"exchange_threshold": 0.0}, {}, ONLY_FULL),
    ({"exchange_pressure": 0.1}, {}, set()),
    ({"texture_weight": 0.0}, {}, set()),
    ({"texture": "gradient", "texture_into": "both"}, {}, set()),
    ({"contrast_weight": 0.0, "contrast_temperature": 0.5, "contrast_share": 0.5}, {}, set()),
    ({"every_scenario": False}, {}, set()),
    ({"pyramid_rates": (1, 2, 3)}, {}, set(TASK.scenarios)),
]


@pytest.mark.parametrize(("changes", "base", "moved"), SAME_WEIGHTS, ids=[str(row[0]) for row in SAME_WEIGHTS])
def test_a_switch_moves_the_answers_of_these_scenarios_and_no_weight(changes, base, moved):
    one, other = built(**base), built(**{**base, **changes})
    assert shapes_of(one) == shapes_of(other)
    other.load_state_dict(one.state_dict())
    found, asked = answers(other), answers(one)
    assert {scenario for scenario in TASK.scenarios if not torch.equal(found[scenario], asked[scenario])} == moved


def count(network, of=""):
    return sum(p.numel() for name, p in network.named_parameters() if of in name)


def test_convolutions_that_are_not_shared_are_twice_as_many_in_the_encoder_alone():
    shared, apart = built(), built(shared_convs=False)
    assert count(apart, "convs") - count(shared, "convs") == count(shared.encoder, "convs")
    assert count(apart, "norms") == count(shared, "norms")
    lone = [sum(p.numel() for p in network.deployable("heat").parameters()) for network in (shared, apart)]
    assert lone[0] == lone[1]


def test_a_shared_first_convolution_is_the_wider_ones_and_the_rest_is_as_it_was():
    own, shared = built(), built(shared_stem=True)
    assert count(own) - count(shared) == 8 * 1 * 4 * 4
    assert shapes_of(own).keys() - shapes_of(shared).keys() == {"stems.heat.conv.weight"}
    twice = task_of(NIR, HEAT)
    both = built(twice, shared_stem=True)
    assert both.stems["nir"].conv is both.stems["heat"].conv
    given = {**frames(), "nir": frames()["heat"]}
    with torch.no_grad():
        for network, scenario in ((shared, "heat"), (shared, FULL), (both, "nir+heat")):
            flown = network.deployable(scenario).eval()(*(given[name] for name in scenario.split("+")))
            assert torch.allclose(flown, network(given, scenario).logits, atol=1e-5)


def test_a_first_convolution_that_cannot_be_shared_is_refused():
    with pytest.raises(
        RecipeError, match=r"rgb has 3 channels and sar 2.*as many, or one of them 1.*shared_stem=false"
    ):
        networks.build(dataclasses.replace(RECIPE, shared_stem=True), task_of(SAR, RGB))


def test_batch_norms_are_apart_by_sensor_and_scenario_by_sensor_or_by_scenario():
    ours, published, one = (built(norms=norms) for norms in ("scenario", "sensor", "shared"))
    widths = {"early": 3 * 16, "mixed": 5 * 32 + 3 * 64}
    decoder = 6 * 32
    assert count(published.encoder, "norms") == 2 * 2 * (widths["early"] + widths["mixed"])
    assert count(ours, "norms") - count(published, "norms") == 2 * 2 * (widths["mixed"] + decoder)
    assert count(ours.encoder, "norms") == 2 * count(one.encoder, "norms")
    assert count(ours.decoders, "norms") == count(one.decoders, "norms")
    assert {name for name in shapes_of(ours) if "norm" not in name} == {
        name for name in shapes_of(one) if "norm" not in name
    }


@pytest.mark.parametrize(
    ("changes", "stages"),
    [
        ({}, {3, 4}),
        ({"strip_exchange": ()}, {3, 4}),
        ({"channel_exchange": (4,), "strip_exchange": ()}, {4}),
        ({"channel_exchange": (), "strip_exchange": (3,)}, {4}),
        ({"channel_exchange": (), "strip_exchange": ()}, set()),
        ({"norms": "sensor"}, set()),
    ],
)
def test_norms_are_apart_behind_the_first_exchange_and_nowhere_else(changes, stages):
    network = built(**changes)
    apart = {name for name, unit in network.encoder.items() if unit.full_norms}
    assert apart == {name for stage in stages for name in units_of(stage)}
    assert all(bool(unit.full_norms) == bool(stages) for d in network.decoders.values() for unit in d.values())


def test_the_fusion_without_gates_has_no_weights_and_the_rest_is_as_it_was():
    gated, plain = shapes_of(built()), shapes_of(built(gated_fusion=False))
    assert {name for name in gated if name not in plain} == {name for name in gated if name.startswith("fusion")}
    assert all(gated[name] == shape for name, shape in plain.items())


TERMS = {"full", "heads", "rgb", "heat", "texture", "contrast", "pressure"}
LESS = [
    ({}, set()),
    ({"norms": "shared"}, set()),
    ({"norms": "sensor"}, {"rgb", "heat"}),
    ({"every_scenario": False}, {"rgb"}),
    ({"texture_weight": 0.0}, {"texture"}),
    ({"contrast_weight": 0.0}, {"contrast"}),
    ({"channel_exchange": ()}, {"pressure"}),
    ({"strip_exchange": ()}, set()),
]


@pytest.mark.parametrize(("changes", "less"), LESS, ids=[str(row[0]) for row in LESS])
def test_a_switch_takes_away_its_own_terms(changes, less):
    network = taught(contrast_trusts="labels", **changes)
    found = network.losses(frames(), target(), "heat", 0.5)
    assert set(found) == TERMS - less
    assert all(term.isfinite() and term > 0 for term in found.values())
    sum(found.values()).backward()
    assert any(p.grad is not None for p in network.lesson.parameters()) == ("contrast" not in less)


def test_contrast_takes_no_label_that_the_teacher_contradicts():
    network = taught()
    said = network.lesson._taught(frames()).logits.argmax(dim=1)
    wrong = (said + 1) % len(network.task.classes)
    assert network.losses(frames(), wrong, "heat", 0.5)["contrast"] == 0
    assert network.losses(frames(), said, "heat", 0.5)["contrast"] > 0 or len(said.unique()) == 1


@pytest.mark.parametrize("key", ["texture_weight", "contrast_weight", "exchange_pressure"])
def test_weights_of_terms_are_factors(key):
    term = {"exchange_pressure": "pressure"}.get(key, key.removesuffix("_weight"))
    found = []
    for factor in (1, 3):
        torch.manual_seed(0)
        network = taught(**{key: factor * getattr(RECIPE, key)})
        found.append(network.losses(frames(), target(), "heat", 0.5)[term].item())
    assert found[1] == pytest.approx(3 * found[0], rel=1e-4)


def test_texture_without_a_teacher_is_refused_and_without_texture_there_is_none():
    with pytest.raises(CheckpointError, match="no optical teacher yet"):
        built().train().losses(frames(), target(), "heat", 0.5)
    assert built(texture_weight=0.0).taught_by() is None


def test_the_teacher_is_deeplab_on_the_optical_sensor_and_no_part_of_the_student():
    network = built()
    recipe = network.taught_by()
    assert (recipe.network, recipe.sensors, recipe.grid) == ("deeplabv3", ("rgb",), TASK.grid)
    before = set(network.state_dict())
    teacher = networks.build(recipe, task_of(RGB))
    network.learn_from(teacher)
    assert network.taught_by() is None
    assert set(network.state_dict()) == before
    assert not any(p.requires_grad or id(p) in set(map(id, network.parameters())) for p in teacher.parameters())
    network.train()
    assert not teacher.training


@pytest.mark.parametrize("seen", [(HEAT,), (NIR,)])
def test_a_teacher_of_another_sensor_is_refused(seen):
    recipe = Recipe(network="deeplabv3", width=0.25)
    with pytest.raises(CheckpointError, match=f"the teacher does not fit: it sees {seen[0].name}"):
        built().learn_from(networks.build(recipe, task_of(*seen)))


@pytest.mark.parametrize("changes", [{}, {"norms": "shared"}, {"shared_stem": True}], ids=str)
def test_a_run_comes_back_as_it_was(tmp_path, changes):
    network = built(**changes)
    metrics = {"split": "test", "images": 0, "scenarios": {}}
    recipe = dataclasses.replace(RECIPE, **changes)
    checkpoint.save(tmp_path / "run", network, recipe=recipe, statistics=(), metrics=metrics)
    again = checkpoint.load(tmp_path / "run").network.eval()
    assert all(torch.equal(logits, answers(again)[name]) for name, logits in answers(network).items())
    assert not any(isinstance(module, nn.Module) and "teacher" in name for name, module in again.named_modules())
