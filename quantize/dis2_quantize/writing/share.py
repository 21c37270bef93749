"""Store once what is equal: units of one convolution have the same integers, and a file need not hold them twice."""

from __future__ import annotations

import onnx


def share_initializers(model: onnx.ModelProto) -> None:
    """Let every tensor of equal type, shape and bytes be the first of its kind; nothing that is computed changes.

    The tracer does so for some tensors, and puts an Identity in the place of the others: these go too, so that a node
    reads its weights and not a copy of them.
    """
    graph = model.graph
    first: dict[tuple[int, tuple[int, ...], bytes], str] = {}
    instead: dict[str, str] = {}
    answers = {value.name for value in graph.output}
    for tensor in list(graph.initializer):
        kind = tensor.data_type, tuple(tensor.dims), onnx.numpy_helper.to_array(tensor).tobytes()
        kept = first.setdefault(kind, tensor.name)
        if kept != tensor.name and tensor.name not in answers:
            instead[tensor.name] = kept
            graph.initializer.remove(tensor)
    held = set(first.values()) | set(instead)
    for node in list(graph.node):
        if node.op_type == "Identity" and node.input[0] in held and node.output[0] not in answers:
            instead[node.output[0]] = instead.get(node.input[0], node.input[0])
            held.add(node.output[0])
            graph.node.remove(node)
    for node in graph.node:
        node.input[:] = [instead.get(name, name) for name in node.input]
