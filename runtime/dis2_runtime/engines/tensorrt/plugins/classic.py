"""An operator as IPluginV3 in Python: for TensorRT 10.3 to 10.8, and for operators of more than one launch.

Python is called when the engine is built and when the stream's work is captured; a graph replays without it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np

from dis2_runtime.driver import Driver, Module, Stream
from dis2_runtime.engines.tensorrt.bindings import Trt
from dis2_runtime.engines.tensorrt.plugins.operators import DOMAIN, FLOATS, VERSION, Call, Operator, Work

__all__ = ["Bench", "creator"]


@dataclass(frozen=True)
class Bench:
    """What a plug-in launches with."""

    driver: Driver
    module: Module
    on: Callable[[int], AbstractContextManager[Stream]]
    """A stream for the handle of one of TensorRT's: what it is given stands in that one's order."""


def creator(trt: Trt, operator: Operator, bench: Bench) -> Any:
    """What TensorRT's registry takes for `operator`; a plug-in object is made of it for every node and context."""
    module = trt.module
    plugin = _plugin_class(trt, operator, bench)

    class Creator(module.IPluginCreatorV3One):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            module.IPluginCreatorV3One.__init__(self)
            self.name, self.plugin_namespace, self.plugin_version = operator.name, DOMAIN, VERSION
            self.field_names = module.PluginFieldCollection(
                [
                    module.PluginField(name, np.array([], np.int32), module.PluginFieldType.INT32)
                    for name in operator.attributes
                ]
            )

        def create_plugin(self, name: str, field_collection: Any, phase: Any) -> Any:
            return plugin({field.name: int(field.data[0]) for field in field_collection})

    return Creator()


def _plugin_class(trt: Trt, operator: Operator, bench: Bench) -> Callable[[dict[str, int]], Any]:
    module = trt.module

    core, building, running = module.IPluginV3OneCore, module.IPluginV3OneBuild, module.IPluginV3OneRuntime

    class Plugin(module.IPluginV3, core, building, running):  # type: ignore[misc,name-defined,valid-type]
        def __init__(self, attributes: dict[str, int]) -> None:
            for base in (module.IPluginV3, core, building, running):
                base.__init__(self)
            self.plugin_name, self.plugin_namespace, self.plugin_version = operator.name, DOMAIN, VERSION
            self.num_outputs = 1
            self.attributes = attributes
            # A field of TensorRT's points at its value and does not own it: both live as long as this object.
            self._values = [np.array([value], np.int32) for value in attributes.values()]
            self._fields = [
                module.PluginField(name, value, module.PluginFieldType.INT32)
                for name, value in zip(attributes, self._values, strict=True)
            ]
            self._collected = module.PluginFieldCollection(self._fields)

        def get_capability_interface(self, type: Any) -> Any:
            return self

        def get_output_data_types(self, input_types: Sequence[Any]) -> list[Any]:
            return [input_types[0]]

        def get_output_shapes(self, inputs: Sequence[Any], shape_inputs: Any, expr_builder: Any) -> list[Any]:
            def times(left: Any, right: Any) -> Any:
                return expr_builder.operation(module.DimensionOperation.PROD, left, right)

            return [module.DimsExprs(operator.output(inputs, times))]

        def get_fields_to_serialize(self) -> Any:
            return self._collected

        def configure_plugin(self, inp: Any, out: Any) -> None:
            """Nothing depends on it."""

        def on_shape_change(self, inp: Any, out: Any) -> None:
            """Shapes come with every call."""

        def supports_format_combination(self, pos: int, in_out: Sequence[Any], num_inputs: int) -> bool:
            desc = in_out[pos].desc
            return bool(
                desc.format == module.TensorFormat.LINEAR
                and desc.type.name in FLOATS
                and desc.type == in_out[0].desc.type
            )

        def get_workspace_size(self, inp: Sequence[Any], out: Sequence[Any]) -> int:
            return self._ready([each.desc for each in inp]).workspace_bytes

        def get_valid_tactics(self) -> list[int]:
            return []

        def set_tactic(self, tactic: int) -> None:
            """There is one."""

        def attach_to_context(self, resource_context: Any) -> Any:
            return self.clone()

        def clone(self) -> Any:
            return Plugin(dict(self.attributes))

        def enqueue(
            self,
            input_desc: Sequence[Any],
            output_desc: Sequence[Any],
            inputs: Sequence[int],
            outputs: Sequence[int],
            workspace: int,
            stream: int,
        ) -> None:
            work = self._ready(input_desc)
            with bench.on(stream) as own:
                work.launch(own, inputs, outputs[0], workspace)

        def _ready(self, descs: Sequence[Any]) -> Work:
            shapes = tuple(tuple(int(size) for size in desc.dims) for desc in descs)
            call = Call(shapes, FLOATS[descs[0].type.name], tuple(sorted(self.attributes.items())))
            return operator.ready(bench.driver, bench.module, call)

    return Plugin
