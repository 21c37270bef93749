"""Side heads see each class's own map only, in either memory format."""

import pytest
import torch

from dis2_train.networks.dis2.classwise import SideHeads


@pytest.mark.parametrize("form", [torch.contiguous_format, torch.channels_last])
def test_each_class_is_scored_by_its_own_weights(form):
    torch.manual_seed(0)
    heads = SideHeads(3, (8, 5))
    for bias in heads.biases:
        torch.nn.init.normal_(bias)
    maps = tuple(torch.randn(6, width, 4, 7).to(memory_format=form) for width in (8, 5))
    for found, x, weight, bias in zip(heads(maps), maps, heads.weights, heads.biases, strict=True):
        assert found.shape == (2, 3, 4, 7)
        for place in range(6):
            image, index = divmod(place, 3)
            expected = (x[place] * weight[index][:, None, None]).sum(0) + bias[index]
            torch.testing.assert_close(found[image, index], expected, rtol=1e-5, atol=1e-5)
