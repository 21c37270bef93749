"""Half precision numbers: what of a tensor or a scale is left when it is stored in 16 bits."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

LARGEST_HALF = 32768.0
"""Largest |x| that a tensor in FP16 may reach: half of what the format holds, as flight sees what no test set shows."""
LEAST_NORMAL = 2.0**-14
"""Smaller numbers are subnormal: they keep fewer than 11 bits, and below 2^-25 nothing."""


def half(x: Tensor) -> Tensor:
    """float32 rounded to the nearest FP16 number, as float32; infinite from 65,520 on."""
    return x.half().float()


def scale_in_half(scale: Tensor) -> Tensor:
    """The least FP16 number not below each positive `scale` (float32), as float32: a type that a typed Q/DQ may have.

    Rounded up, so that the largest value still fits its 127 steps. A scale under 2^-24 becomes that: its tensor has
    fewer steps then, yet no coarser ones than FP16 itself has there.
    """
    near = scale.detach().cpu().numpy().astype(np.float16)
    up = np.nextafter(near, np.float16(np.inf))
    return torch.from_numpy(np.where(near.astype(np.float32) < scale.cpu().numpy(), up, near).astype(np.float32))
