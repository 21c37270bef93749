"""Spectral texture distillation: what is fine in the optical teacher's maps is asked of the student's too.

Texture is what a small mean takes away (a high-pass), or the gradient; which, and on which maps, is inferred.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Texture = Literal["highpass", "gradient"]


def texture(maps: Tensor, kind: Texture) -> Tensor:
    """The fine part of maps (B, C, h, w), of their size.

    highpass: T(F) = F - mean of F over 3x3. gradient: |dF/dx| + |dF/dy| by central differences.
    """
    if kind == "highpass":
        return maps - F.avg_pool2d(maps, 3, 1, 1, count_include_pad=False)
    padded = F.pad(maps, (1, 1, 1, 1), mode="replicate")
    across = padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2]
    down = padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]
    return (across.abs() + down.abs()) * 0.5


def texture_distance(student: Tensor, teacher: Tensor, kind: Texture) -> Tensor:
    """1 - <T(S), T(T)> / (|T(S)| |T(T)|) over each image's whole map, mean over images; (B, C, h, w) each.

    Places where the teacher has little texture weigh little, as they should: there it is noise.
    """
    ours = texture(student.float(), kind).flatten(1)
    theirs = texture(teacher.detach().float(), kind).flatten(1)
    return 1 - torch.cosine_similarity(ours, theirs, dim=1).mean()
