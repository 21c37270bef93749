"""Runs a setup.py whose C++ files are compiled side by side, which setuptools does not do within one extension."""

from __future__ import annotations

import os
import runpy
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import setuptools  # noqa: F401  puts its own distutils in place

from distutils.unixccompiler import UnixCCompiler  # isort: skip

_pool = ThreadPoolExecutor(os.cpu_count())
_pending: list[Future[Any]] = []
_one, _all = UnixCCompiler._compile, UnixCCompiler.compile


def _compile_later(compiler: Any, *arguments: Any) -> None:
    _pending.append(_pool.submit(_one, compiler, *arguments))


def _compile_all(compiler: Any, *arguments: Any, **keywords: Any) -> Any:
    objects = _all(compiler, *arguments, **keywords)
    while _pending:
        _pending.pop().result()
    return objects


UnixCCompiler._compile, UnixCCompiler.compile = _compile_later, _compile_all
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
