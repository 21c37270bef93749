"""The two forms of a model file: attentions as bodies of plain operators, or as kernels of our own behind plug-ins.

In the form `function` no plug-in of ours can meet a node: theirs have the namespace `dis2_edge`, nodes name none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from dis2_edge.errors import EngineError
from dis2_runtime.driver import Driver, Module
from dis2_runtime.driver.joined import Joined
from dis2_runtime.engines.tensorrt.bindings import Trt
from dis2_runtime.engines.tensorrt.plugins import ahead, classic
from dis2_runtime.engines.tensorrt.plugins.operators import DOMAIN, OPERATORS, Operator
from dis2_runtime.kernels.loading import Kernels

__all__ = ["registered", "serves"]

_ONE_LAUNCH = ("FusionAttention",)
"""Operators that TensorRT can launch by itself; the others need several launches, or memory between them."""


def serves(modules: Mapping[str, Module], operators: Iterable[str]) -> bool:
    """Whether every one of `operators` has a kernel among `modules`."""
    return all(name in OPERATORS and OPERATORS[name].source in modules for name in operators)


@contextmanager
def registered(trt: Trt, driver: Driver, kernels: Kernels) -> Iterator[None]:
    """Let TensorRT know the operators that `kernels` serve, while inside; ahead of time where it can."""
    registry = trt.module.get_plugin_registry()
    if registry is None:
        raise EngineError("TensorRT has no registry of plug-ins here")
    made, joined = [], Joined(driver)
    try:
        with trt.failures("registering plug-ins"):
            for operator in (each for each in OPERATORS.values() if each.source in kernels.modules):
                if compiles_ahead(trt, operator, kernels):
                    _once(trt, operator, kernels, driver)
                    continue
                creator = classic.creator(
                    trt, operator, classic.Bench(driver, kernels.modules[operator.source], joined.on)
                )
                if not registry.register_creator(creator, DOMAIN):
                    raise trt.error(f"TensorRT takes no plug-in {operator.name}: there is one of that name already")
                made.append(creator)
        yield
    finally:
        for creator in made:
            registry.deregister_creator(creator)
        joined.free()


def compiles_ahead(trt: Trt, operator: Operator, kernels: Kernels) -> bool:
    """Whether the plan can hold the operator's kernel: one launch, of PTX, on a TensorRT that knows how."""
    return trt.release >= ahead.SINCE and operator.name in _ONE_LAUNCH and operator.source in kernels.ptx


def _once(trt: Trt, operator: Operator, kernels: Kernels, driver: Driver) -> None:
    """Register ahead of time what is not registered yet: TensorRT takes none back."""
    ptx = kernels.ptx[operator.source]
    if trt.ahead.get(operator.name, ptx) != ptx:
        raise EngineError(f"{operator.name} is registered already, with other kernels")
    if operator.name not in trt.ahead:
        ahead.register(trt, operator, ptx, driver.device)
        trt.ahead[operator.name] = ptx
