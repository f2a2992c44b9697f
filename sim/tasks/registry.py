"""All tasks by name."""

from liquid_nav.errors import ConfigError
from liquid_nav.registry import Registry
from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.tasks.base import Task

TASKS: Registry[type[Task]] = Registry(
    "liquid_nav.tasks",
    "task",
    {
        "target": "liquid_nav_sim.tasks.target:TargetTask",
        "forest": "liquid_nav_sim.tasks.forest:ForestTask",
        "gates": "liquid_nav_sim.tasks.gates:GatesTask",
        "follow": "liquid_nav_sim.tasks.follow:FollowTask",
    },
)
"""Classes of tasks by name; entry points of the group ``liquid_nav.tasks`` add to them."""


def make_task(name: str, difficulty: float = 0.5, speed: float = 1.0) -> Task:
    """Make a task by name.

    Args:
        name: a name in `TASKS`.
        difficulty: in [0, 1].
        speed: multiple of the usual speeds, see `Task.at_speed`.

    Raises:
        SimulationError: on an unknown name, a task that cannot be imported, or a difficulty or
            speed out of its range.
    """
    if name not in TASKS:
        raise SimulationError(f"task must be one of {', '.join(TASKS)}, got {name!r}")
    try:
        task = TASKS.get(name)
    except ConfigError as error:
        raise SimulationError(str(error)) from error
    return task(difficulty=difficulty).at_speed(speed)
