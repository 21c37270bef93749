"""The layers of EfficientViT-SAM's five image encoders, whose latencies on a Jetson AGX Orin are published.

Widths, depths and expansions are those of the models' definition (mit-han-lab/efficientvit, `models/efficientvit`);
multiply-adds and latencies those of its model card (TensorRT, FP16, batch 1, transfers included, power mode not told).
"""

from dataclasses import dataclass

from dis2_edge.costs import LayerCost

HALF = 2
"""Bytes of a value."""


@dataclass(frozen=True)
class Published:
    """An encoder, and what its model card says of it."""

    name: str
    size: int
    widths: tuple[int, ...]
    depths: tuple[int, ...]
    blocks: tuple[str, ...]
    expansions: tuple[int, ...]
    neck_depth: int
    neck_expansion: int
    gmac: float
    ms: float


_L = ((32, 64, 128, 256, 512), ("res", "fused", "fused", "inverted", "attention"), (1, 4, 4, 4, 6))
_XL = (
    (32, 64, 128, 256, 512, 1024),
    ("res", "fused", "fused", "fused", "attention", "attention"),
    (1, 4, 4, 4, 4, 6),
)
PUBLISHED = (
    Published("L0", 512, _L[0], (1, 1, 1, 4, 4), *_L[1:], 4, 1, 35, 8.2),
    Published("L1", 512, _L[0], (1, 1, 1, 6, 6), *_L[1:], 8, 1, 49, 10.2),
    Published("L2", 512, _L[0], (1, 2, 2, 8, 8), *_L[1:], 12, 1, 69, 12.9),
    Published("XL0", 1024, _XL[0], (0, 1, 1, 2, 3, 3), *_XL[1:], 6, 4, 185, 22.5),
    Published("XL1", 1024, _XL[0], (1, 2, 2, 4, 6, 6), *_XL[1:], 12, 4, 322, 37.2),
)


class Encoder:
    """Writes down an encoder's layers, one convolution or product after the other."""

    def __init__(self, model: Published) -> None:
        self.layers, self.side, self.model = [], model.size, model

    def written(self) -> list[LayerCost]:
        """The layers, in the order of computation."""
        model = self.model
        self._conv(3, model.widths[0], 3, 2)
        for _ in range(model.depths[0]):
            self._block(model.blocks[0], model.widths[0], model.widths[0], 1, model.expansions[0])
        for at in range(1, len(model.widths)):
            kind, width = model.blocks[at], model.widths[at]
            first = kind if kind == "fused" else "inverted"
            self._block(first, model.widths[at - 1], width, 2, 4 * model.expansions[at])
            for _ in range(model.depths[at]):
                self._block(kind, width, width, 1, model.expansions[at])
        self._neck()
        return self.layers

    def _neck(self):
        side = self.side
        for at, width in enumerate(self.model.widths[:-4:-1]):
            self.side = side * 2**at
            self._conv(width, 256, 1)
            self.side = 64
            self._add("Resize", 64 * 64 * 256, 2 * 64 * 64 * 256)
        for _ in range(self.model.neck_depth):
            self._block("fused", 256, 256, 1, self.model.neck_expansion)
        self._conv(256, 256, 1)

    def _block(self, kind, inputs, outputs, stride, expansion):
        inner = inputs * expansion
        if kind == "res":
            self._conv(inputs, inner, 3, stride)
            self._conv(inner, outputs, 3)
        elif kind == "fused":
            self._conv(inputs, inner, 3, stride)
            self._conv(inner, outputs, 1)
        elif kind == "inverted":
            self._conv(inputs, inner, 1)
            self._conv(inner, inner, 3, stride, groups=inner)
            self._conv(inner, outputs, 1)
        else:
            self._attention(inputs)
            self._block("inverted", inputs, outputs, 1, expansion)

    def _attention(self, width):
        """Linear attention in two scales, heads of 32."""
        self._conv(width, 3 * width, 1)
        self._conv(3 * width, 3 * width, 5, groups=3 * width)
        self._conv(3 * width, 3 * width, 1, groups=3 * width // 32)
        for _ in range(2):  # keys with values, then queries with that
            positions = self.side * self.side
            self._add("MatMul", 2 * 2 * width * 33 * positions, 6 * width * positions)
        self._conv(2 * width, width, 1)

    def _conv(self, inputs, outputs, kernel, stride=1, groups=1):
        before, self.side = self.side**2, self.side // stride
        after, weights = self.side**2, kernel * kernel * inputs * outputs // groups
        self._add("Conv", 2 * weights * after, inputs * before + outputs * after + weights)

    def _add(self, kind, operations, values):
        self.layers.append(LayerCost(f"{len(self.layers)}", kind, "fp16", operations, HALF * values))
