"""The file of a lone sensor of CSK-Net is, node for node, that of a plain DeepLabV3: the rest costs it nothing."""

import dataclasses
import itertools

import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import fx

from benchmarks import lone_path
from benchmarks.plain_deeplab import UNITS, PlainDeepLab, weights_of
from dis2_edge.timing import summarise
from dis2_quantize.rounding import placement
from dis2_quantize.writing.export import export
from dis2_train import networks
from tests.train.networks.csk_pairs import RECIPE, TASK, built, frames

WIDTHS = (8, 16, 32, 64)


def plain(network, sensor, stride=8, parts=None):
    """A plain network with the weights of `network` for one sensor."""
    state = network.state_dict()
    if (shared := f"stems.{sensor}.conv.conv.weight") in state:
        state[f"stems.{sensor}.conv.weight"] = state[shared].sum(dim=1, keepdim=True)
    owner = sensor if f"encoder.enter2.convs.{sensor}.weight" in state else TASK.sensor_names[0]
    found = PlainDeepLab(TASK.sensor(sensor).channels, len(TASK.classes), WIDTHS, stride, parts)
    found.load_state_dict(weights_of(state, sensor, owner))
    return found.eval()


def written(module, sensor, precision, file):
    """The file that the exporter writes of a module of one sensor."""
    if precision == "fp32":
        graph = module if isinstance(module, fx.GraphModule) else placement.trace(module)
    else:
        graph = placement.place(placement.trace(module), "minmax", (), TASK.used(sensor))
        with torch.no_grad():
            graph(frames()[sensor][:1])
        placement.freeze(graph)
    export(graph, TASK, sensor, file, {"recipe_hash": "abc"})
    return onnx.load(file)


def nodes_of(model):
    """Every node as (domain, type, attributes, inputs, outputs): values by number as they appear, constants whole."""
    numbers, fresh = {}, itertools.count()
    held = {tensor.name: constant(tensor) for tensor in model.graph.initializer}
    for value in (*model.graph.input, *model.graph.output):
        numbers[value.name] = value.name
    told = []
    for node in model.graph.node:
        wires = [
            [held.get(name) or number(numbers, name, fresh) for name in side] for side in (node.input, node.output)
        ]
        attributes = {field.name: attribute(field) for field in node.attribute}
        told.append((node.domain, node.op_type, attributes, *wires))
    return told


def number(numbers, name, fresh):
    if name and name not in numbers:
        numbers[name] = next(fresh)
    return numbers.get(name)


def constant(tensor):
    array = numpy_helper.to_array(tensor)
    return array.dtype.str, array.shape, array.tobytes()


def attribute(field):
    value = onnx.helper.get_attribute_value(field)
    return constant(value) if isinstance(value, onnx.TensorProto) else value


def assert_twins(one, other):
    """Nodes, wiring, constants, interface and metadata are the same; only inner names may differ."""
    ours, theirs = nodes_of(one), nodes_of(other)
    assert [row[:2] for row in ours] == [row[:2] for row in theirs]
    # No diff of all constants where they differ: that takes minutes.
    other_rows = [place for place, (mine, its) in enumerate(zip(ours, theirs, strict=True)) if mine != its]
    assert not other_rows
    assert len(one.graph.initializer) == len(other.graph.initializer)
    same = sorted(map(constant, one.graph.initializer)) == sorted(map(constant, other.graph.initializer))
    assert same
    for part in ("input", "output"):
        assert list(getattr(one.graph, part)) == list(getattr(other.graph, part))
    assert list(one.metadata_props) == list(other.metadata_props)
    assert list(one.opset_import) == list(other.opset_import)
    assert not one.functions
    assert not other.functions


CASES = [
    ("heat", {}),
    ("rgb", {}),
    ("heat", {"output_stride": 16}),
    ("heat", {"shared_stem": True}),
    ("heat", {"norms": "sensor"}),
    ("heat", {"norms": "shared"}),
    ("heat", {"shared_convs": False}),
    ("heat", {"channel_exchange": (), "strip_exchange": (2, 3), "gated_fusion": False}),
]


@pytest.mark.parametrize(("sensor", "changes"), CASES, ids=str)
def test_the_fp32_file_is_that_of_plain_torch_node_for_node(tmp_path, sensor, changes):
    network = built(**changes)
    ours = written(network.deployable(sensor), sensor, "fp32", tmp_path / "ours.onnx")
    alone = fx.symbolic_trace(plain(network, sensor, changes.get("output_stride", 8)))
    for place, node in enumerate(alone.graph.find_nodes(op="placeholder")):
        node.meta["frame"] = place
    theirs = written(alone, sensor, "fp32", tmp_path / "theirs.onnx")
    assert_twins(ours, theirs)
    kinds = [node.op_type for node in ours.graph.node]
    assert kinds.count("Conv") == 1 + 11 + 6 + 2 + 1  # stem, stages, decoder, pooling, head; batch norms are folded
    assert "BatchNormalization" not in kinds
    assert kinds.count("Resize") == 1


@pytest.mark.parametrize(("sensor", "changes"), CASES[:4], ids=str)
def test_the_int8_file_is_that_of_a_plain_network_of_units_node_for_node(tmp_path, sensor, changes):
    network = built(**changes)
    ours = written(network.deployable(sensor), sensor, "int8", tmp_path / "ours.onnx")
    alone = plain(network, sensor, changes.get("output_stride", 8), UNITS)
    theirs = written(alone, sensor, "int8", tmp_path / "theirs.onnx")
    assert_twins(ours, theirs)
    assert [node.op_type for node in ours.graph.node].count("QLinearConv") >= 1 + 11 + 6


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_file_is_that_of_our_own_deeplab_too(tmp_path, precision):
    network = built()
    task = dataclasses.replace(TASK, sensors=TASK.used("heat"))
    lab = networks.build(dataclasses.replace(RECIPE, network="deeplabv3"), task)
    with torch.no_grad():
        pairs = zip(
            lab.deployable("heat").state_dict().values(), network.deployable("heat").state_dict().values(), strict=True
        )
        for own, told in pairs:
            own.copy_(told)
    files = [
        written(net.deployable("heat"), "heat", precision, tmp_path / f"{turn}.onnx")
        for turn, net in enumerate((network, lab))
    ]
    assert files[0] == files[1]


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_nothing_that_the_lone_sensor_does_not_use_moves_a_byte_of_its_file(tmp_path, precision):
    """The other sensor's stem, norms, decoder and head, exchange, fusion, projection head and bank are all spoilt."""
    network = built()
    written(network.deployable("heat"), "heat", precision, tmp_path / "before.onnx")
    used = {tensor.data_ptr() for tensor in network.deployable("heat").state_dict().values()}
    spoilt = {name for name, tensor in network.state_dict().items() if tensor.data_ptr() not in used}
    for name, tensor in network.state_dict().items():
        if name in spoilt:
            tensor.fill_(7)
    model = written(network.deployable("heat"), "heat", precision, tmp_path / "after.onnx")
    assert (tmp_path / "before.onnx").read_bytes() == (tmp_path / "after.onnx").read_bytes()
    assert {name.split(".")[0] for name in spoilt} == {
        "stems",
        "encoder",
        "decoders",
        "poolings",
        "fusion",
        "heads",
        "lesson",
    }
    assert [value.name for value in model.graph.input] == ["heat"]
    written_names = " ".join(name for node in model.graph.node for name in (node.name, *node.input, *node.output))
    assert not [
        word for word in ("rgb", "lesson", "projection", "bank", "fusion", "exchange", "full") if word in written_names
    ]


def test_a_file_of_other_weights_or_wiring_is_told_from_its_twin(tmp_path):
    """The comparison itself can fail: one weight, one rate, two convolutions in each other's place."""
    network = built()
    ours = written(network.deployable("heat"), "heat", "fp32", tmp_path / "ours.onnx")
    for spoil in (one_weight, one_rate, two_places):
        alone = plain(network, "heat")
        spoil(alone)
        theirs = written(placement.trace(alone), "heat", "fp32", tmp_path / "theirs.onnx")
        with pytest.raises(AssertionError):
            assert_twins(ours, theirs)


def one_weight(network):
    network.inner3_2.conv.weight.data[0, 0, 0, 0] += 0.01


def one_rate(network):
    network.atrous1.conv.dilation = network.atrous1.conv.padding = (4, 4)


def two_places(network):
    network.inner3_1, network.inner3_2 = network.inner3_2, network.inner3_1


@pytest.mark.parametrize(
    ("ours", "control", "holds", "said"),
    [
        (10.1, 10.0, True, "within 3 % of a plain"),
        (10.5, 10.0, False, "not within 3 %: fp32 1.0"),
        (9.0, 10.0, False, "not within 3 %: fp32 0.9"),
        (10.5, 12.0, False, "not shown: this machine cannot tell"),
    ],
)
def test_the_benchmark_of_the_lone_path_says_what_it_found(ours, control, holds, said):
    swing = [1 + 0.001 * (turn % 5) for turn in range(20)]
    means = {lone_path.PLAIN: 10.0, lone_path.OURS: ours, lone_path.CONTROL: control}
    taken = {name: summarise([mean * factor for factor in swing]) for name, mean in means.items()}
    found = lone_path.ratios("fp32", taken)
    assert lone_path.verdict(found)[0] == holds
    assert said in lone_path.verdict(found)[1]
    assert all(row.low <= row.ratio <= row.high for row in found)
    assert found[0].ratio == 1
    assert found[1].ratio == pytest.approx(ours / 10, rel=1e-3)


def test_the_benchmark_times_files_that_are_twins(tmp_path):
    for precision in lone_path.PRECISIONS:
        files = lone_path.write(lone_path.csknet(0.25, 32), precision, tmp_path)
        assert_twins(*(onnx.load(files[name]) for name in (lone_path.OURS, lone_path.PLAIN)))
        assert files[lone_path.CONTROL] == files[lone_path.PLAIN]
