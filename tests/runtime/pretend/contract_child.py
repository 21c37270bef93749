"""What runs under one version of TensorRT's real bindings, in a process of its own: ours is built on its very classes.

`contract_child.py` with the bindings on PYTHONPATH; prints JSON. It ends without tearing down, as a plug-in that was
made without the real libraries crashes 10.3 at the end of the process.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from dis2_edge.errors import EngineError
from dis2_runtime.driver import Device
from dis2_runtime.engines.tensorrt import bindings, builder, model
from dis2_runtime.engines.tensorrt.plugins import ahead, classic
from dis2_runtime.engines.tensorrt.plugins.operators import DOMAIN, OPERATORS, VERSION, Work

SHAPES = {
    "FusionAttention": [(1, 2050, 256), (1, 130, 256), (1, 130, 256)],
    "ClasswiseAttention": [(1, 256, 4, 6), (5, 256)],
}


def main() -> None:
    """Every part in turn."""
    trt = bindings.load()
    native = trt.module
    trt.logger.log(native.ILogger.Severity.ERROR, "said\nmore")
    trt.logger.log(native.ILogger.Severity.INFO, "not kept")
    told: dict[str, Any] = {"version": trt.version, "said": list(trt.said)}
    told["flags"] = builder._creation_flags(trt)
    told["monitor"] = isinstance(builder._monitor(trt, lambda *_: None), native.IProgressMonitor)
    told["profiler"] = isinstance(model._profiler(trt, []), native.IProfiler)
    told["build"] = failure(lambda: builder.build(trt, b"", builder.Options()))
    told["load"] = failure(lambda: model.Loaded(trt, b"", "a plan"))
    told["classic"] = {name: classic_told(trt, name) for name in OPERATORS}
    told["ahead"] = {name: ahead_told(trt, name) for name in OPERATORS} if trt.release >= ahead.SINCE else {}
    print(json.dumps(told))
    sys.stdout.flush()
    os._exit(0)


def failure(call: Callable[[], object]) -> str:
    """The EngineError that comes of stubs, in words."""
    try:
        call()
    except EngineError as error:
        return str(error)
    return ""


def classic_told(trt: bindings.Trt, name: str) -> list[Any]:
    """A creator, a plug-in of it, and what that says of itself."""
    native = trt.module
    operator = OPERATORS[name]
    creator = classic.creator(trt, operator, classic.Bench(None, None, None))  # type: ignore[arg-type]
    assert isinstance(creator, native.IPluginCreatorV3One)
    assert (creator.name, creator.plugin_namespace, creator.plugin_version) == (name, DOMAIN, VERSION)
    given = native.PluginFieldCollection(
        [native.PluginField(one, np.array([8], np.int32), native.PluginFieldType.INT32) for one in operator.attributes]
    )
    plugin = creator.create_plugin("node", given, native.TensorRTPhase.BUILD)
    assert isinstance(plugin, native.IPluginV3)
    kept = [plugin, plugin.clone(), plugin.attach_to_context(None), plugin.get_fields_to_serialize()]
    _KEPT.extend(kept)
    kinds = plugin.get_output_data_types([native.DataType.HALF, native.DataType.FLOAT])
    return [plugin.num_outputs, plugin.plugin_name, kept[1].attributes, [kind.name for kind in kinds], len(kept[3])]


def ahead_told(trt: bindings.Trt, name: str) -> list[Any]:
    """The operator registered ahead of time, described and launched for shapes that are constants."""
    import tensorrt.plugin as quick

    native = trt.module
    native.get_plugin_registry = lambda: Registry()
    native.IDimensionExpr = Size
    quick._tensor.SymIntExpr._exprBuilder = Sizes(native)
    asked: list[Any] = []

    def ready(driver: Any, module: Any, call: Any) -> Work:
        asked.append([list(map(list, call.shapes)), call.dtype.name, list(map(list, call.attributes))])
        numbers = (np.int32(7), np.int32(8))
        return Work(
            lambda stream, inputs, out, _: driver.launch(
                module.function("kernel"), (3, 2, 1), (128, 1, 1), 1000, stream, (*inputs, *numbers, out)
            )
        )

    operator = dataclasses.replace(OPERATORS[name], ready=ready)
    ahead.register(trt, operator, b".version 8.0", Device("Orin", (8, 7), 8, 1 << 33, 13020, True))
    definition = quick._lib.QDP_REGISTRY[ahead.plugin_id(operator)]
    inputs = []
    for shape in SHAPES[name]:
        inputs.append(quick.TensorDesc())
        inputs[-1].dtype, inputs[-1].shape_expr = native.DataType.HALF, quick.ShapeExprs.from_tuple(shape)
    attributes = [8] * len(operator.attributes)
    out = definition.register_func(*inputs, **dict(zip(operator.attributes, attributes, strict=True)))
    kernel, ptx, launch, scalars = definition.aot_impl_func(*inputs, *attributes, (out,), None)
    sizes = [each._expr.value for each in (launch.grid_x, launch.grid_y, launch.block_x, launch.shared_mem)]
    made = [each.constant_value() for each in out.shape_expr]
    return [kernel, ptx.decode(), sizes, [each._expr.value for each in scalars], made, asked]


_KEPT: list[Any] = []


class Registry:
    """Takes whatever creator comes."""

    held: dict[str, Any] = {}  # noqa: RUF012

    def register_creator(self, creator: Any, plugin_namespace: str = "") -> bool:
        self.held[creator.name] = creator
        return True

    def get_creator(self, type: str, version: str, plugin_namespace: str = "") -> Any:
        return self.held[type]


class Size:
    """A size that is known: TensorRT itself makes these, so the bindings let nobody else."""

    def __init__(self, value: int) -> None:
        self.value = value

    def is_constant(self) -> bool:
        return True

    def get_constant_value(self) -> int:
        return self.value


class Sizes:
    def __init__(self, native: Any) -> None:
        self._native = native

    def constant(self, value: int) -> Size:
        return Size(value)

    def operation(self, kind: Any, left: Size, right: Size) -> Size:
        product = kind == self._native.DimensionOperation.PROD
        return Size(left.value * right.value if product else left.value + right.value)


if __name__ == "__main__":
    main()
