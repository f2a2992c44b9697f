"""Classical pilots: plain rules without learning, the floor below which no policy should fall.

A classical pilot sees what a policy sees, the camera's frames and the IMU, and knows nothing of the
world. It flies in a `liquid_nav.controller.Controller` behind the same safety layer, so that its
commands have the same limits and the same failsafes as those of a policy.
"""

import math

from liquid_nav.controller import Controller
from liquid_nav.errors import ConfigError
from liquid_nav.evaluation.classical.rule import Rule
from liquid_nav.registry import Registry
from liquid_nav.safety.layer import SafetyConfig
from liquid_nav.values import check_number

__all__ = ["CLASSICAL_PILOTS", "Rule", "classical_pilot"]

CLASSICAL_PILOTS: Registry[type[Rule]] = Registry(
    "liquid_nav.classical_pilots",
    "classical pilot",
    {
        "target": "liquid_nav.evaluation.classical.target:TargetRule",
        "forest": "liquid_nav.evaluation.classical.forest:ForestRule",
        "gates": "liquid_nav.evaluation.classical.gates:GatesRule",
        "follow": "liquid_nav.evaluation.classical.follow:FollowRule",
    },
)
"""Rules by the name of their task in `liquid_nav_sim.tasks.registry.TASKS`.

A package that brings a task brings its classical pilot by an entry point of the same name in the
group ``liquid_nav.classical_pilots``.
"""


def classical_pilot(
    task: str, horizontal_fov: float = math.pi / 2, safety: SafetyConfig | None = None
) -> Controller:
    """Make the classical pilot of a task.

    Args:
        task: name of the task.
        horizontal_fov: angle between the left and the right edge of the camera's image, radians.
            The camera may have any number of pixels; its axis is taken to be the body's x axis.
        safety: settings of the safety layer, or None for its defaults.

    Raises:
        ConfigError: if the task has no classical pilot, or the angle is out of range.

    """
    check_number("horizontal_fov", horizontal_fov, ConfigError)
    if not 0 < horizontal_fov < math.pi:
        raise ConfigError(f"horizontal_fov must be in (0, pi) rad, got {horizontal_fov}")
    return Controller(CLASSICAL_PILOTS.get(task)(horizontal_fov), safety)
