"""Small units and maps of bytes for the tests of what a file of the `ort` dialect is woven of."""

import io
import warnings

import numpy as np
import onnxruntime as ort
import torch
from torch import nn

from dis2_train.networks.blocks import ConvUnit


def bytes_of(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def written(module: nn.Module, *inputs: torch.Tensor) -> np.ndarray:
    """What ONNX Runtime answers for `module`, written to a file."""
    file = io.BytesIO()
    names = [f"x{place}" for place in range(len(inputs))]
    options = {"dynamo": False, "opset_version": 17, "autograd_inlining": False}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the tracing exporter calls itself deprecated
        torch.onnx.export(module.eval(), inputs, file, input_names=names, output_names=["y"], **options)
    session = ort.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    return session.run(None, {name: x.numpy() for name, x in zip(names, inputs, strict=True)})[0]


def same(found: torch.Tensor | np.ndarray, expected: torch.Tensor, share: float = 0.0) -> bool:
    """Whether integers differ by no more than one step, and in no more than `share` of the places."""
    gap = np.abs(np.asarray(found, int) - expected.numpy().astype(int))
    return bool(gap.max() <= 1 and (gap > 0).mean() <= share)


def lived_in_unit(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> ConvUnit:
    torch.manual_seed(0)
    unit = ConvUnit(inputs, outputs, kernel, stride)
    for _ in range(3):
        unit(torch.randn(2, inputs, 16, 16))
    return unit.eval()
