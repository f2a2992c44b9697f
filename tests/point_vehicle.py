"""The smallest simulator that flies: a ball in PyBullet that follows velocities with a lag."""

import math

import numpy as np
import pybullet
import pybullet_data

from liquid_nav.command import Command
from liquid_nav.evaluation.abroad import BulletVehicle
from liquid_nav.evaluation.abroad.bullet import Launched

LAG = 0.25
"""Seconds in which it comes 63 % nearer to the commanded velocity."""


class PointVehicle(BulletVehicle):
    """Stays level, and turns at once."""

    control_rate = 120
    gravity = 9.81
    hull = 0.05

    def launch(self) -> Launched:
        self._pybullet = client = pybullet.connect(pybullet.DIRECT)
        pybullet.setTimeStep(1 / self.control_rate, physicsClientId=client)
        pybullet.setAdditionalSearchPath(pybullet_data.getDataPath(), physicsClientId=client)
        floor = pybullet.loadURDF("plane.urdf", physicsClientId=client)
        self._ball = pybullet.createMultiBody(
            0.1,
            pybullet.createCollisionShape(pybullet.GEOM_SPHERE, self.hull, physicsClientId=client),
            basePosition=self.scene.start_position.tolist(),
            baseOrientation=pybullet.getQuaternionFromEuler((0, 0, self.scene.start_yaw)),
            physicsClientId=client,
        )
        return Launched(client, self._ball, floor)

    def advance(self, command: Command) -> None:
        _, rotation = self._pose()
        wanted = rotation @ np.array([command.vx, command.vy, command.vz])
        now, _ = self._velocities()
        velocity = now + (wanted - now) * (1 - math.exp(-1 / (LAG * self.control_rate)))
        pybullet.resetBaseVelocity(
            self._ball,
            velocity.tolist(),
            (0, 0, command.yaw_rate),
            physicsClientId=self._pybullet,
        )
        pybullet.stepSimulation(physicsClientId=self._pybullet)

    def close(self) -> None:
        pybullet.disconnect(self._pybullet)
