"""An operator compiled ahead of time (`tensorrt.plugin`, TensorRT 10.9 and later): its PTX lies in the plan.

TensorRT launches the kernel itself, with the inputs' addresses, 32-bit integers, then the output's address: one launch,
of PTX only. No annotation here may be postponed: TensorRT reads them as the classes that they name.
"""

import importlib
import inspect
from collections.abc import Callable
from typing import Any

from dis2_runtime.driver import Device
from dis2_runtime.engines.tensorrt.bindings import Trt
from dis2_runtime.engines.tensorrt.plugins.launches import launch_of
from dis2_runtime.engines.tensorrt.plugins.operators import DOMAIN, FLOATS, Call, Operator

__all__ = ["SINCE", "plugin_id", "register"]

SINCE = (10, 9)
"""The first version that compiles plug-ins into the plan."""


def plugin_id(operator: Operator) -> str:
    """Namespace and name, as `tensorrt.plugin` writes them."""
    return f"{DOMAIN}::{operator.name}"


def register(trt: Trt, operator: Operator, ptx: bytes, device: Device) -> None:
    """Let TensorRT know `operator`, computed by a kernel of `ptx`; once a process, as it cannot be taken back."""
    quick = _quick(trt)
    quick.register(plugin_id(operator))(_describer(quick, operator))
    quick.aot_impl(plugin_id(operator))(_implementer(quick, operator, ptx, device))


def _quick(trt: Trt) -> Any:
    """The module `tensorrt.plugin`, or what stands for it on a module that was handed in."""
    found = getattr(trt.module, "plugin", None)
    return found if found is not None else importlib.import_module("tensorrt.plugin")


def _describer(quick: Any, operator: Operator) -> Callable[..., Any]:
    """Tells what comes out, from descriptions of what goes in."""

    def describe(*values: Any, **attributes: Any) -> Any:
        given = _given(operator, values, attributes)
        inputs = [given[name] for name in operator.inputs]
        out = inputs[0].like()
        sizes = [list(each.shape_expr) for each in inputs]
        out.shape_expr = quick.ShapeExprs.from_tuple(tuple(operator.output(sizes, lambda a, b: a * b)))
        return out

    return _signed(describe, quick, operator, {}, quick.TensorDesc)


def _implementer(quick: Any, operator: Operator, ptx: bytes, device: Device) -> Callable[..., Any]:
    """Names the kernel and its launch for the shapes at hand, which are fixed in every file of ours."""

    def implement(*values: Any, **rest: Any) -> Any:
        extra = ("outputs", "tactic")
        given = _given(operator, values, rest, extra)
        inputs = [given[name] for name in operator.inputs]
        shapes = tuple(tuple(int(size.constant_value()) for size in each.shape_expr) for each in inputs)
        attributes = tuple((name, int(given[name])) for name in sorted(operator.attributes))
        launch = launch_of(operator, Call(shapes, FLOATS[inputs[0].dtype.name], attributes), device)
        scalars = quick.SymIntExprs(len(launch.scalars))
        for place, value in enumerate(launch.scalars):
            scalars[place] = quick.SymInt32(value)
        return launch.kernel, ptx, quick.KernelLaunchParams(*launch.grid, *launch.block, launch.shared), scalars

    extras = {"outputs": tuple[quick.TensorDesc], "tactic": int}
    returned = tuple[str | bytes, str | bytes, quick.KernelLaunchParams, quick.SymIntExprs]
    return _signed(implement, quick, operator, extras, returned)


def _given(operator: Operator, values: Any, named: Any, extra: tuple[str, ...] = ()) -> dict[str, Any]:
    names = (*operator.inputs, *operator.attributes, *extra)
    return {**dict(zip(names, values, strict=False)), **named}


def _signed(
    function: Callable[..., Any], quick: Any, operator: Operator, extras: dict[str, Any], returned: Any
) -> Callable[..., Any]:
    """`function` with the signature by which TensorRT learns the operator's inputs and attributes."""
    kinds = {**dict.fromkeys(operator.inputs, quick.TensorDesc), **dict.fromkeys(operator.attributes, int), **extras}
    place = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter(name, place, annotation=kind) for name, kind in kinds.items()]
    function.__signature__ = inspect.Signature(parameters, return_annotation=returned)  # type: ignore[attr-defined]
    return function
