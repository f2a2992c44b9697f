"""Where a scene is placed in the frame of the poses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from liquid_nav.ros.simulator.eyes.poses import Pose
from liquid_nav.rotations import Quaternion, Vector, compose, yaw_of
from liquid_nav_sim.scenes.scene import Scene, Solid


@dataclass(frozen=True)
class Place:
    """Turns the frame of the poses by `yaw`, rad, and moves it by `offset`, metres, to the scene's.

    Both have z up.
    """

    yaw: float
    offset: Vector

    @classmethod
    def at_start(cls, scene: Scene, pose: Pose, floor: float) -> Place:
        """Place the start of a scene at the vehicle, in heading too, and its ground at the floor.

        Args:
            scene: the scene.
            pose: pose of the vehicle.
            floor: height of the floor, metres.

        """
        yaw = scene.start_yaw - yaw_of(np.array(pose.orientation))
        x, y = _turned(yaw, pose.position[0], pose.position[1])
        start = scene.start_position
        return cls(yaw, (float(start[0]) - x, float(start[1]) - y, -floor))

    @classmethod
    def fixed(cls, origin: Sequence[float], yaw: float) -> Place:
        """Place the origin of a scene at a point, metres, with its x axis at a heading, rad."""
        x, y = _turned(-yaw, origin[0], origin[1])
        return cls(-yaw, (-x, -y, -origin[2]))

    def pose(self, pose: Pose) -> tuple[Vector, Quaternion]:
        """Position and orientation of the vehicle in the scene."""
        x, y = _turned(self.yaw, pose.position[0], pose.position[1])
        dx, dy, dz = self.offset
        turn = (0.0, 0.0, math.sin(self.yaw / 2), math.cos(self.yaw / 2))
        return (x + dx, y + dy, pose.position[2] + dz), compose(turn, pose.orientation)

    def solid(self, solid: Solid) -> Solid:
        """Move a solid of the scene to the frame of the poses."""
        x, y, z = (solid.position - self.offset).tolist()
        back = np.array([*_turned(-self.yaw, x, y), z])
        return replace(solid, position=back, yaw=solid.yaw - self.yaw)


def _turned(angle: float, x: float, y: float) -> tuple[float, float]:
    c, s = math.cos(angle), math.sin(angle)
    return c * x - s * y, s * x + c * y
