"""The expert of each task, by its name."""

from collections.abc import Mapping
from types import MappingProxyType

from liquid_nav.learning.expert import Expert
from liquid_nav.learning.follow_expert import FollowExpert
from liquid_nav.learning.forest_expert import ForestExpert
from liquid_nav.learning.gates_expert import GatesExpert
from liquid_nav.learning.target_expert import TargetExpert
from liquid_nav_sim.world import World

EXPERTS: Mapping[str, type[Expert]] = MappingProxyType(
    {
        "target": TargetExpert,
        "forest": ForestExpert,
        "gates": GatesExpert,
        "follow": FollowExpert,
    }
)
"""Who knows how to fly which task of `liquid_nav_sim.tasks.registry.TASKS`."""


def expert_of(world: World) -> Expert:
    """The expert of a world's task."""
    return EXPERTS[world.config.task.name](world)
