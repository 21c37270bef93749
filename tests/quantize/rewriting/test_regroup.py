"""Regrouping early gives the same values and leaves alone what is not its pattern."""

import pytest
import torch
from small import TWO, frames_of
from torch import nn

from dis2_quantize.rewriting.regroup import regroup_early, repeated
from dis2_quantize.rounding.placement import UnitTracer
from dis2_train.networks.blocks import Add, ConvUnit, Enlarge, Regroup


class Joined(nn.Module):
    """K maps enlarged, one map for all added, side by side; `seen` also hands out what stands in between."""

    def __init__(self, seen: str = "") -> None:
        super().__init__()
        self.lateral, self.enlarge, self.join, self.gather = ConvUnit(6, 4, act=False), Enlarge(2), Add(), Regroup(3)
        self.seen = seen

    def forward(self, x, fused):
        large = self.enlarge(x)
        joined = self.join(large, self.lateral(fused))
        out = self.gather(joined)
        return (out, large) if self.seen == "enlarge" else (out, joined) if self.seen == "join" else out


def traced(module: nn.Module) -> torch.fx.GraphModule:
    return torch.fx.GraphModule(module, UnitTracer().trace(module))


def lived_in(module: nn.Module) -> nn.Module:
    with torch.no_grad():
        for _ in range(3):
            module(torch.randn(6, 4, 5, 7), torch.randn(2, 6, 10, 14) + 0.5)
    return module.eval()


def order(graph: torch.fx.GraphModule) -> list[str]:
    return [node.name for node in graph.graph.nodes if node.op == "call_module"]


@pytest.mark.parametrize("batch", [1, 2])
def test_the_values_are_the_same_and_regrouping_comes_first(batch):
    module = lived_in(Joined())
    x, fused = torch.randn(3 * batch, 4, 5, 7), torch.randn(batch, 6, 10, 14)
    expected = module(x, fused)
    graph = regroup_early(traced(module))
    assert torch.allclose(graph(x, fused), expected, atol=1e-6)
    names = order(graph)
    assert next(place for place, name in enumerate(names) if "gather" in name) < names.index("enlarge")
    assert graph.lateral.conv.out_channels == 12


@pytest.mark.parametrize("seen", ["enlarge", "join"])
def test_what_somebody_else_reads_is_left_as_it_is(seen):
    module = lived_in(Joined(seen))
    before = order(traced(module))
    assert order(regroup_early(traced(module))) == before


def test_a_repeated_unit_repeats_its_outputs():
    unit = ConvUnit(3, 4, kernel=4, stride=2, act=False)
    unit(torch.randn(4, 3, 16, 16))
    x = torch.randn(1, 3, 16, 16)
    assert torch.allclose(repeated(unit.eval(), 5)(x), unit(x).repeat(1, 5, 1, 1), atol=1e-6)


def test_dis2_is_rewritten_in_every_scenario(lived_in):
    from dis2_quantize.rounding.placement import trace

    network = lived_in("dis2", TWO)
    for scenario in TWO.scenarios:
        graph = trace(network.deployable(scenario))
        wide = graph.get_submodule("inner.branch.decoder.stage1.lateral").conv.out_channels
        assert wide == 4 * len(TWO.classes)
        frames = [frames_of(TWO)[name] for name in scenario.split("+")]
        assert torch.allclose(graph(*frames), network(frames_of(TWO), scenario).logits, atol=1e-5)
