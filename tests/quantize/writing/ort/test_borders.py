"""Where integers meet floats: what is cheaper there says what the plain operator says."""

import numpy as np
import pytest
import torch
from torch import nn
from woven import bytes_of, written

from dis2_quantize.writing.ort import borders
from dis2_quantize.writing.ort.operators import Step, to_values
from dis2_quantize.writing.wrap import FrameModel
from dis2_train.networks.blocks import Enlarge, ImageMean

READ = Step(0.05, 3)


def test_a_pointwise_convolution_equals_the_convolution():
    conv, x = nn.Conv2d(8, 3, 1), bytes_of(1, 4, 6, 8)
    expected = conv(to_values(x, READ).float().permute(0, 3, 1, 2))
    pointwise = borders.Pointwise(conv, READ)
    assert torch.allclose(pointwise(x), expected, atol=1e-5)
    assert np.allclose(written(pointwise, x), expected.detach().numpy(), atol=1e-5)


@pytest.mark.parametrize("read", [READ, Step(0.1, 128)])
def test_a_mean_is_taken_from_the_exact_sum_of_integers(read):
    x = bytes_of(2, 7, 5, 6)
    expected = ImageMean()(to_values(x, read).permute(0, 3, 1, 2)).float()
    mean = borders.IntegerMean(read)
    assert torch.allclose(mean(x), expected, atol=1e-6)
    assert np.allclose(written(mean, x), expected.numpy(), atol=1e-5)


@pytest.mark.parametrize("width", [1, 6, 64, 65])
@pytest.mark.parametrize("factor", [2, 8])
def test_an_enlargement_by_products_is_the_bilinear_one(width, factor):
    x = torch.randn(1, 3, 5, width)
    product = borders.ProductEnlarge(factor)
    assert torch.allclose(product(x), Enlarge(factor)(x), atol=1e-5)
    assert np.allclose(written(product, x), Enlarge(factor)(x).numpy(), atol=1e-5)


class Logits(nn.Module):
    """Answers logits that are handed to it in place of a frame."""

    def forward(self, frame):
        return frame.permute(2, 0, 1)[None]


@pytest.mark.parametrize("classes", [1, 2, 3, 7])
def test_the_mask_is_the_first_of_the_largest_logits_and_the_confidence_its_softmax(classes):
    logits = torch.randn(9, 11, classes).mul(3).round()  # whole numbers: many draws
    mask, confidence = FrameModel(Logits())(logits)
    assert (np.asarray(mask) == logits.numpy().argmax(2)).all()
    expected = logits.softmax(2).amax(2) * 255
    assert (confidence - expected).abs().max() <= 0.51
    assert (written(FrameModel(Logits()), logits) == mask.numpy()).all()
