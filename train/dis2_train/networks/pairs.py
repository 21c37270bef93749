"""What the networks of two sensors ask of a task."""

from __future__ import annotations

from dis2_edge.errors import RecipeError
from dis2_edge.task import Task


def check_two_sensors(name: str, task: Task) -> None:
    """RecipeError unless `task` has two sensors; `name` is the recipe's word for the network."""
    if len(task.sensors) != 2:
        given = ", ".join(task.sensor_names)
        found = f"{name} is a two-sensor network, and this task has {len(task.sensors)}: {given}"
        raise RecipeError(found, expected="two sensors", mend='name two of them: --set \'sensors=["a", "b"]\'')
