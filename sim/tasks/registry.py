"""All tasks, by name."""

from collections.abc import Mapping
from types import MappingProxyType

from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.tasks.base import Task
from liquid_nav_sim.tasks.follow import FollowTask
from liquid_nav_sim.tasks.forest import ForestTask
from liquid_nav_sim.tasks.gates import GatesTask
from liquid_nav_sim.tasks.target import TargetTask

TASKS: Mapping[str, type[Task]] = MappingProxyType(
    {task.name: task for task in (TargetTask, ForestTask, GatesTask, FollowTask)}
)
"""The tasks that there are."""


def make_task(name: str, difficulty: float = 0.5) -> Task:
    """The task of that name.

    Args:
        name: key of `TASKS`.
        difficulty: in [0, 1].

    Raises:
        SimulationError: on an unknown name or a difficulty out of its range.
    """
    if name not in TASKS:
        raise SimulationError(f"task must be one of {', '.join(TASKS)}, got {name!r}")
    return TASKS[name](difficulty=difficulty)
