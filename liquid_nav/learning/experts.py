"""The expert of each task, by its name."""

from liquid_nav.learning.expert import Expert
from liquid_nav.registry import Registry
from liquid_nav_sim.world import World

EXPERTS: Registry[type[Expert]] = Registry(
    "liquid_nav.experts",
    "expert",
    {
        "target": "liquid_nav.learning.target_expert:TargetExpert",
        "forest": "liquid_nav.learning.forest_expert:ForestExpert",
        "gates": "liquid_nav.learning.gates_expert:GatesExpert",
        "follow": "liquid_nav.learning.follow_expert:FollowExpert",
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
