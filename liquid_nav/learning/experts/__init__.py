"""The expert of each task, by its name."""

from liquid_nav.learning.experts.base import Expert
from liquid_nav.registry import Registry
from liquid_nav_sim.world import World

EXPERTS: Registry[type[Expert]] = Registry(
    "liquid_nav.experts",
    "expert",
    {
        "target": "liquid_nav.learning.experts.target:TargetExpert",
        "forest": "liquid_nav.learning.experts.forest:ForestExpert",
        "gates": "liquid_nav.learning.experts.gates:GatesExpert",
        "follow": "liquid_nav.learning.experts.follow:FollowExpert",
    },
)
"""Classes of experts by the name of their task in `liquid_nav_sim.tasks.registry.TASKS`.

A package that brings a task brings its expert by an entry point of the same name in the group
``liquid_nav.experts``.
"""


def expert_of(world: World) -> Expert:
    """Make the expert of a world's task.

    Raises:
        ConfigError: when the task has none.

    """
    return EXPERTS.get(world.config.task.name)(world)
