"""Suite of simulators that we did not write: those that are installed, each over every ground."""

import hashlib
import logging
from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar

from liquid_nav.errors import ConfigError
from liquid_nav.evaluation.abroad import NONE_INSTALLED, SIMULATORS
from liquid_nav.evaluation.abroad.scenes import GROUNDS, over_ground
from liquid_nav.evaluation.suites.cell import Cell
from liquid_nav.evaluation.vehicle import SimulatedVehicle
from liquid_nav.events import Channel
from liquid_nav.onboard import PolicyCamera
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.sensors.camera import CameraParameters
from liquid_nav_sim.streams import Streams
from liquid_nav_sim.world import World

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class AbroadCell(Cell):
    """The scenes of a task in another simulator. The world's vehicle, wind and faults do not count.

    Attributes:
        simulator: name in `SIMULATORS`.
        ground: name in `GROUNDS`.

    """

    simulator: str = ""
    ground: str = ""

    sees_the_world: ClassVar[bool] = False

    @property
    def fingerprint(self) -> str:
        """Digest of the conditions, see `Cell`."""
        conditions = f"{self.config.task!r} {self.config.appearance!r} {self.image!r}"
        where = f"{self.simulator} {self.ground} {conditions}"
        return hashlib.sha256(where.encode()).hexdigest()[:16]

    def vehicle(self, world: World, seed: int, channels: Collection[Channel]) -> SimulatedVehicle:
        """Make the vehicle of the simulator, in the scene of the seed."""
        config = self.config
        scene = config.task.sample(
            Streams(seed)["scene"], config.appearance, config.vehicle.collision_radius
        )
        return SIMULATORS.get(self.simulator)(
            over_ground(scene, self.ground, seed), seed, task=config.task, camera=_camera(config)
        )


def abroad(base: WorldConfig) -> list[Cell]:
    """Each simulator that is installed, over every ground; says which ones cannot be imported."""
    cells: list[Cell] = []
    for name in SIMULATORS:
        try:
            SIMULATORS.get(name)
        except ConfigError as error:
            logger.warning("the suite abroad leaves a simulator out: %s", error)
            continue
        cells += [
            AbroadCell(f"{name}, {ground}", base, simulator=name, ground=ground)
            for ground in GROUNDS
        ]
    if not cells:
        logger.warning("the suite abroad has nothing to fly: %s", NONE_INSTALLED)
    return cells


def _camera(config: WorldConfig) -> PolicyCamera:
    """The camera that is fitted in the world, or the default one."""
    for sensor in config.sensors:
        if isinstance(sensor.model, CameraParameters):
            model = sensor.model
            return PolicyCamera(model.width, model.height, model.horizontal_fov)
    return PolicyCamera()
