"""Our real kernels, built for the CPU, through the very packages of a board: every case of every kernel."""

from __future__ import annotations

import pytest

from dis2_runtime.driver.opening import open_driver
from dis2_runtime.kernels import CASES
from dis2_runtime.kernels.proving import prove
from tests.runtime.kernels.shim.building import build
from tests.runtime.pretend.marking import on_pretend_gpu


@pytest.mark.parametrize("source", CASES)
@on_pretend_gpu()
def test_every_case_is_good_over_both_packages(package: str, source: str) -> None:
    with open_driver(package) as driver:
        module = driver.module(build(source).read_bytes())
        for proof in prove(driver, {source: module}, CASES[source]()):
            assert proof.good, (proof.case.title, proof.problem or proof.error)
