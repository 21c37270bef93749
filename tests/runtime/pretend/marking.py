"""`@on_pretend_gpu`: a test whose body runs in a child with the pretend GPU, once over each package."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.runtime.pretend.kit import Worker, lacking, pretend_environment


@pytest.fixture(scope="session", params=["pycuda", "cuda-bindings"])
def pretend_gpu(request: pytest.FixtureRequest) -> Iterator[tuple[str, Worker]]:
    """The package and one child for all tests over it."""
    if reason := lacking(request.param):
        pytest.skip(reason)
    with Worker(pretend_environment(request.param)) as worker:
        yield request.param, worker


def on_pretend_gpu(*, gpu: str = "", fail: str = "", clean: bool = True) -> Callable[[Callable[..., Any]], Any]:
    """Mark a test whose first parameter is the package's name; the rest are fixtures, whose values are pickled.

    `gpu`, `fail` and `clean` are those of `Worker.call`.
    """

    def mark(body: Callable[..., Any]) -> Any:
        def test(pretend_gpu: tuple[str, Worker], **fixtures: Any) -> None:
            package, worker = pretend_gpu
            worker.call(body, package, *(fixtures[each.name] for each in asked), gpu=gpu, fail=fail, clean=clean)

        shown = list(inspect.signature(test).parameters.values())[:1]
        asked = list(inspect.signature(body).parameters.values())[1:]
        test.__signature__ = inspect.Signature(shown + asked)  # type: ignore[attr-defined]
        test.pretended = body  # type: ignore[attr-defined]
        test.__name__, test.__qualname__, test.__module__ = body.__name__, body.__qualname__, body.__module__
        test.__doc__ = body.__doc__
        return test

    return mark
