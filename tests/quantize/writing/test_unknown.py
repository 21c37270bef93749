"""An operator that the exporter does not know: it and its module are named in one line; the rest stays our fault."""

import pytest
import torch
from small import TWO
from torch import nn

from dis2_edge.errors import ExportError, InternalError
from dis2_quantize.rounding import placement
from dis2_quantize.writing.export import export
from dis2_train.networks.blocks import ConvUnit


class Odd(nn.Module):
    def forward(self, x):
        return torch.special.bessel_j0(x)


class Own(nn.Module):
    """A network of a user's own: an odd module within, or an odd call of its own."""

    def __init__(self, within):
        super().__init__()
        self.within = within
        self.body = nn.ModuleDict({"stem": ConvUnit(3, 3), "odd": Odd()})

    def forward(self, x):
        x = self.body["stem"](x)
        return self.body["odd"](x) if self.within else torch.special.bessel_j0(x)


@pytest.mark.parametrize(("within", "module"), [(True, "body.odd"), (False, "its own forward")])
def test_operator_and_module_are_named_and_nothing_else_is_printed(tmp_path, capfd, within, module):
    with pytest.raises(ExportError) as told:
        export(placement.trace(Own(within)), TWO, "rgb", tmp_path / "m.onnx", {})
    assert str(told.value).startswith(f"the network uses the operator aten::special_bessel_j0 in {module}, which")
    assert "".join(capfd.readouterr()) == ""
    assert not list(tmp_path.iterdir())


def test_another_fault_of_the_export_is_ours(tmp_path):
    class Broken(nn.Module):
        def forward(self, x):
            return x.reshape(7, 11, 13)

    with pytest.raises(InternalError, match="exported"):
        export(torch.fx.symbolic_trace(Broken()), TWO, "rgb", tmp_path / "m.onnx", {})
    assert not list(tmp_path.iterdir())
