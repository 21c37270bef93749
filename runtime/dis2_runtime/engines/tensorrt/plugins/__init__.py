"""The two forms of a model file: attentions as bodies of plain operators, or as kernels of our own behind plug-ins.

In the form `function` no plug-in of ours can meet a node: theirs have the namespace `dis2_edge`, nodes name none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from dis2_edge.errors import EngineError
from dis2_runtime.driver import Driver, Module
from dis2_runtime.engines.tensorrt.bindings import Trt
from dis2_runtime.engines.tensorrt.plugins import ahead, classic
from dis2_runtime.engines.tensorrt.plugins.operators import DOMAIN, OPERATORS, Operator

__all__ = ["registered", "serves"]


def serves(modules: Mapping[str, Module], operators: Iterable[str]) -> bool:
    """Whether every one of `operators` has a kernel among `modules`."""
    return set(operators) <= {operator.name for operator in _servable(modules)}


@contextmanager
def registered(trt: Trt, driver: Driver, modules: Mapping[str, Module], images: Mapping[str, bytes]) -> Iterator[None]:
    """Let TensorRT know the operators that `modules` serve, while inside; ahead of time where it can."""
    registry = trt.module.get_plugin_registry()
    if registry is None:
        raise EngineError("TensorRT has no registry of plug-ins here")
    made = []
    with trt.failures("registering plug-ins"):
        for operator in _servable(modules):
            if compiles_ahead(trt, operator, images):
                _once(trt, operator, images[operator.source])
                continue
            creator = classic.creator(trt, operator, classic.Bench(driver, modules[operator.source]))
            if not registry.register_creator(creator, DOMAIN):
                raise trt.error(f"TensorRT takes no plug-in {operator.name}: one of that name is there already")
            made.append(creator)
    try:
        yield
    finally:
        for creator in made:
            registry.deregister_creator(creator)


def compiles_ahead(trt: Trt, operator: Operator, images: Mapping[str, bytes]) -> bool:
    """Whether the plan can hold the operator's kernel: one launch, of PTX, on a TensorRT that knows how."""
    return trt.release >= ahead.SINCE and operator.ahead is not None and is_ptx(images.get(operator.source, b""))


def is_ptx(image: bytes) -> bool:
    """Whether a kernel image is PTX text and no machine code."""
    return b".version" in image[:4096] and not image.startswith(b"\x7fELF")


def _servable(modules: Mapping[str, Module]) -> tuple[Operator, ...]:
    return tuple(
        operator
        for operator in OPERATORS.values()
        if operator.source in modules and (operator.launch is not None or operator.ahead is not None)
    )


def _once(trt: Trt, operator: Operator, ptx: bytes) -> None:
    """Register ahead of time what is not registered yet: TensorRT takes none back."""
    if trt.ahead.get(operator.name, ptx) != ptx:
        raise EngineError(f"{operator.name} is registered already, with other kernels")
    if operator.name not in trt.ahead:
        ahead.register(trt, operator, ptx)
        trt.ahead[operator.name] = ptx
