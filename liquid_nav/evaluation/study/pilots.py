"""The pilots of a study, by name."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from liquid_nav.command import CommandLimits
from liquid_nav.controller import Controller
from liquid_nav.evaluation.classical import CLASSICAL_PILOTS, classical_pilot
from liquid_nav.evaluation.flight import Pilot
from liquid_nav.learning.experts import EXPERTS, expert_of
from liquid_nav.learning.experts.base import ExpertPilot
from liquid_nav.onboard import Policy, load_policy
from liquid_nav.safety.layer import SafetyConfig
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.sensors.frames import CameraModel
from liquid_nav_sim.world import World

PilotMaker = Callable[[World, Path | None], Pilot]
"""Makes the pilot of one flight, from its world and the bundle of the policy."""


def safety_in(config: WorldConfig) -> SafetyConfig:
    """Give the settings of the safety layer for the speed of a world's task."""
    return SafetyConfig(limits=CommandLimits().scaled(config.task.speed))


def policy(world: World, bundle: Path | None) -> Pilot:
    """Make the controller that flies the policy of a bundle."""
    assert bundle is not None  # see `has_pilot`
    return Controller(_policy(bundle), safety_in(world.config))


def expert(world: World, bundle: Path | None) -> Pilot:
    """Make the expert of the task, who knows the scene: what can be reached at all."""
    return ExpertPilot(expert_of(world))


def classical(world: World, bundle: Path | None) -> Pilot:
    """Make the pilot of the task that follows plain rules: what a policy has to beat."""
    cameras = (sensor.model for sensor in world.config.sensors)
    fov = next(m.horizontal_fov for m in cameras if isinstance(m, CameraModel))
    return classical_pilot(world.config.task.name, fov, safety_in(world.config))


PILOTS: dict[str, PilotMaker] = {"policy": policy, "expert": expert, "classical": classical}
"""The pilots by name, in the order of the tables."""

SEES_THE_WORLD = ("expert",)
"""Pilots that look into the world: changes of the camera's frames do not reach them."""


def has_pilot(name: str, task: str, bundle: Path | None) -> bool:
    """Tell whether there is a pilot of this name for a task."""
    has = {
        "policy": bundle is not None,
        "expert": task in EXPERTS,
        "classical": task in CLASSICAL_PILOTS,
    }
    return has[name]


@lru_cache(maxsize=1)
def _policy(bundle: Path) -> Policy:
    return load_policy(bundle)[0]
