"""Both sensors of CSK-Net as files: what is exchanged is fixed, what nobody reads is not computed, W is stored once."""

from collections import Counter

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import numpy_helper
from small import TWO, frames_of

from dis2_edge.recipe import Recipe
from dis2_quantize.rounding import placement
from dis2_quantize.writing.export import export, traced
from dis2_quantize.writing.wrap import FromFrames, Normalise
from dis2_runtime.engines.onnx_runtime import open_model
from dis2_train import networks
from dis2_train.networks.csknet.exchange import Frozen

BOTH = "rgb+ndsm"
MOVED = {"Slice", "Concat", "Reshape", "Constant", "Unsqueeze", "Transpose"}


@pytest.fixture(scope="module", params=["nothing given up", "some given up"])
def network(request):
    """CSK-Net with lived-in norms, which gives up some channels or none."""
    with torch.random.fork_rng():
        torch.manual_seed(2)
        net = networks.build(Recipe(network="csknet", width=0.5), TWO).train()
        with torch.no_grad():
            for pair in net.exchanged().values():
                for norm in pair:
                    norm.weight.uniform_(0.3, 1.0)
                    if request.param == "some given up":
                        norm.weight[torch.rand_like(norm.weight) < 0.6] *= 0.01
            for _ in range(3):
                for scenario in TWO.scenarios:
                    net(frames_of(TWO, 2), scenario)
    return net.eval()


def raw_frames():
    frames = {}
    for name, x in frames_of(TWO).items():
        sensor = TWO.sensor(name)
        pixels = x[0].permute(1, 2, 0).numpy() * np.array(sensor.std) + np.array(sensor.mean)
        frames[name] = np.clip(pixels, sensor.valid_min, sensor.valid_max).astype(sensor.dtype)
    return frames


def normalised(raw):
    used = TWO.used(BOTH)
    return {sensor.name: Normalise(sensor)(torch.from_numpy(raw[sensor.name].astype(np.float32))) for sensor in used}


@pytest.fixture(scope="module")
def rounded(network, tmp_path_factory):
    """The integer file of both sensors."""
    graph = placement.place(placement.trace(network.deployable(BOTH)), "minmax", (), TWO.used(BOTH))
    with torch.no_grad():
        graph(*normalised(raw_frames()).values())
    placement.freeze(graph)
    file = tmp_path_factory.mktemp("csknet") / "int8.onnx"
    export(graph, TWO, BOTH, file, {})
    return file


def weights_of(model):
    """Integers of every integer convolution, and the name under which they are stored, by the node's name."""
    held = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    nodes = [node for node in model.graph.node if node.op_type == "QLinearConv"]
    return {node.name.split("/")[2]: (held[node.input[3]], node.input[3]) for node in nodes}


def hangs_on_frames(model, node):
    """Whether the condition of `node` is computed from what the file is fed, and not from constants alone."""
    made = {name: other for other in model.graph.node for name in other.output}
    fed, open_ = {value.name for value in model.graph.input}, [node.input[0]]
    while open_:
        name = open_.pop()
        if name in fed:
            return True
        open_ += made[name].input if name in made else []
    return False


def test_the_fp32_file_that_is_frozen_says_what_the_live_network_says(network):
    raw = raw_frames()
    frames = {name: torch.from_numpy(frame) for name, frame in raw.items()}
    model = traced(
        FromFrames(placement.trace(network.deployable(BOTH)), TWO.used(BOTH)),
        (*frames.values(),),
        [*frames],
        ["logits"],
    )
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found = session.run(None, raw)[0]
    with torch.no_grad():
        expected = network(normalised(raw), BOTH).logits.numpy()
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()
    assert not {"Less", "Greater", "Abs", "If"} & {node.op_type for node in model.graph.node}
    assert not [node.name for node in model.graph.node if node.op_type == "Where" and hangs_on_frames(model, node)]


def test_between_integer_convolutions_numbers_are_only_moved_and_added(rounded):
    graph = onnx.load(rounded).graph
    encoders = [node for node in graph.node if "inner_encoder" in node.name and "_stem" not in node.name]
    assert {"QLinearConv", "QLinearAdd"} <= {node.op_type for node in encoders}
    assert {node.op_type for node in encoders} <= {"QLinearConv", "QLinearAdd", *MOVED}
    assert sum(node.op_type == "Where" for node in graph.node) == len(TWO.classes) - 1  # the mask itself


def test_channels_that_nobody_reads_are_not_computed(network, rounded):
    weights = weights_of(onnx.load(rounded))
    for site, pair in network.exchanged().items():
        kept = Frozen.of(pair, network.recipe.exchange_threshold).kept
        for place, own in enumerate(kept):
            integers, _ = weights[f"inner_encoder_sensors_{place}_{site}"]
            assert np.abs(integers).reshape(len(integers), -1).any(1).sum() == len(own)
            assert len(integers) == -(-len(own) // 16) * 16


def test_both_sensors_have_one_w_and_it_is_stored_once_where_it_is_the_same_array(network, rounded):
    weights = weights_of(onnx.load(rounded))
    given_up = any(
        pair.first or pair.second
        for pair in (Frozen.of(pair, network.recipe.exchange_threshold) for pair in network.exchanged().values())
    )
    names = [name for name in weights if "sensors_0" in name and "stem" not in name]
    stored = Counter(weights[name][1] == weights[name.replace("sensors_0", "sensors_1")][1] for name in names)
    assert len(names) == 11
    # Around each of the three exchanges two convolutions are cut, or read channels in another order.
    assert stored == Counter({True: 8, False: 3}) if given_up else stored == Counter({True: 11})
    for name in names:
        first, second = (weights[name.replace("sensors_0", f"sensors_{place}")][0] for place in (0, 1))
        rows = [
            {row.tobytes() for row in np.sort(np.abs(side.reshape(len(side), -1)), axis=1)} for side in (first, second)
        ]
        assert len(rows[0] & rows[1]) >= 0.15 * min(map(len, rows))


def test_the_integer_file_agrees_with_the_network(network, rounded):
    raw = raw_frames()
    with torch.no_grad():
        expected = network(normalised(raw), BOTH).logits.argmax(1)[0].numpy()
    assert (open_model(rounded, threads=1).run(raw).mask == expected).mean() >= 0.97
