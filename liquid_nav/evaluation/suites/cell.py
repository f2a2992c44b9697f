"""A cell: one condition of a suite."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import ClassVar

from liquid_nav.evaluation.home import HomeVehicle
from liquid_nav.evaluation.vehicle import SimulatedVehicle
from liquid_nav.events import Channel
from liquid_nav.learning.data.images import ImageChange
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.world import World


@dataclass(frozen=True)
class Cell:
    """One condition, in which every pilot flies the same scenes.

    Attributes:
        name: name that is unique within the suite.
        config: the world. All cells draw the same scene from the same seed, unless they change the
            task or the appearance.
        image: change of the frames between the camera and the pilot. An expert, which looks into
            the world, is not affected.

    """

    name: str
    config: WorldConfig
    image: ImageChange = field(default_factory=ImageChange)

    sees_the_world: ClassVar[bool] = True
    """Whether pilots fly that look into the world."""

    @property
    def fingerprint(self) -> str:
        """Digest of the conditions: flights of a cell belong together only if it is the same."""
        return hashlib.sha256(f"{self.config!r} {self.image!r}".encode()).hexdigest()[:16]

    def vehicle(self, world: World, seed: int, channels: Collection[Channel]) -> SimulatedVehicle:
        """Make the vehicle of the flight of a seed, which is not connected.

        Args:
            world: the world of this process, with the configuration of the cell.
            seed: seed of the flight.
            channels: channels that the pilot reads.

        """
        return HomeVehicle(world, seed, channels)
