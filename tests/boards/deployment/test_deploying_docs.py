"""The page about deploying tells every step, every check and every kind of service; no more, no less."""

from __future__ import annotations

import re
from pathlib import Path

from dis2_boards.agent.services import KINDS
from dis2_boards.deployment.bundle_checks import BUNDLE_CHECKS
from dis2_boards.deployment.machine_checks import MACHINE_CHECKS
from dis2_boards.deployment.steps import STEPS

PAGE = (Path(__file__).parents[3] / "docs" / "deploying.md").read_text("utf-8")


def first_cells(heading: str) -> list[str]:
    """The first column of the first table below `heading`."""
    lines = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0].splitlines()
    return [cell for line in lines if (cell := line.split("|")[1].strip() if line.startswith("|") else "")][2:]


def test_every_step_is_told_in_its_order() -> None:
    named = [name.strip() for cell in first_cells("The whole way") for name in cell.split(",")]
    assert named == [step.name for step in STEPS]


def test_every_check_is_told_in_its_order() -> None:
    checks = [check.name for check in (*MACHINE_CHECKS, *BUNDLE_CHECKS)]
    assert first_cells("What is checked before anything is sent") == [*checks, "space"]


def test_every_kind_of_service_is_told() -> None:
    assert [cell.strip("`") for cell in first_cells("How it is started")] == list(KINDS)


def test_the_page_leads_to_its_own_parts() -> None:
    headings = {
        re.sub(r"[^a-z0-9 -]", "", line[3:].lower()).replace(" ", "-")
        for line in PAGE.splitlines()
        if line[:3] == "## "
    }
    assert set(re.findall(r"\]\(#([a-z0-9-]+)\)", PAGE)) <= headings
