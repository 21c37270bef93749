"""The lines of a data set's tables: which finished runs make each, and whose verdict each belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from benchmarks.reproduce.plan import Plan, Row
from benchmarks.reproduce.records import Record

if TYPE_CHECKING:
    from dis2_train.judging.evaluation import Evaluation

FAMILIES = {"dis2": "DIS2", "csknet": "CSK-Net"}
"""Families of rows, and what people call them."""


def groups_of(plan: Plan, data: str, found: Mapping[str, Record], split: str) -> dict[str, list[Evaluation]]:
    """Line of the table -> evaluations of its finished runs on `split`, in the plan's order."""
    groups: dict[str, list[Evaluation]] = {}
    for row in plan.rows_of(data):
        for seed in plan.seeds:
            record = found.get(f"{data}/{row.name}-s{seed}")
            if record is not None and split in record.evaluations:
                groups.setdefault(row.group, []).append(record.evaluations[split])
    return groups


def ours_of(plan: Plan, data: str) -> dict[str, str]:
    """Family -> the line of its network, for each family that the data set has."""
    return {row.family: row.group for row in plan.rows_of(data) if row.role == "ours"}


def held_against(plan: Plan, data: str, family: str) -> set[str]:
    """Lines whose difference to the family's network is told: all but what is taken from another family's."""
    return {row.group for row in plan.rows_of(data) if row.family == family or not _within(row)}


def _within(row: Row) -> bool:
    """Whether the row says something of its own family only."""
    return row.role in ("ablation", "paper")
