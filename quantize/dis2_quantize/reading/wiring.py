"""Who makes and who reads each tensor of a graph."""

from __future__ import annotations

from collections import defaultdict

import onnx

from dis2_quantize.reading.foreign import DOMAIN

QUANTIZE, DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"


class Wiring:
    """The edges of a graph, by tensor name."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.nodes = list(graph.node)
        self.outputs = {value.name for value in graph.output}
        self._makers = {name: node for node in self.nodes for name in node.output if name}
        self._readers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in self.nodes:
            for name in dict.fromkeys(filter(None, node.input)):
                self._readers[name].append(node)

    def maker(self, tensor: str) -> onnx.NodeProto | None:
        """The node that makes `tensor`; None for inputs and weights."""
        return self._makers.get(tensor)

    def readers(self, tensor: str) -> list[onnx.NodeProto]:
        """The nodes that read `tensor`, each once, in the order of the file."""
        return self._readers.get(tensor, [])

    def dequantizer(self, tensor: str) -> onnx.NodeProto | None:
        """The DequantizeLinear that makes `tensor`, if one does."""
        maker = self.maker(tensor)
        return maker if maker is not None and is_dequantize(maker) else None

    def quantizers(self, tensor: str) -> list[onnx.NodeProto]:
        """Every QuantizeLinear that reads `tensor`."""
        return [node for node in self.readers(tensor) if is_quantize(node) and node.input[0] == tensor]


def is_quantize(node: onnx.NodeProto) -> bool:
    """Whether `node` rounds to integers, be it ONNX's own operator or ONNX Runtime's."""
    return node.op_type == QUANTIZE and node.domain in ("", "ai.onnx", DOMAIN)


def is_dequantize(node: onnx.NodeProto) -> bool:
    """Whether `node` makes floats of integers."""
    return node.op_type == DEQUANTIZE and node.domain in ("", "ai.onnx", DOMAIN)
