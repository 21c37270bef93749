"""Rules of every file: versions, interface, metadata, fixed shapes, nothing foreign, nothing outside the file."""

from __future__ import annotations

import json
from collections.abc import Iterator

from dis2_quantize.lint.finding import Fault
from dis2_quantize.lint.subject import Subject, label
from dis2_quantize.reading.facts import NO_INPUT, NOT_FIXED, OWN
from dis2_quantize.reading.foreign import DOMAIN

NEWEST_IR, NEWEST_OPSET = 10, 20
"""What both ONNX Runtime 1.23 and TensorRT 10.3 read."""
KEYS = ("scenario", "classes", "colours", "ignore", "sensors", "recipe_hash")
"""What metadata_props must tell."""
_JSON = ("classes", "colours", "sensors")
OUTPUTS = {"frame": ["mask", "confidence"], "tensor": ["logits"]}
"""Names of the outputs by io, in order."""


def dialect(subject: Subject) -> Iterator[Fault]:
    """The file is written in the board's dialect."""
    found, why = subject.dialect
    if found not in (None, subject.board.dialect):
        wanted = f"{subject.board.name} takes the dialect {subject.board.dialect}"
        yield Fault("", f"the dialect {found} ({why}); {wanted}: its other rules were not applied")


def ir_version(subject: Subject) -> Iterator[Fault]:
    """The format version of the file."""
    if subject.model.ir_version > NEWEST_IR:
        yield Fault("", f"IR version {subject.model.ir_version}")


def opset(subject: Subject) -> Iterator[Fault]:
    """The version of ONNX's operators, also within functions."""
    imports = [("", entry) for entry in subject.model.opset_import]
    imports += [(function.name, entry) for function in subject.model.functions for entry in function.opset_import]
    for where, entry in imports:
        if entry.domain in OWN and entry.version > NEWEST_OPSET:
            yield Fault(where, f"opset {entry.version}")


def metadata(subject: Subject) -> Iterator[Fault]:
    """What the file tells of itself."""
    for key in KEYS:
        text = subject.props.get(key)
        if not text:
            yield Fault(key, "absent from metadata_props")
        elif key in _JSON and not _is_list(text):
            yield Fault(key, f"{text[:40]!r} is no list in JSON")


def inputs(subject: Subject) -> Iterator[Fault]:
    """The names of the inputs."""
    found, scenario = [value.name for value in subject.inputs], subject.props.get("scenario", "")
    told = subject.sensors()
    wanted = scenario.split("+") if scenario else told
    if wanted is not None and found != wanted:
        yield Fault("", f"inputs {', '.join(found) or 'none'}, but the scenario has {', '.join(wanted)}")
    elif told is not None and wanted is not None and set(wanted) - set(told):
        yield Fault("", f"the sensors in the metadata are {', '.join(told) or 'none'}, not {', '.join(wanted)}")


def outputs(subject: Subject) -> Iterator[Fault]:
    """The names of the outputs."""
    found = [value.name for value in subject.model.graph.output]
    if found != OUTPUTS[subject.board.io]:
        wanted = " and ".join(OUTPUTS[subject.board.io])
        yield Fault("", f"outputs {', '.join(found) or 'none'}, but {subject.board.io} files answer {wanted}")


def static_shapes(subject: Subject) -> Iterator[Fault]:
    """Dimensions of the inputs, and of whatever is computed."""
    for value in subject.inputs:
        if value.name not in subject.facts:
            dims = [dim.dim_param or dim.dim_value or "?" for dim in value.type.tensor_type.shape.dim]
            yield Fault(value.name, f"input of shape {'x'.join(map(str, dims)) or 'unknown'}")
    for node, reason in subject.facts.gaps:
        if reason == NOT_FIXED:
            yield Fault(label(node), f"{node.op_type}: {reason}")


def inference(subject: Subject) -> Iterator[Fault]:
    """Nodes whose inputs ONNX does not allow."""
    for node, reason in subject.facts.gaps:
        ours = reason != NOT_FIXED and not reason.startswith(NO_INPUT) and node.domain in OWN
        if ours and len(subject.real_types(node)) < 2:
            yield Fault(label(node), f"{node.op_type}: {reason[:160]}")


def custom_domain(subject: Subject) -> Iterator[Fault]:
    """Operators of other domains than ONNX's."""
    own = {(function.domain, function.name) for function in subject.model.functions}
    bodies = [node for function in subject.model.functions for node in function.node]
    for node in (*subject.model.graph.node, *bodies):
        known = node.domain in OWN or (node.domain == DOMAIN and subject.board.dialect == "ort")
        if not known and (node.domain, node.op_type) not in own:
            yield Fault(label(node), f"{node.domain}::{node.op_type} has no function body in the file")


def whole(subject: Subject) -> Iterator[Fault]:
    """Weights that lie in other files."""
    for tensor in subject.model.graph.initializer:
        if tensor.external_data:
            yield Fault(tensor.name, "its values lie outside the file")


def _is_list(text: str) -> bool:
    try:
        return isinstance(json.loads(text), list)
    except (ValueError, RecursionError):
        return False
